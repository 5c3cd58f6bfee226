"""Idle nodes switched off, and started again when jobs wait: a policy on top of EASY."""

from dcsim.sim.easy import easy
from dcsim.sim.placement import lowest_bits
from dcsim.sim.seen import Cluster


def easy_shutdown(cluster: Cluster, now_s: float, newcomers: list[int] | None) -> None:
    """EASY; nodes that nobody needs are switched off, and as many started as waiting jobs lack.

    Nodes are switched off only while no job waits. A job that lacks nodes has them started at once, the lowest numbers
    first, and waits for them as for any release.

    References
    ----------
    .. [1] Opportunistic shutdown as in M. Poquet's experiments with Batsim, "Simulation approach for resource
       management", thesis, Université Grenoble Alpes 2017.
    """
    easy(cluster, now_s, newcomers)
    queue, placement, service = cluster.queue, cluster.placement, cluster.service
    free = placement.free_mask
    since: dict[int, float] = cluster.notes.setdefault("free since", {})
    _watch(since, free, now_s)
    if queue.n_queued:
        lacking = sum(queue.size_of[job].nodes for job in queue.members) - placement.free_nodes - service.booting
        asleep = service.asleep
        n = min(lacking, asleep.bit_count())
        if n > 0:
            service.boot(lowest_bits(asleep, n), now_s)
        return
    idle_s = service.shutdown.idle_s
    ripe, next_s = 0, float("inf")
    for node, began_s in since.items():
        if began_s + idle_s <= now_s + 1e-9:
            ripe |= 1 << node
        else:
            next_s = min(next_s, began_s + idle_s)
    if ripe:
        service.sleep(ripe, now_s)
        _watch(since, placement.free_mask, now_s)
    if next_s < float("inf"):
        cluster.wake(next_s)


def _watch(since: dict[int, float], free: int, now_s: float) -> None:
    """Note since when each free node has been free."""
    for node in [node for node in since if not free >> node & 1]:
        del since[node]
    while free:
        low = free & -free
        since.setdefault(low.bit_length() - 1, now_s)
        free ^= low
