"""Present values and returns of monthly cash flows.

Convention, printed with every result: nominal dollars; flow k falls k months after the valuation month and is
discounted by ``(1 + r) ** (-k / 12)`` with the annual rate r; rates of return are annual effective.
"""

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyxirr
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from dcsim.errors import RangeError

Floats = NDArray[np.float64]

MONTHS_PER_YEAR = 12
DAYS_PER_YEAR = 365


def annuity_usd(principal_usd: ArrayLike, rate_frac: ArrayLike, n_periods: ArrayLike) -> Any:
    """Equal payment at the end of each period that repays a principal with interest (PMT).

    Parameters
    ----------
    principal_usd : array_like
        Amount at the start. [USD]
    rate_frac : array_like
        Interest a period, above -1. At 0 the payment is the principal over the periods. [1]
    n_periods : array_like
        Number of payments, at least 1; infinite for interest alone.

    Raises
    ------
    RangeError
        If ``n_periods`` is below 1 or ``rate_frac`` at or below -1 anywhere.
    """
    principal, rate, n = (np.asarray(of, dtype=float) for of in (principal_usd, rate_frac, n_periods))
    if not (n >= 1).all() or not (rate > -1).all():
        raise RangeError(f"an annuity needs n_periods >= 1 and rate > -1, got {n.min():g} and {rate.min():g}")
    free = rate == 0
    i = np.where(free, 1.0, rate)
    # expm1 and log1p keep full precision at the tiniest rates, where 1 - (1 + r)^-n cancels.
    return np.where(free, principal / n, principal * i / -np.expm1(-n * np.log1p(i)))[()]


def npv_usd(flows_usd: ArrayLike, rate_frac: float, periods_per_year: int = MONTHS_PER_YEAR) -> float:
    """Net present value of flows that start at the valuation date.

    Parameters
    ----------
    flows_usd : array_like, shape (n,)
        Flow of each period, the first at once. [USD]
    rate_frac : float
        Annual discount rate. [1]
    periods_per_year : int
        12 for monthly flows, 1 for yearly.
    """
    flows = np.asarray(flows_usd, dtype=float)
    return float(flows @ discount_factors(len(flows), rate_frac, periods_per_year))


def discount_factors(n: int, rate_frac: float, periods_per_year: int = MONTHS_PER_YEAR) -> Floats:
    """Present value of one dollar in each of *n* periods, shape (n,)."""
    return discount_factors_at(np.arange(n), rate_frac, periods_per_year)


def discount_factors_at(periods: ArrayLike, rate_frac: ArrayLike, periods_per_year: int = MONTHS_PER_YEAR) -> Floats:
    """Present value of one dollar so many periods after the valuation date, negative ones before it."""
    return np.asarray((1.0 + np.asarray(rate_frac)) ** (-np.asarray(periods) / periods_per_year))


@dataclass(frozen=True)
class Irr:
    """Internal rate of return; ``rate_frac`` is None with a ``reason`` unless exactly one rate makes the NPV zero."""

    rate_frac: float | None
    roots: tuple[float, ...]
    reason: str


def irr(flows_usd: ArrayLike, periods_per_year: int = MONTHS_PER_YEAR) -> Irr:
    """Annual rates between -99 % and +10,000 % at which the flows have a net present value of zero.

    Flows that change sign more than once can have several such rates, and choosing one quietly is how spreadsheets
    disagree: all are returned, and the rate only where it is the one.

    Parameters
    ----------
    flows_usd : array_like, shape (n,)
        Flow of each period. [USD]
    periods_per_year : int
        12 for monthly flows, 1 for yearly.
    """
    flows = np.asarray(flows_usd, dtype=float)
    return _rates(flows, np.arange(len(flows)) / periods_per_year)


def xirr(flows_usd: ArrayLike, dates: Sequence[datetime.date]) -> Irr:
    """The same for flows at dates, years being days over 365 from the first, as spreadsheets' XIRR counts."""
    days = np.array([(date - dates[0]).days for date in dates])
    return _rates(np.asarray(flows_usd, dtype=float), days / DAYS_PER_YEAR)


def _rates(flows: Floats, years: Floats) -> Irr:
    """Rates at which flows after so many years are worth nothing."""
    if not (flows > 0).any() or not (flows < 0).any():
        return Irr(None, (), "the flows never change sign")
    grid, factors = _grid(years.tobytes())
    signs = np.sign(factors @ flows)
    roots = tuple(
        float(brentq(lambda rate: flows @ (1.0 + rate) ** -years, grid[i], grid[i + 1], xtol=1e-12))
        for i in np.flatnonzero(signs[1:] * signs[:-1] < 0)
    )
    if len(roots) == 1:
        return Irr(roots[0], roots, "")
    if not roots:
        return Irr(None, (), "no rate between -99 % and +10,000 % a year makes the NPV zero")
    listed = ", ".join(f"{root:.4f}" for root in roots)
    return Irr(None, roots, f"{len(roots)} rates make the NPV zero: {listed}; use the NPV")


@lru_cache(maxsize=4)  # the studies of one plan ask for the same months ten thousand times
def _grid(years: bytes) -> tuple[Floats, Floats]:
    """Rates, uniform in log(1 + r), and the discount factor of each year at each.

    Fine enough that two roots closer than 0.3 % count as one.
    """
    growth = np.linspace(np.log(0.01), np.log(101.0), 3001)
    return np.expm1(growth), np.exp(-np.outer(growth, np.frombuffer(years)))


def payback_months(flows_usd: ArrayLike) -> int | None:
    """Months from the first flow until the cumulative flow turns non-negative for good; None if it never does."""
    below = np.flatnonzero(np.cumsum(np.asarray(flows_usd, dtype=float)) < 0)
    if len(below) == 0:
        return 0
    after = int(below[-1]) + 1
    return after if after < len(np.asarray(flows_usd)) else None


def mirr_frac(
    flows_usd: ArrayLike, finance_rate_frac: float, reinvest_rate_frac: float, periods_per_year: int = MONTHS_PER_YEAR
) -> float | None:
    """Modified internal rate of return, annual effective: one number whatever the signs of the flows; None without.

    Outlays are financed and incomes reinvested to the last period at annual rates. [1]
    """
    flows = np.asarray(flows_usd, dtype=float)
    if not (flows > 0).any() or not (flows < 0).any():
        return None
    finance, reinvest = (
        math.expm1(math.log1p(rate) / periods_per_year) for rate in (finance_rate_frac, reinvest_rate_frac)
    )
    found = pyxirr.mirr(flows, finance, reinvest)
    return None if found is None else math.expm1(periods_per_year * math.log1p(found))


def moic(flows_usd: ArrayLike) -> float | None:
    """Multiple on invested capital: all that comes back over all that was paid in; None if nothing was paid in."""
    flows = np.asarray(flows_usd, dtype=float)
    paid = -flows[flows < 0].sum()
    return float(flows[flows > 0].sum() / paid) if paid > 0 else None


def peak_outlay_usd(flows_usd: ArrayLike) -> float:
    """Deepest point of the cumulative flow, as a positive amount: the equity that must be there. [USD]"""
    return float(max(0.0, -np.cumsum(np.asarray(flows_usd, dtype=float)).min(initial=0.0)))
