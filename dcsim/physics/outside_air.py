"""Outdoor air as coolant: let into the halls, cooled by evaporation, or on the other side of an exchanger."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from dcsim.physics import air_cooled, air_handlers, chillers, tower_plant
from dcsim.physics.fluids import affinity_power_w
from dcsim.physics.parts import ChilledOnAir, OnTowers, WettedMedia
from dcsim.physics.plant import HeatLoad, Outdoor, Path, PlantHour, PlantRating, hours, over
from dcsim.physics.psychrometrics import (
    humidity_ratio_from_dew_point,
    humidity_ratio_from_vapour_pressure,
    saturation_pressure_pa,
)
from dcsim.units import AIR_CP_J_KG_K, LATENT_HEAT_J_KG

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OutsideAir:
    """Which outdoor air is let in, and what is done to it.

    Parameters
    ----------
    evaporative_eff_frac : float
        Fall of the dry bulb over its distance to the wet bulb; 0.85 to 0.95 of rigid media, makers' rating; 0 without.
        [1]
    max_dew_point_c : float
        Dew point of supply air above which the halls recirculate: 15 recommended, 17 in class A1, 21 in A2, 24 in A3;
        ASHRAE TC 9.9 2021. [degC]
    max_rel_hum_frac : float
        Relative humidity of supply air above which they recirculate; 0.8 in class A2. [1]
    min_dew_point_c : float
        Dew point up to which dry air is humidified by evaporation; -12 in class A2, -60 for none. [degC]
    min_rel_hum_frac : float
        Relative humidity of supply air up to which dry air is humidified; 0.08 in class A2, 0 for none. [1]
    recirculate_above_c : float
        Outdoor dry bulb above which they recirculate whatever evaporation could do; 60 for never. [degC]
    coldest_supply_c : float
        Coldest air that may enter; below it outdoor air is mixed with return air; assumption, 10 to 20. [degC]
    """

    evaporative_eff_frac: Annotated[float, Ge(0.0), Le(0.98)] = 0.90
    max_dew_point_c: Annotated[float, Ge(10.0), Le(30.0)] = 21.0
    max_rel_hum_frac: Annotated[float, Ge(0.4), Le(1.0)] = 1.0
    min_dew_point_c: Annotated[float, Ge(-60.0), Le(10.0)] = -60.0
    min_rel_hum_frac: Annotated[float, Ge(0.0), Le(0.5)] = 0.0
    recirculate_above_c: Annotated[float, Ge(15.0), Le(60.0)] = 60.0
    coldest_supply_c: Annotated[float, Ge(5.0), Le(27.0)] = 18.0


@dataclass(frozen=True)
class AirEconomiserEvaporative(WettedMedia, OutsideAir, ChilledOnAir):
    """Outdoor air with direct evaporation; coils on air-cooled chillers for the rest and for humid hours."""

    kind: Literal["air_economiser_evaporative"] = "air_economiser_evaporative"
    supply_air_temp_c: Annotated[float, Ge(15.0), Le(35.0)] = 27.0
    air_delta_t_k: Annotated[float, Ge(5.0), Le(25.0)] = 14.0


@dataclass(frozen=True)
class AirEconomiserTower(OutsideAir, OnTowers):
    """Outdoor air with direct evaporation; coils on water-cooled chillers for the rest and for humid hours."""

    kind: Literal["air_economiser_tower"] = "air_economiser_tower"
    supply_air_temp_c: Annotated[float, Ge(15.0), Le(35.0)] = 27.0
    air_delta_t_k: Annotated[float, Ge(5.0), Le(25.0)] = 14.0


@dataclass(frozen=True)
class Supplied:
    """What outdoor air does for a hall in each hour: share of the heat left to machines, and water for its air."""

    mechanical_frac: Floats
    evaporation_kg_j: Floats


def supplied(part: AirEconomiserEvaporative | AirEconomiserTower, outdoor: Outdoor) -> Supplied:
    r"""Air that the halls get, by the state of the outdoors.

    Notes
    -----
    With supply S, return :math:`S + \Delta T` and outdoors t: colder air is mixed with return air, to S or, where
    that is warmer, never below the coldest supply. Warmer air is cooled to
    :math:`\max(S, t - \epsilon (t - t_{wb}))`; machines take what is left above S. Where the dew point or relative
    humidity of the supply would pass its limit, or the outdoors are above the temperature of recirculation, no outdoor
    air is let in and machines take all. Evaporation, also that which keeps air from being too dry, is

    .. math:: m_{evap} / Q = x \, \Delta W / (c_p \Delta T)

    with x the share of outdoor air.
    """
    dry, wet = np.asarray(outdoor.dry_bulb_c, dtype=float), np.asarray(outdoor.wet_bulb_c, dtype=float)
    ratio, pressure = np.asarray(outdoor.humidity_ratio, dtype=float), np.asarray(outdoor.pressure_pa, dtype=float)
    set_c, rise_k = part.supply_air_temp_c, part.air_delta_t_k
    cold_c = min(part.coldest_supply_c, set_c)
    reached_c = np.where(dry > set_c, np.maximum(set_c, dry - part.evaporative_eff_frac * (dry - wet)), dry)
    cooled_ratio = ratio + AIR_CP_J_KG_K * np.maximum(dry - reached_c, 0.0) / LATENT_HEAT_J_KG
    supply_c = np.maximum(reached_c, cold_c)
    # Mixing with return air, which holds the halls' own moisture, does not change it.
    outdoor_share = np.where(dry < cold_c, rise_k / np.maximum(cold_c + rise_k - dry, rise_k), 1.0)
    saturated_pa = saturation_pressure_pa(supply_c)
    least = humidity_ratio_from_dew_point(part.min_dew_point_c, pressure)
    if part.min_rel_hum_frac > 0.0:
        driest = humidity_ratio_from_vapour_pressure(part.min_rel_hum_frac * saturated_pa, pressure)
        least = np.maximum(least, driest)
    supply_ratio = np.maximum(cooled_ratio, least)
    limit = np.broadcast_to(humidity_ratio_from_dew_point(part.max_dew_point_c, pressure), dry.shape)
    if part.max_rel_hum_frac < 1.0:
        # Air that is mixed is warmed by return air as far as its relative humidity needs.
        wettest = humidity_ratio_from_vapour_pressure(part.max_rel_hum_frac * saturated_pa, pressure)
        limit = np.where(dry < cold_c, limit, np.minimum(wettest, limit))
    shut = (cooled_ratio > limit) | (dry >= part.recirculate_above_c)
    left_frac = np.clip((reached_c - set_c) / rise_k, 0.0, 1.0)
    water = outdoor_share * (supply_ratio - ratio) / (AIR_CP_J_KG_K * rise_k)
    return Supplied(np.where(shut, 1.0, left_frac), np.where(shut, 0.0, np.maximum(water, 0.0)))


def size(part: AirEconomiserEvaporative | AirEconomiserTower, heat: HeatLoad, outdoor: Outdoor) -> PlantRating:
    """Size fans for all heat, and machines too: in the most humid hours outdoor air helps nothing."""
    air_w = float(np.max(heat.paths_w()[1]))
    handlers = air_handlers.size(part, air_w)
    load_w = air_w + handlers["room_fan_w"] + handlers["chilled_pump_w"]
    return PlantRating(0.0, air_w, part.installed_frac, {**handlers, **size_machines(part, load_w, outdoor)})


def plant(
    part: AirEconomiserEvaporative | AirEconomiserTower, heat: HeatLoad, outdoor: Outdoor, rating: PlantRating
) -> PlantHour:
    """Powers and water of each hour; arrays of one shape (n,). See :func:`supplied`.

    Raises
    ------
    CapacityError
        If the heat exceeds what is installed.
    """
    liquid_w, air_w = heat.paths_w()
    rating.require(liquid_w, air_w)
    fan_w = air_handlers.fan_w(part, air_w, rating)
    load_w = air_w + fan_w
    got = supplied(part, outdoor)
    pump_w = rating.parts["chilled_pump_w"] * over(air_w, rating.air_w)
    # In a humid hour machines take all, so they alone are the capacity.
    margin = 1.0 - over(load_w + pump_w, rating.parts["chiller_heat_w"]) / _capacity_frac(part, outdoor, rating)
    path = _behind(part, load_w, got.mechanical_frac, outdoor, rating)
    evaporation = got.evaporation_kg_j * load_w
    return _hours(part, replace(path.on(room_fan_w=fan_w), margin_frac=margin), evaporation, rating)


def _behind(part: Any, load_w: Floats, mechanical_frac: Floats, outdoor: Outdoor, rating: PlantRating) -> Path:
    """Pumps and machines for the share of a heat that outdoor air leaves; ``heat_w`` is all of it."""
    design = rating.parts
    left_w = mechanical_frac * load_w
    pump_w = design["chilled_pump_w"] * over(left_w, design["chiller_heat_w"] - design["chilled_pump_w"])
    machines = machines_run(part, left_w + pump_w, outdoor, design)
    taken_w = np.where(left_w > 0.0, left_w + pump_w, 0.0)
    path = machines.on(pump_w=pump_w, evaporation_kg_s=part.humidified_kg_s(taken_w))
    return replace(path, heat_w=load_w + pump_w, mechanical_w=taken_w)


def _hours(part: Any, path: Path, evaporation: Floats, rating: PlantRating) -> PlantHour:
    """A plant's hours, with the water of wetted media, drained at the plant's cycles."""
    path = replace(
        path,
        evaporation_kg_s=path.evaporation_kg_s + evaporation,
        blowdown_kg_s=path.blowdown_kg_s + evaporation / (part.cycles_of_concentration - 1.0),
    )
    warmer_k = path.supply_c - part.chilled_water_supply_c
    return hours([path], part.base_frac * rating.air_w, part.supply_air_temp_c + warmer_k, path.supply_c)


def machines_run(part: Any, load_w: Floats, outdoor: Outdoor, parts: dict[str, float]) -> Path:
    """Machines of either kind for the heat that outdoor air leaves."""
    supply_c, rise_k = part.chilled_water_supply_c, part.chilled_water_delta_t_k
    if isinstance(part, OnTowers):
        return tower_plant.run(part.tower_side(supply_c, rise_k, None), load_w, outdoor, parts)
    dry = np.asarray(outdoor.dry_bulb_c, dtype=float)
    return air_cooled.run(part.air_cooled_side(supply_c, rise_k), load_w, dry, parts)


def size_machines(part: Any, load_w: float, outdoor: Outdoor) -> dict[str, float]:
    """Ratings of machines of either kind."""
    supply_c, rise_k = part.chilled_water_supply_c, part.chilled_water_delta_t_k
    if isinstance(part, OnTowers):
        return tower_plant.size(part.tower_side(supply_c, rise_k, None), load_w, outdoor)
    dry = float(np.max(np.asarray(outdoor.dry_bulb_c, dtype=float)))
    return air_cooled.size(part.air_cooled_side(supply_c, rise_k), load_w, dry)


def _capacity_frac(part: Any, outdoor: Outdoor, rating: PlantRating) -> Floats:
    """Capacity of the machines at this hour over that at the design hour. [1]"""
    if isinstance(part, OnTowers):
        side = part.tower_side(part.chilled_water_supply_c, part.chilled_water_delta_t_k, None)
        water_c = side.coldest_c(np.asarray(outdoor.wet_bulb_c, dtype=float))
        return chillers.capacity_frac(water_c - rating.parts["tower_water_c"])
    dry = np.asarray(outdoor.dry_bulb_c, dtype=float)
    return chillers.capacity_frac(dry - rating.parts["design_dry_bulb_c"])


@dataclass(frozen=True)
class IndirectEvaporative(WettedMedia, ChilledOnAir):
    """Air-to-air exchangers whose outdoor side is wetted when it must be; coils on air-cooled chillers for the rest.

    Parameters
    ----------
    dry_eff_frac, wet_eff_frac : float
        Fall of the return air over its distance to the outdoor dry bulb, and to the wet bulb while wetted; 0.5 to 0.6
        and 0.65 to 0.75, makers' ratings at equal flows; recalled. [1]
    scavenger_fan_frac : float
        Outdoor-side fans at full speed over design heat; assumption, 0.015 to 0.03. [1]
    scavenger_floor_frac : float
        Their lowest speed; assumption, 0.2 to 0.4. [1]
    """

    kind: Literal["indirect_evaporative"] = "indirect_evaporative"
    supply_air_temp_c: Annotated[float, Ge(15.0), Le(35.0)] = 26.0
    dry_eff_frac: Annotated[float, Ge(0.3), Le(0.9)] = 0.55
    wet_eff_frac: Annotated[float, Ge(0.3), Le(0.95)] = 0.70
    scavenger_fan_frac: Annotated[float, Ge(0.003), Le(0.06)] = 0.020
    scavenger_floor_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.25


def _could(part: IndirectEvaporative, outdoor: Outdoor) -> tuple[Floats, NDArray[np.bool_]]:
    """Share of the heat that the exchangers could take at full speed, and whether they must be wetted for it."""
    return_c = part.supply_air_temp_c + part.air_delta_t_k
    dry, wet = np.asarray(outdoor.dry_bulb_c, dtype=float), np.asarray(outdoor.wet_bulb_c, dtype=float)
    by_dry = part.dry_eff_frac * (return_c - dry) / part.air_delta_t_k
    by_wet = part.wet_eff_frac * (return_c - wet) / part.air_delta_t_k
    wetted = (by_dry < 1.0) & (by_wet > by_dry)
    return np.maximum(np.where(wetted, by_wet, by_dry), 0.0), wetted


def size_indirect(part: IndirectEvaporative, heat: HeatLoad, outdoor: Outdoor) -> PlantRating:
    """Size exchangers for all heat, and machines for what they leave in the worst design hour, at least a tenth."""
    air_w = float(np.max(heat.paths_w()[1]))
    fans = air_handlers.fans(part, air_w)
    load_w = air_w + fans["room_fan_w"]
    left_w = max(1.0 - float(np.min(_could(part, outdoor)[0])), 0.1) * load_w
    pumps = air_handlers.pumps(part, left_w)
    machines = size_machines(part, left_w + pumps["chilled_pump_w"], outdoor)
    parts = {**fans, **pumps, **machines, "scavenger_fan_w": load_w * part.scavenger_fan_frac}
    return PlantRating(0.0, air_w, part.installed_frac, parts)


def plant_indirect(part: IndirectEvaporative, heat: HeatLoad, outdoor: Outdoor, rating: PlantRating) -> PlantHour:
    r"""Powers and water of each hour; arrays of one shape (n,).

    Raises
    ------
    CapacityError
        If the heat exceeds what is installed.

    Notes
    -----
    With return R and supply S, dry outdoor air takes the share :math:`\epsilon_d (R - t) / (R - S)` of the heat; where
    that is less than all, the exchanger is wetted and takes :math:`\epsilon_w (R - t_{wb}) / (R - S)`, and machines the
    rest. While wetted all its heat leaves as vapour, an upper bound. Outdoor-side fans turn as fast as the load over
    what full speed would take.
    """
    liquid_w, air_w = heat.paths_w()
    rating.require(liquid_w, air_w)
    fan_w = air_handlers.fan_w(part, air_w, rating)
    load_w = air_w + fan_w
    could, wetted = _could(part, outdoor)
    taken = np.minimum(could, 1.0)
    design_w = rating.air_w + rating.parts["room_fan_w"]
    speed = np.minimum(over(load_w, design_w) / np.maximum(could, 1.0), 1.0)
    scavenger_w = affinity_power_w(
        rating.parts["scavenger_fan_w"], speed, exponent=3, floor_frac=part.scavenger_floor_frac
    )
    machine_w = (rating.parts["chiller_heat_w"] - rating.parts["chilled_pump_w"]) * _capacity_frac(
        part, outdoor, rating
    )
    path = _behind(part, load_w, 1.0 - taken, outdoor, rating).on(room_fan_w=fan_w)
    path = replace(
        path,
        margin_frac=1.0 - load_w / np.maximum(could * design_w + machine_w, 1e-9),
        rejection_w=path.rejection_w + scavenger_w,
    )
    evaporation = np.where(wetted, taken * load_w / LATENT_HEAT_J_KG, 0.0)
    return _hours(part, path, evaporation, rating)
