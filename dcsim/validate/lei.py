"""Systems of Lei, Masanet and others at the middle of their published ranges, as designs of ours."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from dcsim.physics.cooling_air import AirCooledChiller, DirectExpansion, WaterCooledChiller, WaterCooledEconomiser
from dcsim.physics.cooling_liquid import DirectLiquidAdiabatic, DirectLiquidDryCooler
from dcsim.physics.electrical import PDU, PowerChain
from dcsim.physics.liquid_on_towers import DirectLiquidTower
from dcsim.physics.outside_air import AirEconomiserEvaporative, AirEconomiserTower
from dcsim.study.plant import Design, plant_year
from dcsim.validate.common import NotPredicted
from dcsim.validate.sites import of_zone


@dataclass(frozen=True)
class System:
    """A design and the share of its IT load at which the tables are made."""

    design: Design
    it_load_frac: float


def _chain(ups_efficiency: float, pdu_loss_frac: float, load: float) -> PowerChain:
    """Chain of constant efficiencies: the tables have no part-load losses, and no transformer."""
    total = 1.0 / ups_efficiency + 1.0 / (1.0 - pdu_loss_frac) - 2.0
    busway = PDU["busway"].square_frac * load
    return PowerChain(
        redundancy="N", ups="custom", ups_linear_frac=(total - busway) / (1.0 + busway), transformer="none"
    )


# Large sites: supply air up to 31 degC that rises by 16.65 K, efficient fans; half of the IT load. Mid-size: 7.5 K,
# cold water, chillers at 0.3 of their load; small ones a tenth worse in every machine, which the tables do not tell.
LARGE_LOAD, SMALL_LOAD = 0.5, 0.3
LARGE_CHAIN, SMALL_CHAIN = _chain(0.945, 0.010, LARGE_LOAD), _chain(0.87, 0.035, SMALL_LOAD)
# Fans and pumps take the same share at any load there, and coils condense 3 % of their heat.
Numbers = dict[str, Any]
AIR: Numbers = {
    "fan_redundancy": 1.0,
    "fan_floor_frac": 0.0,
    "base_frac": 0.0,
    "coil_latent_frac": 0.03,
}
LARGE_AIR: Numbers = {**AIR, "supply_air_temp_c": 31.0, "air_delta_t_k": 16.65, "fan_efficiency_frac": 0.775}
MID_AIR: Numbers = {
    **AIR,
    "supply_air_temp_c": 22.0,
    "air_delta_t_k": 7.5,
    "fan_pressure_pa": 650.0,
    "fan_efficiency_frac": 0.70,
}
PUMPS: Numbers = {"pump_floor_frac": 0.0, "chilled_pump_pressure_pa": 200e3, "pump_efficiency_frac": 0.70}
TOWERS: Numbers = {
    **PUMPS,
    "condenser_pump_pressure_pa": 200e3,
    "condenser_range_k": 5.0,
    "tower_fan_frac": 0.008,
    "drift_frac": 0.0025,
    "condenser_water_min_c": 0.0,
}
LARGE_TOWERS: Numbers = {**TOWERS, "cycles_of_concentration": 9.0}
# A fifth less efficient than a large machine, and one machine that carries the load alone.
MID_TOWERS: Numbers = {
    **TOWERS,
    "tower_fan_frac": 0.012,
    "cycles_of_concentration": 7.5,
    "carnot_frac": 0.496,
    "chillers": 1,
}
MID_WATER: Numbers = {"chilled_water_supply_c": 7.0, "chilled_water_delta_t_k": 5.5}
OUTSIDE: Numbers = {
    "evaporative_eff_frac": 0.0,
    "max_dew_point_c": 21.0,
    "max_rel_hum_frac": 0.775,
    "min_dew_point_c": -10.5,
    "min_rel_hum_frac": 0.14,
    "recirculate_above_c": 31.0,
    "coldest_supply_c": 14.0,
}
WATER_16: Numbers = {"chilled_water_supply_c": 16.0, "chilled_water_delta_t_k": 8.0}
ON_AIR: Numbers = {**PUMPS, "carnot_frac": 0.47}
MID_ON_AIR: Numbers = {**ON_AIR, "carnot_frac": 0.376, "chillers": 1}


def _large(cooling: object, liquid_frac: float = 0.0) -> System:
    return System(Design(cooling, LARGE_CHAIN, liquid_frac, 0.0), LARGE_LOAD)


def _mid(cooling: object) -> System:
    return System(Design(cooling, SMALL_CHAIN, 0.0, 0.035 * SMALL_LOAD), SMALL_LOAD)


def _small(cooling: object) -> System:
    chain = _chain(0.83, 0.045, SMALL_LOAD)
    return System(Design(cooling, chain, 0.0, 0.05 * SMALL_LOAD), SMALL_LOAD)


# Assumed small machines: nine tenths of the mid-size efficiency.
SMALL_TOWERS: Numbers = {**MID_TOWERS, "carnot_frac": 0.446}
SMALL_ON_AIR: Numbers = {**MID_ON_AIR, "carnot_frac": 0.338}
COIL: Numbers = {**ON_AIR, **MID_WATER, "chilled_water_supply_c": 10.0, "carnot_frac": 0.376, "chillers": 1}

SYSTEMS: dict[int, System] = {
    0: _large(AirEconomiserEvaporative(**{**LARGE_AIR, **OUTSIDE, **WATER_16, **ON_AIR, "fan_pressure_pa": 650.0})),
    1: _large(AirEconomiserTower(**{**LARGE_AIR, **OUTSIDE, **WATER_16, **LARGE_TOWERS, "fan_pressure_pa": 650.0})),
    2: _large(
        WaterCooledEconomiser(
            **{**LARGE_AIR, **LARGE_TOWERS, "fan_pressure_pa": 500.0},
            chilled_water_supply_c=26.84,
            chilled_water_delta_t_k=7.5,
            economiser_approach_k=2.0,
        )
    ),
    3: _mid(AirEconomiserTower(**{**MID_AIR, **OUTSIDE, **MID_WATER, **MID_TOWERS, "recirculate_above_c": 22.0})),
    4: _mid(
        WaterCooledEconomiser(
            **{**MID_AIR, **MID_WATER, **MID_TOWERS, "chilled_water_supply_c": 15.0}, economiser_approach_k=2.0
        )
    ),
    5: _mid(WaterCooledChiller(**{**MID_AIR, **MID_WATER, **MID_TOWERS})),
    6: _mid(AirEconomiserEvaporative(**{**MID_AIR, **OUTSIDE, **MID_WATER, **MID_ON_AIR, "recirculate_above_c": 22.0})),
    7: _mid(AirCooledChiller(**{**MID_AIR, **MID_WATER, **MID_ON_AIR})),
    8: _small(WaterCooledChiller(**{**MID_AIR, **MID_WATER, **SMALL_TOWERS})),
    9: _small(AirCooledChiller(**{**MID_AIR, **MID_WATER, **SMALL_ON_AIR})),
    10: _small(DirectExpansion(**MID_AIR, carnot_frac=0.30, chillers=1)),
    11: _mid(DirectExpansion(**MID_AIR, carnot_frac=0.34, chillers=1)),
    15: _large(DirectLiquidTower(**{**LARGE_AIR, **LARGE_TOWERS}, facility_water_supply_c=32.0), 0.80),
    16: _large(DirectLiquidAdiabatic(**LARGE_AIR), 0.80),
    17: _mid(DirectLiquidDryCooler(**{**MID_AIR, **COIL})),
}
# Those whose parameters the tables' authors give; the others rest on assumptions here.
STATED = {"2025": (0, 1, 2, 5), "2022": (1, 2, 5)}


def predict(case: str, zone: str, *, all_latent: bool = False) -> tuple[float, float]:
    """PUE [1] and water [L/kWh] of a system, over the sites of a zone that are at hand.

    Parameters
    ----------
    case, zone : str
        Number of the system, and climate zone.
    all_latent : bool
        Towers by the tables' convention, all heat as vapour.

    Raises
    ------
    NotPredicted
        If there is no such system here, or no weather of the zone.
    """
    number = int(float(case))
    if number not in SYSTEMS:
        raise NotPredicted(f"system {number} has no counterpart among the registered plants")
    of = SYSTEMS[number]
    design = of.design
    if all_latent and hasattr(design.cooling, "tower_evaporation"):
        design = replace(design, cooling=replace(design.cooling, tower_evaporation="all_latent"))
    years = [
        plant_year(design, site.air, site.design_air, of.it_load_frac, site=site.name, name=case)
        for site in of_zone(zone)
    ]
    return fmean(year.pue for year in years), fmean(year.wue_l_per_kwh for year in years)


def stated(case: Mapping[str, str], table: str) -> bool:
    """Whether a row is of a system whose parameters are published."""
    return int(float(case["Case"])) in STATED[table]
