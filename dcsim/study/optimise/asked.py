"""What is to be optimised, and every fault of it that can be seen before the first design."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dcsim import runs
from dcsim.errors import UsageError
from dcsim.model.load import Loaded, load
from dcsim.study.optimise.design import Choice, n_points
from dcsim.study.optimise.goals import Goal, Limit, goals, limits
from dcsim.study.optimise.search import needs_optuna


@dataclass(frozen=True)
class Asked:
    """What is to be optimised, checked as far as can be seen before the first design."""

    source: str
    sets: tuple[str, ...]
    base: Loaded
    choices: tuple[Choice, ...]
    goals: tuple[Goal, ...]
    limits: tuple[Limit, ...]
    trials: int
    seed: int

    @property
    def name(self) -> str:
        """Name of the scenario."""
        return self.base.scenario.name

    @property
    def exhaustive(self) -> bool:
        """Whether every design is tried."""
        n = n_points(self.choices)
        return n is not None and n <= self.trials

    @property
    def total(self) -> int:
        """How many designs are tried at most."""
        return n_points(self.choices) or self.trials if self.exhaustive else self.trials

    @property
    def scenario_key(self) -> str:
        """Content key of the scenario as stated, its inputs aside: each design has a key with them."""
        return runs.content_key(self.base.scenario.model_dump(mode="json"), {})

    @property
    def identity(self) -> str:
        """Eight hex digits of all that is asked."""
        return hashlib.sha256(json.dumps([self.scenario_key, self.stated]).encode()).hexdigest()[:8]

    @property
    def stated(self) -> dict[str, Any]:
        """What is asked as the manifest says it."""
        return {
            "set": list(self.sets),
            "vary": {one.path: {"values": list(one.values), "continuous": one.continuous} for one in self.choices},
            "objectives": {goal.name: goal.better for goal in self.goals},
            "limits": [limit.text for limit in self.limits],
            "trials": self.trials,
            "seed": self.seed,
        }


def asked(
    source: str,
    sets: tuple[str, ...],
    choices: tuple[Choice, ...],
    objectives: Sequence[str],
    bounds: Sequence[str],
    trials: int,
    seed: int | None,
) -> Asked:
    """What is asked for, all faults of objectives and limits at once.

    Raises
    ------
    UsageError
        If the scenario cannot be read, nothing varies, an objective or limit is not known, or Optuna is needed and not
        installed.
    """
    if not choices:
        raise UsageError("nothing varies: state --vary path=a,b,c or --vary path=low..high")
    base = load(source, sets)
    faults: list[str] = []
    found_goals: tuple[Goal, ...] = ()
    found_limits: tuple[Limit, ...] = ()
    try:
        found_goals = goals(objectives, base.scenario)
    except UsageError as error:
        faults.append(str(error))
    try:
        found_limits = limits(bounds)
    except UsageError as error:
        faults.append(str(error))
    if faults:
        raise UsageError("\n".join(faults))
    seed = base.scenario.plan.seed if seed is None else seed
    of = Asked(source, sets, base, choices, found_goals, found_limits, trials, seed)
    if not of.exhaustive:
        needs_optuna()
    return of
