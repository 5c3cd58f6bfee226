"""The bill of a tariff: what each charge is billed on, month by month, and what is billed above the measured demand."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.finance.periods import in_season
from dcsim.finance.tariff import (
    CARRIED,
    COINCIDENT,
    DEMAND,
    ENERGY,
    FIXED,
    MINIMUM,
    RATCHET,
    Charge,
    Ratchet,
    Tariff,
)
from dcsim.steps import sum_by
from dcsim.units import J_PER_KWH, SECONDS_PER_HOUR

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BillLine:
    """One charge over all months: quantity, shape (n_months,), at the charge's price before inflation."""

    charge: Charge
    quantity: Floats
    unit: str


@dataclass(frozen=True)
class Supplied:
    """Power at the meter that somebody else sells, shape (n,), and the energy lines that the tariff still bills. [W]"""

    power_w: Floats
    still_billed: Collection[str] = ()


@dataclass(frozen=True)
class _Meter:
    """Intervals of a plan by month."""

    tariff: Tariff
    when: pd.DatetimeIndex
    power_w: Floats
    duration_s: Floats
    month: Ints
    supplied: Sequence[Supplied]
    contract_kw: Floats

    @property
    def n_months(self) -> int:
        return int(self.month[-1]) + 1

    @property
    def first(self) -> Ints:
        """First interval of each month."""
        return np.searchsorted(self.month, np.arange(self.n_months))

    def energy_kwh(self, charge: Charge) -> Floats:
        """Energy of each month that a charge is billed on."""
        power_w = self.power_w
        for other in self.supplied:
            if charge.line not in other.still_billed:
                power_w = power_w - other.power_w
        energy_kwh = power_w * self.duration_s / J_PER_KWH
        return sum_by(self.month, np.where(self.tariff.inside(charge, self.when), energy_kwh, 0.0), self.n_months)

    def peak_kw(self, charge: Charge) -> Floats:
        """Highest interval mean of each month within a charge's period."""
        inside = np.where(self.tariff.inside(charge, self.when), self.power_w, 0.0)
        return np.asarray(np.maximum.reduceat(inside, self.first) / 1e3)

    def demand_kw(self, charge: Charge) -> tuple[Floats, Floats, Floats]:
        """Measured demand of each month, what ratchets add to it, and what the minimum adds to both."""
        measured = self.peak_kw(charge)
        ratchet = measured
        months_of_year = self.when.month.to_numpy()[self.first].astype(np.int64)
        for one in self.tariff.ratchets.get(charge.line, ()):
            ratchet = np.maximum(ratchet, ratchet_kw(one, measured, months_of_year))
        billed = np.maximum(ratchet, self.tariff.minimum_frac.get(charge.line, 0.0) * self.contract_kw)
        return measured, ratchet - measured, billed - ratchet

    def billed_kw(self) -> Floats:
        """Highest billed demand of any demand charge in each month; the measured peak where there is none."""
        charges = [charge for charge in self.tariff.charges if charge.kind == DEMAND]
        if not charges:
            return np.asarray(np.maximum.reduceat(self.power_w, self.first) / 1e3)
        return np.asarray(np.max([np.sum(self.demand_kw(charge), axis=0) for charge in charges], axis=0))

    def in_tier_kwh(self, charge: Charge) -> Floats:
        """Part of a charge's energy in its tier."""
        energy_kwh = self.energy_kwh(charge)
        if not charge.tier:
            return energy_kwh
        tiers, billed_kw = self.tariff.tiers[charge.line], self.billed_kw()
        ends = [np.zeros(self.n_months), *(one.kwh + one.hours * billed_kw for one in tiers)]
        edges = np.maximum.accumulate([*ends, np.full(self.n_months, np.inf)], axis=0)
        below, above = edges[charge.tier - 1], edges[charge.tier]
        return np.asarray(np.clip(energy_kwh, below, above) - below)

    def carried_kw(self, charge: Charge) -> Floats:
        """Mean over the months of the year before that have hours in the period of the highest demand in each."""
        inside = self.tariff.inside(charge, self.when).astype(float)
        counts = np.maximum.reduceat(inside, self.first) > 0
        year = self.when.year.to_numpy()[self.first].astype(np.int64)
        index = year - year[0]
        of_year, n = np.zeros(index[-1] + 1), np.bincount(index, weights=counts)
        sums = np.bincount(index, weights=np.where(counts, self.peak_kw(charge), 0.0))
        np.divide(sums, n, out=of_year, where=n > 0)
        return np.where(index > 0, of_year[np.maximum(index - 1, 0)], 0.0)

    def missed_kwh(self, charge: Charge) -> Floats:
        """Energy below the minimum take of each month."""
        hours = sum_by(self.month, self.duration_s, self.n_months) / SECONDS_PER_HOUR
        take_kwh = self.tariff.take_frac[charge.line] * self.contract_kw * hours
        return np.maximum(take_kwh - self.energy_kwh(charge), 0.0)


