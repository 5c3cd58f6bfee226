"""How many tokens prompts and answers hold: as recorded, or as stated by means, variation and rank correlation."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from dcsim.errors import RangeError
from dcsim.rng import stream
from dcsim.workload.jobs import Floats, Ints


class Lengths(Protocol):
    """Where lengths come from."""

    @property
    def mean_prompt(self) -> float:
        """Expected tokens of a prompt. [token]"""

    @property
    def mean_output(self) -> float:
        """Expected tokens of an answer. [token]"""

    def draw(self, n: int, seed: int, name: str) -> tuple[Ints, Ints]:
        """Draw prompts and answers of *n* requests. [token]"""


@dataclass(frozen=True)
class Recorded:
    """Lengths of recorded requests, drawn in pairs so that long prompts keep their kind of answer.

    Parameters
    ----------
    prompt, output : ndarray of int, shape (k,)
        Tokens of each recorded request, at least 1. [token]

    Raises
    ------
    RangeError
        If there are none, as many of the one as of the other are not there, or a length is below 1.
    """

    prompt: Ints
    output: Ints

    def __post_init__(self) -> None:
        """Refuse lengths that are none."""
        if not len(self.prompt) or np.shape(self.prompt) != np.shape(self.output):
            raise RangeError(
                f"{len(self.prompt)} prompts and {len(self.output)} outputs; give the lengths of at least one request"
            )
        for name, tokens in (("prompt", self.prompt), ("output", self.output)):
            if np.min(tokens) < 1:
                raise RangeError(f"{name}: {np.min(tokens)} tokens is below 1; leave such requests out")

    @property
    def mean_prompt(self) -> float:
        """Mean of the recorded prompts. [token]"""
        return float(np.mean(self.prompt))

    @property
    def mean_output(self) -> float:
        """Mean of the recorded answers. [token]"""
        return float(np.mean(self.output))

    def draw(self, n: int, seed: int, name: str) -> tuple[Ints, Ints]:
        """Draw recorded pairs with replacement.

        Returns
        -------
        tuple of ndarray of int, each shape (n,)
            Tokens of prompts and answers. [token]
        """
        which = stream(seed, f"request-lengths/{name}").integers(len(self.prompt), size=n)
        return self.prompt[which].astype(np.int64), self.output[which].astype(np.int64)


@dataclass(frozen=True)
class Stated:
    r"""Lognormal prompts and answers, joined by a Gaussian copula.

    Parameters
    ----------
    prompt_mean, output_mean : float
        Expected tokens, at least 1. [token]
    prompt_cv, output_cv : float
        Standard deviation over mean before rounding, from 0; 0 is one length for all. [1]
    correlation : float
        Spearman's rank correlation of prompt and answer, from -1 to 1. [1]

    Raises
    ------
    RangeError
        If one is outside its range.

    Notes
    -----
    .. math:: \sigma^2 = \ln(1 + c^2), \quad \rho = 2 \sin(\pi r / 6)

    Draws are rounded up or down at random by their fraction, which keeps the mean, and cut below at 1; the median is
    lowered until the mean of what is so cut, :math:`E[\max(1, X)]`, is the one stated. Ties of short rounded lengths
    weaken the rank correlation a little.

    References
    ----------
    W. H. Kruskal, Ordinal measures of association, J. Am. Stat. Assoc. 53 (1958) 814-861, for :math:`\rho` from r.
    """

    prompt_mean: float
    prompt_cv: float
    output_mean: float
    output_cv: float
    correlation: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no such lengths have."""
        for name in ("prompt", "output"):
            mean, cv = getattr(self, f"{name}_mean"), getattr(self, f"{name}_cv")
            if not (math.isfinite(mean) and mean >= 1):
                raise RangeError(f"{name}_mean: {mean} tokens is below 1; a request has at least one token of each")
            if not (math.isfinite(cv) and cv >= 0):
                raise RangeError(f"{name}_cv: {cv} is below 0; give standard deviation over mean")
        if not -1 <= self.correlation <= 1:
            raise RangeError(f"correlation: {self.correlation} is outside -1 to 1")

    @property
    def mean_prompt(self) -> float:
        """Expected tokens of a prompt. [token]"""
        return self.prompt_mean

    @property
    def mean_output(self) -> float:
        """Expected tokens of an answer. [token]"""
        return self.output_mean

    def draw(self, n: int, seed: int, name: str) -> tuple[Ints, Ints]:
        """Draw pairs; the first requests are the same whatever *n* is.

        Returns
        -------
        tuple of ndarray of int, each shape (n,)
            Tokens of prompts and answers. [token]
        """
        rho = 2.0 * math.sin(math.pi * self.correlation / 6.0)
        normal = stream(seed, f"request-lengths/{name}").standard_normal((n, 2))
        fraction = stream(seed, f"request-lengths/{name}/rounding").random((n, 2))
        joined = rho * normal[:, 0] + math.sqrt(max(0.0, 1.0 - rho**2)) * normal[:, 1]
        return (
            _tokens(self.prompt_mean, self.prompt_cv, normal[:, 0], fraction[:, 0]),
            _tokens(self.output_mean, self.output_cv, joined, fraction[:, 1]),
        )


def _tokens(mean: float, cv: float, normal: Floats, fraction: Floats) -> Ints:
    sigma = math.sqrt(math.log1p(cv**2))
    drawn = np.exp(_log_median(mean, sigma) + sigma * normal)
    return np.maximum(1, np.floor(drawn + fraction)).astype(np.int64)


def _log_median(mean: float, sigma: float) -> float:
    """Logarithm of the median of X for which E[max(1, X)] is *mean*; minus infinity where all are 1."""
    plain = math.log(mean) - sigma**2 / 2
    if mean == 1.0:
        return -math.inf
    if sigma == 0.0:
        return plain

    def over(mu: float) -> float:
        cut = ndtr(-mu / sigma) + math.exp(mu + sigma**2 / 2) * ndtr(mu / sigma + sigma)
        return float(cut - mean)

    if over(plain) <= 0:  # Nothing to speak of is cut.
        return plain
    lower = plain - 1.0
    while over(lower) > 0:
        lower -= 1.0 + sigma
    return float(brentq(over, lower, plain, xtol=1e-12))
