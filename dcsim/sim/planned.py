"""Policies that plan ahead: a time for every job in line, or the very nodes that the first in line will get."""

from bisect import bisect_right, insort
from collections import Counter
from math import inf

from dcsim.sim.placement import lowest_bits
from dcsim.sim.reservations import ROUNDING_S
from dcsim.sim.seen import Cluster, fits

# A job that runs beyond its limit, as one does that a bad placement slows down, is expected to end so much later. [s]
OVERRUN_S = 60.0


class Plan:
    """Which nodes are free when, as bitsets over time, and what is planned for the jobs in line.

    Parameters
    ----------
    now_s : float
        Where it begins. [s]
    free : int
        Nodes that are free from then on, node ``k`` at bit ``k``.

    Attributes
    ----------
    slot : dict of int to (float, float, int)
        By job in line: planned start and end, and nodes.
    held : dict of int to (float, int)
        By running job: the end by its limit, and nodes.
    """

    def __init__(self, now_s: float, free: int) -> None:
        self._times_s, self._free = [now_s], [free]
        # So many steps are worth a look for neighbours that are alike.
        self._merge_at = 16
        self.slot: dict[int, tuple[float, float, int]] = {}
        self.held: dict[int, tuple[float, int]] = {}

    def advance(self, now_s: float) -> None:
        """Forget what lies before *now_s*."""
        passed = bisect_right(self._times_s, now_s) - 1
        if passed > 0:
            del self._times_s[:passed], self._free[:passed]
        self._times_s[0] = max(self._times_s[0], now_s)
        if len(self._free) < self._merge_at:
            return
        # A job starts no earlier in the middle of a step than at its beginning.
        kept = [0, *(k for k in range(1, len(self._free)) if self._free[k] != self._free[k - 1])]
        if len(kept) < len(self._free):
            self._times_s = [self._times_s[k] for k in kept]
            self._free = [self._free[k] for k in kept]
        self._merge_at = 2 * len(self._free)

    def earliest(self, nodes: int, limit_s: float, from_s: float = -inf) -> tuple[float, int] | None:
        """Earliest time from *from_s* on at which the same *nodes* stay free for *limit_s*; the lowest. [s, bitset]"""
        start = self._cut(from_s) if from_s > self._times_s[0] else 0
        times_s, free = self._times_s, self._free
        last, least_s = len(free) - 1, limit_s - ROUNDING_S
        index, common = start, -1
        while True:
            common &= free[index]
            if common.bit_count() < nodes:
                # The latest start before here that still leaves enough of the same nodes, or the step after this one.
                start, common = index, free[index]
                if common.bit_count() < nodes:
                    start, common = index + 1, -1
                    if index == last:
                        return None
                else:
                    while (earlier := common & free[start - 1]).bit_count() >= nodes:
                        start, common = start - 1, earlier
            if index == last or (start <= index and times_s[index + 1] - times_s[start] >= least_s):
                return times_s[start], lowest_bits(common, nodes)
            index += 1

    def promised(self, until_s: float) -> int:
        """Nodes that a job in line will get before a time, as one bitset."""
        mask = 0
        for start_s, _, nodes in self.slot.values():
            if start_s < until_s - ROUNDING_S:
                mask |= nodes
        return mask

    def take(self, start_s: float, end_s: float, mask: int) -> None:
        """Use nodes from a time to another."""
        for index in range(self._cut(start_s), self._cut(end_s)):
            self._free[index] &= ~mask

    def give(self, start_s: float, end_s: float, mask: int) -> None:
        """Free nodes from a time to another."""
        if end_s > start_s:
            for index in range(self._cut(start_s), self._cut(end_s)):
                self._free[index] |= mask

    def _cut(self, time_s: float) -> int:
        """Index of the step that begins at a time; one is made where there is none."""
        index = bisect_right(self._times_s, time_s + ROUNDING_S)
        if self._times_s[index - 1] >= time_s - ROUNDING_S:
            return index - 1
        self._times_s.insert(index, time_s)
        self._free.insert(index, self._free[index - 1])
        return index


