"""The straight line: scenario -> build -> simulate -> account -> cost -> kpis -> run folder, one call a step."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dcsim import headroom, runs
from dcsim.build import Facility, build
from dcsim.catalog.load import Assumptions, digest
from dcsim.conversion import converted, with_outage
from dcsim.costing import Figures, Happened, figures, happened, metered, stated_catalog
from dcsim.delays import delayed, schedule
from dcsim.energy import pool_findings
from dcsim.finance.tariff_rows import read_tariff
from dcsim.model.economics import Rental
from dcsim.model.load import Loaded
from dcsim.names import check_names
from dcsim.operate import Prepared, Progress
from dcsim.serving.plan import planned_services
from dcsim.serving.table import service_findings
from dcsim.sim.engine import Mode, Reliability
from dcsim.storage import stored
from dcsim.workload.demand import demand, job_classes
from dcsim.workload.model_runs import machine_of, modelled_runs
from dcsim.workload.reliability import reliability_rows


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
    used = Assumptions(stated_catalog(loaded))
    check_names(loaded, used.catalog)
    loaded = with_outage(delayed(loaded, used))
    tariff = read_tariff(used, scenario.site.tariff)
    machines = {name: machine_of(loaded, scenario.facility.pool(name)) for name in scenario.facility.pool_names}
    if draw is not None:
        machines = {name: of.drawn(scenario.plan.seed, draw) for name, of in machines.items()}
    modelled = modelled_runs(loaded, used, machines)

    def built(of: Loaded) -> Facility:
        return build(of, used, job_classes(of), modelled, machines)

    facility = built(loaded)
    jobs = demand(loaded, facility.rooms, facility.horizon_s, used, modelled)
    rows = reliability_rows(loaded, used, modelled, facility.rooms)
    reliability = None
    if rows is not None:
        reliability = Reliability(**{**rows, "modes": tuple(Mode(*mode) for mode in rows["modes"])})
    between_s = (
        {}
        if reliability is None
        else dict(zip(jobs.jobs.class_names, reliability.checkpoint_interval_s.tolist(), strict=True))
    )
    kept = stored(scenario, modelled, between_s, facility)
    services, logs = planned_services(loaded, used, facility, draw)
    jobs = replace(jobs, inputs={**jobs.inputs, **logs})
    after = converted(loaded, facility, built)
    return Prepared(loaded, used, machines, facility, tariff, jobs, reliability, kept, services, after)


def run(
    loaded: Loaded,
    parent: Path,
    *,
    writers: Sequence[runs.Writer] = (),
    draws: int = 0,
    reuse: bool = False,
    kept: list[Happened] | None = None,
    progress: Progress = lambda step, done: None,
) -> Path:
    """Run a scenario and write its run folder, ``parent/<name>-<hash8>``, which is returned.

    With *draws* the calibration is drawn within its intervals so many times, each draw is run whole on the same jobs
    and failures, and every key figure gets the P10 and P90 of these runs. With *reuse* a run folder of the same name
    that is whole and was written by the same code is returned as it is, and no writer is called.

    Where *kept* holds what a scenario did that differs in prices alone, nothing is simulated; where it is empty, it is
    given what is simulated here. The run folder has the same bytes either way.
    """
    scenario = loaded.scenario
    share = 0.9 / (1 + draws)
    progress("build", 0.0)
    ready = prepare(loaded)
    facility = ready.facility
    resolved: dict[str, Any] = scenario.model_dump(mode="json")
    inputs = _inputs(ready, draws)
    name = f"{scenario.name}-{runs.run_hash(resolved, inputs)}"
    if reuse and runs.whole(parent / name):
        return parent / name
    spread = [
        _figures(prepare(loaded, draw), lambda step, done, i=draw: progress(f"draw {i + 1}", share * (i + done))).kpis  # type: ignore[misc]
        for draw in range(draws)
    ]
    found = _figures(ready, lambda step, done: progress(step, share * (draws + done)), kept)
    kpis, tables = found.kpis, found.tables
    for figure_name, figure in kpis.items():
        known = [draw[figure_name]["value"] for draw in spread if draw[figure_name]["value"] is not None]
        if known and figure["value"] is not None:
            figure["p10"], figure["p90"] = map(float, np.quantile(known, (0.1, 0.9)))
            figure["draws"] = len(known)
    progress("write", 0.9)
    return runs.write(
        parent,
        name,
        scenario=resolved,
        kpis=kpis,
        findings={
            **facility.findings(),
            "pools": pool_findings(tables["pools"], tables["jobs"]),
            **ready.demand.findings(),
            "headroom": headroom.findings(
                headroom.dimensions(ready.loaded.scenario, facility, tables["intervals"], ready.stored)
            ),
            "services": service_findings(found.services, tables["services"], kpis["cost_usd_per_gpu_h"]["value"]),
            "storage": None if ready.stored is None else ready.stored.findings(),
            "demand": _filling(ready),
            "notes": _notes(ready),
            "conventions": found.conventions,
            "finance": found.finance,
            "training_runs": found.training_runs,
            "schedule": schedule(scenario, ready.loaded.scenario, ready.used),
        },
        tables=tables,
        inputs=inputs,
        writers=writers,
    )


def content_key(loaded: Loaded, ready: Prepared) -> str:
    """Key of the run of a prepared scenario; its run folder is named by the first eight digits."""
    return runs.content_key(loaded.scenario.model_dump(mode="json"), _inputs(ready, 0))


def answered(
    ready: Prepared, done: Happened | None = None
) -> tuple[dict[str, dict[str, Any]], dict[str, pd.DataFrame]]:
    """Key figures and tables of a prepared scenario, of which nothing is written.

    Where *done* is given, nothing is simulated: it is what another scenario did that differs in prices alone.
    """
    found = figures(ready, metered(ready, happened(ready) if done is None else done))
    return found.kpis, found.tables


def _inputs(ready: Prepared, draws: int) -> dict[str, str]:
    """What a run rests on beside its scenario, each with its digest."""
    facility = ready.facility
    inputs = {"catalog": digest(), f"weather {facility.weather.name}": facility.weather.sha256, **ready.demand.inputs}
    inputs |= {f"clean power {of.contract.name}": of.sha256 for of in facility.clean if of.sha256}
    for contract in facility.contracted:
        inputs |= contract.inputs
    inputs |= {f"gpu_profile {of.name}": of.identity for of in ready.machines.values() if of.measured}
    if draws:
        inputs["calibration draws"] = str(draws)
    return inputs


def _figures(ready: Prepared, progress: Progress, kept: list[Happened] | None = None) -> Figures:
    """Simulate, account and cost."""
    if kept:
        done = kept[0]
    else:
        n_used = len(ready.used.frame())
        done = happened(ready, progress)
        # What a simulation is first to look up would be missing from the assumptions of those that take it over.
        if kept is not None and len(ready.used.frame()) == n_used:
            kept.append(done)
    progress("cost", 0.95)
    return figures(ready, metered(ready, done))


def _filling(ready: Prepared) -> dict[str, Any] | None:
    """Demand by month against what stands, where it has a path of its own."""
    path = ready.demand.filling
    if path is None:
        return None
    facility = ready.facility
    added = [of.added * facility.pools[of.pool].gpus_per_server for of in facility.phases]
    return path.findings(
        [(of.energised, of.name, of.binding, gpus) for of, gpus in zip(facility.phases, added, strict=True)]
    )


def _notes(ready: Prepared) -> list[str]:
    """What the reader of an answer should know of its inputs."""
    site = ready.loaded.scenario.site
    proxies = [f"proxy: {name} {getattr(site, name)}: {reason}" for name, reason in site.proxies.items()]
    profile = [note for of in ready.machines.values() for note in of.notes]
    workload = ready.loaded.scenario.workload
    if any(of.name for of in ready.machines.values()) and not workload.runs and not workload.class_models:
        profile.append("gpu_profile changes no figure here: the scenario has no runs of known models")
    revenue = ready.loaded.scenario.economics.revenue
    if isinstance(revenue, Rental):
        profile += [
            f"GPU-hours of pool {pool.name} are sold at the price of {revenue.price_path}; "
            "state economics.revenue.price_factors if theirs is another"
            for pool in ready.facility.pools[1:]
            if pool.name not in revenue.price_factors
        ]
    services = [note for of in ready.services for note in of.notes]
    drawn = len(ready.loaded.uncertain)
    single = [f"distributions: {drawn}, of which this run takes single values; dcsim uncertainty draws them"]
    return [*(single if drawn else ()), *proxies, *profile, *services, *ready.facility.notes, *ready.demand.notes]
