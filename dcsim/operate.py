"""From a plan to the simulator: the cluster, the jobs, and the limits and events that the scenario states."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dcsim.build import Facility
from dcsim.catalog.gpu_profile import Machine
from dcsim.catalog.load import Assumptions
from dcsim.conversion import Converted
from dcsim.errors import RangeError
from dcsim.finance.tariff import Tariff, energy_usd_per_kwh
from dcsim.model.load import Loaded
from dcsim.model.tree import Place
from dcsim.pools import SWITCHING, BuiltPool
from dcsim.registry import unknown
from dcsim.serving.plan import Planned, claims
from dcsim.sim.engine import (
    ClusterSpec,
    Elasticity,
    Maintenance,
    Pool,
    PoolResult,
    PowerLimit,
    Reliability,
    Shutdown,
    Tenancy,
    TimeSlices,
    Uplinks,
    Walltime,
    simulate_pools,
)
from dcsim.sim.policies import POLICIES
from dcsim.storage import Stored
from dcsim.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, w_from_mw
from dcsim.workload.deferral import release_s
from dcsim.workload.demand import Demand, allowed_pools
from dcsim.workload.jobs import Floats, Jobs

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Prepared:
    """All that can be refused before the first event."""

    loaded: Loaded
    used: Assumptions
    machines: Mapping[str, Machine]
    facility: Facility
    tariff: Tariff
    demand: Demand
    reliability: Reliability | None
    stored: Stored | None
    services: tuple[Planned, ...] = ()
    converted: Converted | None = None


def simulated(ready: Prepared, progress: Progress = lambda step, done: None) -> tuple[PoolResult, ...]:
    """Simulate the jobs of a plan on its pools, under all that the scenario states of them."""
    scenario, facility = ready.loaded.scenario, ready.facility
    names = [pool.name for pool in facility.pools]
    return simulate_pools(
        [_pool(ready, index) for index in range(len(names))],
        deferred(ready, due(ready)),
        may_use=[
            [names.index(pool) for pool in allowed_pools(ready.loaded, name)] for name in ready.demand.jobs.class_names
        ],
        policy=scenario.workload.policy,
        horizon_s=facility.horizon_s,
        seed=scenario.plan.seed,
        tenancy=_tenancy(ready),
        maintenance=_maintenance(ready),
        walltime=_walltime(ready),
        depth=_depth(ready),
        elasticity=_elasticity(ready),
        progress=lambda done: progress("simulate", 0.05 + 0.75 * done),
    )


def _pool(ready: Prepared, index: int) -> Pool:
    """One pool as the simulator has it."""
    facility, of = ready.facility, ready.facility.pools[index]
    own = [(phase.capacity.start_s, phase.added) for phase in facility.phases if phase.pool == index]
    return Pool(
        ClusterSpec(
            gpus_per_node=of.services.gpus_per_node,
            nodes_per_leaf=of.nodes_per_leaf,
            nodes_per_rack=of.nodes_per_rack,
            phases=tuple(own),
            placement=ready.loaded.scenario.workload.placement,
        ),
        of.services.work_rate,
        name="" if index == 0 else of.name,
        speed=None if np.all(of.speed == 1) else of.speed,
        reliability=ready.reliability,
        uplinks=_uplinks(of),
        shutdown=_shutdown(ready, of),
        power=_power(ready, of),
        largest_job=1 if of.instances > 1 else None,
        slices=None if of.turns is None else TimeSlices(of.gpus_per_server, of.turns.need_frac, of.turns.overhead_frac),
        claims=claims(ready.services, facility, index),
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
        signal = energy_price(ready)
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


def energy_price(ready: Prepared) -> Floats:
    """Price of a kilowatt-hour more by the tariff in each interval, shape (n,). [USD/kWh]"""
    start = np.datetime64(ready.loaded.scenario.plan.start, "s")
    when = pd.DatetimeIndex(start + ready.facility.edges_s[:-1].astype("timedelta64[s]"))
    return energy_usd_per_kwh(ready.tariff, when)


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


def _depth(ready: Prepared) -> int | None:
    """Jobs in line that have a time.

    Raises
    ------
    InputError
        If one is stated, or nodes are kept for a date, and the policy has no times.
    """
    workload = ready.loaded.scenario.workload
    if not POLICIES[workload.policy].plans:
        of: list[tuple[Place, str]] = [
            (("workload", key, index, "booked_days_ahead"), "nodes are kept for a date")
            for key, stated in (
                ("runs", [run.booked_days_ahead for run in workload.runs]),
                ("campaigns", [campaign.booked_days_ahead for campaign in workload.campaigns]),
            )
            for index, ahead_days in enumerate(stated)
            if ahead_days > 0
        ]
        if workload.backfill_depth is not None:
            of.append((("workload", "backfill_depth"), "a depth of backfill is stated"))
        if of:
            raise ready.loaded.faults(
                [
                    (place, f"{what}, but the policy '{workload.policy}' plans no times; choose conservative")
                    for place, what in of
                ]
            )
    return workload.backfill_depth


def _elasticity(ready: Prepared) -> Elasticity | None:
    """Classes whose jobs may run on other numbers of nodes, where the scenario states any.

    Raises
    ------
    InputError
        If one is none of the jobs'.
    """
    stated, n = ready.loaded.scenario.workload.elastic, len(ready.demand.jobs.class_names)
    if not stated:
        return None
    found = Elasticity(np.ones(n), np.ones(n), np.ones(n))
    for name, of in stated.items():
        index = _class_index(ready, name, ("workload", "elastic", name))
        found.least[index], found.most[index] = of.least_frac, of.most_frac
        found.efficiency[index] = of.doubling_efficiency_frac
    return found


def _power(ready: Prepared, of: BuiltPool) -> PowerLimit | None:
    """What each job draws above idle where it lands best, and the limit on all of them.

    Raises
    ------
    InputError
        If a job alone is above the limit.
    """
    limit_mw, services, jobs = ready.loaded.scenario.workload.power_limit_mw, of.services, ready.demand.jobs
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


def _shutdown(ready: Prepared, of: BuiltPool) -> Shutdown | None:
    """Times of switching nodes off, for a policy that does."""
    workload, used = ready.loaded.scenario.workload, ready.used
    if workload.policy not in SWITCHING:
        return None
    stated = workload.shutdown
    boot_s = used.use("idle nodes", "servers", of.server, "boot_s") if stated.boot_s is None else stated.boot_s
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


def _uplinks(of: BuiltPool) -> Uplinks | None:
    """What jobs over several leaves share; nothing where leaves have as much bandwidth up as down."""
    if of.oversubscription == 1:
        return None
    wait_frac = np.nan_to_num(of.services.stall_frac)
    return Uplinks(of.nodes_per_leaf / of.oversubscription, wait_frac)
