"""Contracted carbon-free power over a plan, and the carbon that is left by year and by hour."""

import csv
import datetime
import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.climate import hour_of_year
from dcsim.errors import InputError, Problem
from dcsim.model.facility import CleanPower
from dcsim.model.load import Loaded
from dcsim.units import w_from_mw

Floats = NDArray[np.float64]

FLAT = "flat"
COLUMN = "capacity_frac"


@dataclass(frozen=True)
class CleanSupply:
    """A contract and what it delivers in each interval, shape (n,). [W]"""

    contract: CleanPower
    power_w: Floats
    sha256: str | None


def supplies(loaded: Loaded, n_intervals: int, interval_s: int) -> tuple[CleanSupply, ...]:
    """Contracts of a scenario laid over the intervals of its plan.

    Raises
    ------
    InputError
        If a profile is no year of hours between 0 and 1, with every fault of it; or its file does not exist.
    """
    start = np.datetime64(loaded.scenario.plan.start, "s")
    edges = start + (np.arange(n_intervals) * interval_s).astype("timedelta64[s]")
    found = []
    for index, contract in enumerate(loaded.scenario.site.clean_power):
        share, sha = np.ones(n_intervals), None
        if contract.profile != FLAT:
            year, sha = _profile(loaded, index)
            share = year[hour_of_year(loaded.scenario.plan.start, n_intervals, interval_s, len(year))]
        first = np.datetime64(contract.start or datetime.date.min, "s")
        last = np.datetime64(contract.end or datetime.date.max, "s")
        share = np.where((edges >= first) & (edges < last), share, 0.0)
        found.append(CleanSupply(contract, share * w_from_mw(contract.capacity_mw), sha))
    return tuple(found)


def _profile(loaded: Loaded, index: int) -> tuple[Floats, str]:
    """Hours of a year of a contract's profile, and the sha256 of its file."""
    place = ("site", "clean_power", index, "profile")
    path = loaded.file(place)
    if not path.is_file():
        raise loaded.fault(
            place, f"{path} is no file: name a CSV with a column {COLUMN}, relative to the scenario, or {FLAT}"
        )
    content = path.read_bytes()
    problems: list[Problem] = []
    values: list[float] = []
    rows = csv.DictReader(content.decode("utf-8-sig", "replace").splitlines())
    if COLUMN not in (rows.fieldnames or ()):
        raise InputError(str(path), [Problem(1, "", f"has no column {COLUMN}, which a profile of clean power needs")])
    for number, row in enumerate(rows, 2):
        text = row[COLUMN]
        try:
            value = float(text)
        except (TypeError, ValueError):
            value = math.nan
        if not 0.0 <= value <= 1.0:
            problems.append(Problem(number, COLUMN, f"'{text}' is no share of the capacity from 0 to 1"))
        values.append(value)
    if len(values) not in (8760, 8784):
        problems.append(Problem(0, "", f"holds {len(values)} hours; a year has 8760 or 8784"))
    if problems:
        raise InputError(str(path), problems)
    return np.array(values), hashlib.sha256(content).hexdigest()


def carbon_left_kg(
    energy_kwh: Floats, clean_kwh: Floats, intensity_kg_per_kwh: Floats, year: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Carbon of the energy that no contract covers, matched within each calendar year, and within each interval. [kg]

    Parameters
    ----------
    energy_kwh, clean_kwh : ndarray, shape (n,)
        Energy used and delivered under contract. [kWh]
    intensity_kg_per_kwh : ndarray, shape (n,)
        Of the energy that no contract covers: the residual mix, else the grid's. [kg/kWh]
    year : ndarray, shape (n,)
        Calendar year of each interval.

    Notes
    -----
    By the year, every interval keeps the same uncovered share :math:`\\max(0, 1 - C_y / E_y)`; by the interval what is
    left is :math:`\\max(0, e_i - c_i)`. Excess is neither sold nor carried over.

    References
    ----------
    .. [1] WRI, GHG Protocol Scope 2 Guidance, 2015: market-based method.
    """
    index = year - int(year.min())
    used, covered = (np.bincount(index, weights=values) for values in (energy_kwh, clean_kwh))
    share = np.divide(np.minimum(covered, used), used, out=np.zeros_like(used), where=used > 0)
    left = 1.0 - share
    by_year: Floats = left[index] * energy_kwh * intensity_kg_per_kwh
    by_interval: Floats = np.maximum(energy_kwh - clean_kwh, 0.0) * intensity_kg_per_kwh
    return by_year, by_interval
