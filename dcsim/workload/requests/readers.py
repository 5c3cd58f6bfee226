"""Rows of files of requests: tables by the names of their columns, and Mooncake's JSON lines."""

import gzip
import json
import math
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from dcsim.errors import InputError, Problem
from dcsim.workload.jobs import Floats, Ints
from dcsim.workload.traces import tables
from dcsim.workload.traces.canonical import LISTED, Reading, numbers

LONGEST = 1_000_000_000
"""Tokens above which a length is taken for another column."""
_LENGTH = f"no whole number of tokens from 1 to {LONGEST:,}; mend or delete the row"
# What a table's times may span, so that nanoseconds since 1970 fit 64 bits.
_FIRST, _LAST = pd.Timestamp("1700-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")
_MOONCAKE = ("timestamp", "input_length", "output_length")
_MOONCAKE_BLOCK = 512
_MISFITS_FRAC = 0.01


@dataclass(frozen=True)
class Rows:
    """Requests as a file gives them, in its order, without the rows that are none.

    Parameters
    ----------
    line : ndarray of int, shape (n,)
        Line of a file of text, blank ones not counted, or row of a Parquet table.
    time_s : ndarray, shape (n,)
        From the earliest. [s]
    prompt, output : ndarray of int, shape (n,)
        Tokens. [token]
    blocks, block_starts : ndarray of int, optional
        As in :class:`dcsim.workload.requests.requests.Requests`.
    notes : tuple of str
        What was left out beside rows.
    """

    line: Ints
    time_s: Floats
    prompt: Ints
    output: Ints
    blocks: Ints | None = None
    block_starts: Ints | None = None
    notes: tuple[str, ...] = ()


@dataclass
class Lines(Reading):
    """A reading that knows the lines of all rows with too many or too few fields, not of those alone that it lists."""

    malformed: list[int] = field(default_factory=list)

    def fault(self, line: int, message: str) -> None:
        """Note a row that cannot be read."""
        self.malformed.append(line)
        super().fault(line, message)


def table(reading: Lines, names: Mapping[str, str], *, calendar: bool | None = None) -> Rows:
    """Rows of a CSV or Parquet file.

    Parameters
    ----------
    reading : Lines
    names : mapping of str
        The file's columns of ``arrival_s``, ``prompt`` and ``output``.
    calendar : bool, optional
        Times are dates, or numbers of seconds; if absent, numbers where the first rows hold any.

    Raises
    ------
    InputError
        If the file cannot be read or lacks a column.
    """
    present = tables.header(reading.path)
    if present in ([], [""]):
        raise reading.broken(0, "is empty; fetch it anew or choose another file")
    lacking = [theirs for theirs in names.values() if theirs not in present]
    if lacking:
        raise reading.broken(
            1,
            f"the columns {', '.join(lacking)} are not there, only {', '.join(present)}; say which of them holds what",
        )
    twice = [theirs for theirs in names.values() if present.count(theirs) > 1]
    if twice:
        raise reading.broken(1, f"the columns {', '.join(twice)} are there more than once; rename all but one")
    parts: list[tuple[Any, ...]] = []
    wrong: list[tuple[int, str]] = []
    n = 0
    for found in _frames(reading, list(dict.fromkeys(names.values()))):
        times = found[names["arrival_s"]]
        if calendar is None:
            calendar = _dated(times) or not numbers(_plain(times)).notna().any()
        clock, bad = _calendar(times) if calendar else _seconds(times)
        kind = "no time such as 2026-01-31T12:00:00.5" if calendar else "no finite number of seconds"
        _list(wrong, n, bad, times, names["arrival_s"], f"{kind}; mend or delete the row")
        columns = []
        for name in ("prompt", "output"):
            text = found[names[name]]
            tokens = numbers(_plain(text)).to_numpy()
            with np.errstate(invalid="ignore"):
                off = ~((tokens >= 1) & (tokens <= LONGEST) & (tokens == np.floor(tokens)))
            _list(wrong, n, off & ~bad, text, names[name], _LENGTH)
            bad |= off
            columns.append(tokens)
        reading.bad += int(bad.sum())
        parts.append((np.flatnonzero(~bad) + n, clock[~bad], *(tokens[~bad].astype(np.int64) for tokens in columns)))
        n += len(found)
    lines = _lines(reading, n)
    reading.listed += [Problem(int(lines[at]), "", message) for at, message in wrong[: LISTED - len(reading.listed)]]
    empty = np.empty(0, dtype=np.int64)
    place, clock, prompt, output = (
        (np.concatenate(part) for part in zip(*parts, strict=True)) if parts else (empty,) * 4
    )
    # Counted from the earliest while still whole nanoseconds: as seconds since 1970 they would be rounded to 240 ns.
    since = clock - clock.min() if len(clock) else clock
    return Rows(lines[place], since / 1e9 if calendar else since.astype(float), prompt, output)


def _frames(reading: Lines, columns: list[str]) -> Iterator[pd.DataFrame]:
    try:
        yield from (found for _, found in tables.frames(reading, columns))
    except InputError as error:
        # How Arrow takes a header that no line follows, not even an empty one.
        if "Could not skip initial" not in str(error):
            raise


