"""What the workers of a study do: simulate what rows of inputs share, and cost each row on it."""

import gc
import gzip
import io
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from dcsim import costing, pipeline
from dcsim.costing import Happened, Metered
from dcsim.errors import UsageError
from dcsim.kpi import kpis
from dcsim.kpi_money import MONEY
from dcsim.model.load import Loaded
from dcsim.model.scenario import Scenario
from dcsim.model.tree import Tree
from dcsim.operate import Prepared
from dcsim.study.figures.inputs import Input, stated_values, with_values

Floats = NDArray[np.float64]

# Key figures of money beyond those of the registry of money, and the columns of intervals that some look into.
ALSO_MONEY = ("cost_usd_per_million_tokens", "embodied_servers_t", "embodied_construction_t")
LOOKED_AT = ("start_s", "duration_s", "it_power_w", "facility_power_w", "gpus_energised")


@dataclass(frozen=True)
class Task:
    """Rows of a plan that share all that is simulated; *rows* are the numbers of the inputs, in their order.

    ``state`` is what :func:`simulate` gave for one of them; without it the task simulates by itself.
    """

    loaded: Loaded
    inputs: tuple[Input, ...]
    names: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    group: str
    state: bytes | None = None


@dataclass(frozen=True)
class State:
    """A simulated plan as far as money rests on it, and those of its key figures that do not depend on prices."""

    ready: Prepared
    of: Metered
    figures: dict[str, dict[str, Any]]


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
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"{loaded.path}: {reason}, at {given}") from None
    return replace(loaded, scenario=scenario, tree=Tree(values, loaded.tree.origins), uncertain=())


# What the last task of this process was costed on, for the next one of the same group.
_last: dict[str, State] = {}


def simulate(task: Task) -> tuple[bytes]:
    """Simulate what the rows of a task share; what their money rests on, as bytes."""
    state = _simulated(task)
    return (gzip.compress(pickle.dumps(replace(state, of=bared(state.of))), compresslevel=1, mtime=0),)


def _simulated(task: Task) -> State:
    draws = [of.value(number) for of, number in zip(task.inputs, task.rows[0], strict=True) if not of.place]
    ready = pipeline.prepare(scenario_of(task.loaded, task.inputs, task.rows[0]), *draws)
    of = costing.metered(ready, costing.happened(ready))
    shared = costing.some_figures(ready, of, [name for name in task.names if not is_money(name)])
    # Jobs are what a plan has most of, and no price asks for them.
    slim = replace(ready, demand=replace(ready.demand, jobs=ready.demand.skipped), machines={}, services=())
    return State(slim, of, shared)


def _state(task: Task) -> State:
    if task.group not in _last:
        _last.clear()
        _last[task.group] = _simulated(task) if task.state is None else pickle.loads(gzip.decompress(task.state))
    return _last[task.group]


def bared(of: Metered) -> Metered:
    """What was metered without the tables that no figure of money looks into."""
    kept = of.done.intervals[list(LOOKED_AT)]
    done = Happened(kept, of.done.pools.iloc[:0], of.done.jobs.iloc[:0], [])
    return replace(of, done=done)


def is_money(name: str) -> bool:
    """Whether a key figure depends on prices."""
    return name in MONEY or name in ALSO_MONEY


def compute(task: Task) -> tuple[bytes]:
    """Cost the rows of a task on the simulation that they share."""
    state = _state(task)
    # Nothing of a row is a cycle, and looking for some takes a seventh of the time.
    collects = gc.isenabled()
    gc.disable()
    try:
        return _costed(task, state)
    finally:
        if collects:
            gc.enable()


def _costed(task: Task, state: State) -> tuple[bytes]:
    money = [name for name in task.names if is_money(name)]
    found: dict[str, list[float]] = {name: [] for name in task.names}
    reasons: dict[str, str] = {}
    flows: list[tuple[int, Floats]] = []
    for row in task.rows:
        scenario = scenario_of(task.loaded, task.inputs, row).scenario
        results = costing.results(*costing.repriced(state.ready, state.of, scenario))[1]
        figures = state.figures | kpis(results, money)
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
