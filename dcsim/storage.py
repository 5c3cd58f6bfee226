"""What a plan stores, month by month, against what stands: data, and the checkpoints of training runs."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsim.build import Facility
from dcsim.catalog.hardware import server_usable_tb
from dcsim.model.scenario import Scenario
from dcsim.physics.reliability import checkpoint_b
from dcsim.units import B_PER_TB, SECONDS_PER_DAY
from dcsim.workload.model_runs import Modelled
from dcsim.workload.paths import at_month_ends, month_starts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stored:
    """Storage of a plan.

    Parameters
    ----------
    months : tuple of date
        Firsts of the months.
    used_tb, capacity_tb : ndarray, shape (n,)
        What is stored at the end of each, and what stands. [TB]
    write_gb_s : float
        Rate at which it takes checkpoints; infinite where none is stated. [GB/s]
    most_write_gb_s : float
        Rate at which the run that writes most must write, one checkpoint within the time between two. [GB/s]
    """

    months: tuple[datetime.date, ...]
    used_tb: Floats
    capacity_tb: Floats
    write_gb_s: float
    most_write_gb_s: float

    @property
    def full(self) -> datetime.date | None:
        """First month that ends with more than what stands; None if there is none."""
        above = np.flatnonzero(self.used_tb > self.capacity_tb)
        return self.months[int(above[0])] if len(above) else None

    def findings(self) -> dict[str, Any]:
        """What the report says."""
        return {
            "months": [month.isoformat() for month in self.months],
            "used_tb": self.used_tb.tolist(),
            "capacity_tb": self.capacity_tb.tolist(),
            "full": None if self.full is None else self.full.isoformat(),
        }


def stored(
    scenario: Scenario,
    runs: Sequence[Modelled],
    interval_s: Mapping[str, float],
    facility: Facility,
) -> Stored | None:
    """Storage of a plan, where it states any.

    Parameters
    ----------
    scenario : Scenario
    runs : sequence of Modelled
        Training runs of known models, in the order stated.
    interval_s : mapping of str to float
        Time between two checkpoints of each, infinite where it writes none. [s]
    facility : Facility
        What is built, storage servers of its pools among it.

    Notes
    -----
    What stands is what the scenario states and the usable capacity of the storage servers of its pools. Data is there
    from the start and grows by as much each month; a run's checkpoints are kept from its submission to the end of the
    plan, as many as stated, each of 14 bytes a trained weight.
    """
    what, of = scenario.facility.storage, scenario.workload.stored
    per_server_tb = [server_usable_tb(pool.server) for pool in facility.pools]
    if what is None and not any(per_server_tb):
        return None
    months = month_starts(scenario.plan.start, facility.horizon_s)
    servers_tb = [
        (phase.capacity.start_s, float(np.dot(phase.capacity.pool_servers, per_server_tb))) for phase in facility.phases
    ]
    capacity_tb = at_month_ends(months, tuple(servers_tb)) + (0.0 if what is None else what.capacity_tb)
    used_tb = of.data_tb + of.growth_tb_per_month * np.arange(1, len(months) + 1, dtype=float)
    ends_s = np.array([(month - scenario.plan.start).days + 31.0 for month in months]) * SECONDS_PER_DAY
    most_gb_s = 0.0
    for stated, run in zip(scenario.workload.runs, runs, strict=True):
        size_tb = float(checkpoint_b(run.trained_params)) / B_PER_TB
        used_tb += np.where(ends_s > stated.submit_day * SECONDS_PER_DAY, of.kept_checkpoints * size_tb, 0.0)
        most_gb_s = max(most_gb_s, 1e3 * size_tb / interval_s.get(run.name, np.inf))
    write_gb_s = np.inf if what is None or what.write_gb_s is None else what.write_gb_s
    return Stored(tuple(months), used_tb, capacity_tb, write_gb_s, most_gb_s)