def _lines(reading: Lines, n: int) -> Ints:
    if tables.is_parquet(reading.path):
        return np.arange(1, n + 1)
    lines = np.arange(2, n + 2 + len(reading.malformed))
    return np.setdiff1d(lines, reading.malformed) if reading.malformed else lines


def _list(
    wrong: list[tuple[int, str]], first: int, bad: Any, text: "pd.Series[Any]", column: str, message: str
) -> None:
    wrong += [
        (first + int(place), f"{column}: '{str(text.iloc[place]).strip()}' is {message}")
        for place in np.flatnonzero(bad)[:LISTED]
    ]
    wrong.sort()


def _plain(text: "pd.Series[Any]") -> "pd.Series[Any]":
    return text.astype("str") if text.dtype == object else text


def _dated(text: "pd.Series[Any]") -> bool:
    return pd.api.types.is_datetime64_any_dtype(text.dtype)


def _seconds(text: "pd.Series[Any]") -> tuple[Floats, Any]:
    found = np.asarray(numbers(_plain(text)), dtype=np.float64)
    return found, ~np.isfinite(found)


def _calendar(text: "pd.Series[Any]") -> tuple[Ints, Any]:
    """Nanoseconds since 1970 and which are none; times without a zone are taken as UTC: only differences matter."""
    if _dated(text):
        times = pd.to_datetime(text, utc=True)
    else:
        times = pd.to_datetime(text.astype("str"), utc=True, errors="coerce", format="ISO8601")
    known = ((times >= _FIRST) & (times <= _LAST)).to_numpy(dtype=bool)
    return np.asarray(times.where(known, _FIRST).dt.as_unit("ns").astype("int64"), dtype=np.int64), ~known


def mooncake(reading: Lines, names: Mapping[str, str]) -> Rows:
    """Rows of Mooncake's JSON lines, whose times are milliseconds and whose blocks hold 512 tokens.

    Raises
    ------
    InputError
        If the file cannot be read, or is compressed and ends early.
    """
    held: list[array[Any]] = [array("q"), array("d"), array("q"), array("q")]
    blocks, counts = array("q"), array("q")
    n_without = 0
    opener = gzip.open if tables.is_gzip(reading.path) else open
    try:
        with opener(reading.path, "rt", encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                reading.rows += 1
                found = _request(line)
                if isinstance(found, str):
                    reading.fault(number, found)
                    continue
                row, ids = found
                for column, value in zip(held, (number, *row), strict=True):
                    column.append(value)
                n_without += ids is None
                blocks.extend(ids or ())
                counts.append(len(ids or ()))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise reading.broken(reading.rows + 1, f"cannot be read: {error}; fetch it anew") from None
    lines, times, prompt, output = (np.array(column) for column in held)
    time_s = (times - times.min()) / 1e3 if len(times) else times
    n_blocks = np.array(counts, dtype=np.int64)
    note = _blocks_note(n_without, prompt, n_blocks)
    if note:
        return Rows(lines, time_s, prompt, output, notes=(note,))
    starts = np.concatenate([[0], np.cumsum(n_blocks)]).astype(np.int64)
    return Rows(lines, time_s, prompt, output, np.array(blocks, dtype=np.int64), starts)


def _blocks_note(n_without: int, prompt: Ints, counts: Ints) -> str | None:
    """Why the blocks cannot be told, if they cannot."""
    if n_without:
        return f"{n_without} of {len(prompt)} requests have no hash_ids; the blocks of all prompts were left out"
    misfits = int((counts != -(-prompt // _MOONCAKE_BLOCK)).sum())
    if misfits > _MISFITS_FRAC * len(prompt):
        return (
            f"the hash_ids of {misfits} of {len(prompt)} requests are not one for each {_MOONCAKE_BLOCK} tokens of the "
            "prompt; the blocks of all prompts were left out"
        )
    return None


def _request(line: str) -> tuple[tuple[float, int, int], "array[int] | None"] | str:
    """Milliseconds, prompt and output with the ids of its blocks, or what is wrong."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        ended = "" if line.endswith("\n") else ", and ends early: the file may be cut short"
        return f"is no JSON{ended}; mend or delete the line, or fetch the file anew"
    if not isinstance(found, dict):
        return "is no object of JSON; mend or delete the line"
    lacking = [name for name in _MOONCAKE if name not in found]
    if lacking:
        return f"{', '.join(lacking)} are not there, only {', '.join(found)}; mend or delete the line"
    when, *lengths = (found[name] for name in _MOONCAKE)
    if isinstance(when, bool) or not isinstance(when, int | float) or not -1e18 < when < 1e18:
        return f"timestamp: '{when}' is no finite number of milliseconds; mend or delete the row"
    for name, tokens in zip(_MOONCAKE[1:], lengths, strict=True):
        whole = isinstance(tokens, int | float) and not isinstance(tokens, bool) and 1 <= tokens <= LONGEST
        if not whole or math.floor(tokens) != tokens:
            return f"{name}: '{tokens}' is {_LENGTH}"
    try:
        ids = None if found.get("hash_ids") is None else _ids(found["hash_ids"])
    except (TypeError, OverflowError):
        return "hash_ids: must be a list of whole numbers that fit 64 bits; mend or delete the line"
    return (float(when), int(lengths[0]), int(lengths[1])), ids


def _ids(of: Sequence[int]) -> "array[int]":
    if not isinstance(of, list):
        raise TypeError
    return array("q", of)
