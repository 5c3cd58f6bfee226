"""Book and tax depreciation: how a price paid becomes an expense of later months and years."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcsim.errors import RangeError

Floats = NDArray[np.float64]

# Half-year convention, share of the basis by year of the schedule: IRS Publication 946, table A-1.
MACRS = {
    5: (0.20, 0.32, 0.192, 0.1152, 0.1152, 0.0576),
    7: (0.1429, 0.2449, 0.1749, 0.1249, 0.0893, 0.0892, 0.0893, 0.0446),
    15: (
        *(0.05, 0.095, 0.0855, 0.077, 0.0693, 0.0623, 0.059, 0.059),
        *(0.0591, 0.059, 0.0591, 0.059, 0.0591, 0.059, 0.0591, 0.0295),
    ),
}
# Non-residential real property: straight line, mid-month convention (table A-7a).
REAL_PROPERTY_YEARS = 39
# Property of at most 20 years may take bonus depreciation (26 U.S.C. 168(k)).
LONGEST_BONUS_YEARS = 20
TAX_LIVES = (0, *MACRS, REAL_PROPERTY_YEARS)


def macrs_frac(life_years: int, month_of_year: int = 1) -> Floats:
    """Share of the basis that each tax year deducts, the first that of going into service; sums to 1.

    Parameters
    ----------
    life_years : int
        Recovery period: 5, 7 or 15 years by the half-year convention, or 39 by the mid-month one; 0 deducts nothing,
        as land.
    month_of_year : int
        Month of going into service, 1 to 12; it matters at 39 years alone.

    Raises
    ------
    RangeError
        If there is no such recovery period.

    References
    ----------
    .. [1] IRS, Publication 946, How To Depreciate Property, tables A-1 and A-7a.
    """
    if life_years == 0:
        return np.zeros(1)
    if life_years in MACRS:
        return np.array(MACRS[life_years])
    if life_years != REAL_PROPERTY_YEARS:
        raise RangeError(f"no recovery period of {life_years} years; there are {', '.join(map(str, TAX_LIVES))}")
    first = (12.5 - month_of_year) / 12.0
    return np.array([first, *[1.0] * (REAL_PROPERTY_YEARS - 1), 1.0 - first]) / REAL_PROPERTY_YEARS


def tax_depreciation_usd(basis_usd: float, life_years: int, in_service_month: int, bonus_frac: float) -> Floats:
    """Deduction of each calendar year from that of going into service on. [USD]

    Parameters
    ----------
    basis_usd : float
        What was paid. [USD]
    life_years : int
        Recovery period, see `macrs_frac`.
    in_service_month : int
        Months since year 0.
    bonus_frac : float
        Share deducted at once in the first year, for lives of up to 20 years; the rest follows the schedule. [1]
    """
    shares = macrs_frac(life_years, in_service_month % 12 + 1)
    if 0 < life_years <= LONGEST_BONUS_YEARS:
        shares = shares * (1.0 - bonus_frac)
        shares[0] += bonus_frac
    return basis_usd * shares


def straight_line_usd(basis_usd: float, life_years: float, n_months: int) -> Floats:
    """Book depreciation of each of *n_months* from going into service on, shape (n_months,); sums to the basis at most.

    An infinite life, as that of land, is never depreciated; the last month of a life takes what is left of it.
    """
    return np.asarray(basis_usd * np.diff(worn_frac(np.arange(n_months + 1), life_years)))


def worn_frac(age_months: ArrayLike, life_years: ArrayLike) -> Floats:
    """Share of the basis that the books have written off so many months after going into service."""
    return np.minimum(np.asarray(age_months) / (12.0 * np.asarray(life_years)), 1.0)
