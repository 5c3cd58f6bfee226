"""Reader of the Standard Workload Format, the form of the Parallel Workloads Archive.

A line is a job of 18 numbers, -1 where unknown; lines that begin with ``;`` are the header. Definition:
https://www.cs.huji.ac.il/labs/parallel/workload/swf.html
"""

import gzip
import re
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from dcsim.errors import InputError, Problem
from dcsim.workload.jobs import Floats, Jobs

N_FIELDS = 18
_USED = (0, 1, 3, 4, 7, 8)
"""Zero-based: job number, submission, run time, allocated processors, requested processors, estimate."""
_LISTED = 20
"""Malformed lines that the error shows; it counts the others."""
_HEADER = re.compile(r";\s*([A-Za-z]\w*):(?:\s+(.*))?$")
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class SwfReport:
    """What was read, and what became of it.

    Parameters
    ----------
    header : dict of str
        Header fields; the values of a field that comes several times are on lines of their own. ``MaxRecords`` does not
        tell whether the file is whole: cleaned logs repeat that of the raw log.
    n_rows : int
        Jobs in the file.
    dropped : dict of int
        Jobs left out, by reason.
    n_runs_cut : int
        Jobs kept whose run time was longer than the estimate and was cut to it.
    n_estimates_absent : int
        Jobs kept whose estimate is absent and was taken to be the run time.
    """

    header: dict[str, str]
    n_rows: int
    dropped: dict[str, int]
    n_runs_cut: int
    n_estimates_absent: int


def read_swf(path: str | Path, *, job_class: str = "training") -> tuple[Jobs, SwfReport]:
    """Read a log, plain or gzip, line by line.

    One processor becomes one GPU. The request is field 8, or the allocation (field 5) where that is absent. The limit
    is the estimate (field 9), or the run time where that is absent, and at least 1 s. The run time is field 4, cut to
    the estimate, at which the recorded systems stopped their jobs. Jobs are sorted by submission, equal ones in file
    order.

    Parameters
    ----------
    path : str or Path
        The log.
    job_class : str
        Workload class that all jobs get.

    Returns
    -------
    Jobs, SwfReport
        The jobs, and what was read and dropped.

    Raises
    ------
    InputError
        If the file cannot be read, is truncated, holds a line that is not a job, or holds no usable job.
    """
    header, rows = _read(Path(path))
    job_id, submit_s, run_s, allocated, requested, estimate_s = rows.T
    gpus = np.where(requested > 0, requested, allocated)
    keep = np.ones(len(rows), dtype=bool)
    dropped = {}
    for reason, unusable in (
        ("no run time", run_s < 0),
        ("no processors", gpus < 1),
        ("no submission time", submit_s < 0),
    ):
        if np.any(keep & unusable):
            dropped[reason] = int(np.count_nonzero(keep & unusable))
            keep &= ~unusable
    if not keep.any():
        reasons = ", ".join(f"{count} with {reason}" for reason, count in dropped.items())
        raise InputError(str(path), [Problem(0, "", f"none of {len(rows)} jobs is usable: {reasons or 'it is empty'}")])
    absent = estimate_s <= 0
    limit_s = np.where(absent, run_s, estimate_s)
    jobs = Jobs(
        job_id=job_id.astype(np.int64),
        submit_s=submit_s,
        run_s=np.minimum(run_s, limit_s),
        limit_s=np.maximum(limit_s, 1.0),
        gpus=gpus.astype(np.int64),
        class_index=np.zeros(len(rows), dtype=np.int64),
        class_names=(job_class,),
    )
    order = np.argsort(submit_s, kind="stable")
    report = SwfReport(
        header,
        len(rows),
        dropped,
        n_runs_cut=int(np.count_nonzero(keep & (run_s > limit_s))),
        n_estimates_absent=int(np.count_nonzero(keep & absent)),
    )
    return jobs.select(order[keep[order]]), report


def _read(path: Path) -> tuple[dict[str, str], Floats]:
    """Return the header and the used fields of every job; raise with all faults of the file if there are any."""
    header: dict[str, str] = {}
    numbers = array("d")
    problems: list[Problem] = []
    n_malformed = line_number = 0
    try:
        for line_number, line in enumerate(_lines(path), start=1):
            if line.startswith(";"):
                if match := _HEADER.match(line.rstrip()):
                    key, value = match[1], match[2] or ""
                    header[key] = f"{header[key]}\n{value}" if key in header else value
            elif line.strip():
                row = _row(line)
                if isinstance(row, list):
                    numbers.extend(row)
                    continue
                n_malformed += 1
                if n_malformed <= _LISTED:
                    problems.append(Problem(line_number, "", row))
    except EOFError:
        problems.append(Problem(line_number + 1, "", "the gzip stream ends early: a truncated file; fetch it anew"))
    except (zlib.error, gzip.BadGzipFile) as error:
        problems.append(Problem(line_number + 1, "", f"the gzip stream is damaged ({error}); fetch the file anew"))
    except OSError as error:
        problems.append(Problem(0, "", f"the file cannot be read: {error.strerror or error}"))
    if n_malformed > _LISTED:
        problems.append(Problem(0, "", f"{n_malformed} lines are malformed, of which the first {_LISTED} follow"))
    if problems:
        raise InputError(str(path), problems)
    return header, np.array(numbers, dtype=float).reshape(-1, len(_USED))


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as raw:
        compressed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if compressed else raw
        for line in stream:
            yield line.decode("utf-8", errors="replace")


def _row(line: str) -> list[float] | str:
    """Parse the used fields of one line, or say why it is no job."""
    fields = line.split()
    if len(fields) < N_FIELDS:
        return f"{len(fields)} fields, but a job has {N_FIELDS}; mend or delete the line"
    used = [fields[index] for index in _USED]
    try:
        row = [float(field) for field in used]
    except ValueError:
        row = []
    if not row or not all(map(isfinite, row)):
        return f"fields 1, 2, 4, 5, 8, 9 are {', '.join(used)}; each must be a number; mend or delete the line"
    return row
