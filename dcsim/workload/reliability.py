"""Failures, repair and checkpoints of a plan as the simulator takes them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dcsim.catalog.load import Assumptions
from dcsim.model.load import Loaded
from dcsim.model.tree import Place
from dcsim.units import SECONDS_PER_HOUR
from dcsim.workload.demand import job_classes
from dcsim.workload.jobs import Room
from dcsim.workload.model_runs import Modelled, protection

COMPONENT = "component:"
"""Start of the catalog's parameters that are rates of component classes."""
DAYS_PER_YEAR = 365.0


def reliability_rows(
    loaded: Loaded, used: Assumptions, runs: tuple[Modelled, ...], rooms: Sequence[Room]
) -> dict[str, Any] | None:
    """Failures, repair and checkpoints as the simulator takes them; None where the scenario rules failures out.

    Classes of jobs take their checkpoints from the catalog; model runs write as often as Young's interval says.
    """
    stated = loaded.scenario.workload.reliability
    if stated is None:
        return None

    def rate(parameter: str, value: float | None, unit: str) -> float:
        if value is None:
            return used.use("node failures", "reliability", stated.source, parameter)
        return used.state("node failures", "reliability", stated.source, parameter, value, unit)

    per_node_day = rate("failures_per_node_day", stated.failures_per_node_day, "1/day")
    node_gpus = {room.pool: room.node_gpus for room in rooms}
    runs_protected = [protection(run, stated.source, per_node_day, node_gpus[run.pool], used) for run in runs]

    def by_class(parameter: str) -> Any:
        of_jobs = [used.use(f"{name} jobs", "workload_classes", name, parameter) for name in job_classes(loaded)]
        return np.array([*of_jobs, *(run[parameter] for run in runs_protected)], dtype=float)

    extra: dict[str, Any] = {}
    if stated.lemons:
        extra["lemon_shape"] = used.use("lemon nodes", "reliability", stated.source, "lemon_shape")
    modes = [
        (f"{scope} event", per_year / DAYS_PER_YEAR, stated.event_repair_h * SECONDS_PER_HOUR, scope)
        for scope, per_year in (("rack", stated.rack_events_per_year), ("leaf", stated.leaf_events_per_year))
        if per_year > 0
    ]
    repair_s = rate("repair_mean_h", stated.repair_mean_h, "h") * SECONDS_PER_HOUR
    if stated.by_component:
        parts = [name for name in used.catalog.part("reliability", stated.source) if name.startswith(COMPONENT)]
        if not parts:
            place: Place = ("workload", "reliability", "by_component")
            raise loaded.fault(
                place, f"'{stated.source}' has no rates by component; name another source or leave it out"
            )
        known = {
            name.removeprefix(COMPONENT): used.use("node failures", "reliability", stated.source, name)
            for name in parts
            if name != f"{COMPONENT}maintenance"
        }
        # A rate that is stated is shared out as the catalog's components are.
        scale = per_node_day / sum(known.values()) if stated.failures_per_node_day is not None else 1.0
        modes += [(name, one * scale, repair_s, "node") for name, one in known.items()]
    elif modes:
        modes.append(("node", per_node_day, repair_s, "node"))
    return {
        **extra,
        "modes": modes,
        "crews": stated.repair_crews,
        "spare_frac": stated.spare_frac,
        "detection_s": stated.detection_s,
        "interruptions_per_job_h": stated.interruptions_per_job_h,
        "failures_per_node_day": per_node_day,
        "repair_mean_s": repair_s,
        "checkpoint_interval_s": by_class("checkpoint_interval_s"),
        "checkpoint_write_s": by_class("checkpoint_write_s"),
        "restart_s": by_class("restart_s"),
    }