def conservative(cluster: Cluster, now_s: float, newcomers: list[int] | None) -> None:
    """First come, first served, and a later job starts early only where no earlier one is delayed by it.

    Every job in line has nodes and the earliest time at which it can have them, given all others. When a job ends
    before its limit, each job in line, in order, may move to an earlier time while the others keep theirs. A share of a
    node starts at once where it fits a node in use that nobody was promised before its limit; nodes out of service are
    planned for when they are back.

    A booked job, known before its submission, is planned for from then on, ahead of all in line, and starts no earlier
    than it is submitted: its nodes are kept free for it. ``notes`` may hold ``depth``: the first so many jobs in line
    have a time, those behind them wait without one, like Slurm's ``bf_max_job_test``.

    References
    ----------
    .. [1] Mu'alem and Feitelson, IEEE TPDS 12(6), 2001.
    .. [2] Batsim's ``conservative_bf``, whose schedule of 801 jobs this equals start by start.
    """
    placement, notes = cluster.placement, cluster.notes
    plan = notes.get("plan")
    if plan is None or notes["nodes"] != cluster.service.changed:
        plan, notes["nodes"] = _planned_anew(cluster, now_s), cluster.service.changed
        notes["plan"], again = plan, True
    else:
        plan.advance(now_s)
        again = newcomers is None
        # Also those that ended while nobody waited, which brings no pass.
        for job in sorted(plan.held.keys() - cluster.running.keys()):
            end_s, mask = plan.held.pop(job)
            plan.give(now_s, end_s, mask & placement.free_mask)
            again = True
    if plan.held and min(plan.held.values())[0] <= now_s + ROUNDING_S:
        for job, (end_s, mask) in plan.held.items():
            if end_s <= now_s + ROUNDING_S:
                plan.take(now_s, now_s + OVERRUN_S, mask)
                plan.held[job] = (now_s + OVERRUN_S, mask)
    depth: float = notes.get("depth", inf)
    if not again:
        for job in newcomers or ():
            if len(plan.slot) < depth:
                _plan_for(cluster, plan, job, now_s)
        return
    looked_at: set[int] = set()
    while True:
        booked, in_line = _in_line(cluster, depth)
        if not looked_at:
            _unplan(plan, booked, in_line, now_s)
        todo = [job for job in (*booked, *in_line) if job not in looked_at]
        for job in todo:
            _plan_for(cluster, plan, job, now_s)
        # Who starts makes room in the depth for others.
        if not todo or depth == inf:
            return
        looked_at.update(todo)


def _unplan(plan: Plan, booked: list[int], in_line: list[int], now_s: float) -> None:
    """Take their times back from those beyond the depth, and from all in line where nodes are booked anew."""
    kept = set(booked)
    if kept <= plan.slot.keys():
        kept.update(in_line)
    for job in [job for job in plan.slot if job not in kept]:
        start_s, end_s, mask = plan.slot.pop(job)
        plan.give(max(start_s, now_s), end_s, mask)


def _plan_for(cluster: Cluster, plan: Plan, job: int, now_s: float) -> None:
    """Start a job, or give it the earliest time that it can have, given all others."""
    queue, placement, known_s = cluster.queue, cluster.placement, cluster.jobs.known_s
    size, limit_s = queue.size_of[job], queue.limit_s[job]
    if job in plan.slot:
        start_s, end_s, mask = plan.slot.pop(job)
        plan.give(max(start_s, now_s), end_s, mask)
    from_s = now_s if known_s is None else max(now_s, cluster.jobs.submit_s[job])
    if size.share_gpus and placement.share_levels >> size.share_gpus and from_s <= now_s + ROUNDING_S:
        # A node in use whose time after that is promised to nobody.
        beside = placement.shared_with(size.share_gpus, ~plan.promised(now_s + limit_s))
        if beside:
            _hold(cluster, plan, job, now_s, beside)
            return
    found = plan.earliest(size.nodes, limit_s, from_s)
    if found is None:
        return
    start_s, mask = found
    if start_s <= now_s + ROUNDING_S and mask & placement.free_mask == mask:
        _hold(cluster, plan, job, now_s, mask)
        return
    plan.take(start_s, start_s + limit_s, mask)
    plan.slot[job] = (start_s, start_s + limit_s, mask)
    if start_s > now_s + ROUNDING_S:
        cluster.wake(start_s)


