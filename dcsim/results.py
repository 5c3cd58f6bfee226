"""What a key figure may be computed from, and how money of a plan is counted."""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.finance import cashflow
from dcsim.finance.books import Quantities
from dcsim.finance.items import Costed
from dcsim.finance.ledger import OPERATING, month_number
from dcsim.model.scenario import Scenario

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Value:
    """What a GPU is worth by the work that it can do, by pool: dense peak rate, and the share of it that runs reach."""

    peak_flop_s: Mapping[str, float]
    mfu_frac: float


@dataclass(frozen=True)
class Results:
    """Everything that a key figure may be computed from."""

    scenario: Scenario
    intervals: pd.DataFrame
    jobs: pd.DataFrame
    costed: Costed
    quantities: Quantities
    design_pue: float
    embodied_kg: Mapping[str, float]
    it_peak_frac: float
    full_month: int | None = None
    has_path: bool = False
    services: pd.DataFrame = field(default_factory=pd.DataFrame)
    value: Value = Value({}, 0.0)
    inflation_frac: float = 0.0

    @property
    def ledger(self) -> pd.DataFrame:
        """Every dollar."""
        return self.costed.ledger

    def energy_j(self, column: str) -> float:
        """Energy over the plan of a power column. [J]"""
        return float(self.intervals[column].to_numpy() @ self.intervals["duration_s"].to_numpy())

    @property
    def first_month(self) -> int:
        """Month number of the first cash flow."""
        return self.costed.financed.first_month

    @property
    def valuation_month(self) -> int:
        """Month number to which present values refer."""
        stated = self.scenario.economics.valuation_date
        return self.first_month if stated is None else month_number(stated)

    @property
    def n_months(self) -> int:
        """Months from the first cash flow to the end of the plan."""
        return month_number(self.scenario.plan.end) - self.first_month

    @property
    def last_days(self) -> list[datetime.date]:
        """Last day of each month from the first cash flow on."""
        starts = [self.first_month + k + 1 for k in range(self.n_months)]
        day = datetime.timedelta(days=1)
        return [datetime.date(month // 12, month % 12 + 1, 1) - day for month in starts]

    def flows_usd(self, *categories: str) -> Floats:
        """Monthly cash flow from the first one to the end of the plan, of some categories; before tax if none. [USD]"""
        found = self.costed.financed.flows_usd
        return np.asarray(sum((found[of] for of in categories or OPERATING), np.zeros(self.n_months)))

    def counted(self, monthly: Floats) -> Floats:
        """A series from the first cash flow on in the dollars that the scenario discounts: nominal, or real."""
        if self.scenario.economics.dollars == "nominal":
            return monthly
        return np.asarray(monthly * cashflow.discount_factors_at(self._after_valuation(monthly), self.inflation_frac))

    def discounted(self, monthly: Floats, rate_frac: float | None = None) -> Floats:
        """Value at the valuation month of each month of a series that starts at the first cash flow."""
        rate = self.scenario.economics.discount_rate if rate_frac is None else rate_frac
        return np.asarray(monthly * cashflow.discount_factors_at(self._after_valuation(monthly), rate))

    def _after_valuation(self, monthly: Floats) -> NDArray[np.int64]:
        """Months of a series that starts at the first cash flow, from the valuation month on."""
        return np.arange(len(monthly)) + self.first_month - self.valuation_month

    def present_value(self, flows: Floats, rate_frac: float | None = None) -> float:
        """Value at the valuation month of monthly dollars that start at the first cash flow."""
        return float(self.discounted(self.counted(flows), rate_frac).sum())

    def sum_usd(self, category: str) -> float:
        """Undiscounted sum of a category. [USD]"""
        return float(self.flows_usd(category).sum())

    def held_gpu_h(self) -> dict[str, Floats]:
        """GPU-hours that jobs and services hold in each month from the first cash flow on, by pool."""
        before = month_number(self.scenario.plan.start) - self.first_month
        serving = self.quantities.standing.serving_gpu_h
        return {
            pool: np.concatenate([np.zeros(before), allocated + serving[pool]])
            for pool, allocated in self.quantities.allocated_gpu_h.items()
        }

    def allocated_gpu_h(self) -> Floats:
        """GPU-hours held by jobs and services in each month from the first cash flow on, shape (n_months,)."""
        return np.asarray(sum(self.held_gpu_h().values(), np.zeros(self.n_months)))


class Undefined(Exception):
    """A key figure has no value; the text is the reason that is printed."""


Compute = Callable[[Results], float]


@dataclass(frozen=True)
class Kpi:
    """A registered key figure."""

    compute: Compute
    unit: str
    definition: str


def ratio(top: float, bottom: float, what: str) -> float:
    """A ratio that is undefined where its bottom is zero; *what* names that."""
    if bottom <= 0:
        raise Undefined(f"{what} is zero over the plan")
    return top / bottom
