"""Dollars and GPU-hours of a run over time: what each month is worth at the valuation month."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.finance.cashflow import discount_factors_at
from dcsim.finance.ledger import month_numbers
from dcsim.runs import Run
from dcsim.steps import sum_by
from dcsim.units import SECONDS_PER_HOUR

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def month_of(name: object) -> int:
    """Month number of a date or of a month's name."""
    return int(month_numbers([str(name)[:7]])[0])


def first_flow(run: Run) -> int:
    """Month number of the first cash flow."""
    return int(month_numbers(run.ledger["month"]).min(initial=month_of(run.scenario["plan"]["start"])))


def valuation_month(run: Run) -> int:
    """Month number to which present values refer."""
    stated = run.scenario["economics"]["valuation_date"]
    return first_flow(run) if stated is None else month_of(stated)


def deflators(run: Run, months: Ints) -> Floats:
    """Dollars that the scenario discounts for a nominal one of each month: 1, or less where they are real."""
    if run.scenario["economics"]["dollars"] == "nominal":
        return np.ones(len(months))
    return discount_factors_at(months - valuation_month(run), run.findings["finance"]["inflation_frac"])


def discounts(run: Run, months: Ints, rate: str = "discount_rate") -> Floats:
    """Worth at the valuation month of such a dollar of each month, at ``discount_rate`` or ``equity_rate``."""
    return discount_factors_at(months - valuation_month(run), run.findings["finance"][rate])


def worth_usd(run: Run, table: pd.DataFrame) -> Floats:
    """What each row of the ledger is worth at the valuation month. [USD]"""
    months = month_numbers(table["month"])
    return np.asarray(table["amount_usd"].to_numpy() * deflators(run, months) * discounts(run, months))


def gpu_hours(run: Run, first: int, n: int) -> dict[str, Floats]:
    """GPU-hours that jobs and services hold, by pool and month."""
    origin = np.datetime64(str(run.scenario["plan"]["start"]), "s")
    found = {}
    for name, of in run.pools.groupby("pool", sort=False):
        months = (origin + of["start_s"].to_numpy().astype("timedelta64[s]")).astype("datetime64[M]")
        held = (of["gpus_allocated"] + of["gpus_serving"]).to_numpy() * of["duration_s"].to_numpy() / SECONDS_PER_HOUR
        found[str(name)] = sum_by(months.astype(np.int64) + 1970 * 12 - first, held, n)
    return found


def gpu_hours_worth(run: Run) -> float:
    """GPU-hours of the plan, discounted as the cost of one discounts them."""
    first, n = month_of(run.findings["finance"]["first_month"]), len(run.statement)
    hours = np.sum(list(gpu_hours(run, first, n).values()), axis=0)
    return float(hours @ discounts(run, first + np.arange(n)))
