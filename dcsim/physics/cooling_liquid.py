"""Liquid at the servers: cold plates or immersion on dry coolers, with an air path for what they leave."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import ArrayLike, NDArray

from dcsim.physics import air_cooled, air_handlers, chillers, dry_coolers
from dcsim.physics.fluids import affinity_power_w, mover_power_w, staged_power_w, water_flow_m3_s
from dcsim.physics.parts import FreeCoil, WettedMedia
from dcsim.physics.plant import HeatLoad, Outdoor, Path, PlantHour, PlantRating, hours, over
from dcsim.units import AIR_CP_J_KG_K, LATENT_HEAT_J_KG

Floats = NDArray[np.float64]

# Coolant of a 135 kW GB300 NVL72 rack by its supply temperature: flow [L/min] and the rack's own pressure drop [psi].
# From 25 to 45 degC the hydraulic power rises 24 times (Lenovo product guide, quoted at second hand).
RACK_HEAT_W = 135e3
RACK_SUPPLY_C = (25.0, 35.0, 45.0)
RACK_FLOW_M3_S = tuple(litres / 60e3 for litres in (59.0, 89.0, 177.0))
RACK_PRESSURE_PA = tuple(psi * 6894.76 for psi in (2.3, 4.9, 18.4))


@dataclass(frozen=True)
class DryLoop(FreeCoil):
    """Facility water on dry coolers, and chilled water with free cooling for the air that liquid does not take.

    Parameters
    ----------
    facility_water_supply_c : float
        Set point of the dry coolers; 30 to 45, class W40 of ASHRAE TC 9.9. [degC]
    facility_water_max_c : float
        Facility water to which hot hours may let it float, beyond which trim chillers help; W45. [degC]
    facility_water_delta_t_k : float
        Its rise; assumption, 6 to 12. [K]
    facility_pump_pressure_pa : float
        Head of the facility-water pumps; assumption, 150,000 to 300,000. [Pa]
    dry_cooler_approach_k : float
        Leaving water above air at design heat and full speed; assumption, 5 to 15. [K]
    dry_cooler_fan_frac : float
        Fans at full speed over design heat; assumption, 0.012 to 0.024. [1]
    dry_cooler_fan_floor_frac : float
        Lowest fan speed; assumption, 0.1 to 0.3. [1]
    """

    supply_air_temp_c: Annotated[float, Ge(15.0), Le(35.0)] = 25.0
    chilled_water_supply_c: Annotated[float, Ge(5.0), Le(32.0)] = 20.0
    chilled_pump_pressure_pa: Annotated[float, Ge(5e4), Le(6e5)] = 200e3
    facility_water_supply_c: Annotated[float, Ge(15.0), Le(45.0)] = 40.0
    facility_water_max_c: Annotated[float, Ge(17.0), Le(50.0)] = 45.0
    facility_water_delta_t_k: Annotated[float, Ge(4.0), Le(20.0)] = 10.0
    facility_pump_pressure_pa: Annotated[float, Ge(5e4), Le(6e5)] = 200e3
    dry_cooler_approach_k: Annotated[float, Ge(3.0), Le(20.0)] = 8.0
    dry_cooler_fan_frac: Annotated[float, Ge(0.003), Le(0.05)] = 0.015
    dry_cooler_fan_floor_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.15

    def loop_pump_per_heat(self, facility_water_c: ArrayLike) -> Floats:
        """Pumps between servers and facility water over heat, by its temperature [degC]. [1]"""
        raise NotImplementedError

    def loop_flow_m3_s(self, liquid_w: float) -> float:
        """Design flow of the liquid at the servers. [m3/s]"""
        raise NotImplementedError

    def intake(self, dry_bulb_c: Floats, outdoor: Outdoor) -> tuple[Floats, Floats]:
        """Air that the dry coolers draw [degC], and the humidity that pads gave it [kg/kg]."""
        return dry_bulb_c, np.zeros(np.shape(dry_bulb_c))

    def wetting_kg_s(self, wetted: Floats, heat_w: Floats) -> tuple[Floats, Floats]:
        """Water that pads evaporate, by the humidity that they give [kg/kg], and that flushes them."""
        return np.zeros(heat_w.shape), np.zeros(heat_w.shape)

    def reused_w(self, loop_w: Floats, design_w: float, dry_bulb_c: Floats) -> Floats:
        """Heat of the loop that a user takes before the dry coolers. [W]"""
        return np.zeros(loop_w.shape)

    def reuse_pump_w(self, reused_w: Floats) -> Floats:
        """Pumps of the user's exchanger. [W]"""
        return np.zeros(reused_w.shape)


