"""Profiles of planners: a value for each hour of a year from a CSV file, and outputs of contracts laid over a plan."""

import csv
import datetime
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dcsim.climate import hour_of_year
from dcsim.errors import InputError, Problem
from dcsim.model.load import Loaded
from dcsim.model.tree import Place
from dcsim.units import w_from_mw

Floats = NDArray[np.float64]

FLAT, SOLAR = "flat", "solar"
COLUMN, PRICE = "capacity_frac", "usd_per_mwh"


class Delivers(Protocol):
    """Something under contract that generates between two dates."""

    @property
    def capacity_mw(self) -> float:
        """Full output. [MW]"""

    @property
    def profile(self) -> str:
        """Shape of its output."""

    @property
    def start(self) -> datetime.date | None:
        """First day."""

    @property
    def end(self) -> datetime.date | None:
        """Day after the last."""


@dataclass(frozen=True)
class Hours:
    """Intervals of a plan: their number and length."""

    loaded: Loaded
    n: int
    interval_s: int

    def laid(self, year: Floats) -> Floats:
        """Hours of a year laid over the intervals, shape (n,); leap days as for the weather."""
        return year[hour_of_year(self.loaded.scenario.plan.start, self.n, self.interval_s, len(year))]

    def within(self, first: datetime.date | None, last: datetime.date | None) -> NDArray[np.bool_]:
        """Tell which intervals start within two dates, shape (n,)."""
        start = np.datetime64(self.loaded.scenario.plan.start, "s")
        edges = start + (np.arange(self.n) * self.interval_s).astype("timedelta64[s]")
        after = edges >= np.datetime64(first or datetime.date.min, "s")
        return np.asarray(after & (edges < np.datetime64(last or datetime.date.max, "s")))

    def output_w(
        self, contract: Delivers, place: Place, solar: Callable[[Place], Floats] | None = None
    ) -> tuple[Floats, str | None]:
        """Output of a contract in each interval, shape (n,), and the sha256 of its profile. [W]

        *solar* gives the year of a plant in the site's weather, where a contract may ask for it.

        Raises
        ------
        InputError
            As for :func:`year_of_hours`.
        """
        share, sha = np.ones(self.n), None
        if solar is not None and contract.profile == SOLAR:
            share = self.laid(solar(place))
        elif contract.profile != FLAT:
            year, sha = year_of_hours(self.loaded, place, COLUMN, 0.0, 1.0, "share of the capacity from 0 to 1")
            share = self.laid(year)
        share = np.where(self.within(contract.start, contract.end), share, 0.0)
        return share * w_from_mw(contract.capacity_mw), sha


def year_of_hours(loaded: Loaded, place: Place, column: str, low: float, high: float, rule: str) -> tuple[Floats, str]:
    """Values of a column of a CSV, one for each hour of a year, and the sha256 of the file.

    Raises
    ------
    InputError
        If the file stated at *place* does not exist, or is no year of hours from *low* to *high*, with every fault.
    """
    path = loaded.file(place)
    if not path.is_file():
        ways = f", or {FLAT}" if column == COLUMN else ""
        raise loaded.fault(
            place, f"{path} is no file: name a CSV with a column {column}, relative to the scenario{ways}"
        )
    content = path.read_bytes()
    problems: list[Problem] = []
    values: list[float] = []
    rows = csv.DictReader(content.decode("utf-8-sig", "replace").splitlines())
    if column not in (rows.fieldnames or ()):
        raise InputError(str(path), [Problem(1, "", f"has no column {column}, which this profile needs")])
    for number, row in enumerate(rows, 2):
        text = row[column]
        try:
            value = float(text)
        except (TypeError, ValueError):
            value = math.nan
        if not low <= value <= high:
            problems.append(Problem(number, column, f"'{text}' is no {rule}"))
        values.append(value)
    if len(values) not in (8760, 8784):
        problems.append(Problem(0, "", f"holds {len(values)} hours; a year has 8760 or 8784"))
    if problems:
        raise InputError(str(path), problems)
    return np.array(values), hashlib.sha256(content).hexdigest()
