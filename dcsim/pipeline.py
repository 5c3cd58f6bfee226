"""The straight line: scenario -> build -> simulate -> account -> cost -> kpis -> run folder, one call a step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dcsim import headroom, runs
from dcsim.build import SWITCHING, Facility, build
from dcsim.catalog.gpu_profile import Machine
from dcsim.catalog.load import Assumptions, Catalog, catalog, digest
from dcsim.energy import account, it_peak_frac, job_table
from dcsim.errors import RangeError, UnknownNameError
from dcsim.finance.items import CONVENTIONS, Books, cost, embodied_kg, monthly_quantities
from dcsim.finance.tariff import Tariff, energy_usd_per_kwh
from dcsim.kpi import Results, kpis
from dcsim.model.load import Loaded
from dcsim.model.tree import Place
from dcsim.names import check_names
from dcsim.registry import unknown
from dcsim.sim.engine import (
    ClusterSpec,
    Maintenance,
    Mode,
    PowerLimit,
    Reliability,
    Shutdown,
    SimResult,
    Tenancy,
    Uplinks,
    simulate,
)
from dcsim.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, w_from_mw
from dcsim.workload.deferral import release_s
from dcsim.workload.demand import Demand, demand, job_classes, reliability_rows
from dcsim.workload.jobs import Jobs
from dcsim.workload.model_runs import machine_of, modelled_runs

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


def prepare(loaded: Loaded, draw: int | None = None) -> Prepared:
    """Build the facility, read the tariff, and read or draw the jobs.

    Parameters
    ----------
    loaded : Loaded
        A checked scenario.
    draw : int
        Draw of the calibration within its intervals; their middle if left out.

    Raises
    ------
    InputError
        If the plan cannot be built or a job can never fit.
    """
    scenario = loaded.scenario
    used = Assumptions(_catalog(loaded))
    check_names(loaded, used.catalog)
    tariff = Tariff.from_catalog(used, scenario.site.tariff)
    machine = machine_of(loaded)
    if draw is not None:
        machine = machine.drawn(scenario.plan.seed, draw)
    modelled = modelled_runs(loaded, used, machine)
    facility = build(loaded, used, job_classes(loaded), modelled, machine)
    leaf_gpus = facility.nodes_per_leaf * facility.gpus_per_server
    jobs = demand(loaded, facility.capacity_gpus, facility.horizon_s, used, modelled, leaf_gpus)
    rows = reliability_rows(loaded, used, modelled, facility.gpus_per_server)
    reliability = None
    if rows is not None:
        reliability = Reliability(**{**rows, "modes": tuple(Mode(*mode) for mode in rows["modes"])})
    return Prepared(loaded, used, machine, facility, tariff, jobs, reliability)


def run(
    loaded: Loaded,
    parent: Path,
    *,
    writers: Sequence[runs.Writer] = (),
    draws: int = 0,
    progress: Progress = lambda step, done: None,
) -> Path:
    """Run a scenario and write its run folder, ``parent/<name>-<hash8>``, which is returned.

    With *draws* the calibration is drawn within its intervals so many times, each draw is run whole on the same jobs
    and failures, and every key figure gets the P10 and P90 of these runs.
    """
    scenario = loaded.scenario
    share = 0.9 / (1 + draws)
    progress("build", 0.0)
    spread = [
        _figures(prepare(loaded, draw), lambda step, done, i=draw: progress(f"draw {i + 1}", share * (i + done)))[0]  # type: ignore[misc]
        for draw in range(draws)
    ]
    ready = prepare(loaded)
    facility = ready.facility
    figures, tables = _figures(ready, lambda step, done: progress(step, share * (draws + done)))
    for name, figure in figures.items():
        known = [draw[name]["value"] for draw in spread if draw[name]["value"] is not None]
        if known and figure["value"] is not None:
            figure["p10"], figure["p90"] = map(float, np.quantile(known, (0.1, 0.9)))
            figure["draws"] = len(known)
    progress("write", 0.9)
    resolved: dict[str, Any] = scenario.model_dump(mode="json")
    inputs = {"catalog": digest(), f"weather {facility.weather.name}": facility.weather.sha256, **ready.demand.inputs}
    inputs |= {f"clean power {of.contract.name}": of.sha256 for of in facility.clean if of.sha256}
    if ready.machine.measured:
        inputs[f"gpu_profile {ready.machine.name}"] = ready.machine.identity
    if draws:
        inputs["calibration draws"] = str(draws)
    return runs.write(
        parent,
        f"{scenario.name}-{runs.run_hash(resolved, inputs)}",
        scenario=resolved,
        kpis=figures,
        findings={
            **facility.findings(),
            **ready.demand.findings(),
            "headroom": headroom.findings(headroom.dimensions(scenario, facility, tables["intervals"])),
            "demand": _filling(ready),
            "notes": _notes(ready),
            "conventions": [*CONVENTIONS],
        },
        tables=tables,
        inputs=inputs,
        writers=writers,
    )


def _figures(ready: Prepared, progress: Progress) -> tuple[dict[str, dict[str, Any]], dict[str, pd.DataFrame]]:
    """Simulate, account and cost: key figures, and the tables behind them."""
    scenario = ready.loaded.scenario
    intervals, jobs = _operate(ready, progress)
    progress("cost", 0.95)
    quantities = monthly_quantities(ready.tariff, intervals, scenario.plan.start, ready.facility.clean)
    books = Books(scenario, ready.facility.assets, quantities, ready.used)
    ledger = cost(books)
    design_pue, peak = ready.facility.final.design_pue, it_peak_frac(ready.facility, intervals)
    path = ready.demand.filling
    results = Results(
        scenario,
        intervals,
        jobs,
        ledger,
        design_pue,
        embodied_kg(books),
        peak,
        None if path is None else path.full_for_good,
        path is not None,
    )
    figures = kpis(results)
    tables = {"intervals": intervals, "jobs": jobs, "ledger": ledger, "assumptions": ready.used.frame()}
    return figures, tables


def _filling(ready: Prepared) -> dict[str, Any] | None:
    """Demand by month against what stands, where it has a path of its own."""
    path = ready.demand.filling
    if path is None:
        return None
    facility = ready.facility
    return path.findings(
        [(of.energised, of.name, of.binding, of.added * facility.gpus_per_server) for of in facility.phases]
    )


def _notes(ready: Prepared) -> list[str]:
    """What the reader of an answer should know of its inputs."""
    site = ready.loaded.scenario.site
    proxies = [f"proxy: {name} {getattr(site, name)}: {reason}" for name, reason in site.proxies.items()]
    profile = list(ready.machine.notes)
    workload = ready.loaded.scenario.workload
    if ready.machine.name and not workload.runs and not workload.class_models:
        profile.append("gpu_profile changes no figure here: the scenario has no runs of known models")
    return [*proxies, *profile, *ready.facility.notes, *ready.demand.notes]


def _operate(ready: Prepared, progress: Progress) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate the jobs and account for their power: interval table and job table."""
    result = _simulate(ready, progress)
    progress("account", 0.8)
    return account(ready.facility, result), job_table(ready.facility, ready.demand, result)


