"""Air-cooled halls on chilled water: towers, a water-side economiser, and water-cooled chillers in series after it."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from dcsim.physics import air_handlers, chillers, towers
from dcsim.physics.fluids import mover_power_w, staged_power_w, water_flow_m3_s
from dcsim.physics.plant import HeatLoad, Outdoor, PlantHour, PlantRating, mode, over
from dcsim.units import WATER_CP_J_KG_K

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WaterCooledEconomiser:
    """Air handlers, chilled water, water-side economiser, water-cooled chillers and cooling towers.

    Each line ends with the range that is plausible and the source of the default [unit].

    Parameters
    ----------
    supply_air_temp_c : float
        Air at the servers' inlets; 18 to 27, ASHRAE TC 9.9 2021 recommended envelope. [degC]
    air_delta_t_k : float
        Rise of the air through the servers; 5 to 19, Lei and Masanet 2022 (5 to 10 mid-size, 14 to 19 large). [K]
    fan_pressure_pa : float
        Pressure rise of the air handlers; 300 to 1,000, Lei and Masanet 2022. [Pa]
    fan_efficiency_frac : float
        Wire to air; 0.6 to 0.9, Lei and Masanet 2022. [1]
    fan_exponent : float
        Affinity exponent at a held pressure; assumption, 2.2 to 3. [1]
    fan_floor_frac : float
        Lowest fan speed; assumption, 0.2 to 0.6. [1]
    fan_redundancy : float
        Air handlers installed over needed; all run, each slower; assumption, 1.1 to 1.5. [1]
    chilled_water_supply_c : float
        Chilled water to the air handlers, 3 K or more below the supply air; assumption, 7 (legacy) to 22. [degC]
    chilled_water_delta_t_k : float
        Its rise; assumption, 6 to 12. [K]
    chilled_pump_pressure_pa : float
        Head of the chilled-water pumps; assumption, 150,000 to 300,000. [Pa]
    condenser_pump_pressure_pa : float
        Head of the condenser-water pumps; assumption, 150,000 to 250,000. [Pa]
    pump_efficiency_frac : float
        Wire to water; assumption, 0.6 to 0.8. [1]
    pump_floor_frac : float
        Lowest pump speed; assumption, 0.2 to 0.5. [1]
    economiser_approach_k : float
        Chilled water above tower water across the heat exchanger; assumption, 1 to 3. [K]
    condenser_range_k : float
        Rise of the condenser water; 4 to 6, Lei and Masanet 2022. [K]
    carnot_frac : float
        Chiller efficiency over Carnot's; 0.58 old, 0.62 centrifugal, 0.70 magnetic bearings; EnergyPlus reference
        chiller. [1]
    evaporator_approach_k, condenser_approach_k : float
        Chilled water above evaporating and condensing above leaving condenser water; assumption, 1 to 3. [K]
    chillers, redundant_chillers : int
        Machines that carry the design load, and more that stand by; assumption, 2 to 8 and 0 to 2.
    tower_fan_frac : float
        Tower fans at full speed over heat rejected at design; 0.008 to 0.014, the latter ASHRAE 90.1's minimum
        efficiency. [1]
    tower_fan_floor_frac : float
        Lowest fan speed; assumption, 0.1 to 0.3. [1]
    tower_liquid_to_gas : float
        Mass of water over mass of dry air in the tower at design; assumption, 0.8 to 1.5. [1]
    cycles_of_concentration : float
        Solids in the basin over solids in the make-up; 3 to 15, Lei and Masanet 2022. [1]
    drift_frac : float
        Droplets over water circulated; assumption, 0.00001 to 0.00005 with modern eliminators. [1]
    base_frac : float
        Controls, sumps and minimum-flow pumps over design heat; 0.005 to 0.01, fit to Frontier's cooling power. [1]
    """

    kind: Literal["water_cooled_economiser"] = "water_cooled_economiser"
    supply_air_temp_c: Annotated[float, Ge(15.0), Le(32.0)] = 24.0
    air_delta_t_k: Annotated[float, Ge(5.0), Le(25.0)] = 12.0
    fan_pressure_pa: Annotated[float, Ge(100.0), Le(1500.0)] = 350.0
    fan_efficiency_frac: Annotated[float, Ge(0.3), Le(0.9)] = 0.70
    fan_exponent: Annotated[float, Ge(2.0), Le(3.0)] = 2.7
    fan_floor_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.30
    fan_redundancy: Annotated[float, Ge(1.0), Le(2.0)] = 1.25
    chilled_water_supply_c: Annotated[float, Ge(6.0), Le(26.0)] = 18.0
    chilled_water_delta_t_k: Annotated[float, Ge(4.0), Le(15.0)] = 10.0
    chilled_pump_pressure_pa: Annotated[float, Ge(5e4), Le(6e5)] = 220e3
    condenser_pump_pressure_pa: Annotated[float, Ge(5e4), Le(6e5)] = 200e3
    pump_efficiency_frac: Annotated[float, Ge(0.3), Le(0.9)] = 0.75
    pump_floor_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.30
    economiser_approach_k: Annotated[float, Ge(0.5), Le(5.0)] = 1.5
    condenser_range_k: Annotated[float, Ge(3.0), Le(12.0)] = 6.0
    carnot_frac: Annotated[float, Ge(0.3), Le(0.8)] = 0.62
    evaporator_approach_k: Annotated[float, Ge(0.5), Le(5.0)] = 2.0
    condenser_approach_k: Annotated[float, Ge(0.5), Le(5.0)] = 2.0
    chillers: Annotated[int, Ge(1), Le(64)] = 4
    redundant_chillers: Annotated[int, Ge(0), Le(64)] = 1
    tower_fan_frac: Annotated[float, Ge(0.002), Le(0.03)] = 0.010
    tower_fan_floor_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.20
    tower_liquid_to_gas: Annotated[float, Ge(0.5), Le(2.5)] = 1.0
    cycles_of_concentration: Annotated[float, Gt(1.0), Le(20.0)] = 5.0
    drift_frac: Annotated[float, Ge(0.0), Le(0.005)] = 2e-5
    base_frac: Annotated[float, Ge(0.0), Le(0.05)] = 0.008


def coldest_tower_water_c(part: WaterCooledEconomiser, wet_bulb_c: Floats) -> Floats:
    """Water that the towers reach with fans at full speed. [degC]"""
    return wet_bulb_c + towers.approach_k(wet_bulb_c, part.condenser_range_k)


def chiller_cop(part: WaterCooledEconomiser, tower_water_c: Floats) -> Floats:
    """Full-load efficiency of the chillers on tower water of a temperature [degC]. [1]"""
    return chillers.carnot_cop(
        part.chilled_water_supply_c - part.evaporator_approach_k,
        tower_water_c + part.condenser_range_k + part.condenser_approach_k,
        carnot_frac=part.carnot_frac,
    )


def size(part: WaterCooledEconomiser, heat: HeatLoad, outdoor: Outdoor) -> PlantRating:
    """Size the plant for its heat at the hottest of the design hours, with no help from the economiser.

    ``parts`` of the rating: ``room_air_m3_s``, ``room_fan_w``, ``chilled_water_m3_s``, ``chilled_pump_w``,
    ``chillers``, ``redundant_chillers``, ``chiller_heat_w``, ``chiller_w``, ``condenser_water_m3_s``,
    ``condenser_pump_w``, ``condenser_heat_w``, ``tower_heat_w``, ``tower_fan_w``, ``tower_water_c``. All powers are
    those of the units that run at the design hour.
    """
    air_w = float(np.max(heat.paths_w()[1]))
    handlers = air_handlers.size(part, air_w)
    load_w = air_w + handlers["room_fan_w"] + handlers["chilled_pump_w"]
    tower_water_c = np.asarray(np.max(coldest_tower_water_c(part, np.asarray(outdoor.wet_bulb_c, dtype=float))))
    chiller_w = load_w / float(chiller_cop(part, tower_water_c))
    condenser_m3_s = float(water_flow_m3_s(load_w + chiller_w, part.condenser_range_k))
    condenser_pump_w = float(mover_power_w(condenser_m3_s, part.condenser_pump_pressure_pa, part.pump_efficiency_frac))
    tower_heat_w = load_w + chiller_w + condenser_pump_w
    parts = {
        **handlers,
        "chillers": float(part.chillers),
        "redundant_chillers": float(part.redundant_chillers),
        "chiller_heat_w": load_w,
        "chiller_w": chiller_w,
        "condenser_water_m3_s": condenser_m3_s,
        "condenser_pump_w": condenser_pump_w,
        "condenser_heat_w": load_w + chiller_w,
        "tower_heat_w": tower_heat_w,
        "tower_fan_w": tower_heat_w * part.tower_fan_frac,
        "tower_water_c": float(tower_water_c),
    }
    return PlantRating(0.0, air_w, min(part.fan_redundancy, 1.0 + part.redundant_chillers / part.chillers), parts)


def plant(part: WaterCooledEconomiser, heat: HeatLoad, outdoor: Outdoor, rating: PlantRating) -> PlantHour:
    r"""Powers and water of each hour; arrays of one shape (n,).

    Raises
    ------
    CapacityError
        If the heat exceeds what is installed.

    Notes
    -----
    The economiser takes the share of the load that the towers' coldest water allows, the chillers the rest, in series:

    .. math:: f = \mathrm{clip}\left(\frac{T_{return} - T_{we}}{T_{return} - T_{supply}}, 0, 1\right),
              \quad T_{we} = T_{wb} + A(T_{wb}, R) + \Delta T_{hx}

    While it takes all, tower fans slow down to the air flow that just holds the set point; else they run at full speed,
    since a kelvin less of lift saves more than they draw. Air handlers, pumps and tower cells are staged with the load
    (:func:`dcsim.physics.fluids.staged_power_w`), so range and water per cell stay at design.

    Capacity falls with tower water hotter than at the design hour; where chillers and redundant ones cannot carry their
    share, supply temperatures rise until they can.
    """
    parts = rating.parts
    liquid_w, air_w = heat.paths_w()
    rating.require(liquid_w, air_w)
    fan_w, chilled_pump_w = air_handlers.powers_w(part, air_w, rating)
    load_w = air_w + fan_w + chilled_pump_w

    wet, range_k = np.asarray(outdoor.wet_bulb_c, dtype=float), part.condenser_range_k
    coldest_c = coldest_tower_water_c(part, wet)
    free_set_point_c = part.chilled_water_supply_c - part.economiser_approach_k
    free_frac = np.clip(1.0 - (coldest_c - free_set_point_c) / part.chilled_water_delta_t_k, 0.0, 1.0)
    all_free = coldest_c <= free_set_point_c
    water_per_air = np.where(all_free, towers.liquid_to_gas_for(free_set_point_c - wet, wet, range_k), 1.0)

    mechanical_w = load_w * (1.0 - free_frac)
    units, redundant = parts["chillers"], parts["redundant_chillers"]
    chiller_w = chillers.compressor_w(
        mechanical_w, chiller_cop(part, coldest_c), parts["chiller_heat_w"], units=units, redundant_units=redundant
    )
    condenser_w = load_w + chiller_w
    condenser_pump_w = staged_power_w(
        parts["condenser_pump_w"],
        over(condenser_w, parts["condenser_heat_w"]),
        exponent=3,
        floor_frac=part.pump_floor_frac,
    )
    tower_w = condenser_w + condenser_pump_w
    tower_speed = np.maximum(1.0 / water_per_air, part.tower_fan_floor_frac)
    tower_fan_w = (
        parts["tower_fan_w"] * over(tower_w, parts["tower_heat_w"]) * (tower_speed * tower_speed * tower_speed)
    )
    evaporation = tower_w * towers.evaporation_kg_j(
        outdoor.dry_bulb_c,
        outdoor.humidity_ratio,
        outdoor.pressure_pa,
        np.maximum(coldest_c, free_set_point_c) + range_k,
        range_k,
        1.0 / tower_speed,
        design_liquid_to_gas=part.tower_liquid_to_gas,
    )
    drift, blowdown = towers.make_up(
        evaporation,
        condenser_w / (WATER_CP_J_KG_K * range_k),
        cycles=part.cycles_of_concentration,
        drift_frac=part.drift_frac,
    )
    base_w = np.full(load_w.shape, part.base_frac * rating.air_w)

    hotter_k = coldest_c - parts["tower_water_c"]
    warmer_k = chillers.supply_rise_k(over(mechanical_w, parts["chiller_heat_w"] * (1.0 + redundant / units)), hotter_k)
    return PlantHour(
        room_fan_w=fan_w,
        pump_w=chilled_pump_w + condenser_pump_w,
        chiller_w=chiller_w,
        rejection_w=tower_fan_w,
        base_w=base_w,
        evaporation_kg_s=evaporation,
        drift_kg_s=drift,
        blowdown_kg_s=blowdown,
        heat_rejected_w=tower_w + tower_fan_w + base_w,
        mode=mode(mechanical_w, load_w),
        margin_frac=1.0 - over(load_w, parts["chiller_heat_w"]) / chillers.capacity_frac(hotter_k),
        supply_air_c=part.supply_air_temp_c + warmer_k,
        supply_water_c=part.chilled_water_supply_c + warmer_k,
    )
