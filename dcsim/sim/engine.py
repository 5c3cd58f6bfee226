"""Simulate a cluster: jobs in, what happened to them out."""

import gc
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import simpy

from dcsim.errors import CapacityError, RangeError
from dcsim.registry import lookup
from dcsim.sim.dispatcher import Dispatcher
from dcsim.sim.failures import Mode, Reliability, Scope, mode_failures, node_failures
from dcsim.sim.limits import PowerLimit, Tenancy, Walltime
from dcsim.sim.maintenance import Maintenance, rounds
from dcsim.sim.placement import Placement
from dcsim.sim.policies import POLICIES
from dcsim.sim.recorder import Counters, SimResult, result
from dcsim.sim.service import Shutdown
from dcsim.sim.sharing import Sharing, Uplinks
from dcsim.workload.jobs import Floats, Jobs

__all__ = [
    "ClusterSpec",
    "Maintenance",
    "Mode",
    "PowerLimit",
    "Reliability",
    "Shutdown",
    "SimResult",
    "Tenancy",
    "Uplinks",
    "Walltime",
    "simulate",
]


@dataclass(frozen=True)
class ClusterSpec:
    """Shape of the cluster; nodes are numbered through, phase after phase.

    Parameters
    ----------
    gpus_per_node, nodes_per_leaf, nodes_per_rack : int
        Node ``k`` is in leaf ``k // nodes_per_leaf``; racks do not cross leaves.
    placement : str
        How nodes are chosen: key of :data:`dcsim.sim.placement.STRATEGIES`.
    phases : tuple of (float, int)
        When how many nodes are energised, in order of time, the first at 0 or later. [s, node]

    Raises
    ------
    RangeError
        If a value is outside its range.
    """

    gpus_per_node: int
    nodes_per_leaf: int
    nodes_per_rack: int
    phases: tuple[tuple[float, int], ...]
    placement: str = "topology"

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("gpus_per_node", "nodes_per_leaf", "nodes_per_rack"):
            if getattr(self, name) < 1:
                raise RangeError(f"{name} is {getattr(self, name)}; give at least 1")
        if not self.phases:
            raise RangeError("the cluster has no phase; give at least one (time in s, nodes)")
        for time_s, n_nodes in self.phases:
            if not 0 <= time_s < np.inf or n_nodes < 1:
                raise RangeError(f"phase ({time_s} s, {n_nodes} nodes): give a finite time from 0 and at least 1 node")
        for (earlier_s, _), (later_s, _) in pairwise(self.phases):
            if later_s < earlier_s:
                raise RangeError(f"a phase at {later_s} s follows one at {earlier_s} s; order phases by time")

    def groups(self, scope: Scope) -> tuple[range, ...]:
        """Nodes of each node, rack or leaf; racks do not cross leaves."""
        if scope == "node":
            return tuple(range(node, node + 1) for node in range(self.n_nodes))
        found = []
        for leaf in range(0, self.n_nodes, self.nodes_per_leaf):
            end = min(leaf + self.nodes_per_leaf, self.n_nodes)
            step = self.nodes_per_leaf if scope == "leaf" else self.nodes_per_rack
            found += [range(first, min(first + step, end)) for first in range(leaf, end, step)]
        return tuple(found)

    @property
    def n_nodes(self) -> int:
        """Nodes when every phase is energised."""
        return sum(n_nodes for _, n_nodes in self.phases)


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
    progress: Callable[[float], None] | None = None,
) -> SimResult:
    """Run *jobs* on *cluster* from time 0 to the horizon.

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
    chosen_policy = lookup(POLICIES, policy, "scheduling policy")
    _check(cluster, jobs, work_rate, horizon_s, reliability, uplinks, tenancy, maintenance, walltime)
    env = simpy.Environment()
    dispatcher = Dispatcher(
        env,
        jobs,
        Placement(cluster.gpus_per_node, cluster.nodes_per_leaf, cluster.nodes_per_rack, cluster.placement),
        chosen_policy,
        work_rate,
        gpus_per_node=cluster.gpus_per_node,
        nodes_per_leaf=cluster.nodes_per_leaf,
        horizon_s=horizon_s,
        reliability=reliability,
        sharing=None if uplinks is None else Sharing(uplinks),
        shutdown=shutdown,
        walltime=walltime,
        seed=seed,
        progress=progress,
    )
    if power is not None:
        dispatcher.notes.update(job_w=power.job_w, limit_w=power.limit_w)
    if tenancy is not None:
        dispatcher.notes.update(share=tenancy.share, quota=tenancy.quota_gpus)
    for time_s, n_nodes in cluster.phases:
        spares = 0 if reliability is None else reliability.spares(n_nodes)
        dispatcher.expect_nodes(time_s, n_nodes - spares)
        env.process(_energise(env, dispatcher, time_s, n_nodes, spares))
    if reliability is not None:
        crews = None if reliability.crews is None else simpy.Resource(env, reliability.crews)
        env.process(node_failures(env, dispatcher, cluster.n_nodes, reliability, seed, crews))
        for mode in reliability.modes:
            groups = cluster.groups(mode.scope)
            env.process(mode_failures(env, dispatcher, mode, groups, reliability, seed, crews))
    if maintenance is not None:
        env.process(rounds(env, dispatcher, cluster.n_nodes, maintenance))
    env.run(until=env.process(dispatcher.run()))

    useful_s = dispatcher.progress_s()
    if reliability is not None:
        useful_s *= reliability.useful_share[jobs.class_index]
    outcome = result(
        dispatcher.recorder,
        jobs,
        useful_s,
        Counters(dispatcher.n_events, dispatcher.n_passes, dispatcher.reservations.recomputes, dispatcher.max_waiting),
        gpus_per_node=cluster.gpus_per_node,
        horizon_s=horizon_s,
        interruptions=dict(dispatcher.interruptions),
    )
    # SimPy's environment, processes and the dispatcher refer to each other; a plan's worth of state is worth freeing
    # now.
    del dispatcher, env
    gc.collect()
    return outcome


def _energise(
    env: simpy.Environment, dispatcher: Dispatcher, time_s: float, n_nodes: int, spares: int
) -> Generator[simpy.Event, Any, None]:
    # One process a phase, all started at time 0: the clock then shows exactly time_s, free of rounding.
    yield env.timeout(time_s)
    dispatcher.add_nodes(time_s, n_nodes, spares)


def _check(
    cluster: ClusterSpec,
    jobs: Jobs,
    work_rate: Floats,
    horizon_s: float,
    reliability: Reliability | None,
    uplinks: Uplinks | None,
    tenancy: Tenancy | None,
    maintenance: Maintenance | None,
    walltime: Walltime | None,
) -> None:
    if not horizon_s > 0:
        raise RangeError(f"horizon_s is {horizon_s}; give a time above 0")
    if maintenance is not None and np.isinf(horizon_s):
        raise RangeError("horizon_s is infinite, but maintenance goes on for ever; give a finite horizon or none of it")
    if reliability is not None and np.isinf(horizon_s):
        raise RangeError("horizon_s is infinite, but nodes fail for ever; give a finite horizon or no reliability")
    n_classes, n_tenants = len(jobs.class_names), len(jobs.tenants)
    if tenancy is not None:
        if tenancy.share.shape != (n_tenants,) or tenancy.quota_gpus.shape != (n_tenants,):
            raise RangeError(f"shares and quotas have other shapes than the jobs' {n_tenants} tenants")
        owner = np.zeros(len(jobs), dtype=np.int64) if jobs.tenant_index is None else jobs.tenant_index
        over = jobs.gpus > tenancy.quota_gpus[owner]
        if over.any():
            first = int(np.argmax(over))
            raise CapacityError(
                f"job {jobs.job_id[first]} asks for {jobs.gpus[first]} GPUs, more than the quota of its tenant "
                f"'{jobs.tenants[owner[first]]}', {tenancy.quota_gpus[owner[first]]:g}; so do {over.sum()} jobs in all"
            )
    if uplinks is not None and uplinks.wait_frac.shape != work_rate.shape:
        raise RangeError(f"wait_frac has shape {uplinks.wait_frac.shape}; give that of work_rate, {work_rate.shape}")
    if work_rate.ndim != 2 or work_rate.shape[0] != n_classes or work_rate.shape[1] < 2:
        raise RangeError(
            f"work_rate has shape {work_rate.shape}; give ({n_classes}, largest span + 1), at least 2 columns"
        )
    if not np.all((work_rate[:, 1:] > 0) & np.isfinite(work_rate[:, 1:])):
        raise RangeError("work_rate has a value that is not finite and above 0 in a column from 1")
    if walltime is not None and walltime.max_s.shape != (n_classes,):
        raise RangeError(f"max_s has shape {walltime.max_s.shape}; give one value a class ({n_classes},)")
    if reliability is not None:
        for name in ("checkpoint_interval_s", "checkpoint_write_s", "restart_s"):
            if getattr(reliability, name).shape != (n_classes,):
                raise RangeError(
                    f"{name} has shape {getattr(reliability, name).shape}; give one value a class ({n_classes},)"
                )
    rules = (
        (jobs.submit_s >= 0, "a submission before time 0"),
        (np.diff(jobs.submit_s, prepend=0.0) >= 0, "a submission earlier than that of the job before it"),
        (jobs.run_s >= 0, "a negative run time"),
        (jobs.submit_s <= (jobs.submit_s if jobs.release_s is None else jobs.release_s), "a release before it"),
        (jobs.limit_s >= jobs.run_s, "a limit below its run time"),
        (np.isfinite(jobs.submit_s + jobs.run_s + jobs.limit_s), "a time that is not finite"),
        (jobs.gpus >= 0, "fewer GPUs than none"),
        ((jobs.class_index >= 0) & (jobs.class_index < n_classes), "a class that class_names lacks"),
    )
    for holds, fault in rules:
        if not holds.all():
            first = int(np.argmin(holds))
            count = int(np.count_nonzero(~holds))
            raise RangeError(f"job {jobs.job_id[first]} (row {first}) has {fault}; so have {count} of {len(jobs)} jobs")
    nodes = -(-jobs.gpus // cluster.gpus_per_node)
    spares = 0 if reliability is None else sum(reliability.spares(n) for _, n in cluster.phases)
    if np.any(nodes > cluster.n_nodes - spares):
        widest = int(np.argmax(nodes))
        beside = f" beside {spares} spares" if spares else ""
        raise CapacityError(
            f"job {jobs.job_id[widest]} asks for {jobs.gpus[widest]} GPUs = {nodes[widest]} nodes, but all phases "
            f"together have {cluster.n_nodes - spares} nodes of {cluster.gpus_per_node} GPUs{beside}; add nodes, or "
            f"leave out the {np.count_nonzero(nodes > cluster.n_nodes - spares)} jobs that can never fit"
        )
