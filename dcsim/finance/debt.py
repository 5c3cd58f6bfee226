"""A loan that builds and buys: drawn with the capital it pays for, interest capitalised, then repaid and covered.

Convention of loans: interest of a month is the annual rate over 12 on the balance at its start.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.errors import RangeError
from dcsim.finance.cashflow import MONTHS_PER_YEAR, annuity_usd

Floats = NDArray[np.float64]


def idc_usd(draws_usd: Floats, rate_frac: float, drawn_at: float = 0.5) -> float:
    """Interest during construction, capitalised to the end of the last month. [USD]

    Parameters
    ----------
    draws_usd : ndarray, shape (n,)
        Draw of each month. [USD]
    rate_frac : float
        Nominal annual rate, compounded monthly. [1]
    drawn_at : float
        When in its month a draw is paid: 0.5 in the middle, 1 at the end. [month]

    Notes
    -----
    .. math:: \\sum_k d_k \\left((1 + r / 12)^{n - k - a} - 1\\right)
    """
    n = len(draws_usd)
    growth = np.expm1((n - np.arange(n) - drawn_at) * np.log1p(rate_frac / MONTHS_PER_YEAR))
    return float(draws_usd @ growth)


@dataclass(frozen=True)
class Loan:
    """What a loan does in each month, arrays of shape (n_months,), all of them positive. [USD]

    ``drawn`` pays for capital; ``capitalised`` is interest added to the balance; ``interest`` and ``principal`` are
    paid; ``fee`` is paid at the first draw. ``balance`` is that at the end of each month, before ``balloon``, which is
    what falls due in the last one beyond its payment.
    """

    drawn_usd: Floats
    capitalised_usd: Floats
    interest_usd: Floats
    principal_usd: Floats
    fee_usd: Floats
    balance_usd: Floats
    balloon_usd: float

    @property
    def service_usd(self) -> Floats:
        """Interest and principal paid, shape (n_months,). [USD]"""
        return self.interest_usd + self.principal_usd


def loan(
    draws_usd: Floats,
    *,
    rate_frac: float,
    fee_frac: float,
    interest_from: int,
    repaid_from: int,
    n_payments: int,
    shape_usd: Floats | None = None,
) -> Loan:
    """Run a loan over its months.

    Parameters
    ----------
    draws_usd : ndarray, shape (n_months,)
        What it lends for capital in each month. [USD]
    rate_frac, fee_frac : float
        Nominal annual rate; arrangement fee over all that is drawn. [1]
    interest_from : int
        First month that pays its interest; before it interest is added to the balance.
    repaid_from : int
        First month that repays, after the last draw.
    n_payments : int
        Payments; those beyond the last month fall due in it as one sum.
    shape_usd : ndarray, shape (n_months,), optional
        Debt service that the lender accepts (sculpted); its scale is found. Equal payments if absent.

    Raises
    ------
    RangeError
        If it repays while it is still drawn, or the shape cannot repay.

    Notes
    -----
    Months run one after the other because the balance of each needs the last; there are hundreds, not thousands.
    """
    n = len(draws_usd)
    i = rate_frac / MONTHS_PER_YEAR
    if repaid_from < interest_from or draws_usd[repaid_from:].any():
        raise RangeError(f"a loan repays after its last draw and its first interest, not from month {repaid_from} on")
    balance, capitalised, interest, principal = (np.zeros(n) for _ in range(4))
    owed, nothing = 0.0, 1e-9 * float(draws_usd.sum())
    for month in range(n):
        due = owed * i
        if month == repaid_from:
            payments = _payments(owed, i, n - repaid_from, n_payments, shape_usd, repaid_from)
        if month < interest_from:
            capitalised[month] = due
            owed += due
        else:
            interest[month] = due
        if month >= repaid_from:
            principal[month] = min(owed, payments[month - repaid_from] - due)
            owed -= principal[month]
            # What rounding leaves of a loan that is repaid is nothing.
            owed = owed if owed > nothing else 0.0
        owed += draws_usd[month]
        balance[month] = owed
    fee = np.zeros(n)
    if draws_usd.any():
        fee[int(np.flatnonzero(draws_usd)[0])] = fee_frac * draws_usd.sum()
    return Loan(draws_usd, capitalised, interest, principal, fee, balance, owed)


def _payments(owed: float, i: float, n: int, n_payments: int, shape: Floats | None, start: int) -> Floats:
    """Debt service of each of the *n* months left."""
    if shape is None:
        service = annuity_usd(owed, i, n_payments) if owed else 0.0
        return np.where(np.arange(n) < n_payments, service, 0.0)
    of = np.where(np.arange(n) < n_payments, np.maximum(shape[start:], 0.0), 0.0)
    worth = present_value_usd(of, i)
    if owed and worth <= 0:
        raise RangeError("a sculpted loan needs cash flow to repay it from; none is left after operating costs")
    return of * (owed / worth) if owed else of


def present_value_usd(service_usd: Floats, monthly_rate: float) -> float:
    """Value at the start of its first month of a service paid at the end of each. [USD]"""
    return float(service_usd @ (1.0 + monthly_rate) ** -(np.arange(len(service_usd)) + 1.0))


def capacity_usd(cash_usd: Floats, rate_frac: float, dscr: float) -> float:
    """Balance that a cash flow can repay at a debt service cover ratio. [USD]

    Parameters
    ----------
    cash_usd : ndarray, shape (n_payments,)
        Cash available for debt service, month by month. [USD]
    rate_frac : float
        Nominal annual rate. [1]
    dscr : float
        Cash over debt service that the lender asks for, above 0. [1]
    """
    return present_value_usd(np.maximum(cash_usd, 0.0) / dscr, rate_frac / MONTHS_PER_YEAR)
