"""Air-cooled halls on machines: chilled water on towers or on air, rear doors, and direct expansion."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from dcsim.physics import air_cooled, air_handlers, tower_plant
from dcsim.physics.parts import ChilledOnAir, OnAir, OnTowers
from dcsim.physics.plant import HeatLoad, Outdoor, PlantHour, PlantRating, hours
from dcsim.physics.tower_plant import TowerSide

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WaterCooledChiller(OnTowers):
    """Air handlers, chilled water, water-cooled chillers and cooling towers, without free cooling."""

    kind: Literal["water_cooled_chiller"] = "water_cooled_chiller"

    def side(self) -> TowerSide:
        """Towers and chillers of the chilled water."""
        return self.tower_side(self.chilled_water_supply_c, self.chilled_water_delta_t_k, None)


@dataclass(frozen=True)
class WaterCooledEconomiser(OnTowers):
    """Air handlers, chilled water, water-side economiser, water-cooled chillers and cooling towers.

    Parameters
    ----------
    economiser_approach_k : float
        Chilled water above tower water across the heat exchanger; assumption, 1 to 3. [K]
    """

    kind: Literal["water_cooled_economiser"] = "water_cooled_economiser"
    economiser_approach_k: Annotated[float, Ge(0.5), Le(5.0)] = 1.5

    def side(self) -> TowerSide:
        """Towers, economiser and chillers of the chilled water."""
        return self.tower_side(self.chilled_water_supply_c, self.chilled_water_delta_t_k, self.economiser_approach_k)


@dataclass(frozen=True)
class RearDoor(OnTowers):
    """Passive heat exchangers on the doors of racks, on chilled water with a water-side economiser.

    Parameters
    ----------
    door_effectiveness_frac : float
        Share of the racks' heat that their doors take; makers rate 0.6 to 0.8 to 80 kW a rack; air handlers take the
        rest. [1]
    economiser_approach_k : float
        Chilled water above tower water across the heat exchanger; assumption, 1 to 3. [K]
    """

    kind: Literal["rear_door"] = "rear_door"
    chilled_water_supply_c: Annotated[float, Ge(5.0), Le(32.0)] = 20.0
    door_effectiveness_frac: Annotated[float, Ge(0.3), Le(0.95)] = 0.70
    economiser_approach_k: Annotated[float, Ge(0.5), Le(5.0)] = 1.5

    def side(self) -> TowerSide:
        """Towers, economiser and chillers of the chilled water."""
        return self.tower_side(self.chilled_water_supply_c, self.chilled_water_delta_t_k, self.economiser_approach_k)


OnWater = WaterCooledChiller | WaterCooledEconomiser | RearDoor


def size_on_towers(part: OnWater, heat: HeatLoad, outdoor: Outdoor) -> PlantRating:
    """Size the plant for its heat at the hottest of the design hours, with no help from an economiser.

    ``parts`` of the rating are those of :func:`dcsim.physics.air_handlers.size` and
    :func:`dcsim.physics.tower_plant.size`. All powers are those of the units that run at the design hour.
    """
    air_w = float(np.max(heat.paths_w()[1]))
    handlers = air_handlers.size(part, air_w)
    load_w = air_w + handlers["room_fan_w"] + handlers["chilled_pump_w"]
    return PlantRating(0.0, air_w, part.installed_frac, {**handlers, **tower_plant.size(part.side(), load_w, outdoor)})


def plant_on_towers(part: OnWater, heat: HeatLoad, outdoor: Outdoor, rating: PlantRating) -> PlantHour:
    """Powers and water of each hour; arrays of one shape (n,). See :func:`dcsim.physics.tower_plant.run`.

    Raises
    ------
    CapacityError
        If the heat exceeds what is installed.
    """
    liquid_w, air_w = heat.paths_w()
    rating.require(liquid_w, air_w)
    fan_w, pump_w = air_handlers.powers_w(part, air_w, rating)
    path = tower_plant.run(part.side(), air_w + fan_w + pump_w, outdoor, rating.parts)
    warmer_k = path.supply_c - part.chilled_water_supply_c
    path = path.on(room_fan_w=fan_w, pump_w=pump_w, evaporation_kg_s=part.humidified_kg_s(path.heat_w))
    return hours([path], part.base_frac * rating.air_w, part.supply_air_temp_c + warmer_k, path.supply_c)


@dataclass(frozen=True)
class AirCooledChiller(ChilledOnAir):
    """Air handlers, chilled water and air-cooled chillers, without free cooling."""

    kind: Literal["air_cooled_chiller"] = "air_cooled_chiller"
    chilled_water_supply_c: Annotated[float, Ge(5.0), Le(32.0)] = 16.0


def size_on_air(part: AirCooledChiller, heat: HeatLoad, outdoor: Outdoor) -> PlantRating:
    """Size the plant for its heat at the hottest of the design hours."""
    air_w = float(np.max(heat.paths_w()[1]))
    handlers = air_handlers.size(part, air_w)
    load_w = air_w + handlers["room_fan_w"] + handlers["chilled_pump_w"]
    side = part.air_cooled_side(part.chilled_water_supply_c, part.chilled_water_delta_t_k)
    dry = float(np.max(np.asarray(outdoor.dry_bulb_c, dtype=float)))
    return PlantRating(0.0, air_w, part.installed_frac, {**handlers, **air_cooled.size(side, load_w, dry)})


def plant_on_air(part: AirCooledChiller, heat: HeatLoad, outdoor: Outdoor, rating: PlantRating) -> PlantHour:
    """Powers of each hour; arrays of one shape (n,); no water is evaporated.

    Raises
    ------
    CapacityError
        If the heat exceeds what is installed.
    """
    liquid_w, air_w = heat.paths_w()
    rating.require(liquid_w, air_w)
    fan_w, pump_w = air_handlers.powers_w(part, air_w, rating)
    side = part.air_cooled_side(part.chilled_water_supply_c, part.chilled_water_delta_t_k)
    dry = np.asarray(outdoor.dry_bulb_c, dtype=float)
    path = air_cooled.run(side, air_w + fan_w + pump_w, dry, rating.parts)
    warmer_k = path.supply_c - part.chilled_water_supply_c
    path = path.on(room_fan_w=fan_w, pump_w=pump_w, evaporation_kg_s=part.humidified_kg_s(path.heat_w))
    return hours([path], part.base_frac * rating.air_w, part.supply_air_temp_c + warmer_k, path.supply_c)


@dataclass(frozen=True)
class DirectExpansion(OnAir):
    """Room units whose coil is the evaporator, with condensers on outdoor air: no water at all.

    Parameters
    ----------
    coil_approach_k : float
        Supply air above evaporating refrigerant; assumption, 8 to 14, as coils run wet. [K]
    """

    kind: Literal["direct_expansion"] = "direct_expansion"
    carnot_frac: Annotated[float, Ge(0.3), Le(0.8)] = 0.42
    coil_approach_k: Annotated[float, Ge(5.0), Le(20.0)] = 10.0


def _expansion_side(part: DirectExpansion) -> air_cooled.AirCooledSide:
    # The side subtracts the evaporator's approach to water; here the coil's approach to air stands for both.
    supply_c = part.supply_air_temp_c - part.coil_approach_k + part.evaporator_approach_k
    return part.air_cooled_side(supply_c, part.air_delta_t_k)


def size_expansion(part: DirectExpansion, heat: HeatLoad, outdoor: Outdoor) -> PlantRating:
    """Size fans and machines for the heat at the hottest of the design hours."""
    air_w = float(np.max(heat.paths_w()[1]))
    fans = air_handlers.fans(part, air_w)
    dry = float(np.max(np.asarray(outdoor.dry_bulb_c, dtype=float)))
    machines = air_cooled.size(_expansion_side(part), air_w + fans["room_fan_w"], dry)
    return PlantRating(0.0, air_w, part.installed_frac, {**fans, **machines})


def plant_expansion(part: DirectExpansion, heat: HeatLoad, outdoor: Outdoor, rating: PlantRating) -> PlantHour:
    """Powers of each hour; arrays of one shape (n,).

    Raises
    ------
    CapacityError
        If the heat exceeds what is installed.
    """
    liquid_w, air_w = heat.paths_w()
    rating.require(liquid_w, air_w)
    fan_w = air_handlers.fan_w(part, air_w, rating)
    side = _expansion_side(part)
    path = air_cooled.run(side, air_w + fan_w, np.asarray(outdoor.dry_bulb_c, dtype=float), rating.parts)
    warmer_k = path.supply_c - side.supply_c
    path = path.on(room_fan_w=fan_w, evaporation_kg_s=part.humidified_kg_s(path.heat_w))
    return hours([path], part.base_frac * rating.air_w, part.supply_air_temp_c + warmer_k, path.supply_c)


def size_doors(part: RearDoor, heat: HeatLoad, outdoor: Outdoor) -> PlantRating:
    """Size doors, air handlers for what they leave, and the plant, for the hottest of the design hours."""
    air_w = float(np.max(heat.paths_w()[1]))
    left_w = (1.0 - part.door_effectiveness_frac) * air_w
    fans = air_handlers.fans(part, left_w)
    pumps = air_handlers.pumps(part, air_w + fans["room_fan_w"])
    load_w = air_w + fans["room_fan_w"] + pumps["chilled_pump_w"]
    parts = {**fans, **pumps, "door_heat_w": air_w - left_w, **tower_plant.size(part.side(), load_w, outdoor)}
    return PlantRating(0.0, air_w, part.installed_frac, parts)
