"""Direct liquid cooling on dry coolers, with an air path for what the cold plates leave."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import ArrayLike, NDArray

from dcsim.physics import air_handlers, chillers, dry_coolers
from dcsim.physics.fluids import affinity_power_w, mover_power_w, staged_power_w, water_flow_m3_s
from dcsim.physics.plant import HeatLoad, Outdoor, PlantHour, PlantRating, mode, over

Floats = NDArray[np.float64]

# Coolant of a 135 kW GB300 NVL72 rack by its supply temperature: flow [L/min] and the rack's own pressure drop [psi].
# From 25 to 45 degC the hydraulic power rises 24 times (Lenovo product guide, quoted at second hand).
RACK_HEAT_W = 135e3
RACK_SUPPLY_C = (25.0, 35.0, 45.0)
RACK_FLOW_M3_S = tuple(litres / 60e3 for litres in (59.0, 89.0, 177.0))
RACK_PRESSURE_PA = tuple(psi * 6894.76 for psi in (2.3, 4.9, 18.4))


@dataclass(frozen=True)
class DirectLiquidDryCooler:
    """Cold plates, coolant distribution units and dry coolers; chilled water with free cooling for the remaining air.

    Each line ends with the range that is plausible and the source of the default [unit].

    Parameters
    ----------
    supply_air_temp_c : float
        Air at the servers' inlets; 18 to 27, ASHRAE TC 9.9 2021 recommended envelope. [degC]
    facility_water_supply_c : float
        Set point of the dry coolers; 30 to 45, class W40 of ASHRAE TC 9.9. [degC]
    facility_water_max_c : float
        Facility water to which hot hours may let it float, beyond which trim chillers help; W45. [degC]
    facility_water_delta_t_k : float
        Its rise; assumption, 6 to 12. [K]
    cdu_approach_k : float
        Coolant above facility water; 3 to 5, makers rate at 4. [K]
    cdu_pressure_pa : float
        Pressure drop of the coolant outside the rack; assumption, 100,000 to 200,000, with which coolant pumps take 0.9
        % of the heat at 44 degC, as Frontier's do. [Pa]
    cdu_efficiency_frac : float
        Wire to coolant; assumption, 0.5 to 0.7. [1]
    facility_pump_pressure_pa, pump_efficiency_frac : float
        Head and efficiency of facility-water and chilled-water pumps; assumption, 150,000 to 300,000 and 0.6 to 0.8.
        [Pa], [1]
    pump_floor_frac : float
        Lowest pump speed; assumption, 0.2 to 0.5. [1]
    dry_cooler_approach_k : float
        Leaving water above air at design heat and full speed; assumption, 5 to 15. [K]
    dry_cooler_fan_frac : float
        Fans at full speed over design heat; assumption, 0.012 to 0.024. [1]
    dry_cooler_fan_floor_frac : float
        Lowest fan speed; assumption, 0.1 to 0.3. [1]
    air_delta_t_k, fan_pressure_pa, fan_efficiency_frac, fan_exponent, fan_floor_frac, fan_redundancy : float
        Air handlers, as in the air-cooled plant.
    chilled_water_supply_c, chilled_water_delta_t_k, chilled_pump_pressure_pa : float
        Chilled water of the air path; assumption, 18 to 22, 6 to 12 and 150,000 to 300,000. [degC], [K], [Pa]
    free_cooling_approach_k : float
        Chilled water above air across the free-cooling coil, at design heat; assumption, 4 to 10. [K]
    free_cooling_fan_frac : float
        Its fans at full speed over design heat; assumption, 0.012 to 0.024. [1]
    carnot_frac : float
        Air-cooled chillers over Carnot's efficiency, condenser fans included; 0.47 to 0.50, as published COP near 3 to
        4. [1]
    evaporator_approach_k, condenser_approach_k : float
        Chilled water above evaporating, and condensing above air; assumption, 1 to 3 and 10 to 15. [K]
    chillers, redundant_chillers : int
        Machines that carry the design load of the air path, and more that stand by; trim chillers come in the same
        proportion.
    base_frac : float
        Controls and minimum-flow pumps over design heat; 0.005 to 0.01, fit to Frontier's cooling power. [1]
    """

    kind: Literal["direct_liquid_dry_cooler"] = "direct_liquid_dry_cooler"
    supply_air_temp_c: Annotated[float, Ge(15.0), Le(32.0)] = 25.0
    facility_water_supply_c: Annotated[float, Ge(15.0), Le(45.0)] = 40.0
    facility_water_max_c: Annotated[float, Ge(17.0), Le(50.0)] = 45.0
    facility_water_delta_t_k: Annotated[float, Ge(4.0), Le(20.0)] = 10.0
    cdu_approach_k: Annotated[float, Ge(1.0), Le(10.0)] = 4.0
    cdu_pressure_pa: Annotated[float, Ge(2e4), Le(5e5)] = 150e3
    cdu_efficiency_frac: Annotated[float, Ge(0.3), Le(0.9)] = 0.60
    facility_pump_pressure_pa: Annotated[float, Ge(5e4), Le(6e5)] = 200e3
    pump_efficiency_frac: Annotated[float, Ge(0.3), Le(0.9)] = 0.75
    pump_floor_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.30
    dry_cooler_approach_k: Annotated[float, Ge(3.0), Le(20.0)] = 8.0
    dry_cooler_fan_frac: Annotated[float, Ge(0.003), Le(0.05)] = 0.015
    dry_cooler_fan_floor_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.15
    air_delta_t_k: Annotated[float, Ge(5.0), Le(25.0)] = 12.0
    fan_pressure_pa: Annotated[float, Ge(100.0), Le(1500.0)] = 350.0
    fan_efficiency_frac: Annotated[float, Ge(0.3), Le(0.9)] = 0.70
    fan_exponent: Annotated[float, Ge(2.0), Le(3.0)] = 2.7
    fan_floor_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.30
    fan_redundancy: Annotated[float, Ge(1.0), Le(2.0)] = 1.25
    chilled_water_supply_c: Annotated[float, Ge(6.0), Le(26.0)] = 20.0
    chilled_water_delta_t_k: Annotated[float, Ge(4.0), Le(15.0)] = 10.0
    chilled_pump_pressure_pa: Annotated[float, Ge(5e4), Le(6e5)] = 200e3
    free_cooling_approach_k: Annotated[float, Ge(3.0), Le(15.0)] = 6.0
    free_cooling_fan_frac: Annotated[float, Ge(0.003), Le(0.05)] = 0.020
    carnot_frac: Annotated[float, Ge(0.3), Le(0.8)] = 0.50
    evaporator_approach_k: Annotated[float, Ge(0.5), Le(5.0)] = 2.0
    condenser_approach_k: Annotated[float, Ge(5.0), Le(20.0)] = 12.0
    chillers: Annotated[int, Ge(1), Le(64)] = 4
    redundant_chillers: Annotated[int, Ge(0), Le(64)] = 1
    base_frac: Annotated[float, Ge(0.0), Le(0.05)] = 0.008


def coolant_pump_per_heat(part: DirectLiquidDryCooler, facility_water_c: ArrayLike) -> Floats:
    """Coolant pump power over heat, at design flow of the rack's coolant temperature.

    Parameters
    ----------
    part : DirectLiquidDryCooler
    facility_water_c : array_like, shape (n,)
        Facility water; the coolant is warmer by the approach of the CDU and is clipped to the table's 25 to 45. [degC]

    Notes
    -----
    Flow and pressure of the rack table are interpolated each, and their product is the hydraulic power.
    """
    coolant_c = np.asarray(facility_water_c, dtype=float) + part.cdu_approach_k
    flow_m3_s = np.interp(coolant_c, RACK_SUPPLY_C, RACK_FLOW_M3_S)
    pressure_pa = np.interp(coolant_c, RACK_SUPPLY_C, RACK_PRESSURE_PA) + part.cdu_pressure_pa
    return mover_power_w(flow_m3_s, pressure_pa, part.cdu_efficiency_frac) / RACK_HEAT_W


def air_cooled_cop(part: DirectLiquidDryCooler, water_c: float, dry_bulb_c: Floats) -> Floats:
    """Full-load efficiency of an air-cooled chiller that makes water of a temperature [degC] in air of another. [1]"""
    evaporating_c = water_c - part.evaporator_approach_k
    return chillers.carnot_cop(evaporating_c, dry_bulb_c + part.condenser_approach_k, carnot_frac=part.carnot_frac)


def trim_heat_w(part: DirectLiquidDryCooler, loop_w: Floats, design_loop_w: float, dry_bulb_c: Floats) -> Floats:
    r"""Heat that trim chillers must take so that facility water stays at its maximum. [W]

    Notes
    -----
    Trim chillers stand in series after the dry coolers, which they relieve of what they take. With q the
    loop's heat over design:

    .. math:: Q_{trim} = Q \, \mathrm{clip}\left(
              \frac{T_{db} + q \Delta T_a - T_{max}}{\Delta T_w + q \Delta T_a}, 0, 1\right)
    """
    approach_k = over(loop_w, design_loop_w) * part.dry_cooler_approach_k
    above_k = dry_bulb_c + approach_k - part.facility_water_max_c
    return loop_w * np.clip(above_k / (part.facility_water_delta_t_k + approach_k), 0.0, 1.0)


def size(part: DirectLiquidDryCooler, heat: HeatLoad, outdoor: Outdoor) -> PlantRating:
    """Size dry coolers for the liquid heat, trim chillers and the air path for the hottest of the design hours.

    ``parts`` of the rating: ``coolant_m3_s``, ``coolant_pump_w``, ``facility_water_m3_s``, ``facility_pump_w``,
    ``dry_cooler_heat_w``, ``dry_cooler_fan_w``, ``trim_heat_w``, ``trim_chiller_w``, ``room_air_m3_s``, ``room_fan_w``,
    ``chilled_water_m3_s``, ``chilled_pump_w``, ``chillers``, ``redundant_chillers``, ``chiller_heat_w``, ``chiller_w``,
    ``free_cooling_fan_w``, ``design_dry_bulb_c``. All powers are those of the units that run at the design hour;
    coolant pumps are sized for facility water at its maximum.
    """
    liquid_w, air_w = (float(np.max(path)) for path in heat.paths_w())
    dry = np.max(np.asarray(outdoor.dry_bulb_c, dtype=float))

    warmest_c = part.facility_water_max_c + part.cdu_approach_k
    coolant_m3_s = liquid_w / RACK_HEAT_W * float(np.interp(warmest_c, RACK_SUPPLY_C, RACK_FLOW_M3_S))
    coolant_pump_w = liquid_w * float(coolant_pump_per_heat(part, part.facility_water_max_c))
    facility_m3_s = float(water_flow_m3_s(liquid_w + coolant_pump_w, part.facility_water_delta_t_k))
    facility_pump_w = float(mover_power_w(facility_m3_s, part.facility_pump_pressure_pa, part.pump_efficiency_frac))
    loop_w = liquid_w + coolant_pump_w + facility_pump_w
    trim_w = float(trim_heat_w(part, np.asarray(loop_w), loop_w, dry))

    handlers = air_handlers.size(part, air_w)
    chilled_w = air_w + handlers["room_fan_w"] + handlers["chilled_pump_w"]
    parts = {
        "coolant_m3_s": coolant_m3_s,
        "coolant_pump_w": coolant_pump_w,
        "facility_water_m3_s": facility_m3_s,
        "facility_pump_w": facility_pump_w,
        "dry_cooler_heat_w": loop_w,
        "dry_cooler_fan_w": loop_w * part.dry_cooler_fan_frac,
        "trim_heat_w": trim_w,
        "trim_chiller_w": trim_w / float(air_cooled_cop(part, part.facility_water_max_c, dry)),
        **handlers,
        "chillers": float(part.chillers),
        "redundant_chillers": float(part.redundant_chillers),
        "chiller_heat_w": chilled_w,
        "chiller_w": chilled_w / float(air_cooled_cop(part, part.chilled_water_supply_c, dry)),
        "free_cooling_fan_w": chilled_w * part.free_cooling_fan_frac,
        "design_dry_bulb_c": float(dry),
    }
    return PlantRating(liquid_w, air_w, min(part.fan_redundancy, 1.0 + part.redundant_chillers / part.chillers), parts)


@dataclass(frozen=True)
class Path:
    """What one of the two paths draws and gives, arrays of one shape; fields as in :class:`PlantHour`."""

    room_fan_w: Floats
    pump_w: Floats
    chiller_w: Floats
    rejection_w: Floats
    heat_w: Floats  # taken from the path, its own fans and pumps included
    mechanical_w: Floats  # the part of it that chillers take
    margin_frac: Floats
    supply_c: Floats


def liquid_capacity_w(part: DirectLiquidDryCooler, dry_bulb_c: Floats, rating: PlantRating) -> Floats:
    r"""Heat of the loop at which facility water is at its maximum, at most the design heat. [W]

    Notes
    -----
    What dry coolers and trim chillers of rating :math:`Q_t` take together solves, with :math:`a = \Delta T_a / Q_d`,

    .. math:: a Q^2 - (a Q_t + T_{max} - T_{db}) Q - \Delta T_w Q_t = 0
    """
    design_w, trim_w = rating.parts["dry_cooler_heat_w"], rating.parts["trim_heat_w"]
    per_heat = part.dry_cooler_approach_k / max(design_w, 1e-9)
    half = 0.5 * (per_heat * trim_w + part.facility_water_max_c - dry_bulb_c)
    root = half + np.sqrt(half * half + per_heat * part.facility_water_delta_t_k * trim_w)
    return np.clip(root / per_heat, 0.01 * design_w, design_w)


def liquid_path(part: DirectLiquidDryCooler, liquid_w: Floats, dry_bulb_c: Floats, rating: PlantRating) -> Path:
    """Coolant, facility water, dry coolers and trim chillers."""
    design, set_point_c, approach_k = rating.parts, part.facility_water_supply_c, part.dry_cooler_approach_k
    load_frac = over(liquid_w, rating.liquid_w)
    # Pump heat is about a percent of the load, so for the pumps the load alone decides how warm the water is.
    water_c = dry_coolers.leaving_c(load_frac, set_point_c, dry_bulb_c, design_approach_k=approach_k)
    coolant_w = rating.liquid_w * coolant_pump_per_heat(part, np.minimum(water_c, part.facility_water_max_c))
    pump_w = staged_power_w(
        coolant_w + design["facility_pump_w"], load_frac, exponent=3, floor_frac=part.pump_floor_frac
    )
    loop_w = liquid_w + pump_w

    spare = design["redundant_chillers"] / design["chillers"]
    trim_w = np.minimum(
        trim_heat_w(part, loop_w, design["dry_cooler_heat_w"], dry_bulb_c), design["trim_heat_w"] * (1.0 + spare)
    )
    trim_cop = air_cooled_cop(part, part.facility_water_max_c, dry_bulb_c)
    trim_chiller_w = chillers.compressor_w(trim_w, trim_cop, design["trim_heat_w"], units=1.0, redundant_units=spare)

    dry_frac = over(loop_w - trim_w, design["dry_cooler_heat_w"])
    speed = dry_coolers.speed_frac_for(dry_frac, set_point_c, dry_bulb_c, design_approach_k=approach_k)
    fan_w = affinity_power_w(
        design["dry_cooler_fan_w"], np.minimum(speed, 1.0), exponent=3, floor_frac=part.dry_cooler_fan_floor_frac
    )
    water_c = dry_coolers.leaving_c(dry_frac, set_point_c, dry_bulb_c, design_approach_k=approach_k)
    trimmed_k = part.facility_water_delta_t_k * trim_w / np.maximum(loop_w, 1e-9)
    return Path(
        room_fan_w=np.zeros(loop_w.shape),
        pump_w=pump_w,
        chiller_w=trim_chiller_w,
        rejection_w=fan_w,
        heat_w=loop_w,
        mechanical_w=trim_w,
        margin_frac=1.0 - loop_w / np.maximum(liquid_capacity_w(part, dry_bulb_c, rating), 1e-9),
        supply_c=np.maximum(water_c - trimmed_k, set_point_c),
    )


def air_path(part: DirectLiquidDryCooler, air_w: Floats, dry_bulb_c: Floats, rating: PlantRating) -> Path:
    r"""Air handlers, free-cooling coil and, in series behind it, air-cooled chillers.

    Notes
    -----
    The coil takes the share of the load that its design approach allows, and its fans turn as fast as that or the set
    point needs at load q, since a closer approach would cost more than it saves:

    .. math:: f = \mathrm{clip}\left(
              \frac{T_{return} - T_{db} - \Delta T_a}{T_{return} - T_{supply}}, 0, 1\right), \quad
              v = \left(\frac{q \, \Delta T_a}{\max(T_{supply} - T_{db}, \Delta T_a)}\right)^{1.1}
    """
    design, supply_c, approach_k = rating.parts, part.chilled_water_supply_c, part.free_cooling_approach_k
    fan_w, pump_w = air_handlers.powers_w(part, air_w, rating)
    chilled_w = air_w + fan_w + pump_w
    load_frac = over(chilled_w, design["chiller_heat_w"])
    coldest_c = dry_bulb_c + np.maximum(load_frac, 1.0) * approach_k
    free_frac = np.clip(1.0 - (coldest_c - supply_c) / part.chilled_water_delta_t_k, 0.0, 1.0)
    held_c = np.maximum(supply_c, dry_bulb_c + approach_k)
    speed = dry_coolers.speed_frac_for(load_frac, held_c, dry_bulb_c, design_approach_k=approach_k)
    coil_w = affinity_power_w(design["free_cooling_fan_w"], np.minimum(speed, 1.0), exponent=3, floor_frac=0.0)
    coil_w = np.where(free_frac > 0.0, coil_w, 0.0)

    mechanical_w = chilled_w * (1.0 - free_frac)
    units, redundant = design["chillers"], design["redundant_chillers"]
    chiller_w = chillers.compressor_w(
        mechanical_w,
        air_cooled_cop(part, supply_c, dry_bulb_c),
        design["chiller_heat_w"],
        units=units,
        redundant_units=redundant,
    )
    hotter_k = dry_bulb_c - design["design_dry_bulb_c"]
    installed_w = design["chiller_heat_w"] * (1.0 + redundant / units)
    return Path(
        room_fan_w=fan_w,
        pump_w=pump_w,
        chiller_w=chiller_w,
        rejection_w=coil_w,
        heat_w=chilled_w,
        mechanical_w=mechanical_w,
        margin_frac=1.0 - load_frac / chillers.capacity_frac(hotter_k),
        supply_c=supply_c + chillers.supply_rise_k(over(mechanical_w, installed_w), hotter_k),
    )


def plant(part: DirectLiquidDryCooler, heat: HeatLoad, outdoor: Outdoor, rating: PlantRating) -> PlantHour:
    """Powers of each hour, arrays of one shape (n,); no water is evaporated.

    Raises
    ------
    CapacityError
        If the heat of a path exceeds what is installed.

    Notes
    -----
    Liquid path: dry coolers hold the set point by fan speed; where the air is too hot for it, facility
    water floats up to its maximum, and beyond that trim chillers take the share of the heat that keeps it there. In
    hours so hot that they cannot, ``supply_water_c`` exceeds the maximum and the margin is negative. Air path: a coil
    on outdoor air before the chillers takes what it can.
    """
    liquid_w, air_w = heat.paths_w()
    rating.require(liquid_w, air_w)
    dry = np.asarray(outdoor.dry_bulb_c, dtype=float)
    liquid, air = liquid_path(part, liquid_w, dry, rating), air_path(part, air_w, dry, rating)
    heat_w = liquid.heat_w + air.heat_w
    chiller_w = liquid.chiller_w + air.chiller_w
    rejection_w = liquid.rejection_w + air.rejection_w
    base_w = np.full(dry.shape, part.base_frac * rating.heat_w)
    none = np.zeros(dry.shape)
    return PlantHour(
        room_fan_w=air.room_fan_w,
        pump_w=liquid.pump_w + air.pump_w,
        chiller_w=chiller_w,
        rejection_w=rejection_w,
        base_w=base_w,
        evaporation_kg_s=none,
        drift_kg_s=none,
        blowdown_kg_s=none,
        heat_rejected_w=heat_w + chiller_w + rejection_w + base_w,
        mode=mode(liquid.mechanical_w + air.mechanical_w, heat_w),
        margin_frac=np.minimum(liquid.margin_frac, air.margin_frac),
        supply_air_c=air.supply_c + (part.supply_air_temp_c - part.chilled_water_supply_c),
        supply_water_c=liquid.supply_c,
    )
