"""Names that a scenario uses: all are looked up before anything is built, and every unknown one is a fault."""

from collections.abc import Callable, Iterator
from functools import partial

from dcsim.catalog.hardware import transformer
from dcsim.catalog.load import Catalog, carbon_table
from dcsim.errors import UnknownNameError
from dcsim.model.economics import Rental
from dcsim.model.facility import MAIN
from dcsim.model.financing import Cloud, Colocation
from dcsim.model.load import Loaded
from dcsim.model.power import PhysicalPpa
from dcsim.model.scenario import Scenario
from dcsim.model.tree import Place
from dcsim.model.workload import Demanded, Synthetic
from dcsim.physics.fabric import FABRICS
from dcsim.registry import lookup, unknown
from dcsim.sim.placement import STRATEGIES
from dcsim.sim.policies import POLICIES
from dcsim.sim.serving.routing import ROUTING
from dcsim.workload.demand import ARRIVALS

# What every path of dated prices ends with.
DECLINE = "decline_frac_per_year"

Lookup = tuple[Place, Callable[[], object]]


def check_names(loaded: Loaded, catalog: Catalog) -> None:
    """Look up every name.

    Raises
    ------
    InputError
        If any is unknown; all are listed, each with its place and the nearest known name.
    """
    faults: list[tuple[Place, str]] = []
    for place, find in _lookups(loaded, catalog):
        try:
            find()
        except UnknownNameError as error:
            faults.append((place, str(error)))
    if faults:
        raise loaded.faults(faults)


def _lookups(loaded: Loaded, catalog: Catalog) -> Iterator[Lookup]:
    scenario = loaded.scenario
    site, facility, workload = scenario.site, scenario.facility, scenario.workload
    yield ("site", "tariff"), partial(catalog.part, "tariffs", site.tariff)
    yield ("site", "carbon"), partial(carbon_table, site.carbon)
    yield ("site", "water"), partial(catalog.row, "prices", site.water, "water_usd_per_m3")
    yield ("site", "diesel"), partial(catalog.row, "prices", site.diesel, "usd_per_l")
    if site.solar is not None:
        yield ("site", "solar", "price"), partial(catalog.row, "prices", site.solar.price, "usd_per_kw_dc")
    if site.battery is not None:
        yield ("site", "battery", "price"), partial(catalog.row, "prices", site.battery.price, "usd_per_kwh")
    for index, contract in enumerate(site.ppas):
        if isinstance(contract, PhysicalPpa):
            for number, line in enumerate(contract.still_billed):
                where: Place = ("site", "ppas", index, "still_billed", number)
                yield where, partial(_energy_line, catalog, site.tariff, line)
    if facility.conversion is not None:
        server = facility.conversion.server
        yield ("facility", "conversion", "server"), partial(catalog.part, "servers", server)
    for of in (facility.pool(name) for name in (MAIN, *facility.pools)):
        yield of.place("server"), partial(catalog.part, "servers", of.server)
        if of.name == MAIN or "fabric" in of.own:
            yield of.place("fabric", "kind"), partial(lookup, FABRICS, of.fabric.kind, "fabric")
            yield of.place("fabric", "switch"), partial(catalog.part, "switches", of.fabric.switch)
            yield of.place("fabric", "optic"), partial(catalog.part, "optics", of.fabric.optic)
    yield ("workload", "policy"), partial(lookup, POLICIES, workload.policy, "scheduling policy")
    yield ("workload", "placement"), partial(lookup, STRATEGIES, workload.placement, "placement strategy")
    if workload.reliability is not None:
        source = workload.reliability.source
        yield ("workload", "reliability", "source"), partial(catalog.part, "reliability", source)
    for index, service in enumerate(workload.services):
        yield ("workload", "services", index, "model"), partial(transformer, service.model)
        if service.pool is not None:
            pools = dict.fromkeys(facility.pool_names)
            yield ("workload", "services", index, "pool"), partial(lookup, pools, service.pool, "pool")
        yield ("workload", "services", index, "routing"), partial(lookup, ROUTING, service.routing, "routing")
    for index, run in enumerate(workload.runs):
        yield ("workload", "runs", index, "model"), partial(transformer, run.model)
    for index, campaign in enumerate(workload.campaigns):
        for number, stage in enumerate(campaign.stages):
            if stage.job_class is not None:
                place: Place = ("workload", "campaigns", index, "stages", number, "job_class")
                yield place, partial(_workload_class, catalog, stage.job_class)
    for name, model in workload.class_models.items():
        yield ("workload", "class_models", name), partial(transformer, model)
    jobs = workload.jobs
    if isinstance(jobs, Synthetic):
        for name in jobs.gpu_hours_share:
            yield ("workload", "jobs", "gpu_hours_share", name), partial(_workload_class, catalog, name)
    elif isinstance(jobs, Demanded):
        for name in jobs.classes:
            yield ("workload", "jobs", "classes", name), partial(_workload_class, catalog, name)
    else:
        yield ("workload", "jobs", "job_class"), partial(_workload_class, catalog, jobs.job_class)
    yield from _of_economics(scenario, catalog)


