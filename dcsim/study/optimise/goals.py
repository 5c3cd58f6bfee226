"""What designs are judged by: objectives, each with the way that is better, and limits on key figures."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dcsim.errors import UsageError
from dcsim.kpi import BETTER as OF_FIGURES
from dcsim.kpi import KPIS
from dcsim.model.economics import Nothing
from dcsim.model.scenario import Scenario
from dcsim.registry import unknown
from dcsim.study.compare.choice import OBJECTIVES

CAPACITY = "capacity_months"
# Beside the key figures.
FIGURES = {name: (kpi.unit, kpi.definition) for name, kpi in KPIS.items()} | {
    CAPACITY: (OBJECTIVES[CAPACITY].unit, OBJECTIVES[CAPACITY].meaning)
}
# Which way is better, where a figure says it by itself.
BETTER: dict[str, Literal["more", "less"]] = OF_FIGURES | {name: of.better for name, of in OBJECTIVES.items()}
_LIMIT = re.compile(r"\s*([\w.-]+?)\s*(<=|>=)\s*(\S+)\s*")


@dataclass(frozen=True)
class Goal:
    """A figure that designs are judged by, and which way is better."""

    name: str
    better: Literal["more", "less"]

    @property
    def unit(self) -> str:
        """Its unit."""
        return FIGURES[self.name][0]

    @property
    def meaning(self) -> str:
        """What it is."""
        return OBJECTIVES[self.name].meaning if self.name in OBJECTIVES else FIGURES[self.name][1]

    def gain(self, value: float) -> float:
        """The figure, more being better."""
        return value if self.better == "more" else -value


@dataclass(frozen=True)
class Limit:
    """A bound that a figure must keep, and the text that states it."""

    name: str
    sign: Literal["<=", ">="]
    bound: float
    text: str

    def slack_frac(self, value: float) -> float:
        """How far a figure is inside the bound, over the bound, 0 counting as 1; below 0 outside. [1]"""
        inside = self.bound - value if self.sign == "<=" else value - self.bound
        return inside / (abs(self.bound) or 1.0)


def goals(stated: Sequence[str], scenario: Scenario) -> tuple[Goal, ...]:
    """Read ``figure,max`` and ``figure,min`` texts; where none is stated, those that every plan is judged by.

    They are money (NPV, or the cost of a GPU-hour where the scenario earns nothing), carbon, water, months until the
    last phase has power, and availability: requests answered, deadlines met, or goodput, whichever the plan has.

    Raises
    ------
    UsageError
        If any is not of that form or names no key figure; all faults are listed.
    """
    if not stated:
        money = "cost_usd_per_gpu_h" if isinstance(scenario.economics.revenue, Nothing) else "npv_usd"
        workload = scenario.workload
        served = "requests_answered_frac" if workload.services else "deadlines_met_frac"
        return (
            *(Goal(name, BETTER[name]) for name in (money, "carbon_t", "water_m3", CAPACITY)),
            Goal(served if workload.services or workload.deadlines else "gpu_goodput_frac", "more"),
        )
    found: list[Goal] = []
    faults: list[str] = []
    for text in stated:
        name, _, way = (part.strip() for part in text.partition(","))
        if name not in FIGURES:
            faults.append(f"--objective: {unknown(name, FIGURES, 'key figure')}")
        elif way not in ("", "max", "min"):
            faults.append(f"--objective '{text}': write max or min, for example --objective npv_usd,max")
        elif name in [goal.name for goal in found]:
            faults.append(f"--objective '{text}': {name} is an objective already; state it once")
        elif way:
            found.append(Goal(name, "more" if way == "max" else "less"))
        elif name in BETTER:
            found.append(Goal(name, BETTER[name]))
        else:
            faults.append(f"--objective '{text}': say which way is better, {name},max or {name},min")
    if faults:
        raise UsageError("\n".join(faults))
    return tuple(found)


def limits(stated: Sequence[str]) -> tuple[Limit, ...]:
    """Read ``figure<=bound`` and ``figure>=bound`` texts.

    Raises
    ------
    UsageError
        If any is not of that form or names no key figure; all faults are listed.
    """
    found: list[Limit] = []
    faults: list[str] = []
    for text in stated:
        match = _LIMIT.fullmatch(text)
        bound = _number(match[3]) if match else None
        if match is None or bound is None:
            faults.append(f"--limit '{text}': write it as figure<=bound or figure>=bound, for example 'capex_usd<=5e8'")
        elif match[1] not in FIGURES:
            faults.append(f"--limit: {unknown(match[1], FIGURES, 'key figure')}")
        else:
            found.append(Limit(match[1], "<=" if match[2] == "<=" else ">=", bound, "".join(match.groups())))
    if faults:
        raise UsageError("\n".join(faults))
    return tuple(found)


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