@dataclass(frozen=True)
class ColdPlates:
    """Coolant distribution units and racks of cold plates.

    Parameters
    ----------
    cdu_approach_k : float
        Coolant above facility water; 3 to 5, makers rate at 4. [K]
    cdu_pressure_pa : float
        Pressure drop of the coolant outside the rack; assumption, 100,000 to 200,000, with which coolant pumps take 0.9
        % of the heat at 44 degC, as Frontier's do. [Pa]
    cdu_efficiency_frac : float
        Wire to coolant; assumption, 0.5 to 0.7. [1]
    """

    cdu_approach_k: Annotated[float, Ge(1.0), Le(10.0)] = 4.0
    cdu_pressure_pa: Annotated[float, Ge(0.0), Le(5e5)] = 150e3
    cdu_efficiency_frac: Annotated[float, Ge(0.3), Le(0.9)] = 0.60


@dataclass(frozen=True)
class PlatesOnDryLoop(ColdPlates, DryLoop):
    """Cold plates whose facility water ends on dry coolers."""

    def loop_pump_per_heat(self, facility_water_c: ArrayLike) -> Floats:
        """Coolant pumps over heat. [1]"""
        return coolant_pump_per_heat(self, facility_water_c)

    def loop_flow_m3_s(self, liquid_w: float) -> float:
        """Coolant at the warmest facility water. [m3/s]"""
        return coolant_flow_m3_s(self, liquid_w, self.facility_water_max_c)


@dataclass(frozen=True)
class DirectLiquidDryCooler(PlatesOnDryLoop):
    """Cold plates, coolant distribution units and dry coolers; chilled water with free cooling for the other air."""

    kind: Literal["direct_liquid_dry_cooler"] = "direct_liquid_dry_cooler"


@dataclass(frozen=True)
class DirectLiquidAdiabatic(WettedMedia, PlatesOnDryLoop):
    """The same with wetted pads before the dry coolers, used in the hours that need them.

    Parameters
    ----------
    pad_eff_frac : float
        Fall of the dry bulb over its distance to the wet bulb; 0.6 to 0.8, recalled. [1]
    cooler_air_rise_k : float
        Rise of the air through the coolers at design heat, which sets how much is wetted; assumption, 8 to 15. [K]
    """

    kind: Literal["direct_liquid_adiabatic"] = "direct_liquid_adiabatic"
    facility_water_supply_c: Annotated[float, Ge(15.0), Le(45.0)] = 32.0
    facility_water_max_c: Annotated[float, Ge(17.0), Le(50.0)] = 36.0
    pad_eff_frac: Annotated[float, Ge(0.0), Le(0.95)] = 0.75
    cooler_air_rise_k: Annotated[float, Ge(4.0), Le(25.0)] = 10.0

    def intake(self, dry_bulb_c: Floats, outdoor: Outdoor) -> tuple[Floats, Floats]:
        """Air that the pads cool to what holds the set point at design heat, as far as they can."""
        wanted_c = self.facility_water_supply_c - self.dry_cooler_approach_k
        reach_c = dry_bulb_c - self.pad_eff_frac * (dry_bulb_c - np.asarray(outdoor.wet_bulb_c, dtype=float))
        taken_c = np.where(dry_bulb_c > wanted_c, np.minimum(np.maximum(reach_c, wanted_c), dry_bulb_c), dry_bulb_c)
        return taken_c, AIR_CP_J_KG_K * (dry_bulb_c - taken_c) / LATENT_HEAT_J_KG

    def wetting_kg_s(self, wetted: Floats, heat_w: Floats) -> tuple[Floats, Floats]:
        """Only the coolers that work are wetted, each at its design rise of the air."""
        evaporation: Floats = wetted * heat_w / (AIR_CP_J_KG_K * self.cooler_air_rise_k)
        return evaporation, evaporation / (self.cycles_of_concentration - 1.0)


