"""What a pool of like nodes is: its shape, what jobs and nodes are like there, and what it refuses."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dcsim.errors import CapacityError, RangeError
from dcsim.sim.claims import Claims
from dcsim.sim.failures import Reliability, Scope
from dcsim.sim.limits import PowerLimit, Tenancy, Walltime
from dcsim.sim.maintenance import Maintenance
from dcsim.sim.seen import Policy
from dcsim.sim.service import Shutdown
from dcsim.sim.sharing import Uplinks
from dcsim.sim.turns import TimeSlices
from dcsim.workload.jobs import Floats, Ints, Jobs


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


@dataclass(frozen=True)
class Pool:
    """Nodes of one kind with a queue of their own, and what jobs and nodes are like there.

    Parameters
    ----------
    cluster : ClusterSpec
        Its nodes.
    work_rate : ndarray, shape (n_classes, max_span + 1)
        As for :func:`dcsim.sim.engine.simulate`.
    name : str
        Ends the names of its streams of draws, so that one pool leaves the draws of the others alone; empty for the
        first.
    speed : ndarray, shape (n_classes,), or None
        Speed of each class here over that for which run times and limits are given; 1 if None. [1]
    reliability, uplinks, shutdown, power
        As for :func:`dcsim.sim.engine.simulate`; a limit on power only where there is one pool.
    largest_job : int or None
        Most GPUs of a job here, whatever there is; no such limit if None. [GPU]
    slices : TimeSlices or None
        GPUs used in turns, of jobs of one GPU; the cluster then counts turns as GPUs, and up-links are not looked at.
    claims : Claims or None
        Nodes that services take from the jobs; none if None.
    """

    cluster: ClusterSpec
    work_rate: Floats
    name: str = ""
    speed: Floats | None = None
    reliability: Reliability | None = None
    uplinks: Uplinks | None = None
    shutdown: Shutdown | None = None
    power: PowerLimit | None = None
    largest_job: int | None = None
    slices: TimeSlices | None = None
    claims: Claims | None = None

    @property
    def suffix(self) -> str:
        """End of the names of its streams of draws."""
        return f"/{self.name}" if self.name else ""

    @property
    def most_nodes(self) -> int:
        """Nodes that a job may have when all phases are energised: all but the spares."""
        spares = 0 if self.reliability is None else sum(self.reliability.spares(n) for _, n in self.cluster.phases)
        return self.cluster.n_nodes - spares

    def can_have(self, jobs: Jobs) -> NDArray[np.bool_]:
        """Tell which jobs fit."""
        nodes = -(-jobs.gpus // self.cluster.gpus_per_node)
        return (nodes <= self.most_nodes) & (jobs.gpus <= (self.largest_job or np.inf))

    def jobs(self, jobs: Jobs, rows: Ints) -> Jobs:
        """Those of the *rows* as they run here."""
        chosen = jobs.select(rows)
        if self.speed is None:
            return chosen
        speed = self.speed[chosen.class_index]
        return replace(chosen, run_s=chosen.run_s / speed, limit_s=chosen.limit_s / speed)


def check(
    pool: Pool,
    jobs: Jobs,
    horizon_s: float,
    tenancy: Tenancy | None,
    maintenance: Maintenance | None,
    walltime: Walltime | None,
) -> None:
    """Refuse what cannot be simulated.

    Raises
    ------
    CapacityError
        If a job needs more nodes than the pool has.
    RangeError
        If an array is out of order, out of range or of the wrong shape.
    """
    cluster, work_rate, reliability, uplinks = pool.cluster, pool.work_rate, pool.reliability, pool.uplinks
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
        (jobs.submit_s >= (jobs.submit_s if jobs.known_s is None else jobs.known_s), "a submission before it is known"),
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
    if pool.largest_job is not None and np.any(jobs.gpus > pool.largest_job):
        raise CapacityError(
            f"{np.count_nonzero(jobs.gpus > pool.largest_job)} jobs ask for more than {pool.largest_job} GPU, "
            "the most that a job gets in this pool"
        )
    if np.any(nodes > pool.most_nodes):
        widest, spares = int(np.argmax(nodes)), cluster.n_nodes - pool.most_nodes
        beside = f" beside {spares} spares" if spares else ""
        raise CapacityError(
            f"job {jobs.job_id[widest]} asks for {jobs.gpus[widest]} GPUs = {nodes[widest]} nodes, but all phases "
            f"together have {pool.most_nodes} nodes of {cluster.gpus_per_node} GPUs{beside}; add nodes, or "
            f"leave out the {np.count_nonzero(nodes > pool.most_nodes)} jobs that can never fit"
        )


def check_policy(name: str, policy: Policy, jobs: Jobs, depth: int | None) -> None:
    """Refuse what a policy cannot do.

    Raises
    ------
    RangeError
        If jobs are booked or a depth is given, and it plans no times.
    """
    if depth is not None and depth < 1:
        raise RangeError(f"depth is {depth}; give at least 1, or none for all")
    for what, has in (("jobs are booked", jobs.known_s is not None), ("a depth is given", depth is not None)):
        if has and not policy.plans:
            raise RangeError(f"{what}, but the policy '{name}' plans no times; choose conservative")
