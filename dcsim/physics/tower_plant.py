"""Water-cooled chillers on cooling towers, with or without a water-side economiser before them, for one water loop."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dcsim.physics import chillers, towers
from dcsim.physics.chillers import ChillerCurve
from dcsim.physics.fluids import mover_power_w, staged_power_w, water_flow_m3_s
from dcsim.physics.plant import Outdoor, Path, over
from dcsim.units import WATER_CP_J_KG_K

Floats = NDArray[np.float64]

# Rule for evaporation: saturated leaving air, or all heat as vapour as many published tables have it.
Evaporation = Literal["saturated", "all_latent"]


@dataclass(frozen=True)
class TowerSide:
    """What the heat of a water loop meets: towers, an economiser where there is one, and chillers.

    Fields are those of :class:`dcsim.physics.cooling_air.WaterCooledEconomiser`; ``economiser_approach_k`` is null
    without an economiser, and ``approach_k`` null where the York tower's own approach holds.
    """

    supply_c: float
    delta_t_k: float
    economiser_approach_k: float | None
    condenser_range_k: float
    condenser_pump_pressure_pa: float
    pump_efficiency_frac: float
    pump_floor_frac: float
    carnot_frac: float
    evaporator_approach_k: float
    condenser_approach_k: float
    chillers: float
    redundant_chillers: float
    tower_fan_frac: float
    tower_fan_floor_frac: float
    tower_liquid_to_gas: float
    cycles_of_concentration: float
    drift_frac: float
    condenser_water_min_c: float
    evaporation: Evaporation = "saturated"
    chiller_curve: ChillerCurve = "carnot"

    def coldest_c(self, wet_bulb_c: Floats) -> Floats:
        """Water that the towers reach with fans at full speed. [degC]"""
        return wet_bulb_c + towers.approach_k(wet_bulb_c, self.condenser_range_k)

    def cop(self, tower_water_c: Floats) -> Floats:
        """Full-load efficiency of the chillers on tower water of a temperature [degC]. [1]

        Raises
        ------
        RangeError
            If a curve is asked beyond where it holds.
        """
        if self.chiller_curve == "doe2":
            chilled_c, condenser_c = chillers.DOE2_REFERENCE_C
            reference = self._carnot_cop(chilled_c, np.asarray(condenser_c))
            return chillers.doe2_cop(self.supply_c, tower_water_c, reference_cop=reference)
        return self._carnot_cop(self.supply_c, tower_water_c)

    def _carnot_cop(self, chilled_c: float, tower_water_c: Floats) -> Floats:
        return chillers.carnot_cop(
            chilled_c - self.evaporator_approach_k,
            tower_water_c + self.condenser_range_k + self.condenser_approach_k,
            carnot_frac=self.carnot_frac,
        )


def size(side: TowerSide, load_w: float, outdoor: Outdoor) -> dict[str, float]:
    """Ratings for a loop's heat at the hottest of the design hours, with no help from the economiser.

    ``chillers``, ``redundant_chillers``, ``chiller_heat_w``, ``chiller_w``, ``condenser_water_m3_s``,
    ``condenser_pump_w``, ``condenser_heat_w``, ``tower_heat_w``, ``tower_fan_w``, ``tower_water_c``.
    """
    tower_water_c = np.asarray(np.max(side.coldest_c(np.asarray(outdoor.wet_bulb_c, dtype=float))))
    chiller_w = load_w / float(side.cop(tower_water_c))
    condenser_m3_s = float(water_flow_m3_s(load_w + chiller_w, side.condenser_range_k))
    condenser_pump_w = float(mover_power_w(condenser_m3_s, side.condenser_pump_pressure_pa, side.pump_efficiency_frac))
    tower_heat_w = load_w + chiller_w + condenser_pump_w
    return {
        "chillers": float(side.chillers),
        "redundant_chillers": float(side.redundant_chillers),
        "chiller_heat_w": load_w,
        "chiller_w": chiller_w,
        "condenser_water_m3_s": condenser_m3_s,
        "condenser_pump_w": condenser_pump_w,
        "condenser_heat_w": load_w + chiller_w,
        "tower_heat_w": tower_heat_w,
        "tower_fan_w": tower_heat_w * side.tower_fan_frac,
        "tower_water_c": float(tower_water_c),
    }


def run(side: TowerSide, load_w: Floats, outdoor: Outdoor, parts: dict[str, float]) -> Path:
    r"""Powers and water for the heat of a loop in each hour, arrays of one shape (n,).

    Notes
    -----
    The economiser takes the share of the load that the towers' coldest water allows, the chillers the rest, in series:

    .. math:: f = \mathrm{clip}\left(\frac{T_{return} - T_{we}}{T_{return} - T_{supply}}, 0, 1\right),
              \quad T_{we} = T_{wb} + A(T_{wb}, R) + \Delta T_{hx}

    While it takes all, tower fans slow down to the air flow that just holds the set point; else they run at full speed,
    since a kelvin less of lift saves more than they draw, unless condensers may take no colder water. Pumps and tower
    cells are staged with the load (:func:`dcsim.physics.fluids.staged_power_w`), so range and water per cell stay at
    design.

    Capacity falls with tower water hotter than at the design hour; where chillers and redundant ones cannot carry their
    share, the supply temperature rises until they can.
    """
    wet, range_k = np.asarray(outdoor.wet_bulb_c, dtype=float), side.condenser_range_k
    coldest_c = side.coldest_c(wet)
    if side.economiser_approach_k is None:
        free_set_point_c = side.supply_c - side.delta_t_k  # colder than any return, so it never takes part
        free_frac = np.zeros(load_w.shape)
        held = towers.liquid_to_gas_for(side.condenser_water_min_c - wet, wet, range_k)
        water_per_air: Floats = np.where(coldest_c < side.condenser_water_min_c, held, 1.0)
        coldest_c = np.maximum(coldest_c, side.condenser_water_min_c)
    else:
        free_set_point_c = side.supply_c - side.economiser_approach_k
        free_frac = np.clip(1.0 - (coldest_c - free_set_point_c) / side.delta_t_k, 0.0, 1.0)
        held = towers.liquid_to_gas_for(free_set_point_c - wet, wet, range_k)
        water_per_air = np.where(coldest_c <= free_set_point_c, held, 1.0)

    mechanical_w = load_w * (1.0 - free_frac)
    units, redundant = parts["chillers"], parts["redundant_chillers"]
    cop = side.cop(np.maximum(coldest_c, side.condenser_water_min_c))
    chiller_w = chillers.compressor_w(
        mechanical_w, cop, parts["chiller_heat_w"], units=units, redundant_units=redundant
    )
    condenser_w = load_w + chiller_w
    condenser_pump_w = staged_power_w(
        parts["condenser_pump_w"],
        over(condenser_w, parts["condenser_heat_w"]),
        exponent=3,
        floor_frac=side.pump_floor_frac,
    )
    tower_w = condenser_w + condenser_pump_w
    speed = np.maximum(1.0 / water_per_air, side.tower_fan_floor_frac)
    fan_w = parts["tower_fan_w"] * over(tower_w, parts["tower_heat_w"]) * (speed * speed * speed)
    entering_c = np.maximum(coldest_c, free_set_point_c) + range_k
    if side.evaporation == "all_latent":
        evaporation = tower_w / towers.latent_heat_j_kg(entering_c - 0.5 * range_k)
    else:
        evaporation = tower_w * towers.evaporation_kg_j(
            outdoor.dry_bulb_c,
            outdoor.humidity_ratio,
            outdoor.pressure_pa,
            entering_c,
            range_k,
            1.0 / speed,
            design_liquid_to_gas=side.tower_liquid_to_gas,
        )
    drift, blowdown = towers.make_up(
        evaporation,
        condenser_w / (WATER_CP_J_KG_K * range_k),
        cycles=side.cycles_of_concentration,
        drift_frac=side.drift_frac,
    )
    hotter_k = coldest_c - parts["tower_water_c"]
    installed_w = parts["chiller_heat_w"] * (1.0 + redundant / units)
    return Path(
        pump_w=condenser_pump_w,
        outside_pump_w=condenser_pump_w,
        chiller_w=chiller_w,
        rejection_w=fan_w,
        heat_w=load_w,
        mechanical_w=mechanical_w,
        margin_frac=1.0 - over(load_w, parts["chiller_heat_w"]) / chillers.capacity_frac(hotter_k),
        supply_c=side.supply_c + chillers.supply_rise_k(over(mechanical_w, installed_w), hotter_k),
        evaporation_kg_s=evaporation,
        drift_kg_s=drift,
        blowdown_kg_s=blowdown,
    )
