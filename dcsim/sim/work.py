"""The work of jobs: how much each has done, what a stop leaves of it, and when it will end."""

from array import array
from heapq import heappop, heappush
from math import inf, nan

import numpy as np

from dcsim.sim.failures import Reliability
from dcsim.sim.placement import Gang
from dcsim.sim.sharing import Sharing
from dcsim.sim.turns import Turns
from dcsim.workload.jobs import Floats, Jobs


class Work:
    """Work done and left, of all jobs of a pool; the attempt in progress, of the running ones.

    Work is counted as run time at the reference placement. An attempt first reloads the state, then works at the
    reference speed over its slowdown, and over what those make it slower with whom it shares up-links or GPUs.

    Parameters
    ----------
    jobs : Jobs
        Jobs in the order of submission.
    reliability : Reliability or None
        Checkpoints and restarts; none of either where it is None.
    sharing : Sharing, Turns or None
        What jobs over several leaves, or on one node, take from each other; None where nothing that they share binds.

    Attributes
    ----------
    left_s : array of float
        By job: work still to do. [s]
    start_s, end_s : array of float
        By job: start and end of its attempt; the end is NaN while it does not run, and while it hangs. [s]
    """

    __slots__ = (
        "_class_index",
        "_ends",
        "_hung_s",
        "_reliability",
        "_reload_s",
        "_run_s",
        "_shared",
        "_sharing",
        "_slowdown",
        "end_s",
        "left_s",
        "start_s",
    )

    def __init__(self, jobs: Jobs, reliability: Reliability | None, sharing: Sharing | Turns | None) -> None:
        n_jobs = len(jobs)
        self._reliability = reliability
        self._sharing = sharing
        # Arrays hold a number in 8 bytes, lists of number objects in 32.
        self._class_index = array("q", jobs.class_index)
        self._run_s = array("d", jobs.run_s)
        self.left_s = self._run_s[:]
        self._reload_s = array("d", [0.0]) * n_jobs
        self._slowdown = array("d", [1.0]) * n_jobs
        self.start_s = array("d", [nan]) * n_jobs
        self.end_s = array("d", [nan]) * n_jobs
        self._ends: list[tuple[float, int]] = []
        # Since when a running job works no more, because one of its nodes failed and nobody knows yet.
        self._hung_s: dict[int, float] = {}
        # By job that shares: how often slower than alone it is, since when, and what it did before in its
        # present attempt.
        self._shared: dict[int, tuple[float, float, float]] = {}

    @property
    def next_end_s(self) -> float:
        """When the next attempt may end; infinite if none runs. [s]"""
        return self._ends[0][0] if self._ends else inf

    def begin(self, job: int, now_s: float, slowdown: float) -> float:
        """Begin an attempt at a slowdown, and return its end if nothing changes. [s]"""
        end_s: float = now_s + (self._reload_s[job] + self.left_s[job] * slowdown)
        self._slowdown[job] = slowdown
        self.start_s[job] = now_s
        self.end_s[job] = end_s
        heappush(self._ends, (end_s, job))
        return end_s

    def ended(self, now_s: float) -> int:
        """Return a job that ends by *now_s*, the earliest first, once; -1 if there is none."""
        ends, end_s = self._ends, self.end_s
        while ends and ends[0][0] <= now_s:
            due_s, job = heappop(ends)
            # An attempt that was cut short leaves its entry behind.
            if end_s[job] == due_s:
                return job
        return -1

    def share(self, job: int, now_s: float, gang: Gang) -> None:
        """Let a job that begins take its part of what it shares with others."""
        if self._sharing is not None:
            self._sharing.add(job, gang, self._class_index[job])
            self._shared[job] = (1.0, now_s + self._reload_s[job], 0.0)
            self._move_ends(now_s)

    def unshare(self, job: int, now_s: float) -> None:
        """Let a job give it back."""
        if self._sharing is not None:
            self._sharing.remove(job)
            self._move_ends(now_s)

    def finish(self, job: int) -> None:
        """Count all of a job's work as done."""
        self._shared.pop(job, None)
        self.left_s[job] = 0.0

    def lose(self, job: int) -> None:
        """Count nothing of a job's work as done."""
        self.left_s[job] = self._run_s[job]

    def save(self, job: int, now_s: float) -> None:
        """Count the attempt as done but for the write of one more checkpoint, which is made now."""
        self._count(job, now_s, None)

    def fall_back(self, job: int, now_s: float) -> None:
        """Count the attempt as done up to its last checkpoint; all of it where nothing says when they are written."""
        self._count(job, now_s, self._reliability)

    def cut(self, job: int, now_s: float) -> None:
        """Count the attempt as done up to now, and up to its last checkpoint if it hangs."""
        self._count(job, now_s, self._reliability if job in self._hung_s else None, write=False)

    def reload(self, job: int) -> float:
        """Have the next attempt load the state first, for the time that is returned. [s]"""
        if self._reliability is None:
            return 0.0
        self._reload_s[job] = restart_s = float(self._reliability.restart_s[self._class_index[job]])
        return restart_s

    def hang(self, job: int, now_s: float) -> None:
        """Let a running job work no more."""
        if job not in self._hung_s:
            self._hung_s[job] = now_s
            self.end_s[job] = nan

    def age_s(self, job: int, now_s: float) -> float:
        """Time since the end of the reload of an attempt. [s]"""
        return now_s - self.start_s[job] - self._reload_s[job]

    def done_s(self, job: int, now_s: float, *, running: bool) -> float:
        """Work that a job has done, what no checkpoint holds yet included. [s]"""
        done_s: float = self._run_s[job] - self.left_s[job]
        if not running:
            return done_s
        shared = self._shared.get(job)
        if shared is not None:
            return done_s + self._shared_work_s(job, shared, now_s)
        return done_s + max(0.0, self.age_s(job, now_s)) / self._slowdown[job]

    def progress_s(self) -> Floats:
        """Work that each job has done and not lost, shape (n_jobs,). [s]"""
        return np.asarray(np.array(self._run_s, dtype=float) - np.array(self.left_s, dtype=float), dtype=float)

    def close(self) -> list[tuple[float, int]]:
        """Stop sharing, since nobody's end moves any more; ends of all that run, infinite for what hangs. [s]"""
        self._sharing = None
        hung = [(inf, job) for job in self._hung_s]
        # A job that began again may have two entries for one end.
        return hung + sorted({(end_s, job) for end_s, job in self._ends if self.end_s[job] == end_s})

    def _count(self, job: int, now_s: float, checkpoints: Reliability | None, *, write: bool = True) -> None:
        if self._hung_s:
            now_s = min(now_s, self._hung_s.pop(job, inf))
        class_index = self._class_index[job]
        worked_s = saved_s = now_s - self.start_s[job] - self._reload_s[job]
        if checkpoints is not None:
            saved_s = checkpoints.saved_s(class_index, worked_s)
        elif write and self._reliability is not None:
            saved_s -= float(self._reliability.checkpoint_write_s[class_index])
        shared = self._shared.pop(job, None)
        if shared is None:
            work_s = max(0.0, saved_s) / self._slowdown[job]
        else:
            # Work came at rates that changed: what was saved is the same share of it as of the time.
            work_s = self._shared_work_s(job, shared, now_s) * (max(0.0, saved_s) / worked_s if worked_s > 0 else 0.0)
        self.left_s[job] -= min(work_s, self.left_s[job])

    def _shared_work_s(self, job: int, shared: tuple[float, float, float], now_s: float) -> float:
        slower, since_s, done_s = shared
        return done_s + max(0.0, now_s - since_s) / (self._slowdown[job] * slower)

    def _move_ends(self, now_s: float) -> None:
        """Move the ends of the jobs whose share changed."""
        assert self._sharing is not None
        for job, slower in self._sharing.changed().items():
            if job in self._hung_s:
                continue
            done_s = self._shared_work_s(job, self._shared[job], now_s)
            since_s = max(now_s, self.start_s[job] + self._reload_s[job])
            self._shared[job] = (slower, since_s, done_s)
            left_s = max(0.0, self.left_s[job] - done_s)
            self.end_s[job] = since_s + left_s * self._slowdown[job] * slower
            heappush(self._ends, (self.end_s[job], job))
