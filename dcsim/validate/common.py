"""The form that every suite keeps: cases in, predictions made without sight of the answers, errors out."""

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.errors import DcsimError, InputError, Problem, UsageError

Case = Mapping[str, str]

ABSENT = "not run: reference data absent"


class NotPredicted(Exception):
    """A case that a suite cannot predict; the text is the reason."""


@dataclass(frozen=True)
class Kind:
    """One kind of case file, told by its columns.

    ``inputs`` must all be there; at least one of ``answers`` (column: unit) must be too. ``predict`` gets a case
    without any answer column and returns a prediction for each answer that it can make. ``in_sample`` tells, from the
    inputs, whether the model's parameters were fitted on that case. ``scale`` turns file and prediction into the
    answer's unit where a relative error in the file's unit would mean nothing.
    """

    inputs: tuple[str, ...]
    answers: Mapping[str, str]
    predict: Callable[[Case], Mapping[str, float]]
    in_sample: Callable[[Case], bool]
    meaning: str
    scale: Callable[[float], float] = float


@dataclass(frozen=True)
class Suite:
    """A registered suite: its kinds by name, and the file of cases that ships with it."""

    kinds: Mapping[str, Kind]
    meaning: str


def data_dir() -> Path | None:
    """Folder of the reference data: DCSIM_DATA_DIR, else ../shared/data, else none."""
    folder = Path(os.environ.get("DCSIM_DATA_DIR") or "../shared/data")
    return folder if folder.is_dir() else None


def reference(name: str) -> Path:
    """A file of the reference data.

    Raises
    ------
    NotPredicted
        If it is not at hand.
    """
    folder = data_dir()
    if folder is None or not (folder / name).exists():
        raise NotPredicted(f"{ABSENT} ({name}; set DCSIM_DATA_DIR)")
    return folder / name


def shipped_cases(suite: str) -> Path:
    """The file of cases that comes with a suite."""
    return Path(str(files("dcsim.validate"))) / "cases" / f"{suite}.csv"


def run(name: str, suite: Suite, path: Path) -> dict[str, Any]:
    """Predict every case of a file and compare.

    Returns
    -------
    dict
        The common form of all suites: counts, errors, splits and one row a published value.

    Raises
    ------
    UsageError
        If the file does not exist.
    InputError
        If its columns are those of no known kind.
    """
    cases = read(path)
    kind = recognise(name, suite, path, cases)
    rows = []
    for number, case in enumerate(cases, 1):
        rows += _rows(kind, case, case.get("case_id") or f"{path.stem}:{number}")
    return {"suite": name, **summary(rows), "rows": rows}


def read(path: Path) -> list[dict[str, str]]:
    """Cases of a CSV file, a column name a key."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file of cases")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{str(k): (v or "").strip() for k, v in row.items()} for row in csv.DictReader(file)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(str(path), [Problem(0, "", f"not a CSV file: {error}")]) from None


def recognise(name: str, suite: Suite, path: Path, cases: Sequence[Case]) -> Kind:
    """Kind of a file, by its columns."""
    columns = set(cases[0]) if cases else set()
    for kind in suite.kinds.values():
        if columns >= set(kind.inputs) and columns & set(kind.answers):
            return kind
    known = "; ".join(
        f"{label} ({', '.join(kind.inputs)} and any of {', '.join(kind.answers)})"
        for label, kind in suite.kinds.items()
    )
    raise InputError(str(path), [Problem(1, "", f"the columns are of no kind that '{name}' knows: {known}")])


def _rows(kind: Kind, case: Case, case_id: str) -> list[dict[str, Any]]:
    """One row a published value of a case."""
    given = {column: value for column, value in case.items() if column in kind.inputs}
    asked = [column for column in kind.answers if case.get(column)]
    try:
        predicted: Mapping[str, float] = kind.predict(given)
        reason = "no prediction is made of this figure"
    except (NotPredicted, DcsimError) as error:
        predicted, reason = {}, str(error)
    except ValueError as error:
        predicted, reason = {}, f"cannot be read: {error}"
    rows = []
    for column in asked:
        published, raw = kind.scale(float(case[column])), predicted.get(column)
        value = None if raw is None else kind.scale(raw)
        row: dict[str, Any] = {
            "case_id": case_id if len(asked) == 1 else f"{case_id}/{column}",
            "predicted": value,
            "published": published,
            "unit": kind.answers[column],
            "error_pct": None if value is None else 100.0 * (value / published - 1.0),
            "in_sample": kind.in_sample(given),
            "p10": None,
            "p90": None,
            "source": case.get("source", ""),
        }
        if value is None:
            row["reason"] = reason
        rows.append(row)
    return rows


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts and errors of some rows, all together and by sample."""
    return {
        **_errors(rows),
        "coverage": _coverage(rows),
        "splits": {
            "in_sample": _errors([row for row in rows if row["in_sample"]]),
            "out_of_sample": _errors([row for row in rows if not row["in_sample"]]),
        },
    }


def _errors(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    errors = np.abs([row["error_pct"] for row in rows if row["error_pct"] is not None])
    return {
        "n": len(rows),
        "n_predicted": len(errors),
        "mape_pct": float(errors.mean()) if len(errors) else None,
        "median_pct": float(np.median(errors)) if len(errors) else None,
        "max_pct": float(errors.max()) if len(errors) else None,
    }


def _coverage(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Share of published values inside the predicted interval; null where no interval is given."""
    given = [row for row in rows if row["p10"] is not None and row["p90"] is not None]
    inside = [row["p10"] <= row["published"] <= row["p90"] for row in given]
    return {"level": [0.10, 0.90], "frac": float(np.mean(inside)) if inside else None}
