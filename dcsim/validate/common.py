"""The form that every suite keeps: cases in, predictions made without sight of the answers, errors out."""

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.catalog.reference import ABSENT, at_hand
from dcsim.errors import DcsimError, InputError, Problem, UsageError

Case = Mapping[str, str]


@dataclass(frozen=True)
class Interval:
    """A prediction with the bounds that eight of ten published values should lie between."""

    value: float
    p10: float
    p90: float


@dataclass(frozen=True)
class Figure:
    """A prediction with the convention by which it was made.

    ``corrected`` is the figure without a known fault of the published one; ``components`` are shares that make it up,
    each under the column in which such a share is published.
    """

    value: float
    convention: str
    corrected: float | None = None
    components: Mapping[str, float] = field(default_factory=dict)


class NotPredicted(Exception):
    """A case, or as a prediction one figure of it, that a suite cannot predict; the text is the reason."""


Prediction = float | Interval | Figure | NotPredicted


def number(case: Case, column: str) -> float:
    """Number in a column of a case; ``~`` before it, for about, is left out.

    Raises
    ------
    NotPredicted
        If the column is missing or empty, or holds no finite number.
    """
    text = case.get(column, "")
    if not text:
        raise NotPredicted(f"{column} is not given")
    value = finite(text)
    if value is None:
        raise NotPredicted(f"{column} is no number: '{text}'")
    return value


