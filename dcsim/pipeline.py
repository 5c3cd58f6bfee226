"""The straight line: scenario -> build -> simulate -> account -> cost -> kpis -> run folder, one call a step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dcsim import runs
from dcsim.build import Facility, build
from dcsim.catalog.load import Assumptions, Catalog, catalog, digest
from dcsim.energy import account, job_table
from dcsim.errors import UnknownNameError
from dcsim.finance.items import CONVENTIONS, Books, cost, monthly_quantities
from dcsim.finance.tariff import Tariff
from dcsim.kpi import Results, kpis
from dcsim.model.load import Loaded
from dcsim.model.tree import Place
from dcsim.names import check_names
from dcsim.sim.engine import ClusterSpec, Reliability, SimResult, simulate
from dcsim.workload.demand import Demand, demand, job_classes, reliability_rows
from dcsim.workload.model_runs import modelled_runs

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Prepared:
    """All that can be refused before the first event."""

    loaded: Loaded
    used: Assumptions
    facility: Facility
    tariff: Tariff
    demand: Demand
    reliability: Reliability | None


def prepare(loaded: Loaded) -> Prepared:
    """Build the facility, read the tariff, and read or draw the jobs.

    Raises
    ------
    InputError
        If the plan cannot be built or a job can never fit.
    """
    scenario = loaded.scenario
    used = Assumptions(_catalog(loaded))
    check_names(loaded, used.catalog)
    tariff = Tariff.from_catalog(used, scenario.site.tariff)
    modelled = modelled_runs(loaded, used)
    facility = build(loaded, used, job_classes(loaded), modelled)
    leaf_gpus = facility.nodes_per_leaf * facility.gpus_per_server
    jobs = demand(loaded, facility.capacity_gpus, facility.horizon_s, used, modelled, leaf_gpus)
    rows = reliability_rows(loaded, used, modelled, facility.gpus_per_server)
    return Prepared(loaded, used, facility, tariff, jobs, None if rows is None else Reliability(**rows))


def run(
    loaded: Loaded,
    parent: Path,
    *,
    writers: Sequence[runs.Writer] = (),
    progress: Progress = lambda step, done: None,
) -> Path:
    """Run a scenario and write its run folder, ``parent/<name>-<hash8>``, which is returned."""
    scenario = loaded.scenario
    progress("build", 0.0)
    ready = prepare(loaded)
    facility = ready.facility
    intervals, jobs = _operate(ready, progress)
    progress("cost", 0.85)
    quantities = monthly_quantities(ready.tariff, intervals, scenario.plan.start)
    ledger = cost(Books(scenario, facility.assets, quantities, ready.used))
    figures = kpis(Results(scenario, intervals, jobs, ledger, facility.final.design_pue))
    tables = {"intervals": intervals, "jobs": jobs, "ledger": ledger, "assumptions": ready.used.frame()}
    del intervals, jobs
    progress("write", 0.9)
    resolved: dict[str, Any] = scenario.model_dump(mode="json")
    inputs = {"catalog": digest(), f"weather {facility.weather.name}": facility.weather.sha256, **ready.demand.inputs}
    return runs.write(
        parent,
        f"{scenario.name}-{runs.run_hash(resolved, inputs)}",
        scenario=resolved,
        kpis=figures,
        findings={
            **facility.findings(),
            **ready.demand.findings(),
            "notes": _notes(ready),
            "conventions": [*CONVENTIONS],
        },
        tables=tables,
        inputs=inputs,
        writers=writers,
    )


def _notes(ready: Prepared) -> list[str]:
    """What the reader of an answer should know of its inputs."""
    site = ready.loaded.scenario.site
    proxies = [f"proxy: {name} {getattr(site, name)}: {reason}" for name, reason in site.proxies.items()]
    return [*proxies, *ready.facility.notes, *ready.demand.notes]


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
    )
    return simulate(
        cluster,
        ready.demand.jobs,
        facility.services.work_rate,
        policy=scenario.workload.policy,
        horizon_s=facility.horizon_s,
        seed=scenario.plan.seed,
        reliability=ready.reliability,
        progress=lambda done: progress("simulate", 0.05 + 0.75 * done),
    )


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
