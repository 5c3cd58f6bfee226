"""The job queue: one queue per job size, each with a segment tree over limits, and the order of submission over all.

A place in the queue belongs to a job for good: it is the job's rank by submission among the jobs of its size. A job
that a failure throws back therefore returns to its own place, ahead of all later submissions, at no extra cost.
"""

import sys
from array import array
from collections.abc import Sequence
from heapq import heappop, heappush
from math import inf

import numpy as np

from dcsim.workload.jobs import Floats, Ints

_LONGEST = sys.float_info.max
"""Above every finite limit and below the infinity that marks an empty place."""


class SizeQueue:
    """The queued jobs of one size in the order of submission.

    A binary tree of minima over the places answers "which is the first job with a limit of at most x" in O(log n):
    ``_tree[1]`` is the least limit of all, the children of ``i`` are ``2 i`` and ``2 i + 1``, and the places are the
    leaves, infinite where empty.

    Parameters
    ----------
    nodes : int
        Nodes that a job of this size takes; 1 for a share of a node.
    share_gpus : int
        GPUs of a job smaller than a node; 0 for whole nodes.
    node_share : float
        Nodes that it takes, the share of one as a fraction.
    jobs : sequence of int
        All jobs of this size that can ever queue, ascending.
    """

    __slots__ = ("_capacity", "_front", "_tree", "jobs", "n_queued", "node_share", "nodes", "share_gpus")

    def __init__(self, nodes: int, share_gpus: int, node_share: float, jobs: Sequence[int]) -> None:
        self.nodes = nodes
        self.share_gpus = share_gpus
        self.node_share = node_share
        self.jobs = jobs
        self.n_queued = 0
        self._capacity = 1 << (len(jobs) - 1).bit_length()
        self._tree = [inf] * (2 * self._capacity)
        self._front = 0

    @property
    def least_limit_s(self) -> float:
        """Least limit of the queued jobs; infinite if there are none. [s]"""
        return self._tree[1]

    def put(self, place: int, limit_s: float) -> None:
        """Queue the job of *place*, which must not be queued."""
        tree = self._tree
        node = place + self._capacity
        tree[node] = limit_s
        node >>= 1
        while node and tree[node] > limit_s:
            tree[node] = limit_s
            node >>= 1
        if place < self._front or not self.n_queued:
            self._front = place
        self.n_queued += 1

    def drop(self, place: int) -> None:
        """Take the job of *place*, which must be queued, out of the queue."""
        tree = self._tree
        node = place + self._capacity
        tree[node] = inf
        node >>= 1
        while node:
            left, right = tree[2 * node], tree[2 * node + 1]
            least = left if left < right else right
            if tree[node] == least:
                break
            tree[node] = least
            node >>= 1
        self.n_queued -= 1

    def first(self) -> int:
        """Return the earliest-submitted queued job; at least one must be queued."""
        if self._tree[self._front + self._capacity] == inf:
            self._front = self._leftmost(_LONGEST)
        return self.jobs[self._front]

    def first_within(self, limit_s: float) -> int:
        """Return the earliest-submitted queued job with a limit of at most *limit_s*, or -1 if there is none."""
        if limit_s > _LONGEST:
            limit_s = _LONGEST
        return -1 if self._tree[1] > limit_s else self.jobs[self._leftmost(limit_s)]

    def _leftmost(self, limit_s: float) -> int:
        tree, capacity = self._tree, self._capacity
        node = 1
        while node < capacity:
            node *= 2
            if tree[node] > limit_s:
                node += 1
        return node - capacity


class JobQueue:
    """All queued jobs.

    Parameters
    ----------
    gpus : ndarray of int, shape (n,)
        GPUs that each job asks for, in the order of submission.
    limit_s : ndarray, shape (n,)
        Each job's limit, finite. [s]
    gpus_per_node : int
        A job of fewer GPUs takes a share of a node, any other takes whole nodes.

    Attributes
    ----------
    sizes : list of SizeQueue
        By rising size: shares of a node first, then whole nodes.
    size_of : list of SizeQueue
        The size queue of each job.
    members : dict of int
        The queued jobs, as keys, in the order in which they came.
    limit_s : array of float
        Current limit of each job; change it only while the job is not queued. [s]
    node_s : float
        Nodes times limit of the queued jobs. [s]
    """

    __slots__ = ("_in_order", "_place", "_queued", "limit_s", "members", "node_s", "size_of", "sizes")

    def __init__(self, gpus: Ints, limit_s: Floats, gpus_per_node: int) -> None:
        nodes = -(-gpus // gpus_per_node)
        shape = np.where(gpus < gpus_per_node, gpus, gpus_per_node - 1 + nodes)
        shapes, size_index, counts = np.unique(shape, return_inverse=True, return_counts=True)
        by_size = np.argsort(size_index, kind="stable")
        ends = np.cumsum(counts)
        self.sizes: list[SizeQueue] = []
        place = np.empty(len(gpus), dtype=np.int64)
        for level, start, end in zip(shapes.tolist(), (ends - counts).tolist(), ends.tolist(), strict=True):
            members = by_size[start:end]
            place[members] = np.arange(end - start)
            share_gpus = level if level < gpus_per_node else 0
            nodes_taken = max(1, level - gpus_per_node + 1)
            node_share = share_gpus / gpus_per_node if share_gpus else float(nodes_taken)
            self.sizes.append(SizeQueue(nodes_taken, share_gpus, node_share, array("q", members)))
        self.size_of = [self.sizes[index] for index in size_index.tolist()]
        self.limit_s = array("d", limit_s)
        self.members: dict[int, None] = {}
        self.node_s = 0.0
        self._place = array("q", place)
        self._queued = bytearray(len(gpus))
        self._in_order: list[int] = []

    @property
    def n_queued(self) -> int:
        """Jobs queued."""
        return len(self.members)

    def __contains__(self, job: int) -> bool:
        """Tell whether *job* is queued."""
        return bool(self._queued[job])

    def put(self, job: int) -> None:
        """Queue *job* at its place by order of submission."""
        size, limit_s = self.size_of[job], self.limit_s[job]
        size.put(self._place[job], limit_s)
        self.node_s += size.node_share * limit_s
        self._queued[job] = 1
        self.members[job] = None
        heappush(self._in_order, job)

    def drop(self, job: int) -> None:
        """Take *job* out of the queue."""
        size = self.size_of[job]
        size.drop(self._place[job])
        self._queued[job] = 0
        del self.members[job]
        # Exactly nothing where nobody waits, whatever the sums rounded to.
        self.node_s = self.node_s - size.node_share * self.limit_s[job] if self.members else 0.0

    def first(self, n: float) -> list[int]:
        """Return the *n* earliest-submitted queued jobs, or all if they are fewer, in that order."""
        if n >= len(self.members):
            return sorted(self.members)
        in_order, queued = self._in_order, self._queued
        found: list[int] = []
        while len(found) < n:
            job = heappop(in_order)
            # A job that came back is in the heap twice.
            if queued[job] and (not found or job != found[-1]):
                found.append(job)
        for job in found:
            heappush(in_order, job)
        return found

    def head(self) -> int:
        """Return the earliest-submitted queued job, or -1 if the queue is empty."""
        in_order, queued = self._in_order, self._queued
        # Jobs that left from the middle are still in the heap; they are skipped when they come to its top.
        while in_order and not queued[in_order[0]]:
            heappop(in_order)
        return in_order[0] if in_order else -1
