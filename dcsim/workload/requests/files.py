"""Files of requests and the registry of their forms: add one as a reader and a line in ``FORMS``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from dcsim.errors import InputError, Problem, UsageError
from dcsim.registry import lookup, unknown
from dcsim.rng import stream
from dcsim.workload.jobs import Ints
from dcsim.workload.requests import readers
from dcsim.workload.requests.readers import Lines, Rows
from dcsim.workload.requests.requests import Requests
from dcsim.workload.traces import jsons, tables

COPIES_FRAC = 0.01
"""Share of rows that may be exact copies of earlier ones."""
COLUMNS = ("arrival_s", "prompt", "output")
OURS = {name: name for name in COLUMNS}
AZURE = {"arrival_s": "TIMESTAMP", "prompt": "ContextTokens", "output": "GeneratedTokens"}


@dataclass(frozen=True)
class Form:
    """One form of file.

    Parameters
    ----------
    meaning : str
        What it is.
    names : mapping of str
        Its columns by ours.
    read : callable
        Rows of a file, by the names of columns.
    recognise : callable
        Tells whether an existing file is of this form.
    seen : str
        Publisher's own file on which the reader was tried; empty where only files made up for tests were.
    source : str
        Where the form is documented.
    """

    meaning: str
    names: Mapping[str, str]
    read: Callable[[Lines, Mapping[str, str]], Rows]
    recognise: Callable[[Path], bool]
    seen: str
    source: str


def _has(names: Mapping[str, str], path: Path) -> bool:
    return set(names.values()) <= set(tables.header(path))


def _is_mooncake(path: Path) -> bool:
    head = jsons.head(path)
    return head.startswith("{") and '"input_length"' in head.partition("\n")[0]


FORMS: dict[str, Form] = {
    "azure": Form(
        "Microsoft Azure's traces of language-model inference of 2023 and 2024, CSV",
        AZURE,
        partial(readers.table, calendar=True),
        partial(_has, AZURE),
        "AzureLLMInferenceTrace_code.csv, AzureLLMInferenceTrace_conv.csv",
        "https://github.com/Azure/AzurePublicDataset",
    ),
    "mooncake": Form(
        "Moonshot's traces of Kimi with the blocks of each prompt's prefix, JSON lines",
        {"arrival_s": "timestamp", "prompt": "input_length", "output": "output_length"},
        readers.mooncake,
        _is_mooncake,
        "",
        "https://github.com/kvcache-ai/Mooncake",
    ),
    "csv": Form(
        "any CSV or Parquet with a column for each of arrival_s (seconds or ISO times), prompt and output",
        OURS,
        readers.table,
        partial(_has, OURS),
        "",
        "dcsim/workload/requests/files.py",
    ),
}


@dataclass(frozen=True)
class Report:
    """What was found in a file beside its requests.

    Parameters
    ----------
    form : str
        Key of ``FORMS``.
    n_rows, n_bad : int
        Rows in all, and those that are no request and were skipped.
    n_falls : int
        Rows that came before the row above them, and were sorted.
    n_copies : int
        Rows exactly like an earlier one.
    copies_dropped : bool
        They were too many for chance and were left out.
    further : tuple of str
        Notes of the form's reader.
    """

    form: str
    n_rows: int
    n_bad: int
    n_falls: int
    n_copies: int
    copies_dropped: bool
    further: tuple[str, ...]

    def notes(self, name: str) -> list[str]:
        """What the reader of an answer should know of the file *name*."""
        notes = []
        if self.n_bad:
            notes.append(f"{self.n_bad} of {self.n_rows} rows of {name} are no requests and were skipped")
        if self.n_falls:
            notes.append(f"{self.n_falls} rows of {name} came before the row above them and were sorted by time")
        if self.n_copies:
            done = "were left out" if self.copies_dropped else "were kept, being few enough for chance"
            notes.append(f"{self.n_copies} rows of {name} are exact copies of earlier ones and {done}")
        return [*notes, *(f"{name}: {note}" for note in self.further)]


def read(
    path: Path | str,
    *,
    form: str | None = None,
    columns: Mapping[str, str] | None = None,
    bad_rows: Literal["refuse", "skip"] = "refuse",
) -> tuple[Requests, Report]:
    """Read requests of a stated form, of stated columns, or of the form that a file looks like.

    Parameters
    ----------
    path : Path or str
        The file, plain or gzip.
    form : str, optional
        Key of ``FORMS``.
    columns : mapping of str, optional
        The file's columns by ours; those left out are called as ours are.
    bad_rows : str
        ``refuse`` raises for rows that are no request, fall in time or are copies; ``skip`` leaves bad rows and copies
        out and sorts the others.

    Returns
    -------
    requests : Requests
        In order of arrival, counted from the first.
    report : Report

    Raises
    ------
    UsageError
        If there is no such file, no such form or no such column of ours.
    InputError
        If the file cannot be read, holds no requests, looks like no form, or has faults that are refused.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file of requests")
    name, names = _form(path, form, columns or {})
    reading = Lines(path, bad_rows)
    rows = FORMS[name].read(reading, names)
    problems: list[Problem] = []
    fallen = np.flatnonzero(np.diff(rows.time_s) < 0) + 1
    if len(fallen):
        at = int(fallen[0])
        before_s = rows.time_s[at - 1] - rows.time_s[at]
        problems.append(
            Problem(
                int(rows.line[at]),
                "",
                f"arrives {before_s:g} s before the row above (rows that do: {len(fallen)}); sort the file by time, "
                "or skip bad rows to have it sorted",
            )
        )
    copies = _copies(rows)
    too_many = bool(copies.any()) and _pasted(rows, copies)
    if too_many:
        at = int(np.argmax(copies))
        problems.append(
            Problem(
                int(rows.line[at]),
                "",
                f"is an exact copy of an earlier row, as are {copies.sum()} of {len(copies)} rows: was the file pasted "
                "twice? Delete the copies, or skip bad rows to leave them out",
            )
        )
    if bad_rows == "refuse":
        _refuse(reading, problems)
    if not len(rows.time_s):
        why = "only rows that are none" if reading.bad else "at most a header"
        raise reading.broken(0, f"holds no request, {why}; fetch it anew or choose another file")
    report = Report(name, reading.rows, reading.bad, len(fallen), int(copies.sum()), too_many, rows.notes)
    return _requests(rows, ~copies if too_many else np.ones(len(copies), dtype=bool)), report


