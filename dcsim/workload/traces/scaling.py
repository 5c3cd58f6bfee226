"""A trace made larger or smaller: more jobs, wider jobs, faster arrivals."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from dcsim.errors import RangeError
from dcsim.rng import stream
from dcsim.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

SECONDS_PER_WEEK = 7 * SECONDS_PER_DAY


def scaled(
    frames: Iterable[pd.DataFrame], *, span_s: tuple[float, float], load: float = 1.0, width: float = 1.0, seed: int = 0
) -> Iterator[pd.DataFrame]:
    """Frames of a trace with more or fewer jobs, and wider or narrower ones.

    Parameters
    ----------
    frames : iterable of DataFrame
        Canonical frames.
    span_s : tuple of float
        First and last submission. [s]
    load : float
        Jobs over those of the trace, above 0. A job is kept, left out or copied as a whole, so sizes, run times and
        their correlations stay. [1]
    width : float
        Factor on the GPUs and processors of every job, above 0, rounded to whole ones and at least 1 where the job had
        whole ones. [1]
    seed : int
        Of the choice of jobs.

    Notes
    -----
    A copy is moved by a whole number of weeks around the trace, so that the hours of day and days of week stay and
    bursts do not grow with the load; where the trace is shorter than two weeks, by up to an hour either way.

    Raises
    ------
    RangeError
        If a factor is not above 0.
    """
    for name, value in (("load", load), ("width", width)):
        if not 0 < value < np.inf:
            raise RangeError(f"--{name} must be above 0, got {value:g}")
    draws = stream(seed, "trace/scale")
    first_s, last_s = span_s
    weeks = int((last_s - first_s) // SECONDS_PER_WEEK)
    for found in frames:
        copies = np.full(len(found), int(load)) + (draws.random(len(found)) < load % 1.0)
        source = np.repeat(np.arange(len(found)), copies)
        copy = np.arange(len(source)) - np.repeat(np.cumsum(copies) - copies, copies)
        made = found.iloc[source].reset_index(drop=True)
        if weeks >= 2:
            moved_s = draws.integers(1, weeks, len(source)) * SECONDS_PER_WEEK
        else:
            moved_s = draws.uniform(-SECONDS_PER_HOUR, SECONDS_PER_HOUR, len(source))
        moved_s = np.where(copy > 0, moved_s, 0.0)
        submit_s = made["submit_s"].to_numpy() + moved_s
        if weeks >= 2:
            # What lies behind the trace moves back into its whole weeks.
            submit_s = np.where(submit_s > last_s, submit_s - weeks * SECONDS_PER_WEEK, submit_s)
        made["start_s"] = made["start_s"] + (submit_s - made["submit_s"])
        made["submit_s"] = np.maximum(submit_s, first_s)
        made["job_id"] = made["job_id"].where(copy == 0, made["job_id"] + "-" + pd.Series(copy).astype(str))
        for name in ("gpus", "cpus", "nodes"):
            was = made[name]
            whole = (was * width).round().clip(lower=1.0)
            made[name] = whole.where(was >= 1.0, was) if width != 1.0 else was
        yield made