def _in_line(cluster: Cluster, depth: float) -> tuple[list[int], list[int]]:
    """Booked jobs, and the first *depth* of the others in line, by submission."""
    queue, jobs = cluster.queue, cluster.jobs
    if jobs.known_s is None:
        return [], queue.first(depth)
    booked = sorted(job for job in queue.members if jobs.known_s[job] < jobs.submit_s[job])
    others = [job for job in queue.first(depth + len(booked)) if job not in set(booked)]
    return booked, others if depth >= len(others) else others[: int(depth)]


def _hold(cluster: Cluster, plan: Plan, job: int, now_s: float, mask: int) -> None:
    """Start a job on the nodes of a bitset, and plan them as used until its limit."""
    limit_s = cluster.queue.limit_s[job]
    cluster.start(job, now_s, mask)
    held = cluster.mask(job)
    plan.take(now_s, now_s + limit_s, held)
    plan.held[job] = (now_s + limit_s, held)


def _planned_anew(cluster: Cluster, now_s: float) -> Plan:
    """Plan of what runs, with nothing for the jobs in line yet."""
    masks = {job: cluster.mask(job) for job in cluster.running}
    in_service = cluster.placement.free_mask
    for mask in masks.values():
        in_service |= mask
    plan = Plan(now_s, in_service)
    for job, mask in masks.items():
        end_s = max(cluster.release_s(job), now_s)
        plan.take(now_s, end_s, mask)
        plan.held[job] = (end_s, mask)
    return plan


def easy_nodes(cluster: Cluster, now_s: float, newcomers: list[int] | None) -> None:
    """EASY with the identity of nodes: whoever outlasts the shadow time spares those that the first in line will get.

    Jobs get the free nodes of the lowest numbers; the first in line will get the lowest of those free at its shadow
    time. A job smaller than a node joins a node in use where it fits one, and its node is free when all on it have
    ended.

    References
    ----------
    .. [1] Batsim's ``easy_bf``, whose schedule of 801 jobs this equals start by start (``dcsim validate schedule``).
    """
    queue, placement = cluster.queue, cluster.placement
    # By the end that its limit gives each job that was started here; those that ended are dropped when they are met.
    releases: list[tuple[float, int]] = cluster.notes.setdefault("releases", [])

    def begin(job: int, free: int, spared: int = 0) -> bool:
        size = queue.size_of[job]
        on = placement.shared_with(size.share_gpus, ~spared) if size.share_gpus else 0
        if not on and free.bit_count() < size.nodes:
            return False
        cluster.start(job, now_s, on or lowest_bits(free, size.nodes))
        insort(releases, (cluster.release_s(job), job))
        return True

    head = queue.head()
    while head >= 0 and fits(placement, queue.size_of[head]):
        begin(head, placement.free_mask)
        head = queue.head()
    free = placement.free_mask
    if head < 0 or not (free or placement.share_levels):
        return
    need, shadow_s, at_shadow = queue.size_of[head].nodes, inf, free
    ended = []
    done_on: Counter[int] = Counter()
    for index, (release_s, job) in enumerate(releases):
        if job not in cluster.running or cluster.release_s(job) != release_s:
            ended.append(index)
            continue
        if release_s > shadow_s + ROUNDING_S:
            break
        mask = cluster.mask(job)
        if queue.size_of[job].share_gpus:
            done_on[mask] += 1
            if done_on[mask] < len(placement.jobs_on(mask.bit_length() - 1)):
                continue
        at_shadow |= mask
        if at_shadow.bit_count() >= need and shadow_s == inf:
            shadow_s = max(release_s, now_s)
    for index in reversed(ended):
        del releases[index]
    reserved = lowest_bits(at_shadow, need) if shadow_s < inf else 0
    window_s = shadow_s - now_s + ROUNDING_S
    for job in sorted(queue.members):
        if job == head or not fits(placement, queue.size_of[job]):
            continue
        spared = 0 if queue.limit_s[job] <= window_s else reserved
        if not begin(job, free & ~spared, spared):
            continue
        free = placement.free_mask
        if not (free or placement.share_levels):
            return
