"""Build: from megawatts down to servers, network, plant and feeds, phase by phase, and the limit that binds in each."""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsim.assets import Asset, bill_of_materials
from dcsim.capacity import Capacity, SiteDesign
from dcsim.catalog.gpu_profile import Machine
from dcsim.catalog.hardware import server_has_gpus
from dcsim.catalog.load import Assumptions, carbon_table
from dcsim.catalog.weather import WeatherYear, weather
from dcsim.clean_power import CleanSupply, supplies
from dcsim.climate import Climate, climate, design_hour
from dcsim.errors import UnknownNameError
from dcsim.model.facility import Facility as StatedFacility
from dcsim.model.load import Loaded
from dcsim.model.scenario import Scenario
from dcsim.onsite import OnSitePower, onsite_assets, onsite_power, plant_year
from dcsim.phases import BuiltPhase, fill_phases
from dcsim.physics.electrical import PDU, SUBSTATION, TRANSFORMER, PowerChain, ups_curve
from dcsim.physics.generators import Generators, fuel_of_tests_l_per_s, installed_w
from dcsim.physics.rack_supplies import RACK_SUPPLY
from dcsim.pools import (
    BuiltPool,
    check_plates,
    check_server_design,
    node_off_w,
    pool_design,
    servers_per_rack,
    turns,
)
from dcsim.ppa import Contracted, contracted
from dcsim.services import built_services
from dcsim.units import SECONDS_PER_DAY, kw_from_w, mw_from_w
from dcsim.workload.jobs import Room
from dcsim.workload.model_runs import Modelled

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Facility:
    """A scenario made of parts of the catalog: counts, ratings and series."""

    pools: tuple[BuiltPool, ...]
    phases: tuple[BuiltPhase, ...]
    assets: tuple[Asset, ...]
    stated: StatedFacility
    design: SiteDesign
    climate: Climate
    weather: WeatherYear
    carbon: Floats
    residual_mix_kg_per_kwh: float | None
    clean: tuple[CleanSupply, ...]
    contracted: tuple[Contracted, ...]
    onsite: OnSitePower
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
    designs = tuple(pool_design(used, part) for part in parts)
    check_plates(loaded, parts, designs)
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
        check_server_design(loaded, part, one.services, of.server_design_w)
    per_rack = tuple(
        servers_per_rack(loaded, used, part, of.server_design_w) for part, of in zip(parts, designs, strict=True)
    )
    phases, assets = fill_phases(loaded, used, design, per_rack)
    horizon_s = (scenario.plan.end - scenario.plan.start).days * SECONDS_PER_DAY
    interval_s = scenario.report.interval_s
    n_intervals = round(horizon_s / interval_s)
    onsite = onsite_power(loaded, used, year, n_intervals, interval_s)
    return Facility(
        pools=tuple(
            BuiltPool(
                name=part.name,
                server=used.catalog.resolve("servers", part.server),
                has_gpus=server_has_gpus(part.server),
                services=one.services,
                instances=part.mig_instances * part.time_slices,
                turns=turns(used, part, one),
                speed=one.speed,
                nodes_per_leaf=of.fabric.nodes_per_group(counts, of.ports_per_server),
                nodes_per_rack=in_rack,
                node_off_w=node_off_w(used, scenario.workload.policy, part),
                oversubscription=of.oversubscription,
            )
            for part, of, one, counts, in_rack in zip(
                parts, designs, served, phases[-1].capacity.fabrics, per_rack, strict=True
            )
        ),
        phases=phases,
        assets=(*assets, *onsite_assets(used, scenario)),
        stated=stated,
        design=design,
        climate=climate(year, scenario.plan.start, n_intervals, interval_s),
        weather=year,
        carbon=carbon_table(scenario.site.carbon),
        residual_mix_kg_per_kwh=scenario.site.residual_mix_kg_per_kwh,
        clean=supplies(loaded, n_intervals, interval_s),
        contracted=contracted(loaded, n_intervals, interval_s, partial(plant_year, loaded, used, year)),
        onsite=onsite,
        generators=stated.generators,
        test_fuel_l_s=_test_fuel(used, stated.generators, [phase.capacity.facility_design_w for phase in phases]),
        diesel_kg_per_l=used.use("carbon of generators", "electrical", "generator-diesel", "carbon_kg_per_l"),
        interval_s=interval_s,
        horizon_s=horizon_s,
        notes=(*year.notes, *(note for one in served for note in one.notes)),
    )


def repriced(facility: Facility, used: Assumptions, scenario: Scenario) -> Facility:
    """The same parts at other prices: what *scenario* says of money and *used* of the catalog."""
    of = scenario.model_copy(update={"facility": facility.stated})
    assets = [line for phase in facility.phases for line in bill_of_materials(used, of, phase.stated, phase.counts)]
    return dataclasses.replace(facility, assets=(*assets, *onsite_assets(used, scenario)))


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
