"""Cells of a comparison, one an alternative, world and seed; which are one task, and how tasks become runs."""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcsim import runs
from dcsim.errors import DcsimError
from dcsim.study.compare.asked import Asked, Side, World
from dcsim.study.compare.tasks import Group, Sent, seeded, sent, written
from dcsim.study.engines.cluster import DaskEngine
from dcsim.study.engines.engine import Engine, Failed


class CompareError(DcsimError):
    """Some cells of a comparison failed; the others are finished."""


@dataclass(frozen=True, eq=False)
class Cell:
    """An alternative in a world on a seed."""

    side: Side
    world: World
    seed: int

    @property
    def given(self) -> runs.Run | None:
        """The run folder that was named on the command line, where it is this very run."""
        run = self.side.run
        if run is None or self.side.sets or self.world.sets or run.scenario["plan"]["seed"] != self.seed:
            return None
        return run


def cells_of(asked: Asked) -> list[Cell]:
    """Every cell, the base as stated first."""
    return [Cell(side, world, seed) for world in asked.worlds for side in asked.sides for seed in asked.seeds]


def grouped(asked: Asked, cells: Iterable[Cell]) -> list[tuple[Cell, ...]]:
    """Cells that share their simulation side by side, each group and the cells in it in the order given."""
    found: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        found.setdefault((asked.plan(cell.side, cell.world).alike, cell.seed), []).append(cell)
    return [tuple(group) for group in found.values()]


def finished(
    asked: Asked,
    groups: Sequence[tuple[Cell, ...]],
    engine: Engine,
    parent: Path,
    valued: datetime.date | None,
) -> Iterator[tuple[tuple[Cell, ...], runs.Run | Failed]]:
    """Run groups on an engine, into *parent*.

    Yields
    ------
    tuple
        Cells and their run; all cells of a group with a failure that is no single cell's.
    """
    tasks = {
        str(i): Group(tuple(seeded(asked.plan(cell.side, cell.world).loaded, cell.seed) for cell in group), valued)
        for i, group in enumerate(groups)
    }
    if isinstance(engine, DaskEngine):
        results = _carried(engine, tasks, parent)
    else:
        results = engine.run(written, {key: (group, parent) for key, group in tasks.items()})
    for key, found in results:
        group = groups[int(key)]
        if isinstance(found, Failed):
            yield group, found
        else:
            yield from (((cell,), one) for cell, one in zip(group, found, strict=True))


def failures(failed: Mapping[tuple[Cell, ...], str], n_cells: int, parent: Path) -> str:
    """Message that names the cells that failed and why; those of one simulation stand together."""
    told = [
        f"  {' and '.join(f'{cell.side.name}, {cell.world.name}' for cell in cells)}, seed {cells[0].seed}: {reason}"
        for cells, reason in failed.items()
    ]
    n_failed = sum(len(cells) for cells in failed)
    return "\n".join(
        [
            f"{n_failed} of {n_cells} runs failed; those that finished are kept in {parent}",
            *told,
            "Mend the cause and give the same command again",
        ]
    )


def _carried(
    engine: DaskEngine, tasks: Mapping[str, Group], parent: Path
) -> Iterator[tuple[str, list[runs.Run | Failed] | Failed]]:
    """Run groups on machines whose disk may be no other's, and place the run folders that they send."""
    there = frozenset(path.name for path in parent.glob("*-*") if runs.whole(path))
    for key, found in engine.run(sent, {key: (group, there) for key, group in tasks.items()}):
        if isinstance(found, Failed):
            yield key, found
        else:
            yield key, [one if isinstance(one, Failed) else _placed(one, parent) for one in found]


def _placed(one: Sent, parent: Path) -> runs.Run:
    """The run of a folder that was sent, or that is there."""
    if one.files:
        with runs.placed(parent, one.name, "the run folder could not be written", "nothing was left behind") as aside:
            for name, data in one.files.items():
                (aside / name).write_bytes(data)
    return runs.read(parent / one.name)
