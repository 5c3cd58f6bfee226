"""What a cost line may look at: the scenario, its assets, what the simulated plan bought and sold month by month."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.assets import Asset
from dcsim.catalog.load import Assumptions
from dcsim.clean_power import CleanSupply
from dcsim.finance.bill import BillLine, bill
from dcsim.finance.contract_months import ContractMonths, contract_months, supplied
from dcsim.finance.ledger import Index, month_number
from dcsim.finance.tariff import Tariff
from dcsim.model.economics import Economics
from dcsim.model.facility import CleanPower, Site
from dcsim.model.scenario import Scenario
from dcsim.ppa import Contracted
from dcsim.serving.plan import Outcome
from dcsim.steps import sum_by
from dcsim.units import SECONDS_PER_HOUR, m3_from_kg_water, mwh_from_j

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kept = TypeVar("Kept")

# The index of a price on carbon, whose growth the scenario states.
CARBON = "carbon"


@dataclass(frozen=True)
class Tokens:
    """What a service answered, by month, with its price; arrays of shape (n_months,). [million tokens]"""

    service: str
    model: str
    kind: str
    millions: Floats
    usd_per_million: float


@dataclass(frozen=True)
class Quantities:
    """What the simulated plan bought and sold, by month; every array has shape (n_months,), GPU-hours are by pool."""

    first_month: int
    bill: tuple[BillLine, ...]
    make_up_m3: Floats
    sewer_m3: Floats
    allocated_gpu_h: dict[str, Floats]
    fuel_l: Floats
    standing: "Standing"
    tokens: tuple["Tokens", ...] = ()
    clean_mwh: tuple[tuple[CleanPower, Floats], ...] = ()
    contracts: tuple[ContractMonths, ...] = ()
    solar_surplus_mwh: Floats | None = None


@dataclass(frozen=True)
class Standing:
    """What stands and what it emits by month, arrays of shape (n_months,); GPU-hours are by pool.

    ``carbon_t`` is by account: location, market, hourly, fuel. ``critical_kw`` is the mean rating of what the UPS may
    carry, which a tenant rents.
    """

    hours: Floats
    energised_gpu_h: dict[str, Floats]
    serving_gpu_h: dict[str, Floats]
    carbon_t: dict[str, Floats]
    critical_kw: Floats


@dataclass(frozen=True)
class Books:
    """What a cost line may look at."""

    scenario: Scenario
    assets: tuple[Asset, ...]
    quantities: Quantities
    used: Assumptions
    _kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, name: str, make: Callable[[], Kept]) -> Kept:
        """What several lines look at, made when it is first asked for."""
        if name not in self._kept:
            self._kept[name] = make()
        found: Kept = self._kept[name]
        return found

    def inflation_frac(self, what: str) -> float:
        """Yearly inflation of ``opex``, ``energy`` or ``construction``: the scenario's, else the catalog's."""
        return self.once(f"inflation {what}", lambda: self._inflation_frac(what))

    def _inflation_frac(self, what: str) -> float:
        if what == CARBON:
            priced = self.economics.carbon_price
            return 0.0 if priced is None else priced.rise_frac_per_year
        stated: float | None = getattr(self.economics, f"{what}_inflation_frac")
        if what == "construction":
            table, key, parameter = "prices", self.economics.construction, "inflation_frac_per_year"
        else:
            table, key, parameter = "operations", self.economics.operations, f"{what}_inflation_frac_per_year"
        if stated is None:
            return self.used.use("inflation", table, key, parameter)
        return self.used.state("inflation", table, key, parameter, stated, "1/year")

    def index(self, what: str, price_year: int | None) -> Index | None:
        """How a price of a year grows, which counts for the middle of it; None where it has no year."""
        return None if price_year is None else Index(what, self.inflation_frac(what), price_year + 0.5)

    @property
    def economics(self) -> Economics:
        """The scenario's economics."""
        return self.scenario.economics

    @property
    def standing(self) -> Standing:
        """What stands and what it emits by month."""
        return self.quantities.standing

    @cached_property
    def months(self) -> range:
        """Month numbers of the plan."""
        return range(month_number(self.scenario.plan.start), month_number(self.scenario.plan.end))

    @cached_property
    def each_month(self) -> Ints:
        """The same as an array, shape (n_months,)."""
        return np.array(self.months)


