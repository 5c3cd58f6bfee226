"""Serve requests on replicas: what became of each, and what the replicas did."""

import gc
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Any

import numpy as np
import simpy

from dcsim.errors import RangeError
from dcsim.rng import stream
from dcsim.sim.serving.fleet import Fleet
from dcsim.sim.serving.replica import Asked, ReplicaSpec, Tally
from dcsim.sim.serving.scaling import Scaling, scale
from dcsim.steps import StepSeries
from dcsim.units import SECONDS_PER_DAY
from dcsim.workload.jobs import Floats, Ints
from dcsim.workload.requests.requests import Requests

FINISHED, IN_FLIGHT, REFUSED = range(3)
STATUSES = ("finished", "in flight", "refused")


@dataclass(frozen=True)
class ServiceSpec:
    """A service as the simulator has it.

    Parameters
    ----------
    replicas : mapping of str to ReplicaSpec
        By role: ``both``, or ``prefill`` and ``decode`` where they are apart.
    counts : mapping of str to int
        Replicas of each role at the start.
    routing : str
        Key of :data:`dcsim.sim.serving.routing.ROUTING`.
    most_waiting : float
        Requests that may wait for each replica; one that comes to more is refused.
    transfer_token_s : float
        Time to move the keys and values of a token from prefill to decode. [s]
    scaling : mapping of str to Scaling
        By role; a role without one keeps its count.
    failures_per_day : float
        Of a replica. [1/day]
    back_s : float
        Mean of the exponential time until a failed replica serves again where it is not scaled; where it is, scaling
        orders another. [s]

    Raises
    ------
    RangeError
        If a value is outside its range, or roles do not belong together.
    """

    replicas: Mapping[str, ReplicaSpec]
    counts: Mapping[str, int]
    routing: str = "least_loaded"
    most_waiting: float = inf
    transfer_token_s: float = 0.0
    scaling: Mapping[str, Scaling] = field(default_factory=dict)
    failures_per_day: float = 0.0
    back_s: float = 3600.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if set(self.replicas) not in ({"both"}, {"prefill", "decode"}):
            raise RangeError("a service has replicas of the role 'both', or of 'prefill' and 'decode'")
        if any(spec.role != role for role, spec in self.replicas.items()):
            raise RangeError("each replica must have the role that it is listed under")
        if set(self.counts) != set(self.replicas) or any(count < 0 for count in self.counts.values()):
            raise RangeError("a service needs a count from 0 for each role")
        if any(self.counts[role] == 0 and role not in self.scaling for role in self.counts):
            raise RangeError("a service without replicas needs scaling")
        if not self.most_waiting >= 0 or not 0 <= self.transfer_token_s < inf:
            raise RangeError("most_waiting and transfer_token_s must be from 0")
        if not 0 <= self.failures_per_day < inf or not 0 < self.back_s < inf:
            raise RangeError("failures_per_day must be from 0, back_s above 0")


@dataclass(frozen=True)
class ServiceResult:
    """What became of the requests, and what the replicas did.

    Parameters
    ----------
    requests : Requests
        What was asked.
    first_s, end_s : ndarray, shape (n,)
        When the first and the last token came; NaN where they did not. [s]
    status : ndarray of int, shape (n,)
        Index into :data:`STATUSES`.
    restarts : ndarray of int, shape (n,)
        How often a failure made a request begin again.
    window_edges_s : ndarray, shape (m + 1,)
        Windows of ``did``. [s]
    did : ndarray, shape (m, 7)
        What steps did in each window; see :class:`dcsim.sim.serving.replica.Tally`.
    replicas : StepSeries
        Replicas that load, serve or drain, by time.
    horizon_s : float
        Where the simulation ended: the last event where no horizon was given. [s]
    """

    requests: Requests
    first_s: Floats
    end_s: Floats
    status: Ints
    restarts: Ints
    window_edges_s: Floats
    did: Floats
    replicas: StepSeries
    horizon_s: float

    @property
    def ttft_s(self) -> Floats:
        """Time to first token, shape (n,); NaN where there was none. [s]"""
        return self.first_s - self.requests.arrival_s

    @property
    def tpot_s(self) -> Floats:
        """Mean time of each further token, shape (n,); NaN for answers of one token and unfinished ones. [s]"""
        more = np.asarray(self.requests.output - 1, dtype=float)
        return np.where(more > 0, (self.end_s - self.first_s) / np.maximum(more, 1.0), np.nan)

    @property
    def e2e_s(self) -> Floats:
        """Time from arrival to the last token, shape (n,); NaN for unfinished requests. [s]"""
        return self.end_s - self.requests.arrival_s

    @property
    def replica_s(self) -> float:
        """Replicas times the time that they were there. [s]"""
        return float(self.replicas.integral(np.array([0.0, self.horizon_s]))[0])


