"""What a worker of a comparison does: the runs of cells that share their simulation, on this machine or another."""

import datetime
import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from dcsim import pipeline, runs
from dcsim.costing import Happened
from dcsim.finance.ledger import month_number, month_numbers
from dcsim.model.load import Loaded
from dcsim.model.scenario import Scenario
from dcsim.study.engines.engine import Failed, guarded


@dataclass(frozen=True)
class Group:
    """Plans of one seed that differ in prices alone.

    The month is that at which they are valued, as its first day; None where the first of them, which is the base as
    stated, decides it.
    """

    plans: tuple[Loaded, ...]
    valued: datetime.date | None


@dataclass(frozen=True)
class Sent:
    """A run folder by its name; its files unless it is there."""

    name: str
    files: dict[str, bytes]


def seeded(loaded: Loaded, seed: int) -> Loaded:
    """The same plan on another seed."""
    plan = loaded.scenario.plan.model_copy(update={"seed": seed})
    return replace(loaded, scenario=loaded.scenario.model_copy(update={"plan": plan}))


def valuation_month(run: runs.Run) -> int:
    """Month number to which the present values of a run refer."""
    stated = Scenario.model_validate(run.scenario).economics.valuation_date
    if stated is not None:
        return month_number(stated)
    return int(month_numbers([run.findings["finance"]["first_month"]])[0])


def first_day(month: int) -> datetime.date:
    """First day of a month by its number."""
    return datetime.date(month // 12, month % 12 + 1, 1)


def written(of: tuple[Group, Path]) -> list[runs.Run | Failed] | Failed:
    """Write the run folders of a group, those that stand there excepted; its runs, in order."""
    group, parent = of
    kept = _kept(group)
    found: list[runs.Run | Failed] = []
    valued = group.valued
    for loaded in group.plans:
        if valued is None and found:
            first = found[0]
            if isinstance(first, Failed):
                return [
                    first,
                    *(Failed("the base, at whose month it would be valued, failed") for _ in group.plans[1:]),
                ]
            valued = first_day(valuation_month(first))
        found.append(guarded(partial(_written, parent, kept), _valued(loaded, valued)))
    return found


def sent(of: tuple[Group, frozenset[str]]) -> list[Sent | Failed]:
    """Run folders of a group as bytes, since this machine's disk may be no other's; those *there* by name alone."""
    group, there = of
    kept = _kept(group)
    return [guarded(partial(_sent, there, kept), _valued(loaded, group.valued)) for loaded in group.plans]


def _kept(group: Group) -> list[Happened] | None:
    return [] if len(group.plans) > 1 else None


def _valued(loaded: Loaded, valued: datetime.date | None) -> Loaded:
    """The same plan, valued at a month; as it states where that is None."""
    if valued is None:
        return loaded
    economics = loaded.scenario.economics.model_copy(update={"valuation_date": valued})
    return replace(loaded, scenario=loaded.scenario.model_copy(update={"economics": economics}))


def _written(parent: Path, kept: list[Happened] | None, loaded: Loaded) -> runs.Run:
    folder = pipeline.run(loaded, parent, reuse=True, kept=kept)
    # It is whole, and its scenario is this one, which takes longest to read.
    kpis, findings = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("kpis", "findings"))
    return runs.Run(folder, loaded.scenario.model_dump(mode="json"), kpis, findings)


def _sent(there: frozenset[str], kept: list[Happened] | None, loaded: Loaded) -> Sent:
    name = f"{loaded.scenario.name}-{pipeline.content_key(loaded, pipeline.prepare(loaded))[:8]}"
    if name in there:
        return Sent(name, {})
    with TemporaryDirectory() as parent:
        folder = pipeline.run(loaded, Path(parent), kept=kept)
        return Sent(name, {path.name: path.read_bytes() for path in folder.iterdir()})
