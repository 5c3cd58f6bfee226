"""What a design that was tried is worth: its figures, what they lack, and which limit is nearest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.study.optimise.front import dominated_by
from dcsim.study.optimise.goals import CAPACITY, Goal, Limit
from dcsim.study.optimise.search import REFUSED, Outcome
from dcsim.study.optimise.tried import Tried

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judge:
    """Objectives and limits; months count from *start_month*, that of the scenario as stated."""

    goals: tuple[Goal, ...]
    limits: tuple[Limit, ...]
    start_month: int

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of all figures that it looks at, each once."""
        return tuple(dict.fromkeys([goal.name for goal in self.goals] + [limit.name for limit in self.limits]))

    def value(self, of: Tried, name: str) -> float | None:
        """A figure of a design; None where it has none."""
        if of.result is None:
            return None
        if name == CAPACITY:
            return float(max(of.result["power_month"] - self.start_month, 0))
        found: float | None = of.result["kpis"][name]["value"]
        return found

    def undefined(self, of: Tried) -> tuple[str, ...]:
        """Why a design that was built cannot be judged; nothing if it can."""
        if of.result is None:
            return ()
        lacking = [name for name in self.figures if self.value(of, name) is None]
        return tuple(f"{name} is undefined: {of.result['kpis'][name]['reason']}" for name in lacking)

    def slacks(self, of: Tried) -> dict[Limit, float]:
        """How far a design is inside each limit, over the limit; the tightest first. [1]"""
        found = {
            limit: limit.slack_frac(value) for limit in self.limits if (value := self.value(of, limit.name)) is not None
        }
        return dict(sorted(found.items(), key=lambda one: one[1]))

    def gains(self, of: Tried) -> tuple[float, ...] | None:
        """Its objectives, more being better; None where it cannot be judged."""
        values = [self.value(of, goal.name) for goal in self.goals]
        known = [goal.gain(value) for goal, value in zip(self.goals, values, strict=True) if value is not None]
        return None if of.result is None or self.undefined(of) else tuple(known)

    def outcome(self, of: Tried) -> Outcome:
        """What it is worth to the search."""
        gains = self.gains(of)
        if gains is None:
            return Outcome((0.0,) * len(self.goals), REFUSED)
        return Outcome(gains, -sum(slack for slack in self.slacks(of).values() if slack < 0))

    def broken(self, of: Tried) -> tuple[Limit, ...]:
        """Limits that it does not keep, the one missed by most first."""
        return tuple(limit for limit, slack in self.slacks(of).items() if slack < 0)


@dataclass(frozen=True)
class Judged:
    """Designs by what they are worth: numbers of them (from 0), objectives of those that keep all limits, the front.

    ``above`` are of each design that keeps all limits those that dominate it, and ``same_as`` is the first that is
    equal to it by every objective, as numbers of designs: a choice that does not bind makes such.
    """

    feasible: tuple[int, ...]
    gains: Floats
    above: dict[int, tuple[int, ...]]
    same_as: dict[int, int]

    @property
    def front(self) -> tuple[int, ...]:
        """Designs that no other dominates, one of equals."""
        return tuple(i for i in self.feasible if not self.above[i] and self.same_as[i] == i)

    def gains_of(self, numbers: tuple[int, ...]) -> Floats:
        """Objectives of some designs that keep all limits."""
        return self.gains[[self.feasible.index(i) for i in numbers]]

    def alike(self, number: int) -> tuple[int, ...]:
        """Other designs with the same objectives as the first of them."""
        return tuple(i for i in self.feasible if self.same_as[i] == number and i != number)


def judged(judge: Judge, tried: list[Tried]) -> Judged:
    """Which designs keep all limits, and which of those dominate which."""
    kept = {i: gains for i, of in enumerate(tried) if (gains := judge.gains(of)) is not None and not judge.broken(of)}
    numbers = tuple(kept)
    table = np.array([kept[i] for i in numbers], float).reshape(len(numbers), len(judge.goals))
    above = dominated_by(table)
    first: dict[tuple[float, ...], int] = {}
    return Judged(
        numbers,
        table,
        {i: tuple(numbers[k] for k in above[row]) for row, i in enumerate(numbers)},
        {i: first.setdefault(kept[i], i) for i in numbers},
    )
