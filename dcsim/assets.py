"""The bill of materials of a phase: what is bought, how many, at what price, for how long."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from dcsim.catalog.load import Assumptions
from dcsim.model.facility import Phase, Schedule
from dcsim.model.scenario import Scenario
from dcsim.physics.fabric import FabricCounts

# Parts of a construction price, as cost guides split it: the parameter that holds each share, and that of its life.
CONSTRUCTION_SHARES = {
    "critical power and cooling": ("share_critical_capacity", "life_critical_years"),
    "shell": ("share_shell", "life_shell_years"),
    "site": ("share_site", "life_shell_years"),
    "white space": ("share_white_space", "life_critical_years"),
    "back of house": ("share_back_of_house", "life_shell_years"),
    "office": ("share_office", "life_shell_years"),
}


# Life-cycle assessment of a building, its power and its cooling, from which every site's is scaled.
EMBODIED = "embodied-construction"


@dataclass(frozen=True)
class Upkeep:
    """Yearly upkeep as a share of the price, and where the share comes from."""

    frac: float
    source: str


@dataclass(frozen=True)
class Asset:
    """One line of the bill of materials.

    ``value_decay_frac`` is the yearly factor of its market value; None is straight line to zero over ``life_years``,
    and an infinite life keeps its value. ``hardware`` is paid by deposit and rest and not inflated; anything else is
    construction. ``embodied_kg`` is the carbon of making and building one unit, 0 where it is not known.
    """

    phase: str
    schedule: Schedule
    energised: datetime.date
    asset_class: str
    item: str
    quantity: float
    unit: str
    unit_price_usd: float
    price_year: int | None
    source: str
    life_years: float
    upkeep: Upkeep
    hardware: bool
    value_decay_frac: float | None = None
    embodied_kg: float = 0.0

    @property
    def cost_usd(self) -> float:
        """Undiscounted price of all units, in dollars of the price's year. [USD]"""
        return self.quantity * self.unit_price_usd


@dataclass(frozen=True)
class PhaseCounts:
    """How much a phase adds: servers, IT power that its power and cooling carry, network parts."""

    servers: int
    critical_mw: float
    fabric: FabricCounts


def bill_of_materials(used: Assumptions, scenario: Scenario, phase: Phase, counts: PhaseCounts) -> list[Asset]:
    """Assets that *phase* adds, construction first; lines of no quantity or price are left out.

    Raises
    ------
    UnknownNameError
        If the scenario names a price row that the catalog does not hold.
    """
    lines = [*_construction(used, scenario, phase, counts), *_hardware(used, scenario, phase, counts)]
    return [line for line in lines if line.cost_usd > 0]


