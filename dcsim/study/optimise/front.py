"""The Pareto front of points that are known: what it holds, how much it dominates, and where it bends."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from dcsim.study.compare.choice import dominators

Floats = NDArray[np.float64]

# From four objectives on the exact volume takes a time that grows with a power of the points: it is sampled there.
EXACT_UP_TO = 3
SAMPLES_LOG2 = 16
KNEE_RULE = (
    "the design of the front whose objectives, each scaled from 0 at the worst to 1 at the best of the front, have the "
    "largest sum: the farthest from the plane through the best by each objective alone (Das 1999)"
)


@dataclass(frozen=True)
class Volume:
    """Share of the box between the worst and the best value of every objective that a front dominates."""

    frac: float
    exact: bool


def dominated_by(gains: Floats) -> list[list[int]]:
    """Of each point those that dominate it, more being better by every objective."""
    return dominators(gains, [True] * gains.shape[1]) if len(gains) else []


def scaled(gains: Floats, worst: Floats, best: Floats) -> Floats:
    """Gains from 0 at the worst to 1 at the best; objectives that do not vary are left out."""
    varies = best > worst
    return np.asarray((gains[:, varies] - worst[varies]) / (best[varies] - worst[varies]))


def hypervolume(gains: Floats, worst: Floats, best: Floats) -> Volume:
    r"""Share of the box from *worst* to *best* that points dominate.

    Parameters
    ----------
    gains : ndarray, shape (n, m)
        Points, more being better by every objective.
    worst, best : ndarray, shape (m,)
        Corners of the box; the worst one is the reference point. An objective in which they are the same is left out.

    Returns
    -------
    Volume
        Exact for up to three objectives that vary, else counted on :math:`2^{16}` Sobol points (within about 0.2 %).

    References
    ----------
    .. [1] E. Zitzler and L. Thiele, "Multiobjective evolutionary algorithms," IEEE Trans. Evol. Comput. 3 (1999)
       257-271.
    """
    within = np.clip(scaled(gains, worst, best), 0.0, 1.0)
    n, m = within.shape
    if n == 0:
        return Volume(0.0, True)
    if m == 0:
        return Volume(1.0, True)
    if m <= EXACT_UP_TO:
        return Volume(_volume(within), True)
    samples = qmc.Sobol(m, scramble=False).random_base2(SAMPLES_LOG2)
    covered = np.zeros(len(samples), dtype=bool)
    for one in within:
        covered |= (samples <= one).all(axis=1)
    return Volume(float(covered.mean()), False)


def _volume(points: Floats) -> float:
    """Volume between the origin and points in [0, 1]^m, slice by slice along the last axis."""
    if points.shape[1] == 1:
        return float(points.max())
    order = points[np.argsort(-points[:, -1], kind="stable")]
    heights = order[:, -1] - np.append(order[1:, -1], 0.0)
    if points.shape[1] == 2:
        return float(np.maximum.accumulate(order[:, 0]) @ heights)
    return float(sum(_volume(order[: i + 1, :-1]) * height for i, height in enumerate(heights) if height > 0))


def knee(gains: Floats) -> int:
    """Index of the knee of a front, by :data:`KNEE_RULE`; the first of equals.

    References
    ----------
    .. [1] I. Das, "On characterizing the 'knee' of the Pareto curve based on normal-boundary intersection,"
       Structural Optimization 18 (1999) 107-115.
    """
    return int(np.round(scaled(gains, gains.min(axis=0), gains.max(axis=0)).sum(axis=1), 12).argmax())
