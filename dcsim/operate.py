"""From a plan to the simulator: the cluster, the jobs, and the limits and events that the scenario states."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dcsim.build import SWITCHING, Facility
from dcsim.catalog.gpu_profile import Machine
from dcsim.catalog.load import Assumptions
from dcsim.errors import RangeError
from dcsim.finance.tariff import Tariff, energy_usd_per_kwh
from dcsim.model.load import Loaded
from dcsim.model.tree import Place
from dcsim.registry import unknown
from dcsim.sim.engine import (
    ClusterSpec,
    Maintenance,
    PowerLimit,
    Reliability,
    Shutdown,
    SimResult,
    Tenancy,
    Uplinks,
    Walltime,
    simulate,
)
from dcsim.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, w_from_mw
from dcsim.workload.deferral import release_s
from dcsim.workload.demand import Demand
from dcsim.workload.jobs import Floats, Jobs

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Prepared:
    """All that can be refused before the first event."""

    loaded: Loaded
    used: Assumptions
    machine: Machine
    facility: Facility
    tariff: Tariff
    demand: Demand
    reliability: Reliability | None


def simulated(ready: Prepared, progress: Progress = lambda step, done: None) -> SimResult:
    """Simulate the jobs of a plan on its cluster, under all that the scenario states of them."""
    scenario, facility = ready.loaded.scenario, ready.facility
    cluster = ClusterSpec(
        gpus_per_node=facility.gpus_per_server,
        nodes_per_leaf=facility.nodes_per_leaf,
        nodes_per_rack=facility.nodes_per_rack,
        phases=tuple((phase.capacity.start_s, phase.added) for phase in facility.phases),
        placement=scenario.workload.placement,
    )
    return simulate(
        cluster,
        deferred(ready, due(ready)),
        facility.services.work_rate,
        policy=scenario.workload.policy,
        horizon_s=facility.horizon_s,
        seed=scenario.plan.seed,
        reliability=ready.reliability,
        uplinks=_uplinks(facility, scenario.facility.fabric.oversubscription),
        tenancy=_tenancy(ready),
        shutdown=_shutdown(ready),
        maintenance=_maintenance(ready),
        power=_power(ready),
        walltime=_walltime(ready),
        progress=lambda done: progress("simulate", 0.05 + 0.75 * done),
    )


def due(ready: Prepared) -> Jobs:
    """Jobs with the deadline of each, where their class has one.

    Raises
    ------
    InputError
        If a class that has one is none of the jobs'.
    """
    stated, jobs = ready.loaded.scenario.workload.deadlines, ready.demand.jobs
    if not stated:
        return jobs
    within_s = _by_class(ready, stated, ("workload", "deadlines"))
    return replace(jobs, deadline_s=jobs.submit_s + within_s[jobs.class_index])


def _by_class(ready: Prepared, hours: Mapping[str, float], place: Place) -> Floats:
    """Times by class of the jobs, infinite for those that have none stated. [s]"""
    found_s = np.full(len(ready.demand.jobs.class_names), np.inf)
    for name, time_h in hours.items():
        found_s[_class_index(ready, name, (*place, name))] = time_h * SECONDS_PER_HOUR
    return found_s


def _class_index(ready: Prepared, name: str, place: Place) -> int:
    names = ready.demand.jobs.class_names
    if name not in names:
        raise ready.loaded.fault(place, unknown(name, names, "class of the jobs"))
    return names.index(name)


def deferred(ready: Prepared, jobs: Jobs) -> Jobs:
    """*jobs* with the earliest start of each, where some may wait for better hours.

    Raises
    ------
    InputError
        If a class that may wait is none of the jobs'.
    """
    stated, facility = ready.loaded.scenario.workload.deferral, ready.facility
    if stated is None:
        return jobs
    may_wait = [
        _class_index(ready, name, ("workload", "deferral", "classes", index))
        for index, name in enumerate(stated.classes)
    ]
    if stated.signal == "carbon":
        signal = facility.carbon[facility.climate.month - 1, facility.climate.hour]
    else:
        start = np.datetime64(ready.loaded.scenario.plan.start, "s")
        when = pd.DatetimeIndex(start + facility.edges_s[:-1].astype("timedelta64[s]"))
        signal = energy_usd_per_kwh(ready.tariff, when)
    return replace(
        jobs,
        release_s=release_s(
            jobs,
            np.isin(jobs.class_index, may_wait),
            signal,
            step_s=float(facility.interval_s),
            max_delay_s=stated.max_delay_h * SECONDS_PER_HOUR,
        ),
    )


def _walltime(ready: Prepared) -> Walltime | None:
    """Longest time of each class at a stretch, where the scenario states any.

    Raises
    ------
    InputError
        If a class that has one is none of the jobs'.
    """
    stated = ready.loaded.scenario.workload.walltime
    if stated is None:
        return None
    return Walltime(_by_class(ready, stated.max_h, ("workload", "walltime", "max_h")), stated.at_limit)


def _power(ready: Prepared) -> PowerLimit | None:
    """What each job draws above idle where it lands best, and the limit on all of them.

    Raises
    ------
    InputError
        If a job alone is above the limit.
    """
    limit_mw, services, jobs = ready.loaded.scenario.workload.power_limit_mw, ready.facility.services, ready.demand.jobs
    if limit_mw is None:
        return None
    of_class = services.gpu_power_w[:, 1] - services.idle_gpu_power_w
    try:
        return PowerLimit(of_class[jobs.class_index] * jobs.gpus, w_from_mw(limit_mw))
    except RangeError as error:
        raise ready.loaded.fault(("workload", "power_limit_mw"), str(error)) from None


def _maintenance(ready: Prepared) -> Maintenance | None:
    """Planned work on nodes, where the scenario states it.

    Raises
    ------
    InputError
        If a round is not over when the next begins.
    """
    stated = ready.loaded.scenario.workload.maintenance
    if stated is None:
        return None
    try:
        return Maintenance(
            stated.first_day * SECONDS_PER_DAY,
            stated.every_days * SECONDS_PER_DAY,
            stated.duration_h * SECONDS_PER_HOUR,
            stated.share_at_once,
        )
    except RangeError as error:
        raise ready.loaded.fault(("workload", "maintenance"), str(error)) from None


def _shutdown(ready: Prepared) -> Shutdown | None:
    """Times of switching nodes off, for a policy that does."""
    workload, used = ready.loaded.scenario.workload, ready.used
    if workload.policy not in SWITCHING:
        return None
    stated = workload.shutdown
    server = used.catalog.resolve("servers", ready.loaded.scenario.facility.server)
    boot_s = used.use("idle nodes", "servers", server, "boot_s") if stated.boot_s is None else stated.boot_s
    return Shutdown(stated.idle_s, stated.off_s, boot_s)


def _tenancy(ready: Prepared) -> Tenancy | None:
    """Shares and quotas of the jobs' tenants; None where none are stated.

    Raises
    ------
    InputError
        If no job is of a tenant that is stated.
    """
    stated, tenants = ready.loaded.scenario.workload.tenants, ready.demand.jobs.tenants
    if not stated:
        return None
    share, quota = np.ones(len(tenants)), np.full(len(tenants), np.inf)
    for name, of in stated.items():
        if name not in tenants:
            message = unknown(name, tenants, "tenant of the jobs")
            raise ready.loaded.fault(("workload", "tenants", name), message)
        share[tenants.index(name)] = of.share
        quota[tenants.index(name)] = np.inf if of.quota_gpus is None else of.quota_gpus
    return Tenancy(share, quota)


def _uplinks(facility: Facility, oversubscription: float) -> Uplinks | None:
    """What jobs over several leaves share; nothing where leaves have as much bandwidth up as down."""
    if oversubscription == 1:
        return None
    wait_frac = np.nan_to_num(facility.services.stall_frac)
    return Uplinks(facility.nodes_per_leaf / oversubscription, wait_frac)
