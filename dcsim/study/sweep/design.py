"""The grid of a sweep: which values, in which order, and every fault that can be seen before the first run."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcsim.errors import InputError, UsageError
from dcsim.model.load import Loaded, load

SEED = "plan.seed"
_CLOSES = {"[": "]", "{": "}", "(": ")"}


@dataclass(frozen=True)
class Axis:
    """A place of the scenario and the values that it takes, as text that ``--set`` would read."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Variant:
    """One point of the grid."""

    overrides: tuple[str, ...]
    loaded: Loaded

    @property
    def label(self) -> str:
        """What sets it apart."""
        return ", ".join(self.overrides)


def axes(varies: Sequence[str]) -> tuple[Axis, ...]:
    """Read ``path=a,b,c`` texts; a list or mapping is one value: ``path=[1,2],[3,4]`` states two.

    Raises
    ------
    UsageError
        If any is not of that form; all faults are listed.
    """
    found: list[Axis] = []
    faults: list[str] = []
    for text in varies:
        path, _, stated = text.partition("=")
        values = _split(stated)
        if not path.strip() or not stated.strip() or not all(values):
            faults.append(f"--vary '{text}': write it as path=a,b,c, for example --vary plan.years=5,10")
        elif repeated := sorted({value for value in values if values.count(value) > 1}):
            faults.append(f"--vary '{text}': states {', '.join(repeated)} twice; state each value once")
        elif path.strip() in [axis.path for axis in found]:
            faults.append(f"--vary '{text}': {path.strip()} is varied already; state all its values in one --vary")
        else:
            found.append(Axis(path.strip(), tuple(values)))
    if faults:
        raise UsageError("\n".join(faults))
    return tuple(found)


def seeded(of: tuple[Axis, ...], n_seeds: int, first_seed: int) -> tuple[Axis, ...]:
    """The same with so many seeds, which vary slowest: a study that gets more of them goes on from what is there.

    Raises
    ------
    UsageError
        If the seed is varied already.
    """
    if any(axis.path == SEED for axis in of):
        raise UsageError(f"--seeds {n_seeds}: {SEED} is varied already; use one of the two")
    return (Axis(SEED, tuple(str(first_seed + i) for i in range(n_seeds))), *of)


def grid(of: tuple[Axis, ...]) -> list[tuple[str, ...]]:
    """Every combination of values as ``path=value`` texts, the last axis fastest."""
    return [
        tuple(f"{axis.path}={value}" for axis, value in zip(of, values, strict=True))
        for values in itertools.product(*(axis.values for axis in of))
    ]


def variants(
    source: str, sets: tuple[str, ...], points: Sequence[tuple[str, ...]]
) -> tuple[list[Variant], dict[str, list[str]]]:
    """Load every point; those that load, and the faults of the others, each with the points that have it."""
    found: list[Variant] = []
    faults: dict[str, list[str]] = {}
    for overrides in points:
        try:
            found.append(Variant(overrides, load(source, (*sets, *overrides))))
        except UsageError as error:
            for line in fault_lines(error):
                faults.setdefault(line, []).append(", ".join(overrides))
    return found, faults


def fault_lines(error: UsageError) -> list[str]:
    """One line a fault."""
    return [str(problem) for problem in error.problems] if isinstance(error, InputError) else [str(error)]


def refusal(source: str, faults: Mapping[str, Sequence[str]], n_points: int) -> UsageError:
    """Error for all faults of all points, each told once."""
    lines = [f"{source}: {len(faults)} problem{'s' if len(faults) != 1 else ''} in a sweep of {n_points} runs"]
    for line, labels in faults.items():
        more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        lines.append(f"  {line}\n    in {labels[0] or 'the scenario'}{more}")
    return UsageError("\n".join(lines))


def _split(text: str) -> list[str]:
    """Split at commas that stand in no bracket and no quotes."""
    parts, depth, quote = [""], [""], ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in _CLOSES:
            depth.append(_CLOSES[char])
        elif char == depth[-1]:
            depth.pop()
        elif char == "," and len(depth) == 1:
            parts.append("")
            continue
        parts[-1] += char
    return [re.sub(r"\s+", " ", part.strip()) for part in parts]
