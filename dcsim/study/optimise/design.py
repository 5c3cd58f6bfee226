"""The choices of a design: which values each may take, and how a point of them is written."""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from dcsim.errors import UsageError
from dcsim.study.sweep.design import axes

Point = tuple[str, ...]
# More values than this in one range are no list.
MOST_VALUES = 10_000
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?:\.\.({_NUMBER}))?")
_WHOLE = re.compile(r"[-+]?\d+")


@dataclass(frozen=True)
class Choice:
    """A place of the scenario and the values that it may take, as text that ``--set`` would read.

    One that is continuous may take any number between its two values.
    """

    path: str
    values: tuple[str, ...]
    continuous: bool = False

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """Its values as numbers; None where some is none."""
        try:
            found = tuple(float(value) for value in self.values)
        except ValueError:
            return None
        return found if all(math.isfinite(of) for of in found) else None


def choices(varies: Sequence[str]) -> tuple[Choice, ...]:
    """Read ``path=a,b,c``, ``path=low..high`` and ``path=low..high..step`` texts.

    A range of whole numbers has the step 1; one with a decimal point and no step is continuous.

    Raises
    ------
    UsageError
        If any is not of that form; all faults are listed.
    """
    texts: list[str] = []
    faults: list[str] = []
    continuous: set[str] = set()
    for text in varies:
        path, _, stated = text.partition("=")
        match = _RANGE.fullmatch(stated.strip())
        if match is None:
            if ".." in stated:
                faults.append(f"--vary '{text}': write a range as path=low..high or path=low..high..step")
            else:
                texts.append(text)
            continue
        low, high, step = match[1], match[2], match[3]
        if step is None and not (_WHOLE.fullmatch(low) and _WHOLE.fullmatch(high)):
            continuous.add(path.strip())
            values = [low, high]
        else:
            values = _steps(Decimal(low), Decimal(high), Decimal(step or 1))
        if not float(low) < float(high) or not values:
            faults.append(f"--vary '{text}': a range goes from a low end to a high end, in steps above 0")
        elif len(values) > MOST_VALUES:
            faults.append(f"--vary '{text}': has more than {MOST_VALUES:,} values; state a larger step")
        else:
            texts.append(f"{path}={','.join(values)}")
    try:
        found = axes(texts)
    except UsageError as error:
        faults += str(error).splitlines()
    if faults:
        raise UsageError("\n".join(faults))
    return tuple(Choice(axis.path, axis.values, axis.path in continuous) for axis in found)


def n_points(of: Sequence[Choice]) -> int | None:
    """How many designs there are; None where some choice is continuous."""
    return None if any(one.continuous for one in of) else math.prod(len(one.values) for one in of)


def grid(of: Sequence[Choice]) -> list[Point]:
    """Every design, the last choice fastest."""
    return [point(of, values) for values in itertools.product(*(one.values for one in of))]


def point(of: Sequence[Choice], values: Sequence[str]) -> Point:
    """A design as ``path=value`` texts."""
    return tuple(f"{one.path}={value}" for one, value in zip(of, values, strict=True))


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Of each path its shortest end that no other ends in, for sentences and headings."""
    ends = {path: [".".join(path.split(".")[-n:]) for n in range(1, path.count(".") + 2)] for path in paths}
    every = [end for of in ends.values() for end in of]
    return {path: next((end for end in of if every.count(end) == 1), path) for path, of in ends.items()}


def _steps(low: Decimal, high: Decimal, step: Decimal) -> list[str]:
    """Values from *low* by *step* up to *high*, one too many at most; none if the step leads nowhere."""
    if step <= 0 or low >= high:
        return []
    count = min(int((high - low) / step), MOST_VALUES) + 1
    return [format(low + i * step, "f") for i in range(count)]
