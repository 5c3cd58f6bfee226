"""Jobs on their way to a queue: released in time, and after those that they come after."""

from array import array
from math import inf, nan

import numpy as np

from dcsim.workload.jobs import Floats, Jobs


class Arrivals:
    """Who may queue when.

    Parameters
    ----------
    jobs : Jobs
        All jobs in the order of submission.

    Attributes
    ----------
    next_s : float
        When the next job is released; infinite if none is left. [s]
    """

    __slots__ = ("_children", "_early", "_freed_s", "_job", "_jobs", "_n_released", "_released_s", "_unmet", "next_s")

    def __init__(self, jobs: Jobs) -> None:
        # Jobs enter the queue when they are released; their place in it is that of their submission all the same.
        released_s = jobs.submit_s if jobs.release_s is None else jobs.release_s
        if jobs.known_s is not None:
            released_s = np.where(jobs.known_s < jobs.submit_s, jobs.known_s, released_s)
        by_release = np.argsort(released_s, kind="stable")
        self._jobs = jobs
        self._job = array("q", by_release)
        self._released_s = array("d", [*released_s[by_release], inf])
        self._n_released = 0
        self.next_s = self._released_s[0]
        # Jobs that wait for others, by how many of those have not ended, and who waits for each job.
        self._unmet = {child: len(of) for child, of in (jobs.parents or {}).items() if of}
        self._children: dict[int, list[int]] = {}
        for child, of in (jobs.parents or {}).items():
            for parent in of:
                self._children.setdefault(parent, []).append(child)
        self._early: set[int] = set()
        self._freed_s = dict.fromkeys(self._unmet, nan)

    @property
    def have_parents(self) -> bool:
        """Tell whether any job comes after another."""
        return bool(self._children)

    def take(self, now_s: float) -> list[int]:
        """Jobs that are released by *now_s* and wait for no other, in the order of their release; each once."""
        taken = []
        released_s, n = self._released_s, self._n_released
        while released_s[n] <= now_s:
            job = self._job[n]
            n += 1
            if self._unmet and self._unmet.get(job, 0):
                self._early.add(job)
            else:
                taken.append(job)
        self._n_released = n
        self.next_s = released_s[n]
        return taken

    def after(self, job: int, now_s: float) -> list[int]:
        """Jobs that are released and waited for nobody but *job*, which ends now."""
        found = []
        for child in self._children.get(job, ()):
            self._unmet[child] -= 1
            if not self._unmet[child]:
                self._freed_s[child] = now_s
                if child in self._early:
                    self._early.remove(child)
                    found.append(child)
        return found

    def ready_s(self) -> Floats:
        """When each job could queue: submitted, and the last job that it comes after ended; NaN if that did not. [s]"""
        ready_s = self._jobs.submit_s.copy()
        for child, freed_s in self._freed_s.items():
            ready_s[child] = max(ready_s[child], freed_s) if freed_s == freed_s else nan
        return ready_s