def ratchet_kw(ratchet: Ratchet, measured_kw: Floats, month_of_year: Ints) -> Floats:
    """Least billed demand by a ratchet in each month; months before the first count nothing. [kW]

    Parameters
    ----------
    ratchet : Ratchet
    measured_kw : ndarray, shape (n_months,)
        Measured demand, of consecutive months. [kW]
    month_of_year : ndarray of int, shape (n_months,)
        From 1 to 12.
    """
    counted = np.where(in_season(month_of_year, ratchet.first_month, ratchet.last_month), measured_kw, 0.0)
    highest = np.zeros_like(counted)
    for lag in range(1, min(ratchet.months, len(counted) - 1) + 1):
        highest[lag:] = np.maximum(highest[lag:], counted[:-lag])
    return ratchet.frac * highest


def repriced(lines: Sequence[BillLine], tariff: Tariff) -> tuple[BillLine, ...]:
    """The same quantities at the prices of *tariff*, which has the charges of the one that they were billed by."""
    prices = {_billed_as(charge): charge for charge in tariff.charges}
    return tuple(
        BillLine(_of_kind(prices[_billed_as(line.charge)], line.charge.kind), line.quantity, line.unit)
        for line in lines
    )


def _of_kind(charge: Charge, kind: str) -> Charge:
    return charge if charge.kind == kind else replace(charge, kind=kind)


def _billed_as(charge: Charge) -> tuple[str, str, str, int]:
    """What tells charges apart; what is billed above measured demand has the price of the demand."""
    kind = DEMAND if charge.kind in (RATCHET, MINIMUM) else charge.kind
    return kind, charge.line, charge.period, charge.tier


def bill(
    tariff: Tariff,
    when: pd.DatetimeIndex,
    power_w: Floats,
    duration_s: Floats,
    month_index: Ints,
    contract_kw: Floats | float = 0.0,
    supplied: Sequence[Supplied] = (),
) -> list[BillLine]:
    """Quantities that each charge is billed on, month by month.

    Parameters
    ----------
    tariff : Tariff
    when : DatetimeIndex, shape (n,)
        Start of each interval in local standard time.
    power_w, duration_s : ndarray, shape (n,)
        Mean power at the meter and length of the interval. [W], [s]
    month_index : ndarray of int, shape (n,)
        Month of each interval, from 0, non-decreasing.
    contract_kw : float or ndarray, shape (n_months,)
        Contracted demand, on which minimums rest. [kW]
    supplied : sequence of Supplied
        Parts of that power whose energy the tariff does not sell. They count for demand: they come through the meter.

    Returns
    -------
    list of BillLine
        Energy in kWh; demand in kW, the highest interval mean of the month within the charge's period; fixed in months.
        Demand billed above the measured one follows as lines of their own, where a line has a ratchet or a minimum: a
        ratchet bills what it adds to the measured demand, a minimum what it adds to both.
    """
    n_months = int(month_index[-1]) + 1
    contract = np.broadcast_to(np.asarray(contract_kw, dtype=float), (n_months,))
    meter = _Meter(tariff, when, power_w, duration_s, month_index, supplied, contract)
    lines = []
    for charge in tariff.charges:
        if charge.kind == FIXED:
            lines.append(BillLine(charge, np.ones(n_months), "month"))
        elif charge.kind == ENERGY:
            lines.append(BillLine(charge, meter.in_tier_kwh(charge), "kWh"))
        elif charge.kind == DEMAND:
            measured, by_ratchet, by_minimum = meter.demand_kw(charge)
            lines.append(BillLine(charge, measured, "kW"))
            if charge.line in tariff.ratchets:
                lines.append(BillLine(replace(charge, kind=RATCHET), by_ratchet, "kW"))
            if charge.line in tariff.minimum_frac:
                lines.append(BillLine(replace(charge, kind=MINIMUM), by_minimum, "kW"))
        elif charge.kind == COINCIDENT:
            lines.append(BillLine(charge, meter.peak_kw(charge), "kW"))
        elif charge.kind == CARRIED:
            lines.append(BillLine(charge, meter.carried_kw(charge), "kW"))
        else:
            lines.append(BillLine(charge, meter.missed_kwh(charge), "kWh"))
    return lines
