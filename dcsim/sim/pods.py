"""Pods on unlike nodes: each asks for processors, memory and GPUs or a part of one, on a node that has them.

Arrays over nodes, one placement at a time; a pod waits until some node has room, and waits for nobody. What
:mod:`dcsim.sim.engine` does for gangs on like nodes, this does for single pods on unlike ones.
"""

from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from dcsim.errors import CapacityError, RangeError
from dcsim.steps import StepSeries

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WHOLE = 1000
"""Thousandths of a whole GPU."""


@dataclass(frozen=True)
class Nodes:
    """Nodes by number.

    Parameters
    ----------
    cpu_milli, memory_mib : ndarray of int, shape (n,)
        Thousandths of a processor, and memory. [1/1000], [MiB]
    gpus : ndarray of int, shape (n,)
        Whole GPUs. [GPU]
    model : tuple of str
        GPU model of each; empty where it has none.
    """

    cpu_milli: Ints
    memory_mib: Ints
    gpus: Ints
    model: tuple[str, ...]

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self.gpus)


@dataclass(frozen=True)
class Pods:
    """Pods in the order of submission.

    Parameters
    ----------
    submit_s, run_s : ndarray, shape (n,)
        Submission, and time that the pod holds its node; infinite for ever. [s]
    cpu_milli, memory_mib : ndarray of int, shape (n,)
        What it asks for.
    gpus, gpu_milli : ndarray of int, shape (n,)
        GPUs, and thousandths of each: 1,000 for whole ones; a part of a GPU is always of one.
    models : tuple of frozenset of str
        GPU models that it takes; empty for any.
    """

    submit_s: Floats
    run_s: Floats
    cpu_milli: Ints
    memory_mib: Ints
    gpus: Ints
    gpu_milli: Ints
    models: tuple[frozenset[str], ...]

    def __len__(self) -> int:
        """Count the pods."""
        return len(self.submit_s)

    @property
    def asked_milli(self) -> Ints:
        """Thousandths of GPUs in all, shape (n,)."""
        return np.asarray(self.gpus * self.gpu_milli)


@dataclass(frozen=True)
class Placed:
    """Where and when each pod was; ``node`` is -1 and ``start_s`` NaN where it found no room in its time."""

    nodes: Nodes
    pods: Pods
    start_s: Floats
    node: Ints

    @property
    def wait_s(self) -> Floats:
        """From submission to start, of the pods that started. [s]"""
        return np.asarray((self.start_s - self.pods.submit_s)[self.node >= 0])

    def used_milli(self, among: NDArray[np.bool_] | None = None) -> StepSeries:
        """Thousandths of GPUs in use over time, of all pods or of those that a mask names."""
        held = self.node >= 0 if among is None else (self.node >= 0) & among
        end_s = (self.start_s + self.pods.run_s)[held]
        asked = self.pods.asked_milli[held]
        ends = np.isfinite(end_s)
        times = np.concatenate([self.start_s[held], end_s[ends]])
        return StepSeries.from_changes(times, np.concatenate([asked, -asked[ends]]))


def place(nodes: Nodes, pods: Pods, *, start_s: Floats | None = None) -> Placed:
    """Place pods, best fit.

    Parameters
    ----------
    nodes : Nodes
    pods : Pods
    start_s : ndarray, shape (n,), optional
        Starts to be kept, as a trace has them; NaN for a pod that never started. Free if absent: a pod starts when a
        node has room for it, in the order of submission, and passes those that do not fit.

    Raises
    ------
    CapacityError
        If a pod asks for more than any node has, or finds no room at a start that is to be kept.
    RangeError
        If a pod asks for a part of several GPUs.

    Notes
    -----
    A part of a GPU goes to the GPU with the least room that suffices; whole GPUs to the node with the fewest whole ones
    that suffice; a pod without GPUs to a node without GPUs while there is one. Of equals, the lowest number.
    """
    if np.any((pods.gpu_milli != WHOLE) & (pods.gpus > 1)):
        raise RangeError("a pod asks for parts of several GPUs; a part is of one")
    state = _State(nodes, pods)
    if start_s is not None:
        return _kept(state, start_s)
    state.refuse_impossible()
    found_s, node = np.full(len(pods), np.nan), np.full(len(pods), -1)
    ends: list[tuple[float, int]] = []
    waiting: dict[int, None] = {}
    arrived = 0
    while arrived < len(pods) or ends:
        if arrived < len(pods) and (not ends or pods.submit_s[arrived] < ends[0][0]):
            now_s, tried = float(pods.submit_s[arrived]), [arrived]
            waiting[arrived] = None
            arrived += 1
        else:
            now_s = ends[0][0]
            while ends and ends[0][0] <= now_s:
                state.free(heappop(ends)[1])
            tried = list(waiting)
        for pod in tried:
            where = state.fit(pod)
            if where >= 0:
                state.take(pod, where)
                del waiting[pod]
                found_s[pod], node[pod] = now_s, where
                if np.isfinite(pods.run_s[pod]):
                    heappush(ends, (now_s + float(pods.run_s[pod]), pod))
    return Placed(nodes, pods, found_s, node)