@dataclass(frozen=True)
class DirectLiquidHeatReuse(PlatesOnDryLoop):
    """Cold plates on dry coolers, with a user of heat, such as a district network, before them.

    Parameters
    ----------
    reuse_max_frac : float
        Share of the design heat that the user takes on the coldest days; assumption, by contract. [1]
    reuse_full_below_c, reuse_none_above_c : float
        Outdoor air below which it takes all of that, and above which it takes none; assumption, the heating curve of
        buildings. [degC]
    reuse_pump_frac : float
        Pumps of the exchange over heat given; assumption, 0.005 to 0.02. [1]
    """

    kind: Literal["direct_liquid_heat_reuse"] = "direct_liquid_heat_reuse"
    reuse_max_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.50
    reuse_full_below_c: Annotated[float, Ge(-40.0), Le(20.0)] = -5.0
    reuse_none_above_c: Annotated[float, Ge(-10.0), Le(35.0)] = 16.0
    reuse_pump_frac: Annotated[float, Ge(0.0), Le(0.1)] = 0.010

    def reused_w(self, loop_w: Floats, design_w: float, dry_bulb_c: Floats) -> Floats:
        """Heat that the user takes: by the heating curve, never more than there is."""
        span_k = max(self.reuse_none_above_c - self.reuse_full_below_c, 1.0)
        wish = np.clip((self.reuse_none_above_c - dry_bulb_c) / span_k, 0.0, 1.0)
        return np.minimum(self.reuse_max_frac * design_w * wish, loop_w)

    def reuse_pump_w(self, reused_w: Floats) -> Floats:
        """A share of the heat given."""
        return self.reuse_pump_frac * reused_w


@dataclass(frozen=True)
class SinglePhaseImmersion(DryLoop):
    """Servers in dielectric fluid, whose tanks end on dry coolers; servers have no fans.

    Parameters
    ----------
    bath_approach_k : float
        Fluid to the servers above facility water; 5 to 8, recalled. [K]
    bath_pump_frac : float
        Fluid pumps over heat; 0.005 to 0.01, recalled. [1]
    bath_delta_t_k : float
        Rise of the fluid; assumption, 6 to 12. [K]
    bath_heat_j_m3_k : float
        Heat capacity of the fluid by volume; 1.6e6 to 1.8e6 of synthetic hydrocarbons. [J/(m3 K)]
    """

    kind: Literal["single_phase_immersion"] = "single_phase_immersion"
    facility_water_supply_c: Annotated[float, Ge(15.0), Le(45.0)] = 35.0
    facility_water_max_c: Annotated[float, Ge(17.0), Le(50.0)] = 40.0
    bath_approach_k: Annotated[float, Ge(2.0), Le(15.0)] = 6.0
    bath_pump_frac: Annotated[float, Ge(0.001), Le(0.03)] = 0.0075
    bath_delta_t_k: Annotated[float, Ge(3.0), Le(20.0)] = 8.0
    bath_heat_j_m3_k: Annotated[float, Ge(1e6), Le(2.5e6)] = 1.7e6

    def loop_pump_per_heat(self, facility_water_c: ArrayLike) -> Floats:
        """Fluid pumps over heat, the same at any temperature. [1]"""
        return np.full(np.shape(facility_water_c), self.bath_pump_frac)

    def loop_flow_m3_s(self, liquid_w: float) -> float:
        """Fluid through the tanks. [m3/s]"""
        return liquid_w / (self.bath_heat_j_m3_k * self.bath_delta_t_k)


def coolant_flow_m3_s(part: ColdPlates, liquid_w: float, facility_water_c: float) -> float:
    """Coolant of racks for a heat [W] at facility water of a temperature [degC]. [m3/s]"""
    coolant_c = facility_water_c + part.cdu_approach_k
    return liquid_w / RACK_HEAT_W * float(np.interp(coolant_c, RACK_SUPPLY_C, RACK_FLOW_M3_S))


