"""Photovoltaics and batteries of a site: what they give or hold in each interval, and what they are as assets."""

import datetime
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.assets import Asset, Upkeep, accounts
from dcsim.catalog.load import Assumptions
from dcsim.catalog.radiation import Radiation
from dcsim.catalog.solar import KEY as SOLAR_KEY
from dcsim.catalog.solar import TABLE, ac_frac, array_of
from dcsim.catalog.weather import WeatherYear
from dcsim.hourly_profiles import Hours
from dcsim.model.facility import Schedule
from dcsim.model.financing import Own
from dcsim.model.load import Loaded
from dcsim.model.power import BatteryStorage, OnSite, Solar
from dcsim.model.scenario import Scenario
from dcsim.model.tree import Place
from dcsim.physics.battery import Battery
from dcsim.units import J_PER_MWH, SECONDS_PER_DAY, SECONDS_PER_HOUR, w_from_kw, w_from_mw

Floats = NDArray[np.float64]

BATTERY_KEY = "battery-li-ion"
ASSET_CLASS = "on-site power"
# From the first payment to power, where the scenario states no order.
LEAD_DAYS = 365
DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class BuiltBattery:
    """A battery, how it is used, from when, and the time of day at which a day of arbitrage begins, full. [s]"""

    rating: Battery
    dispatch: str
    since_s: float
    full_at_s: float


@dataclass(frozen=True)
class OnSitePower:
    """What stands behind the meter; ``solar_w`` is AC output in each interval, shape (n,), None without any. [W]"""

    solar_w: Floats | None = None
    battery: BuiltBattery | None = None


def onsite_power(
    loaded: Loaded, used: Assumptions, weather: WeatherYear, n_intervals: int, interval_s: int
) -> OnSitePower:
    """Photovoltaics and battery of a scenario over the intervals of its plan.

    Raises
    ------
    InputError
        If the weather year has no radiation, dates are out of order or outside the plan, or nothing is built.
    """
    scenario = loaded.scenario
    site, start = scenario.site, scenario.plan.start
    solar_w = battery = None
    for name in ("solar", "battery"):
        if getattr(site, name) is not None:
            _check(loaded, getattr(site, name), ("site", name))
    if site.solar is not None:
        energised = _dates(site.solar, start)[2]
        hours = Hours(loaded, n_intervals, interval_s)
        age_years = np.arange(n_intervals) * (interval_s / SECONDS_PER_DAY) - (energised - start).days
        fade = used.use("photovoltaics", TABLE, SOLAR_KEY, "degradation_frac_per_year")
        kept = (1.0 - fade) ** (np.maximum(age_years, 0.0) / DAYS_PER_YEAR)
        solar_w = hours.laid(_array_w(loaded, used, weather, site.solar)) * kept
        solar_w = np.where(hours.within(energised, None), solar_w, 0.0)
    if site.battery is not None:
        battery = _battery(used, site.battery, start)
    return OnSitePower(solar_w, battery)


def _array_w(loaded: Loaded, used: Assumptions, weather: WeatherYear, of: Solar) -> Floats:
    """AC output of new modules in each hour of the weather year, shape (hours,). [W]"""
    sun = _radiation(loaded, weather, ("site", "solar"))
    array = array_of(
        used,
        sun.latitude_deg,
        tracking=of.tracking,
        tilt_deg=of.tilt_deg,
        azimuth_deg=of.azimuth_deg,
        losses_frac=of.losses_frac,
        dc_ac_ratio=of.dc_ac_ratio,
    )
    return np.asarray(ac_frac(weather, sun, array) * w_from_kw(of.kw_dc) / array.dc_ac_ratio)


def _battery(used: Assumptions, of: BatteryStorage, plan_start: datetime.date) -> BuiltBattery:
    why, parameter = "battery", "round_trip_frac"
    if of.round_trip_frac is None:
        round_trip = used.use(why, TABLE, BATTERY_KEY, parameter)
    else:
        round_trip = used.state(why, TABLE, BATTERY_KEY, parameter, of.round_trip_frac, "1")
    rating = Battery(of.mwh * J_PER_MWH, w_from_mw(of.mw), round_trip)
    since_s = (_dates(of, plan_start)[2] - plan_start).days * SECONDS_PER_DAY
    return BuiltBattery(rating, of.dispatch, max(since_s, 0.0), of.full_at_h * SECONDS_PER_HOUR)


