"""From a trace to the jobs of the simulator, and what becomes of rows that cannot be replayed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from dcsim.errors import InputError, Problem
from dcsim.workload.jobs import Ints, Jobs
from dcsim.workload.traces.formats import Source


@dataclass(frozen=True)
class Replayed:
    """What was read, and what became of it.

    Parameters
    ----------
    header : dict of str
        Header fields, where the form has them.
    n_rows : int
        Jobs in the trace, bad rows included.
    n_bad : int
        Rows that are no job and were skipped.
    dropped : dict of int
        Jobs left out, by reason.
    n_runs_cut : int
        Jobs kept whose run time was longer than the estimate and was cut to it.
    n_limits_absent : int
        Jobs kept whose estimate is absent and was taken to be the run time.
    n_parts : int
        Jobs kept that asked for a part of a GPU more than whole ones, rounded up.
    """

    header: dict[str, str]
    n_rows: int
    n_bad: int
    dropped: dict[str, int]
    n_runs_cut: int
    n_limits_absent: int
    n_parts: int

    def notes(self, name: str) -> list[str]:
        """What the reader of an answer should know."""
        notes = [f"{count} rows were dropped: {reason}" for reason, count in self.dropped.items()]
        if self.n_bad:
            notes.append(f"{self.n_bad} rows of {name} are no jobs and were skipped")
        if self.n_runs_cut:
            notes.append(
                f"{self.n_runs_cut} run times above their estimate were cut to it, "
                "where the recorded system stopped them"
            )
        if self.n_parts:
            notes.append(f"{self.n_parts} jobs that ask for a part of a GPU were given a whole one")
        return notes


def replayed(
    of: Source, *, job_class: str = "training", bad_rows: Literal["refuse", "skip"] = "refuse"
) -> tuple[Jobs, Replayed]:
    """Read a trace into jobs.

    The width of a job is its GPUs, or its processors where the form knows no GPUs. The limit is the user's estimate, or
    the run time where that is absent, and at least 1 s. Run times are cut to it, since the recorded systems stopped
    their jobs there. Jobs are sorted by submission, equal ones in the order of the file.

    Parameters
    ----------
    of : Source
        The trace.
    job_class : str
        Workload class that all jobs get.
    bad_rows : str
        ``refuse`` or ``skip`` rows that are no job.

    Raises
    ------
    InputError
        If the file cannot be read, holds rows that are no job and these are refused, or holds no usable job.
    """
    width_of, width_name = ("gpus", "no GPUs") if of.gpus else ("cpus", "no processors")
    reading, frames = of.frames(bad_rows)
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in ("job_id", "submit_s", "run_s", "limit_s", "gpus", "tenant_index")
    }
    tenants: dict[str, int] = {}
    dropped: dict[str, int] = {}
    cut = absent = fractions = first = 0
    for found in frames:
        submit_s, run_s = found["submit_s"].to_numpy(), found["run_s"].to_numpy()
        width, limit_s = found[width_of].to_numpy(), found["limit_s"].to_numpy()
        keep = np.ones(len(found), dtype=bool)
        for reason, usable in (
            ("no run time", np.isfinite(run_s)),
            (width_name, width > 0),
            ("no submission time", submit_s >= 0),
        ):
            n = int(np.count_nonzero(keep & ~usable))
            if n:
                dropped[reason] = dropped.get(reason, 0) + n
                keep &= usable
        # Numbers of the trace where they are numbers, else rows.
        text = found["job_id"].astype("str")
        numbered = text.str.fullmatch(r"\d{1,18}").to_numpy(dtype=bool)
        job_id = np.arange(first + 1, first + len(found) + 1)
        job_id[numbered] = text.to_numpy(dtype=object)[numbered].astype(np.int64)
        first += len(found)
        submit_s, run_s, width, limit_s = submit_s[keep], run_s[keep], width[keep], limit_s[keep]
        no_limit = ~np.isfinite(limit_s)
        limit_s = np.where(no_limit, run_s, limit_s)
        whole = np.ceil(width - 1e-9)
        cut += int(np.count_nonzero(run_s > limit_s))
        absent += int(np.count_nonzero(no_limit))
        fractions += int(np.count_nonzero(whole != width))
        for name, values in (
            ("job_id", job_id[keep]),
            ("submit_s", submit_s),
            ("run_s", np.minimum(run_s, limit_s)),
            ("limit_s", np.maximum(limit_s, 1.0)),
            ("gpus", whole.astype(np.int64)),
            ("tenant_index", _numbered(found["tenant"], tenants)[keep]),
        ):
            parts[name].append(values)
    report = Replayed(reading.header, reading.rows, reading.bad, dropped, cut, absent, fractions)
    if not sum(map(len, parts["submit_s"])):
        reasons = ", ".join(f"{count} with {reason}" for reason, count in dropped.items())
        message = f"none of {reading.rows} jobs is usable: {reasons or 'it is empty'}"
        raise InputError(str(of.path), [Problem(0, "", message)])
    # One column at a time, so that a trace of millions of rows is in memory once.
    submit_s = np.concatenate(parts.pop("submit_s"))
    order = np.argsort(submit_s, kind="stable")
    columns = {name: np.concatenate(parts.pop(name))[order] for name in list(parts)}
    jobs = Jobs(
        job_id=columns["job_id"],
        submit_s=submit_s[order],
        run_s=columns["run_s"],
        limit_s=columns["limit_s"],
        gpus=columns["gpus"],
        class_index=np.zeros(len(order), dtype=np.int64),
        class_names=(job_class,),
        tenant_index=columns["tenant_index"],
        tenants=tuple(tenants),
    )
    return jobs, report


def _numbered(text: "pd.Series[str]", known: dict[str, int]) -> Ints:
    """Number of each name in the order in which names first come."""
    codes, names = pd.factorize(text)
    numbers = np.array([known.setdefault(str(name), len(known)) for name in names], dtype=np.int64)
    return numbers[codes]
