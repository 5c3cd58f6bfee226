"""Paired runs: every alternative on the same seeds as the base, valued at the same month."""

import datetime
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcsim import runs
from dcsim.finance.ledger import month_name
from dcsim.study.compare.asked import Asked, Key
from dcsim.study.compare.cells import Cell, CompareError, cells_of, failures, finished, grouped
from dcsim.study.compare.tasks import first_day, valuation_month
from dcsim.study.engines.cluster import DaskEngine
from dcsim.study.engines.engine import Engine, Failed

Floats = NDArray[np.float64]
Progress = Callable[[str, float], None]


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


def paired(asked: Asked, parent: Path, engine: Engine, progress: Progress = lambda what, done: None) -> Paired:
    """Run what is asked on an engine, into *parent*; a run that stands there already is not run again.

    Present values are those at the valuation month of the base as stated, whatever each alternative's own first
    month: dollars of two dates do not subtract.

    Raises
    ------
    CompareError
        If some cells failed; the others are finished.
    EngineError
        If no more can be run; what is finished is kept.
    """
    cells = cells_of(asked)
    first = cells[0]
    found: dict[Cell, runs.Run] = {}
    failed: dict[tuple[Cell, ...], str] = {}

    def run(groups: list[tuple[Cell, ...]], valued: datetime.date | None) -> None:
        for of, one in finished(asked, groups, engine, parent, valued):
            if isinstance(one, Failed):
                failed[of] = one.reason
            else:
                found[of[0]] = one
            progress("runs", len(found) / len(cells))

    if first.given is not None:
        found[first] = first.given
    elif isinstance(engine, DaskEngine):
        # Only here can the month be read of a run that is there already.
        run([(first,)], None)
    else:
        run(grouped(asked, [cell for cell in cells if cell.given is None])[:1], None)
    if first in found:
        month = valuation_month(found[first])
        for cell in cells:
            if cell.given is not None and valuation_month(cell.given) == month:
                found[cell] = cell.given
        settled = {*found, *itertools.chain(*failed)}
        run(grouped(asked, [cell for cell in cells if cell not in settled]), first_day(month))
    if failed:
        raise CompareError(failures(failed, len(cells), parent))
    by_key = {
        (side.name, world.name): tuple(found[cell] for cell in cells if cell.side is side and cell.world is world)
        for world in asked.worlds
        for side in asked.sides
    }
    return Paired(asked, by_key, month_name(month))


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
