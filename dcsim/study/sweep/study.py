"""The straight line of a sweep: check all variants, compute what is missing, put the results together."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dcsim import __version__
from dcsim.errors import UsageError
from dcsim.model.load import Loaded
from dcsim.study.engines import store
from dcsim.study.engines.engine import Engine, Failed
from dcsim.study.engines.store import Store
from dcsim.study.figures import folders
from dcsim.study.sweep import design, tables, tasks
from dcsim.study.sweep.design import Axis, Variant
from dcsim.study.sweep.moments import Moments

RANKED_BY = "npv_usd"

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Planned:
    """A checked design: runs numbered from 1, their content keys, and why the others have none.

    ``simulated`` has the key of what each run simulates but for its seed.
    """

    name: str
    sets: tuple[str, ...]
    axes: tuple[Axis, ...]
    variants: dict[int, Variant]
    keys: dict[int, str]
    failed: dict[int, str]
    simulated: dict[int, str]

    @property
    def identity(self) -> str:
        """Eight hex digits of the design."""
        return hashlib.sha256(json.dumps([self.keys.get(number) for number in self.variants]).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Study:
    """What a sweep answered."""

    folder: Path
    planned: Planned
    kpis: pd.DataFrame
    n_before: int
    failed: dict[int, str]
    chosen: dict[str, dict[str, Any]]


def plan(source: str, sets: tuple[str, ...], axes: tuple[Axis, ...], engine: Engine, progress: Progress) -> Planned:
    """Check every variant.

    Raises
    ------
    UsageError
        If any cannot be run, or two are the same run; all faults are listed.
    """
    points = design.grid(axes)
    found, faults = design.variants(source, sets, points)
    variants = dict(enumerate(found, 1))
    keys: dict[int, str] = {}
    failed: dict[int, str] = {}
    simulated: dict[int, str] = {}
    given = {str(number): variant.loaded for number, variant in variants.items()}
    refused: dict[int, tuple[str, ...]] = {}
    for done, (key, checked) in enumerate(engine.run(tasks.check, given), 1):
        progress("check", done / len(given))
        if isinstance(checked, Failed):
            failed[int(key)] = checked.reason
        elif checked.faults:
            refused[int(key)] = checked.faults
        else:
            keys[int(key)] = checked.key
            simulated[int(key)] = checked.simulated
    for number in sorted(refused):
        for line in refused[number]:
            faults.setdefault(line, []).append(variants[number].label)
    first: dict[str, int] = {}
    for number in sorted(keys):
        if (same := first.setdefault(keys[number], number)) != number:
            line = "two values of a --vary mean the same run; state one of them"
            faults.setdefault(line, []).append(f"{variants[same].label} = {variants[number].label}")
    if faults:
        raise design.refusal(source, faults, len(points))
    return Planned(
        variants[1].loaded.scenario.name, sets, axes, variants, dict(sorted(keys.items())), failed, simulated
    )


def sweep(planned: Planned, folder: Path, engine: Engine, progress: Progress) -> Study:
    """Compute what is missing of a checked design and write the tables of all runs.

    Raises
    ------
    UsageError
        If *folder* holds another study.
    StoreError
        If a result cannot be written.
    EngineError
        If no more tasks can be run; what is finished is kept.
    """
    finished = Store(folder / "results", ".parquet")
    waiting = Store(folder / "waiting", ".parquet")
    for of in (folder, finished.folder, waiting.folder, folder / "moments"):
        store.clear_partial(of)
    moments = _moments(planned, folder, waiting)
    if not all(one.fits(finished) for one in moments.values()):
        raise UsageError(
            f"{folder}: holds another study, from whose interval statistics this one cannot go on; name another --out. "
            "A study grows in place by more --seeds or, where there are none, by more values at the end of its first "
            "--vary"
        )
    before = _manifest(folder)
    if not finished.folder.exists():
        store.write(folder / "manifest.json", _json(_stated(planned)))
    # Runs that differ in prices alone follow each other, since a worker keeps its last simulation.
    ordered = sorted(planned.keys.items(), key=lambda run: _group(planned, run[0]))
    given = {key: planned.variants[number].loaded for number, key in ordered}
    n_before = sum(key in finished for key in given)
    numbers = {key: number for number, key in planned.keys.items()}
    failed = dict(planned.failed)
    for one in moments.values():
        one.advance(finished)
    done = n_before
    for key, fault in store.completed(engine, tasks.compute, given, (waiting, finished)):
        if fault is not None:
            failed[numbers[key]] = fault.reason
        done += 1
        progress("run", done / len(given))
        moments[_grid(planned.variants[numbers[key]])].advance(finished)
    progress("write", 1.0)
    for one in moments.values():
        one.save()
    kpis = _write_tables(planned, folder, finished, moments)
    chosen = _write_folders(planned, folder, kpis, before, engine)
    _finish(planned, folder, failed, chosen)
    return Study(folder, planned, kpis, n_before, dict(sorted(failed.items())), chosen)


def _write_tables(planned: Planned, folder: Path, finished: Store, moments: Mapping[str, Moments]) -> pd.DataFrame:
    """Key figures and months of all finished runs, mean and variance of their intervals; the key figures."""
    figures: dict[int, tuple[str, Sequence[str], tables.Kpis]] = {}
    statements: dict[int, pd.DataFrame] = {}
    for number, key in sorted(planned.keys.items()):
        if key in finished:
            kpis, statements[number] = tables.result(finished.get(key))
            stated = [text.partition("=")[2] for text in planned.variants[number].overrides]
            figures[number] = (key, stated, kpis)
    frame, columns = tables.kpi_table([axis.path for axis in planned.axes], figures)
    store.write(folder / "kpis.parquet", tables.parquet(frame, columns))
    store.write(folder / "kpis.csv", frame.to_csv(index=False, lineterminator="\n").encode())
    if statements:
        store.write(folder / "monthly.parquet", tables.parquet(*tables.monthly_table(statements)))
    for grid, one in moments.items():
        if (data := one.table(finished)) is not None:
            store.write(folder / f"intervals-{grid}.parquet", data)
    return frame


def _write_folders(
    planned: Planned, folder: Path, kpis: pd.DataFrame, before: Mapping[str, Any], engine: Engine
) -> dict[str, dict[str, Any]]:
    """Write the run folders of the percentiles, on this machine, and delete those that were and are no longer."""
    if RANKED_BY not in kpis:
        return {}
    numbers = kpis["run"].tolist()
    at = {name: int(numbers[row]) for name, row in folders.at_percentiles(kpis[RANKED_BY].to_numpy(float)).items()}
    groups: dict[tuple[int, str], list[tuple[str, Loaded]]] = {}
    for number in sorted(set(at.values())):
        of = planned.variants[number]
        groups.setdefault(_group(planned, number), []).append((of.label, of.loaded))
    old = [Path(one["folder"]).name for one in before.get("percentiles", {}).values()]
    names = folders.written(folder / "runs", groups.values(), old, engine)
    values = dict(zip(numbers, kpis[RANKED_BY].tolist(), strict=True))
    return {
        name: {"run": number, RANKED_BY: values[number], "folder": f"runs/{names[planned.variants[number].label]}"}
        for name, number in at.items()
    }


def _finish(planned: Planned, folder: Path, failed: Mapping[int, str], chosen: Mapping[str, Any]) -> None:
    """Write the manifest: the design, what became of it, and the digest of every table."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".parquet", ".csv"))
    manifest = {
        **_stated(planned),
        "failed": [{"run": number, "reason": reason} for number, reason in sorted(failed.items())],
        "ranked_by": RANKED_BY,
        "percentiles": chosen,
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    }
    store.write(folder / "manifest.json", _json(manifest))


