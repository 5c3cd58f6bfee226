"""What is compared: a base, its alternatives and the worlds in which each is run; all faults at once."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from dcsim import pipeline, runs
from dcsim.errors import InputError, Problem, UsageError
from dcsim.model.load import Loaded, load
from dcsim.study.figures.alike import alike

AS_STATED = "as stated"
Key = tuple[str, str]  # alternative, world


@dataclass(frozen=True)
class World:
    """A named state of the world: overrides that hold for the base and every alternative."""

    name: str
    sets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Side:
    """The base or an alternative: a scenario with overrides, or a run folder that is already there."""

    name: str
    source: str
    sets: tuple[str, ...] = ()
    run: runs.Run | None = None

    def loaded(self, *more: str) -> Loaded:
        """Its scenario under further overrides, which win."""
        path = self.source if self.run is None else self.run.folder / "scenario.yaml"
        return load(path, (*self.sets, *more))


@dataclass(frozen=True)
class Plan:
    """A plan that can be run, and the key that it shares with plans which differ from it in prices alone."""

    loaded: Loaded
    alike: str


@dataclass(frozen=True)
class Asked:
    """A comparison that can be run: the base comes first in *sides*, the world as stated first in *worlds*."""

    sides: tuple[Side, ...]
    worlds: tuple[World, ...]
    seeds: tuple[int, ...]
    plans: dict[Key, Plan]

    def plan(self, side: Side, world: World) -> Plan:
        """What is run for an alternative in a world; of a run folder it is read when first asked for."""
        key = (side.name, world.name)
        if key not in self.plans:
            self.plans[key] = planned(side, world)
        return self.plans[key]


def planned(side: Side, world: World) -> Plan:
    """An alternative in a world, checked as far as it can be before the first event."""
    loaded = side.loaded(*world.sets)
    return Plan(loaded, alike(loaded, pipeline.prepare(loaded)))


def named(text: str, option: str) -> tuple[str, tuple[str, ...]]:
    """Split ``name: path=value, path=value``; commas inside brackets and quotes belong to a value.

    Raises
    ------
    UsageError
        If *text* has another form.
    """
    name, colon, rest = text.partition(":")
    sets = _split(rest)
    if not colon or not name.strip() or "=" in name or not sets:
        raise UsageError(f"{option} '{text}': write it as 'name: path=value, path=value'")
    return name.strip(), sets


def _split(text: str) -> tuple[str, ...]:
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            depth += (char in "([{") - (char in ")]}")
        if char == "," and not quote and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return tuple(part.strip() for part in parts if part.strip())


@dataclass
class _Faults:
    """Faults found so far; one that the base has is not said again of every alternative."""

    said: list[str] = field(default_factory=list)
    seen: set[tuple[str, Problem] | str] = field(default_factory=set)

    def add(self, error: UsageError, of: str) -> None:
        """Keep what is new of an error, with the alternative that has it."""
        if isinstance(error, InputError):
            new = [problem for problem in error.problems if (error.source, problem) not in self.seen]
            self.seen |= {(error.source, problem) for problem in new}
            text = str(InputError(error.source, new)) if new else ""
        else:
            text = "" if str(error) in self.seen else str(error)
            self.seen.add(text)
        if text:
            self.said.append(f"{of}: {text}" if of else text)

    def refuse(self) -> None:
        """Raise if there are any."""
        if self.said:
            raise UsageError("\n".join(self.said))


def asked(
    base: str,
    sources: tuple[str, ...],
    alternatives: tuple[str, ...],
    worlds: tuple[str, ...],
    n_seeds: int,
    sets: tuple[str, ...],
) -> Asked:
    """Read what the command line names and check that every run can start.

    Parameters
    ----------
    base, sources : str
        Scenario files, shipped names or run folders.
    alternatives, worlds : tuple of str
        Each ``name: path=value, path=value``; an alternative is laid over the base, a world over all.
    n_seeds : int
        How many seeds, from the base's on.
    sets : tuple of str
        Overrides of the base and every alternative.

    Raises
    ------
    UsageError
        If anything is wrong; all faults are listed.
    """
    faults = _Faults()
    read = [_side(source, sets, faults) for source in (base, *sources)]
    sides = _told_apart([side for side in read if side is not None])
    first = None if read[0] is None else sides[0]
    for text in alternatives:
        try:
            name, own = named(text, "--alt")
        except UsageError as error:
            faults.add(error, "")
            continue
        if first is not None:
            sides.append(Side(name, first.source, (*sets, *own), first.run))
    states = [World(AS_STATED)]
    for text in worlds:
        try:
            states.append(World(*named(text, "--world")))
        except UsageError as error:
            faults.add(error, "")
    if not sources and not alternatives:
        faults.add(UsageError("name at least one alternative: another scenario, a run folder, or --alt"), "")
    for what, names in (("alternatives", [of.name for of in sides]), ("worlds", [of.name for of in states])):
        for name in sorted({name for name in names if names.count(name) > 1}):
            faults.add(UsageError(f"two {what} are called '{name}'; give each its own name"), "")
    seed = 0
    plans: dict[Key, Plan] = {}
    for index, side in enumerate(sides):
        for world in states:
            label = "" if index == 0 and not world.sets else f"{side.name}, {world.name}" if world.sets else side.name
            given = side.run
            if given is not None and n_seeds == 1 and not side.sets and not world.sets:
                seed = given.scenario["plan"]["seed"] if index == 0 else seed
                continue  # it is there already
            try:
                plan = plans[side.name, world.name] = planned(side, world)
                seed = plan.loaded.scenario.plan.seed if index == 0 and not world.sets else seed
            except UsageError as error:
                faults.add(error, label)
    faults.refuse()
    return Asked(tuple(sides), tuple(states), tuple(range(seed, seed + n_seeds)), plans)


def _side(source: str, sets: tuple[str, ...], faults: _Faults) -> Side | None:
    """A scenario or run folder by its own name; None where it cannot be read."""
    try:
        if Path(source).is_dir():
            run = runs.read(Path(source))
            return Side(str(run.scenario["name"]), source, sets, run)
        return Side(load(source, sets).scenario.name, source, sets)
    except UsageError as error:
        faults.add(error, "")
        return None


def _told_apart(sides: list[Side]) -> list[Side]:
    """Scenarios of one name go by the name of their file or folder."""
    names = [side.name for side in sides]
    by_file = {
        i: re.sub(r"\.ya?ml$", "", Path(side.source).name) for i, side in enumerate(sides) if names.count(side.name) > 1
    }
    return [
        Side(by_file[i], side.source, side.sets, side.run) if i in by_file and side.name != by_file[i] else side
        for i, side in enumerate(sides)
    ]
