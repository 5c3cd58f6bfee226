"""Traces in tables: which of a file's columns is which of ours."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from dcsim.errors import UsageError
from dcsim.registry import unknown
from dcsim.units import SECONDS_PER_MINUTE
from dcsim.workload.traces import tables
from dcsim.workload.traces.canonical import Reading, check, frame, numbers, seconds, statuses

Part = Callable[[pd.DataFrame], "pd.Series[float]"]
"""A column worked out from several of a file's."""

# What a mapping may name beside the canonical columns: the end in place of the run time.
END = "end_s"
TIMES = ("submit_s", "start_s", END)
NUMBERS = ("run_s", "limit_s", "gpus", "cpus", "nodes")
TEXTS = ("job_id", "tenant", "status")
NAMES = (*TEXTS, *TIMES, *NUMBERS)


@dataclass(frozen=True)
class Columns:
    """Where a table keeps what.

    Parameters
    ----------
    names : mapping of str
        The file's column by ours; ``end_s`` may stand for ``run_s``.
    parts : mapping
        Columns of ours that need more than one of the file's, or another unit.
    needs : tuple of str
        The file's columns that those need.
    time_unit_s : float
        Unit of times that are numbers. [s]
    delimiter : str
        Between fields.
    status : mapping of str
        States by numbers or words of this form alone; others by :data:`dcsim.workload.traces.canonical.STATUS`.
    zero_is_never : bool
        A start at 0 means that the job never started.
    ignored : callable, optional
        Rows that belong to another row, such as the steps of a job: not counted as jobs, and not bad.
    """

    names: Mapping[str, str]
    parts: Mapping[str, Part] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    time_unit_s: float = 1.0
    delimiter: str = ","
    status: Mapping[str, str] = field(default_factory=dict)
    zero_is_never: bool = False
    ignored: Callable[[pd.DataFrame], "pd.Series[bool]"] | None = None

    def lacking(self, present: list[str]) -> list[str]:
        """Columns that a file of this form must have and does not."""
        required = [*self.names.values(), *self.needs]
        return [name for name in required if name not in present]


def read(reading: Reading, of: Columns) -> Iterator[pd.DataFrame]:
    """Canonical frames of a table.

    Raises
    ------
    InputError
        If the file cannot be read or lacks a column, or rows are bad and refused.
    """
    lacking = of.lacking(tables.header(reading.path, of.delimiter))
    if lacking:
        raise reading.broken(1, f"the columns {', '.join(lacking)} are not there")
    wanted = list(dict.fromkeys([*of.names.values(), *of.needs]))
    for first, found in tables.frames(reading, wanted, delimiter=of.delimiter):
        kept = found if of.ignored is None else found[~of.ignored(found)]
        if len(kept):
            yield rows(kept.reset_index(drop=True), of, reading, first)
    reading.finish()


def rows(found: pd.DataFrame, of: Columns, reading: Reading, first: int) -> pd.DataFrame:
    """Canonical rows of a frame of the file's columns."""
    raw: dict[str, pd.Series[Any]] = {ours: found[theirs] for ours, theirs in of.names.items()}
    made: dict[str, Any] = {}
    for name in (*TIMES, "run_s"):
        if name in raw:
            made[name] = seconds(raw[name], of.time_unit_s)
    for name in NUMBERS[1:]:
        if name in raw:
            made[name] = numbers(raw[name])
    for name in ("job_id", "tenant"):
        if name in raw:
            made[name] = raw[name].astype("str").fillna("")
    if "status" in raw:
        made["status"] = raw["status"].astype("str").map(of.status) if of.status else statuses(raw["status"])
        made["status"] = made["status"].fillna("unknown")
    for name, part in of.parts.items():
        made[name] = part(found)
    if of.zero_is_never:
        made["start_s"] = made["start_s"].where(made["start_s"] > 0)
    if END in made:
        end_s, began_s = made.pop(END), made.get("start_s", made["submit_s"])
        made.setdefault("run_s", (end_s - began_s).where(end_s >= began_s))
    if "job_id" not in made:
        made["job_id"] = [str(first + k) for k in range(len(found))]
    canonical = frame(len(found), **made)
    of_numbers = {name: raw[name] for name in ("submit_s", *NUMBERS) if name in raw and name not in of.parts}
    return check(canonical, reading, first, of_numbers)


def stated(pairs: tuple[str, ...]) -> Columns:
    """Mapping that a user states as ``ours=theirs``, with ``time_unit_s=...`` and ``delimiter=...`` besides.

    Raises
    ------
    UsageError
        If a pair is none, names nothing of ours, or no submission is named.
    """
    names: dict[str, str] = {}
    unit_s, delimiter = 1.0, ","
    for text in pairs:
        ours, equals, theirs = text.partition("=")
        if not equals or not theirs:
            raise UsageError(f"--map {text}: write it as OURS=THEIRS, such as --map submit_s=time")
        if ours == "time_unit_s":
            try:
                unit_s = float(theirs)
            except ValueError:
                raise UsageError(f"--map {text}: '{theirs}' is no number of seconds") from None
        elif ours == "delimiter":
            delimiter = theirs.replace("\\t", "\t")
        elif ours in NAMES:
            names[ours] = theirs
        else:
            raise UsageError(
                f"--map {text}: " + unknown(ours, (*NAMES, "time_unit_s", "delimiter"), "column of a trace")
            )
    if "submit_s" not in names:
        raise UsageError("--map submit_s=... is needed: when was each job submitted?")
    return Columns(names, time_unit_s=unit_s, delimiter=delimiter)


def minutes(column: str) -> Part:
    """A column of minutes, as seconds; not a number where it says unlimited."""
    return lambda found: numbers(found[column]) * SECONDS_PER_MINUTE
