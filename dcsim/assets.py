"""The bill of materials of a phase: what is bought, how many, at what price, for how long."""

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from dcsim.catalog.load import Assumptions
from dcsim.model.facility import Phase, Schedule
from dcsim.model.financing import Cloud, Own
from dcsim.model.scenario import Scenario
from dcsim.physics.fabric import FabricCounts

# Parts of a construction price, as cost guides split it: class of asset, and the parameters that hold its share and its
# life. Power and cooling plant, one share in the guides, is split once more.
CONSTRUCTION_SHARES = {
    "critical power": ("critical power", "share_critical_capacity", "life_critical_years"),
    "cooling plant": ("MEP", "share_critical_capacity", "life_critical_years"),
    "shell": ("shell", "share_shell", "life_shell_years"),
    "site": ("site works", "share_site", "life_shell_years"),
    "white space": ("MEP", "share_white_space", "life_critical_years"),
    "back of house": ("shell", "share_back_of_house", "life_shell_years"),
    "office": ("shell", "share_office", "life_shell_years"),
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

    ``life_years`` is the economic life, after which it is replaced; ``value_decay_frac`` the yearly factor of its
    market value; None is straight line to zero over that life, and an infinite life keeps its value. ``accounts`` are
    the lives in the books and in the tax return. ``hardware`` is paid by deposit and rest and not inflated; anything
    else is construction. ``embodied_kg`` is the carbon of making and building one unit, 0 where it is not known. It
    ``retires`` on a day before the plan's end where a conversion takes its place.
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
    accounts: "Accounts"
    value_decay_frac: float | None = None
    embodied_kg: float = 0.0
    retires: datetime.date | None = None

    @property
    def cost_usd(self) -> float:
        """Undiscounted price of all units, in dollars of the price's year. [USD]"""
        return self.quantity * self.unit_price_usd


@dataclass(frozen=True)
class Accounts:
    """Lives of a class of assets in the books and in the tax return, and the cost of retiring it over its price.

    A ``book_life_years`` of infinity is never depreciated, nor is a ``macrs_years`` of 0.
    """

    book_life_years: float
    macrs_years: int
    decommission_frac: float


def accounts(used: Assumptions, asset_class: str, *, hardware: bool) -> Accounts:
    """Lives of a class from the catalog's asset_classes."""
    key = asset_class.lower().replace(" ", "-")
    if key == "land":
        return Accounts(float("inf"), 0, 0.0)
    why = f"depreciation of {asset_class}"
    return Accounts(
        used.use(why, "asset_classes", key, "book_life_years"),
        round(used.use(why, "asset_classes", key, "macrs_years")),
        used.use("decommissioning", "asset_classes", "hardware" if hardware else "building", "decommission_frac"),
    )


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
    lines: list[Asset] = []
    if isinstance(scenario.economics.tenure, Own):
        lines += _construction(used, scenario, phase, counts)
    if not isinstance(scenario.economics.tenure, Cloud):
        lines += _hardware(used, scenario, phase, counts)
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
    electrical = used.use("construction cost", "asset_classes", "critical-capacity", "electrical_frac")
    part_frac = {"critical power": electrical, "cooling plant": 1.0 - electrical}
    shares = {
        item: value("construction cost", share) * part_frac.get(item, 1.0)
        for item, (_, share, _) in CONSTRUCTION_SHARES.items()
    }
    known = sum(shares.values())
    plant = Upkeep(
        used.use("upkeep", "operations", economics.operations, "maintenance_frac_critical"),
        used.catalog.row("operations", economics.operations, "maintenance_frac_critical").source,
    )
    asset = partial(Asset, phase.name, phase.construction, phase.energised, hardware=False)
    per_mw = partial(asset, quantity=counts.critical_mw, unit="MW critical", price_year=row.price_year)
    for item, (asset_class, share, life) in CONSTRUCTION_SHARES.items():
        yield per_mw(
            asset_class,
            item,
            unit_price_usd=price * shares[item],
            source=row.source,
            life_years=value("replacement and residual value", life),
            upkeep=plant if share == "share_critical_capacity" else none,
            accounts=accounts(used, asset_class, hardware=False),
            embodied_kg=embodied_kg * shares[item] / known,
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
        asset_class = "MEP" if item == "liquid_cooling_premium" else "soft cost"
        yield per_mw(
            asset_class,
            item.replace("_", " "),
            unit_price_usd=price * frac,
            source=used.catalog.row("prices", key, parameter).source,
            life_years=value("replacement and residual value", "life_critical_years"),
            upkeep=none,
            accounts=accounts(used, asset_class, hardware=False),
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
        accounts=accounts(used, "land", hardware=False),
    )


def _hardware(used: Assumptions, scenario: Scenario, phase: Phase, counts: PhaseCounts) -> Iterator[Asset]:
    pool = scenario.facility.pool(phase.pool)
    server = used.catalog.resolve("servers", pool.server)
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
    price_usd = used.use("cost of servers", "servers", server, "price_usd")
    price = used.catalog.row("servers", server, "price_usd")
    gpus = round(used.catalog.row("servers", server, "gpus").value)
    chips = used.use("price of GPUs in a server", "asset_classes", "gpus", "share_of_server_frac") if gpus else 0.0
    embodied_kg = used.use("embodied carbon", "servers", server, "embodied_kg")
    of_server = partial(asset, price_year=price.price_year, source=price.source)
    yield of_server(
        "servers",
        f"{server} without its GPUs" if gpus else server,
        quantity=counts.servers,
        unit="server",
        unit_price_usd=price_usd * (1.0 - chips),
        accounts=accounts(used, "servers", hardware=True),
        embodied_kg=embodied_kg,
    )
    if gpus:
        yield of_server(
            "GPUs",
            f"GPUs of {server}",
            quantity=counts.servers * gpus,
            unit="GPU",
            unit_price_usd=price_usd * chips / gpus,
            accounts=accounts(used, "GPUs", hardware=True),
        )
    # Spares lie on a shelf: what keeps them up is the upkeep of the servers.
    yield replace(
        of_server(
            "spares",
            f"spares of {server}",
            quantity=counts.servers,
            unit="server",
            unit_price_usd=price_usd * used.use("spares", "asset_classes", "spares", "share_of_servers_frac"),
            accounts=accounts(used, "spares", hardware=True),
        ),
        upkeep=Upkeep(0.0, ""),
    )
    yield from _network(used, asset, scenario, phase, counts)
    prices = scenario.economics.construction
    row = used.catalog.row("prices", prices, "support_frac_of_servers")
    frac = used.use("cost of storage and support", "prices", prices, "support_frac_of_servers")
    yield asset(
        "storage",
        "storage, management and login servers",
        quantity=counts.servers,
        unit="GPU server",
        unit_price_usd=frac * price_usd,
        price_year=row.price_year,
        source=row.source,
        accounts=accounts(used, "storage", hardware=True),
    )


def _network(
    used: Assumptions, asset: Callable[..., Asset], scenario: Scenario, phase: Phase, counts: PhaseCounts
) -> Iterator[Asset]:
    """Switches, transceivers and cables of a phase."""
    fabric = scenario.facility.pool(phase.pool).fabric
    switch = used.catalog.resolve("switches", fabric.switch)
    optic = used.catalog.resolve("optics", fabric.optic)
    optical = fabric.host_links == "optical"
    fibres = counts.fabric.switch_links + (counts.fabric.host_links if optical else 0)
    coppers = 0 if optical else counts.fabric.host_links
    transceivers = counts.fabric.optics(optical)
    for asset_class, item, quantity, unit, table, key, parameter in (
        ("network", switch, counts.fabric.switches, "switch", "switches", switch, "price_usd"),
        ("optics", f"{optic} transceivers", transceivers, "transceiver", "optics", optic, "price_usd"),
        ("optics", "fibre cables", fibres, "cable", "optics", optic, "fibre_price_usd"),
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
            accounts=accounts(used, asset_class, hardware=True),
        )