def _kept(state: "_State", start_s: Floats) -> Placed:
    pods, node = state.pods, np.full(len(state.pods), -1)
    ends: list[tuple[float, int]] = []
    for pod in np.argsort(start_s, kind="stable").tolist():
        now_s = float(start_s[pod])
        if np.isnan(now_s):
            break  # NaN sorts last
        while ends and ends[0][0] <= now_s:
            state.free(heappop(ends)[1])
        where = state.fit(pod)
        if where < 0:
            raise CapacityError(f"pod {pod} finds no node with room at its recorded start, {now_s:g} s")
        state.take(pod, where)
        node[pod] = where
        if np.isfinite(pods.run_s[pod]):
            heappush(ends, (now_s + float(pods.run_s[pod]), pod))
    return Placed(state.nodes, pods, np.where(node >= 0, start_s, np.nan), node)


class _State:
    """What is free now, and which GPU each pod holds a part of."""

    def __init__(self, nodes: Nodes, pods: Pods) -> None:
        self.nodes, self.pods = nodes, pods
        self._cpu, self._memory = nodes.cpu_milli.copy(), nodes.memory_mib.copy()
        most = int(nodes.gpus.max(initial=0))
        # Free thousandths of each GPU of a node; none where it has fewer.
        self._gpu = np.where(np.arange(max(most, 1)) < nodes.gpus[:, None], WHOLE, 0)
        self._held: dict[int, tuple[int, Ints]] = {}
        models = np.array(nodes.model)
        self._allowed = {of: np.isin(models, list(of)) if of else None for of in set(pods.models)}

    def refuse_impossible(self) -> None:
        """Raise for pods that no empty node has room for."""
        wide = [pod for pod in range(len(self.pods)) if self.fit(pod) < 0]
        if wide:
            listed = ", ".join(map(str, wide[:10]))
            raise CapacityError(f"{len(wide)} pods ask for more than any node has: {listed}")

    def fit(self, pod: int) -> int:
        """Node for a pod; -1 if none has room."""
        pods = self.pods
        room = (self._cpu >= pods.cpu_milli[pod]) & (self._memory >= pods.memory_mib[pod])
        allowed = self._allowed[pods.models[pod]]
        gpus, milli = int(pods.gpus[pod]), int(pods.gpu_milli[pod])
        if not gpus:
            left = self.nodes.gpus * (1 << 40) + self._cpu
        else:
            if allowed is not None:
                room &= allowed
            if milli == WHOLE:
                whole = (self._gpu == WHOLE).sum(axis=1)
                room &= whole >= gpus
                left = whole
            else:
                fits = self._gpu >= milli
                room &= fits.any(axis=1)
                left = np.where(fits, self._gpu, 2 * WHOLE).min(axis=1)
        if not room.any():
            return -1
        return int(np.argmin(np.where(room, left, np.iinfo(np.int64).max)))

    def take(self, pod: int, node: int) -> None:
        """Give a pod its part of a node."""
        pods, gpus, milli = self.pods, int(self.pods.gpus[pod]), int(self.pods.gpu_milli[pod])
        self._cpu[node] -= pods.cpu_milli[pod]
        self._memory[node] -= pods.memory_mib[pod]
        row = self._gpu[node]
        if milli == WHOLE:
            chosen = np.flatnonzero(row == WHOLE)[:gpus]
        elif gpus:
            chosen = np.array([int(np.argmin(np.where(row >= milli, row, 2 * WHOLE)))])
        else:
            chosen = np.empty(0, dtype=np.int64)
        row[chosen] -= milli
        self._held[pod] = (node, chosen)

    def free(self, pod: int) -> None:
        """Take back what a pod held."""
        node, chosen = self._held.pop(pod)
        self._cpu[node] += self.pods.cpu_milli[pod]
        self._memory[node] += self.pods.memory_mib[pod]
        self._gpu[node][chosen] += int(self.pods.gpu_milli[pod])
