"""Simulate a cluster: jobs in, what happened to them out."""

import gc
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from dcsim.registry import lookup
from dcsim.sim.arrivals import Arrivals
from dcsim.sim.claims import Claims, claim
from dcsim.sim.clock import Clock
from dcsim.sim.dispatcher import Dispatcher
from dcsim.sim.failures import Mode, Reliability, mode_failures, node_failures
from dcsim.sim.limits import Elasticity, PowerLimit, Tenancy, Walltime
from dcsim.sim.maintenance import Maintenance, rounds
from dcsim.sim.placement import Placement
from dcsim.sim.policies import POLICIES
from dcsim.sim.pool import ClusterSpec, Pool, check, check_policy
from dcsim.sim.recorder import Counters, SimResult, result
from dcsim.sim.routing import routed
from dcsim.sim.seen import Policy
from dcsim.sim.service import Shutdown
from dcsim.sim.sharing import Sharing, Uplinks
from dcsim.sim.turns import TimeSlices, Turns
from dcsim.workload.jobs import Floats, Ints, Jobs

__all__ = [
    "Claims",
    "ClusterSpec",
    "Elasticity",
    "Maintenance",
    "Mode",
    "Pool",
    "PoolResult",
    "PowerLimit",
    "Reliability",
    "Shutdown",
    "SimResult",
    "Tenancy",
    "TimeSlices",
    "Uplinks",
    "Walltime",
    "simulate",
    "simulate_pools",
]

# Jobs from which on the state of a simulation is freed as soon as it ends.
WORTH_FREEING = 20_000


@dataclass(frozen=True)
class PoolResult:
    """What happened in one pool: the rows of its jobs among all, and their result."""

    rows: Ints
    result: SimResult


def simulate(
    cluster: ClusterSpec,
    jobs: Jobs,
    work_rate: Floats,
    *,
    policy: str = "easy",
    horizon_s: float,
    seed: int,
    reliability: Reliability | None = None,
    uplinks: Uplinks | None = None,
    tenancy: Tenancy | None = None,
    shutdown: Shutdown | None = None,
    maintenance: Maintenance | None = None,
    power: PowerLimit | None = None,
    walltime: Walltime | None = None,
    depth: int | None = None,
    elasticity: Elasticity | None = None,
    progress: Callable[[float], None] | None = None,
) -> SimResult:
    """Run *jobs* on *cluster*, all of whose nodes are alike, from time 0 to the horizon.

    Parameters
    ----------
    cluster : ClusterSpec
        Shape of the cluster.
    jobs : Jobs
        Jobs in the order of submission.
    work_rate : ndarray, shape (n_classes, max_span + 1)
        Speed of each class when it spans s leaves, in column s; the last column stands for all wider spans and column 0
        is unused. A job runs for ``run_s * work_rate[c, fewest] / work_rate[c, span]``, where *fewest* is the number of
        leaves that its nodes need at least. Only ratios matter. [any]
    policy : str
        Key of ``POLICIES``.
    horizon_s : float
        Where the simulation stops; infinite to run all jobs to their end, without failures only. [s]
    seed : int
        Seed of the failures and repairs, from 0.
    reliability : Reliability or None
        None where nodes never fail.
    uplinks : Uplinks or None
        Up-links that jobs over several leaves share; None where they never bind.
    tenancy : Tenancy or None
        Shares and quotas of the jobs' tenants; equal and unlimited if None.
    shutdown : Shutdown or None
        Times of switching nodes off and starting them, for policies that do; no time if None.
    maintenance : Maintenance or None
        Planned work on nodes; a horizon that is infinite has none.
    power : PowerLimit or None
        Limit on the power of running jobs, for policies that look at it.
    walltime : Walltime or None
        Longest time at a stretch; jobs run beyond their limits if None.
    depth : int or None
        Jobs in line that have a time at once, for policies that plan one for each; all if None.
    elasticity : Elasticity or None
        Jobs that may run on other numbers of nodes, for the policy ``elastic``; none if None.
    progress : callable or None
        Called with the fraction of the horizon done, about 200 times.

    Returns
    -------
    SimResult
        Segments, jobs and change log.

    Raises
    ------
    CapacityError
        If a job needs more nodes than all phases together have.
    RangeError
        If an array is out of order, out of range or of the wrong shape.
    UnknownNameError
        If the policy is not known.
    """
    (only,) = simulate_pools(
        (Pool(cluster, work_rate, reliability=reliability, uplinks=uplinks, shutdown=shutdown, power=power),),
        jobs,
        policy=policy,
        horizon_s=horizon_s,
        seed=seed,
        tenancy=tenancy,
        maintenance=maintenance,
        walltime=walltime,
        depth=depth,
        elasticity=elasticity,
        progress=progress,
    )
    return only.result


