"""Paired runs: every alternative on the same seeds as the base, valued at the same month."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcsim import pipeline, runs
from dcsim.finance.ledger import month_name, month_number
from dcsim.model.scenario import Scenario
from dcsim.study.compare.asked import Asked, Side, World

Floats = NDArray[np.float64]
Key = tuple[str, str]  # alternative, world


@dataclass(frozen=True)
class Paired:
    """Runs of every alternative in every world, one a seed."""

    asked: Asked
    cells: dict[Key, tuple[runs.Run, ...]]
    valued: str

    @property
    def base(self) -> str:
        """Name of the base."""
        return self.asked.sides[0].name

    @property
    def names(self) -> list[str]:
        """Names of the base and the alternatives."""
        return [side.name for side in self.asked.sides]

    @property
    def worlds(self) -> list[str]:
        """Names of the worlds."""
        return [world.name for world in self.asked.worlds]


def valuation_month(run: runs.Run) -> int:
    """Month number to which the present values of a run refer."""
    stated = Scenario.model_validate(run.scenario).economics.valuation_date
    if stated is not None:
        return month_number(stated)
    year, month = run.findings["finance"]["first_month"].split("-")
    return int(year) * 12 + int(month) - 1


def paired(asked: Asked, parent: Path, progress: Callable[[str, float], None] = lambda what, done: None) -> Paired:
    """Run what is asked into *parent*; a run that stands there already is not run again.

    Present values are those at the valuation month of the base as stated, whatever each alternative's own first
    month: dollars of two dates do not subtract.
    """
    total = len(asked.sides) * len(asked.worlds) * len(asked.seeds)
    done, month, cells = 0, None, {}
    for world in asked.worlds:
        for side in asked.sides:
            found = []
            for seed in asked.seeds:
                progress(f"{side.name}, {world.name}, seed {seed}", done / total)
                run = _one(side, world, seed, month, parent)
                month = valuation_month(run) if month is None else month
                found.append(run)
                done += 1
            cells[side.name, world.name] = tuple(found)
    assert month is not None
    return Paired(asked, cells, month_name(month))


def _one(side: Side, world: World, seed: int, month: int | None, parent: Path) -> runs.Run:
    """One run: the folder given, where it is this very run, else one in *parent*."""
    given = side.run
    if given is not None and not side.sets and not world.sets:
        same_month = month is None or valuation_month(given) == month
        if same_month and given.scenario["plan"]["seed"] == seed:
            return given
    sets = [*world.sets, f"plan.seed={seed}"]
    if month is not None:
        sets.append(f"economics.valuation_date={month_name(month)}-01")
    return runs.read(pipeline.run(side.loaded(*sets), parent, reuse=True))


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences, its standard error, and the one that independent runs would have.

    The errors are None of a single seed; the ratio also where independent runs would have no error.
    """

    mean: float
    se_paired: float | None
    se_independent: float | None

    @property
    def ratio(self) -> float | None:
        """Paired over independent standard error."""
        if self.se_paired is None or not self.se_independent:
            return None
        return self.se_paired / self.se_independent


def difference(base: Floats, other: Floats) -> Difference:
    r"""Difference of two figures that were found on the same seeds.

    Parameters
    ----------
    base, other : ndarray, shape (n,)
        The figure on each seed.

    Notes
    -----
    .. math:: s_p = \sqrt{Var(y - x) / n}, \quad s_i = \sqrt{(Var(x) + Var(y)) / n}

    with unbiased variances.
    """
    n = len(base)
    delta = other - base
    if n < 2:
        return Difference(float(delta.mean()), None, None)
    independent = np.sqrt((base.var(ddof=1) + other.var(ddof=1)) / n)
    return Difference(float(delta.mean()), float(delta.std(ddof=1) / np.sqrt(n)), float(independent))