def _construction(used: Assumptions, scenario: Scenario, phase: Phase, counts: PhaseCounts) -> Iterator[Asset]:
    economics = scenario.economics
    key = economics.construction

    def value(what: str, parameter: str) -> float:
        return used.use(what, "prices", key, parameter)

    price = value("construction cost", "usd_per_critical_mw")
    row = used.catalog.row("prices", key, "usd_per_critical_mw")
    none = Upkeep(0.0, "")
    # Spread over the parts of the building by their share of the cost.
    embodied_kg = 1e3 * used.use("embodied carbon", "prices", EMBODIED, "embodied_kg_per_critical_kw")
    known = sum(used.catalog.row("prices", key, share).value for share, _ in CONSTRUCTION_SHARES.values())
    plant = Upkeep(
        used.use("upkeep", "operations", economics.operations, "maintenance_frac_critical"),
        used.catalog.row("operations", economics.operations, "maintenance_frac_critical").source,
    )
    asset = partial(Asset, phase.name, phase.construction, phase.energised, hardware=False)
    per_mw = partial(asset, "construction", quantity=counts.critical_mw, unit="MW critical", price_year=row.price_year)
    for item, (share, life) in CONSTRUCTION_SHARES.items():
        yield per_mw(
            item,
            unit_price_usd=price * value("construction cost", share),
            source=row.source,
            life_years=value("replacement and residual value", life),
            upkeep=plant if share == "share_critical_capacity" else none,
            embodied_kg=embodied_kg * used.catalog.row("prices", key, share).value / known,
        )
    extras: dict[str, float | None] = {"soft_cost": None, "contingency": economics.contingency_frac}
    if scenario.facility.cooling.kind.startswith("direct_liquid"):
        extras["liquid_cooling_premium"] = None
    for item, stated in extras.items():
        parameter = f"{item}_frac"
        if stated is None:
            frac = value("construction cost", parameter)
        else:
            frac = used.state("construction cost", "prices", key, parameter, stated, "1")
        yield per_mw(
            item.replace("_", " "),
            unit_price_usd=price * frac,
            source=used.catalog.row("prices", key, parameter).source,
            life_years=value("replacement and residual value", "life_critical_years"),
            upkeep=none,
        )
    land = used.catalog.row("prices", key, "land_usd_per_acre")
    yield asset(
        "land",
        "land",
        quantity=counts.critical_mw * value("land", "acres_per_critical_mw"),
        unit="acre",
        unit_price_usd=value("land", "land_usd_per_acre"),
        price_year=land.price_year,
        source=land.source,
        life_years=float("inf"),
        upkeep=none,
    )


def _hardware(used: Assumptions, scenario: Scenario, phase: Phase, counts: PhaseCounts) -> Iterator[Asset]:
    pool = scenario.facility.pool(phase.pool)
    fabric = pool.fabric
    server = used.catalog.resolve("servers", pool.server)
    switch = used.catalog.resolve("switches", fabric.switch)
    optic = used.catalog.resolve("optics", fabric.optic)
    asset = partial(
        Asset,
        phase.name,
        phase.hardware,
        phase.energised,
        life_years=used.use("replacement of hardware", "servers", server, "life_years"),
        upkeep=Upkeep(
            used.use("upkeep of hardware", "servers", server, "maintenance_frac_per_year"),
            used.catalog.row("servers", server, "maintenance_frac_per_year").source,
        ),
        hardware=True,
        value_decay_frac=used.use("residual value of hardware", "servers", server, "value_decay_frac_per_year"),
    )
    optical = fabric.host_links == "optical"
    fibres = counts.fabric.switch_links + (counts.fabric.host_links if optical else 0)
    coppers = 0 if optical else counts.fabric.host_links
    for asset_class, item, quantity, unit, table, key, parameter in (
        ("servers", server, counts.servers, "server", "servers", server, "price_usd"),
        ("network", switch, counts.fabric.switches, "switch", "switches", switch, "price_usd"),
        (
            "network",
            f"{optic} transceivers",
            counts.fabric.optics(optical),
            "transceiver",
            "optics",
            optic,
            "price_usd",
        ),
        ("network", "fibre cables", fibres, "cable", "optics", optic, "fibre_price_usd"),
        ("network", "copper cables", coppers, "cable", "optics", optic, "copper_price_usd"),
    ):
        if quantity == 0:
            continue
        row = used.catalog.row(table, key, parameter)
        yield asset(
            asset_class,
            item,
            quantity=quantity,
            unit=unit,
            unit_price_usd=used.use(f"cost of {asset_class}", table, key, parameter),
            price_year=row.price_year,
            source=row.source,
            embodied_kg=used.use("embodied carbon", table, key, "embodied_kg") if table == "servers" else 0.0,
        )
    prices = scenario.economics.construction
    row = used.catalog.row("prices", prices, "support_frac_of_servers")
    frac = used.use("cost of storage and support", "prices", prices, "support_frac_of_servers")
    yield asset(
        "storage and support",
        "storage, management and login servers",
        quantity=counts.servers,
        unit="GPU server",
        unit_price_usd=frac * used.use("cost of servers", "servers", server, "price_usd"),
        price_year=row.price_year,
        source=row.source,
    )
