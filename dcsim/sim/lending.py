"""Nodes of a pool that services hold: which, until when, and what stands for those that fail."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import simpy

if TYPE_CHECKING:
    from dcsim.sim.dispatcher import Dispatcher


class Lending:
    """Nodes lent to services; its methods are called at ``env.now``.

    Parameters
    ----------
    cluster : Dispatcher
        Whose nodes they are.
    env : simpy.Environment
        The clock.

    Attributes
    ----------
    lent : dict of int to float
        Nodes that services hold, in the order in which they got them, and when they are due back. [s]
    fill : callable or None
        What to call when nodes come, where services may lack some.
    """

    def __init__(self, cluster: "Dispatcher", env: simpy.Environment) -> None:
        self.lent: dict[int, float] = {}
        self.fill: Callable[[], None] | None = None
        self._cluster = cluster
        self._env = env

    def lend(self, n_nodes: int, return_s: float) -> int:
        """Give up to *n_nodes* to services until *return_s*, and say how many.

        Free nodes go first, then those of the jobs that started last: these write a checkpoint and queue again. A job
        that shares a node keeps it until none else is left.
        """
        cluster, now_s = self._cluster, self._env.now
        cluster.foreign_event(now_s)
        placement = cluster.placement
        for share in (False, True):
            for job in reversed([*cluster.running]):
                if placement.free_nodes >= n_nodes:
                    break
                if bool(cluster.queue.size_of[job].share_gpus) == share:
                    cluster.interruptions["services"] += 1
                    cluster.preempt(job, now_s)
        found = placement.highest_free(n_nodes)
        for node in found:
            cluster.service.lend(node, now_s, return_s)
            self.lent[node] = return_s
        return len(found)

    def take_back(self) -> None:
        """Have the node that was lent last for jobs again."""
        now_s = self._env.now
        self._cluster.foreign_event(now_s)
        node, return_s = self.lent.popitem()
        self._cluster.service.take_back(node, now_s, return_s)

    def top_up(self) -> None:
        """Lend what services lack, now that nodes have come."""
        if self.fill is not None:
            self.fill()

    def recall(self, node: int) -> list[tuple[int, float]]:
        """Take a node that is lent from the services; say what was lent from it on, it first. Nothing if it is not."""
        if node not in self.lent:
            return []
        held = list(self.lent.items())
        from_it = held[list(self.lent).index(node) :]
        self._cluster.service.take_back(node, self._env.now, self.lent.pop(node))
        return from_it

    def replace(self, held: list[tuple[int, float]]) -> None:
        """Lend another node in the place of the first of *held*, so that the last to come still go back first."""
        if held and self.lend(1, held[0][1]):
            for node, return_s in held[1:]:
                del self.lent[node]
                self.lent[node] = return_s
