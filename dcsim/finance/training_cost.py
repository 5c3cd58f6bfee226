"""What a training run cost: hardware by the value that it lost meanwhile, and energy; as rows of a ledger."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from dcsim.errors import RangeError
from dcsim.finance.ledger import Entry, month_number
from dcsim.finance.levelised import lost_value_usd_per_h, market_value_usd
from dcsim.units import SECONDS_PER_HOUR, kwh_from_j

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class TrainingRun:
    """A run on hardware that its owner bought before.

    Parameters
    ----------
    acquired, started : date
        When the hardware was bought, and when the run began.
    chip_h : float
        Hours of chips. [h]
    usd_per_chip : float
        Price when acquired, with the chip's share of its server. [USD]
    server_overhead : float
        That price over the bare chip's, at least 1. [1]
    interconnect_frac : float
        Network between servers over the cost of all hardware, 0 to below 1. [1]
    chip_power_w : float
        Mean power of a chip with its share of the server. [W]
    pue : float
        Power of the site over that of IT. [1]
    usd_per_kwh : float
        Price of electricity. [USD]
    decay_ooms_per_year : float
        Fall of the hardware's value, in powers of ten a year. [1/year]
    hours_per_year : float
        Hours that a year counts. [h]
    source : str
    """

    acquired: datetime.date
    started: datetime.date
    chip_h: float
    usd_per_chip: float
    server_overhead: float
    interconnect_frac: float
    chip_power_w: float
    pue: float
    usd_per_kwh: float
    decay_ooms_per_year: float
    hours_per_year: float
    source: str = ""

    @property
    def usd_per_chip_at_start(self) -> float:
        """Value of a chip with its share of the server when the run began. [USD]"""
        age_years = (self.started - self.acquired).days / DAYS_PER_YEAR
        return float(market_value_usd(self.usd_per_chip, age_years, decay_ooms_per_year=self.decay_ooms_per_year))

    @property
    def energy_kwh(self) -> float:
        """Energy at the meter. [kWh]"""
        return float(kwh_from_j(self.chip_power_w * self.pue * self.chip_h * SECONDS_PER_HOUR))


def training_costs(run: TrainingRun) -> Iterator[Entry]:
    """Chips, what is around them in servers, the network between these, and electricity, in the month of the start.

    The value of hardware is taken as it stood at the start: its fall during the run is not followed.

    Raises
    ------
    RangeError
        If the share of the network is not 0 to below 1, or the server's price is below that of its chips.
    """
    if not 0.0 <= run.interconnect_frac < 1.0 or run.server_overhead < 1.0:
        raise RangeError(
            "a training run needs a share of interconnect of 0 to below 1 and a server's price of at least its chips', "
            f"got {run.interconnect_frac:g} and {run.server_overhead:g}"
        )
    month = month_number(run.started)
    per_h = float(
        lost_value_usd_per_h(
            run.usd_per_chip_at_start,
            decay_ooms_per_year=run.decay_ooms_per_year,
            hours_per_year=run.hours_per_year,
        )
    )
    chip = per_h / run.server_overhead
    interconnect = per_h * run.interconnect_frac / (1.0 - run.interconnect_frac)
    for item, quantity, unit, price in (
        ("chips", run.chip_h, "chip h", chip),
        ("servers", run.chip_h, "chip h", per_h - chip),
        ("interconnect", run.chip_h, "chip h", interconnect),
        ("energy", run.energy_kwh, "kWh", run.usd_per_kwh),
    ):
        yield Entry(
            month=month,
            category="opex",
            item=item,
            phase="run",
            quantity=quantity,
            unit=unit,
            price_usd=price,
            source=run.source,
        )


def by_item_usd(table: pd.DataFrame) -> dict[str, float]:
    """Costs of a ledger by item, positive. [USD]"""
    return {str(item): -float(usd) for item, usd in table.groupby("item", sort=False)["amount_usd"].sum().items()}
