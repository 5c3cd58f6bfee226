"""Policies that order jobs by something else than their submission.

A pass sorts the queue, so its cost grows with the queue; the policies by submission do not have that cost.
"""

from collections.abc import Iterable
from math import inf, log2

import numpy as np

from dcsim.sim.easy import start_behind
from dcsim.sim.queue import SizeQueue
from dcsim.sim.reservations import ROUNDING_S
from dcsim.sim.seen import Cluster, fits
from dcsim.units import SECONDS_PER_DAY
from dcsim.workload.jobs import Floats, Ints

# Slurm's PriorityDecayHalfLife, by default seven days: what a tenant used that long ago counts half.
HALF_LIFE_S = 7 * SECONDS_PER_DAY
# GPU time after which a job leaves the first level, and each level is twice as long; how often levels are looked at.
# Assumptions: an hour on one GPU, and the ten minutes that keep the cost of preemption low.
FIRST_LEVEL_GPU_S = 3600.0
QUANTUM_S = 600.0


def shortest_job(cluster: Cluster, now_s: float, newcomers: list[int] | None) -> None:
    """The queued job of the shortest limit first, equal ones by submission; nobody passes one that does not fit."""
    queue = cluster.queue
    while queue.n_queued:
        size = min((size for size in queue.sizes if size.n_queued), key=_least)
        if not fits(cluster.placement, size):
            return
        cluster.start(size.first_within(size.least_limit_s), now_s)


def _least(size: SizeQueue) -> tuple[float, int]:
    return size.least_limit_s, size.first_within(size.least_limit_s)


def in_order(cluster: Cluster, now_s: float, order: Iterable[int]) -> int:
    """Start queued jobs in a stated order, with EASY backfill behind the first that does not fit; return it, or -1."""
    queue, placement, reservations = cluster.queue, cluster.placement, cluster.reservations
    head, window_s = -1, 0.0
    for job in order:
        size = queue.size_of[job]
        if head < 0:
            if fits(placement, size):
                cluster.start(job, now_s)
                continue
            head = job
            if not (placement.free_nodes or placement.share_levels):
                break
            reservations.invalidate()
            reservations.reserve(job, size.nodes, placement.free_nodes, now_s)
            window_s = reservations.shadow_s - now_s + ROUNDING_S
        elif fits(placement, size):
            start_behind(cluster, job, now_s, window_s)
    return head


def earliest_deadline(cluster: Cluster, now_s: float, newcomers: list[int] | None) -> None:
    """The earliest deadline first, equal ones and those without one by submission, with backfill; nobody is stopped.

    References
    ----------
    J. R. Jackson, "Scheduling a production line to minimize maximum tardiness," University of California 1955: of jobs
    that are all there, one after the other, this order makes the worst lateness least.
    """
    deadline_s, members = cluster.jobs.deadline_s, cluster.queue.members
    if deadline_s is None:
        in_order(cluster, now_s, sorted(members))
    else:
        in_order(cluster, now_s, sorted(members, key=lambda job: (deadline_s[job], job)))


def power_aware(cluster: Cluster, now_s: float, newcomers: list[int] | None) -> None:
    """EASY, and no job starts that would lift the power of running jobs above a limit.

    Who is first in line and kept by the limit waits for power, and nobody passes; a later job that fits beside the
    first in line's nodes, but not under the limit, is passed over. ``notes`` hold ``job_w``, the power of each job, and
    ``limit_w``; without them there is no limit. [W]
    """
    queue, placement, reservations, notes = cluster.queue, cluster.placement, cluster.reservations, cluster.notes
    job_w, limit_w = notes.get("job_w"), notes.get("limit_w", inf)
    running_w = 0.0 if job_w is None else float(sum(job_w[job] for job in cluster.running))
    head, window_s = -1, 0.0
    for job in sorted(queue.members):
        size, more_w = queue.size_of[job], 0.0 if job_w is None else float(job_w[job])
        allowed, room = running_w + more_w <= limit_w, fits(placement, size)
        if head < 0:
            if not room:
                head = job
                if not (placement.free_nodes or placement.share_levels):
                    return
                reservations.invalidate()
                reservations.reserve(job, size.nodes, placement.free_nodes, now_s)
                window_s = reservations.shadow_s - now_s + ROUNDING_S
                continue
            if not allowed:
                return
        elif not room or not allowed:
            continue
        elif queue.limit_s[job] > window_s:
            if size.nodes > reservations.extra_nodes:
                continue
            reservations.extra_nodes -= size.nodes
        cluster.start(job, now_s)
        running_w += more_w


