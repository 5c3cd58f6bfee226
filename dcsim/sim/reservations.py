"""When the head of the queue will be able to start: expected releases of nodes, shadow time and extra nodes.

Definitions, kept exactly:

- *Release*: a number of nodes that will become free at an expected time. A gang releases its nodes at start + limit.
  A node shared by small jobs is released at the latest start + limit among them. Nodes of a future phase are a release
  at the phase's date, a node in repair is a release at its expected return. A release expected in the past counts as
  now.
- *Shadow time*: the earliest time at which the nodes free now and all releases until then are enough for the head. A
  job smaller than a node reserves one whole node. Infinite where no such time exists.
- *Extra nodes*: the nodes free at the shadow time, with every release up to and including it, minus the head's need.

"Up to" means to within a microsecond, because ``now + limit`` is rounded: of two jobs with one limit, started at one
moment, the second would otherwise miss by a rounding the shadow that the first one set.
"""

from bisect import bisect_left
from math import inf

ROUNDING_S = 1e-6


class Reservations:
    """Expected releases in order of time, and the reservation of the head, recomputed only when it can have changed.

    Attributes
    ----------
    shadow_s, extra_nodes : float, int
        The reservation of the head as of the last :meth:`reserve`. Whoever starts a job that outlasts the shadow
        subtracts its nodes from ``extra_nodes``.
    recomputes : int
        How often the reservation was computed anew.
    """

    __slots__ = ("_head", "_nodes", "_shared", "_times_s", "extra_nodes", "recomputes", "shadow_s")

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._nodes: list[int] = []
        self._shared: dict[int, dict[int, float]] = {}
        self._head = -1
        self.shadow_s = -inf
        self.extra_nodes = 0
        self.recomputes = 0

    def expect(self, release_s: float, n_nodes: int) -> None:
        """Expect *n_nodes* to become free at *release_s*; the caller accounts for ``extra_nodes``."""
        times_s = self._times_s
        index = bisect_left(times_s, release_s)
        if index < len(times_s) and times_s[index] == release_s:
            self._nodes[index] += n_nodes
        else:
            times_s.insert(index, release_s)
            self._nodes.insert(index, n_nodes)

    def settle(self, release_s: float, n_nodes: int) -> None:
        """Forget an expected release, because its nodes became free or failed."""
        self._forget(release_s, n_nodes)
        # Nodes that come free before the shadow were counted on already: nothing changes at the shadow, and before it
        # they were still too few.
        if release_s >= self.shadow_s:
            self.invalidate()

    def join(self, node: int, job: int, release_s: float) -> None:
        """Expect *job*, which starts on a share of *node*, to end at *release_s*."""
        sharers = self._shared.get(node)
        if sharers is None:
            self._shared[node] = {job: release_s}
            self.expect(release_s, 1)
            return
        latest_s = max(sharers.values())
        sharers[job] = release_s
        # Whoever outlasts the shadow is charged an extra node, but this one was not going to be free at the shadow.
        if min(latest_s, release_s) > self.shadow_s:
            self.invalidate()
        if release_s > latest_s:
            self._postpone(latest_s, release_s)

    def leave(self, node: int, job: int) -> None:
        """Forget *job*, which stopped on its share of *node*."""
        sharers = self._shared[node]
        release_s = sharers.pop(job)
        if not sharers:
            del self._shared[node]
            self.settle(release_s, 1)
            return
        latest_s = max(sharers.values())
        if release_s > latest_s:
            self._postpone(release_s, latest_s)

    def invalidate(self) -> None:
        """Have the next :meth:`reserve` compute anew, because nodes came or went."""
        self._head = -1

    def holds_for(self, head: int, now_s: float) -> bool:
        """Tell whether the reservation is that of *head* and still true at *now_s*."""
        return head == self._head and now_s <= self.shadow_s

    def reserve(self, head: int, need_nodes: int, free_nodes: int, now_s: float) -> None:
        """Bring ``shadow_s`` and ``extra_nodes`` up to date for *head*, which does not fit now.

        Parameters
        ----------
        head : int
            First job of the queue.
        need_nodes : int
            Nodes that it needs; 1 for a share of a node.
        free_nodes : int
            Nodes in service that nobody uses.
        now_s : float
            Present time. [s]
        """
        if self.holds_for(head, now_s):
            return
        self.recomputes += 1
        self._head = head
        self.shadow_s = inf
        available = free_nodes
        last_counted_s = inf
        for time_s, n_nodes in zip(self._times_s, self._nodes, strict=True):
            if time_s > last_counted_s:
                break
            available += n_nodes
            if available >= need_nodes and last_counted_s == inf:
                self.shadow_s = max(time_s, now_s)
                last_counted_s = self.shadow_s + ROUNDING_S
        self.extra_nodes = available - need_nodes

    def _forget(self, release_s: float, n_nodes: int) -> None:
        index = bisect_left(self._times_s, release_s)
        if self._nodes[index] == n_nodes:
            del self._times_s[index], self._nodes[index]
        else:
            self._nodes[index] -= n_nodes

    def _postpone(self, from_s: float, to_s: float) -> None:
        self.settle(from_s, 1)
        self.expect(to_s, 1)
