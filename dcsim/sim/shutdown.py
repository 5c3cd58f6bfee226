"""Idle nodes switched off, and started again when jobs wait: a policy on top of EASY."""

from dataclasses import dataclass

from dcsim.errors import RangeError
from dcsim.sim.easy import easy
from dcsim.sim.placement import lowest_bits
from dcsim.sim.seen import Cluster


@dataclass(frozen=True)
class Shutdown:
    """How long nodes idle before they are switched off, and how long that and starting take.

    Parameters
    ----------
    idle_s : float
        Time for which a node is free before it is switched off; 0 for at once. [s]
    off_s, boot_s : float
        Time from the order to off, and from the order to ready. [s]

    Raises
    ------
    RangeError
        If a time is negative or not finite.
    """

    idle_s: float
    off_s: float
    boot_s: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("idle_s", "off_s", "boot_s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise RangeError(f"{name} is {getattr(self, name)} s; give a finite time from 0")


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
    queue, placement = cluster.queue, cluster.placement
    free = placement.free_mask
    since: dict[int, float] = cluster.notes.setdefault("free since", {})
    _watch(since, free, now_s)
    if queue.n_queued:
        lacking = sum(queue.size_of[job].nodes for job in queue.members) - placement.free_nodes - cluster.booting
        asleep = cluster.asleep
        n = min(lacking, asleep.bit_count())
        if n > 0:
            cluster.boot(lowest_bits(asleep, n), now_s)
        return
    idle_s = cluster.shutdown.idle_s
    ripe, next_s = 0, float("inf")
    for node, began_s in since.items():
        if began_s + idle_s <= now_s + 1e-9:
            ripe |= 1 << node
        else:
            next_s = min(next_s, began_s + idle_s)
    if ripe:
        cluster.sleep(ripe, now_s)
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
