"""The outdoors of a plan: a weather year and a carbon table laid over the intervals of the calendar."""

import datetime
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.catalog.weather import WeatherYear
from dcsim.physics.plant import Outdoor
from dcsim.physics.psychrometrics import humidity_ratio_from_dew_point, wet_bulb_c
from dcsim.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAP_DAY = 60  # day of the year of 29 February


@dataclass(frozen=True)
class Climate:
    """Outdoor air of a typical year at the resolution of the plan, and which of its rows each interval takes."""

    year: Outdoor
    row: Ints
    month: Ints
    hour: Ints
    calendar_year: Ints

    def rows(self, intervals: slice) -> Outdoor:
        """Outdoor air of some intervals."""
        row = self.row[intervals]
        columns = (self.year.dry_bulb_c, self.year.wet_bulb_c, self.year.humidity_ratio, self.year.pressure_pa)
        return Outdoor(*(np.asarray(values)[row] for values in columns))


def outdoor_year(weather: WeatherYear, interval_s: int) -> Outdoor:
    """Air of a weather year at the middle of each interval, linear between the middles of hours.

    At an hour the rows are the file's own.
    """
    n = weather.hours * 3600 // interval_s
    position = (np.arange(n) + 0.5) * interval_s / SECONDS_PER_HOUR - 0.5
    hours = np.arange(weather.hours)

    def at(values: Floats) -> Floats:
        return np.asarray(np.interp(position, hours, values, period=weather.hours), dtype=float)

    dry, dew, pressure = at(weather.dry_bulb_c), at(weather.dew_point_c), at(weather.pressure_pa)
    humidity = humidity_ratio_from_dew_point(dew, pressure)
    return Outdoor(dry, wet_bulb_c(dry, humidity, pressure), humidity, pressure)


def hour_of_year(plan_start: datetime.date, n_intervals: int, interval_s: int, hours: int) -> Ints:
    """Hour of a year of 8,760 or 8,784 h in which each interval lies; leap days as for :func:`climate`."""
    when = _when(plan_start, n_intervals, interval_s)
    return (_day(when, hours) - 1) * 24 + when.hour.to_numpy().astype(np.int64)


def _when(plan_start: datetime.date, n_intervals: int, interval_s: int) -> pd.DatetimeIndex:
    """Start of each interval."""
    start = np.datetime64(plan_start, "s")
    return pd.DatetimeIndex(start + (np.arange(n_intervals) * interval_s).astype("timedelta64[s]"))


def _day(when: pd.DatetimeIndex, hours: int) -> Ints:
    """Day of a year of so many hours, from 1."""
    day = when.day_of_year.to_numpy().astype(np.int64)
    leap = when.is_leap_year
    if hours == 8760:
        return np.where(leap & (day >= LEAP_DAY), day - 1, day)
    return np.where(~leap & (day >= LEAP_DAY), day + 1, day)


def climate(weather: WeatherYear, plan_start: datetime.date, n_intervals: int, interval_s: int) -> Climate:
    """Lay a weather year over the calendar of a plan.

    A year of 8,760 h repeats 28 February on a leap day; one of 8,784 h leaves its leap day out of other years.
    """
    when = _when(plan_start, n_intervals, interval_s)
    day = _day(when, weather.hours)
    second = when.hour.to_numpy() * 3600 + when.minute.to_numpy() * 60
    per_day = int(SECONDS_PER_DAY) // interval_s
    return Climate(
        outdoor_year(weather, interval_s),
        (day - 1) * per_day + second // interval_s,
        when.month.to_numpy().astype(np.int64),
        when.hour.to_numpy().astype(np.int64),
        when.year.to_numpy().astype(np.int64),
    )


def design_hour(weather: WeatherYear, margin_k: float) -> Outdoor:
    """Hottest dry bulb and wet bulb of the year, each raised by a margin, as one hour on which plant is sized.

    Of a year made from normals, and wherever they are known, the extremes of the record count if they are hotter.
    """
    hourly = outdoor_year(weather, 3600)
    most_humid = int(np.argmax(hourly.wet_bulb_c))
    extreme_dry_c, extreme_wet_c = weather.extremes_c or (-np.inf, -np.inf)
    dry = max(float(np.max(hourly.dry_bulb_c)), extreme_dry_c) + margin_k
    wet = max(float(np.max(hourly.wet_bulb_c)), extreme_wet_c) + margin_k
    return Outdoor(
        np.array([dry]),
        np.array([wet]),
        np.asarray(hourly.humidity_ratio)[[most_humid]],
        np.asarray(hourly.pressure_pa)[[most_humid]],
    )
