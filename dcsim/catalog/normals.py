"""Years made from monthly normals of a site, for places without an hourly file: good for energy, not for peaks."""

import csv
import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsim.catalog.load import folder
from dcsim.physics.psychrometrics import standard_pressure_pa
from dcsim.registry import lookup
from dcsim.rng import stream

Floats = NDArray[np.float64]

DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
MONTH = np.repeat(np.arange(12), DAYS)
# Persistence of daily anomalies, 0.66 to 0.69 measured over the sites; and the standard deviation of daily means of an
# anomaly that is interpolated between days, over the anomaly's own.
PERSISTENCE, KEPT_SD = 0.65, 0.92
# Shape of a day: share and leads of its two waves. [1], [h]
SECOND_WAVE, LEAD_H, SECOND_LEAD_H = 0.25, 0.9, 0.9
# Dew point below dry bulb at least so much. [K]
LEAST_DEPRESSION_K = 0.2
# Standard deviation of the mean of a year about the normals: four years predict the fifth within 0.45 K. [K]
BETWEEN_YEARS_K = 0.45
BURN_DAYS = 30

TEXTS = ("key", "name", "source", "years", "climate_zone")
NUMBERS = ("latitude_deg", "longitude_deg", "elevation_m", "dry_bulb_max_c", "wet_bulb_max_c")


@dataclass(frozen=True)
class Site:
    """Monthly normals of a site and its extremes; arrays of shape (12,)."""

    key: str
    name: str
    source: str
    years: str
    climate_zone: str
    latitude_deg: float
    longitude_deg: float
    elevation_m: float
    dry_bulb_max_c: float
    wet_bulb_max_c: float
    dry_bulb_mean_c: Floats
    daily_range_k: Floats
    dew_point_mean_c: Floats
    dry_bulb_daily_std_k: Floats
    dew_point_daily_std_k: Floats
    correlation: Floats
    hour_of_max: Floats


@cache
def sites() -> dict[str, Site]:
    """Sites with normals, by key."""
    with (folder() / "weather_normals.csv").open(newline="", encoding="utf-8") as file:
        months = list(csv.DictReader(file))
    columns = [name for name in months[0] if name not in ("key", "month")]
    out = {}
    with (folder() / "weather_sites.csv").open(newline="", encoding="utf-8") as file:
        for record in csv.DictReader(file):
            own = sorted((row for row in months if row["key"] == record["key"]), key=lambda row: int(row["month"]))
            values: dict[str, Any] = {name: record[name] for name in TEXTS}
            values |= {name: float(record[name]) for name in NUMBERS}
            values |= {name: np.array([float(row[name]) for row in own]) for name in columns}
            out[record["key"]] = Site(**values)
    return out


def site(key: str) -> Site:
    """One site.

    Raises
    ------
    UnknownNameError
        If there are no normals of it.
    """
    return lookup(sites(), key, "site with weather normals")


def _daily(monthly: Floats) -> Floats:
    """A curve by day through monthly means that keeps each of them, linear between mid-months."""
    middle = np.cumsum(DAYS) - np.array(DAYS) / 2.0
    day = np.arange(365) + 0.5
    knots = np.array(monthly, dtype=float)
    for _ in range(20):  # the means of the linear curve are moved to the normals
        curve = np.interp(day, middle, knots, period=365)
        means = np.bincount(MONTH, curve) / DAYS
        knots = knots + (monthly - means)
    return np.asarray(np.interp(day, middle, knots, period=365))


