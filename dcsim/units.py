"""Conversions between trade units and SI, and the physical constants that more than one room needs.

SI inside, the unit as the suffix of every name; trade units only in scenario, catalog, ledger and report fields.
"""

from typing import Any

SECONDS_PER_MINUTE = 60.0
SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 86_400.0
HOURS_PER_YEAR = 8760.0
J_PER_KWH = 3.6e6
J_PER_MWH = 3.6e9
B_PER_TB = 1e12
GIB = 2.0**30
KELVIN_AT_0_C = 273.15

# Specific heats at 20 to 40 degC and 1 atm (ASHRAE Handbook Fundamentals 2021, ch. 1 and 33).
AIR_CP_J_KG_K = 1006.0
WATER_CP_J_KG_K = 4186.0
WATER_DENSITY_KG_M3 = 998.0
LATENT_HEAT_J_KG = 2.45e6  # evaporation near 20 degC
STANDARD_PRESSURE_PA = 101_325.0


def w_from_kw(power_kw: Any) -> Any:
    """Watts from kilowatts."""
    return power_kw * 1e3


def w_from_mw(power_mw: Any) -> Any:
    """Watts from megawatts."""
    return power_mw * 1e6


def kw_from_w(power_w: Any) -> Any:
    """Kilowatts from watts."""
    return power_w / 1e3


def mw_from_w(power_w: Any) -> Any:
    """Megawatts from watts."""
    return power_w / 1e6


def kwh_from_j(energy_j: Any) -> Any:
    """Kilowatt-hours from joules."""
    return energy_j / J_PER_KWH


def mwh_from_j(energy_j: Any) -> Any:
    """Megawatt-hours from joules."""
    return energy_j / J_PER_MWH


def m3_from_kg_water(water_kg: Any) -> Any:
    """Cubic metres from kilograms of water at 1,000 kg/m3, as water utilities bill it."""
    return water_kg / 1e3


def kelvin_from_c(temp_c: Any) -> Any:
    """Kelvin from degrees Celsius."""
    return temp_c + KELVIN_AT_0_C


def percent(frac: float) -> str:
    """A share as text in percent, with a digit more next to none and all."""
    near = 0 < frac < 0.01 or 0.99 < frac < 1
    return f"{frac:.1%}" if near else f"{frac:.0%}"
