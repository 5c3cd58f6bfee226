"""Build: from megawatts down to servers, network, plant and feeds, phase by phase, and the limit that binds in each."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsim.assets import Asset
from dcsim.capacity import Capacity, PoolDesign, SiteDesign
from dcsim.catalog.gpu_profile import Machine
from dcsim.catalog.hardware import server_has_gpus
from dcsim.catalog.load import Assumptions, carbon_table
from dcsim.catalog.weather import WeatherYear, weather
from dcsim.clean_power import CleanSupply, supplies
from dcsim.climate import Climate, climate, design_hour
from dcsim.errors import UnknownNameError
from dcsim.model.facility import Fabric, PoolParts
from dcsim.model.load import Loaded
from dcsim.phases import BuiltPhase, fill_phases
from dcsim.physics.cooling import COOLING
from dcsim.physics.electrical import PDU, SUBSTATION, TRANSFORMER, PowerChain, ups_curve
from dcsim.physics.fabric import FABRICS
from dcsim.physics.generators import Generators, fuel_of_tests_l_per_s, installed_w
from dcsim.physics.rack_supplies import RACK_SUPPLY
from dcsim.registry import lookup
from dcsim.services import PoolServices, Services, built_services, server_power
from dcsim.units import SECONDS_PER_DAY, kw_from_w, mw_from_w, w_from_kw
from dcsim.workload.jobs import Room
from dcsim.workload.model_runs import Modelled

Floats = NDArray[np.float64]

# Scheduling policies that switch idle nodes off.
SWITCHING = ("easy_shutdown",)


@dataclass(frozen=True)
class Turns:
    """Jobs that use GPUs in turns: share of a GPU's time that each class needs, and time that turns cost. [1]"""

    need_frac: Floats
    overhead_frac: float


@dataclass(frozen=True)
class BuiltPool:
    """Servers of one kind: what jobs get and draw there, and how they stand under their leaves and in racks.

    Services are those of an instance, where each GPU is split into several, and of a node, where servers have none.
    """

    name: str
    server: str
    has_gpus: bool
    services: Services
    instances: int
    turns: Turns | None
    speed: Floats
    nodes_per_leaf: int
    nodes_per_rack: int
    node_off_w: float
    oversubscription: float

    @property
    def gpus_per_server(self) -> int:
        """GPUs in a server."""
        return self.services.gpus_per_node // self.instances if self.has_gpus else 0

    @property
    def used_frac(self) -> Floats:
        """Share of what jobs are given that those of each class can use at once, all turns taken. [1]"""
        if self.turns is None:
            return np.ones(len(self.speed))
        return np.asarray(np.minimum(1.0, 1.0 / (self.instances * self.turns.need_frac)))

    @property
    def gpus_per_slot(self) -> float:
        """GPUs of what jobs are given: a GPU, an instance of one, or a node without any."""
        return 1.0 / self.instances if self.has_gpus else 0.0


