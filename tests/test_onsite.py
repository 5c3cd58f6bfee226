"""Photovoltaics and batteries: against pvlib's own chain and a linear programme, conservation, bills, refusals."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import small
from scipy.optimize import linprog

from dcsim import pipeline, runs
from dcsim.catalog.load import Assumptions, catalog
from dcsim.catalog.radiation import radiation
from dcsim.catalog.solar import ac_frac, array_of
from dcsim.catalog.weather import read, weather
from dcsim.errors import InputError, RangeError
from dcsim.metering import battery_power_w
from dcsim.onsite import onsite_power
from dcsim.physics.battery import Battery, arbitrage_w, shaving_w

H = 3600.0
MWH = 3.6e9
GREENSBORO = "greensboro-nc-tmy3"
SOLAR = "site.solar={kw_dc: 600.0, tracking: true%s}"
BATTERY = "site.battery={mwh: 1.0, mw: 0.25%s}"


def battery(mwh=2.0, mw=2.0, round_trip=1.0):
    return Battery(mwh * MWH, mw * 1e6, round_trip)


def shaved(load_mw, of, days=1, months=None):
    """What the meter reads in MW, of days of 24 hours that are one month unless they are told apart."""
    load = np.asarray(load_mw, dtype=float) * 1e6
    day = np.repeat(np.arange(days), len(load) // days)
    month = np.zeros(len(load), dtype=np.int64) if months is None else np.repeat(months, len(load) // days)
    return (load + shaving_w(load, H, of, month, day)) / 1e6


def held(power_w, of):
    """Energy held after each step, from full. [MWh]"""
    one_way = np.sqrt(of.round_trip_frac)
    return (of.energy_j + np.cumsum(np.where(power_w > 0, power_w * one_way, power_w / one_way)) * H) / MWH


PEAK = np.ones(24)
PEAK[10:12] = 3.0


def test_a_peak_is_cut_to_where_the_energy_ends_by_hand():
    # 2 MWh over two hours take 1 MW each: 3 becomes 2. The twelve hours after it refill them by a sixth of a MW each.
    meter = shaved(PEAK, battery())
    np.testing.assert_allclose(meter[10:12], 2.0)
    np.testing.assert_allclose(meter[:10], 1.0)
    np.testing.assert_allclose(meter[12:], 1.0 + 2.0 / 12)
    # With 81 % there and back, 1.8 MWh come out, and 2 / 0.9 go in.
    lossy = shaved(PEAK, battery(round_trip=0.81))
    np.testing.assert_allclose(lossy[10:12], 2.1)
    np.testing.assert_allclose(lossy[12:], 1.0 + 2.0 / 0.9 / 12)
    # Its power may bind instead, and then it holds more than it needs.
    np.testing.assert_allclose(shaved(PEAK, battery(mw=0.4))[10:12], 2.6)


def test_a_battery_is_refilled_between_two_peaks():
    twice = np.ones(24)
    twice[[6, 18]] = 3.0
    np.testing.assert_allclose(shaved(twice, battery(mwh=1.0))[[6, 18]], 2.0)
    # Without the time for it, one charge serves both.
    twice[7:18] = 2.5
    np.testing.assert_allclose(shaved(twice, battery(mwh=1.0))[6:19], 2.5)


def test_every_day_of_a_month_is_held_at_the_level_of_its_hardest():
    hard = PEAK.copy()
    hard[10:12] = 5.0
    meter = shaved(np.concatenate([PEAK, hard, PEAK]), battery(), days=3).reshape(3, 24)
    # The second day can be held at 4 MW; the others have no peak above it and are left alone but for refilling.
    np.testing.assert_allclose(meter.max(axis=1), [3.0, 4.0, 3.0])
    apart = shaved(np.concatenate([PEAK, hard, PEAK]), battery(), days=3, months=[0, 1, 2]).reshape(3, 24)
    np.testing.assert_allclose(apart.max(axis=1), [2.0, 4.0, 2.0])


def least_peak_mw(load_mw, of):
    """Lowest peak that any dispatch reaches, by a linear programme over charge, discharge and the peak. [MW]"""
    n, one_way = len(load_mw), np.sqrt(of.round_trip_frac)
    energy, power = of.energy_j / MWH, of.power_w / 1e6
    lower = np.tril(np.ones((n, n)))
    stored = np.hstack([lower * one_way, -lower / one_way, np.zeros((n, 1))])
    meter = np.hstack([np.eye(n), -np.eye(n), -np.ones((n, 1))])
    export = np.hstack([-np.eye(n), np.eye(n), np.zeros((n, 1))])
    limits = np.concatenate([np.zeros(n), np.full(n, energy), -np.asarray(load_mw), np.asarray(load_mw)])
    found = linprog(
        np.append(np.zeros(2 * n), 1.0),
        A_ub=np.vstack([stored, -stored, meter, export]),
        b_ub=limits,
        bounds=[(0, power)] * (2 * n) + [(0, None)],
    )
    assert found.success
    return float(found.fun)


@pytest.mark.parametrize("seed", range(12))
def test_no_dispatch_reaches_a_lower_peak(seed):
    rng = np.random.default_rng(seed)
    load = 5.0 + rng.normal(0, 1, 24).cumsum() * 0.4 + rng.uniform(0, 1, 24)
    load = np.maximum(load, 0.1)
    of = battery(mwh=rng.uniform(0.2, 8), mw=rng.uniform(0.2, 3), round_trip=rng.uniform(0.7, 1.0))
    assert shaved(load, of).max() == pytest.approx(least_peak_mw(load, of), rel=1e-6)


LOADS = st.lists(st.floats(0, 20), min_size=72, max_size=72)
BATTERIES = st.builds(battery, st.floats(0.1, 30), st.floats(0.1, 10), st.floats(0.5, 1.0))


@settings(max_examples=60)
@given(LOADS, BATTERIES)
def test_a_battery_raises_no_days_peak_and_conserves_energy(load_mw, of):
    load = np.array(load_mw) * 1e6
    power = shaving_w(load, H, of, np.repeat([0, 0, 1], 24), np.repeat([0, 1, 2], 24))
    meter = (load + power).reshape(3, 24)
    assert (meter.max(axis=1) <= load.reshape(3, 24).max(axis=1) + 1e-3).all()
    assert meter.min() >= -1e-3
    assert np.abs(power).max() <= of.power_w * (1 + 1e-12)
    energy = held(power, of)
    assert energy.min() >= -1e-6 * of.energy_j / MWH
    assert energy.max() <= of.energy_j / MWH * (1 + 1e-9)


def day_prices():
    """Cheap from 0 to 6 h, dear from 16 to 20 h, of days that begin at 6 h."""
    hour = (np.arange(24) + 6) % 24
    return np.where(hour < 6, 1.0, np.where((hour >= 16) & (hour < 20), 3.0, 2.0))[None, :]


def test_arbitrage_buys_in_the_cheap_hours_and_gives_in_the_dear_by_hand():
    load = np.full((1, 24), 5e6)
    of = battery(mwh=2.0, mw=1.0, round_trip=0.81)
    power = arbitrage_w(load, H, of, day_prices(), np.full((1, 24), 9e6)) / 1e6
    # 1.8 MWh spread over four dear hours, 2 / 0.9 over six cheap ones.
    np.testing.assert_allclose(power[0, 10:14], -0.45)
    np.testing.assert_allclose(power[0, 18:], 2.0 / 0.9 / 6)
    assert (power[0, :10] == 0).all()
    assert (power[0, 14:18] == 0).all()
    # 1 * 3 * 0.3 does not pay for what is bought at 1.
    idle = arbitrage_w(load, H, battery(round_trip=0.3), day_prices(), np.full((1, 24), 9e6))
    assert (idle == 0).all()
    # The month's peak leaves no room to charge, so nothing can be given either.
    full = arbitrage_w(load, H, of, day_prices(), np.full((1, 24), 5e6))
    np.testing.assert_allclose(full, 0.0, atol=1e-3)


@settings(max_examples=60)
@given(LOADS, BATTERIES)
def test_arbitrage_stays_under_the_months_peak_and_ends_each_day_full(load_mw, of):
    load = np.array(load_mw).reshape(3, 24) * 1e6
    price = np.repeat(day_prices(), 3, axis=0)
    power = arbitrage_w(load, H, of, price, np.full((3, 24), load.max()))
    assert (load + power).max() <= load.max() * (1 + 1e-12) + 1e-3
    for day in power:
        energy = held(day, of)
        assert energy[-1] == pytest.approx(of.energy_j / MWH, rel=1e-8)
        assert energy.min() >= -1e-6 * of.energy_j / MWH
    paid = (price * power).sum()
    assert paid <= 1e-3 * price.max() * of.power_w / 1e6


def test_solar_agrees_with_pvlibs_own_chain_of_pvwatts():
    from pvlib.location import Location
    from pvlib.modelchain import ModelChain
    from pvlib.pvsystem import PVSystem

    year = weather(GREENSBORO, lambda: None)
    sun = year.radiation
    array = array_of(Assumptions(catalog()), sun.latitude_deg, tracking=False)
    own = ac_frac(year, sun, array)
    system = PVSystem(
        surface_tilt=20,
        surface_azimuth=180,
        albedo=array.albedo_frac,
        module_parameters={"pdc0": array.dc_ac_ratio, "gamma_pdc": array.temp_coefficient_per_k},
        inverter_parameters={"pdc0": 1 / array.inverter_efficiency_frac, "eta_inv_nom": array.inverter_efficiency_frac},
        module_type="glass_glass",
        racking_model="open_rack",
    )
    place = Location(sun.latitude_deg, sun.longitude_deg, "Etc/GMT+5", year.elevation_m)
    chain = ModelChain.with_pvwatts(system, place)
    table = pd.DataFrame(
        {
            "ghi": sun.global_w_m2,
            "dni": sun.direct_w_m2,
            "dhi": sun.diffuse_w_m2,
            "temp_air": year.dry_bulb_c,
            "wind_speed": sun.wind_m_s,
        },
        index=pd.date_range("2023-01-01 00:30", periods=8760, freq="h", tz="Etc/GMT+5"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses what pandas gives up
        theirs = chain.run_model(table).results.ac.fillna(0.0).to_numpy()
    assert own.sum() == pytest.approx(theirs.sum(), rel=0.005)
    assert np.abs(own - theirs).max() < 0.03


def test_the_sun_stands_in_the_middle_of_its_hour():
    # Global radiation is direct on the horizontal plus diffuse; half an hour off, it is not.
    from pvlib.solarposition import get_solarposition

    year = weather(GREENSBORO, lambda: None)
    sun = year.radiation

    def miss(minutes):
        when = pd.date_range("2023-01-01", periods=8760, freq="h", tz="Etc/GMT+5") + pd.Timedelta(minutes=minutes)
        zenith = get_solarposition(when, sun.latitude_deg, sun.longitude_deg)["zenith"].to_numpy()
        cosine = np.maximum(np.cos(np.radians(zenith)), 0.0)
        return np.abs(sun.direct_w_m2 * cosine + sun.diffuse_w_m2 - sun.global_w_m2).mean()

    assert miss(30) < 0.5 * min(miss(0), miss(60))


def test_trackers_make_more_and_racks_face_the_equator():
    year = weather(GREENSBORO, lambda: None)
    used = Assumptions(catalog())

    def yield_of(**parts):
        return ac_frac(year, year.radiation, array_of(used, 36.1, **parts)).sum()

    south = yield_of(tracking=False)
    assert yield_of(tracking=True) > 1.05 * south > 1.05 * yield_of(tracking=False, azimuth_deg=0.0)
    assert yield_of(tracking=False, losses_frac=0.0) > south
    assert array_of(used, -33.0, tracking=False).azimuth_deg == 0.0
    ac = ac_frac(year, year.radiation, array_of(used, 36.1, tracking=True, dc_ac_ratio=2.0))
    assert ac.max() == 1.0


def test_radiation_that_is_no_year_of_it_is_left_out(tmp_path):
    hours, dark = np.full(8760, 100.0), np.zeros(8760)
    assert radiation(1.0, 2.0, hours, hours, hours, dark) is not None
    assert radiation(1.0, 2.0, dark, dark, dark, dark) is None
    gaps = np.where(np.arange(8760) < 200, 9999.0, 100.0)
    assert radiation(1.0, 2.0, gaps, hours, hours, dark) is None
    few = np.where(np.arange(8760) < 20, np.nan, 100.0)
    assert radiation(1.0, 2.0, few, hours, hours, np.full(8760, 999.0)).global_w_m2[:20].sum() == 0
    assert weather("miami-fl-tmy2", lambda: None).radiation.wind_m_s.mean() == pytest.approx(4.3, abs=0.1)
    table = pd.DataFrame(
        {
            "dry_bulb_c": 20 + np.sin(np.arange(8760)),
            "rel_hum_frac": 0.5 + 0.1 * np.sin(np.arange(8760) / 7),
            "ghi_w_m2": hours,
            "dni_w_m2": hours,
            "dhi_w_m2": hours,
            "wind_m_s": hours / 50,
        }
    )
    place = "# latitude_deg: -12.5\n# longitude_deg = 130\n# utc_offset_h: 9.5\n"
    for head, known in ((place, True), ("", False)):
        path = tmp_path / "own.csv"
        path.write_text(head + table.to_csv(index=False))
        found = read(path, "own").radiation
        assert (found is not None) == known
    path.write_text(place + table.to_csv(index=False))
    assert (read(path, "own").radiation.latitude_deg, read(path, "own").radiation.longitude_deg) == (-12.5, 130.0)


def built(*sets, n=8760):
    loaded = small(*sets)
    return onsite_power(loaded, Assumptions(catalog()), weather(GREENSBORO, lambda: None), n, 3600)


def test_modules_fade_with_age_and_give_nothing_before_they_work():
    fresh = built(SOLAR % "").solar_w
    late = built(SOLAR % ", energised: 2027-04-01").solar_w
    assert (late[: 90 * 24] == 0).all()
    assert late[90 * 24 :].sum() > fresh[90 * 24 :].sum()
    old = built(SOLAR % ", energised: 2017-01-01").solar_w
    np.testing.assert_allclose(old.sum() / fresh.sum(), 0.995**10, rtol=1e-3)
    assert built().solar_w is None
    assert built().battery is None


def ran(folder, *sets):
    return runs.read(pipeline.run(small(*sets), folder))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return ran(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    sets = (SOLAR % ", surplus_usd_per_mwh: 25.0, dc_ac_ratio: 1.0", BATTERY % "", "site.solar.kw_dc=1500.0")
    return ran(tmp_path_factory.mktemp("both"), *sets)


def test_what_the_facility_uses_comes_from_grid_sun_and_battery(plain, both):
    at = both.intervals
    pd.testing.assert_series_equal(at["facility_power_w"], plain.intervals["facility_power_w"])
    balance = at["grid_power_w"] + at["solar_power_w"] - at["battery_power_w"] - at["facility_power_w"]
    assert balance.abs().max() < 1e-6
    for column in ("grid_power_w", "solar_power_w", "solar_surplus_power_w"):
        assert at[column].min() >= 0
    # Surplus is sun that nobody takes: then nothing is drawn.
    assert at.loc[at["solar_surplus_power_w"] > 1e-6, "grid_power_w"].max() == 0
    energy = at["battery_power_w"].to_numpy() * H / MWH
    given, taken = -energy[energy < 0].sum(), energy[energy > 0].sum()
    # 85 % of what is taken comes back, but for what is held at the end.
    assert 0 <= 0.85 * taken - given + np.sqrt(0.85) <= 1.0 * np.sqrt(0.85) + 1e-6
    assert both.kpis["pue"] == plain.kpis["pue"]
    assert both.kpis["peak_facility_power_mw"] == plain.kpis["peak_facility_power_mw"]
    assert both.kpis["peak_grid_power_mw"]["value"] < plain.kpis["peak_grid_power_mw"]["value"]


def test_the_bill_and_the_carbon_follow_the_meter(plain, both):
    at = both.intervals
    kwh = at["grid_power_w"] * at["duration_s"] / 3.6e6
    rows = both.ledger.set_index("item")
    fuel = rows.loc["electricity energy: fuel rider A", "quantity"].sum()
    assert fuel == pytest.approx(kwh.sum(), rel=1e-9)
    demand = rows.loc["electricity demand: distribution", "quantity"]
    assert demand.max() == pytest.approx(at["grid_power_w"].max() / 1e3)
    np.testing.assert_allclose(at["carbon_kg"], kwh * at["carbon_intensity_kg_per_kwh"])
    assert both.kpis["carbon_t"]["value"] < plain.kpis["carbon_t"]["value"]
    sold = rows.loc["electricity surplus: on-site solar"]
    surplus_mwh = (at["solar_surplus_power_w"] * at["duration_s"]).sum() / MWH
    assert surplus_mwh > 10
    assert sold["amount_usd"].sum() == pytest.approx(25.0 * surplus_mwh)
    assert any("On-site solar follows" in text for text in both.findings["conventions"])
    assert any("load of each month beforehand" in text for text in both.findings["conventions"])


def test_sun_and_battery_are_assets_with_the_catalogs_prices(both):
    capex = both.ledger[(both.ledger["category"] == "capex") & (both.ledger["phase"] == "site")]
    of = capex.groupby("item")["quantity"].sum()
    assert of["on-site power: photovoltaics"] == pytest.approx(1500.0)
    assert of["on-site power: battery cells"] == pytest.approx(1000.0)
    assert of["on-site power: battery power"] == pytest.approx(250.0)
    assert capex["month"].min() == "2026-01"
    prices = capex.groupby("item")["price_usd"].first()
    assert prices["on-site power: photovoltaics"] == catalog().row("prices", "solar-us-2023", "usd_per_kw_dc").value
    upkeep = both.ledger[both.ledger["item"] == "maintenance: on-site power, photovoltaics"]
    assert len(upkeep) == 12
    assert {"degradation_frac_per_year", "losses_frac", "round_trip_frac"} <= set(both.assumptions["parameter"])


def test_shaving_lowers_demand_and_costs_energy(plain, tmp_path):
    run = ran(tmp_path, BATTERY % "")
    before, after = (of.ledger.groupby("item")["quantity"].sum() for of in (plain, run))
    assert after["electricity demand: distribution"] < before["electricity demand: distribution"]
    fuel = "electricity energy: fuel rider A"
    assert before[fuel] < after[fuel] < 1.02 * before[fuel]
    by_day = [of.intervals["grid_power_w"].to_numpy().reshape(365, 24).max(axis=1) for of in (plain, run)]
    assert (by_day[1] <= by_day[0] + 1e-3).all()


def test_arbitrage_follows_the_tariff_at_any_resolution(tmp_path):
    spread = (
        "overrides={tariffs.dominion-va-gs3.energy:generation:on_peak: {value: 0.2, source: a wide spread}}",
        "report.interval_s=1800",
    )
    run = ran(tmp_path, BATTERY % ", dispatch: arbitrage, energised: 2027-03-01", *spread)
    at = run.intervals
    power = at["battery_power_w"].to_numpy()
    assert (power[: (31 + 28) * 48 + 12] == 0).all()
    when = pd.Timestamp("2027-01-01") + pd.to_timedelta(at["start_s"], unit="s")
    give = when[power < -1.0]
    assert (give.dt.day_of_week < 5).all()
    assert give.dt.hour.between(7, 21).all()
    month = when.dt.month
    before = at["facility_power_w"].groupby(month).max()
    assert (at["grid_power_w"].groupby(month).max() <= before + 1e-3).all()
    assert any("load and price of each day" in text for text in run.findings["conventions"])


def test_arbitrage_without_a_price_is_refused():
    ready = pipeline.prepare(small(BATTERY % ", dispatch: arbitrage"))
    facility = ready.facility
    with pytest.raises(RangeError, match="pass energy_usd_per_kwh"):
        battery_power_w(facility, facility.onsite.battery, np.ones(8760), None)


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        ((SOLAR % "", "site.weather=us-co-denver"), r"site.solar: .*holds no radiation; name an EPW, TMY3 or TMY2"),
        ((SOLAR % ", order: 2027-06-01",), "are not in that order"),
        ((BATTERY % ", energised: 2030-01-01",), "after the plan"),
        ((BATTERY % "", "economics.tenure={kind: colocation}"), "nothing is built under tenure colocation"),
        ((BATTERY % ", price: battery-us-2022",), "did you mean 'battery-us-2023'"),
        ((BATTERY % ", dispatch: arbitrag",), "did you mean 'arbitrage'"),
        ((SOLAR % ", tilt: 30",), "did you mean 'tilt_deg'"),
    ],
)
def test_what_cannot_stand_is_refused_with_the_way_out(sets, says):
    with pytest.raises(InputError, match=says):
        pipeline.prepare(small(*sets))