def plant_year(loaded: Loaded, used: Assumptions, weather: WeatherYear, place: Place) -> Floats:
    """Output over AC rating of a plant on single-axis trackers in each hour of the site's weather year, shape (hours,).

    Raises
    ------
    InputError
        If the weather year has no radiation; the fault is at *place*.
    """
    sun = _radiation(loaded, weather, place)
    return ac_frac(weather, sun, array_of(used, sun.latitude_deg, tracking=True))


def _radiation(loaded: Loaded, weather: WeatherYear, place: Place) -> Radiation:
    if weather.radiation is None:
        raise loaded.fault(
            place,
            f"the weather year of {weather.name} holds no radiation; name an EPW, TMY3 or TMY2 file as site.weather, "
            "or a CSV with ghi_w_m2, dni_w_m2, dhi_w_m2, wind_m_s, and latitude_deg and longitude_deg as comments",
        )
    return weather.radiation


def _dates(of: OnSite, plan_start: datetime.date) -> tuple[datetime.date, datetime.date, datetime.date]:
    """Order, delivery, and when it works."""
    energised = of.energised or plan_start
    delivery = of.delivery or energised
    return of.order or delivery - datetime.timedelta(days=LEAD_DAYS), delivery, energised


def _check(loaded: Loaded, of: OnSite, place: Place) -> None:
    scenario = loaded.scenario
    order, delivery, energised = _dates(of, scenario.plan.start)
    if not isinstance(scenario.economics.tenure, Own):
        raise loaded.fault(place, f"nothing is built under tenure {scenario.economics.tenure.kind}; leave it out")
    if not order <= delivery <= energised:
        raise loaded.fault(place, f"order {order}, delivery {delivery}, energised {energised} are not in that order")
    if energised >= scenario.plan.end:
        raise loaded.fault(place, f"energised {energised} is after the plan, which ends on {scenario.plan.end}")


def onsite_assets(used: Assumptions, scenario: Scenario) -> list[Asset]:
    """Photovoltaics and battery as lines of the bill of materials, built as construction is."""
    solar, battery = scenario.site.solar, scenario.site.battery
    found = []
    if solar is not None:
        found.append(_asset(used, scenario, solar, solar.price, "photovoltaics", solar.kw_dc, "usd_per_kw_dc", "kW DC"))
    if battery is not None:
        found.append(
            _asset(used, scenario, battery, battery.price, "battery cells", 1e3 * battery.mwh, "usd_per_kwh", "kWh")
        )
        found.append(
            _asset(used, scenario, battery, battery.price, "battery power", 1e3 * battery.mw, "usd_per_kw", "kW")
        )
    return found


def _asset(
    used: Assumptions, scenario: Scenario, of: OnSite, key: str, item: str, quantity: float, parameter: str, unit: str
) -> Asset:
    order, delivery, energised = _dates(of, scenario.plan.start)
    row = used.catalog.row("prices", key, parameter)
    upkeep = used.catalog.row("prices", key, "upkeep_frac_per_year")
    return Asset(
        phase="site",
        schedule=Schedule(order=order, delivery=delivery),
        energised=energised,
        asset_class=ASSET_CLASS,
        item=item,
        quantity=quantity,
        unit=unit,
        unit_price_usd=used.use("cost of on-site power", "prices", key, parameter),
        price_year=row.price_year,
        source=row.source,
        life_years=used.use("replacement and residual value", "prices", key, "life_years"),
        upkeep=Upkeep(used.use("upkeep", "prices", key, "upkeep_frac_per_year"), upkeep.source),
        hardware=False,
        accounts=accounts(used, ASSET_CLASS, hardware=False),
    )
