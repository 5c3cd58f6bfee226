"""Jobs that share GPUs in turns: what they take from each other on a node."""

from dataclasses import dataclass

import numpy as np

from dcsim.errors import RangeError
from dcsim.sim.placement import Gang
from dcsim.workload.jobs import Floats


@dataclass(frozen=True)
class TimeSlices:
    r"""GPUs that several jobs of one GPU use in turns.

    Parameters
    ----------
    gpus : int
        GPUs of a node, over which its jobs are spread evenly. [GPU]
    need_frac : ndarray, shape (n_classes,)
        Share of a GPU's time that a job of each class uses when it has one for itself. [1]
    overhead_frac : float
        Time that turns cost over the work, where there are more jobs than GPUs. [1]

    Raises
    ------
    RangeError
        If a value is outside its range.

    Notes
    -----
    On a node of g GPUs whose k jobs need :math:`d_i` each, work takes

    .. math:: s = \max(1, \sum_i d_i / g) \, (1 + o [k > g])

    times as long: processor sharing, all of whose jobs get the same share of what they need. Memory is not looked at.
    """

    gpus: int
    need_frac: Floats
    overhead_frac: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.gpus < 1:
            raise RangeError(f"{self.gpus} GPUs of a node; give at least 1")
        if not np.all((self.need_frac > 0) & (self.need_frac <= 1)):
            raise RangeError("need_frac has a value that is not above 0 and at most 1")
        if not 0 <= self.overhead_frac < np.inf:
            raise RangeError(f"overhead_frac is {self.overhead_frac}; give a finite share from 0")


class Turns:
    """Jobs on nodes whose GPUs are used in turns, and how much slower each is for the others.

    Parameters
    ----------
    slices : TimeSlices
        GPUs of a node and what jobs need of them.
    """

    by_node = True

    def __init__(self, slices: TimeSlices) -> None:
        self._slices = slices
        self._on: dict[Gang, dict[int, float]] = {}
        self._node: dict[int, Gang] = {}
        self._touched: set[Gang] = set()

    def add(self, job: int, gang: Gang, class_index: int) -> None:
        """Have *job* come to a node."""
        self._node[job] = gang
        self._on.setdefault(gang, {})[job] = float(self._slices.need_frac[class_index])
        self._touched.add(gang)

    def remove(self, job: int) -> None:
        """Have *job*, which ends or fails, leave."""
        gang = self._node.pop(job)
        del self._on[gang][job]
        self._touched.add(gang)

    def changed(self) -> dict[int, float]:
        """Jobs whose time changed on the nodes that any came to or left, over their time alone, at least 1."""
        of, found = self._slices, {}
        # By the first node, since sets have no order of their own.
        for gang in sorted(self._touched):
            jobs = self._on[gang]
            slower = max(1.0, sum(jobs.values()) / of.gpus) * (1.0 + of.overhead_frac * (len(jobs) > of.gpus))
            found.update(dict.fromkeys(jobs, slower))
        self._touched.clear()
        return found