def _stated(planned: Planned) -> dict[str, Any]:
    """The design as the manifest says it."""
    return {
        "dcsim": __version__,
        "scenario": planned.name,
        "set": list(planned.sets),
        "vary": {axis.path: list(axis.values) for axis in planned.axes},
        "runs": [
            {"run": number, "overrides": list(variant.overrides), "key": planned.keys.get(number)}
            for number, variant in planned.variants.items()
        ],
    }


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _moments(planned: Planned, folder: Path, waiting: Store) -> dict[str, Moments]:
    """One a time grid: runs over other spans have other intervals."""
    orders: dict[str, list[str | None]] = {}
    for number, variant in planned.variants.items():
        orders.setdefault(_grid(variant), []).append(planned.keys.get(number))
    return {grid: Moments(folder / "moments" / f"{grid}.npz", waiting, order) for grid, order in orders.items()}


def _group(planned: Planned, number: int) -> tuple[int, str]:
    """What a run simulates: seeds come first, so that a study that gets more of them goes on."""
    return planned.variants[number].loaded.scenario.plan.seed, planned.simulated[number]


def _grid(variant: Variant) -> str:
    scenario = variant.loaded.scenario
    return f"{scenario.plan.start}-{scenario.plan.years}y-{scenario.report.interval_s}s"