def _anomalies(of: Site, seed: int, draw: int) -> tuple[Floats, Floats]:
    """Daily anomalies of dry bulb and dew point, of mean 0 and standard deviation 1 in each month."""
    draws = stream(seed, f"weather/{of.key}/{draw}").normal(size=(2, 365 + BURN_DAYS))
    correlation = np.clip(np.concatenate([np.full(BURN_DAYS, of.correlation[0]), _daily(of.correlation)]), -0.95, 0.95)
    dew = correlation * draws[0] + np.sqrt(1.0 - correlation**2) * draws[1]
    # scipy.signal takes longer to import than a site to make, and most plans need none.
    from scipy.signal import lfilter

    gain = np.sqrt(1.0 - PERSISTENCE**2)
    out = []
    for noise in (draws[0], dew):
        walk = lfilter([gain], [1.0, -PERSISTENCE], noise)[BURN_DAYS:]
        means = np.bincount(MONTH, walk) / DAYS
        spread = np.sqrt(np.bincount(MONTH, (walk - means[MONTH]) ** 2) / DAYS)
        out.append((walk - means[MONTH]) / np.maximum(spread, 0.3)[MONTH])
    return out[0], out[1]


def synthetic_year(of: Site, *, seed: int = 0, draw: int | None = None) -> tuple[Floats, Floats, Floats, str]:
    r"""Hours of a year from normals.

    Parameters
    ----------
    of : Site
    seed : int
        Seed of the anomalies.
    draw : int
        A year among many, whose mean differs from the normals as years do; the typical one if left out.

    Returns
    -------
    tuple
        Dry bulb and dew point [degC] and pressure [Pa], shape (8760,), and a digest of what they were made from.

    Notes
    -----
    Daily anomalies follow :math:`a_d = 0.65 a_{d-1} + \sqrt{1 - 0.65^2} \, \epsilon`, those of dew point correlated
    with those of dry bulb, each month scaled to its normals; a day has two waves of the month's range. Against the
    hours that the normals were taken from, over 34 sites: mean wet bulb 0.05 K, its 99.6 % 0.9 K, dry bulb's 1.5 K
    (root mean squares). So plant must be sized on the site's recorded extremes, never on such a year.
    """
    anomaly, dew_anomaly = _anomalies(of, seed, draw or 0)
    shift_k = 0.0 if draw is None else BETWEEN_YEARS_K * float(stream(seed, f"weather/{of.key}/{draw}/mean").normal())
    clock = (np.arange(8760) + 1.0) / 24.0
    day = np.arange(365) + 0.5

    def hourly(daily: Floats) -> Floats:
        return np.asarray(np.interp(clock, day, daily, period=365))

    dry = hourly(_daily(of.dry_bulb_mean_c) + anomaly * _daily(of.dry_bulb_daily_std_k) / KEPT_SD) + shift_k
    hour, top = np.arange(1, 25), _daily(of.hour_of_max)

    def waves(after: Floats) -> Floats:
        first = np.cos(2.0 * np.pi * (after - LEAD_H) / 24.0)
        second = np.cos(4.0 * np.pi * (after + SECOND_LEAD_H) / 24.0)
        return np.asarray(first + SECOND_WAVE * second)

    span = np.ptp(waves(np.linspace(0.0, 24.0, 481)))
    shape = waves(hour[None, :] - top[:, None]) / span
    dry = dry + (np.maximum(_daily(of.daily_range_k), 0.1)[:, None] * shape).ravel()
    wish = hourly(_daily(of.dew_point_mean_c) + dew_anomaly * _daily(of.dew_point_daily_std_k) / KEPT_SD) + shift_k
    month = np.repeat(MONTH, 24)
    count = np.bincount(month)
    dew = np.minimum(wish, dry - LEAST_DEPRESSION_K)
    for _ in range(3):  # the cut lowers the monthly mean, which is put back
        lost = of.dew_point_mean_c + shift_k - np.bincount(month, dew) / count
        wish = wish + lost[month]
        dew = np.minimum(wish, dry - LEAST_DEPRESSION_K)
    digest = hashlib.sha256(repr((of.key, seed, draw, PERSISTENCE, KEPT_SD)).encode()).hexdigest()
    return dry, dew, np.full(8760, float(standard_pressure_pa(of.elevation_m))), digest
