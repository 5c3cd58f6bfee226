"""Air handlers on chilled water, the part that every plant with air-cooled heat shares: fans, pumps, their staging."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dcsim.physics.fluids import air_flow_m3_s, mover_power_w, staged_power_w, water_flow_m3_s
from dcsim.physics.plant import PlantRating, over

Floats = NDArray[np.float64]


class AirHandlers(Protocol):
    """Fields of a plant part that describe its air handlers; their units and ranges are in the parts' docstrings."""

    @property
    def air_delta_t_k(self) -> float:
        """Rise of the air through the servers. [K]"""

    @property
    def fan_pressure_pa(self) -> float:
        """Pressure rise of the air handlers. [Pa]"""

    @property
    def fan_efficiency_frac(self) -> float:
        """Wire to air. [1]"""

    @property
    def fan_exponent(self) -> float:
        """Affinity exponent. [1]"""

    @property
    def fan_floor_frac(self) -> float:
        """Lowest fan speed. [1]"""

    @property
    def fan_redundancy(self) -> float:
        """Air handlers installed over needed. [1]"""

    @property
    def chilled_water_delta_t_k(self) -> float:
        """Rise of the chilled water. [K]"""

    @property
    def chilled_pump_pressure_pa(self) -> float:
        """Head of the chilled-water pumps. [Pa]"""

    @property
    def pump_efficiency_frac(self) -> float:
        """Wire to water. [1]"""

    @property
    def pump_floor_frac(self) -> float:
        """Lowest pump speed. [1]"""


def size(part: AirHandlers, air_w: float) -> dict[str, float]:
    r"""Flows and powers of air handlers and chilled-water pumps at the design heat of the air.

    Notes
    -----
    Redundant air handlers run too, so r times as many fans move 1/r of the flow each, at :math:`r^{1-n}` of the power.
    """
    air_m3_s = float(air_flow_m3_s(air_w, part.air_delta_t_k))
    spread = part.fan_redundancy ** (1.0 - part.fan_exponent)
    fan_w = spread * float(mover_power_w(air_m3_s, part.fan_pressure_pa, part.fan_efficiency_frac))
    water_m3_s = float(water_flow_m3_s(air_w + fan_w, part.chilled_water_delta_t_k))
    pump_w = float(mover_power_w(water_m3_s, part.chilled_pump_pressure_pa, part.pump_efficiency_frac))
    return {
        "room_air_m3_s": air_m3_s,
        "room_fan_w": fan_w,
        "chilled_water_m3_s": water_m3_s,
        "chilled_pump_w": pump_w,
    }


def powers_w(part: AirHandlers, air_w: Floats, rating: PlantRating) -> tuple[Floats, Floats]:
    """Power of fans and of chilled-water pumps; both are heat for the chilled water. [W]"""
    load_frac = over(air_w, rating.air_w)
    design = rating.parts
    fan_w = staged_power_w(design["room_fan_w"], load_frac, exponent=part.fan_exponent, floor_frac=part.fan_floor_frac)
    pump_w = staged_power_w(design["chilled_pump_w"], load_frac, exponent=3, floor_frac=part.pump_floor_frac)
    return fan_w, pump_w
