"""Requests as columns: when each comes, and how many tokens its prompt and its answer hold."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dcsim.errors import RangeError
from dcsim.workload.jobs import Floats, Ints

WINDOWS_S = (1.0, 60.0)
"""Windows in which requests are counted for the index of dispersion. [s]"""
_QUANTILES = (0.50, 0.95, 0.99)


@dataclass(frozen=True)
class Requests:
    """Requests to a language model in order of arrival.

    Parameters
    ----------
    arrival_s : ndarray, shape (n,)
        When each comes, from 0 on, not falling. [s]
    prompt, output : ndarray of int, shape (n,)
        Tokens of the prompt and of the answer, at least 1. [token]
    blocks : ndarray of int, shape (m,), optional
        Ids of the prompts' prefix-cache blocks one after another; None where unknown.
    block_starts : ndarray of int, shape (n + 1,), optional
        Where each request's blocks begin, and where the last one's end.
    block_tokens : int
        Tokens of a block; a prompt's last block holds what is left. [token]

    Raises
    ------
    RangeError
        If shapes do not match, times fall or are below 0, or a length is below 1.
    """

    arrival_s: Floats
    prompt: Ints
    output: Ints
    blocks: Ints | None = None
    block_starts: Ints | None = None
    block_tokens: int = 512

    def __post_init__(self) -> None:
        """Refuse columns that are no requests."""
        n = len(self)
        for name in ("arrival_s", "prompt", "output"):
            shape = np.shape(getattr(self, name))
            if shape != (n,):
                raise RangeError(f"{name}: shape {shape}, but there are {n} requests; give one figure a request")
        for name in ("prompt", "output"):
            tokens = getattr(self, name)
            if not np.issubdtype(tokens.dtype, np.integer):
                raise RangeError(f"{name}: {tokens.dtype} is no whole number of tokens; round to int64")
            if n and tokens.min() < 1:
                at = int(np.argmin(tokens))
                raise RangeError(f"{name}[{at}]: {tokens[at]} tokens is below 1; leave such requests out")
        if n and not (np.isfinite(self.arrival_s).all() and self.arrival_s.min() >= 0):
            raise RangeError("arrival_s: times must be finite and from 0 on; count them from the first request")
        falls = np.flatnonzero(np.diff(self.arrival_s) < 0)
        if len(falls):
            at = int(falls[0]) + 1
            raise RangeError(
                f"arrival_s[{at}]: {self.arrival_s[at]} s comes after {self.arrival_s[at - 1]} s; sort by time"
            )
        self._check_blocks()

    def _check_blocks(self) -> None:
        if self.block_tokens < 1:
            raise RangeError(f"block_tokens: {self.block_tokens} is below 1")
        if self.blocks is None and self.block_starts is None:
            return
        if self.blocks is None or self.block_starts is None:
            raise RangeError("blocks and block_starts belong together; give both or neither")
        starts = self.block_starts
        if starts.shape != (len(self) + 1,):
            raise RangeError(
                f"block_starts: shape {starts.shape}, but {len(self)} requests need {len(self) + 1} bounds"
            )
        if starts[0] != 0 or starts[-1] != len(self.blocks) or (np.diff(starts) < 0).any():
            raise RangeError(f"block_starts: must rise from 0 to the {len(self.blocks)} blocks that there are")

    def __len__(self) -> int:
        """Count of requests."""
        return len(self.arrival_s)

    @property
    def span_s(self) -> float:
        """Time from the first request to the last. [s]"""
        return float(self.arrival_s[-1] - self.arrival_s[0]) if len(self) else 0.0

    def select(self, which: Any) -> "Requests":
        """Some of the requests, on the same clock.

        Parameters
        ----------
        which : ndarray of bool, shape (n,), or of int, or slice
            Those to keep, in order of arrival.

        Raises
        ------
        RangeError
            If an index puts them out of order, or a mask has another length.
        """
        if isinstance(which, np.ndarray) and which.dtype == bool and which.shape != (len(self),):
            raise RangeError(f"a mask of shape {which.shape} does not fit {len(self)} requests")
        index = np.arange(len(self))[which]
        blocks = starts = None
        if self.blocks is not None and self.block_starts is not None:
            counts = np.diff(self.block_starts)[index]
            starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            places = np.repeat(self.block_starts[:-1][index] - starts[:-1], counts) + np.arange(starts[-1])
            blocks = self.blocks[places]
        return replace(
            self,
            arrival_s=self.arrival_s[index],
            prompt=self.prompt[index],
            output=self.output[index],
            blocks=blocks,
            block_starts=starts,
        )


def scaled(
    requests: Requests, *, time: float = 1.0, rate: float = 1.0, prompt: float = 1.0, output: float = 1.0
) -> Requests:
    """Requests on a stretched clock, at another rate, or of other lengths.

    Parameters
    ----------
    requests : Requests
    time : float
        Factor on the times of arrival. [1]
    rate : float
        Factor on the rate: all gaps are divided by it, as if more users behaved alike at once, so bursts stay as
        sharp as they were; independent users would smooth them. [1]
    prompt, output : float
        Factors on lengths, which are rounded and stay at least 1. Blocks of a scaled prompt are unknown. [1]

    Raises
    ------
    RangeError
        If a factor is not above 0.
    """
    for name, factor in (("time", time), ("rate", rate), ("prompt", prompt), ("output", output)):
        if not (math.isfinite(factor) and factor > 0):
            raise RangeError(f"{name}: a factor of {factor} is not above 0")
    same = prompt == 1.0
    return replace(
        requests,
        arrival_s=requests.arrival_s * (time / rate),
        prompt=_lengthened(requests.prompt, prompt),
        output=_lengthened(requests.output, output),
        blocks=requests.blocks if same else None,
        block_starts=requests.block_starts if same else None,
    )


def _lengthened(tokens: Ints, factor: float) -> Ints:
    rounded: Ints = np.maximum(1, np.rint(tokens * factor)).astype(np.int64)
    return rounded


def statistics(requests: Requests) -> dict[str, float]:
    """Figures of some requests; not a number where there are too few of them to tell.

    Returns
    -------
    dict
        ``n``; ``span_s``; ``rate_per_s``, one over the mean gap; ``gap_cv``; ``dispersion_1s`` and ``dispersion_60s``,
        variance over mean of the counts in whole windows, 1 for Poisson arrivals; ``prompt_mean_tokens`` with
        ``_p50_``, ``_p95_``, ``_p99_`` and ``prompt_cv``, the same of ``output``; ``length_rank_correlation``,
        Spearman's of prompt and output; ``shareable_prefix_frac`` where blocks are known, the share of prompt tokens
        whose block came earlier in the file, so that an endless cache would hold it.
    """
    gaps = np.diff(requests.arrival_s)
    figures = {"n": float(len(requests)), "span_s": requests.span_s}
    spread = requests.span_s > 0
    figures["rate_per_s"] = len(gaps) / requests.span_s if spread else math.nan
    figures["gap_cv"] = float(gaps.std() / gaps.mean()) if spread else math.nan
    for window_s in WINDOWS_S:
        figures[f"dispersion_{window_s:.0f}s"] = dispersion(requests.arrival_s, window_s)
    for name, tokens in (("prompt", requests.prompt), ("output", requests.output)):
        mean = float(tokens.mean()) if len(tokens) else math.nan
        figures[f"{name}_mean_tokens"] = mean
        for quantile in _QUANTILES:
            value = float(np.quantile(tokens, quantile)) if len(tokens) else math.nan
            figures[f"{name}_p{100 * quantile:.0f}_tokens"] = value
        figures[f"{name}_cv"] = float(tokens.std()) / mean if len(tokens) else math.nan
    # Loaded on use: it takes longer than most of what needs this file.
    from scipy.stats import spearmanr

    # Ranks of lengths that are all alike have no correlation.
    varied = len(requests) > 1 and np.ptp(requests.prompt) > 0 and np.ptp(requests.output) > 0
    rank = float(spearmanr(requests.prompt, requests.output).statistic) if varied else math.nan
    figures["length_rank_correlation"] = rank
    if requests.blocks is not None:
        figures["shareable_prefix_frac"] = _shareable_frac(requests)
    return figures


def dispersion(arrival_s: Floats, window_s: float) -> float:
    """Index of dispersion of counts: variance over mean in the whole windows from the first arrival on. [1]

    Parameters
    ----------
    arrival_s : ndarray, shape (n,)
        Times in order. [s]
    window_s : float
        Length of a window. [s]

    Returns
    -------
    float
        Not a number where fewer than two windows fit.
    """
    windows = int((arrival_s[-1] - arrival_s[0]) / window_s) if len(arrival_s) else 0
    if windows < 2:
        return math.nan
    edges_s = arrival_s[0] + window_s * np.arange(windows + 1)
    counts = np.diff(np.searchsorted(arrival_s, edges_s))
    return float(counts.var() / counts.mean())


def _shareable_frac(requests: Requests) -> float:
    assert requests.blocks is not None and requests.block_starts is not None
    if not len(requests.blocks):
        return 0.0
    counts = np.diff(requests.block_starts)
    place = np.arange(len(requests.blocks)) - np.repeat(requests.block_starts[:-1], counts)
    left = np.repeat(requests.prompt, counts) - place * requests.block_tokens
    seen = np.ones(len(requests.blocks), dtype=bool)
    seen[np.unique(requests.blocks, return_index=True)[1]] = False
    return float(np.clip(left, 0, requests.block_tokens)[seen].sum() / requests.prompt.sum())
