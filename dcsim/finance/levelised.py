"""Levelised costs and values: what an hour of a GPU, a token, a training run or a kilowatt-hour costs its owner.

Amounts are in the dollars of the inputs and before tax; rates are annual effective. Present values come from
:mod:`dcsim.finance.cashflow` alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcsim.errors import RangeError
from dcsim.finance.cashflow import MONTHS_PER_YEAR, annuity_usd, discount_factors, discount_factors_at
from dcsim.units import HOURS_PER_YEAR, SECONDS_PER_HOUR

Floats = NDArray[np.float64]
When = Literal["start", "middle", "end"]

# Month of its year in which a yearly flow counts, by convention.
MONTH_OF_YEAR: dict[str, int] = {"start": 0, "middle": 6, "end": 12}
FLOP_PER_PFLOP = 1e15
HOURS_PER_DAY = 24


def market_value_usd(price_usd: ArrayLike, age_years: ArrayLike, *, decay_ooms_per_year: ArrayLike = 0.14) -> Any:
    r"""Value of hardware as better hardware comes.

    Parameters
    ----------
    price_usd : array_like
        Price when new. [USD]
    age_years : array_like
        Years since then; below 0, the value before. [year]
    decay_ooms_per_year : array_like
        Fall of the value in powers of ten a year. [1/year]

    Notes
    -----
    .. math:: V = P \, 10^{-d t}

    A rate of 0.14 leaves 0.724 of the value after a year.

    References
    ----------
    .. [1] B. Cottier et al., "The rising costs of training frontier AI models," arXiv:2405.21015.
    """
    return np.asarray(price_usd) * 10.0 ** (-np.asarray(decay_ooms_per_year) * np.asarray(age_years))


def lost_value_usd_per_h(
    value_usd: ArrayLike, *, decay_ooms_per_year: ArrayLike = 0.14, hours_per_year: float = HOURS_PER_YEAR
) -> Any:
    """What an hour takes from a value that falls as :func:`market_value_usd` has it. [USD/h]"""
    return np.asarray(value_usd) * np.asarray(decay_ooms_per_year) * math.log(10.0) / hours_per_year


def wacc_frac(equity_frac: float, equity_cost_frac: float, debt_cost_frac: float, tax_frac: float) -> float:
    """Weighted average cost of capital after the tax that interest saves. [1/year]

    Parameters
    ----------
    equity_frac : float
        Share of equity, 0 to 1; the rest is debt. [1]
    equity_cost_frac, debt_cost_frac : float
        Return that each asks. [1/year]
    tax_frac : float
        Tax on profits, from which interest is deducted. [1]

    Raises
    ------
    RangeError
        If the share of equity is outside 0 to 1.
    """
    if not 0.0 <= equity_frac <= 1.0:
        raise RangeError(f"a share of equity must be 0 to 1, got {equity_frac:g}")
    return equity_frac * equity_cost_frac + (1.0 - equity_frac) * debt_cost_frac * (1.0 - tax_frac)


def capital_usd_per_year(
    price_usd: ArrayLike, life_years: ArrayLike, rate_frac: ArrayLike, *, residual_frac: ArrayLike = 0.0
) -> Any:
    """Equal yearly payment that carries an asset over its life and leaves its residual value.

    Parameters
    ----------
    price_usd : array_like
        Price at the start. [USD]
    life_years : array_like
        Whole years, at least 1; infinite for what never wears out, as land, which bears interest alone. [year]
    rate_frac : array_like
        Cost of capital, 0 or more. [1/year]
    residual_frac : array_like
        Value at the end of the life over the price. [1]

    Raises
    ------
    RangeError
        If a life is not of whole years, or as :func:`~dcsim.finance.cashflow.annuity_usd` has it.
    """
    price, years = np.asarray(price_usd, dtype=float), np.asarray(life_years, dtype=float)
    broken = years != np.floor(years)
    if broken.any():
        raise RangeError(f"a yearly payment needs a life of whole years, got {years[broken].flat[0]:g}")
    rate = np.asarray(rate_frac, dtype=float)
    # What never wears out leaves nothing that counts, whatever the rate.
    worth = np.where(np.isinf(years), 0.0, discount_factors_at(np.where(np.isinf(years), 1.0, years), rate, 1))
    return annuity_usd(price - np.asarray(residual_frac) * price * worth, rate, years)


@dataclass(frozen=True)
class OwnerCost:
    """Cost of a GPU-hour by component; the total is their sum. [USD/GPU-h]"""

    components: Mapping[str, Any]

    @property
    def usd_per_gpu_h(self) -> Any:
        """Sum of the components. [USD/GPU-h]"""
        return np.vectorize(lambda *of: math.fsum(of), otypes=[float])(*self.components.values())[()]


def owner_cost_usd_per_gpu_h(
    yearly_usd: Mapping[str, ArrayLike],
    n_gpus: ArrayLike,
    *,
    sold_frac: ArrayLike = 1.0,
    available_frac: ArrayLike = 1.0,
) -> OwnerCost:
    r"""What a GPU-hour costs its owner.

    Parameters
    ----------
    yearly_usd : mapping of str to array_like
        Cost of a year by component: capital as :func:`capital_usd_per_year`, rent, energy, upkeep, insurance. [USD]
    n_gpus : array_like
        GPUs that these carry, above 0. [1]
    sold_frac : array_like
        Share of the available hours that somebody pays for, above 0 to 1; at 1 the cost is that of an hour owned. [1]
    available_frac : array_like
        Share of the hours in which they run, above 0 to 1. [1]

    Raises
    ------
    RangeError
        If a share or the number of GPUs is outside its range anywhere.

    Notes
    -----
    .. math:: c = \frac{\sum_i C_i}{8760 \, n \, s \, a}
    """
    n, sold, available = np.broadcast_arrays(*(np.asarray(of, float) for of in (n_gpus, sold_frac, available_frac)))
    fits = (n > 0) & (sold > 0) & (sold <= 1) & (available > 0) & (available <= 1)
    if not fits.all():
        first = np.argmin(fits)
        raise RangeError(
            "a cost of a GPU-hour needs GPUs, and shares sold and available above 0 to 1, got "
            f"{n.flat[first]:g}, {sold.flat[first]:g} and {available.flat[first]:g}"
        )
    hours = HOURS_PER_YEAR * n * sold * available
    return OwnerCost({name: (np.asarray(usd) / hours)[()] for name, usd in yearly_usd.items()})


def usd_per_million_tokens(usd_per_gpu_h: ArrayLike, tokens_per_gpu_s: ArrayLike) -> Any:
    """Cost of a million tokens at a rate a GPU, which must be above 0. [USD/M tokens]"""
    return np.asarray(usd_per_gpu_h) / (np.asarray(tokens_per_gpu_s) * SECONDS_PER_HOUR) * 1e6


def effective_pflop_days(gpu_h: ArrayLike, peak_flop_s: ArrayLike, used_frac: ArrayLike) -> Any:
    """Days of 10^15 operations a second that are used in so many GPU-hours.

    Parameters
    ----------
    gpu_h : array_like
        GPU-hours. [h]
    peak_flop_s : array_like
        Dense peak rate of the GPU. [FLOP/s]
    used_frac : array_like
        Share of it that counts: model FLOP utilisation, or a share of busy hours. [1]
    """
    return np.asarray(gpu_h) / HOURS_PER_DAY * np.asarray(peak_flop_s) / FLOP_PER_PFLOP * np.asarray(used_frac)


def usd_per_training_run(gpu_h: ArrayLike, usd_per_gpu_h: ArrayLike, goodput_frac: ArrayLike = 1.0) -> Any:
    """Cost of a run that needs so many GPU-hours of useful work at a goodput above 0 to 1. [USD]"""
    return np.asarray(gpu_h) * np.asarray(usd_per_gpu_h) / np.asarray(goodput_frac)


def gpus_per_utility_mw(utility_mw: ArrayLike, all_in_kw_per_gpu: ArrayLike) -> Any:
    """Whole GPUs that a power at the meter carries, at a power a GPU that holds all around it. [1]"""
    # Rounding must not lose the GPU that fits exactly.
    return np.floor(np.asarray(utility_mw) * 1e3 / np.asarray(all_in_kw_per_gpu) + 1e-9)


def year_factors(n_years: int, rate_frac: float, convention: When = "end") -> Floats:
    """Present value of a dollar in each of *n_years*, at their start, middle or end, shape (n_years,)."""
    first = MONTH_OF_YEAR[convention]
    return discount_factors(MONTHS_PER_YEAR * n_years + first, rate_frac)[first::MONTHS_PER_YEAR][:n_years]


def levelised_usd(
    yearly_usd: ArrayLike,
    output: ArrayLike,
    rate_frac: float,
    *,
    convention: When = "middle",
    upfront_usd: float = 0.0,
) -> float:
    r"""Price of a unit of output at which its present value is that of the costs.

    Parameters
    ----------
    yearly_usd : array_like, shape (n_years,)
        Costs by year, positive. [USD]
    output : array_like, shape (n_years,)
        Units by year, as kWh; above 0 in one of them.
    rate_frac : float
        Annual discount rate. [1]
    convention : {"start", "middle", "end"}
        When in a year its costs and output count.
    upfront_usd : float
        Costs at the valuation date, or their present value. [USD]

    Raises
    ------
    RangeError
        If there is no output.

    Notes
    -----
    .. math:: p = \frac{K + \sum_k C_k f_k}{\sum_k Q_k f_k}

    Output is discounted as money is, not averaged: a unit that comes late pays for less.
    """
    costs, units = np.asarray(yearly_usd, dtype=float), np.asarray(output, dtype=float)
    factors = year_factors(len(units), rate_frac, convention)
    discounted = float(units @ factors)
    if discounted <= 0:
        raise RangeError("a levelised cost needs output in one of the years")
    return (upfront_usd + float(costs @ factors)) / discounted


def idle_capital_usd(
    n_gpus: float, usd_per_gpu_h: float, wait_years: float, rate_frac: float, *, convention: When = "start"
) -> float:
    """Present value of what GPUs that wait for power could have earned, the last year in part.

    It is lost income, an opportunity cost: no cash leaves, and a ledger of cash has no such row.

    Parameters
    ----------
    n_gpus : float
        GPUs that wait. [1]
    usd_per_gpu_h : float
        What an hour of one would earn. [USD]
    wait_years : float
        Years until they run, 0 or more. [year]
    rate_frac : float
        Annual discount rate. [1]
    convention : {"start", "middle", "end"}
        When in a year its loss counts; at the start the first year is not discounted.

    Raises
    ------
    RangeError
        If the wait is below 0.
    """
    if wait_years < 0:
        raise RangeError(f"GPUs cannot wait for {wait_years:g} years")
    waited = np.minimum(1.0, wait_years - np.arange(math.ceil(wait_years)))
    factors = year_factors(len(waited), rate_frac, convention)
    return float(n_gpus * usd_per_gpu_h * HOURS_PER_YEAR * (waited @ factors))