def simulate_pools(
    pools: Sequence[Pool],
    jobs: Jobs,
    *,
    may_use: Sequence[Sequence[int]] | None = None,
    policy: str = "easy",
    horizon_s: float,
    seed: int,
    tenancy: Tenancy | None = None,
    maintenance: Maintenance | None = None,
    walltime: Walltime | None = None,
    depth: int | None = None,
    elasticity: Elasticity | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[PoolResult, ...]:
    """Run *jobs* on pools of unlike nodes, each with a queue of its own, on one clock.

    A job goes to one pool for good when it may queue: see :meth:`dcsim.sim.clock.Routes.choose`. It never spans two.

    Parameters
    ----------
    pools : sequence of Pool
        At least one.
    jobs : Jobs
        As for :func:`simulate`.
    may_use : sequence of sequence of int, or None
        By class: indices of the pools that its jobs may use, the preferred one first; all of them if None.
    policy, horizon_s, seed, tenancy, maintenance, walltime, depth, elasticity, progress
        As for :func:`simulate`; quotas, shares and rounds of maintenance are those of each pool.

    Returns
    -------
    tuple of PoolResult
        One a pool, in their order. A job that never queued is with the first pool that it may use.

    Raises
    ------
    CapacityError
        If a job needs more nodes than any pool that it may use has.
    RangeError
        If an array is out of order, out of range or of the wrong shape.
    UnknownNameError
        If the policy is not known.
    """
    chosen_policy = lookup(POLICIES, policy, "scheduling policy")
    check_policy(policy, chosen_policy, jobs, depth)
    env = simpy.Environment()
    routes, of_pool = routed(pools, jobs, may_use)
    arrivals = Arrivals(jobs)
    dispatchers = []
    for pool, local in zip(pools, of_pool, strict=True):
        check(pool, local, horizon_s, tenancy, maintenance, walltime)
        dispatchers.append(_dispatcher(env, pool, local, chosen_policy, horizon_s, seed, tenancy, walltime, elasticity))
        if depth is not None:
            dispatchers[-1].notes["depth"] = depth
        _run_foreign(env, pool, dispatchers[-1], maintenance, seed)
    clock = Clock(env, arrivals, dispatchers, horizon_s=horizon_s, routes=routes, progress=progress)
    env.run(until=env.process(clock.run()))

    ready_s = arrivals.ready_s()
    found = []
    for index, (pool, local, dispatcher) in enumerate(zip(pools, of_pool, dispatchers, strict=True)):
        rows = np.arange(len(jobs)) if routes is None else np.asarray(routes.rows[index], dtype=np.int64)
        kept = np.arange(len(rows)) if routes is None else np.flatnonzero(routes.went(rows) == index)
        useful_s = dispatcher.progress_s()
        if pool.reliability is not None:
            useful_s *= pool.reliability.useful_share[local.class_index]
        outcome = result(
            dispatcher.recorder,
            local,
            useful_s,
            Counters(
                dispatcher.n_events, dispatcher.n_passes, dispatcher.reservations.recomputes, dispatcher.max_waiting
            ),
            gpus_per_node=pool.cluster.gpus_per_node,
            horizon_s=horizon_s,
            ready_s=ready_s[rows],
            interruptions=dict(dispatcher.interruptions),
        )
        found.append(PoolResult(rows[kept], outcome if routes is None else outcome.of(kept)))
    # SimPy's environment, processes and the dispatchers refer to each other; a plan's worth of state is worth freeing
    # now, that of a short log is not: to look for it takes a tenth of a second and more.
    del dispatchers, dispatcher, clock, arrivals, env
    if len(jobs) > WORTH_FREEING:
        gc.collect()
    return tuple(found)


def _dispatcher(
    env: simpy.Environment,
    pool: Pool,
    jobs: Jobs,
    policy: Policy,
    horizon_s: float,
    seed: int,
    tenancy: Tenancy | None,
    walltime: Walltime | None,
    elasticity: Elasticity | None,
) -> Dispatcher:
    cluster = pool.cluster
    dispatcher = Dispatcher(
        env,
        jobs,
        Placement(cluster.gpus_per_node, cluster.nodes_per_leaf, cluster.nodes_per_rack, cluster.placement),
        policy,
        pool.work_rate,
        gpus_per_node=cluster.gpus_per_node,
        nodes_per_leaf=cluster.nodes_per_leaf,
        horizon_s=horizon_s,
        reliability=pool.reliability,
        sharing=_sharing(pool),
        shutdown=pool.shutdown,
        walltime=walltime,
        elasticity=elasticity,
        seed=seed,
        name=pool.suffix,
    )
    if pool.power is not None:
        dispatcher.notes.update(job_w=pool.power.job_w, limit_w=pool.power.limit_w)
    if tenancy is not None:
        dispatcher.notes.update(share=tenancy.share, quota=tenancy.quota_gpus)
    return dispatcher


def _sharing(pool: Pool) -> Sharing | Turns | None:
    """What jobs of a pool take from each other."""
    if pool.slices is not None:
        return Turns(pool.slices)
    return None if pool.uplinks is None else Sharing(pool.uplinks)


def _run_foreign(
    env: simpy.Environment, pool: Pool, dispatcher: Dispatcher, maintenance: Maintenance | None, seed: int
) -> None:
    """Start the processes of a pool's phases, failures and maintenance."""
    cluster, reliability = pool.cluster, pool.reliability
    for time_s, n_nodes in cluster.phases:
        spares = 0 if reliability is None else reliability.spares(n_nodes)
        dispatcher.expect_nodes(time_s, n_nodes - spares)
        env.process(_energise(env, dispatcher, time_s, n_nodes, spares))
    if reliability is not None:
        crews = None if reliability.crews is None else simpy.Resource(env, reliability.crews)
        env.process(node_failures(env, dispatcher, cluster.n_nodes, reliability, seed, crews, pool.suffix))
        for mode in reliability.modes:
            groups = cluster.groups(mode.scope)
            env.process(mode_failures(env, dispatcher, mode, groups, reliability, seed, crews, pool.suffix))
    if maintenance is not None:
        env.process(rounds(env, dispatcher, cluster.n_nodes, maintenance))
    if pool.claims is not None:
        # After the phases of the same moment, whose processes were started before.
        env.process(claim(env, dispatcher.lending, pool.claims))


def _energise(
    env: simpy.Environment, dispatcher: Dispatcher, time_s: float, n_nodes: int, spares: int
) -> Generator[simpy.Event, Any, None]:
    # One process a phase, all started at time 0: the clock then shows exactly time_s, free of rounding.
    yield env.timeout(time_s)
    dispatcher.add_nodes(time_s, n_nodes, spares)
