"""The canonical form of a trace, and what its readers share: times, numbers, states, and rows that are no job.

Readers yield frames of at most some 100,000 rows, so a trace is never in memory as a whole.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from dcsim.columns import TRACE
from dcsim.errors import InputError, Problem

LISTED = 20
"""Bad rows that an error shows; it counts the others."""
ROWS = 100_000
"""Rows of a frame."""

STATUSES = ("completed", "failed", "cancelled", "timeout", "running", "queued", "unknown")
_STATUS = {
    "completed": "completed pass succeeded success terminated cd 1",
    "failed": "failed fail node_fail out_of_memory boot_fail f nf oom 0 error",
    "cancelled": "cancelled canceled killed revoked deadline ca dl 5 stopped",
    "timeout": "timeout to 6",
    "running": "running r suspended resizing completing",
    "queued": "queued pending pd waiting requeued preempted",
}
STATUS = {word: status for status, words in _STATUS.items() for word in words.split()}


@dataclass
class Reading:
    """How a trace is read, and what was found in it that is no job.

    Parameters
    ----------
    path : Path
        The trace.
    bad_rows : str
        ``refuse`` raises after the last row where a row was bad; ``skip`` goes on without them.
    """

    path: Path
    bad_rows: Literal["refuse", "skip"] = "refuse"
    rows: int = 0
    bad: int = 0
    listed: list[Problem] = field(default_factory=list)
    header: dict[str, str] = field(default_factory=dict)

    def fault(self, line: int, message: str) -> None:
        """Note a row that cannot be read; ``line`` is the line, or the row of a table."""
        self.bad += 1
        if len(self.listed) < LISTED:
            self.listed.append(Problem(line, "", message))

    def broken(self, line: int, message: str) -> InputError:
        """Error for a file that cannot be read on, with the bad rows so far."""
        return InputError(str(self.path), [*self.listed, Problem(line, "", message)])

    def finish(self) -> None:
        """Raise for the bad rows, if they are refused.

        Raises
        ------
        InputError
            If there were any and ``bad_rows`` is ``refuse``.
        """
        if self.bad and self.bad_rows == "refuse":
            problems = list(self.listed)
            if self.bad > len(problems):
                count = len(problems)
                problems.append(Problem(0, "", f"{self.bad} rows are malformed, of which the first {count} follow"))
            raise InputError(str(self.path), problems)


def frame(n: int, **columns: Any) -> pd.DataFrame:
    """Canonical frame of *n* rows from the columns that a format has; the others are null, or unknown."""
    made: dict[str, Any] = {}
    for column in TRACE:
        values = columns.pop(column.name, None)
        if column.kind == "f":
            made[column.name] = np.full(n, np.nan) if values is None else np.asarray(values, dtype=float)
        else:
            default = "unknown" if column.name == "status" else ""
            made[column.name] = pd.array([default] * n if values is None else values, dtype="str")
    assert not columns, f"not columns of a trace: {sorted(columns)}"
    return pd.DataFrame(made)


def numbers(text: "pd.Series[Any]") -> "pd.Series[float]":
    """Numbers of a column of text; NaN where empty or no number."""
    return pd.to_numeric(text, errors="coerce").astype(float)


def seconds(text: "pd.Series[Any]", unit_s: float = 1.0) -> "pd.Series[float]":
    """Seconds of a column of numbers [*unit_s*] or of times of a calendar, which count from 1970; NaN where neither.

    Times without a zone are taken as UTC: only differences matter.
    """
    if isinstance(text.dtype, pd.DatetimeTZDtype) or str(text.dtype).startswith("datetime"):
        times = pd.to_datetime(text, utc=True)
    else:
        found = numbers(text) * unit_s
        if found.notna().any() or text.empty:
            return found
        times = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
    epoch = pd.Timestamp(0, tz="UTC")
    return ((times - epoch) / pd.Timedelta(seconds=1)).astype(float)


def statuses(text: "pd.Series[Any]") -> "pd.Series[str]":
    """States of schedulers in our words; 'CANCELLED by 1000' counts as cancelled."""
    word = text.astype("str").str.strip().str.lower().str.split(" ").str[0]
    return word.map(STATUS).fillna("unknown")


def check(rows: pd.DataFrame, reading: Reading, first: int, raw: dict[str, "pd.Series[Any]"]) -> pd.DataFrame:
    """Rows that are jobs; those without a submission, or with text where a number belongs, are noted as bad.

    Parameters
    ----------
    rows : DataFrame
        Canonical rows.
    reading : Reading
        Where bad ones are noted.
    first : int
        Row of the first.
    raw : dict of Series
        What the file says, by canonical column: text that is not empty and became NaN is a fault.
    """
    bad = pd.Series(False, index=rows.index)
    for name, text in raw.items():
        wrong = rows[name].isna() & text.notna() & (text.astype("str").str.strip() != "")
        if name == "submit_s":
            wrong = rows[name].isna()
        for place in np.flatnonzero(wrong & ~bad)[: max(0, LISTED - len(reading.listed))]:
            was = str(text.iloc[place]).strip()
            reading.listed.append(Problem(first + int(place), "", f"{name}: '{was}' is neither a number nor a time"))
        bad |= wrong
    reading.bad += int(bad.sum())
    return rows[~bad]
