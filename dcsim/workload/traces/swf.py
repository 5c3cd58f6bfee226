"""Reader of the Standard Workload Format, the form of the Parallel Workloads Archive.

A line is a job of 18 numbers, -1 where unknown; lines that begin with ``;`` are the header. Definition:
https://www.cs.huji.ac.il/labs/parallel/workload/swf.html
"""

import gzip
import re
import zlib
from array import array
from collections.abc import Iterator
from math import isfinite
from pathlib import Path

import numpy as np
import pandas as pd

from dcsim.workload.traces.canonical import ROWS, Reading, frame
from dcsim.workload.traces.tables import is_gzip

N_FIELDS = 18
_USED = (0, 1, 2, 3, 4, 7, 8, 10, 11)
"""Zero-based: job, submission, wait, run time, allocated and requested processors, estimate, status, user."""
_NUMBERS = "fields 1, 2, 3, 4, 5, 8, 9, 11, 12"
_HEADER = re.compile(r";\s*([A-Za-z]\w*):(?:\s+(.*))?$")
_STATUS = np.array(["failed", "completed", "unknown", "unknown", "failed", "cancelled"])


def read(reading: Reading) -> Iterator[pd.DataFrame]:
    """Canonical frames of a log, plain or gzip.

    The processors are field 8, or the allocation (field 5) where that is absent; the limit is the estimate (field 9).
    The values of a header field that comes several times are on lines of their own in ``reading.header``;
    ``MaxRecords`` does not tell whether the file is whole, since cleaned logs repeat that of the raw log.

    Raises
    ------
    InputError
        If the file cannot be read or is truncated, or a line is not a job and such lines are refused.
    """
    held, line_number = array("d"), 0
    try:
        for line_number, line in enumerate(_lines(reading.path), start=1):
            if line.startswith(";"):
                if match := _HEADER.match(line.rstrip()):
                    key, value = match[1], match[2] or ""
                    known = reading.header.get(key)
                    reading.header[key] = value if known is None else f"{known}\n{value}"
            elif line.strip():
                reading.rows += 1
                row = _row(line)
                if isinstance(row, str):
                    reading.fault(line_number, row)
                    continue
                held.extend(row)
                if len(held) >= ROWS * len(_USED):
                    yield _frame(held)
                    held = array("d")
    except EOFError:
        raise reading.broken(line_number + 1, "the gzip stream ends early: a truncated file; fetch it anew") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise reading.broken(line_number + 1, f"the gzip stream is damaged ({error}); fetch the file anew") from None
    except OSError as error:
        raise reading.broken(0, f"the file cannot be read: {error.strerror or error}") from None
    if held:
        yield _frame(held)
    reading.finish()


def _frame(held: "array[float]") -> pd.DataFrame:
    rows = np.array(held, dtype=float).reshape(-1, len(_USED))
    job_id, submit_s, wait_s, run_s, allocated, requested, estimate_s, status, user = rows.T
    cpus = np.where(requested > 0, requested, allocated)
    known = (status >= 0) & (status < len(_STATUS))
    return frame(
        len(rows),
        job_id=job_id.astype(np.int64).astype(str),
        submit_s=submit_s,
        start_s=np.where(wait_s >= 0, submit_s + wait_s, np.nan),
        run_s=np.where(run_s >= 0, run_s, np.nan),
        limit_s=np.where(estimate_s > 0, estimate_s, np.nan),
        cpus=np.where(cpus > 0, cpus, np.nan),
        tenant=np.where(user >= 0, user.astype(np.int64).astype(str), ""),
        status=np.where(known, _STATUS[np.where(known, status, 0).astype(np.int64)], "unknown"),
    )


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if is_gzip(path) else raw
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
        return f"{_NUMBERS} are {', '.join(used)}; each must be a number; mend or delete the line"
    return row
