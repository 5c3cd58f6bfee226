"""The folder of an uncertainty study: tidy tables as Parquet and CSV, the answer as JSON, three run folders."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dcsim import __version__
from dcsim.columns import Column
from dcsim.kpi import KPIS
from dcsim.model.load import Loaded
from dcsim.runs import Writer
from dcsim.study.engines import store
from dcsim.study.engines.engine import Engine
from dcsim.study.figures import folders
from dcsim.study.figures.tasks import scenario_of
from dcsim.study.sweep.tables import parquet
from dcsim.study.uncertainty.answer import Answer
from dcsim.study.uncertainty.asked import Asked
from dcsim.study.uncertainty.statistics import LEVEL_FRAC
from dcsim.study.uncertainty.study import MANIFEST, Found, at

ANSWER = "uncertainty.json"

_SIDE = Column("side", "s", "", "the plan or an alternative")
_DRAW = Column("draw", "i", "1", "number of the draw, from 1; the same in all sides")
_INPUT = Column("input", "s", "", "uncertain input, by its path")
_MONTH = Column("month", "s", "", "calendar month, YYYY-MM")
_INTERVAL = f"end of the {LEVEL_FRAC:.0%} interval of that percentile"

TABLES: dict[str, tuple[Column, ...]] = {
    "percentiles": (
        _SIDE,
        Column("kpi", "s", "", "key figure, as in kpis.json of a run"),
        Column("unit", "s", "", "its unit, which the values of this row have"),
        Column("single", "f", "see unit", "value with every input at its single value; null of alternatives", True),
        Column("draws", "i", "1", "draws in which it is defined"),
        Column("undefined", "i", "1", "draws in which it is not"),
        Column("mean", "f", "see unit", "mean of the draws"),
        Column("sd", "f", "see unit", "standard deviation of the draws"),
        *(Column(f"p{n}", "f", "see unit", f"value that {n} % of the draws lie below") for n in (5, 10, 50, 90, 95)),
        *(
            Column(f"p{n}_{end}", "f", "see unit", f"{end}er {_INTERVAL}; null where there are too few draws", True)
            for n in (5, 10, 50, 90, 95)
            for end in ("low", "high")
        ),
        Column("reason", "s", "", "why it is undefined in some draws; empty where it is in none"),
    ),
    "convergence": (
        _SIDE,
        Column("draws", "i", "1", "first draws that count"),
        Column("mean", "f", "see figure", "mean of the figure that decides over them"),
        *(Column(f"p{n}", "f", "see figure", f"value that {n} % of them lie below") for n in (10, 50, 90)),
    ),
    "tornado": (
        Column("kpi", "s", "", "key figure"),
        Column("unit", "s", "", "its unit, which the values of this row have"),
        Column("base", "f", "see unit", "its value with every input at its single value"),
        _INPUT,
        Column("low_value", "s", "", "the input's value at its P10"),
        Column("high_value", "s", "", "the input's value at its P90"),
        Column("at_low", "f", "see unit", "the figure there, all others at their single values"),
        Column("at_high", "f", "see unit", "the figure at its P90"),
        Column("swing", "f", "see unit", "distance between the two"),
    ),
    "spider": (
        _INPUT,
        Column("change_frac", "f", "1", "relative change of the input"),
        Column("value", "f", "see input", "its value then"),
        Column("result", "f", "see figure", "the figure that decides there"),
    ),
    "heat": (
        Column("first_value", "f", "see input", "value of the first input"),
        Column("second_value", "f", "see input", "value of the second input"),
        Column("value", "f", "see figure", "the figure that decides there; null where undefined", True),
    ),
    "sobol": (
        _INPUT,
        Column("first_frac", "f", "1", "share of the variance that the input carries alone"),
        Column("first_error", "f", "1", "half-width of its 95 % interval"),
        Column("total_frac", "f", "1", "share with all that it does together with others"),
        Column("total_error", "f", "1", "half-width of its 95 % interval"),
    ),
    "cash": (
        _SIDE,
        _MONTH,
        Column("mean_usd", "f", "USD", "project cash flow before tax and financing, mean of the draws"),
        *(
            Column(f"cumulative_p{n}_usd", "f", "USD", f"P{n} over the draws of that flow summed up to the month")
            for n in (10, 50, 90)
        ),
    ),
    "monthly": (_SIDE, _DRAW, _MONTH, Column("net_cash_usd", "f", "USD", "project cash flow before tax and financing")),
}
# Tables that are one row a draw or more are not for reading line by line.
NOT_AS_TEXT = ("monthly",)


def draws_columns(asked: Asked, frame: pd.DataFrame) -> tuple[Column, ...]:
    """Columns of the table of draws: inputs as stated, then key figures."""
    found = [_SIDE, _DRAW]
    for name in frame.columns[2:]:
        if name in asked.names:
            found.append(Column(name, "f", KPIS[name].unit, KPIS[name].definition, True))
        else:
            text = not pd.api.types.is_numeric_dtype(frame[name])
            meaning = "drawn value; of a price path the mean of its factors; null where the side has no such input"
            found.append(Column(name, "s" if text else "f", "", meaning, True))
    return tuple(found)


def write(folder: Path, found: Found, of: Answer, engine: Engine, writers: Sequence[Writer] = ()) -> dict[str, Any]:
    """Write the tables, the answer, the run folders of the percentiles, and what *writers* make of them.

    Returns
    -------
    dict
        The answer as it was written.

    Raises
    ------
    StoreError
        If something cannot be written.
    """
    said = {**of.said, "percentile_runs": _run_folders(folder, found, engine)}
    columns = {"draws": draws_columns(found.asked, of.tables["draws"]), **TABLES}
    for name, declared in columns.items():
        frame = of.tables[name]
        store.write(folder / f"{name}.parquet", parquet(frame, declared))
        if name not in NOT_AS_TEXT:
            store.write(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n").encode())
    store.write(folder / ANSWER, _json(said))
    for writer in writers:
        writer(folder)
    files = sorted(path for path in folder.iterdir() if path.suffix in (".parquet", ".csv", ".json"))
    manifest = {
        "dcsim": __version__,
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.name != MANIFEST},
    }
    store.write(folder / MANIFEST, _json(manifest))
    return said


def _run_folders(folder: Path, found: Found, engine: Engine) -> dict[str, Any]:
    """Whole run folders of the plan's draws at P5, P50 and P95, on this machine."""
    side, values = found.asked.base, found.draws[0].figures[found.asked.figure]
    if any(not of.place for of in side.inputs):
        return {}  # a draw of the calibration is no scenario that a run folder could hold
    chosen = folders.at_percentiles(values)
    groups: dict[tuple[float, ...], list[tuple[str, Loaded]]] = {}
    for row in sorted(set(chosen.values())):
        simulated = tuple(float(side.columns[of.name][row]) for of in side.inputs if of.simulated)
        plan = scenario_of(side.loaded, side.inputs, at(side, row).tolist())
        groups.setdefault(simulated, []).append((f"draw {row + 1}", plan))
    names = folders.written(folder / "runs", groups.values(), _before(folder), engine)
    return {
        name: {
            "draw": row + 1,
            found.asked.figure: float(values[row]),
            "folder": f"runs/{names[f'draw {row + 1}']}",
        }
        for name, row in chosen.items()
    }


def _before(folder: Path) -> list[str]:
    """Names of the run folders that the study in *folder* chose, if there is one."""
    try:
        said = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [Path(one["folder"]).name for one in said.get("percentile_runs", {}).values()]


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
