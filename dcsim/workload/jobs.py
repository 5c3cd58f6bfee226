"""Jobs as columns: what a trace reader or a generator hands to the simulator."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Room:
    """Room for jobs in a pool.

    Parameters
    ----------
    pool : str
        Its name.
    gpus_from : tuple of (time_s, gpus)
        GPUs that are energised from each time on, in order of time; all pools have the same times. [s], [GPU]
    nodes_from : tuple of (time_s, nodes)
        Nodes of a pool whose servers have no GPUs; none of any other. [s], [1]
    node_gpus, leaf_gpus : int
        GPUs of a node and of a group of leaves. [GPU]
    instances : int
        Instances of each GPU; where it is more than one, no job gets more than one of them.
    speed : mapping of str to float
        By class: how much faster jobs are there than their run times say; 1 for those left out. [1]
    """

    pool: str
    gpus_from: tuple[tuple[float, int], ...]
    node_gpus: int
    leaf_gpus: int
    instances: int
    speed: Mapping[str, float]
    nodes_from: tuple[tuple[float, int], ...] = ()


def together(rooms: Sequence[Room]) -> tuple[tuple[float, int], ...]:
    """GPUs of some pools together from each time on. [s], [GPU]"""
    return tuple((of[0][0], sum(gpus for _, gpus in of)) for of in _at_each_time(rooms))


def widest(rooms: Sequence[Room]) -> tuple[tuple[float, int], ...]:
    """GPUs of the largest job that some pools can have from each time on, or nodes where they have none. [s], [1]"""
    if any(room.nodes_from for room in rooms):
        at = zip(*(room.nodes_from for room in rooms), strict=True)
        return tuple((of[0][0], max(nodes for _, nodes in of)) for of in at)
    most = [1 if room.instances > 1 else math.inf for room in rooms]
    return tuple(
        (of[0][0], max(int(min(gpus, one)) for (_, gpus), one in zip(of, most, strict=True)))
        for of in _at_each_time(rooms)
    )


def useful(rooms: Sequence[Room], name: str) -> tuple[tuple[float, float], ...]:
    """GPUs of some pools together from each time on, each counted by what a class's jobs get done there. [s], [GPU]"""
    speeds = [room.instances * room.speed.get(name, 1.0) for room in rooms]
    return tuple(
        (of[0][0], sum(gpus * speed for (_, gpus), speed in zip(of, speeds, strict=True)))
        for of in _at_each_time(rooms)
    )


def _at_each_time(rooms: Sequence[Room]) -> Iterator[tuple[tuple[float, int], ...]]:
    return zip(*(room.gpus_from for room in rooms), strict=True)


def booked(jobs: "Jobs", submit_s: Floats, ahead_s: Floats) -> Floats | None:
    """``known_s`` of *jobs* with more jobs behind them that are booked some time ahead; None if none is. [s]"""
    if jobs.known_s is None and not ahead_s.any():
        return None
    before = jobs.submit_s if jobs.known_s is None else jobs.known_s
    return np.concatenate([before, np.maximum(submit_s - ahead_s, 0.0)])


@dataclass(frozen=True)
class Jobs:
    """A stream of jobs in the order of submission; one row a job, one array a column.

    Parameters
    ----------
    job_id : ndarray of int, shape (n,)
        The trace's own number, or 1, 2, 3 ...
    submit_s : ndarray, shape (n,)
        When the job is submitted, non-decreasing, from the plan's start. [s]
    run_s : ndarray, shape (n,)
        Run time at the reference placement (the fewest leaves that can hold it) without failures. [s]
    limit_s : ndarray, shape (n,)
        The user's estimate, which reservations believe; at least ``run_s``. [s]
    gpus : ndarray of int, shape (n,)
        GPUs asked for; 0 for work that runs elsewhere and takes none.
    class_index : ndarray of int, shape (n,)
        Index into ``class_names``.
    class_names : tuple of str
        Workload classes.
    tenant_index : ndarray of int, shape (n,), optional
        Index into ``tenants``, of those who share the cluster; all jobs are one tenant's if absent.
    tenants : tuple of str
        Users, groups or virtual clusters.
    priority : ndarray of int, shape (n,), optional
        Higher goes first, where a policy asks; all alike if absent.
    release_s : ndarray, shape (n,), optional
        Earliest start, at or after the submission, which it is if absent. [s]
    known_s : ndarray, shape (n,), optional
        When a booked job gets into line, before its submission, which is its earliest start; the submission of others,
        and of all if absent. [s]
    deadline_s : ndarray, shape (n,), optional
        When the job should have ended, infinite for those without; none has one if absent. [s]
    parents : mapping of int to tuple of int, optional
        By row: the rows that must end before it can queue.
    """

    job_id: Ints
    submit_s: Floats
    run_s: Floats
    limit_s: Floats
    gpus: Ints
    class_index: Ints
    class_names: tuple[str, ...]
    tenant_index: Ints | None = None
    tenants: tuple[str, ...] = ("",)
    priority: Ints | None = None
    release_s: Floats | None = None
    deadline_s: Floats | None = None
    known_s: Floats | None = None
    parents: Mapping[int, tuple[int, ...]] | None = None

    def __len__(self) -> int:
        """Count the jobs."""
        return len(self.job_id)

    def select(self, keep: NDArray[np.bool_] | Ints) -> "Jobs":
        """Return the jobs that a mask or an index array picks."""
        columns: dict[str, Any] = {
            "job_id": self.job_id[keep],
            "submit_s": self.submit_s[keep],
            "run_s": self.run_s[keep],
            "limit_s": self.limit_s[keep],
            "gpus": self.gpus[keep],
            "class_index": self.class_index[keep],
            "tenant_index": None if self.tenant_index is None else self.tenant_index[keep],
            "priority": None if self.priority is None else self.priority[keep],
            "release_s": None if self.release_s is None else self.release_s[keep],
            "deadline_s": None if self.deadline_s is None else self.deadline_s[keep],
            "known_s": None if self.known_s is None else self.known_s[keep],
        }
        if self.parents:
            rows = np.arange(len(self))[keep]
            place = {int(row): k for k, row in enumerate(rows)}
            columns["parents"] = {
                place[child]: tuple(place[one] for one in of if one in place)
                for child, of in self.parents.items()
                if child in place
            }
        return replace(self, **columns)
