"""The straight line of an optimisation: try designs, judge them, write what was found."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dcsim import __version__, runs
from dcsim.errors import UsageError
from dcsim.finance.ledger import month_number
from dcsim.study.engines import store
from dcsim.study.engines.engine import Engine
from dcsim.study.engines.store import Store
from dcsim.study.optimise import answer, search
from dcsim.study.optimise.asked import Asked
from dcsim.study.optimise.design import Point, grid, n_points
from dcsim.study.optimise.judge import Judge, judged
from dcsim.study.optimise.search import Outcome
from dcsim.study.optimise.tables import points_table
from dcsim.study.optimise.tried import Progress, Trials, Tried
from dcsim.study.sweep.tables import parquet

KIND = "optimise"


@dataclass(frozen=True)
class Study:
    """What an optimisation answered."""

    folder: Path
    asked: Asked
    said: dict[str, Any]
    points: pd.DataFrame
    n_before: int
    failed: tuple[Tried, ...]


def optimise(of: Asked, folder: Path, engine: Engine, progress: Progress, writers: Sequence[runs.Writer] = ()) -> Study:
    """Try the designs of a study and write what was found.

    Raises
    ------
    UsageError
        If *folder* holds another study, or no design can be built.
    StoreError
        If a result cannot be written.
    EngineError
        If no more tasks can be run; what is finished is kept.
    """
    _refuse_another(of, folder)
    finished = Store(folder / "results", ".json")
    for one in (folder, finished.folder):
        store.clear_partial(one)
    trials = Trials(of.source, of.sets, engine, finished, of.total, progress)
    judge = Judge(of.goals, of.limits, month_number(of.base.scenario.plan.start))

    def evaluate(points: Sequence[Point]) -> list[Outcome]:
        return [judge.outcome(one) for one in trials.try_all(points)]

    if of.exhaustive:
        evaluate(grid(of.choices))
        how: dict[str, Any] = {"method": "grid", "designs": n_points(of.choices)}
    else:
        sizes = search.nsga2(of.choices, len(of.goals), evaluate, of.trials, of.seed)
        how = {
            "method": "nsga2",
            "designs": n_points(of.choices),
            "trials": of.trials,
            "seed": of.seed,
            "population": search.population(of.trials),
            "generations": len(sizes),
        }
    progress("write", 1.0)
    best = judged(judge, trials.tried)
    told = answer.said(of.choices, judge, trials.tried, best, how)
    told = {"finding": answer.sentences(told), "scenario": of.name, "set": list(of.sets), **told}
    frame, columns = points_table(of.choices, judge, trials.tried, best)
    store.write(folder / "points.parquet", parquet(frame, columns))
    store.write(folder / "points.csv", frame.to_csv(index=False, lineterminator="\n").encode())
    store.write(folder / "optimise.json", _json(told))
    for writer in writers:
        writer(folder)
    _finish(of, folder, trials.tried)
    failed = tuple(one for one in trials.tried if one.status == "failed")
    return Study(folder, of, told, frame, trials.n_before, failed)


def _refuse_another(of: Asked, folder: Path) -> None:
    """Refuse a folder of another study; a study of the same scenario may go on with other designs or objectives."""
    try:
        there = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    there = there if isinstance(there, dict) else {}
    if (there.get("study"), there.get("scenario_key")) != (KIND, of.scenario_key):
        raise UsageError(
            f"{folder}: holds another study; name another --out. A study goes on in its folder with other --vary, "
            "--objective, --limit or --trials: what is finished is not computed again"
        )


def _finish(of: Asked, folder: Path, tried: Sequence[Tried]) -> None:
    """Write the manifest: what was asked, what became of each design, and the digest of every table."""
    files = ("optimise.json", "points.csv", "points.parquet")
    points = [
        {
            "point": number,
            "design": list(one.point),
            "key": one.key or None,
            "status": one.status,
            "reason": "; ".join(one.reasons),
        }
        for number, one in enumerate(tried, 1)
    ]
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    store.write(folder / "manifest.json", _json({**_stated(of), "points": points, "files": digests}))


def _stated(of: Asked) -> dict[str, Any]:
    return {
        "dcsim": __version__,
        "study": KIND,
        "scenario": of.name,
        "scenario_key": of.scenario_key,
        **of.stated,
    }


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
