"""Headroom by dimension: what stands at the end of a plan, the most of it that was used, and what binds first."""

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import pandas as pd

from dcsim.build import Facility
from dcsim.model.scenario import Scenario
from dcsim.storage import Stored
from dcsim.units import mw_from_w


@dataclass(frozen=True)
class Dimension:
    """One dimension: how much stands, the most that was used, and what of it is left. [unit], [1]"""

    name: str
    limit: float
    used: float
    unit: str

    @property
    def left_frac(self) -> float:
        """Share that is left; below 0 where a limit is exceeded."""
        return 1.0 - self.used / self.limit if self.limit > 0 else 0.0


def dimensions(
    scenario: Scenario, facility: Facility, intervals: pd.DataFrame, stored: Stored | None = None
) -> list[Dimension]:
    """Headroom of a plan, by the peaks of its interval means while all phases stand.

    Storage is among them where the scenario states some, by what is kept at the end of the plan.
    """
    final = facility.final
    late = intervals[intervals["start_s"] >= final.start_s]
    racks = sum(phase.rack_slots for phase in scenario.facility.phases)
    used_racks = sum(-(-n // pool.nodes_per_rack) for pool, n in zip(facility.pools, final.pool_servers, strict=True))
    held = late["gpus_allocated"] + late["gpus_serving"]
    found = [
        Dimension("GPUs", float(facility.gpus(final)), float(held.max()), "GPU"),
        Dimension(
            "utility power", mw_from_w(final.utility_rating_w), mw_from_w(float(late["grid_power_w"].max())), "MW"
        ),
        Dimension("IT power", mw_from_w(final.critical_rating_w), mw_from_w(float(late["it_power_w"].max())), "MW"),
        Dimension("cooling", 1.0, 1.0 - float(late["cooling_margin_frac"].min()), "1"),
        Dimension("racks", float(racks), float(used_racks), "rack"),
    ]
    ports = sum(fabric.leaves * fabric.endpoints_per_leaf for fabric in final.fabrics)
    if ports:
        links = sum(fabric.host_links for fabric in final.fabrics)
        found.append(Dimension("network", float(ports), float(links), "port"))
    if stored is not None:
        found.append(Dimension("storage", float(stored.capacity_tb[-1]), float(stored.used_tb[-1]), "TB"))
        if isfinite(stored.write_gb_s):
            found.append(Dimension("storage writes", stored.write_gb_s, stored.most_write_gb_s, "GB/s"))
    return sorted(found, key=lambda one: one.left_frac)


def findings(of: list[Dimension]) -> list[dict[str, Any]]:
    """The same as plain data, what is scarcest first."""
    return [{**asdict(one), "left_frac": one.left_frac} for one in of]
