"""Photovoltaics in a weather year: the PVWatts chain, on fixed racks or single-axis trackers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.catalog.load import Assumptions
from dcsim.catalog.radiation import Radiation
from dcsim.catalog.weather import WeatherYear

Floats = NDArray[np.float64]

TABLE, KEY = "generation", "solar-pv"
# Years of hours without and with a leap day; only the sun's place in the sky is taken from them.
COMMON_YEAR, LEAP_YEAR = 2023, 2024


@dataclass(frozen=True)
class Array:
    """A photovoltaic array; ``tilt_deg`` and ``azimuth_deg`` (clockwise from north) are those of fixed racks."""

    tracking: bool
    tilt_deg: float
    azimuth_deg: float
    losses_frac: float
    dc_ac_ratio: float
    inverter_efficiency_frac: float
    temp_coefficient_per_k: float
    albedo_frac: float
    ground_cover_frac: float
    max_rotation_deg: float


def array_of(
    used: Assumptions,
    latitude_deg: float,
    *,
    tracking: bool,
    tilt_deg: float = 20.0,
    azimuth_deg: float | None = None,
    losses_frac: float | None = None,
    dc_ac_ratio: float | None = None,
) -> Array:
    """Array with the catalog's values for what is not stated; fixed racks face the equator."""

    def value(parameter: str, stated: float | None = None) -> float:
        if stated is None:
            return used.use("photovoltaics", TABLE, KEY, parameter)
        return used.state("photovoltaics", TABLE, KEY, parameter, stated, "1")

    return Array(
        tracking=tracking,
        tilt_deg=tilt_deg,
        azimuth_deg=(180.0 if latitude_deg >= 0 else 0.0) if azimuth_deg is None else azimuth_deg,
        losses_frac=value("losses_frac", losses_frac),
        dc_ac_ratio=value("dc_ac_ratio", dc_ac_ratio),
        inverter_efficiency_frac=value("inverter_efficiency_frac"),
        temp_coefficient_per_k=value("temp_coefficient_per_k"),
        albedo_frac=value("albedo_frac"),
        ground_cover_frac=value("ground_cover_frac"),
        max_rotation_deg=value("max_rotation_deg"),
    )


def ac_frac(year: WeatherYear, sun: Radiation, array: Array) -> Floats:
    r"""Output of an array over its AC rating in each hour of a weather year, row i from hour i to i + 1.

    Parameters
    ----------
    year : WeatherYear
        Dry bulb and pressure. [degC], [Pa]
    sun : Radiation
        Of the same year. [W/m2]
    array : Array

    Returns
    -------
    ndarray, shape (hours,)
        From 0 to 1, the AC rating being the DC rating over ``dc_ac_ratio``. [1]

    Notes
    -----
    The sun stands where it does in the middle of the hour. Radiation on the plane by Perez, reflection at the glass by
    Fresnel, cell temperature by Sandia's model of an open rack with glass on both sides, then

    .. math:: P_{dc} = P_0 \frac{I}{1000} (1 + \gamma (T_c - 25)) (1 - L), \quad P_{ac} = \min(\eta P_{dc}, P_{ac0})

    with PVWatts' curve of the inverter. Shading by neighbours, snow and clipping within the hour are in the losses at
    best; trackers turn back from each other's shade at the ground cover ratio.

    References
    ----------
    .. [1] A. P. Dobos, PVWatts Version 5 Manual, NREL/TP-6A20-62641, 2014.
    .. [2] R. Perez et al., Solar Energy 44(5), 271-289, 1990.
    """
    # pvlib takes two thirds of a second to import; a plan without sun need not wait for it.
    from pvlib import atmosphere, iam, inverter, irradiance, pvsystem, solarposition, temperature, tracking

    calendar = COMMON_YEAR if year.hours == 8760 else LEAP_YEAR
    middle = pd.date_range(f"{calendar}-01-01 00:30", periods=year.hours, freq="h", tz="UTC")
    middle = middle - pd.Timedelta(hours=year.utc_offset_h)
    place = solarposition.get_solarposition(
        middle, sun.latitude_deg, sun.longitude_deg, altitude=year.elevation_m, temperature=year.dry_bulb_c
    )
    zenith, azimuth = place["apparent_zenith"].to_numpy(), place["azimuth"].to_numpy()
    tilt: Floats | float = array.tilt_deg
    facing: Floats | float = array.azimuth_deg
    if array.tracking:
        turned = tracking.singleaxis(
            zenith, azimuth, axis_azimuth=180.0, max_angle=array.max_rotation_deg, gcr=array.ground_cover_frac
        )
        tilt, facing = (np.nan_to_num(np.asarray(turned[name])) for name in ("surface_tilt", "surface_azimuth"))
    beyond = np.asarray(irradiance.get_extra_radiation(middle.day_of_year.to_numpy()))
    mass = np.nan_to_num(atmosphere.get_relative_airmass(zenith), nan=40.0)
    plane = irradiance.get_total_irradiance(
        tilt,
        facing,
        zenith,
        azimuth,
        sun.direct_w_m2,
        sun.global_w_m2,
        sun.diffuse_w_m2,
        dni_extra=beyond,
        airmass=mass,
        albedo=array.albedo_frac,
        model="perez",
    )
    direct, diffuse = (np.nan_to_num(np.asarray(plane[name])) for name in ("poa_direct", "poa_diffuse"))
    passed = np.nan_to_num(np.asarray(iam.physical(irradiance.aoi(tilt, facing, zenith, azimuth))))
    effective = passed * direct + diffuse
    rack = temperature.TEMPERATURE_MODEL_PARAMETERS["sapm"]["open_rack_glass_glass"]
    cell_c = temperature.sapm_cell(direct + diffuse, year.dry_bulb_c, sun.wind_m_s, **rack)
    dc = pvsystem.pvwatts_dc(effective, cell_c, array.dc_ac_ratio, array.temp_coefficient_per_k)
    dc = np.maximum(np.asarray(dc), 0.0) * (1.0 - array.losses_frac)
    limit = 1.0 / array.inverter_efficiency_frac
    ac = np.nan_to_num(inverter.pvwatts(dc, limit, array.inverter_efficiency_frac))
    return np.asarray(np.clip(ac, 0.0, 1.0))
