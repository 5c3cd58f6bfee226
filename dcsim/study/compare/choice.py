"""Which alternative to take: dominance over several objectives, regret over several worlds."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Objective:
    """Something that alternatives are judged by, and which way is better."""

    better: Literal["more", "less"]
    unit: str
    meaning: str


# Beside the figure of money, which is always the first objective. Key figures but for the last.
OBJECTIVES: dict[str, Objective] = {
    "carbon_t": Objective("less", "t", "location-based operational carbon"),
    "embodied_servers_t": Objective("less", "t", "carbon of making the servers bought"),
    "water_m3": Objective("less", "m3", "make-up water"),
    "peak_grid_power_mw": Objective("less", "MW", "highest power at the utility meter"),
    "requests_answered_frac": Objective("more", "1", "requests that services answered"),
    "deadlines_met_frac": Objective("more", "1", "deadlines met"),
    "capacity_months": Objective("less", "month", "from the base's start until the last phase has power"),
}


def dominators(values: Floats, more_is_better: list[bool]) -> list[list[int]]:
    """Of each alternative, those that dominate it: as good by every objective and better by one.

    Parameters
    ----------
    values : ndarray, shape (n_alternatives, n_objectives)
        Each alternative by each objective.
    more_is_better : list of bool
        Direction of each objective.
    """
    gain = np.where(more_is_better, values, -values)
    as_good = (gain[:, None, :] >= gain[None, :, :]).all(axis=2)
    better = (gain[:, None, :] > gain[None, :, :]).any(axis=2)
    above = np.asarray(as_good & better)
    return [np.flatnonzero(above[:, i]).tolist() for i in range(len(values))]


@dataclass(frozen=True)
class Regret:
    """What each alternative leaves behind the best one in each world, and the choice that leaves least at worst."""

    by_world: Floats
    largest: Floats
    choice: int


def regret(values: Floats) -> Regret:
    """Minimax regret of a table of values, more being better; the first of equals is chosen.

    Parameters
    ----------
    values : ndarray, shape (n_alternatives, n_worlds)
        Value of each alternative in each world.
    """
    by_world = values.max(axis=0) - values
    largest = by_world.max(axis=1)
    return Regret(by_world, largest, int(largest.argmin()))
