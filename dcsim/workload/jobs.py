"""Jobs as columns: what a trace reader or a generator hands to the simulator."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
        GPUs asked for, at least 1.
    class_index : ndarray of int, shape (n,)
        Index into ``class_names``.
    class_names : tuple of str
        Workload classes.
    """

    job_id: Ints
    submit_s: Floats
    run_s: Floats
    limit_s: Floats
    gpus: Ints
    class_index: Ints
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        """Count the jobs."""
        return len(self.job_id)

    def select(self, keep: NDArray[np.bool_] | Ints) -> "Jobs":
        """Return the jobs that a mask or an index array picks."""
        columns = ("job_id", "submit_s", "run_s", "limit_s", "gpus", "class_index")
        return replace(self, **{name: getattr(self, name)[keep] for name in columns})
