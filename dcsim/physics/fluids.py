"""Fans and pumps: what it takes to move air and water, at design and at part load."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcsim.units import AIR_CP_J_KG_K, WATER_CP_J_KG_K, WATER_DENSITY_KG_M3

Floats = NDArray[np.float64]

AIR_DENSITY_KG_M3 = 1.2  # at 20 degC and 1 atm, the density at which fans are rated


def air_flow_m3_s(heat_w: ArrayLike, delta_t_k: ArrayLike, *, density_kg_m3: float = AIR_DENSITY_KG_M3) -> Floats:
    """Air that carries a heat at a temperature rise, Q / (rho c_p dT). [m3/s]

    Parameters
    ----------
    heat_w : array_like, shape (n,)
        Heat. [W]
    delta_t_k : array_like, shape (n,)
        Temperature rise, above 0. [K]
    density_kg_m3 : float
        Density, lower at altitude. [kg/m3]
    """
    return np.asarray(heat_w, dtype=float) / (density_kg_m3 * AIR_CP_J_KG_K * np.asarray(delta_t_k, dtype=float))


def water_flow_m3_s(heat_w: ArrayLike, delta_t_k: ArrayLike) -> Floats:
    """Water that carries a heat [W] at a temperature rise [K] above 0, Q / (rho c_p dT). [m3/s]"""
    return np.asarray(heat_w, dtype=float) / (
        WATER_DENSITY_KG_M3 * WATER_CP_J_KG_K * np.asarray(delta_t_k, dtype=float)
    )


def mover_power_w(flow_m3_s: ArrayLike, pressure_rise_pa: ArrayLike, efficiency_frac: ArrayLike) -> Floats:
    r"""Electrical power of a fan or pump at its design point.

    Parameters
    ----------
    flow_m3_s : array_like, shape (n,)
        Volume flow. [m3/s]
    pressure_rise_pa : array_like, shape (n,)
        Total pressure rise. [Pa]
    efficiency_frac : array_like, shape (n,)
        Wire to fluid, 0 to 1. [1]

    Notes
    -----
    .. math:: P = \dot V \, \Delta p / \eta
    """
    power_w: Floats = np.asarray(flow_m3_s) * np.asarray(pressure_rise_pa) / np.asarray(efficiency_frac)
    return power_w


def affinity_power_w(design_w: ArrayLike, speed_frac: ArrayLike, *, exponent: float, floor_frac: float) -> Floats:
    r"""Power of one fan or pump, or of many that turn alike, at part speed.

    Parameters
    ----------
    design_w : array_like, shape (n,)
        Power at design speed. [W]
    speed_frac : array_like, shape (n,)
        Speed over design speed; below ``floor_frac`` it is held there, above 1 the law is extrapolated. [1]
    exponent : float
        3 for a fixed system curve; 2.2 to 2.7 where a static pressure is held. [1]
    floor_frac : float
        Lowest speed. [1]

    Notes
    -----
    .. math:: P = P_d \max(v, v_{min})^n

    References
    ----------
    .. [1] ASHRAE Handbook HVAC Systems and Equipment 2020, ch. 21 (fan laws) and ch. 44 (pumps).
    """
    speed = np.maximum(np.asarray(speed_frac, dtype=float), floor_frac)
    power_w: Floats = np.asarray(design_w) * (speed * speed * speed if exponent == 3 else speed**exponent)
    return power_w


def staged_power_w(design_w: ArrayLike, load_frac: ArrayLike, *, exponent: float, floor_frac: float) -> Floats:
    r"""Power of many fans or pumps that each serve racks, rows or machines of their own.

    Parameters
    ----------
    design_w : array_like, shape (n,)
        Power of all at design load. [W]
    load_frac : array_like, shape (n,)
        Load over design load, 0 or more. [1]
    exponent, floor_frac : float
        Affinity law and lowest speed of each, as for :func:`affinity_power_w`. [1]

    Notes
    -----
    A share u of the units works at design flow, the others wait at their lowest speed:

    .. math:: P = P_d \left(u + (1 - u) \, v_{min}^n\right), \quad u \le 1; \qquad P = P_d \, u^n, \quad u > 1

    Among all ways to spread a load over units that obey the affinity law this one takes the most power; spread evenly
    they would take :math:`P_d \max(u, v_{min})^n`, the least. The overhead over the load never rises with load, as
    sites report.
    """
    load = np.asarray(load_frac, dtype=float)
    idle_frac = floor_frac**exponent
    share = idle_frac + (1.0 - idle_frac) * load
    if np.any(load > 1.0):
        share = np.where(load > 1.0, np.maximum(load, 1.0) ** exponent, share)
    power_w: Floats = np.asarray(design_w) * share
    return power_w


def server_fan_w(
    max_w: ArrayLike,
    heat_frac: ArrayLike,
    inlet_c: ArrayLike,
    *,
    ramp_inlet_c: float = 27.0,
    speed_per_k: float = 0.04,
    floor_frac: float = 0.3,
) -> Floats:
    r"""Power of the fans inside servers.

    Parameters
    ----------
    max_w : array_like, shape (n,)
        Fans at full speed. [W]
    heat_frac : array_like, shape (n,)
        Heat that the air takes over the most that it takes, 0 to 1. [1]
    inlet_c : array_like, shape (n,)
        Air at the inlet. [degC]
    ramp_inlet_c : float
        Inlet above which fans speed up: the top of ASHRAE's recommended envelope. [degC]
    speed_per_k : float
        Rise of the speed above it; assumption, 0.03 to 0.05. [1/K]
    floor_frac : float
        Lowest speed; assumption, 0.2 to 0.4. [1]

    Notes
    -----
    Airflow follows heat, which keeps the temperature rise, clipped to the floor and to full speed:

    .. math:: P = P_{max} \, v^3, \quad v = \mathrm{clip}(q (1 + 0.04 \max(0, T_{in} - 27)), v_{min}, 1)

    References
    ----------
    .. [1] ASHRAE TC 9.9, Thermal Guidelines for Data Processing Environments, 5th ed. 2021 (envelope).
    """
    ramp = 1.0 + speed_per_k * np.maximum(0.0, np.asarray(inlet_c, dtype=float) - ramp_inlet_c)
    speed = np.minimum(np.asarray(heat_frac, dtype=float) * ramp, 1.0)
    return affinity_power_w(max_w, speed, exponent=3, floor_frac=floor_frac)
