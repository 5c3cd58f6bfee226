"""A sample of a key figure in numbers that a committee reads, each with its own error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from dcsim.errors import RangeError

Floats = NDArray[np.float64]

PERCENTILES = {"p5": 0.05, "p10": 0.10, "p50": 0.50, "p90": 0.90, "p95": 0.95}
# Share of the draws over which the mean of the worst is taken.
TAIL_FRAC = 0.05
# Level of the intervals of percentiles.
LEVEL_FRAC = 0.95
# Prefixes of the sample whose percentiles show whether it is large enough.
PREFIXES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


@dataclass(frozen=True)
class Summary:
    """Moments and percentiles of a sample; ``bounds`` are the ends of their intervals, NaN where there is none."""

    n: int
    n_undefined: int
    mean: float
    sd: float
    se: float
    percentiles: dict[str, float]
    bounds: dict[str, tuple[float, float]]


def summary(values: Floats) -> Summary:
    """Describe a sample; NaN are counted and left out.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Draws.

    Raises
    ------
    RangeError
        If fewer than two draws are defined.

    Notes
    -----
    ``se`` is that of independent draws, which errs high for a Latin hypercube. The interval of a percentile holds the
    order statistics between which it lies with the stated level, by the binomial distribution [1]_, whatever the
    distribution of the figure.

    References
    ----------
    .. [1] G. Hahn and W. Meeker, Statistical Intervals, 1991, section 5.2.
    """
    known = np.sort(values[~np.isnan(values)])
    n = len(known)
    if n < 2:
        raise RangeError(f"{n} of {len(values)} draws have a value; at least two are needed")
    sd = float(known.std(ddof=1))
    return Summary(
        n=n,
        n_undefined=len(values) - n,
        mean=float(known.mean()),
        sd=sd,
        se=sd / n**0.5,
        percentiles={name: float(np.quantile(known, share)) for name, share in PERCENTILES.items()},
        bounds={name: _bounds(known, share) for name, share in PERCENTILES.items()},
    )


def _bounds(ascending: Floats, share: float) -> tuple[float, float]:
    n, tail = len(ascending), (1.0 - LEVEL_FRAC) / 2.0
    # Chance that so many draws or fewer lie below the percentile.
    below = special.bdtr(np.arange(n + 1), n, share)
    low, high = np.searchsorted(below, [tail, 1.0 - tail]).tolist()
    # Where even the least or greatest draw is not far enough out there is no such end.
    return (
        float(ascending[low - 1]) if low > 0 else float("nan"),
        float(ascending[high]) if high < n else float("nan"),
    )


def loss_frac(values: Floats) -> float:
    """Share of the draws below zero. [1]"""
    known = values[~np.isnan(values)]
    return float((known < 0).mean())


def loss_bounds_frac(values: Floats) -> tuple[float, float]:
    """Ends of the 95 % interval of that share by Wilson's formula, which holds near 0 and 1 too. [1]"""
    n, p = int((~np.isnan(values)).sum()), loss_frac(values)
    z = float(special.ndtri(0.5 + LEVEL_FRAC / 2.0))
    middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n)
    half = z / (1.0 + z * z / n) * np.sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def tail_mean(values: Floats, frac: float = TAIL_FRAC, *, worst: str = "low") -> float:
    """Mean of the worst share of the draws: conditional value at risk, as a value of the figure and not a loss.

    Notes
    -----
    The draw at the edge counts with the part of it that the share holds, so that the figure is coherent [1]_.

    References
    ----------
    .. [1] R. Rockafellar and S. Uryasev, "Optimization of conditional value-at-risk," Journal of Risk 2 (2000) 21-41.
    """
    known = np.sort(values[~np.isnan(values)])
    if worst == "high":
        known = known[::-1]
    weight = np.clip(frac * len(known) - np.arange(len(known)), 0.0, 1.0)
    return float(known @ weight / weight.sum())


def convergence(values: Floats) -> pd.DataFrame:
    """Mean, P10, P50 and P90 of growing parts of a sample, with the columns ``draws, mean, p10, p50, p90``.

    Parts are the first draws: a random part of a Latin hypercube, whose draws come in random order, and a net of its
    own of Sobol points.
    """
    rows = []
    for part in PREFIXES:
        known = values[: max(2, round(part * len(values)))]
        defined = known[~np.isnan(known)]
        if len(defined) < 2:
            continue
        p10, p50, p90 = np.quantile(defined, (0.1, 0.5, 0.9))
        rows.append({"draws": len(known), "mean": defined.mean(), "p10": p10, "p50": p50, "p90": p90})
    return pd.DataFrame(rows, columns=["draws", "mean", "p10", "p50", "p90"]).drop_duplicates("draws")


def rank_correlations(columns: Mapping[str, Floats], values: Floats) -> dict[str, float]:
    """Spearman's correlation of each input with a figure over the draws, 0 for an input that never varies. [1]"""
    known = ~np.isnan(values)
    ranked = pd.Series(values[known]).rank().to_numpy()
    found = {}
    for name, column in columns.items():
        of = pd.Series(column[known]).rank().to_numpy()
        varies = np.ptp(of) > 0 and np.ptp(ranked) > 0
        found[name] = float(np.corrcoef(of, ranked)[0, 1]) if varies else 0.0
    return found


def regret(values: Sequence[Floats]) -> Floats:
    """Mean over the draws of what each alternative lies behind the best of the same draw, shape (n_alternatives,)."""
    table = np.vstack(values)
    return np.asarray((table.max(axis=0) - table).mean(axis=1))