@dataclass(frozen=True)
class Facility:
    """A scenario made of parts of the catalog: counts, ratings and series."""

    pools: tuple[BuiltPool, ...]
    phases: tuple[BuiltPhase, ...]
    assets: tuple[Asset, ...]
    design: SiteDesign
    climate: Climate
    weather: WeatherYear
    carbon: Floats
    residual_mix_kg_per_kwh: float | None
    clean: tuple[CleanSupply, ...]
    generators: Generators
    test_fuel_l_s: tuple[float, ...]
    diesel_kg_per_l: float
    interval_s: int
    horizon_s: float
    notes: tuple[str, ...]

    @property
    def final(self) -> Capacity:
        """What stands when every phase is energised."""
        return self.phases[-1].capacity

    def gpus(self, capacity: Capacity, pools: Collection[int] | None = None) -> int:
        """GPUs that stand in some of the pools, or in all."""
        return sum(
            n * pool.gpus_per_server
            for index, (pool, n) in enumerate(zip(self.pools, capacity.pool_servers, strict=True))
            if pools is None or index in pools
        )

    @property
    def rooms(self) -> tuple[Room, ...]:
        """Energised GPUs of each pool from each phase's date on."""
        return tuple(
            Room(
                pool.name,
                tuple((phase.capacity.start_s, self.gpus(phase.capacity, (index,))) for phase in self.phases),
                pool.gpus_per_server,
                pool.gpus_per_server * pool.nodes_per_leaf,
                pool.instances,
                dict(zip(pool.services.class_names, (pool.speed * pool.used_frac).tolist(), strict=True)),
                ()
                if pool.has_gpus
                else tuple((phase.capacity.start_s, phase.capacity.pool_servers[index]) for phase in self.phases),
            )
            for index, pool in enumerate(self.pools)
        )

    @property
    def edges_s(self) -> Floats:
        """Edges of the intervals. [s]"""
        n = round(self.horizon_s / self.interval_s)
        return np.arange(0, n + 1, dtype=np.float64) * self.interval_s

    def findings(self) -> dict[str, Any]:
        """What the report says about the build: each phase with its limits, the design hour, the weather."""
        return {
            "phases": [
                {
                    "name": phase.name,
                    "energised": phase.energised.isoformat(),
                    "servers": phase.added,
                    "gpus": self.gpus(phase.capacity),
                    "pool": self.pools[phase.pool].name,
                    "server": self.pools[phase.pool].server,
                    "binding": phase.binding,
                    "limits": [dataclasses.asdict(limit) for limit in phase.limits],
                    "critical_mw": mw_from_w(phase.capacity.critical_rating_w),
                    "design_it_mw": mw_from_w(phase.capacity.it_design_w),
                    "design_facility_mw": mw_from_w(phase.capacity.facility_design_w),
                    "generators_mw": mw_from_w(installed_w(self.generators, phase.capacity.facility_design_w)),
                    "switches": phase.capacity.switches,
                    "fabric_kw": kw_from_w(phase.capacity.fabric_power_w),
                }
                for phase in self.phases
            ],
            "design_hour": {
                "dry_bulb_c": float(np.max(self.design.outdoor.dry_bulb_c)),
                "wet_bulb_c": float(np.max(self.design.outdoor.wet_bulb_c)),
                "pue": self.final.design_pue,
            },
            "weather": {
                "name": self.weather.name,
                "source": self.weather.source,
                "sha256": self.weather.sha256,
                "notes": list(self.weather.notes),
            },
        }


def build(
    loaded: Loaded,
    used: Assumptions,
    class_names: tuple[str, ...],
    runs: tuple[Modelled, ...] = (),
    machines: Mapping[str, Machine] | None = None,
) -> Facility:
    """Build the facility of a scenario.

    Parameters
    ----------
    loaded : Loaded
        A checked scenario.
    used : Assumptions
        Catalog; every value that is looked up is noted.
    class_names : tuple of str
        Workload classes of the jobs, in the order that jobs index them.
    runs : tuple of Modelled
        Training runs of known models.
    machines : mapping of str to Machine
        What is known of the GPUs beyond the catalog, by pool.

    Raises
    ------
    InputError
        If a name is in no catalog, or the plan is impossible: a rack above its feed, a phase without room for one
        server, more servers than a limit allows. The place in the scenario is named.
    """
    scenario = loaded.scenario
    stated = scenario.facility
    year = _weather(loaded)
    operations = scenario.economics.operations

    def default(value: float | None, what: str, parameter: str, unit: str) -> float:
        if value is None:
            return used.use(what, "operations", operations, parameter)
        return used.state(what, "operations", operations, parameter, value, unit)

    margin_k = default(scenario.site.design_margin_k, "design hour", "design_margin_k", "K")
    parts = [stated.pool(name) for name in stated.pool_names]
    designs = tuple(_pool_design(used, part) for part in parts)
    _check_plates(loaded, parts, designs)
    _note_chain(used, stated.power)
    for parameter, value in vars(stated.cooling).items():
        if not isinstance(value, str):
            used.state("cooling plant", "cooling", stated.cooling.kind, parameter, float(value), "")
    design = SiteDesign(
        chain=stated.power,
        cooling=stated.cooling,
        outdoor=design_hour(year, margin_k),
        pools=designs,
        support_frac=default(stated.support_power_frac, "storage and support servers", "support_power_frac", "1"),
        lighting_frac=default(stated.lighting_frac, "lighting and services", "lighting_frac", "1"),
        power_oversubscription=stated.power_oversubscription,
    )
    served = built_services(loaded, used, class_names, runs, machines or {}, parts, designs)
    for part, of, one in zip(parts, designs, served, strict=True):
        _check_server_design(loaded, part, one.services, of.server_design_w)
    per_rack = tuple(
        _servers_per_rack(loaded, used, part, of.server_design_w) for part, of in zip(parts, designs, strict=True)
    )
    phases, assets = fill_phases(loaded, used, design, per_rack)
    horizon_s = (scenario.plan.end - scenario.plan.start).days * SECONDS_PER_DAY
    interval_s = scenario.report.interval_s
    return Facility(
        pools=tuple(
            BuiltPool(
                name=part.name,
                server=used.catalog.resolve("servers", part.server),
                has_gpus=server_has_gpus(part.server),
                services=one.services,
                instances=part.mig_instances * part.time_slices,
                turns=_turns(used, part, one),
                speed=one.speed,
                nodes_per_leaf=of.fabric.nodes_per_group(counts, of.ports_per_server),
                nodes_per_rack=in_rack,
                node_off_w=_node_off_w(used, scenario.workload.policy, part),
                oversubscription=of.oversubscription,
            )
            for part, of, one, counts, in_rack in zip(
                parts, designs, served, phases[-1].capacity.fabrics, per_rack, strict=True
            )
        ),
        phases=phases,
        assets=assets,
        design=design,
        climate=climate(year, scenario.plan.start, round(horizon_s / interval_s), interval_s),
        weather=year,
        carbon=carbon_table(scenario.site.carbon),
        residual_mix_kg_per_kwh=scenario.site.residual_mix_kg_per_kwh,
        clean=supplies(loaded, round(horizon_s / interval_s), interval_s),
        generators=stated.generators,
        test_fuel_l_s=_test_fuel(used, stated.generators, [phase.capacity.facility_design_w for phase in phases]),
        diesel_kg_per_l=used.use("carbon of generators", "electrical", "generator-diesel", "carbon_kg_per_l"),
        interval_s=interval_s,
        horizon_s=horizon_s,
        notes=(*year.notes, *(note for one in served for note in one.notes)),
    )


