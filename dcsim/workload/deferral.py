"""Jobs that may wait for cheaper or cleaner hours: the earliest start of each, chosen when it is submitted."""

import numpy as np
from numpy.typing import NDArray

from dcsim.errors import RangeError
from dcsim.workload.jobs import Floats, Jobs


def release_s(
    jobs: Jobs, deferrable: NDArray[np.bool_], signal: Floats, *, step_s: float, max_delay_s: float
) -> Floats:
    """Earliest start of each job: that in which its run meets the lowest mean of a signal that is known ahead.

    Parameters
    ----------
    jobs : Jobs
        Their run times are known, as a user knows them of jobs that run again and again. Nobody waits for an hour from
        which a deadline could not be met.
    deferrable : ndarray of bool, shape (n,)
        Which jobs may wait.
    signal : ndarray, shape (m,)
        Price or carbon intensity by step from the plan's start; its last value holds on. [any]
    step_s : float
        Length of a step. [s]
    max_delay_s : float
        Longest wait for a better hour. [s]

    Returns
    -------
    ndarray, shape (n,)
        Submission, or the beginning of a later step. Of equal means the earliest. A queue can hold the job longer. [s]

    Raises
    ------
    RangeError
        If the delay is negative or the step not above 0.
    """
    if max_delay_s < 0 or step_s <= 0:
        raise RangeError(f"a delay of {max_delay_s:g} s in steps of {step_s:g} s makes no sense")
    rising = np.concatenate([[0.0], np.cumsum(signal) * step_s])
    end_s = len(signal) * step_s

    def until(time_s: Floats) -> Floats:
        inside = np.minimum(time_s, end_s)
        index = np.minimum((inside / step_s).astype(np.int64), len(signal) - 1)
        return np.asarray(rising[index] + (inside - index * step_s) * signal[index] + (time_s - inside) * signal[-1])

    found = jobs.submit_s.copy()
    chosen = np.flatnonzero(deferrable)
    submit_s, run_s = jobs.submit_s[chosen], np.maximum(jobs.run_s[chosen], 1.0)
    latest_s = submit_s + max_delay_s
    if jobs.deadline_s is not None:
        latest_s = np.minimum(latest_s, jobs.deadline_s[chosen] - run_s)
    best = (until(submit_s + run_s) - until(submit_s)) / run_s
    best_s = submit_s.copy()
    first_s = np.ceil(submit_s / step_s) * step_s
    for k in range(int(max_delay_s // step_s) + 1):
        start_s = first_s + k * step_s
        mean = (until(start_s + run_s) - until(start_s)) / run_s
        # A difference below what rounding makes is none.
        better = (mean < best * (1.0 - 1e-9)) & (start_s <= latest_s)
        best, best_s = np.where(better, mean, best), np.where(better, start_s, best_s)
    found[chosen] = best_s
    return found
