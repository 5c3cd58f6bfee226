"""Electricity tariffs: what a utility charges for, and in which hours.

A tariff is rows of the catalog, see :mod:`dcsim.finance.tariff_rows`. Its charges are the parameters

====================================  =============  ==================================================================
``energy:<line>:<period>``            USD/kWh        energy of the month within the period
``energy:<line>/<tier>:<period>``     USD/kWh        the part of it in a tier, from 1
``demand:<line>:<period>``            USD/kW-month   highest demand of the month within the period
``coincident:<line>:<period>``        USD/kW-month   the same, in a period that stands for the hours of system peaks
``coincident_carried:<line>:...``     USD/kW-month   mean of these demands over last year's months, all this year
``take:<line>:usd_per_kwh``           USD/kWh        energy of the month below the minimum take
``fixed:<line>``                      USD/month      every month
====================================  =============  ==================================================================

and what shapes them

====================================  =============  ==================================================================
``tier:<line>/<tier>:kwh``, ``:h``    kWh, h         end of a tier: so many kWh plus so many hours of billed demand,
                                                     from the first kWh of the month; the last tier has none
``ratchet:<line>:frac``, ``:months``  1, month       billed demand is at least so much of the highest of months before,
                                                     of those from ``:first_month`` to ``:last_month`` if stated
``minimum:<line>:frac``               1              billed demand is at least so much of the contracted demand
``take:<line>:frac``                  1              minimum take over contracted demand times hours of the month
``period:<name>:from_h``, ``:to_h``   h              hours of a period; ``:first_month``, ``:last_month``, and ``:days``
                                                     (0 all, 1 Monday to Friday, 2 weekends) if stated
``on_peak:summer_from_h``, ...        h, month       on-peak hours by season, Monday to Friday
====================================  =============  ==================================================================

Several windows of a period and several ratchets of a line are told apart as ``period:<name>/<one>:from_h``,
``ratchet:<line>/<one>:frac``. Ratchets and minimums hold for each charge on demand of their line. A period of a charge
is ``all``, ``on_peak``, ``off_peak`` (all hours that are not on-peak), a named one, or ``rest``: the hours in no other
period of the charges of that kind and line. Public holidays are not told apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.finance.periods import Window, holds, in_season

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ENERGY, DEMAND, COINCIDENT, CARRIED = "energy", "demand", "coincident demand", "coincident demand of last year"
FIXED, TAKE = "fixed", "minimum take"
# What is billed above the measured demand.
RATCHET, MINIMUM = "demand ratchet", "minimum demand"


@dataclass(frozen=True)
class Charge:
    """One line of the bill, of one of the kinds above; ``tier`` is 0 where the line has none."""

    kind: str
    line: str
    period: str
    price_usd: float
    source: str
    price_year: int | None
    tier: int = 0


@dataclass(frozen=True)
class Tier:
    """End of a block of energy: kWh plus hours of billed demand, from the first kWh of the month."""

    kwh: float
    hours: float


@dataclass(frozen=True)
class Ratchet:
    """Share of the highest demand of so many months before, of those from the first month of the year to the last."""

    frac: float
    months: int
    first_month: int = 1
    last_month: int = 12


@dataclass(frozen=True)
class Tariff:
    """Charges, the hours of its periods, and by line what shapes them."""

    key: str
    charges: tuple[Charge, ...]
    summer_months: tuple[int, int]
    summer_hours: tuple[float, float]
    winter_hours: tuple[float, float]
    periods: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    tiers: Mapping[str, tuple[Tier, ...]] = field(default_factory=dict)
    ratchets: Mapping[str, tuple[Ratchet, ...]] = field(default_factory=dict)
    minimum_frac: Mapping[str, float] = field(default_factory=dict)
    take_frac: Mapping[str, float] = field(default_factory=dict)

    def on_peak(self, when: pd.DatetimeIndex) -> Bools:
        """Tell which moments are on-peak, shape (n,)."""
        hour = when.hour.to_numpy() + when.minute.to_numpy() / 60.0
        summer = in_season(when.month.to_numpy().astype(np.int64), *self.summer_months)
        start = np.where(summer, self.summer_hours[0], self.winter_hours[0])
        end = np.where(summer, self.summer_hours[1], self.winter_hours[1])
        return np.asarray((when.day_of_week.to_numpy() < 5) & (hour >= start) & (hour < end))

    def inside(self, charge: Charge, when: pd.DatetimeIndex) -> Bools:
        """Tell which moments are in the period of a charge, shape (n,)."""
        if charge.period == "rest":
            others = {of.period for of in self.charges if (of.kind, of.line) == (charge.kind, charge.line)} - {"rest"}
            elsewhere = np.zeros(len(when), dtype=bool)
            for period in others:
                elsewhere |= self._hours(period, when)
            return ~elsewhere
        return self._hours(charge.period, when)

    def _hours(self, period: str, when: pd.DatetimeIndex) -> Bools:
        if period == "all":
            return np.ones(len(when), dtype=bool)
        if period in ("on_peak", "off_peak"):
            on_peak = self.on_peak(when)
            return on_peak if period == "on_peak" else ~on_peak
        return holds(self.periods[period], when)


def energy_usd_per_kwh(tariff: Tariff, when: pd.DatetimeIndex) -> Floats:
    """Price of a kilowatt-hour more at each moment, shape (n,), charges on demand left out. [USD/kWh]

    Of a line with tiers the last one counts: what a load pays that fills those before.
    """
    of_energy = [charge for charge in tariff.charges if charge.kind == ENERGY]
    last = {line: len(tiers) + 1 for line, tiers in tariff.tiers.items()}
    marginal = [charge for charge in of_energy if charge.tier == last.get(charge.line, 0)]
    priced = (np.where(tariff.inside(of, when), of.price_usd, 0.0) for of in marginal)
    return np.asarray(sum(priced, np.zeros(len(when))))