def _pool_design(used: Assumptions, part: PoolParts) -> PoolDesign:
    """The server of a pool and its network, by the catalog."""
    server = used.catalog.resolve("servers", part.server)
    if part.server_design_kw is None:
        server_w = used.use("sizing of feeds and plant", "servers", server, "peak_power_w")
    else:
        server_w = w_from_kw(part.server_design_kw)
        used.state("sizing of feeds and plant", "servers", server, "peak_power_w", server_w, "W")
    radix, switch_w, optic_w = _network_parts(used, part.fabric)
    return PoolDesign(
        name=part.name,
        server=server_power(used, server),
        server_design_w=server_w,
        ports_per_server=int(used.use("network", "servers", server, "nics")),
        radix=radix,
        fabric=lookup(FABRICS, part.fabric.kind, "fabric"),
        oversubscription=part.fabric.oversubscription,
        optical_hosts=part.fabric.host_links == "optical",
        switch_power_w=switch_w,
        optic_power_w=optic_w,
    )


def _turns(used: Assumptions, part: PoolParts, served: PoolServices) -> Turns | None:
    """Turns of a pool whose GPUs are used so."""
    if part.time_slices == 1:
        return None
    return Turns(served.need_frac, used.use("GPUs used in turns", "operations", "time-slices", "overhead_frac"))


def _node_off_w(used: Assumptions, policy: str, part: PoolParts) -> float:
    """Power of a server that is switched off, where the policy does that. [W]"""
    if policy not in SWITCHING:
        return 0.0
    return used.use("idle nodes", "servers", used.catalog.resolve("servers", part.server), "off_power_w")


def _test_fuel(used: Assumptions, part: Generators, design_w: list[float]) -> tuple[float, ...]:
    """Fuel that tests burn from each phase's date on. [L/s]"""
    key, why = "generator-diesel", "tests of generators"
    fixed, linear = (used.use(why, "electrical", key, name) for name in ("fixed_l_per_kwh", "linear_l_per_kwh"))
    used.state(why, "electrical", key, "test_h_per_year", part.test_h_per_year, "h")
    used.state(why, "electrical", key, "test_load_frac", part.test_load_frac, "1")
    return tuple(fuel_of_tests_l_per_s(part, one, fixed_l_per_kwh=fixed, linear_l_per_kwh=linear) for one in design_w)


