"""Parameters that several cooling systems share, each with its plausible range and the source of its default."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from dcsim.physics.air_cooled import AirCooledSide
from dcsim.physics.chillers import ChillerCurve
from dcsim.physics.tower_plant import Evaporation, TowerSide
from dcsim.units import LATENT_HEAT_J_KG

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RoomAir:
    """Air handlers, and the machines of a plant by count.

    Each line ends with the range that is plausible and the source of the default [unit].

    Parameters
    ----------
    supply_air_temp_c : float
        Air at the servers' inlets; 18 to 27, ASHRAE TC 9.9 2021 recommended envelope. [degC]
    air_delta_t_k : float
        Rise of the air through the servers; 5 to 19, Lei and Masanet 2022 (5 to 10 mid-size, 14 to 19 large). [K]
    fan_pressure_pa : float
        Pressure rise of the air handlers; 300 to 1,000, Lei and Masanet 2022. [Pa]
    fan_efficiency_frac : float
        Wire to air; 0.6 to 0.9, Lei and Masanet 2022. [1]
    fan_exponent : float
        Affinity exponent at a held pressure; assumption, 2.2 to 3. [1]
    fan_floor_frac : float
        Lowest fan speed; assumption, 0.2 to 0.6. [1]
    fan_redundancy : float
        Air handlers installed over needed; all run, each slower; assumption, 1.1 to 1.5. [1]
    chillers, redundant_chillers : int
        Machines that carry the design load, and more that stand by; assumption, 2 to 8 and 0 to 2.
    coil_latent_frac : float
        Share of the heat of coils that is moisture, which humidifiers put back by evaporation; 0 where coils are
        warmer than the dew point of the rooms; 0.01 to 0.05 of cold coils, Lei and Masanet 2022. [1]
    base_frac : float
        Controls, sumps and minimum-flow pumps over design heat; 0.005 to 0.01, fit to Frontier's cooling power. [1]
    """

    kind: str = ""
    supply_air_temp_c: Annotated[float, Ge(15.0), Le(35.0)] = 24.0
    air_delta_t_k: Annotated[float, Ge(5.0), Le(25.0)] = 12.0
    fan_pressure_pa: Annotated[float, Ge(100.0), Le(1500.0)] = 350.0
    fan_efficiency_frac: Annotated[float, Ge(0.3), Le(0.9)] = 0.70
    fan_exponent: Annotated[float, Ge(2.0), Le(3.0)] = 2.7
    fan_floor_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.30
    fan_redundancy: Annotated[float, Ge(1.0), Le(2.0)] = 1.25
    chillers: Annotated[int, Ge(1), Le(64)] = 4
    redundant_chillers: Annotated[int, Ge(0), Le(64)] = 1
    coil_latent_frac: Annotated[float, Ge(0.0), Le(0.2)] = 0.0
    base_frac: Annotated[float, Ge(0.0), Le(0.05)] = 0.008

    @property
    def installed_frac(self) -> float:
        """Capacity with redundant units over the design heat. [1]"""
        return min(self.fan_redundancy, 1.0 + self.redundant_chillers / self.chillers)

    def humidified_kg_s(self, coil_w: Floats) -> Floats:
        """Water that humidifiers give back to rooms whose coils take a heat [W]; its evaporation cools them as much.

        The heat of condensation on the coil is that of evaporation in the room, so the coil's load stays as it is.
        """
        return coil_w * (self.coil_latent_frac / LATENT_HEAT_J_KG)


@dataclass(frozen=True)
class AirSide(RoomAir):
    """Air handlers on chilled water.

    Parameters
    ----------
    chilled_water_supply_c : float
        Chilled water to the air handlers, 3 K or more below the supply air; assumption, 7 (legacy) to 22. [degC]
    chilled_water_delta_t_k : float
        Its rise; assumption, 6 to 12. [K]
    chilled_pump_pressure_pa : float
        Head of the chilled-water pumps; assumption, 150,000 to 300,000. [Pa]
    pump_efficiency_frac : float
        Wire to water, of all water pumps; assumption, 0.6 to 0.8. [1]
    pump_floor_frac : float
        Lowest pump speed; assumption, 0.2 to 0.5. [1]
    """

    chilled_water_supply_c: Annotated[float, Ge(5.0), Le(32.0)] = 18.0
    chilled_water_delta_t_k: Annotated[float, Ge(4.0), Le(15.0)] = 10.0
    chilled_pump_pressure_pa: Annotated[float, Ge(5e4), Le(6e5)] = 220e3
    pump_efficiency_frac: Annotated[float, Ge(0.3), Le(0.9)] = 0.75
    pump_floor_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.30


@dataclass(frozen=True)
class TowerWater:
    """Water-cooled chillers and cooling towers.

    Parameters
    ----------
    condenser_range_k : float
        Rise of the condenser water; 4 to 6, Lei and Masanet 2022. [K]
    condenser_pump_pressure_pa : float
        Head of the condenser-water pumps; assumption, 150,000 to 250,000. [Pa]
    carnot_frac : float
        Chiller efficiency over Carnot's; 0.58 old, 0.62 centrifugal, 0.70 magnetic bearings; EnergyPlus reference
        chiller. [1]
    evaporator_approach_k, condenser_approach_k : float
        Chilled water above evaporating and condensing above leaving condenser water; assumption, 1 to 3. [K]
    condenser_water_min_c : float
        Coldest water that the condensers may take: fans slow down to hold it, and where an economiser wants colder
        water a valve by-passes the condensers; assumption, 13 to 22 (old machines), 0 for none. [degC]
    tower_fan_frac : float
        Tower fans at full speed over heat rejected at design; 0.008 to 0.014, the latter ASHRAE 90.1's minimum
        efficiency. [1]
    tower_fan_floor_frac : float
        Lowest fan speed; assumption, 0.1 to 0.3. [1]
    tower_liquid_to_gas : float
        Mass of water over mass of dry air in the tower at design; assumption, 0.8 to 1.5. [1]
    cycles_of_concentration : float
        Solids in the basin over solids in the make-up; 3 to 15, Lei and Masanet 2022. [1]
    drift_frac : float
        Droplets over water circulated; assumption, 0.00001 to 0.00005 with modern eliminators. [1]
    tower_evaporation : str
        ``saturated`` for air that leaves saturated; ``all_latent`` for all heat as vapour, the convention of many
        published tables.
    chiller_curve : str
        ``carnot`` for a share of Carnot's efficiency; ``doe2`` for the DOE-2 curve through its value at 6.67 and 29.44
        degC, only for chilled water of 5 to 10 degC and condenser water to 35 degC.
    """

    condenser_range_k: Annotated[float, Ge(3.0), Le(12.0)] = 6.0
    condenser_pump_pressure_pa: Annotated[float, Ge(5e4), Le(6e5)] = 200e3
    carnot_frac: Annotated[float, Ge(0.3), Le(0.8)] = 0.62
    evaporator_approach_k: Annotated[float, Ge(0.5), Le(5.0)] = 2.0
    condenser_approach_k: Annotated[float, Ge(0.5), Le(5.0)] = 2.0
    condenser_water_min_c: Annotated[float, Ge(0.0), Le(26.0)] = 13.0
    tower_fan_frac: Annotated[float, Ge(0.002), Le(0.03)] = 0.010
    tower_fan_floor_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.20
    tower_liquid_to_gas: Annotated[float, Ge(0.5), Le(2.5)] = 1.0
    cycles_of_concentration: Annotated[float, Gt(1.0), Le(20.0)] = 5.0
    drift_frac: Annotated[float, Ge(0.0), Le(0.005)] = 2e-5
    tower_evaporation: Evaporation = "saturated"
    chiller_curve: ChillerCurve = "carnot"


@dataclass(frozen=True)
class WettedMedia:
    """Media or pads that are kept wet with basin water, in plants without towers.

    Parameters
    ----------
    cycles_of_concentration : float
        Solids in the basin over solids in the make-up; assumption, 3 to 10. [1]
    """

    cycles_of_concentration: Annotated[float, Gt(1.0), Le(20.0)] = 5.0


@dataclass(frozen=True)
class AirCooled:
    """Air-cooled machines.

    Parameters
    ----------
    carnot_frac : float
        Air-cooled chillers over Carnot's efficiency, condenser fans included; 0.47 to 0.50, as published COP near 3 to
        4. [1]
    evaporator_approach_k, condenser_approach_k : float
        Chilled water above evaporating, and condensing above air; assumption, 1 to 3 and 10 to 15. [K]
    """

    carnot_frac: Annotated[float, Ge(0.3), Le(0.8)] = 0.50
    evaporator_approach_k: Annotated[float, Ge(0.5), Le(5.0)] = 2.0
    condenser_approach_k: Annotated[float, Ge(5.0), Le(20.0)] = 12.0


@dataclass(frozen=True)
class OnTowers(TowerWater, AirSide):
    """An air side whose chilled water, or a liquid loop, ends on towers."""

    def tower_side(self, supply_c: float, delta_t_k: float, economiser_approach_k: float | None) -> TowerSide:
        """The towers and chillers that a loop of a supply temperature and rise meets."""
        return TowerSide(
            supply_c,
            delta_t_k,
            economiser_approach_k,
            self.condenser_range_k,
            self.condenser_pump_pressure_pa,
            self.pump_efficiency_frac,
            self.pump_floor_frac,
            self.carnot_frac,
            self.evaporator_approach_k,
            self.condenser_approach_k,
            self.chillers,
            self.redundant_chillers,
            self.tower_fan_frac,
            self.tower_fan_floor_frac,
            self.tower_liquid_to_gas,
            self.cycles_of_concentration,
            self.drift_frac,
            self.condenser_water_min_c,
            self.tower_evaporation,
            self.chiller_curve,
        )


@dataclass(frozen=True)
class OnAir(AirCooled, RoomAir):
    """Rooms whose heat ends on air-cooled machines."""

    def air_cooled_side(
        self, supply_c: float, delta_t_k: float, coil_approach_k: float | None = None, coil_fan_frac: float = 0.0
    ) -> AirCooledSide:
        """The machines, and the coil where an approach is given, that a loop of a supply temperature and rise meets."""
        return AirCooledSide(
            supply_c,
            delta_t_k,
            coil_approach_k,
            coil_fan_frac,
            self.carnot_frac,
            self.evaporator_approach_k,
            self.condenser_approach_k,
            self.chillers,
            self.redundant_chillers,
        )


@dataclass(frozen=True)
class ChilledOnAir(OnAir, AirSide):
    """An air side whose chilled water ends on air-cooled machines."""


@dataclass(frozen=True)
class FreeCoil(ChilledOnAir):
    """The same with a free-cooling coil before the machines.

    Parameters
    ----------
    free_cooling_approach_k : float
        Chilled water above air across the free-cooling coil, at design heat; assumption, 4 to 10. [K]
    free_cooling_fan_frac : float
        Its fans at full speed over design heat; assumption, 0.012 to 0.024. [1]
    """

    free_cooling_approach_k: Annotated[float, Ge(3.0), Le(15.0)] = 6.0
    free_cooling_fan_frac: Annotated[float, Ge(0.003), Le(0.05)] = 0.020

    def chilled_side(self) -> AirCooledSide:
        """Coil and machines of the chilled water."""
        return self.air_cooled_side(
            self.chilled_water_supply_c,
            self.chilled_water_delta_t_k,
            self.free_cooling_approach_k,
            self.free_cooling_fan_frac,
        )