def coolant_pump_per_heat(part: ColdPlates, facility_water_c: ArrayLike) -> Floats:
    """Coolant pump power over heat, at design flow of the rack's coolant temperature.

    Parameters
    ----------
    part : ColdPlates
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


def air_cooled_cop(part: DryLoop, water_c: float, dry_bulb_c: Floats) -> Floats:
    """Full-load efficiency of an air-cooled chiller that makes water of a temperature [degC] in air of another. [1]"""
    return part.air_cooled_side(water_c, part.facility_water_delta_t_k).cop(dry_bulb_c)


def trim_heat_w(part: DryLoop, loop_w: Floats, design_loop_w: float, dry_bulb_c: Floats) -> Floats:
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


def size(part: DryLoop, heat: HeatLoad, outdoor: Outdoor) -> PlantRating:
    """Size dry coolers for the liquid heat, trim chillers and the air path for the hottest of the design hours.

    ``parts`` of the rating: ``coolant_m3_s``, ``coolant_pump_w``, ``facility_water_m3_s``, ``facility_pump_w``,
    ``dry_cooler_heat_w``, ``dry_cooler_fan_w``, ``trim_heat_w``, ``trim_chiller_w``, and those of air handlers and
    air-cooled machines. All powers are those of the units that run at the design hour; coolant pumps are sized for
    facility water at its maximum. Pads and users of heat are not counted on for machines of the air path, which see
    the dry bulb.
    """
    liquid_w, air_w = (float(np.max(path)) for path in heat.paths_w())
    dry = np.max(np.asarray(outdoor.dry_bulb_c, dtype=float))
    wet = np.max(np.asarray(outdoor.wet_bulb_c, dtype=float))
    hottest = Outdoor(dry, np.minimum(wet, dry), outdoor.humidity_ratio, outdoor.pressure_pa)
    drawn_c = float(part.intake(np.asarray(dry), hottest)[0])

    pump_w = liquid_w * float(part.loop_pump_per_heat(part.facility_water_max_c))
    facility_m3_s = float(water_flow_m3_s(liquid_w + pump_w, part.facility_water_delta_t_k))
    facility_pump_w = float(mover_power_w(facility_m3_s, part.facility_pump_pressure_pa, part.pump_efficiency_frac))
    loop_w = liquid_w + pump_w + facility_pump_w
    trim_w = float(trim_heat_w(part, np.asarray(loop_w), loop_w, np.asarray(drawn_c)))

    handlers = air_handlers.size(part, air_w)
    chilled_w = air_w + handlers["room_fan_w"] + handlers["chilled_pump_w"]
    parts = {
        "coolant_m3_s": part.loop_flow_m3_s(liquid_w),
        "coolant_pump_w": pump_w,
        "facility_water_m3_s": facility_m3_s,
        "facility_pump_w": facility_pump_w,
        "dry_cooler_heat_w": loop_w,
        "dry_cooler_fan_w": loop_w * part.dry_cooler_fan_frac,
        "trim_heat_w": trim_w,
        "trim_chiller_w": trim_w / float(air_cooled_cop(part, part.facility_water_max_c, np.asarray(dry))),
        **handlers,
        **air_cooled.size(part.chilled_side(), chilled_w, float(dry)),
    }
    return PlantRating(liquid_w, air_w, part.installed_frac, parts)


def liquid_capacity_w(part: DryLoop, dry_bulb_c: Floats, rating: PlantRating) -> Floats:
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


def liquid_path(part: DryLoop, liquid_w: Floats, outdoor: Outdoor, rating: PlantRating) -> Path:
    """Coolant, facility water, a user of heat where there is one, dry coolers and trim chillers."""
    design, set_point_c, approach_k = rating.parts, part.facility_water_supply_c, part.dry_cooler_approach_k
    dry = np.asarray(outdoor.dry_bulb_c, dtype=float)
    drawn_c, wetted = part.intake(dry, outdoor)
    load_frac = over(liquid_w, rating.liquid_w)
    # Pump heat is about a percent of the load, so for the pumps the load alone decides how warm the water is.
    water_c = dry_coolers.leaving_c(load_frac, set_point_c, drawn_c, design_approach_k=approach_k)
    coolant_w = rating.liquid_w * part.loop_pump_per_heat(np.minimum(water_c, part.facility_water_max_c))
    pump_w = staged_power_w(
        coolant_w + design["facility_pump_w"], load_frac, exponent=3, floor_frac=part.pump_floor_frac
    )
    loop_w = liquid_w + pump_w
    reused_w = part.reused_w(loop_w, rating.liquid_w, dry)
    left_w = loop_w - reused_w

    spare = design["redundant_chillers"] / design["chillers"]
    trim_w = np.minimum(
        trim_heat_w(part, left_w, design["dry_cooler_heat_w"], drawn_c), design["trim_heat_w"] * (1.0 + spare)
    )
    trim_cop = air_cooled_cop(part, part.facility_water_max_c, dry)
    trim_chiller_w = chillers.compressor_w(trim_w, trim_cop, design["trim_heat_w"], units=1.0, redundant_units=spare)

    dry_frac = over(left_w - trim_w, design["dry_cooler_heat_w"])
    speed = dry_coolers.speed_frac_for(dry_frac, set_point_c, drawn_c, design_approach_k=approach_k)
    speed = np.maximum(np.minimum(speed, 1.0), part.dry_cooler_fan_floor_frac)
    fan_w = affinity_power_w(design["dry_cooler_fan_w"], speed, exponent=3, floor_frac=part.dry_cooler_fan_floor_frac)
    water_c = dry_coolers.leaving_c(dry_frac, set_point_c, drawn_c, design_approach_k=approach_k)
    trimmed_k = part.facility_water_delta_t_k * trim_w / np.maximum(left_w, 1e-9)
    evaporation, blowdown = part.wetting_kg_s(wetted, left_w)
    reuse_pump_w = part.reuse_pump_w(reused_w)
    return Path(
        pump_w=pump_w + reuse_pump_w,
        outside_pump_w=reuse_pump_w,
        chiller_w=trim_chiller_w,
        rejection_w=fan_w,
        heat_w=loop_w,
        heat_reused_w=reused_w,
        mechanical_w=trim_w,
        margin_frac=1.0 - loop_w / np.maximum(liquid_capacity_w(part, drawn_c, rating), 1e-9),
        supply_c=np.maximum(water_c - trimmed_k, set_point_c),
        evaporation_kg_s=evaporation,
        blowdown_kg_s=blowdown,
    )


def plant(part: DryLoop, heat: HeatLoad, outdoor: Outdoor, rating: PlantRating) -> PlantHour:
    """Powers of each hour, arrays of one shape (n,).

    Raises
    ------
    CapacityError
        If the heat of a path exceeds what is installed.

    Notes
    -----
    Liquid path: dry coolers hold the set point by fan speed; where the air is too hot for it, facility
    water floats up to its maximum, and beyond that trim chillers take the share of the heat that keeps it there. In
    hours so hot that they cannot, ``supply_water_c`` exceeds the maximum and the margin is negative. Air path: a coil
    on outdoor air before the chillers takes what it can (:func:`dcsim.physics.air_cooled.run`).
    """
    liquid_w, air_w = heat.paths_w()
    rating.require(liquid_w, air_w)
    liquid = liquid_path(part, liquid_w, outdoor, rating)
    fan_w, pump_w = air_handlers.powers_w(part, air_w, rating)
    dry = np.asarray(outdoor.dry_bulb_c, dtype=float)
    air = air_cooled.run(part.chilled_side(), air_w + fan_w + pump_w, dry, rating.parts)
    supply_air_c = air.supply_c + (part.supply_air_temp_c - part.chilled_water_supply_c)
    moist = part.humidified_kg_s(air.heat_w)
    paths = [liquid, air.on(room_fan_w=fan_w, pump_w=pump_w, evaporation_kg_s=moist)]
    return hours(paths, part.base_frac * rating.heat_w, supply_air_c, liquid.supply_c)
