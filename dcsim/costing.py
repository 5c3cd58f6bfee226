"""From what a simulated plan did to its money: happened -> metered -> costed -> key figures.

What changes only prices begins at :func:`repriced`: nothing is built, simulated or metered anew.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from dcsim.build import repriced as repriced_facility
from dcsim.catalog.hardware import server_gpu
from dcsim.catalog.load import Assumptions, Catalog, catalog
from dcsim.conversion import assets_with, spliced
from dcsim.energy import account, it_peak_frac, job_table, lent_nodes
from dcsim.errors import UnknownNameError
from dcsim.finance.bill import repriced as repriced_bill
from dcsim.finance.books import Books, Quantities, monthly_quantities
from dcsim.finance.capital import embodied_kg
from dcsim.finance.items import conventions, cost, findings
from dcsim.finance.tariff_rows import read_tariff
from dcsim.kpi import kpis
from dcsim.kpi_money import training_runs
from dcsim.model.load import Loaded
from dcsim.model.scenario import Scenario
from dcsim.model.tree import Place
from dcsim.operate import Prepared, Progress, energy_price, simulated
from dcsim.results import Results, Value
from dcsim.serving.plan import Outcome, outcomes
from dcsim.serving.table import service_table
from dcsim.stated_assets import stated_assets


@dataclass(frozen=True)
class Happened:
    """What a simulated plan did: tables by interval and job, and the services in the order stated."""

    intervals: pd.DataFrame
    pools: pd.DataFrame
    jobs: pd.DataFrame
    services: list[Outcome]


@dataclass(frozen=True)
class Metered:
    """What happened, and what its money rests on beside prices."""

    done: Happened
    quantities: Quantities
    services: pd.DataFrame
    it_peak_frac: float


@dataclass(frozen=True)
class Figures:
    """Key figures, the tables behind them, and what became of the services in the order stated."""

    kpis: dict[str, dict[str, Any]]
    tables: dict[str, pd.DataFrame]
    services: list[Outcome]
    conventions: list[str]
    finance: dict[str, Any]
    training_runs: list[dict[str, Any]]


def happened(ready: Prepared, progress: Progress = lambda step, done: None) -> Happened:
    """Simulate and account."""
    scenario = ready.loaded.scenario
    simulation = simulated(ready, progress)
    progress("account", 0.8)
    inlet_c = scenario.facility.cooling.supply_air_temp_c
    served = [
        outcomes(ready.services, ready.facility, index, lent_nodes(ready.facility, one.result), inlet_c)
        for index, one in enumerate(simulation)
    ]
    intervals, pools = account(ready.facility, simulation, served, energy_price(ready))
    jobs = job_table(ready.facility, ready.demand, simulation)
    if (of := ready.converted) is not None:
        later = account(of.facility, simulation, served, energy_price(ready))
        intervals, pools = (spliced(*pair, of.start_s) for pair in zip((intervals, pools), later, strict=True))
        jobs = spliced(jobs, job_table(of.facility, ready.demand, simulation), of.start_s)
    names = [of.stated.name for of in ready.services]
    services = sorted((one for of in served for one in of), key=lambda one: names.index(one.planned.stated.name))
    return Happened(intervals, pools, jobs, services)


def metered(ready: Prepared, done: Happened) -> Metered:
    """Sum what happened into what is billed, bought and sold by month."""
    facility = ready.facility
    quantities = monthly_quantities(
        ready.tariff,
        done.intervals,
        done.pools,
        ready.loaded.scenario,
        facility.clean,
        done.services,
        [(of.capacity.start_s, of.capacity.critical_rating_w) for of in facility.phases],
        facility.contracted,
    )
    return Metered(done, quantities, service_table(facility, done.services), it_peak_frac(facility, done.intervals))


def repriced(ready: Prepared, of: Metered, scenario: Scenario) -> tuple[Prepared, Metered]:
    """What another scenario, which differs in ``economics`` and in ``overrides`` of prices alone, has of the same.

    Parameters
    ----------
    ready, of
        The plan that was simulated.
    scenario : Scenario
        The other plan as it is stated; dates and outages that delays and conversions moved are taken from *ready*.
    """
    moved = ready.loaded.scenario.model_copy(
        update={"name": scenario.name, "economics": scenario.economics, "overrides": scenario.overrides}
    )
    loaded = replace(ready.loaded, scenario=moved)
    used = Assumptions(stated_catalog(loaded))
    same_tariff = _tariffs(scenario) == _tariffs(ready.loaded.scenario)
    tariff = ready.tariff if same_tariff else read_tariff(used, moved.site.tariff)
    after = ready.converted
    if after is not None:
        after = replace(after, facility=repriced_facility(after.facility, used, moved))
    changed = replace(
        ready,
        loaded=loaded,
        used=used,
        tariff=tariff,
        facility=repriced_facility(ready.facility, used, moved),
        converted=after,
    )
    if same_tariff:
        return changed, of
    return changed, replace(of, quantities=replace(of.quantities, bill=repriced_bill(of.quantities.bill, tariff)))


def _tariffs(scenario: Scenario) -> dict[str, float]:
    """What the planner states of tariffs."""
    return {name: stated.value for name, stated in scenario.overrides.items() if name.startswith("tariffs.")}


def results(ready: Prepared, of: Metered) -> tuple[Books, Results]:
    """Cost what was metered."""
    scenario = ready.loaded.scenario
    assets = (*assets_with(ready.used, ready.facility, ready.converted), *stated_assets(ready.used, scenario))
    books = Books(scenario, assets, of.quantities, ready.used)
    path = ready.demand.filling
    return books, Results(
        scenario=scenario,
        intervals=of.done.intervals,
        jobs=of.done.jobs,
        costed=cost(books),
        quantities=of.quantities,
        design_pue=ready.facility.final.design_pue,
        embodied_kg=embodied_kg(books),
        it_peak_frac=of.it_peak_frac,
        full_month=None if path is None else path.full_for_good,
        has_path=path is not None,
        services=of.services,
        value=_value(ready),
        inflation_frac=books.inflation_frac("opex"),
    )


def figures(ready: Prepared, of: Metered) -> Figures:
    """Every key figure, and every table."""
    books, found = results(ready, of)
    costed = found.costed
    values = kpis(found)
    tables = {
        "intervals": of.done.intervals,
        "pools": of.done.pools,
        "jobs": of.done.jobs,
        "services": of.services,
        "ledger": costed.ledger,
        "statement": costed.statement,
        "register": costed.register,
        "assumptions": ready.used.frame(),
    }
    return Figures(values, tables, of.done.services, conventions(books), findings(books, costed), training_runs(found))


def some_figures(ready: Prepared, of: Metered, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Some key figures, and no table that they do not need."""
    return kpis(results(ready, of)[1], names)


def _value(ready: Prepared) -> Value:
    """What a GPU of each pool can do at its peak, and what share of it runs reach."""
    peaks = {
        pool.name: ready.used.use("effective compute", "gpus", server_gpu(pool.server), "bf16_dense_flop_s")
        for pool in ready.facility.pools
        if pool.has_gpus
    }
    return Value(peaks, ready.used.use("effective compute", "operations", "estimate", "mfu_frac"))


def stated_catalog(loaded: Loaded) -> Catalog:
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
