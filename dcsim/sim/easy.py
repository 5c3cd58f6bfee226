"""Policies by order of submission: first come first served, and with EASY backfill, exact and without a limit."""

from dcsim.sim.reservations import ROUNDING_S
from dcsim.sim.seen import Cluster, fits


def start_in_order(cluster: Cluster, now_s: float) -> int:
    """Start the jobs at the head of the queue for as long as they fit; return the first that does not, or -1."""
    queue, placement = cluster.queue, cluster.placement
    head = queue.head()
    while head >= 0 and fits(placement, queue.size_of[head]):
        cluster.start(head, now_s)
        head = queue.head()
    return head


def fifo(cluster: Cluster, now_s: float, newcomers: list[int] | None) -> None:
    """First come, first served: nobody passes a job that does not fit."""
    start_in_order(cluster, now_s)


def easy(cluster: Cluster, now_s: float, newcomers: list[int] | None) -> None:
    """First come, first served with EASY backfill, exact and without a limit on depth.

    After the jobs at the head, the earliest-submitted job that fits now, and that either ends by the shadow time (now +
    limit) or uses no more than the extra nodes, starts; and so on until there is none. A share of a node that outlasts
    the shadow time uses one extra node, whichever node it is on.

    References
    ----------
    Mu'alem and Feitelson, "Utilization, predictability, workloads, and user runtime estimates in scheduling the IBM SP2
    with backfilling", IEEE TPDS 12(6), 2001.
    """
    head = start_in_order(cluster, now_s)
    placement = cluster.placement
    if head < 0 or not (placement.free_nodes or placement.share_levels):
        return
    reservations = cluster.reservations
    # Behind a head whose reservation stands, whoever could not start before cannot start now: only newcomers can.
    only_newcomers = newcomers is not None and reservations.holds_for(head, now_s)
    reservations.reserve(head, cluster.queue.size_of[head].nodes, placement.free_nodes, now_s)
    if newcomers is not None and only_newcomers:
        _backfill_newcomers(cluster, now_s, newcomers)
    else:
        _backfill(cluster, now_s)


def start_behind(cluster: Cluster, job: int, now_s: float, window_s: float) -> None:
    """Start a job that fits where it ends by the shadow time, *window_s* from now, or takes extra nodes alone."""
    nodes, reservations = cluster.queue.size_of[job].nodes, cluster.reservations
    if cluster.queue.limit_s[job] > window_s:
        if nodes > reservations.extra_nodes:
            return
        reservations.extra_nodes -= nodes
    cluster.start(job, now_s)


def backfill(cluster: Cluster, head: int, need_nodes: int, now_s: float) -> None:
    """Reserve nodes for the first in line, which lacks some, and start who does not delay it."""
    cluster.reservations.reserve(head, need_nodes, cluster.placement.free_nodes, now_s)
    _backfill(cluster, now_s)


def _backfill_newcomers(cluster: Cluster, now_s: float, newcomers: list[int]) -> None:
    queue, placement = cluster.queue, cluster.placement
    window_s = cluster.reservations.shadow_s - now_s + ROUNDING_S
    for job in newcomers:
        size = queue.size_of[job]
        if fits(placement, size):
            start_behind(cluster, job, now_s, window_s)


def _backfill(cluster: Cluster, now_s: float) -> None:
    queue, placement, reservations = cluster.queue, cluster.placement, cluster.reservations
    window_s = reservations.shadow_s - now_s + ROUNDING_S
    while True:
        free_nodes, share_levels, extra_nodes = placement.free_nodes, placement.share_levels, reservations.extra_nodes
        earliest = -1
        for size in queue.sizes:
            if size.nodes > free_nodes and not (size.share_gpus and share_levels >> size.share_gpus):
                break  # Sizes rise, so no later one fits either; nor, therefore, does the head.
            if not size.n_queued:
                continue
            if size.nodes <= extra_nodes:
                job = size.first()
            elif size.least_limit_s <= window_s:
                job = size.first_within(window_s)
            else:
                continue
            if job < earliest or earliest < 0:
                earliest = job
        if earliest < 0:
            return
        if queue.limit_s[earliest] > window_s:
            reservations.extra_nodes -= queue.size_of[earliest].nodes
        cluster.start(earliest, now_s)
