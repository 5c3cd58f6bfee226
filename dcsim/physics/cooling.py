"""The registry of cooling systems, and how one is sized and run: a new one is a part, two functions and a line here."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsim.physics import cooling_air, cooling_liquid
from dcsim.physics.plant import CoolingSystem, HeatLoad, Outdoor, PlantHour, PlantRating
from dcsim.registry import lookup

__all__ = ["COOLING", "CoolingSystem", "HeatLoad", "Outdoor", "PlantHour", "PlantRating", "plant", "size"]

Floats = NDArray[np.float64]

ROWS_AT_A_TIME = 16_384  # the arrays of one piece stay in the processor's cache

COOLING: dict[str, CoolingSystem] = {
    "water_cooled_economiser": CoolingSystem(
        cooling_air.WaterCooledEconomiser,
        cooling_air.size,
        cooling_air.plant,
        False,
        "air-cooled halls, chilled water, water-side economiser, water-cooled chillers, cooling towers",
    ),
    "direct_liquid_dry_cooler": CoolingSystem(
        cooling_liquid.DirectLiquidDryCooler,
        cooling_liquid.size,
        cooling_liquid.plant,
        True,
        "cold plates on dry coolers, the remaining air on chilled water with free cooling",
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
