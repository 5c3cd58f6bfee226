"""Cold plates whose facility water ends on cooling towers, and the remaining air on the same towers' chillers."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from dcsim.physics import air_handlers, tower_plant
from dcsim.physics.cooling_liquid import ColdPlates, coolant_flow_m3_s, coolant_pump_per_heat
from dcsim.physics.fluids import mover_power_w, staged_power_w, water_flow_m3_s
from dcsim.physics.parts import OnTowers
from dcsim.physics.plant import HeatLoad, Outdoor, PlantHour, PlantRating, hours, over
from dcsim.physics.tower_plant import TowerSide

# Prefix of the ratings of the liquid loop's own towers.
LIQUID = "liquid_"


@dataclass(frozen=True)
class DirectLiquidTower(ColdPlates, OnTowers):
    """Cold plates on cooling towers through a heat exchanger; trim chillers where towers are too warm.

    Parameters
    ----------
    facility_water_supply_c : float
        Facility water to the coolant distribution units; 25 to 35, class W32 of ASHRAE TC 9.9. [degC]
    facility_water_delta_t_k : float
        Its rise; assumption, 6 to 12. [K]
    facility_pump_pressure_pa : float
        Head of the facility-water pumps; assumption, 150,000 to 300,000. [Pa]
    economiser_approach_k : float
        Facility and chilled water above tower water across the heat exchangers; assumption, 1 to 3. [K]
    """

    kind: Literal["direct_liquid_tower"] = "direct_liquid_tower"
    supply_air_temp_c: Annotated[float, Ge(15.0), Le(35.0)] = 25.0
    chilled_water_supply_c: Annotated[float, Ge(5.0), Le(32.0)] = 20.0
    facility_water_supply_c: Annotated[float, Ge(15.0), Le(45.0)] = 30.0
    facility_water_delta_t_k: Annotated[float, Ge(4.0), Le(20.0)] = 9.0
    facility_pump_pressure_pa: Annotated[float, Ge(5e4), Le(6e5)] = 200e3
    economiser_approach_k: Annotated[float, Ge(0.5), Le(5.0)] = 2.0

    def sides(self) -> tuple[TowerSide, TowerSide]:
        """Towers of the liquid loop and of the chilled water."""
        return (
            self.tower_side(self.facility_water_supply_c, self.facility_water_delta_t_k, self.economiser_approach_k),
            self.tower_side(self.chilled_water_supply_c, self.chilled_water_delta_t_k, self.economiser_approach_k),
        )


def size(part: DirectLiquidTower, heat: HeatLoad, outdoor: Outdoor) -> PlantRating:
    """Size both loops for the hottest of the design hours; ratings of the liquid one begin with ``liquid_``."""
    liquid_w, air_w = (float(np.max(path)) for path in heat.paths_w())
    coolant_w = liquid_w * float(coolant_pump_per_heat(part, part.facility_water_supply_c))
    facility_m3_s = float(water_flow_m3_s(liquid_w + coolant_w, part.facility_water_delta_t_k))
    facility_w = float(mover_power_w(facility_m3_s, part.facility_pump_pressure_pa, part.pump_efficiency_frac))
    on_liquid, on_air = part.sides()
    loop = tower_plant.size(on_liquid, liquid_w + coolant_w + facility_w, outdoor)
    handlers = air_handlers.size(part, air_w)
    chilled_w = air_w + handlers["room_fan_w"] + handlers["chilled_pump_w"]
    parts = {
        "coolant_m3_s": coolant_flow_m3_s(part, liquid_w, part.facility_water_supply_c),
        "coolant_pump_w": coolant_w,
        "facility_water_m3_s": facility_m3_s,
        "facility_pump_w": facility_w,
        **{f"{LIQUID}{name}": value for name, value in loop.items() if not name.endswith("chillers")},
        **handlers,
        **tower_plant.size(on_air, chilled_w, outdoor),
    }
    return PlantRating(liquid_w, air_w, part.installed_frac, parts)


def plant(part: DirectLiquidTower, heat: HeatLoad, outdoor: Outdoor, rating: PlantRating) -> PlantHour:
    """Powers and water of each hour, arrays of one shape (n,); both loops by :func:`dcsim.physics.tower_plant.run`.

    Raises
    ------
    CapacityError
        If the heat of a path exceeds what is installed.
    """
    liquid_w, air_w = heat.paths_w()
    rating.require(liquid_w, air_w)
    design, (on_liquid, on_air) = rating.parts, part.sides()
    loop_pump_w = staged_power_w(
        design["coolant_pump_w"] + design["facility_pump_w"],
        over(liquid_w, rating.liquid_w),
        exponent=3,
        floor_frac=part.pump_floor_frac,
    )
    of_loop = {name.removeprefix(LIQUID): value for name, value in design.items() if name.startswith(LIQUID)}
    counts = {name: design[name] for name in ("chillers", "redundant_chillers")}
    liquid = tower_plant.run(on_liquid, liquid_w + loop_pump_w, outdoor, {**of_loop, **counts})
    fan_w, pump_w = air_handlers.powers_w(part, air_w, rating)
    air = tower_plant.run(on_air, air_w + fan_w + pump_w, outdoor, design)
    moist = part.humidified_kg_s(air.heat_w)
    warmer_k = air.supply_c - part.chilled_water_supply_c
    paths = [liquid.on(pump_w=loop_pump_w), air.on(room_fan_w=fan_w, pump_w=pump_w, evaporation_kg_s=moist)]
    return hours(paths, part.base_frac * rating.heat_w, part.supply_air_temp_c + warmer_k, liquid.supply_c)
