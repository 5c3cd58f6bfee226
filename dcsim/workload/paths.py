"""Demand by month: growth, seasons and steps of each workload class, and when it reaches what stands."""

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsim.model.workload import DemandPath
from dcsim.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

Floats = NDArray[np.float64]


def month_starts(start: datetime.date, horizon_s: float) -> list[datetime.date]:
    """Firsts of the months that a plan touches, the plan's own start in place of the first."""
    end = start + datetime.timedelta(seconds=horizon_s)
    found, day = [start], start
    while True:
        day = datetime.date(day.year + day.month // 12, day.month % 12 + 1, 1)
        if day >= end:
            return found
        found.append(day)


def gpus_by_month(path: DemandPath, months: list[datetime.date]) -> Floats:
    r"""GPUs that a class would keep busy in each month, on average. [GPU]

    Notes
    -----
    .. math:: g_m = g_0 (1 + r)^{m / 12} \, s_{month(m)} \prod_{steps \le m} f
    """
    years = np.arange(len(months)) / 12.0
    gpus = path.gpus * (1.0 + path.growth_frac_per_year) ** years
    if path.seasons is not None:
        gpus = gpus * np.array([path.seasons[month.month - 1] for month in months])
    for step in path.steps:
        gpus = gpus * np.array([step.factor if month >= step.start else 1.0 for month in months])
    return np.asarray(gpus, dtype=float)


def cumulative_gpu_s(
    gpus: Floats, months: list[datetime.date], hour_profile: Floats, horizon_s: float
) -> tuple[Floats, Floats]:
    """Edges of the plan's hours [s], and GPU-seconds asked for up to each, shaped by the hour of day [GPU s]."""
    edges = np.unique(np.append(np.arange(0.0, horizon_s, SECONDS_PER_HOUR), horizon_s))
    starts_s = np.array([(month - months[0]).days * SECONDS_PER_DAY for month in months])
    month = np.searchsorted(starts_s, edges[:-1], side="right") - 1
    hour = (edges[:-1] % SECONDS_PER_DAY / SECONDS_PER_HOUR).astype(int)
    rate = gpus[month] * (hour_profile / hour_profile.mean())[hour]
    return edges, np.concatenate([[0.0], np.cumsum(rate * np.diff(edges))])


@dataclass(frozen=True)
class Filling:
    """Demand of all classes against what stands.

    Parameters
    ----------
    months : tuple of date
        Firsts of the months.
    gpus : ndarray, shape (n,)
        Demand of each month. [GPU]
    capacity : ndarray, shape (n,)
        GPUs energised at the end of each month. [GPU]
    """

    months: tuple[datetime.date, ...]
    gpus: Floats
    capacity: Floats

    def full_spans(self) -> list[tuple[int, int | None]]:
        """First month of each time in which demand is above capacity, and the first after it; None if it stays full."""
        full = np.concatenate([[False], self.gpus > self.capacity, [False]])
        edges = np.flatnonzero(full[1:] != full[:-1]).tolist()
        n = len(self.months)
        return [(edges[k], edges[k + 1] if edges[k + 1] < n else None) for k in range(0, len(edges), 2)]

    @property
    def full_for_good(self) -> int | None:
        """Month from which demand stays above capacity to the end of the plan; None if it does not."""
        spans = self.full_spans()
        return spans[-1][0] if spans and spans[-1][1] is None else None

    def findings(self, phases: list[tuple[datetime.date, str, str, int]]) -> dict[str, Any]:
        """What the report says: the path, and when demand is above what stands, with the limit that binds then.

        Parameters
        ----------
        phases : list of (date, str, str, int)
            When each phase is energised, its name, the limit that binds in it, and the GPUs that it adds.
        """
        full = []
        for start, end in self.full_spans():
            standing = [phase for phase in phases if phase[0] <= self.months[start]]
            full.append(
                {
                    "from": self.months[start].isoformat(),
                    "until": None if end is None else self.months[end].isoformat(),
                    "phase": standing[-1][1] if standing else None,
                    "binding": standing[-1][2] if standing else "no phase is energised yet",
                }
            )
        return {
            "months": [month.isoformat() for month in self.months],
            "gpus": self.gpus.tolist(),
            "capacity": self.capacity.tolist(),
            "full": full,
            "one_more_phase": self._one_more(phases),
        }

    def _one_more(self, phases: list[tuple[datetime.date, str, str, int]]) -> dict[str, Any] | None:
        """What another phase of the size of the last would do, energised when demand gets above capacity for good."""
        at = self.full_for_good
        if at is None:
            return None
        later = Filling(self.months[at:], self.gpus[at:], self.capacity[at:] + phases[-1][3]).full_spans()
        again = later[0][0] if later else None
        return {
            "energised": self.months[at].isoformat(),
            "gpus": phases[-1][3],
            "full_again": None if again is None else self.months[at + again].isoformat(),
        }


def at_month_ends(months: list[datetime.date], from_s: tuple[tuple[float, float], ...]) -> Floats:
    """What stands by the last day of each month, of figures that hold from times on. [any]"""
    ends_s = np.array([((month - months[0]).days + 27) * SECONDS_PER_DAY for month in months])
    at = np.searchsorted([time_s for time_s, _ in from_s], ends_s, side="right") - 1
    return np.array([0.0, *(value for _, value in from_s)])[at + 1]


def filling(months: list[datetime.date], gpus: Floats, capacity_gpus: tuple[tuple[float, int], ...]) -> Filling:
    """Demand against the GPUs energised by the last day of each month."""
    return Filling(tuple(months), gpus, at_month_ends(months, capacity_gpus))
