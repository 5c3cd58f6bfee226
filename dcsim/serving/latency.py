"""Latency of a service as planners limit it: percentiles of time to first token, per output token and end to end."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan

import numpy as np

from dcsim.errors import RangeError
from dcsim.sim.serving.engine import REFUSED, ServiceResult
from dcsim.workload.jobs import Floats

METRICS = {
    "ttft": "time to first token",
    "tpot": "time per output token, the mean of a request's tokens after the first",
    "e2e": "time from arrival to the last token",
}


@dataclass(frozen=True)
class Limit:
    """A limit on a percentile of a latency.

    Parameters
    ----------
    metric : str
        Key of :data:`METRICS`.
    percentile : float
        Above 0 and below 100. [%]
    most_s : float
        Longest time allowed. [s]

    Raises
    ------
    RangeError
        If a value is outside its range.
    """

    metric: str
    percentile: float
    most_s: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.metric not in METRICS:
            raise RangeError(f"'{self.metric}' is no latency; one of {', '.join(METRICS)}")
        if not 0 < self.percentile < 100:
            raise RangeError(f"a percentile is above 0 and below 100, not {self.percentile:g}")
        if not 0 < self.most_s < inf:
            raise RangeError(f"a limit on {self.metric} must be above 0 s, not {self.most_s:g}")

    def __str__(self) -> str:
        """Form of the limit for a reader."""
        return f"{self.metric} p{self.percentile:g} <= {self.most_s:g} s"


def times_s(of: ServiceResult, metric: str, since_s: float = 0.0) -> Floats:
    """Times of all requests that came after *since_s*, shape (n,); infinite for those that were refused. [s]

    Answers of one token have no time per output token and are left out of it, as are requests that are in flight.
    """
    found = {"ttft": of.ttft_s, "tpot": of.tpot_s, "e2e": of.e2e_s}[metric]
    found = np.where(of.status == REFUSED, inf, found)[of.requests.arrival_s >= since_s]
    return np.asarray(found[~np.isnan(found)], dtype=float)


def percentile_s(times: Floats, percentile: float) -> float:
    """A percentile of times, with its upper neighbour where it falls between two; NaN of none. [s]"""
    return float(np.percentile(times, percentile, method="higher")) if len(times) else nan


def excess(of: ServiceResult, limits: Sequence[Limit], since_s: float = 0.0) -> list[float]:
    """Each percentile over its limit; at most 1 where it is kept, 0 where no request has such a time. [1]"""
    found = [percentile_s(times_s(of, one.metric, since_s), one.percentile) / one.most_s for one in limits]
    return [0.0 if isnan(value) else value for value in found]
