"""Moist air after ASHRAE Handbook Fundamentals 2021, chapter 1, vectorised.

At and just below 0 degC the wet-bulb equation has two roots, one over water and one over ice. The rule here: the root
over water where it is at least 0 degC, else the root over ice, at most 0 degC.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcsim.errors import RangeError
from dcsim.units import KELVIN_AT_0_C, STANDARD_PRESSURE_PA

Floats = NDArray[np.float64]

MOLAR_MASS_RATIO = 0.621945  # water over dry air
TRIPLE_POINT_C = 0.01
MIN_HUMIDITY_RATIO = 1e-7

# Hyland and Wexler (1983): ln p = c[0]/T + c[1] + c[2] T + c[3] T^2 + c[4] T^3 + c[5] T^4 + c[6] ln T, T in K, p in Pa.
OVER_ICE = (-5.6745359e3, 6.3925247, -9.677843e-3, 6.2215701e-7, 2.0747825e-9, -9.484024e-13, 4.1635019)
OVER_WATER = (-5.8002206e3, 1.3914993, -4.8640239e-2, 4.1764768e-5, -1.4452093e-8, 0.0, 6.5459673)
# Equations 33 and 35, kJ and degC: heat of the vapour less that of the liquid or ice, and its slopes in the wet bulb.
WET_BULB_WATER = (2501.0, -2.326, -4.186)
WET_BULB_ICE = (2830.0, -0.24, -2.1)


def _ln_saturation(temp_k: Floats, c: tuple[float, ...]) -> Floats:
    polynomial = c[1] + temp_k * (c[2] + temp_k * (c[3] + temp_k * (c[4] + c[5] * temp_k)))
    return c[0] / temp_k + polynomial + c[6] * np.log(temp_k)


def _ln_saturation_slope(temp_k: Floats, c: tuple[float, ...]) -> Floats:
    polynomial = c[2] + temp_k * (2 * c[3] + temp_k * (3 * c[4] + 4 * c[5] * temp_k))
    return (c[6] - c[0] / temp_k) / temp_k + polynomial


def _require(value: Floats, low: float, high: float, what: str) -> None:
    if value.size and not (value.min() >= low and value.max() <= high):
        raise RangeError(f"{what} must be {low:g} to {high:g}, got {value.min():g} to {value.max():g}")


def saturation_pressure_pa(temp_c: ArrayLike) -> Floats:
    r"""Saturation pressure of water vapour, over ice below the triple point and over water above.

    Parameters
    ----------
    temp_c : array_like, shape (n,)
        Temperature, -100 to 200. [degC]

    Returns
    -------
    ndarray, shape (n,)
        Saturation pressure. [Pa]

    Raises
    ------
    RangeError
        If a temperature is outside the range.

    Notes
    -----
    .. math:: \ln p = c_0 / T + c_1 + c_2 T + c_3 T^2 + c_4 T^3 + c_5 T^4 + c_6 \ln T

    References
    ----------
    .. [1] ASHRAE Handbook Fundamentals 2021, ch. 1, eqs. 5 and 6 (Hyland and Wexler 1983).
    """
    temp = np.asarray(temp_c, dtype=float)
    _require(temp, -100.0, 200.0, "temperature [degC]")
    temp_k = temp + KELVIN_AT_0_C
    liquid = _ln_saturation(temp_k, OVER_WATER)
    frozen = temp <= TRIPLE_POINT_C
    if np.any(frozen):
        liquid = np.where(frozen, _ln_saturation(temp_k, OVER_ICE), liquid)
    return np.exp(liquid)


def humidity_ratio_from_vapour_pressure(vapour_pressure_pa: ArrayLike, pressure_pa: ArrayLike) -> Floats:
    """Humidity ratio 0.621945 p_w / (p - p_w), at least 1e-7 so that its logarithm exists. [kg/kg]

    Parameters
    ----------
    vapour_pressure_pa, pressure_pa : array_like, shape (n,)
        Partial pressure of the vapour and total pressure. [Pa]

    Raises
    ------
    RangeError
        If the vapour pressure is not below the total pressure.
    """
    vapour, pressure = np.asarray(vapour_pressure_pa, dtype=float), np.asarray(pressure_pa, dtype=float)
    if np.any(vapour >= pressure):
        raise RangeError(f"vapour pressure up to {vapour.max():g} Pa is not below the total of {pressure.min():g} Pa")
    ratio: Floats = np.maximum(MOLAR_MASS_RATIO * vapour / (pressure - vapour), MIN_HUMIDITY_RATIO)
    return ratio


def humidity_ratio_from_dew_point(dew_point_c: ArrayLike, pressure_pa: ArrayLike = STANDARD_PRESSURE_PA) -> Floats:
    """Humidity ratio of air with a dew point [degC] (frost point below 0 degC). [kg/kg]"""
    return humidity_ratio_from_vapour_pressure(saturation_pressure_pa(dew_point_c), pressure_pa)


def humidity_ratio_from_rel_hum(
    dry_bulb_c: ArrayLike, rel_hum_frac: ArrayLike, pressure_pa: ArrayLike = STANDARD_PRESSURE_PA
) -> Floats:
    """Humidity ratio of air with a dry bulb [degC] and a relative humidity, 0 to 1, over ice below 0 degC. [kg/kg]"""
    relative = np.asarray(rel_hum_frac, dtype=float)
    _require(relative, 0.0, 1.0, "relative humidity [1]")
    return humidity_ratio_from_vapour_pressure(relative * saturation_pressure_pa(dry_bulb_c), pressure_pa)


def humidity_ratio_from_wet_bulb(
    dry_bulb_c: ArrayLike, wet_bulb_c: ArrayLike, pressure_pa: ArrayLike = STANDARD_PRESSURE_PA
) -> Floats:
    """Humidity ratio of air with a dry bulb and a wet bulb no higher [degC], ASHRAE eqs. 33 and 35. [kg/kg]"""
    dry, wet = np.asarray(dry_bulb_c, dtype=float), np.asarray(wet_bulb_c, dtype=float)
    saturated = humidity_ratio_from_dew_point(wet, pressure_pa)
    over = [
        ((latent + slope * wet) * saturated - 1.006 * (dry - wet)) / (latent + 1.86 * dry + vapour_slope * wet)
        for latent, slope, vapour_slope in (WET_BULB_WATER, WET_BULB_ICE)
    ]
    ratio: Floats = np.maximum(np.where(wet >= 0, *over), MIN_HUMIDITY_RATIO)
    return ratio


def dew_point_c(humidity_ratio: ArrayLike, pressure_pa: ArrayLike = STANDARD_PRESSURE_PA) -> Floats:
    """Dew point, below 0 degC frost point, of air with a humidity ratio. [degC]

    Parameters
    ----------
    humidity_ratio : array_like, shape (n,)
        Humidity ratio, 1e-6 to 0.5. [kg/kg]
    pressure_pa : array_like, shape (n,)
        Total pressure. [Pa]

    Raises
    ------
    RangeError
        If a humidity ratio is outside the range.

    Notes
    -----
    Inverts the saturation pressure by Newton's method on its logarithm, over water and, where that lies
    below the triple point, over ice.
    """
    ratio = np.asarray(humidity_ratio, dtype=float)
    _require(ratio, 1e-6, 0.5, "humidity ratio [kg/kg]")
    target = np.log(np.asarray(pressure_pa) * ratio / (MOLAR_MASS_RATIO + ratio))
    # Magnus' formula inverted: within 0.5 K between -40 and 50 degC, near enough to start.
    magnus = target - np.log(611.2)
    start_k = 243.12 * magnus / (17.62 - magnus) + KELVIN_AT_0_C
    roots = []
    for curve in (OVER_WATER, OVER_ICE):
        temp_k = start_k
        for _ in range(4):
            temp_k = temp_k - (_ln_saturation(temp_k, curve) - target) / _ln_saturation_slope(temp_k, curve)
        roots.append(temp_k - KELVIN_AT_0_C)
    dew_point: Floats = np.where(roots[0] > TRIPLE_POINT_C, *roots)
    return dew_point


def enthalpy_j_kg(dry_bulb_c: ArrayLike, humidity_ratio: ArrayLike) -> Floats:
    r"""Specific enthalpy of moist air, per kg of dry air. [J/kg]

    Parameters
    ----------
    dry_bulb_c : array_like, shape (n,)
        Dry bulb. [degC]
    humidity_ratio : array_like, shape (n,)
        Humidity ratio. [kg/kg]

    Notes
    -----
    .. math:: h = 1.006 \, t + W (2501 + 1.86 \, t) \quad [kJ/kg], \quad t \text{ in degC (ASHRAE eq. 30)}
    """
    dry = np.asarray(dry_bulb_c, dtype=float)
    return 1006.0 * dry + np.asarray(humidity_ratio) * (2.501e6 + 1860.0 * dry)


def standard_pressure_pa(elevation_m: ArrayLike) -> Floats:
    """Pressure of the standard atmosphere, 101325 (1 - 2.25577e-5 z)^5.25588, at -5,000 to 11,000 m (eq. 3). [Pa]"""
    elevation = np.asarray(elevation_m, dtype=float)
    _require(elevation, -5000.0, 11_000.0, "elevation [m]")
    return STANDARD_PRESSURE_PA * (1.0 - 2.25577e-5 * elevation) ** 5.25588


def _stull_wet_bulb_c(dry: Floats, rel_hum_frac: Floats) -> Floats:
    percent = 100.0 * rel_hum_frac
    return (
        dry * np.arctan(0.151977 * np.sqrt(percent + 8.313659))
        + np.arctan(dry + percent)
        - np.arctan(percent - 1.676331)
        + 0.00391838 * percent**1.5 * np.arctan(0.023101 * percent)
        - 4.686035
    )


def _newton_wet_bulb_c(
    start: Floats,
    dry: Floats,
    ratio: Floats,
    pressure: Floats,
    curve: tuple[float, ...],
    heats: tuple[float, float, float],
) -> Floats:
    latent, latent_slope, vapour_slope = heats
    wet = start
    for _ in range(20):
        temp_k = wet + KELVIN_AT_0_C
        vapour = np.exp(_ln_saturation(temp_k, curve))
        saturated = MOLAR_MASS_RATIO * vapour / (pressure - vapour)
        saturated_slope = saturated * _ln_saturation_slope(temp_k, curve) * pressure / (pressure - vapour)
        factor = latent + latent_slope * wet
        top = factor * saturated - 1.006 * (dry - wet)
        bottom = latent + 1.86 * dry + vapour_slope * wet
        slope = (latent_slope * saturated + factor * saturated_slope + 1.006 - top / bottom * vapour_slope) / bottom
        step = (top / bottom - ratio) / slope
        wet = wet - step
        if np.max(np.abs(step), initial=0.0) < 1e-6:  # the next step would be smaller than rounding
            break
    return wet


def wet_bulb_c(
    dry_bulb_c: ArrayLike, humidity_ratio: ArrayLike, pressure_pa: ArrayLike = STANDARD_PRESSURE_PA
) -> Floats:
    """Thermodynamic wet-bulb temperature. [degC]

    Parameters
    ----------
    dry_bulb_c : array_like, shape (n,)
        Dry bulb, -60 to 60. [degC]
    humidity_ratio : array_like, shape (n,)
        Humidity ratio, 0 to saturation; more is taken as saturation. [kg/kg]
    pressure_pa : array_like, shape (n,)
        Total pressure, 50,000 to 120,000. [Pa]

    Returns
    -------
    ndarray, shape (n,)
        Wet bulb, at most the dry bulb.

    Raises
    ------
    RangeError
        If a dry bulb or a pressure is outside its range.

    Notes
    -----
    Solves ASHRAE's equations by Newton's method with the exact derivative, four steps on weather; within
    0.001 K of psychrolib where the wet bulb is more than 0.7 K from 0 degC. Nearer, both may hold different roots of
    the same equations; the band is widest in bone-dry air and the head of this file states the rule.

    References
    ----------
    .. [1] ASHRAE Handbook Fundamentals 2021, ch. 1, eqs. 33 and 35.
    .. [2] R. Stull, "Wet-bulb temperature from relative humidity and air temperature," J. Appl. Meteorol. Climatol. 50,
       2011, doi:10.1175/JAMC-D-11-0143.1 (start value only).
    """
    dry, ratio, pressure = np.broadcast_arrays(
        np.asarray(dry_bulb_c, dtype=float),
        np.asarray(humidity_ratio, dtype=float),
        np.asarray(pressure_pa, dtype=float),
    )
    _require(dry, -60.0, 60.0, "dry bulb [degC]")
    _require(pressure, 5e4, 1.2e5, "pressure [Pa]")
    vapour = pressure * ratio / (MOLAR_MASS_RATIO + ratio)
    relative = np.clip(vapour / saturation_pressure_pa(dry), 0.02, 1.0)
    start = np.minimum(_stull_wet_bulb_c(dry, relative), dry)
    wet = np.array(_newton_wet_bulb_c(start, dry, ratio, pressure, OVER_WATER, WET_BULB_WATER))
    frozen = wet < 0
    if np.any(frozen):
        cold = np.minimum(start[frozen], 0.0)
        ice = _newton_wet_bulb_c(cold, dry[frozen], ratio[frozen], pressure[frozen], OVER_ICE, WET_BULB_ICE)
        wet[frozen] = np.minimum(ice, 0.0)
    result: Floats = np.minimum(wet, dry)
    return result


# Saturated air at one atmosphere: where Newton's method for its temperature starts.
_START_C = np.arange(-60.0, 61.0, 2.0)
_START_ENTHALPY_J_KG = enthalpy_j_kg(_START_C, humidity_ratio_from_dew_point(_START_C))


def saturated_temp_c(enthalpy: ArrayLike, pressure_pa: ArrayLike = STANDARD_PRESSURE_PA) -> Floats:
    """Temperature of saturated air of a given enthalpy, as it leaves a cooling tower. [degC]

    Parameters
    ----------
    enthalpy : array_like, shape (n,)
        Enthalpy per kg of dry air, -60,000 to 450,000, which is saturated air of about -60 to 60 degC. [J/kg]
    pressure_pa : array_like, shape (n,)
        Total pressure, 50,000 to 120,000. [Pa]

    Raises
    ------
    RangeError
        If an enthalpy or a pressure is outside its range.

    Notes
    -----
    Newton's method, from a table at one atmosphere, until steps are below 0.0001 K; the temperature is then
    within 1e-5 K.
    """
    target, pressure = np.broadcast_arrays(np.asarray(enthalpy, dtype=float), np.asarray(pressure_pa, dtype=float))
    _require(target, -6e4, 4.5e5, "enthalpy of saturated air [J/kg]")
    _require(pressure, 5e4, 1.2e5, "pressure [Pa]")
    temp: Floats = np.interp(target, _START_ENTHALPY_J_KG, _START_C)
    for _ in range(8):
        vapour = saturation_pressure_pa(temp)
        ratio = MOLAR_MASS_RATIO * vapour / (pressure - vapour)
        # Clausius and Clapeyron's slope is within 2 %: it only steers the iteration.
        ratio_slope = ratio * pressure / (pressure - vapour) * (5423.0 / (temp + KELVIN_AT_0_C) ** 2)
        latent = 2.501e6 + 1860.0 * temp
        step = (1006.0 * temp + ratio * latent - target) / (1006.0 + 1860.0 * ratio + latent * ratio_slope)
        temp = temp - step
        if np.max(np.abs(step), initial=0.0) < 1e-4:
            break
    return temp
