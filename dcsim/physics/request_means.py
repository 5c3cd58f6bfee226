"""What the lengths of requests make a replica do, in means."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.physics.transformer import Rows


@dataclass(frozen=True)
class MeanRequest(Rows):
    """What the lengths of requests make a replica do, in means; each field an array_like of shape (n,).

    Parameters
    ----------
    prefill : array_like
        Tokens of a prompt that are computed. [1]
    output : array_like
        Tokens of an answer. [1]
    context : array_like
        Tokens that a decoding request attends to, over all steps of all requests. [1]
    pairs : array_like
        Pairs of tokens of a prompt that attend to each other. [1]
    kept : array_like
        Tokens whose keys and values a request keeps at its end. [1]

    Notes
    -----
    Long answers hold a place in the batch for longer, so the mean context weighs requests by their answers; that of
    lengths that are all alike is the prompt and half of the answer.
    """

    prefill: Any
    output: Any
    context: Any
    pairs: Any
    kept: Any


def alike(prompt: Any, output: Any) -> MeanRequest:
    """Requests of one length of prompts and one of answers, nothing of a prompt being known before."""
    prompt, output = np.asarray(prompt, dtype=float), np.asarray(output, dtype=float)
    return MeanRequest(prompt, output, prompt + output / 2.0, prompt**2 / 2.0, prompt + output)


def mean_request(prompt: Any, output: Any, *, hit_frac: float = 0.0) -> MeanRequest:
    """Means over recorded requests, of whose prompts a share is found computed.

    Parameters
    ----------
    prompt, output : array_like, shape (n,)
        Tokens. [1]
    hit_frac : float
        Share of each prompt that need not be computed, its beginning. [1]
    """
    p, o = np.asarray(prompt, dtype=float), np.asarray(output, dtype=float)
    known = hit_frac * p
    return MeanRequest(
        prefill=(p - known).mean(),
        output=o.mean(),
        context=(o * (p + o / 2.0)).sum() / o.sum(),
        pairs=(p**2 - known**2).mean() / 2.0,
        kept=(p + o).mean(),
    )