def serve(
    requests: Requests,
    service: ServiceSpec,
    *,
    horizon_s: float = inf,
    window_s: float = inf,
    seed: int = 0,
    name: str = "service",
) -> ServiceResult:
    """Serve requests at request level.

    Parameters
    ----------
    requests : Requests
        In order of arrival.
    service : ServiceSpec
        The service.
    horizon_s : float
        Where the simulation stops; infinite to serve all. [s]
    window_s : float
        Length of the windows in which what steps did is counted. [s]
    seed : int
        Of the failures.
    name : str
        Of their stream.

    Raises
    ------
    RangeError
        If there is no request.
    """
    if not len(requests):
        raise RangeError("there are no requests to serve")
    if horizon_s == inf and any(of.within is not None and of.within.values[-1] < 1 for of in service.scaling.values()):
        raise RangeError("without a horizon a service must have room for a replica in the end, or never be done")
    env = simpy.Environment()
    blocks = None
    if requests.blocks is not None and requests.block_starts is not None:
        ids, starts = requests.blocks.tolist(), requests.block_starts.tolist()
        blocks = [ids[a:b] for a, b in pairwise(starts)]
    asked = Asked(requests.prompt.tolist(), requests.output.tolist(), blocks)
    tally = Tally(window_s, horizon_s)
    transfer_s = None
    if "decode" in service.replicas:
        transfer_s = (service.transfer_token_s * requests.prompt).tolist()
    fleet = Fleet(
        env,
        requests.arrival_s.tolist(),
        asked,
        dict(service.replicas),
        routing=service.routing,
        horizon_s=horizon_s,
        tally=tally,
        most_waiting=service.most_waiting,
        transfer_s=transfer_s,
    )
    if service.failures_per_day:
        _let_fail(env, fleet, service, seed, name)
    for role, count in service.counts.items():
        for _ in range(count):
            fleet.add(0.0, role)
    for role, of in service.scaling.items():
        env.process(scale(env, fleet, role, of, service.counts[role]))
    gc_was = gc.isenabled()
    # Millions of small tuples live and die without cycles; looking for some costs a tenth of the time.
    gc.disable()
    try:
        env.run(until=env.process(fleet.run()))
    finally:
        if gc_was:
            gc.enable()
    return _result(requests, fleet, asked, tally, horizon_s)


def _result(requests: Requests, fleet: Fleet, asked: Asked, tally: Tally, horizon_s: float) -> ServiceResult:
    first_s, end_s = np.array(asked.first_s), np.array(asked.end_s)
    if horizon_s == inf:
        done = end_s[np.isfinite(end_s)]
        horizon_s = max(float(requests.arrival_s[-1]), float(done.max()) if len(done) else 0.0)
    fleet.close(horizon_s)
    status = np.where(np.isfinite(end_s), FINISHED, IN_FLIGHT)
    status[fleet.refused] = REFUSED
    there = [(start_s, end) for start_s, end in fleet.spans] + [(of.start_s, of.end_s) for of in fleet.loads]
    spans = np.array(there).reshape(-1, 2)
    times_s = np.concatenate([spans[:, 0], spans[np.isfinite(spans[:, 1]), 1]])
    changes = np.concatenate([np.ones(len(spans), dtype=int), -np.ones(len(times_s) - len(spans), dtype=int)])
    n = len(tally.rows)
    edges = np.array([0.0, horizon_s]) if tally.window_s == inf else np.arange(n + 1.0) * tally.window_s
    return ServiceResult(
        requests=requests,
        first_s=np.where(np.isfinite(first_s), first_s, np.nan),
        end_s=np.where(np.isfinite(end_s), end_s, np.nan),
        status=status,
        restarts=np.array(fleet.restarts),
        window_edges_s=edges,
        did=np.array(tally.rows),
        replicas=StepSeries.from_changes(times_s, changes),
        horizon_s=horizon_s,
    )


def _let_fail(env: simpy.Environment, fleet: Fleet, service: ServiceSpec, seed: int, name: str) -> None:
    """Give each replica a life that ends at random."""
    draws = stream(seed, f"replica-failures/{name}")
    mean_s = SECONDS_PER_DAY / service.failures_per_day

    def life(index: int, life_s: float, back_s: float) -> Generator[simpy.Event, Any, None]:
        yield env.timeout(life_s)
        fleet_role = fleet.replicas[index].spec.role
        if fleet.spans[index][1] < inf:
            return
        fleet.fail(index, env.now)
        if fleet_role not in service.scaling:
            yield env.timeout(back_s)
            fleet.add(env.now, fleet_role)

    def added(index: int) -> None:
        env.process(life(index, float(draws.exponential(mean_s)), float(draws.exponential(service.back_s))))

    fleet.on_add = added


def slack_gpus(total: float, used: Sequence[StepSeries]) -> StepSeries:
    """GPUs that services leave to others, by time, of *total*."""
    times_s = np.concatenate([[0.0], *(series.times for series in used)])
    deltas = np.concatenate([[total], *(-np.diff(series.values, prepend=0.0) for series in used)])
    return StepSeries.from_changes(times_s, deltas)