def finite(text: str) -> float | None:
    """Number that a text says, or says about with ``~``; None where it says none or no finite one."""
    try:
        value = float(text.strip().removeprefix("~"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Kind:
    """One kind of case file, told by its columns.

    ``inputs`` must all be there; at least one of ``answers`` (column: unit) must be too. ``predict`` gets a case
    without any answer column and returns a prediction for each answer that it can make. ``in_sample`` tells, from the
    inputs, whether the model's parameters were fitted on that case. ``scale`` turns file and prediction into the
    answer's unit where a relative error in the file's unit would mean nothing. ``bands`` names the columns of a
    published band of an answer; with ``band_only`` there is no figure in it, so a row has no error, only whether the
    prediction lies inside.

    ``optional`` columns are seen by a prediction where they are there. ``label`` columns together name a case where
    one name stands for several. ``counts`` tells which answers of a case to compare, where not all that it holds.
    ``remark`` says what an error comes of, from a case with its answers, a column and the prediction for it.
    """

    inputs: tuple[str, ...]
    answers: Mapping[str, str]
    predict: Callable[[Case], Mapping[str, Prediction]]
    in_sample: Callable[[Case], bool]
    meaning: str
    scale: Callable[[float], float] = float
    bands: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    band_only: bool = False
    optional: tuple[str, ...] = ()
    label: tuple[str, ...] = ("case_id",)
    counts: Callable[[Case, str], bool] = lambda case, column: True
    remark: Callable[[Case, str, float], str] = lambda case, column, predicted: ""


@dataclass(frozen=True)
class Part:
    """Some cases of a suite, told by their inputs; with ``predict``, a split whose model has not seen them.

    A ``detail`` is printed by the suite and left out of the README's table. With ``answer``, only that column counts.
    """

    name: str
    meaning: str
    holds: Callable[[Case], bool]
    predict: Callable[[Case], Mapping[str, Prediction]] | None = None
    detail: bool = False
    answer: str = ""


@dataclass(frozen=True)
class Suite:
    """A registered suite: its kinds by name, parts and splits to report, and the files of cases that ship.

    No files means one of the suite's name. A suite that ``needs_data`` reads traces that do not ship, or some of its
    cases are themselves ``data_files`` of the reference data. ``findings`` says in words what cases, with their
    answers, show; ``checks`` what models of our own say of each other, or what predictions assume, which no table of
    accuracy holds. A suite whose published figures are a measured series, not cases, makes its result on its ``own``.
    """

    kinds: Mapping[str, Kind]
    meaning: str
    parts: Callable[[], Sequence[Part]] = tuple
    files: tuple[str, ...] = ()
    data_files: tuple[str, ...] = ()
    needs_data: bool = False
    findings: Callable[[Sequence[Case]], Sequence[str]] = lambda cases: ()
    checks: Callable[[], Sequence[str]] = tuple
    own: Callable[[], dict[str, Any]] | None = None


def reference(name: str) -> Path:
    """A file of the reference data.

    Raises
    ------
    NotPredicted
        If it is not at hand.
    """
    path = at_hand(name)
    if path is None:
        raise NotPredicted(f"{ABSENT} ({name}; set DCSIM_DATA_DIR)")
    return path


def shipped_cases(name: str, suite: Suite) -> list[Path]:
    """The files of cases that come with a suite, or those of the reference data where they are at hand."""
    if suite.own is not None:
        return []
    folder = Path(str(files("dcsim.validate"))) / "cases"
    shipped = [folder / file for file in suite.files]
    if suite.data_files:
        return shipped + [path for file in suite.data_files if (path := at_hand(file))]
    return shipped or [folder / f"{name}.csv"]


def run(name: str, suite: Suite, paths: Sequence[Path], *, checks: bool = True) -> dict[str, Any]:
    """Predict every case of some files and compare; without *checks* what models of our own say is left out.

    Returns
    -------
    dict
        The common form of all suites: counts, errors, splits, parts, and one row a published value. A part that is
        ``held_out`` is predicted by a model that did not see it.

    Raises
    ------
    UsageError
        If a file does not exist.
    InputError
        If its columns are those of no known kind.
    """
    if suite.own is not None:
        return suite.own()
    named = []
    for path in paths:
        cases = read(path)
        kind = recognise(name, suite, path, cases)
        named += [(kind, _name(kind, case) or f"{path.stem}:{row}", case) for row, case in enumerate(cases, 1)]
    rows = [row for kind, case_id, case in named for row in compared(kind, case, case_id)]
    parts = []
    for part in suite.parts():
        kept = [(kind, case_id, case) for kind, case_id, case in named if part.holds(_given(kind, case))]
        if kept:
            of_part = [
                row
                for kind, case_id, case in kept
                for row in compared(kind, case, case_id, part.predict)
                if part.answer in ("", row["column"])
            ]
            labels = {
                "name": part.name,
                "meaning": part.meaning,
                "held_out": part.predict is not None,
                "detail": part.detail,
            }
            parts.append({**labels, **_errors(of_part), "coverage": _coverage(of_part)})
    findings = list(suite.findings([case for _, _, case in named]))
    own = list(paths) == shipped_cases(name, suite)
    if own and suite.data_files and not any(at_hand(file) for file in suite.data_files):
        findings.append(f"{ABSENT} ({', '.join(suite.data_files)}; set DCSIM_DATA_DIR)")
    said = list(suite.checks()) if checks else []
    return {"suite": name, **summary(rows), "parts": parts, "findings": findings, "checks": said, "rows": rows}


def _given(kind: Kind, case: Case) -> Case:
    """What a prediction may see of a case: the columns that describe it."""
    return {column: value for column, value in case.items() if column in kind.inputs or column in kind.optional}


def _name(kind: Kind, case: Case) -> str:
    """A case's own name; empty where the first of the columns that name it is."""
    named = [case.get(column, "") for column in kind.label]
    return ":".join(filter(None, named)) if named[0] else ""


def read(path: Path) -> list[dict[str, str]]:
    """Cases of a CSV file, a column name a key; or of a JSON file, the records of its one list."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file of cases")
    try:
        if path.suffix == ".json":
            return _read_json(json.loads(path.read_text(encoding="utf-8")))
        with path.open(newline="", encoding="utf-8") as file:
            return [{str(k): (v or "").strip() for k, v in row.items()} for row in csv.DictReader(file)]
    except (csv.Error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(str(path), [Problem(0, "", f"not a CSV or JSON file: {error}")]) from None


def _read_json(content: Any) -> list[dict[str, str]]:
    """Records of a JSON list, or of the one list in a JSON object, all values as text."""
    lists = [content] if isinstance(content, list) else [value for value in content.values() if isinstance(value, list)]
    records = lists[0] if lists else []
    return [{str(k): "" if v is None else str(v) for k, v in record.items()} for record in records]


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


def compared(
    kind: Kind, case: Case, case_id: str, predict: Callable[[Case], Mapping[str, Prediction]] | None = None
) -> list[dict[str, Any]]:
    """One row a published value of a case; with *predict* its figures are that model's."""
    given = _given(kind, case)
    asked = [column for column in kind.answers if case.get(column) and kind.counts(case, column)]
    predicted: Mapping[str, Prediction]
    try:
        predicted = (predict or kind.predict)(given)
        reason = "no prediction is made of this figure"
    except (NotPredicted, DcsimError) as error:
        predicted, reason = {}, str(error)
    except ValueError as error:
        predicted, reason = {}, f"cannot be read: {error}"
    except ArithmeticError as error:
        predicted, reason = {}, f"cannot be computed: {error}"
    rows = []
    for column in asked:
        raw = predicted.get(column, NotPredicted(reason))
        middle = (
            None if isinstance(raw, NotPredicted) else float(raw.value if isinstance(raw, Interval | Figure) else raw)
        )
        value = None if middle is None else kind.scale(middle)
        stated = None if kind.band_only else finite(case[column])
        published = None if stated is None else kind.scale(stated)
        row: dict[str, Any] = {
            "case_id": case_id if len(asked) == 1 else f"{case_id}/{column}",
            "column": column,
            "predicted": value,
            "published": published,
            "unit": case.get("unit") or kind.answers[column],
            "error_pct": None if value is None or not published else 100.0 * (value / published - 1.0),
            "in_sample": kind.in_sample(given),
            "p10": kind.scale(raw.p10) if isinstance(raw, Interval) else None,
            "p90": kind.scale(raw.p90) if isinstance(raw, Interval) else None,
            "source": case.get("source", ""),
        }
        if column in kind.bands:
            low, high = (kind.scale(float(case[name])) for name in kind.bands[column])
            row["band"] = [low, high]
            row["inside"] = None if value is None else low <= value <= high
        if isinstance(raw, Figure):
            row["convention"] = raw.convention
            if raw.components:
                row["components"] = dict(raw.components)
            if raw.corrected is not None:
                row["corrected"] = kind.scale(raw.corrected)
        if why := _reason(kind, case, column, raw, middle):
            row["reason"] = why
        rows.append(row)
    return rows


def _reason(kind: Kind, case: Case, column: str, raw: Prediction, predicted: float | None) -> str:
    """Why a row has no error, or what its error comes of; empty where nothing is to say."""
    if predicted is None:
        return str(raw)
    if kind.band_only:
        return ""
    published = finite(case[column])
    if published is None:
        return f"the published value is no number: '{case[column]}'"
    if published == 0:
        return "the published value is 0: it has no relative error"
    return kind.remark(case, column, predicted)


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
    inside = [row["inside"] for row in rows if row.get("inside") is not None]
    return {
        "n": len(rows),
        "n_predicted": sum(row["predicted"] is not None for row in rows),
        "mape_pct": float(errors.mean()) if len(errors) else None,
        "median_pct": float(np.median(errors)) if len(errors) else None,
        "max_pct": float(errors.max()) if len(errors) else None,
        # Only where bands are published.
        **({"n_banded": len(inside), "inside_frac": float(np.mean(inside))} if inside else {}),
    }


def _coverage(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Share of published values inside the predicted interval; null where no interval is given."""
    given = [row for row in rows if row["p10"] is not None and row["p90"] is not None]
    inside = [row["p10"] <= row["published"] <= row["p90"] for row in given if row["published"] is not None]
    return {"level": [0.10, 0.90], "frac": float(np.mean(inside)) if inside else None}
