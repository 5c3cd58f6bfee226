"""Which pool a job goes to."""

from array import array
from collections.abc import Sequence

import numpy as np

from dcsim.errors import CapacityError, RangeError
from dcsim.sim.dispatcher import Dispatcher
from dcsim.sim.pool import Pool
from dcsim.workload.jobs import Ints, Jobs


class Routes:
    """Which pools a job may go to, and what it is there.

    Parameters
    ----------
    pools : sequence of sequence of int
        By job: indices of its pools, the preferred one first; at least one.
    place : sequence of array of int
        By pool: index of each job among the jobs of its dispatcher, -1 for a job that cannot go there.
    rows : sequence of ndarray of int
        By pool: the job of each of those indices.
    """

    def __init__(self, pools: Sequence[Sequence[int]], place: Sequence["array[int]"], rows: Sequence[Ints]) -> None:
        self.pools = pools
        self.place = place
        self.rows = rows
        self.chosen = array("q", [-1]) * len(pools)

    def went(self, rows: Ints) -> Ints:
        """Pool of each of the *rows*; of those that never queued the preferred one."""
        chosen = np.frombuffer(self.chosen, dtype=np.int64)[rows]
        preferred = np.array([self.pools[row][0] for row in rows.tolist()], dtype=np.int64)
        return np.where(chosen < 0, preferred, chosen)

    def choose(self, job: int, pools: Sequence[Dispatcher], now_s: float) -> int:
        """Pool of a job that may queue now: where its limit says that it ends first; the preferred one among equals.

        A pool where it can start at once makes it wait for nothing; any other for its queue, by limits, over its
        nodes. A pool whose nodes so far are too few comes last. The choice is for good.
        """
        allowed = self.pools[job]
        if len(allowed) == 1:
            index = allowed[0]
        else:
            index = min(allowed, key=lambda pool: pools[pool].expected_end_s(self.place[pool][job], now_s))
        self.chosen[job] = index
        return index


def routed(
    pools: Sequence[Pool], jobs: Jobs, may_use: Sequence[Sequence[int]] | None
) -> tuple[Routes | None, list[Jobs]]:
    """Where jobs may go, and the jobs of each pool; no routes where there is one pool."""
    if len(pools) == 1:
        return None, [jobs if pools[0].speed is None else pools[0].jobs(jobs, np.arange(len(jobs)))]
    if any(pool.power is not None for pool in pools):
        raise RangeError("a limit on power holds for one pool; leave it out, or the other pools")
    allowed = may_use or [range(len(pools))] * len(jobs.class_names)
    may = np.zeros((len(pools), len(jobs)), dtype=bool)
    for class_index, indices in enumerate(allowed):
        may[np.ix_(indices, jobs.class_index == class_index)] = True
    fit = may & np.array([pool.can_have(jobs) for pool in pools])
    if not fit.any(axis=0).all():
        first = int(np.argmin(fit.any(axis=0)))
        raise CapacityError(
            f"job {jobs.job_id[first]} of class '{jobs.class_names[jobs.class_index[first]]}' asks for "
            f"{jobs.gpus[first]} GPUs, more than any pool that it may use will have; so do "
            f"{np.count_nonzero(~fit.any(axis=0))} jobs in all"
        )
    rows = [np.flatnonzero(one) for one in fit]
    place = []
    for chosen in rows:
        index = np.full(len(jobs), -1, dtype=np.int64)
        index[chosen] = np.arange(len(chosen))
        place.append(array("q", index.tobytes()))
    # Few sets of pools occur, so jobs share them.
    known: dict[tuple[int, int], tuple[int, ...]] = {}
    codes = (fit * (1 << np.arange(len(pools)))[:, None]).sum(axis=0)
    choices = []
    for class_index, code in zip(jobs.class_index.tolist(), codes.tolist(), strict=True):
        if (class_index, code) not in known:
            known[class_index, code] = tuple(index for index in allowed[class_index] if code >> index & 1)
        choices.append(known[class_index, code])
    return Routes(choices, place, rows), [pool.jobs(jobs, chosen) for pool, chosen in zip(pools, rows, strict=True)]
