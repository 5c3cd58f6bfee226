"""The registry of cooling systems, and how one is sized and run: a new one is a part, two functions and a line here."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsim.physics import cooling_air, cooling_liquid, liquid_on_towers, outside_air
from dcsim.physics.plant import CoolingSystem, HeatLoad, Outdoor, PlantHour, PlantRating
from dcsim.registry import lookup

__all__ = ["COOLING", "CoolingSystem", "HeatLoad", "Outdoor", "PlantHour", "PlantRating", "plant", "size"]

Floats = NDArray[np.float64]

ROWS_AT_A_TIME = 16_384  # the arrays of one piece stay in the processor's cache

COOLING: dict[str, CoolingSystem] = {
    "air_cooled_chiller": CoolingSystem(
        cooling_air.AirCooledChiller,
        cooling_air.size_on_air,
        cooling_air.plant_on_air,
        False,
        "air-cooled halls, chilled water, air-cooled chillers",
    ),
    "water_cooled_chiller": CoolingSystem(
        cooling_air.WaterCooledChiller,
        cooling_air.size_on_towers,
        cooling_air.plant_on_towers,
        False,
        "air-cooled halls, chilled water, water-cooled chillers, cooling towers",
    ),
    "water_cooled_economiser": CoolingSystem(
        cooling_air.WaterCooledEconomiser,
        cooling_air.size_on_towers,
        cooling_air.plant_on_towers,
        False,
        "air-cooled halls, chilled water, water-side economiser, water-cooled chillers, cooling towers",
    ),
    "direct_expansion": CoolingSystem(
        cooling_air.DirectExpansion,
        cooling_air.size_expansion,
        cooling_air.plant_expansion,
        False,
        "room units with their own compressors, condensers on outdoor air",
    ),
    "rear_door": CoolingSystem(
        cooling_air.RearDoor,
        cooling_air.size_doors,
        cooling_air.plant_on_towers,
        False,
        "heat exchangers on rack doors, water-side economiser, water-cooled chillers, towers",
    ),
    "air_economiser_evaporative": CoolingSystem(
        outside_air.AirEconomiserEvaporative,
        outside_air.size,
        outside_air.plant,
        False,
        "outdoor air, direct evaporation, air-cooled chillers for the rest",
    ),
    "air_economiser_tower": CoolingSystem(
        outside_air.AirEconomiserTower,
        outside_air.size,
        outside_air.plant,
        False,
        "outdoor air, direct evaporation, water-cooled chillers for the rest",
    ),
    "indirect_evaporative": CoolingSystem(
        outside_air.IndirectEvaporative,
        outside_air.size_indirect,
        outside_air.plant_indirect,
        False,
        "air-to-air exchangers, wetted when needed, air-cooled chillers for the rest",
    ),
    "direct_liquid_dry_cooler": CoolingSystem(
        cooling_liquid.DirectLiquidDryCooler,
        cooling_liquid.size,
        cooling_liquid.plant,
        True,
        "cold plates on dry coolers, the remaining air on chilled water with free cooling",
    ),
    "direct_liquid_adiabatic": CoolingSystem(
        cooling_liquid.DirectLiquidAdiabatic,
        cooling_liquid.size,
        cooling_liquid.plant,
        True,
        "cold plates on dry coolers with wetted pads, the remaining air on chilled water",
    ),
    "direct_liquid_tower": CoolingSystem(
        liquid_on_towers.DirectLiquidTower,
        liquid_on_towers.size,
        liquid_on_towers.plant,
        True,
        "cold plates and the remaining air on cooling towers with trim chillers",
    ),
    "direct_liquid_heat_reuse": CoolingSystem(
        cooling_liquid.DirectLiquidHeatReuse,
        cooling_liquid.size,
        cooling_liquid.plant,
        True,
        "cold plates on dry coolers, with a user of heat before them",
    ),
    "single_phase_immersion": CoolingSystem(
        cooling_liquid.SinglePhaseImmersion,
        cooling_liquid.size,
        cooling_liquid.plant,
        True,
        "servers in dielectric fluid on dry coolers",
    ),
}


def size(part: Any, heat: HeatLoad, outdoor: Outdoor) -> PlantRating:
    """Size a plant for its design heat at the hottest of the design hours.

    Parameters
    ----------
    part : dataclass
        Parameters of a registered cooling system.
    heat : HeatLoad
        Design heat. [W]
    outdoor : Outdoor
        Design hour, or several of which the hottest dry bulb and wet bulb count.

    Raises
    ------
    UnknownNameError
        If the part's kind is not registered.
    """
    return lookup(COOLING, part.kind, "cooling system").size(part, heat, outdoor)


def plant(part: Any, heat: HeatLoad, outdoor: Outdoor, rating: PlantRating) -> PlantHour:
    """Run a plant over many hours.

    Parameters
    ----------
    part : dataclass
        Parameters of a registered cooling system.
    heat : HeatLoad
        Heat of each hour, 0 to the design heat, and above it up to what redundant units carry. [W]
    outdoor : Outdoor
        Air of each hour; heat and air broadcast, so (designs, 1) with (hours,) gives (designs, hours).
    rating : PlantRating
        From :func:`size`.

    Returns
    -------
    PlantHour
        Arrays of the common shape.

    Raises
    ------
    CapacityError
        If the heat exceeds what is installed, redundant units included.
    RangeError
        If a heat is negative or the air is outside the range of the formulas.
    UnknownNameError
        If the part's kind is not registered.
    """
    system = lookup(COOLING, part.kind, "cooling system")
    air = (outdoor.dry_bulb_c, outdoor.wet_bulb_c, outdoor.humidity_ratio, outdoor.pressure_pa)
    given = np.broadcast_arrays(*(np.asarray(values, dtype=float) for values in (heat.air_w, heat.liquid_w, *air)))
    shape, n = given[0].shape, given[0].size
    columns = [values.reshape(n) for values in given]
    result: dict[str, NDArray[Any]] = {
        field.name: np.empty(n, dtype=np.int8 if field.name == "mode" else np.float64) for field in fields(PlantHour)
    }
    for start in range(0, n, ROWS_AT_A_TIME):
        rows = slice(start, start + ROWS_AT_A_TIME)
        air_w, liquid_w, *air_rows = (values[rows] for values in columns)
        piece = system.plant(part, HeatLoad(air_w, liquid_w), Outdoor(*air_rows), rating)
        for name, values in result.items():
            values[rows] = getattr(piece, name)
    return PlantHour(**{name: values.reshape(shape) for name, values in result.items()})