def _of_economics(scenario: Scenario, catalog: Catalog) -> Iterator[Lookup]:
    economics = scenario.economics
    price = economics.construction
    yield ("economics", "construction"), partial(catalog.row, "prices", price, "usd_per_critical_mw")
    yield ("economics", "operations"), partial(catalog.part, "operations", economics.operations)
    if isinstance(economics.revenue, Rental):
        path = economics.revenue.price_path
        yield ("economics", "revenue", "price_path"), partial(catalog.row, "prices", path, DECLINE)
        if economics.revenue.spot is not None:
            path = economics.revenue.spot.price_path
            yield ("economics", "revenue", "spot", "price_path"), partial(catalog.row, "prices", path, DECLINE)
    if isinstance(economics.tenure, Colocation):
        key = economics.tenure.rent
        yield ("economics", "tenure", "rent"), partial(catalog.row, "prices", key, "usd_per_kw_month")
    if isinstance(economics.tenure, Cloud):
        path = economics.tenure.price_path
        yield ("economics", "tenure", "price_path"), partial(catalog.row, "prices", path, DECLINE)
    if economics.tax is not None:
        yield ("economics", "tax", "regime"), partial(catalog.row, "taxes", economics.tax.regime, "rate_frac")
    if economics.property_tax is not None:
        yield ("economics", "property_tax"), partial(catalog.row, "taxes", economics.property_tax, "personal_frac")
    if economics.construction_index is not None:
        yield ("economics", "construction_index"), partial(catalog.part, "price_indices", economics.construction_index)
    if economics.residual_by_age is not None:
        yield ("economics", "residual_by_age"), partial(catalog.row, "prices", economics.residual_by_age, "age_0")
    for index, licence in enumerate(economics.software):
        yield ("economics", "software", index), partial(catalog.row, "operations", licence, "usd_per_gpu_year")
    if scenario.delays.connection_requested is not None:
        yield ("delays", "market"), partial(catalog.row, "operations", scenario.delays.market, "wait_months")


def _energy_line(catalog: Catalog, tariff: str, name: str) -> None:
    if tariff not in catalog.keys("tariffs"):
        return  # a fault of its own
    charges = [parameter.split(":") for parameter in catalog.part("tariffs", tariff)]
    known = dict.fromkeys(rest[0].partition("/")[0] for kind, *rest in charges if kind == "energy")
    if name not in known:
        raise UnknownNameError(unknown(name, known, f"energy line of {tariff}"))


def _workload_class(catalog: Catalog, name: str) -> None:
    known = [key for key in catalog.keys("workload_classes") if key != ARRIVALS]
    if name not in known:
        raise UnknownNameError(unknown(name, known, "workload class"))
