"""Electricity tariffs: energy by period, demand by month, fixed charges; each a named line of the bill.

A tariff is rows of the catalog. Its charges are parameters named ``energy:<line>:<period>`` [USD/kWh],
``demand:<line>:<period>`` [USD/kW-month] and ``fixed:<line>`` [USD/month]; periods are ``all``, ``on_peak`` and
``off_peak``. On-peak hours are Monday to Friday between ``on_peak:summer_from_h`` and ``..._to_h`` in the months from
``on_peak:summer_first_month`` to ``..._last_month``, and between the ``winter`` hours in the others. Public holidays
are not told apart.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.catalog.load import Assumptions
from dcsim.errors import InputError, Problem
from dcsim.steps import sum_by
from dcsim.units import J_PER_KWH

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PERIODS = ("all", "on_peak", "off_peak")


@dataclass(frozen=True)
class Charge:
    """One line of the bill. ``kind`` is energy, demand or fixed."""

    kind: str
    line: str
    period: str
    price_usd: float
    source: str
    price_year: int | None


@dataclass(frozen=True)
class Tariff:
    """Charges and the definition of the on-peak hours."""

    key: str
    charges: tuple[Charge, ...]
    summer_months: tuple[int, int]
    summer_hours: tuple[float, float]
    winter_hours: tuple[float, float]

    @classmethod
    def from_catalog(cls, used: Assumptions, key: str) -> "Tariff":
        """Read a tariff and note every row of it as used.

        Raises
        ------
        UnknownNameError
            If the catalog has no such tariff.
        InputError
            If a charge names an unknown period.
        """
        charges = []
        for name, row in used.catalog.part("tariffs", key).items():
            kind, _, rest = name.partition(":")
            if kind not in ("energy", "demand", "fixed"):
                continue
            line, _, period = rest.partition(":")
            if (period or "all") not in PERIODS:
                fault = f"'{period}' is not one of {', '.join(PERIODS)}"
                raise InputError("tariffs.csv", [Problem(0, f"{key}.{name}", fault)])
            value = used.use("electricity bill", "tariffs", key, name)
            charges.append(Charge(kind, line, period or "all", value, row.source, row.price_year))
        hour = {
            name: used.maybe("on-peak hours", "tariffs", key, f"on_peak:{name}", default)
            for name, default in (
                ("summer_first_month", 6.0),
                ("summer_last_month", 9.0),
                ("summer_from_h", 0.0),
                ("summer_to_h", 0.0),
                ("winter_from_h", 0.0),
                ("winter_to_h", 0.0),
            )
        }
        return cls(
            key,
            tuple(charges),
            (int(hour["summer_first_month"]), int(hour["summer_last_month"])),
            (hour["summer_from_h"], hour["summer_to_h"]),
            (hour["winter_from_h"], hour["winter_to_h"]),
        )

    def on_peak(self, when: pd.DatetimeIndex) -> Bools:
        """Tell which moments are on-peak, shape (n,)."""
        hour = when.hour.to_numpy() + when.minute.to_numpy() / 60.0
        month = when.month.to_numpy()
        summer = (month >= self.summer_months[0]) & (month <= self.summer_months[1])
        start = np.where(summer, self.summer_hours[0], self.winter_hours[0])
        end = np.where(summer, self.summer_hours[1], self.winter_hours[1])
        return np.asarray((when.day_of_week.to_numpy() < 5) & (hour >= start) & (hour < end))


def energy_usd_per_kwh(tariff: Tariff, when: pd.DatetimeIndex) -> Floats:
    """Price of a kilowatt-hour more at each moment, shape (n,), charges on demand left out. [USD/kWh]"""
    on_peak = tariff.on_peak(when)
    inside = {"all": np.ones(len(when), dtype=bool), "on_peak": on_peak, "off_peak": ~on_peak}
    of_energy = [charge for charge in tariff.charges if charge.kind == "energy"]
    return np.asarray(sum((np.where(inside[of.period], of.price_usd, 0.0) for of in of_energy), np.zeros(len(when))))


@dataclass(frozen=True)
class BillLine:
    """One charge over all months: quantity and amount, shape (n_months,), before inflation."""

    charge: Charge
    quantity: Floats
    unit: str


def bill(
    tariff: Tariff, when: pd.DatetimeIndex, power_w: Floats, duration_s: Floats, month_index: NDArray[np.int64]
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

    Returns
    -------
    list of BillLine
        Energy in kWh; demand in kW, the highest interval mean of the month within the charge's period; fixed in months.
    """
    n_months = int(month_index[-1]) + 1
    on_peak = tariff.on_peak(when)
    energy_kwh = power_w * duration_s / J_PER_KWH
    inside = {"all": np.ones(len(power_w), dtype=bool), "on_peak": on_peak, "off_peak": ~on_peak}
    first = np.searchsorted(month_index, np.arange(n_months))
    lines = []
    for charge in tariff.charges:
        if charge.kind == "fixed":
            lines.append(BillLine(charge, np.ones(n_months), "month"))
            continue
        mask = inside[charge.period]
        if charge.kind == "energy":
            quantity = sum_by(month_index, np.where(mask, energy_kwh, 0.0), n_months)
            lines.append(BillLine(charge, quantity, "kWh"))
        else:
            peak_w = np.maximum.reduceat(np.where(mask, power_w, 0.0), first)
            lines.append(BillLine(charge, peak_w / 1e3, "kW"))
    return lines