def priority(cluster: Cluster, now_s: float, newcomers: list[int] | None) -> None:
    """Higher priorities first, equal ones by submission, with backfill; they preempt lower ones where that makes room.

    Those of the lowest priority stop first, among them the last started. A job stops only if enough can stop for the
    first in line to start.
    """
    rank = cluster.jobs.priority
    level = np.zeros(len(cluster.jobs), dtype=np.int64) if rank is None else rank
    queue = cluster.queue
    while True:
        order = sorted(queue.members, key=lambda job: (-level[job], job))
        head = in_order(cluster, now_s, order)
        if head < 0:
            return
        size, placement = queue.size_of[head], cluster.placement
        missing = size.nodes - placement.free_nodes
        victims: list[int] = []
        # Whole nodes of lower priorities: a job that shares a node frees it only with all that share it.
        gangs = [job for job in reversed(cluster.running) if not queue.size_of[job].share_gpus]
        lower = [job for job in gangs if level[job] < level[head]]
        for job in sorted(lower, key=lambda job: level[job]):
            if missing <= 0:
                break
            victims.append(job)
            missing -= queue.size_of[job].nodes
        if missing > 0 or not victims:
            return
        for job in victims:
            cluster.preempt(job, now_s)
        cluster.start(head, now_s)


def least_attained_service(cluster: Cluster, now_s: float, newcomers: list[int] | None) -> None:
    """Jobs that have had least GPU time first, in levels each twice as long; running ones of higher levels make room.

    References
    ----------
    J. Gu and others, "Tiresias: a GPU cluster manager for distributed deep learning," NSDI 2019: discretised
    two-dimensional least attained service.
    """
    queue, placement, gpus = cluster.queue, cluster.placement, cluster.jobs.gpus
    if not queue.n_queued:
        return

    def level(job: int) -> int:
        had_gpu_s = float(gpus[job]) * cluster.work_s(job, now_s)
        return 0 if had_gpu_s < FIRST_LEVEL_GPU_S else 1 + int(log2(had_gpu_s / FIRST_LEVEL_GPU_S))

    due_s = cluster.notes.setdefault("las", now_s)
    if now_s >= due_s - ROUNDING_S:
        cluster.notes["las"] = now_s + QUANTUM_S
        gangs = [job for job in cluster.running if not queue.size_of[job].share_gpus]
        room = placement.free_nodes + sum(queue.size_of[job].nodes for job in gangs)
        levels = {job: level(job) for job in [*queue.members, *cluster.running]}
        keep = set()
        for job in sorted(levels, key=lambda job: (levels[job], job)):
            size = queue.size_of[job]
            if size.share_gpus or size.nodes <= room:
                keep.add(job)
                room -= 0 if size.share_gpus else size.nodes
        waits = max((queue.size_of[job].nodes for job in queue.members if job in keep), default=0)
        if waits > placement.free_nodes:
            for job in [job for job in gangs if job not in keep]:
                cluster.preempt(job, now_s)
    for job in sorted(queue.members, key=lambda job: (level(job), job)):
        if fits(placement, queue.size_of[job]):
            cluster.start(job, now_s)
    if queue.n_queued and cluster.running:
        cluster.wake(max(cluster.notes["las"], now_s + 1.0))


def fair_share(cluster: Cluster, now_s: float, newcomers: list[int] | None) -> None:
    """Jobs of the tenants that used least of their share lately first, with backfill; quotas are never exceeded.

    What a tenant used counts half after seven days. Shares and quotas are those of the jobs' tenants, in ``notes``
    under ``share`` and ``quota``; equal and unlimited where none are stated.
    """
    jobs, notes = cluster.jobs, cluster.notes
    n_tenants = len(jobs.tenants)
    tenant = np.zeros(len(jobs), dtype=np.int64) if jobs.tenant_index is None else jobs.tenant_index
    used = notes.setdefault("used", np.zeros(n_tenants))
    share, quota = notes.get("share", np.ones(n_tenants)), notes.get("quota", np.full(n_tenants, inf))
    # GPUs held since the last pass, when they were last counted.
    held, since_s = notes.get("held", np.zeros(n_tenants)), notes.get("since", now_s)
    passed_s = now_s - since_s
    used *= 0.5 ** (passed_s / HALF_LIFE_S)
    used += held * passed_s
    left = quota - _held(cluster, tenant, n_tenants)

    order = []
    for job in sorted(cluster.queue.members, key=lambda job: (used[tenant[job]] / share[tenant[job]], job)):
        if jobs.gpus[job] <= left[tenant[job]]:
            left[tenant[job]] -= jobs.gpus[job]
            order.append(job)
    in_order(cluster, now_s, order)
    notes["held"], notes["since"] = _held(cluster, tenant, n_tenants), now_s


def _held(cluster: Cluster, tenant: Ints, n_tenants: int) -> Floats:
    running = np.fromiter(cluster.running, dtype=np.int64, count=len(cluster.running))
    return np.bincount(tenant[running], weights=cluster.jobs.gpus[running], minlength=n_tenants).astype(float)
