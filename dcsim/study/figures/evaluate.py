"""Key figures of rows of inputs: grouped by what is simulated, costed row by row, kept as they come."""

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from dcsim import __version__, costing, pipeline
from dcsim.costing import Metered
from dcsim.errors import DcsimError, UsageError
from dcsim.kpi import KPIS, kpis
from dcsim.kpi_money import MONEY
from dcsim.model.load import Loaded
from dcsim.model.scenario import Scenario
from dcsim.model.tree import Tree
from dcsim.operate import Prepared
from dcsim.registry import lookup
from dcsim.study.engines.engine import Engine
from dcsim.study.engines.store import Store, completed
from dcsim.study.figures.inputs import Input, stated_values, with_values
from dcsim.study.sensitivity.model import Model

Floats = NDArray[np.float64]
Progress = Callable[[float], None]

# Rows of one task where few simulations share many rows: about a second of work.
ROWS_A_TASK = 250
# Where there are more simulations than this, a task is all rows of one, so that none is simulated twice.
FEW_GROUPS = 8
# Key figures of money beyond those of the registry of money.
ALSO_MONEY = ("cost_usd_per_million_tokens",)


class EvaluationError(DcsimError):
    """Some rows could not be evaluated; what is finished is kept."""


@dataclass(frozen=True)
class Task:
    """Rows of a plan that share all that is simulated; *rows* are the numbers of the inputs, in their order."""

    loaded: Loaded
    inputs: tuple[Input, ...]
    names: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    group: str


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


def scenario_of(loaded: Loaded, inputs: Sequence[Input], row: Sequence[float]) -> Loaded:
    """The plan with the values of one row stated in it.

    Raises
    ------
    UsageError
        If they are no plan together; the message has the row.
    """
    stated = [(of, of.value(number)) for of, number in zip(inputs, row, strict=True) if of.place]
    values = with_values(stated_values(loaded), [of.place for of, _ in stated], [value for _, value in stated])
    try:
        scenario = Scenario.model_validate(values)
    except ValidationError as error:
        given = ", ".join(f"{of.name} = {of.label(number)}" for of, number in zip(inputs, row, strict=True))
        raise UsageError(f"{loaded.path}: {error.errors()[0]['msg']}, at {given}") from None
    return replace(loaded, scenario=scenario, tree=Tree(values, loaded.tree.origins))


# What the last task of this process simulated, for the next one of the same group.
_last: dict[str, tuple[Prepared, Metered]] = {}


def _simulated(task: Task) -> tuple[Prepared, Metered]:
    if task.group not in _last:
        _last.clear()
        draws = [of.value(number) for of, number in zip(task.inputs, task.rows[0], strict=True) if not of.place]
        ready = pipeline.prepare(scenario_of(task.loaded, task.inputs, task.rows[0]), *draws)
        _last[task.group] = ready, costing.metered(ready, costing.happened(ready))
    return _last[task.group]


def compute(task: Task) -> tuple[bytes]:
    """Work out the rows of a task: simulate what they share once, and cost each."""
    ready, of = _simulated(task)
    money = [name for name in task.names if name in MONEY or name in ALSO_MONEY]
    shared = costing.some_figures(ready, of, [name for name in task.names if name not in money])
    found: dict[str, list[float]] = {name: [] for name in task.names}
    reasons: dict[str, str] = {}
    flows: list[tuple[int, Floats]] = []
    for row in task.rows:
        scenario = scenario_of(task.loaded, task.inputs, row).scenario
        results = costing.results(*costing.repriced(ready, of, scenario))[1]
        figures = shared | kpis(results, money)
        for name in task.names:
            value = figures[name]["value"]
            found[name].append(np.nan if value is None else value)
            if value is None:
                reasons.setdefault(name, figures[name]["reason"])
        flows.append((results.first_month, results.flows_usd()))
    first = min(month for month, _ in flows)
    columns: dict[str, Any] = {name: np.array(values, dtype=float) for name, values in found.items()}
    columns["flows_usd"] = [np.concatenate([np.zeros(month - first), of]) for month, of in flows]
    table = pa.table(columns).replace_schema_metadata(
        {"reasons": json.dumps(reasons, ensure_ascii=False), "first_month": str(first)}
    )
    target = io.BytesIO()
    pq.write_table(table, target, compression="zstd")
    return (target.getvalue(),)


@dataclass(frozen=True)
class Evaluator:
    """Key figures of a plan as functions of its inputs, on an engine, with everything finished kept in a store."""

    loaded: Loaded
    inputs: tuple[Input, ...]
    names: tuple[str, ...]
    base_key: str
    engine: Engine
    store: Store

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
        size = ROWS_A_TASK if len(groups) <= FEW_GROUPS else len(table)
        tasks: dict[str, Task] = {}
        places: dict[str, list[int]] = {}
        for values, members in groups.items():
            group = _digest([self.base_key, list(values)])
            for start in range(0, len(members), size):
                part = members[start : start + size]
                rows = tuple(map(tuple, table[part].tolist()))
                key = self._key(group, rows)
                tasks[key] = Task(self.loaded, self.inputs, self.names, rows, group)
                places[key] = part
        self._run(tasks, progress)
        return self._together(places, len(table))

    def model(self, name: str, others: Mapping[str, float] | None = None) -> Model:
        """One key figure as a function of columns of inputs; those that it is not given stay at *others*."""

        def of(columns: Mapping[str, Floats]) -> Floats:
            n = len(next(iter(columns.values())))
            whole = {key: np.full(n, value) for key, value in (others or {}).items()} | dict(columns)
            return self.rows(whole).figures[name]

        return of

    def kept_in(self, store: Store) -> "Evaluator":
        """The same with another store."""
        return replace(self, store=store)

    def _run(self, tasks: Mapping[str, Task], progress: Progress) -> None:
        n_rows = sum(len(task.rows) for task in tasks.values())
        done = sum(len(task.rows) for key, task in tasks.items() if key in self.store)
        failed: list[str] = []
        for key, fault in completed(self.engine, compute, tasks, (self.store,)):
            done += len(tasks[key].rows)
            progress(done / n_rows)
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
        return _digest([group, [of.name for of in self.inputs], list(self.names), values])


def evaluator(
    loaded: Loaded, inputs: tuple[Input, ...], names: Sequence[str], engine: Engine, store: Store
) -> Evaluator:
    """Check a plan and the key figures that are asked of it.

    Raises
    ------
    InputError
        If the plan with its single values cannot be built.
    UsageError
        If a figure is not known.
    """
    for name in names:
        lookup(KPIS, name, "key figure")
    key = pipeline.content_key(loaded, pipeline.prepare(loaded))
    return Evaluator(loaded, inputs, tuple(names), _digest([__version__, key, _files(loaded, inputs)]), engine, store)


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
            path = loaded.path.resolve().parent / str(value)
            if isinstance(value, str) and path.is_file():
                found[value] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _digest(of: Any) -> str:
    return hashlib.sha256(json.dumps(of, default=str).encode()).hexdigest()
