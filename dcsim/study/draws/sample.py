"""Samples of uncertain inputs, from streams keyed by the inputs' names."""

import importlib
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dcsim.errors import RangeError
from dcsim.model.distributions import Distribution
from dcsim.rng import stream
from dcsim.study.draws.correlation import Pairs, correlated

Floats = NDArray[np.float64]
Method = Literal["latin", "sobol"]

# Binary digits of a Sobol point: as many as a double holds with half a step to spare.
BITS = 52


def sample(
    inputs: Mapping[str, Distribution],
    n: int,
    seed: int,
    *,
    correlations: Pairs | None = None,
    method: Method = "latin",
) -> dict[str, Floats]:
    """Draw *n* values of each input.

    Parameters
    ----------
    inputs : mapping of str to Distribution
        Uncertain inputs by name.
    n : int
        Number of draws, at least 1; a power of two for ``sobol``.
    seed : int
        Seed of the scenario. Each input draws from its own stream under it.
    correlations : mapping of (str, str) to float
        Correlations of normal scores of pairs. [1]
    method : {"latin", "sobol"}
        Latin hypercube, where an input's draws depend on its name alone, or scrambled Sobol points, where they depend
        on its place too: there a new input leaves those before it alone.

    Raises
    ------
    RangeError
        If *n* or the correlations are out of range.
    """
    shares = independent_shares(list(inputs), n, seed, method)
    return {name: inputs[name].ppf(of) for name, of in correlated(shares, correlations or {}).items()}


def independent_shares(names: list[str], n: int, seed: int, method: Method) -> dict[str, Floats]:
    """Draw *n* independent numbers above 0 and below 1 for each name, as :func:`sample` has it."""
    if n < 1:
        raise RangeError(f"a sample needs at least one draw, got {n}")
    return _latin(names, n, seed) if method == "latin" else _sobol(names, n, seed)


def _latin(names: list[str], n: int, seed: int) -> dict[str, Floats]:
    """One value in each of *n* equal strata, in random order, by input."""
    streams = {name: stream(seed, f"draws/{name}") for name in names}
    return {name: (rng.permutation(n) + _inside(rng.random(n))) / n for name, rng in streams.items()}


def _inside(shares: Floats) -> Floats:
    """Shares from 0 on as shares above it, where quantiles are finite."""
    return np.maximum(shares, np.finfo(float).tiny)


def _sobol(names: list[str], n: int, seed: int) -> dict[str, Floats]:
    """Sobol points, one dimension an input, each scrambled from its own stream.

    Notes
    -----
    Binary digits are mixed by a random lower triangular matrix and shifted [1]_, which keeps a net a net. One stream a
    dimension, where scipy's scrambling has one for all, so that the points of an input outlive a new neighbour.

    References
    ----------
    .. [1] J. Matousek, "On the L2-discrepancy for anchored boxes," Journal of Complexity 14 (1998) 527-556.
    """
    if n & (n - 1):
        down = 2 ** math.floor(math.log2(n))
        raise RangeError(f"Sobol points are balanced in powers of two only: draw {down} or {2 * down}, not {n}")
    if not names:
        return {}
    # It takes a second to load, and Latin hypercubes do without.
    qmc = importlib.import_module("scipy.stats.qmc")
    points = qmc.Sobol(len(names), scramble=False, bits=BITS).random(n)
    place = np.arange(BITS - 1, -1, -1, dtype=np.uint64)
    found = {}
    for name, column in zip(names, points.T, strict=True):
        rng = stream(seed, f"draws/{name}")
        mix = np.tril(rng.integers(0, 2, (BITS, BITS)), -1) + np.eye(BITS, dtype=np.int64)
        whole = np.ldexp(column, BITS).astype(np.uint64)
        digits = ((whole[:, None] >> place) & np.uint64(1)).astype(np.int64)
        mixed = (digits @ mix.T + rng.integers(0, 2, BITS)) % 2
        # The middle of the last digit's cell: never 0 or 1.
        found[name] = (mixed @ np.ldexp(1.0, np.arange(-1, -BITS - 1, -1))) + np.ldexp(0.5, -BITS)
    return found
