"""What a cost line may look at: the scenario, its assets, what the simulated plan bought and sold month by month."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.assets import Asset
from dcsim.catalog.load import Assumptions
from dcsim.clean_power import CleanSupply
from dcsim.finance.ledger import Index, month_number
from dcsim.finance.tariff import BillLine, Tariff, bill
from dcsim.model.economics import Economics
from dcsim.model.facility import CleanPower
from dcsim.model.scenario import Scenario
from dcsim.serving.plan import Outcome
from dcsim.steps import sum_by
from dcsim.units import SECONDS_PER_HOUR, m3_from_kg_water, mwh_from_j

Floats = NDArray[np.float64]


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
    tokens: tuple["Tokens", ...] = ()
    clean_mwh: tuple[tuple[CleanPower, Floats], ...] = ()


@dataclass(frozen=True)
class Books:
    """What a cost line may look at."""

    scenario: Scenario
    assets: tuple[Asset, ...]
    quantities: Quantities
    used: Assumptions

    def inflation_frac(self, what: str) -> float:
        """Yearly inflation of ``opex``, ``energy`` or ``construction``: the scenario's, else the catalog's."""
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
    def months(self) -> range:
        """Month numbers of the plan."""
        return range(month_number(self.scenario.plan.start), month_number(self.scenario.plan.end))


def monthly_quantities(
    tariff: Tariff,
    intervals: pd.DataFrame,
    pools: pd.DataFrame,
    plan_start: datetime.date,
    clean: Sequence[CleanSupply] = (),
    services: Sequence[Outcome] = (),
) -> Quantities:
    """Sum the interval table, that of the pools, what services answer and clean power delivers, into months."""
    start_s = intervals["start_s"].to_numpy()
    when = pd.DatetimeIndex(np.datetime64(plan_start, "s") + start_s.astype("timedelta64[s]"))
    month = (when.year.to_numpy() * 12 + when.month.to_numpy() - 1 - month_number(plan_start)).astype(np.int64)
    duration_s = intervals["duration_s"].to_numpy()
    n_months = int(month[-1]) + 1

    def total(values: Floats) -> Floats:
        return sum_by(month, values, n_months)

    hours = duration_s / SECONDS_PER_HOUR
    return Quantities(
        first_month=month_number(plan_start),
        bill=tuple(bill(tariff, when, intervals["facility_power_w"].to_numpy(), duration_s, month)),
        make_up_m3=m3_from_kg_water(total(intervals["water_kg"].to_numpy())),
        sewer_m3=m3_from_kg_water(total(intervals["blowdown_kg"].to_numpy())),
        allocated_gpu_h={
            str(name): total(of["gpus_allocated"].to_numpy() * hours) for name, of in pools.groupby("pool", sort=False)
        },
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
        clean_mwh=tuple((supply.contract, mwh_from_j(total(supply.power_w * duration_s))) for supply in clean),
    )