def _form(path: Path, form: str | None, columns: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    for ours in columns:
        if ours not in COLUMNS:
            raise UsageError(unknown(ours, COLUMNS, "column of requests"))
    if form is not None:
        known = lookup(FORMS, form, "form of requests")
        if columns and form != "csv":
            raise UsageError(f"columns are stated for the form csv; '{form}' has its own, so give one of the two")
        return form, {**known.names, **columns}
    if columns:
        return "csv", {**OURS, **columns}
    for name, known in FORMS.items():
        if known.recognise(path):
            return name, known.names
    if tables.header(path) == [""]:
        raise InputError(str(path), [Problem(1, "", "is empty, or begins with an empty line; fetch it anew")])
    message = (
        f"looks like no known form ({', '.join(FORMS)}); its columns are {', '.join(tables.header(path))[:500]}: say "
        f"which of them are {', '.join(COLUMNS)}"
    )
    raise InputError(str(path), [Problem(1, "", message)])


def _copies(rows: Rows, order: Ints | None = None) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Rows like an earlier one in time and both lengths, and in their last block where blocks are known."""
    columns = {"prompt": rows.prompt, "output": rows.output}
    if rows.blocks is not None and rows.block_starts is not None and len(rows.blocks):
        columns["last"] = rows.blocks[np.maximum(rows.block_starts[1:] - 1, 0)]
    found = pd.DataFrame(columns)
    if order is not None:
        found = found.iloc[order].reset_index(drop=True)
    return found.assign(time_s=rows.time_s).duplicated().to_numpy()


def _pasted(rows: Rows, copies: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> bool:
    """Tell copies of a file pasted twice from those of chance.

    The Azure files of 2023 hold no copies, since their clock ticks in 100 ns. A clock of whole seconds, or requests all
    of one length, make many by chance; then dealing the lengths out anew to the times makes as many, while a paste,
    whose copies are alike in time and length, is undone by it.
    """
    n = len(copies)
    if copies.sum() <= COPIES_FRAC * n:
        return False
    by_chance = _copies(rows, stream(0, "request-copies").permutation(n))
    return bool(copies.sum() > 2 * by_chance.sum())


def _refuse(reading: Lines, further: list[Problem]) -> None:
    problems = [*reading.listed, *further]
    if reading.bad > len(reading.listed):
        listed = len(reading.listed)
        problems.append(Problem(0, "", f"{reading.bad} rows are no requests, of which {listed} follow"))
    if problems:
        raise InputError(str(reading.path), problems)


def _requests(rows: Rows, kept: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Requests:
    """Requests in order of time, those at one time in the order of the file."""
    n = len(rows.time_s)
    # Built in the order of the file, so that select() carries the blocks along.
    held = Requests(np.zeros(n), rows.prompt, rows.output, rows.blocks, rows.block_starts)
    order = np.argsort(rows.time_s, kind="stable")
    order = order[kept[order]]
    picked = held.select(order)
    time_s = rows.time_s[order]
    return Requests(time_s - time_s[0], picked.prompt, picked.output, picked.blocks, picked.block_starts)
