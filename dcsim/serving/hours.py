"""The hours of a service: replicas, batch, backlog, latency and power, vectorised over all of them."""

from dataclasses import dataclass

import numpy as np

from dcsim.serving.latency import METRICS
from dcsim.serving.replicas import Replica
from dcsim.serving.surface import CHANCES, KNOWN_LOAD, Surface
from dcsim.workload.jobs import Floats

_METRICS = list(METRICS)


@dataclass(frozen=True)
class Hours:
    """What a service does in intervals of one length; arrays of shape (n,).

    Parameters
    ----------
    per_s : ndarray
        Requests that come. [1/s]
    served_per_s : ndarray
        Requests that are answered: fewer where the replicas cannot keep up, more while they catch up. [1/s]
    lost_per_s : ndarray
        Requests that the replicas cannot keep up with and that are given up. [1/s]
    waiting : ndarray
        Those that wait at the end of each interval instead, where they do. [1]
    replicas : ndarray
        Mean replicas. [1]
    load_frac : ndarray
        Requests over the most that the replicas can do. [1]
    batch, busy_frac : ndarray
        Mean batch while replicas work, and share of their time in which they do. [1]
    gpus_w : ndarray
        Power of the GPUs of all replicas. [W]
    latency_s : ndarray, shape (n, 3, k)
        Of each metric at :data:`dcsim.serving.surface.CHANCES`; NaN where the load is above what the tables know. [s]
    """

    per_s: Floats
    served_per_s: Floats
    lost_per_s: Floats
    waiting: Floats
    replicas: Floats
    load_frac: Floats
    batch: Floats
    busy_frac: Floats
    gpus_w: Floats
    latency_s: Floats

    @property
    def known(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether latency is known in each interval, shape (n,)."""
        return ~np.isnan(self.latency_s[:, 0, 0])

    def percentile_s(self, metric: str, percentile: float) -> Floats:
        """A percentile of a latency in each interval, shape (n,). [s]"""
        curve = self.latency_s[:, _METRICS.index(metric), :]
        chance = percentile / 100.0
        above = int(np.clip(np.searchsorted(CHANCES, chance), 1, len(CHANCES) - 1))
        share = (chance - CHANCES[above - 1]) / (CHANCES[above] - CHANCES[above - 1])
        return np.asarray((1.0 - share) * curve[:, above - 1] + share * curve[:, above], dtype=float)

    def overall_s(self, metric: str, percentile: float) -> float:
        """A percentile over the requests of all intervals whose latency is known; NaN of none. [s]"""
        curve = self.latency_s[self.known, _METRICS.index(metric), :]
        weight = self.per_s[self.known]
        if not weight.sum() > 0:
            return float("nan")
        # Each stretch of chances of each interval is a weight at its middle.
        middles = np.sqrt(np.maximum(curve[:, 1:], 1e-9) * np.maximum(curve[:, :-1], 1e-9))
        weights = weight[:, None] * np.diff(CHANCES)
        order = np.argsort(middles, axis=None)
        upto = np.cumsum(weights.ravel()[order])
        at = percentile / 100.0 * upto[-1]
        return float(np.interp(at, upto - 0.5 * weights.ravel()[order], middles.ravel()[order]))


def backlog(per_s: Floats, most_per_s: Floats, step_s: float) -> tuple[Floats, Floats]:
    """Requests that wait at the end of each interval [1] and those that are answered in it [1/s], shape (n,).

    Notes
    -----
    Lindley's recursion, :math:`q_i = \\max(0, q_{i-1} + (\\lambda_i - \\mu_i) h)`, is the running sum less its running
    minimum.
    """
    net = np.cumsum((per_s - most_per_s) * step_s)
    waiting = net - np.minimum(np.minimum.accumulate(net), 0.0)
    before = np.concatenate([[0.0], waiting[:-1]])
    return waiting, per_s + (before - waiting) / step_s


def hours(
    of: Replica,
    surface: Surface,
    per_s: Floats,
    replicas: Floats,
    most_per_s: float,
    step_s: float,
    *,
    queued: bool = False,
) -> Hours:
    """Work out the intervals of a service; 0.1 s for a year of hours of twenty.

    Parameters
    ----------
    of : Replica
        Each of the replicas.
    surface : Surface
        What it does by load.
    per_s : ndarray, shape (n,)
        Requests that come. [1/s]
    replicas : ndarray, shape (n,)
        Replicas; of a service that scales itself the most that it can have. [1]
    most_per_s : float
        Requests a second that a replica can do at the most. [1/s]
    step_s : float
        Length of an interval. [s]
    queued : bool
        Whether requests that the replicas cannot keep up with in an interval wait for a later one; else they are lost,
        as those of users are, who do not wait for so long.
    """
    ones = np.ones(len(per_s))
    if surface.scaled:
        # Below the lowest rate that was simulated replicas are as at it, above the highest in proportion.
        beyond = np.maximum(per_s / surface.inner[-1], 1.0)
        asks = surface.at("replicas", ones, per_s) * beyond
        have = np.minimum(asks, replicas)
    else:
        have = asks = np.asarray(replicas, dtype=float)
    can = have * most_per_s
    if queued:
        waiting, served_per_s = backlog(per_s, can, step_s)
        lost_per_s = 0.0 * per_s
    else:
        waiting, served_per_s = 0.0 * per_s, np.minimum(per_s, can)
        lost_per_s = per_s - served_per_s
    behind = np.concatenate([[0.0], waiting[:-1]]) > 0
    load = np.where(can > 0, per_s / np.maximum(can, 1e-12), np.where(per_s > 0, np.inf, 0.0))

    def at(name: str, rate: Floats) -> Floats:
        place = (ones, rate) if surface.scaled else (have, rate / np.maximum(can, 1e-12))
        return surface.at(name, *place)

    latency_s = at("latency_s", per_s)
    # A service that gets fewer replicas than it asks for is not the one that was simulated.
    latency_s[(load > KNOWN_LOAD) | behind | (per_s <= 0) | (have < 0.98 * asks)] = np.nan
    # Work follows what is answered: less than comes while the replicas cannot keep up, more while they catch up.
    works = served_per_s > 1e-12
    full = served_per_s >= can * (1.0 - 1e-9)
    return Hours(
        per_s=per_s,
        served_per_s=served_per_s,
        lost_per_s=lost_per_s,
        waiting=waiting,
        replicas=have,
        load_frac=load,
        batch=np.where(works, at("batch", served_per_s), 0.0),
        busy_frac=np.where(works, np.where(full, 1.0, at("busy_frac", served_per_s)), 0.0),
        gpus_w=have * np.where(works, at("gpus_w", served_per_s), of.idle_w * of.gpus),
        latency_s=latency_s,
    )
