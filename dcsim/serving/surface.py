"""Latency, replicas and power of a service by its load, from request-level simulations at steady rates.

The hours of a year are read off these tables, so that the fluid model of :mod:`dcsim.serving.hours` is calibrated
against the simulation of the very service that it stands for: its replicas, lengths, bursts, routing and scaling.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dcsim.serving.capacity import WARM_FRAC, Options, sample, service
from dcsim.serving.demand import Asked
from dcsim.serving.latency import METRICS, percentile_s, times_s
from dcsim.serving.replicas import Replica
from dcsim.sim.serving.engine import ServiceResult, serve
from dcsim.sim.serving.scaling import Scaling
from dcsim.workload.jobs import Floats

# Chances at which latencies are kept, and the tail in more detail.
_TAIL = (0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0)
CHANCES = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, *_TAIL])
# Load above which a steady simulation says little of an hour: queues take longer than it to settle.
KNOWN_LOAD = 0.8
LOADS = (0.02, 0.06, 0.1, 0.16, 0.25, 0.4, 0.55, 0.7, KNOWN_LOAD, 0.95)
# Replicas of a scaled service that stand for more, in the mean.
MOST_SCALED = 6.0
# Independent runs of a point: so many at least and at most, each of so many requests, until the p95 of first tokens is
# known so well, as one standard error of its logarithm. The rule is that of BigHouse (D. Meisner and others, 2012).
_LEAST_RUNS, _MOST_RUNS, _KNOWN_SE = 3, 12, 0.04
_BURSTS, _LEAST, _MOST = 40.0, 4_000, 20_000
# Shortest steady run of a scaled service, in times for which counts are kept up.
_DOWN_TIMES = 3.0


@dataclass(frozen=True)
class Point:
    """A service at a steady rate.

    Parameters
    ----------
    replicas : float
        Mean. [1]
    batch, busy_frac : float
        Mean batch while they work, and share of their time in which they do. [1]
    gpus_w : float
        Mean power of a replica's GPUs, idle times included. [W]
    latency_s : ndarray, shape (3, k)
        Of each metric at :data:`CHANCES`. [s]
    """

    replicas: float
    batch: float
    busy_frac: float
    gpus_w: float
    latency_s: Floats


def point(of: Replica, runs: Sequence[tuple[ServiceResult, float]]) -> Point:
    """What steady simulations show together, each from a time on to its last arrival."""
    replica_s = span_s = 0.0
    did = np.zeros(7)
    for done, since_s in runs:
        until_s = float(done.requests.arrival_s[-1])
        keep = (done.window_edges_s[:-1] >= since_s) & (done.window_edges_s[1:] <= until_s)
        edges_s = done.window_edges_s[np.flatnonzero(keep)[[0, -1]] + np.array([0, 1])]
        did += done.did[keep].sum(axis=0)
        replica_s += float(done.replicas.integral(edges_s)[0])
        span_s += float(edges_s[1] - edges_s[0])
    busy_frac = min(float(did[0]) / replica_s, 1.0) if replica_s else 0.0
    busy_w = float(of.power_of_windows(did[None, :])[0]) if did[0] else 0.0
    # Requests that no replica holds are counted apart; latency is that of the others.
    times = [np.concatenate([times_s(done, name, since_s) for done, since_s in runs]) for name in METRICS]
    times = [of[np.isfinite(of)] for of in times]
    return Point(
        replicas=replica_s / span_s,
        batch=float(did[2] / max(did[1], 1.0)),
        busy_frac=busy_frac,
        gpus_w=busy_frac * busy_w + (1.0 - busy_frac) * of.idle_w * of.gpus,
        latency_s=np.array([np.quantile(of, CHANCES) if len(of) else np.zeros(len(CHANCES)) for of in times]),
    )


def _known(of: Replica, run: Callable[[int], tuple[ServiceResult, float]], least: int) -> Point:
    """A point from independent runs, as many as it takes, *least* and more."""
    runs: list[tuple[ServiceResult, float]] = []
    logs: list[float] = []
    while len(runs) < _MOST_RUNS:
        runs.append(run(len(runs)))
        logs.append(math.log(max(percentile_s(times_s(runs[-1][0], "ttft", runs[-1][1]), 95.0), 1e-6)))
        if len(runs) >= least and np.std(logs, ddof=1) / math.sqrt(len(runs)) <= _KNOWN_SE:
            break
    return point(of, runs)


@dataclass(frozen=True)
class Surface:
    """Points over an outer and an inner axis, interpolated: replicas and load, or rate alone.

    Parameters
    ----------
    outer : ndarray, shape (m,)
        Replicas; one value where only the inner axis matters. [1]
    inner : ndarray, shape (k,)
        Load over the most that the replicas can do [1], or requests a second [1/s].
    points : tuple of tuple of Point
        By outer, then inner value.
    scaled : bool
        Whether the service scales itself, so that the inner axis is its rate.
    """

    outer: Floats
    inner: Floats
    points: tuple[tuple[Point, ...], ...]
    scaled: bool

    def column(self, name: str) -> Floats:
        """A column of the points, shape (m, k, ...)."""
        return np.array([[getattr(one, name) for one in row] for row in self.points])

    def at(self, name: str, outer: Floats, inner: Floats) -> Floats:
        """A column at places of both axes, shape (n, ...); flat outside, latencies in logarithms between."""
        values = self.column(name)
        log = name == "latency_s"
        if log:
            values = np.log(np.maximum(values, 1e-6))
        i, x = _between(np.log(self.outer), np.log(np.maximum(outer, 1e-9)))
        # Latency is nearly a power of the load; the rest is nearer to a line.
        j, y = _between(np.log(self.inner), np.log(np.maximum(inner, 1e-9))) if log else _between(self.inner, inner)
        more = values.ndim - 2
        x, y = (part.reshape(-1, *([1] * more)) for part in (x, y))
        i1, j1 = np.minimum(i + 1, len(self.outer) - 1), np.minimum(j + 1, len(self.inner) - 1)
        below = (1 - y) * values[i, j] + y * values[i, j1]
        above = (1 - y) * values[i1, j] + y * values[i1, j1]
        found = (1 - x) * below + x * above
        return np.asarray(np.exp(found) if log else found, dtype=float)


def _between(axis: Floats, at: Floats) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Floats]:
    """Index of the knot below each place, and how far it is towards the next; places outside are at the ends."""
    at = np.clip(np.asarray(at, dtype=float), axis[0], axis[-1])
    index = np.clip(np.searchsorted(axis, at, side="right") - 1, 0, max(len(axis) - 2, 0))
    if len(axis) == 1:
        return index, np.zeros(len(at))
    return index, (at - axis[index]) / (axis[index + 1] - axis[index])


def _enough(asked: Asked) -> int:
    """Requests of a steady run that holds many bursts."""
    return int(np.clip(_BURSTS * asked.process.together(), _LEAST, _MOST))


def fixed(
    of: Replica, asked: Asked, counts: Sequence[int], options: Options, seed: int, *, loads: Sequence[float] = LOADS
) -> Surface:
    """Table of a service whose replicas are counted, by count and load.

    Parameters
    ----------
    counts : sequence of int
        Replicas at which it is simulated, rising. [1]
    loads : sequence of float
        Requests over the most that they can do, rising. [1]
    """
    most_per_s = of.most_per_s(asked.mean, options.most_requests)

    def at(count: int, load: float) -> Point:
        n = max(min(sample(of, asked, count, options), _MOST), _enough(asked))
        fleet = service(of, count, options, asked.prefix_hit_frac)

        def run(index: int) -> tuple[ServiceResult, float]:
            requests = asked.steady(load * most_per_s * count, n, seed, f"steady {count} {index}")
            until_s = float(requests.arrival_s[-1])
            return serve(requests, fleet, window_s=until_s / 40.0), WARM_FRAC * until_s

        return _known(of, run, _LEAST_RUNS)

    rows = tuple(tuple(at(count, load) for load in loads) for count in counts)
    return Surface(np.array(counts, dtype=float), np.array(loads), rows, scaled=False)


def loads_about(least: float, most: float) -> list[float]:
    """Of the tabulated loads those that hold some between them; at least two."""
    low = max((i for i, load in enumerate(LOADS) if load <= least), default=0)
    high = min((i for i, load in enumerate(LOADS) if load >= most), default=len(LOADS) - 1)
    low = min(low, len(LOADS) - 2)
    return [*LOADS[low : max(high, low + 1) + 1]]


def scaled(of: Replica, asked: Asked, rates: Floats, scaling: Scaling, options: Options, seed: int) -> Surface:
    """Table of a service that scales itself, by rate.

    Parameters
    ----------
    rates : ndarray, shape (k,)
        Rising, above 0. [1/s]
    scaling : Scaling
        How; of a signal other than ``rate`` the target is in requests on a replica.

    Notes
    -----
    Rates that need more replicas than :data:`MOST_SCALED` are simulated at that many, and counted in proportion.
    """
    most_per_s = of.most_per_s(asked.mean, options.most_requests)
    each_per_s = min(scaling.target, most_per_s) if scaling.signal == "rate" else 0.5 * most_per_s

    def at(rate: float) -> Point:
        factor = max(rate / each_per_s / MOST_SCALED, 1.0)
        tried = rate / factor
        warm_s = scaling.down_s + 2.0 * (scaling.window_s + scaling.ready_s)
        span_s = max(warm_s + _DOWN_TIMES * max(scaling.down_s, 300.0), _enough(asked) / tried)
        begin = max(math.ceil(tried / each_per_s), 1)
        some = replace(scaling, most=max(round(scaling.most / factor), 1), least=round(scaling.least / factor))
        fleet = service(of, begin, options, asked.prefix_hit_frac, scaling={"both": some})

        def run(index: int) -> tuple[ServiceResult, float]:
            requests = asked.steady(tried, math.ceil(tried * span_s), seed, f"scaled {index}")
            return serve(requests, fleet, window_s=span_s / 60.0), warm_s

        found = _known(of, run, 4)
        return replace(found, replicas=found.replicas * factor)

    return Surface(np.ones(1), rates, (tuple(at(float(rate)) for rate in rates),), scaled=True)
