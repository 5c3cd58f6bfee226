"""How much a fleet of replicas can be asked before a limit on latency is passed, by request-level simulation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dcsim.errors import RangeError
from dcsim.serving.demand import Asked
from dcsim.serving.fluid import steady
from dcsim.serving.latency import METRICS, Limit, excess, percentile_s, times_s
from dcsim.serving.replicas import Replica
from dcsim.sim.serving.engine import ServiceResult, ServiceSpec, serve
from dcsim.workload.jobs import Floats, Ints
from dcsim.workload.requests.requests import Requests

# Share of a steady run that is left out, while the batch fills.
WARM_FRAC = 0.15
# Replicas that stand for more: a larger fleet spreads bursts no worse, so what these carry is on the safe side.
MOST_SIMULATED = 16
# Sizes of a fleet at which what it carries is found for those between.
KNOTS = (1, 2, 4, 8, 16)
# No fleet is planned nearer to what it can do at the most: queues would grow without end.
MOST_LOAD = 0.97
_HALVINGS = 6


@dataclass(frozen=True)
class Options:
    """How replicas are run; see :class:`dcsim.sim.serving.replica.ReplicaSpec` and :class:`ServiceSpec`."""

    most_requests: int = 1024
    chunk_tokens: int = 2048
    routing: str = "least_loaded"
    prefill_per_decode: float | None = None

    def split(self, replicas: int) -> dict[str, int]:
        """Replicas by role; at least one of each where prefill and decode are apart."""
        if self.prefill_per_decode is None:
            return {"both": replicas}
        if replicas < 2:
            raise RangeError("prefill and decode apart need at least two replicas")
        prefill = round(replicas * self.prefill_per_decode / (1.0 + self.prefill_per_decode))
        prefill = min(max(prefill, 1), replicas - 1)
        return {"prefill": prefill, "decode": replicas - prefill}


def service(of: Replica, replicas: int, options: Options, prefix_hit_frac: float = 0.0, **others: Any) -> ServiceSpec:
    """A fleet of replicas as the simulation has it."""
    counts = options.split(replicas)
    return ServiceSpec(
        {
            role: of.spec(
                most_requests=options.most_requests,
                chunk_tokens=options.chunk_tokens,
                prefix_hit_frac=0.0 if role == "decode" else prefix_hit_frac,
                role=role,
            )
            for role in counts
        },
        counts,
        routing=options.routing,
        transfer_token_s=0.0 if len(counts) == 1 else of.token_b / of.network_b_s,
        **others,
    )


@dataclass(frozen=True)
class Carried:
    """What a fleet carries.

    Parameters
    ----------
    replicas : int
        Replicas that were simulated. [1]
    load : float
        Highest load that keeps the limits, over what the replicas can do at the most. [1]
    per_s : float
        The same in requests a second for each replica. [1/s]
    served : ServiceResult
        What happened at that load.
    binding : str
        What forbids more.
    """

    replicas: int
    load: float
    per_s: float
    served: ServiceResult
    binding: str

    @property
    def since_s(self) -> float:
        """When the batch had filled. [s]"""
        return WARM_FRAC * float(self.served.requests.arrival_s[-1])


def sample(of: Replica, asked: Asked, replicas: int, options: Options) -> int:
    """Requests of a steady run: enough for a percentile, and for the batch to turn over several times. [1]"""
    table = steady(of, asked.mean, options.most_requests)
    batch = float(table.at(np.array([0.7 * table.most_per_s]), "batch")[0])
    return int(np.clip(10 * replicas * batch, 4_000, 20_000))


def carries(
    of: Replica,
    asked: Asked,
    limits: Sequence[Limit],
    *,
    replicas: int,
    options: Options,
    seed: int = 0,
    within: tuple[float, float] = (0.0, MOST_LOAD),
    halvings: int = _HALVINGS,
) -> Carried:
    """Highest steady load at which a fleet keeps its limits.

    Parameters
    ----------
    of : Replica
        Each of the fleet.
    asked : Asked
        What comes.
    limits : sequence of Limit
        What must be kept.
    replicas : int
        Size of the fleet; more than :data:`MOST_SIMULATED` are stood for by so many.
    options : Options
        How they are run.
    seed : int
        Of the requests; all loads are tried on the same ones at another speed.
    within : tuple of float
        Loads between which to look; the lower one need not keep the limits. [1]
    halvings : int
        Steps of the search.

    Raises
    ------
    RangeError
        If no load keeps the limits, with what the lightest gives.
    """
    simulated = min(replicas, MOST_SIMULATED)
    fleet = service(of, simulated, options, asked.prefix_hit_frac)
    most_per_s = of.most_per_s(asked.mean, options.most_requests)
    n = sample(of, asked, simulated, options)
    # The same requests at every load, drawn at a likely rate: how many come in a burst follows it.
    likely_per_s = 0.7 * most_per_s * simulated
    unit = _faster(asked.steady(likely_per_s, n, seed, "steady"), 1.0 / likely_per_s)

    load, done, binding = highest(
        lambda load: serve(_faster(unit, load * most_per_s * simulated), fleet),
        limits,
        of=of,
        within=within,
        halvings=halvings,
    )
    return Carried(simulated, load, load * most_per_s, done, binding)


def highest(
    run: Callable[[float], ServiceResult],
    limits: Sequence[Limit],
    *,
    of: Replica,
    within: tuple[float, float] = (0.0, MOST_LOAD),
    halvings: int = _HALVINGS,
    warm_frac: float = WARM_FRAC,
) -> tuple[float, ServiceResult, str]:
    """Search the highest load that keeps limits: the load, what happened, and what forbids more.

    Raises
    ------
    RangeError
        If no load keeps the limits, with what the lightest gives.
    """

    def over(done: ServiceResult) -> list[float]:
        return excess(done, limits, warm_frac * float(done.requests.arrival_s[-1]))

    low, high = within
    best = low, run(high)
    last = over(best[1])
    if max(last) <= 1.0:
        return high, best[1], "what the replicas can do at the most"
    kept = False
    for _ in range(halvings):
        middle = 0.5 * (low + high)
        done = run(middle)
        found = over(done)
        if max(found) <= 1.0:
            low, best, kept = middle, (middle, done), True
        else:
            high, last = middle, found
    worst = int(np.argmax(last))
    if not kept:
        raise RangeError(
            f"no load keeps {limits[worst]}: {of.model} on {of.gpus} x {of.gpu} takes "
            f"{last[worst] * limits[worst].most_s:.3g} s at a load of {high:.2g}; allow that, or choose more GPUs a "
            "replica, lighter weights or a faster GPU"
        )
    return best[0], best[1], str(limits[worst])


def _faster(unit: Requests, rate_per_s: float) -> Requests:
    return replace(unit, arrival_s=unit.arrival_s / rate_per_s)


def needed(rates: Floats, knots: Sequence[int], each_per_s: Sequence[float], most: int) -> Ints:
    """The fewest replicas for each rate, by what each of a fleet carries at some sizes of it, shape (n,). [1]

    No fleet is smaller than the first size.

    Parameters
    ----------
    rates : ndarray, shape (n,)
        Requests a second. [1/s]
    knots, each_per_s : sequence of int, of float
        Sizes of a fleet, rising, and requests a second that each of its replicas carries. [1], [1/s]
    most : int
        The largest count to try. [1]
    """
    counts = np.arange(knots[0], max(most, knots[0]) + 1)
    carried = counts * np.interp(np.log(counts), np.log(np.asarray(knots, dtype=float)), each_per_s)
    found = knots[0] + np.searchsorted(np.maximum.accumulate(carried), rates * (1.0 - 1e-9))
    return np.where(rates > 0, np.minimum(found, counts[-1]), 0).astype(np.int64)


@dataclass(frozen=True)
class Fewest:
    """The fewest replicas for a demand.

    Parameters
    ----------
    replicas : int
        How many. [1]
    served : ServiceResult
        What happened on them, or on those that stood for them.
    simulated : int
        Replicas that were simulated. [1]
    since_s : float
        From when on requests count. [s]
    binding : str
        What one replica fewer would break.
    tried : dict of int to float
        Largest percentile over its limit by replicas. [1]
    """

    replicas: int
    served: ServiceResult
    simulated: int
    since_s: float
    binding: str
    tried: dict[int, float]


def figures(done: ServiceResult, since_s: float) -> dict[str, float]:
    """Percentiles of latencies [s], mean batch [1] and share of the time in which replicas work [1]."""
    found = {
        f"{metric}_p{p}_s": percentile_s(times_s(done, metric, since_s), p) for metric in METRICS for p in (50, 95)
    }
    busy_s, steps, decoded = done.did[:, :3].sum(axis=0)
    return found | {"batch": float(decoded / max(steps, 1.0)), "busy_frac": float(busy_s / done.replica_s)}


def fewest(
    of: Replica,
    asked: Asked,
    per_s: float,
    limits: Sequence[Limit],
    *,
    options: Options,
    seed: int = 0,
    start: int | None = None,
) -> Fewest:
    """The fewest replicas on which a steady demand keeps its limits.

    Parameters
    ----------
    of, asked, limits, options, seed
        As for :func:`carries`.
    per_s : float
        Requests a second. [1/s]
    start : int or None
        Where to begin to look.

    Raises
    ------
    RangeError
        If no number of replicas keeps the limits.

    Notes
    -----
    Counts above a hundred are found to within a hundredth, on the safe side.
    """
    most_per_s = of.most_per_s(asked.mean, options.most_requests)
    least = max(math.ceil(per_s / (MOST_LOAD * most_per_s)), 2 if options.prefill_per_decode else 1)
    unit: list[Requests] = []

    def run(replicas: int) -> ServiceResult:
        simulated = min(replicas, MOST_SIMULATED)
        if not unit:
            # One draw for all: counts that are compared see the same requests.
            drawn_per_s = per_s * simulated / replicas
            drawn = asked.steady(drawn_per_s, sample(of, asked, simulated, options), seed, "steady")
            unit.append(_faster(drawn, 1.0 / drawn_per_s))
        fleet = service(of, simulated, options, asked.prefix_hit_frac)
        return serve(_faster(unit[0], per_s * simulated / replicas), fleet)

    return searched(run, limits, least=least, start=start or math.ceil(per_s / (0.75 * most_per_s)), of=of)


def searched(
    run: Callable[[int], ServiceResult],
    limits: Sequence[Limit],
    *,
    least: int,
    start: int,
    of: Replica,
    warm_frac: float = WARM_FRAC,
) -> Fewest:
    """Search the fewest replicas that keep limits, from *start* up or down to *least*."""
    tried: dict[int, float] = {}
    why: dict[int, str] = {}
    kept: dict[int, tuple[ServiceResult, float]] = {}

    def keeps(replicas: int) -> bool:
        done = run(replicas)
        since_s = warm_frac * float(done.requests.arrival_s[-1])
        over = excess(done, limits, since_s)
        worst = int(np.argmax(over)) if over else 0
        tried[replicas] = over[worst] if over else 0.0
        why[replicas] = str(limits[worst]) if over else ""
        if tried[replicas] <= 1.0:
            kept[replicas] = done, since_s
        return tried[replicas] <= 1.0

    high = max(start, least)
    low = least - 1
    previous = np.inf
    while not keeps(high):
        if high > 4 * least + 8 and tried[high] > 0.98 * previous:
            limit = next(one for one in limits if str(one) == why[high])
            raise RangeError(
                f"no number of replicas keeps {limit}: hardly used, {of.model} on {of.gpus} x {of.gpu} takes "
                f"{tried[high] * limit.most_s:.3g} s; allow that, or choose more GPUs a replica, lighter weights or a "
                "faster GPU"
            )
        previous = tried[high]
        low, high = high, 2 * high
    step = max(high // 8, 1)
    while high - low > max(1, high // 100):
        # Loads grow fast as replicas go, so what keeps the limits is near a count that does.
        middle = max(low + 1, high - step) if low == least - 1 else (low + high) // 2
        if keeps(middle):
            high, step = middle, 2 * step
        else:
            low = middle
    done, since_s = kept[high]
    binding = why.get(low) or "the work itself: fewer replicas could not keep up"
    if high == 1:
        binding = "nothing: one replica is enough"
    return Fewest(high, done, int(done.replicas.values.max()), since_s, binding, tried)
