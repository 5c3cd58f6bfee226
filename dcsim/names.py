"""Names that a scenario uses: all are looked up before anything is built, and every unknown one is a fault."""

from collections.abc import Callable, Iterator
from functools import partial

from dcsim.catalog.hardware import transformer
from dcsim.catalog.load import Catalog, carbon_table
from dcsim.errors import UnknownNameError
from dcsim.model.economics import Rental
from dcsim.model.facility import MAIN
from dcsim.model.load import Loaded
from dcsim.model.tree import Place
from dcsim.model.workload import Demanded, Synthetic
from dcsim.physics.fabric import FABRICS
from dcsim.registry import lookup, unknown
from dcsim.sim.placement import STRATEGIES
from dcsim.sim.policies import POLICIES
from dcsim.sim.serving.routing import ROUTING
from dcsim.workload.demand import ARRIVALS

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
    site, facility, workload, economics = scenario.site, scenario.facility, scenario.workload, scenario.economics
    yield ("site", "tariff"), partial(catalog.part, "tariffs", site.tariff)
    yield ("site", "carbon"), partial(carbon_table, site.carbon)
    yield ("site", "water"), partial(catalog.row, "prices", site.water, "water_usd_per_m3")
    yield ("site", "diesel"), partial(catalog.row, "prices", site.diesel, "usd_per_l")
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
    price = economics.construction
    yield ("economics", "construction"), partial(catalog.row, "prices", price, "usd_per_critical_mw")
    yield ("economics", "operations"), partial(catalog.part, "operations", economics.operations)
    if isinstance(economics.revenue, Rental):
        path = economics.revenue.price_path
        yield ("economics", "revenue", "price_path"), partial(catalog.row, "prices", path, "decline_frac_per_year")


def _workload_class(catalog: Catalog, name: str) -> None:
    known = [key for key in catalog.keys("workload_classes") if key != ARRIVALS]
    if name not in known:
        raise UnknownNameError(unknown(name, known, "workload class"))
