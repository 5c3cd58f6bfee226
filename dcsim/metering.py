"""What goes through the utility meter: the facility less sun, plus what a battery takes; and who supplies it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsim.build import Facility
from dcsim.errors import RangeError
from dcsim.onsite import BuiltBattery
from dcsim.physics.battery import arbitrage_w, shaving_w
from dcsim.ppa import used_w
from dcsim.units import SECONDS_PER_DAY

Floats = NDArray[np.float64]


def meter(facility: Facility, table: dict[str, NDArray[Any]], energy_usd_per_kwh: Floats | None = None) -> None:
    """Add what stands behind the meter, power through it, what physical contracts supply of that, and clean power.

    Power under a contract comes through the meter: it leaves ``grid_power_w`` as it is. Without anything behind the
    meter that is the facility's power to the last bit.

    Parameters
    ----------
    facility : Facility
    table : dict
        Columns of the intervals so far, each of shape (n,).
    energy_usd_per_kwh : ndarray, shape (n,), or None
        Price of a kilowatt-hour more by the tariff, for a battery that follows it. [USD/kWh]
    """
    stands = facility.onsite
    none = np.zeros(len(table["facility_power_w"]))
    table["solar_power_w"] = table["solar_surplus_power_w"] = table["battery_power_w"] = none
    net_w = table["facility_power_w"]
    if stands.solar_w is not None:
        net_w = net_w - stands.solar_w
    if stands.battery is not None:
        table["battery_power_w"] = battery_power_w(facility, stands.battery, net_w, energy_usd_per_kwh)
        net_w = net_w + table["battery_power_w"]
    table["grid_power_w"] = net_w
    if stands.solar_w is not None:
        # What comes back is sun: a battery gives no more than the site draws.
        table["grid_power_w"] = np.maximum(net_w, 0.0)
        table["solar_surplus_power_w"] = table["grid_power_w"] - net_w
        table["solar_power_w"] = stands.solar_w - table["solar_surplus_power_w"]
    used = used_w(facility.contracted, table["grid_power_w"])
    table["ppa_power_w"] = sum(used, none)
    certified = (one.certified_w(taken) for one, taken in zip(facility.contracted, used, strict=True))
    table["clean_power_w"] = sum((*(supply.power_w for supply in facility.clean), *certified), none)


def battery_power_w(
    facility: Facility, battery: BuiltBattery, net_w: Floats, energy_usd_per_kwh: Floats | None
) -> Floats:
    """Power into the battery in each interval, shape (n,); before it works it idles. [W]

    Raises
    ------
    RangeError
        If it follows a price and none is given.
    """
    climate, interval_s = facility.climate, facility.interval_s
    month = climate.calendar_year * 12 + climate.month
    first = round(battery.since_s / interval_s)
    power_w = np.zeros(len(net_w))
    if battery.dispatch == "peak_shaving":
        day = np.arange(len(net_w)) * interval_s // round(SECONDS_PER_DAY)
        power_w[first:] = shaving_w(net_w[first:], interval_s, battery.rating, month[first:], day[first:])
        return power_w
    if energy_usd_per_kwh is None:
        raise RangeError("a battery that follows the price of energy needs one: pass energy_usd_per_kwh")
    per_day = round(SECONDS_PER_DAY / interval_s)
    first += round(battery.full_at_s / interval_s)
    n_days = max(0, (len(net_w) - first) // per_day)
    rows = slice(first, first + n_days * per_day)

    def by_day(values: Floats) -> Floats:
        return values[rows].reshape(n_days, per_day)

    if n_days:
        peak = np.zeros(int(month[-1] - month[0]) + 1)
        np.maximum.at(peak, month - month[0], net_w)
        price, most_w = by_day(energy_usd_per_kwh), by_day(peak[month - month[0]])
        power_w[rows] = arbitrage_w(by_day(net_w), interval_s, battery.rating, price, most_w).ravel()
    return power_w