def _simulate(ready: Prepared, progress: Progress) -> SimResult:
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
        _deferred(ready),
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
        progress=lambda done: progress("simulate", 0.05 + 0.75 * done),
    )


def _deferred(ready: Prepared) -> Jobs:
    """Jobs with the earliest start of each, where some may wait for better hours.

    Raises
    ------
    InputError
        If a class that may wait is none of the jobs'.
    """
    stated, jobs, facility = ready.loaded.scenario.workload.deferral, ready.demand.jobs, ready.facility
    if stated is None:
        return jobs
    for index, name in enumerate(stated.classes):
        if name not in jobs.class_names:
            message = unknown(name, jobs.class_names, "class of the jobs")
            raise ready.loaded.fault(("workload", "deferral", "classes", index), message)
    if stated.signal == "carbon":
        signal = facility.carbon[facility.climate.month - 1, facility.climate.hour]
    else:
        start = np.datetime64(ready.loaded.scenario.plan.start, "s")
        when = pd.DatetimeIndex(start + facility.edges_s[:-1].astype("timedelta64[s]"))
        signal = energy_usd_per_kwh(ready.tariff, when)
    chosen = np.isin(jobs.class_index, [jobs.class_names.index(name) for name in stated.classes])
    return replace(
        jobs,
        release_s=release_s(
            jobs,
            chosen,
            signal,
            step_s=float(facility.interval_s),
            max_delay_s=stated.max_delay_h * SECONDS_PER_HOUR,
        ),
    )


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


def _catalog(loaded: Loaded) -> Catalog:
    """The catalog with the planner's own values in place of the shipped ones."""
    changed = catalog()
    for name, override in loaded.scenario.overrides.items():
        place: Place = ("overrides", name)
        table = name.partition(".")[0]
        if table in ("cooling", "electrical"):
            where = "facility.cooling" if table == "cooling" else "facility.power, with ups: custom"
            raise loaded.fault(place, f"parameters of the plant and the power chain are stated in {where}, not here")
        try:
            changed = changed.replaced({name: (override.value, override.source)})
        except UnknownNameError as error:
            raise loaded.fault(place, str(error)) from None
    return changed
