"""Air handlers, the part that every plant with air-cooled heat shares: fans, chilled-water pumps, their staging."""

import numpy as np
from numpy.typing import NDArray

from dcsim.physics.fluids import air_flow_m3_s, mover_power_w, staged_power_w, water_flow_m3_s
from dcsim.physics.parts import AirSide, RoomAir
from dcsim.physics.plant import PlantRating, over

Floats = NDArray[np.float64]


def fans(part: RoomAir, air_w: float) -> dict[str, float]:
    """Flow and power of fans at the design heat of the air.

    Notes
    -----
    Redundant air handlers run too, so r times as many fans move 1/r of the flow each, at :math:`r^{1-n}` of the power.
    """
    air_m3_s = float(air_flow_m3_s(air_w, part.air_delta_t_k))
    spread = part.fan_redundancy ** (1.0 - part.fan_exponent)
    fan_w = spread * float(mover_power_w(air_m3_s, part.fan_pressure_pa, part.fan_efficiency_frac))
    return {"room_air_m3_s": air_m3_s, "room_fan_w": fan_w}


def size(part: AirSide, air_w: float) -> dict[str, float]:
    """Flows and powers of air handlers and chilled-water pumps at the design heat of the air."""
    found = fans(part, air_w)
    return {**found, **pumps(part, air_w + found["room_fan_w"])}


def pumps(part: AirSide, chilled_w: float) -> dict[str, float]:
    """Flow and power of chilled-water pumps for a heat [W]."""
    water_m3_s = float(water_flow_m3_s(chilled_w, part.chilled_water_delta_t_k))
    pump_w = float(mover_power_w(water_m3_s, part.chilled_pump_pressure_pa, part.pump_efficiency_frac))
    return {"chilled_water_m3_s": water_m3_s, "chilled_pump_w": pump_w}


def fan_w(part: RoomAir, air_w: Floats, rating: PlantRating) -> Floats:
    """Power of fans, which is heat for the plant. [W]"""
    load_frac = over(air_w, rating.air_w)
    return staged_power_w(
        rating.parts["room_fan_w"], load_frac, exponent=part.fan_exponent, floor_frac=part.fan_floor_frac
    )


def powers_w(part: AirSide, air_w: Floats, rating: PlantRating) -> tuple[Floats, Floats]:
    """Power of fans and of chilled-water pumps; both are heat for the chilled water. [W]"""
    load_frac = over(air_w, rating.air_w)
    pump_w = staged_power_w(rating.parts["chilled_pump_w"], load_frac, exponent=3, floor_frac=part.pump_floor_frac)
    return fan_w(part, air_w, rating), pump_w
