"""The straight line of an uncertainty study: draw, evaluate, vary one at a time, and put the results together."""

import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dcsim import __version__
from dcsim.errors import RangeError, UsageError
from dcsim.study.engines.engine import Engine
from dcsim.study.engines.store import clear_partial, write
from dcsim.study.figures.evaluate import Evaluated, Evaluator, evaluator, is_valid
from dcsim.study.figures.inputs import Floats, Input
from dcsim.study.sensitivity.one_way import OneWay, spider, tornado
from dcsim.study.sensitivity.sobol import sobol_indices
from dcsim.study.uncertainty.asked import Asked, Side

Progress = Callable[[str, float], None]

MANIFEST = "manifest.json"
# Points of the heat map along each input, between these quantiles.
N_HEAT = 11
HEAT_FROM, HEAT_TO = 0.02, 0.98


@dataclass(frozen=True)
class Heat:
    """The figure over two inputs, all others at their single values; rows of the table are cells."""

    first: str
    second: str
    table: pd.DataFrame


@dataclass(frozen=True)
class Found:
    """What a study found; one evaluation a side, and what varies one or two inputs of the plan alone.

    ``no_sobol`` says why there are no Sobol indices, where they were asked for.
    """

    asked: Asked
    draws: tuple[Evaluated, ...]
    single: dict[str, float]
    tornado: dict[str, OneWay]
    spider: OneWay | None
    heat: Heat | None
    sobol: pd.DataFrame | None
    no_sobol: str


@dataclass(frozen=True)
class Planned:
    """A checked study: an evaluator a side, whose results go to a store in *folder*."""

    asked: Asked
    folder: Path
    evaluators: tuple[Evaluator, ...]


def plan(asked: Asked, out: Path | None, engine: Engine) -> Planned:
    """Check that every side can be built, and name the folder of the study.

    Raises
    ------
    InputError
        If a side cannot be built with its single values.
    """
    # The folder is named by what the evaluators find, so they learn it afterwards.
    found = [evaluator(side.loaded, side.inputs, asked.names, engine, Path()) for side in asked.sides]
    folder = out or Path("uncertainty") / f"{asked.base.loaded.scenario.name}-{_identity(asked, found)}"
    return Planned(asked, folder, tuple(one.kept_in(folder) for one in found))


def _identity(asked: Asked, evaluators: list[Evaluator]) -> str:
    """Eight hex digits of what is drawn of what."""
    of = [
        __version__,
        asked.draws,
        asked.method,
        list(asked.names),
        [
            (one.base_key, side.name, [(name, column.tolist()) for name, column in side.columns.items()])
            for side, one in zip(asked.sides, evaluators, strict=True)
        ],
    ]
    return hashlib.sha256(json.dumps(of).encode()).hexdigest()[:8]


def study(planned: Planned, n_sobol: int, heat: tuple[str, str] | None, progress: Progress) -> Found:
    """Evaluate all draws of all sides; then the plan's inputs one and two at a time.

    Parameters
    ----------
    planned : Planned
        A checked study.
    n_sobol : int
        Base points of Sobol indices, a power of two; 0 for none.
    heat : (str, str) or None
        Inputs of the heat map; the two of prices with the widest swing if left out.

    Raises
    ------
    UsageError
        If an input of the heat map is not one.
    EvaluationError
        If some draws cannot be evaluated.
    StoreError
        If a result cannot be written.
    """
    asked = planned.asked
    base = planned.evaluators[0]
    for store in (base.store, base.simulated):
        clear_partial(store.folder)
    if not (planned.folder / MANIFEST).exists():
        # A folder that cannot be written is told before hours of work, not after.
        write(planned.folder / MANIFEST, b"{}\n")
    heated = [] if heat is None else [_number(base.inputs, name) for name in heat]
    if heat is not None and heat[0] == heat[1]:
        raise UsageError(f"--heat: '{heat[0]}' is named twice; a map is of two inputs")
    draws = []
    for index, (side, one) in enumerate(zip(asked.sides, planned.evaluators, strict=True)):
        draws.append(one.rows(side.columns, lambda done, i=index: progress("draws", (i + done) / len(asked.sides))))  # type: ignore[misc]
    progress("sensitivity", 0.0)
    by_name = {of.name: of for of in base.inputs}
    middle = {of.name: of.base for of in base.inputs}
    single = base.rows({name: np.array([value]) for name, value in middle.items()})
    swings = {}
    for name in asked.names:
        try:
            swings[name] = tornado(base.model(name), by_name, base=middle)
        except RangeError:
            continue  # undefined at some end, where a swing means nothing
    main = swings.get(asked.figure)
    numbers = {name: by_name[name].base for name in by_name if by_name[name].is_number and by_name[name].base != 0}
    moved = None
    if main is not None and numbers:
        with contextlib.suppress(RangeError):  # undefined somewhere along a line
            moved = spider(
                base.model(asked.figure, middle), numbers, allowed=lambda name, value: is_valid(base, {name: value})
            )
    if not heated and main is not None:
        widest = [by_name[name] for name in main.rows["input"] if by_name[name].is_number]
        heated = [of for of in widest if not of.simulated][:2]
    over = _heat(base, asked.figure, heated[0], heated[1], progress) if len(heated) == 2 else None
    shares = None
    without = ""
    if n_sobol:
        progress("Sobol indices", 0.0)
        try:
            shares = sobol_indices(base.model(asked.figure), by_name, n_sobol, asked.base.loaded.scenario.plan.seed)
        except RangeError as error:
            without = str(error)
    at_base = {name: float(of[0]) for name, of in single.figures.items()}
    return Found(asked, tuple(draws), at_base, swings, moved, over, shares, without)


def _number(inputs: tuple[Input, ...], name: str) -> Input:
    for of in inputs:
        if of.name == name and of.is_number:
            return of
    known = ", ".join(of.name for of in inputs if of.is_number) or "none"
    raise UsageError(f"--heat: '{name}' is no uncertain number of this plan; known: {known}")


def _heat(base: Evaluator, figure: str, first: Input, second: Input, progress: Progress) -> Heat:
    grid = [of.ravel() for of in np.meshgrid(_span(first), _span(second), indexing="ij")]
    columns = {of.name: np.full(len(grid[0]), of.base) for of in base.inputs}
    columns |= {first.name: grid[0], second.name: grid[1]}
    found = base.rows(columns, lambda done: progress("heat map", done)).figures[figure]
    table = pd.DataFrame({"first_value": grid[0], "second_value": grid[1], "value": found})
    return Heat(first.name, second.name, table)


def _span(of: Input) -> Floats:
    """Values of an input along a side of the heat map."""
    low, high = of.ppf(np.array([HEAT_FROM, HEAT_TO])).tolist()
    values = np.linspace(low, high, N_HEAT)
    return np.unique(np.round(values) if of.whole else values)


def at(side: Side, row: int) -> Floats:
    """Numbers of the inputs of one draw, in their order."""
    return np.array([side.columns[of.name][row] for of in side.inputs])
