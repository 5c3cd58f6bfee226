"""Key figures of rows of inputs: grouped by what is simulated, worked out on an engine, kept as they come."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dcsim import __version__, pipeline
from dcsim.errors import DcsimError, UsageError
from dcsim.kpi import KPIS
from dcsim.model.load import Loaded
from dcsim.model.tree import Tree
from dcsim.registry import lookup
from dcsim.study.engines.engine import Engine, Function
from dcsim.study.engines.store import Store, completed
from dcsim.study.figures.alike import alike
from dcsim.study.figures.inputs import Input, with_values
from dcsim.study.figures.tasks import Task, compute, is_money, scenario_of, simulate
from dcsim.study.figures.touched import OVERRIDES, touches_simulation
from dcsim.study.sensitivity.model import Model

Floats = NDArray[np.float64]
Progress = Callable[[float], None]

# Rows of one task where few simulations share many rows: about a second of work.
ROWS_A_TASK = 250
# Where there are more simulations than this, a task is all rows of one, so that none is simulated twice.
FEW_GROUPS = 8


class EvaluationError(DcsimError):
    """Some rows could not be evaluated; what is finished is kept."""


@dataclass(frozen=True)
class Evaluated:
    """Results by row.

    ``figures`` holds an array of shape (n,) a key figure, NaN where it is undefined, for which ``reasons`` has one
    text a figure; ``flows_usd`` the project's cash flow before tax by month, shape (n, n_months), from ``first_month``.
    """

    figures: dict[str, Floats]
    reasons: dict[str, str]
    first_month: int
    flows_usd: Floats


@dataclass(frozen=True)
class Evaluator:
    """Key figures of a plan as functions of its inputs, on an engine, with everything finished kept in a store."""

    loaded: Loaded
    inputs: tuple[Input, ...]
    names: tuple[str, ...]
    base_key: str
    simulation: str
    engine: Engine
    store: Store
    simulated: Store

    def rows(self, columns: Mapping[str, Floats], progress: Progress = lambda done: None) -> Evaluated:
        """Key figures of each row of *columns*, which holds one a input.

        Raises
        ------
        EvaluationError
            If some rows fail; the message says which and why, and what is finished is kept.
        """
        table = np.column_stack([columns[of.name] for of in self.inputs])
        simulated = [i for i, of in enumerate(self.inputs) if of.simulated]
        groups: dict[tuple[float, ...], list[int]] = {}
        for index, values in enumerate(map(tuple, table[:, simulated].tolist())):
            groups.setdefault(values, []).append(index)
        shared = len(groups) <= FEW_GROUPS
        size = ROWS_A_TASK if shared else len(table)
        tasks: dict[str, Task] = {}
        places: dict[str, list[int]] = {}
        for values, members in groups.items():
            group = self._group(values)
            for start in range(0, len(members), size):
                part = members[start : start + size]
                rows = tuple(map(tuple, table[part].tolist()))
                key = self._key(group, rows)
                tasks[key] = Task(self.loaded, self.inputs, self.names, rows, group)
                places[key] = part
        missing = {key: task for key, task in tasks.items() if key not in self.store}
        if shared:
            states = self._states(missing)
            missing = {key: replace(task, state=states[task.group]) for key, task in missing.items()}
        n_rows = sum(len(task.rows) for task in tasks.values())
        done = n_rows - sum(len(task.rows) for task in missing.values())
        for key in self._run(compute, missing, self.store):
            done += len(tasks[key].rows)
            progress(done / n_rows)
        return self._together(places, len(table))

    def _states(self, tasks: Mapping[str, Task]) -> dict[str, bytes]:
        """What the groups of some tasks share, each simulated once."""
        first: dict[str, Task] = {}
        for task in tasks.values():
            first.setdefault(task.group, task)
        for _ in self._run(simulate, first, self.simulated):
            continue
        return {group: self.simulated.get(group) for group in first}

    def model(self, name: str, others: Mapping[str, float] | None = None) -> Model:
        """One key figure as a function of columns of inputs; those that it is not given stay at *others*."""

        def of(columns: Mapping[str, Floats]) -> Floats:
            n = len(next(iter(columns.values())))
            whole = {key: np.full(n, value) for key, value in (others or {}).items()} | dict(columns)
            return self.rows(whole).figures[name]

        return of

    def kept_in(self, folder: Path) -> "Evaluator":
        """The same with its results in *folder*."""
        return replace(self, store=Store(folder / "results", ".parquet"), simulated=Store(folder / "simulated", ".gz"))

    def _group(self, values: tuple[float, ...]) -> str:
        inputs = [of for of in self.inputs if of.simulated]
        return _digest([self.simulation, [(of.name, of.value(x)) for of, x in zip(inputs, values, strict=True)]])

    def _run(self, function: Function, tasks: Mapping[str, Task], store: Store) -> Iterator[str]:
        """Keys of tasks as they finish; all others finish before a failure is told."""
        failed: list[str] = []
        for key, fault in completed(self.engine, function, tasks, (store,)):
            yield key
            if fault is not None:
                failed.append(fault.reason)
        if failed:
            told = "\n".join(f"  {reason}" for reason in dict.fromkeys(failed))
            raise EvaluationError(
                f"{len(failed)} of {len(tasks)} tasks failed, the others are finished and kept:\n{told}\n"
                "Mend the cause, or narrow the input that it names, and give the same command again"
            )

    def _together(self, places: Mapping[str, Sequence[int]], n: int) -> Evaluated:
        parts = []
        reasons: dict[str, str] = {}
        for key, rows in places.items():
            table = pq.read_table(pa.BufferReader(self.store.get(key)))
            metadata = table.schema.metadata
            for name, reason in json.loads(metadata[b"reasons"]).items():
                reasons.setdefault(name, reason)
            flows = np.array(table.column("flows_usd").to_pylist(), dtype=float)
            parts.append((rows, table, int(metadata[b"first_month"]), flows))
        first = min(month for _, _, month, _ in parts)
        end = max(month + flows.shape[1] for _, _, month, flows in parts)
        figures = {name: np.full(n, np.nan) for name in self.names}
        flows_usd = np.zeros((n, end - first))
        for rows, table, month, flows in parts:
            for name, column in figures.items():
                column[rows] = table.column(name).to_numpy()
            flows_usd[rows, month - first : month - first + flows.shape[1]] = flows
        return Evaluated(figures, reasons, first, flows_usd)

    def _key(self, group: str, rows: tuple[tuple[float, ...], ...]) -> str:
        # Values, not numbers: another number of price paths gives other paths the same places.
        values = [[of.value(number) for of, number in zip(self.inputs, row, strict=True)] for row in rows]
        return _digest([self.base_key, group, [of.name for of in self.inputs], list(self.names), values])


def evaluator(
    loaded: Loaded, inputs: tuple[Input, ...], names: Sequence[str], engine: Engine, folder: Path
) -> Evaluator:
    """Check a plan and the key figures that are asked of it.

    Parameters
    ----------
    loaded : Loaded
        The plan, with its single values.
    inputs : tuple of Input
        What varies.
    names : sequence of str
        Key figures.
    engine : Engine
        Where rows are worked out.
    folder : Path
        Where results are kept.

    Raises
    ------
    InputError
        If the plan with its single values cannot be built.
    UsageError
        If a figure is not known.
    """
    for name in names:
        lookup(KPIS, name, "key figure")
    ready = pipeline.prepare(loaded)
    scenario = loaded.scenario
    files = _files(loaded, inputs)
    base_key = _digest([__version__, pipeline.content_key(loaded, ready), files])
    # Plans that differ in prices alone share simulations, but for how a tariff bills.
    billed = {
        name: of.value for name, of in scenario.overrides.items() if touches_simulation(scenario, (OVERRIDES, name))
    }
    simulation = _digest(
        [
            __version__,
            alike(loaded, ready),
            scenario.plan.seed,
            scenario.site.tariff,
            billed,
            files,
            [name for name in names if not is_money(name)],
        ]
    )
    found = Evaluator(loaded, inputs, tuple(names), base_key, simulation, engine, Store(folder, ""), Store(folder, ""))
    return found.kept_in(folder)


def is_valid(of: Evaluator, numbers: Mapping[str, float]) -> bool:
    """Whether the plan may have these numbers of some inputs, all others at their single values."""
    row = [numbers.get(one.name, one.base) for one in of.inputs]
    try:
        scenario_of(of.loaded, of.inputs, row)
    except UsageError:
        return False
    return True


def _files(loaded: Loaded, inputs: Sequence[Input]) -> dict[str, str]:
    """Digests of the files that inputs name."""
    found = {}
    for of in inputs:
        for value in of.values if of.place and not of.is_path else ():
            if isinstance(value, str):
                stated = Tree(with_values(loaded.tree.values, [of.place], [value]), loaded.tree.origins)
                path = replace(loaded, tree=stated).file(of.place)
                if path.is_file():
                    found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _digest(of: Any) -> str:
    return hashlib.sha256(json.dumps(of, default=str).encode()).hexdigest()