def contract_kw(site: Site, first_month: int, n_months: int) -> Floats:
    """Contracted demand of each month, shape (n_months,); the utility connection where none is stated. [kW]"""
    if not site.contract:
        return np.full(n_months, 1e3 * site.utility_mw)
    starts = np.array([-np.inf if step.start is None else month_number(step.start) for step in site.contract])
    step = np.searchsorted(starts, first_month + np.arange(n_months), side="right") - 1
    stated = np.array([step.mw for step in site.contract])
    return np.where(step >= 0, 1e3 * stated[np.maximum(step, 0)], 0.0)


def monthly_quantities(
    tariff: Tariff,
    intervals: pd.DataFrame,
    pools: pd.DataFrame,
    scenario: Scenario,
    clean: Sequence[CleanSupply] = (),
    services: Sequence[Outcome] = (),
    critical: Sequence[tuple[float, float]] = (),
    contracts: Sequence[Contracted] = (),
) -> Quantities:
    """Sum the interval table, that of the pools, what services answer and contracts deliver, into months.

    *critical* holds the moment from which each phase stands [s] and the rating that its UPS may carry then [W].
    """
    plan_start = scenario.plan.start
    start_s = intervals["start_s"].to_numpy()
    when = pd.DatetimeIndex(np.datetime64(plan_start, "s") + start_s.astype("timedelta64[s]"))
    month = (when.year.to_numpy() * 12 + when.month.to_numpy() - 1 - month_number(plan_start)).astype(np.int64)
    duration_s = intervals["duration_s"].to_numpy()
    n_months = int(month[-1]) + 1

    def total(values: Floats) -> Floats:
        return sum_by(month, values, n_months)

    hours = duration_s / SECONDS_PER_HOUR
    stands_w = np.zeros(len(start_s))
    for since_s, rating_w in critical:
        stands_w[start_s >= since_s] = rating_w

    def of_pools(column: str) -> dict[str, Floats]:
        return {str(name): total(of[column].to_numpy() * hours) for name, of in pools.groupby("pool", sort=False)}

    grid_w = intervals["grid_power_w"].to_numpy()
    subscribed_kw = contract_kw(scenario.site, month_number(plan_start), n_months)
    return Quantities(
        first_month=month_number(plan_start),
        bill=tuple(bill(tariff, when, grid_w, duration_s, month, subscribed_kw, supplied(contracts, grid_w))),
        contracts=contract_months(contracts, grid_w, duration_s, month),
        solar_surplus_mwh=mwh_from_j(total(intervals["solar_surplus_power_w"].to_numpy() * duration_s)),
        make_up_m3=m3_from_kg_water(total(intervals["water_kg"].to_numpy())),
        sewer_m3=m3_from_kg_water(total(intervals["blowdown_kg"].to_numpy())),
        allocated_gpu_h=of_pools("gpus_allocated"),
        fuel_l=total(intervals["generator_fuel_l"].to_numpy()),
        tokens=tuple(
            Tokens(stated.name, stated.model, kind, total(per_s * duration_s) / 1e6, price)
            for of in services
            for stated in (of.planned.stated,)
            for kind, per_s, price in (
                ("prompts", of.prompt_tokens_per_s, stated.usd_per_million_prompt_tokens),
                ("answers", of.output_tokens_per_s, stated.usd_per_million_output_tokens),
            )
        ),
        standing=Standing(
            hours=total(hours),
            energised_gpu_h=of_pools("gpus_energised"),
            serving_gpu_h=of_pools("gpus_serving"),
            carbon_t={
                account: total(intervals[column].to_numpy()) / 1e3
                for account, column in (
                    ("location", "carbon_kg"),
                    ("market", "carbon_market_kg"),
                    ("hourly", "carbon_hourly_kg"),
                    ("fuel", "carbon_fuel_kg"),
                )
            },
            critical_kw=total(stands_w * hours) / total(hours) / 1e3,
        ),
        clean_mwh=tuple((supply.contract, mwh_from_j(total(supply.power_w * duration_s))) for supply in clean),
    )