def _weather(loaded: Loaded) -> WeatherYear:
    try:
        return weather(loaded.scenario.site.weather, lambda: loaded.file(("site", "weather")))
    except UnknownNameError as error:
        raise loaded.fault(("site", "weather"), str(error)) from None


def _check_plates(loaded: Loaded, parts: Sequence[PoolParts], designs: Sequence[PoolDesign]) -> None:
    """Refuse cold plates without coolant, and coolant where no server has cold plates."""
    kind = loaded.scenario.facility.cooling.kind
    takes_liquid = COOLING[kind].takes_liquid
    have = [of.server.liquid_frac > 0 for of in designs]
    if any(have) if takes_liquid else not any(have):
        return
    part = parts[have.index(True)] if any(have) else parts[0]
    has = "has cold plates" if any(have) else "has no cold plates"
    serves = "serves cold plates" if takes_liquid else "serves air only"
    raise loaded.fault(
        part.place("server"),
        f"'{part.server}' {has}, but facility.cooling.kind '{kind}' {serves}; change one of them",
    )


def _check_server_design(loaded: Loaded, part: PoolParts, served: Services, server_w: float) -> None:
    """Refuse feeds sized below what a class draws: nothing here would cap it."""
    highest = served.gpu_power_w[:, 1:].max(axis=1) * served.gpus_per_node
    worst = int(highest.argmax())
    if highest[worst] > server_w:
        raise loaded.fault(
            part.place("server_design_kw"),
            f"feeds sized for {kw_from_w(server_w):.2f} kW a server are below the {kw_from_w(highest[worst]):.2f} kW "
            f"that {served.class_names[worst]} jobs draw, and nothing would cap them; raise it",
        )


def _network_parts(used: Assumptions, fabric: Fabric) -> tuple[int, float, float]:
    """Ports of a switch, and power of a switch and of a transceiver. [1], [W], [W]"""
    switch = used.catalog.resolve("switches", fabric.switch)
    optic = used.catalog.resolve("optics", fabric.optic)
    return (
        int(used.use("network", "switches", switch, "ports")),
        used.use("network", "switches", switch, "power_w"),
        used.use("network", "optics", optic, "power_w"),
    )


def _note_chain(used: Assumptions, chain: PowerChain) -> None:
    """Note the loss curves that the scenario chose, with their sources."""
    for part, curve in (
        ("ups", ups_curve(chain)),
        ("pdu", PDU[chain.pdu]),
        ("transformer", TRANSFORMER[chain.transformer]),
        ("substation", SUBSTATION[chain.substation]),
        ("rack_supply", RACK_SUPPLY[chain.rack_supply].curve),
    ):
        for name in ("fixed_frac", "linear_frac", "square_frac"):
            key = f"{part}-{getattr(chain, part)}"
            used.state("electrical losses", "electrical", key, name, getattr(curve, name), "1")
    frac = chain.mechanical_ups_frac
    used.state("electrical losses", "electrical", "power-chain", "mechanical_ups_frac", frac, "1")


def _servers_per_rack(loaded: Loaded, used: Assumptions, part: PoolParts, server_w: float) -> int:
    """How many servers a rack's feed and height hold; the stated density is checked against both."""
    racks = part.racks
    height_u = int(used.use("rack density", "servers", used.catalog.resolve("servers", part.server), "rack_units"))
    usable_w = w_from_kw(racks.feed_kw) * racks.continuous_frac
    by_feed, by_height = int(usable_w // server_w), racks.height_u // height_u
    density = racks.servers_per_rack
    if by_feed < 1 or (density is not None and density * server_w > usable_w):
        wanted = density or 1
        raise loaded.fault(
            part.place("racks", "feed_kw"),
            f"{wanted} server{'s' if wanted > 1 else ''} of {kw_from_w(server_w):.2f} kW need "
            f"{wanted * kw_from_w(server_w):.1f} kW in a rack whose feed of {racks.feed_kw:g} kW gives "
            f"{kw_from_w(usable_w):.1f} kW continuously; "
            "raise the feed or lower servers_per_rack",
        )
    if by_height < 1 or (density is not None and density > by_height):
        raise loaded.fault(
            part.place("racks", "height_u"),
            f"{density or 1} servers of {height_u} U do not fit a rack of {racks.height_u} U; "
            "raise the height or lower servers_per_rack",
        )
    return density if density is not None else min(by_feed, by_height)
