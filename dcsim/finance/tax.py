"""Income tax by calendar year, with losses carried forward."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def taxed_income_usd(income_usd: Floats, *, loss_limit_frac: float, carry_forward: bool = True) -> Floats:
    """Income of each year that is taxed after losses of earlier years. [USD]

    Parameters
    ----------
    income_usd : ndarray, shape (n_years,)
        Taxable income before losses of earlier years. [USD]
    loss_limit_frac : float
        Share of a year's income that earlier losses may offset, 0.8 in US federal tax since 2018. [1]
    carry_forward : bool
        False where the owner's other income takes every loss at once (tax capacity): a loss is then negative taxed
        income, which the rate turns into cash.

    Returns
    -------
    ndarray, shape (n_years,)
        Losses left after the last year are worth nothing.

    References
    ----------
    .. [1] 26 U.S.C. 172(a)(2).
    """
    if not carry_forward:
        return income_usd.copy()
    losses = 0.0
    taxed = np.zeros(len(income_usd))
    for year, income in enumerate(income_usd):
        if income <= 0:
            losses -= income
            continue
        used = min(losses, loss_limit_frac * income)
        losses -= used
        taxed[year] = income - used
    return taxed
