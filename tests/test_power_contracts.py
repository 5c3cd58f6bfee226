"""Contracts of power: what physical ones take off the tariff, what virtual ones settle, and ones that are refused."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import small

from dcsim import pipeline, runs
from dcsim.errors import InputError
from dcsim.finance.contract_months import contract_months, yearly_rise
from dcsim.ppa import contracted, used_w

FLAT = "{kind: physical, name: hydro, capacity_mw: 0.3, usd_per_mwh: 50.0%s}"
CFD = "{kind: virtual, name: wind, capacity_mw: 2.0, strike_usd_per_mwh: 30.0%s}"
HOURS = 8760


def year(path, column, values):
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([column])
        rows.writerows([value] for value in values)
    return path


def laid(*ppas, **others):
    """Contracts of a small plan over its year."""
    loaded = small(f"site.ppas=[{', '.join(ppas)}]", *others.get("sets", ()))
    return contracted(loaded, HOURS, 3600, others.get("solar", lambda place: np.ones(HOURS)))


def months(found, grid_mw):
    """A year of months of contracts against a flat or given draw."""
    duration = np.full(HOURS, 3600.0)
    month = np.repeat(np.arange(12), np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) * 24)
    return contract_months(found, np.broadcast_to(np.asarray(grid_mw) * 1e6, (HOURS,)), duration, month)


def opex(run):
    """Quantity and amount of the operating cost by item."""
    rows = run.ledger[run.ledger["category"] == "opex"]
    return rows.groupby("item")[["quantity", "amount_usd"]].sum()


def ran(folder, *sets):
    return runs.read(pipeline.run(small(*sets), folder))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return ran(tmp_path_factory.mktemp("plain"))


def test_without_contracts_the_tariff_sells_what_the_facility_uses(plain):
    assert (plain.intervals["grid_power_w"] == plain.intervals["facility_power_w"]).all()
    assert (plain.intervals["ppa_power_w"] == 0).all()


def test_a_physical_contract_takes_energy_off_the_tariff_and_leaves_demand(plain, tmp_path):
    profile = year(tmp_path / "day.csv", "capacity_frac", [float(8 <= hour % 24 < 16) for hour in range(HOURS)])
    ppa = (
        f"{{kind: physical, name: sun, capacity_mw: 1.5, usd_per_mwh: 40.0, profile: {profile}, "
        "sleeve_usd_per_mwh: 3.0, surplus_usd_per_mwh: 12.0, still_billed: [other riders]}"
    )
    run = ran(tmp_path, f"site.ppas=[{ppa}]")
    at = run.intervals
    day = np.array([8 <= hour % 24 < 16 for hour in range(HOURS)])
    expected = np.where(day, np.minimum(1.5e6, at["facility_power_w"]), 0.0)
    np.testing.assert_array_equal(at["ppa_power_w"], expected)
    np.testing.assert_array_equal(at["grid_power_w"], plain.intervals["grid_power_w"])
    used_mwh = expected.sum() / 1e6
    generated_mwh = 1.5 * 8 * 365
    before, after = opex(plain), opex(run)
    # The top-up pays generation and fuel; riders that are still billed, and demand, stay as they were.
    fuel = "electricity energy: fuel rider A"
    assert after.loc[fuel, "quantity"] == pytest.approx(before.loc[fuel, "quantity"] - 1e3 * used_mwh)
    kept = [item for item in before.index if item.startswith("electricity demand")] + [
        "electricity energy: other riders",
        "electricity fixed: customer",
    ]
    for item in kept:
        assert after.loc[item].tolist() == before.loc[item].tolist()
    assert after.loc["electricity PPA: sun", "amount_usd"] == pytest.approx(-40.0 * generated_mwh)
    assert after.loc["electricity PPA sleeve: sun", "amount_usd"] == pytest.approx(-3.0 * used_mwh)
    assert after.loc["electricity PPA surplus: sun", "amount_usd"] == pytest.approx(12.0 * (generated_mwh - used_mwh))
    # Location-based carbon follows the meter; the certificates count as contracts of clean power do.
    assert run.kpis["carbon_t"] == plain.kpis["carbon_t"]
    np.testing.assert_allclose(at["clean_power_w"], np.where(day, 1.5e6, 0.0))
    assert run.kpis["clean_matched_frac"]["value"] == pytest.approx(used_mwh * 1e6 / at["facility_power_w"].sum())
    assert run.kpis["carbon_hourly_t"]["value"] < run.kpis["carbon_t"]["value"]
    assert "power contract sun" in json.loads((run.folder / "manifest.json").read_text())["inputs"]


def test_contracts_are_used_in_the_order_stated():
    first, second = FLAT % "", "{kind: physical, name: gas, capacity_mw: 0.5, usd_per_mwh: 60.0}"
    found = laid(first, second)
    hydro, gas = used_w(found, np.full(HOURS, 0.6e6))
    assert set(hydro) == {0.3e6}
    assert set(gas) == {0.3e6}
    of = months(found, 0.6)
    assert of[0].used_mwh.sum() == pytest.approx(0.3 * HOURS)
    assert (of[1].generated_mwh - of[1].used_mwh).sum() == pytest.approx(0.2 * HOURS)


@given(st.lists(st.floats(0, 10), min_size=2, max_size=20), st.floats(0, 5), st.floats(0, 5))
def test_no_contract_gives_more_than_it_generates_nor_all_more_than_the_meter(draw_mw, one_mw, other_mw):
    hydro, gas = laid(FLAT % "", "{kind: physical, name: gas, capacity_mw: 0.5, usd_per_mwh: 60.0}")
    grid = np.array(draw_mw) * 1e6
    n = len(grid)
    sized = [
        type(of)(of.contract, np.full(n, mw * 1e6)) for of, mw in zip((hydro, gas), (one_mw, other_mw), strict=True)
    ]
    used = used_w(sized, grid)
    assert all((taken <= of.power_w).all() and (taken >= 0).all() for taken, of in zip(used, sized, strict=True))
    np.testing.assert_allclose(sum(used), np.minimum(grid, (one_mw + other_mw) * 1e6), rtol=1e-12, atol=1e-6)


def test_what_is_not_taken_is_not_paid_without_take_or_pay(tmp_path):
    run = ran(tmp_path, f"site.ppas=[{FLAT % ', take_or_pay: false'}]")
    used = run.intervals["ppa_power_w"].sum() / 1e6
    assert opex(run).loc["electricity PPA: hydro", "quantity"] == pytest.approx(used)
    assert "electricity PPA surplus: hydro" not in opex(run).index
    np.testing.assert_array_equal(run.intervals["clean_power_w"], run.intervals["ppa_power_w"])


def test_without_certificates_no_power_is_clean():
    (one,) = laid(FLAT % ", certificates: false")
    assert (one.certified_w(one.power_w) == 0).all()


def test_a_price_rises_at_each_anniversary_of_its_contract(tmp_path):
    np.testing.assert_allclose(yearly_rise(0.02, np.array([-3, 0, 11, 12, 25])), [1, 1, 1, 1.02, 1.02**2])
    sets = ("plan.years=2", f"site.ppas=[{FLAT % ', escalation_frac_per_year: 0.02, start: 2027-04-01'}]")
    run = ran(tmp_path, *sets)
    rows = run.ledger[run.ledger["item"] == "electricity PPA: hydro"].set_index("month")
    assert len(rows) == 21
    assert rows.loc["2028-03", "unit_price_usd"] == 50.0
    assert rows.loc["2028-04", "unit_price_usd"] == pytest.approx(51.0)
    assert rows.loc["2027-04", "quantity"] == pytest.approx(0.3 * 720)


def test_a_virtual_contract_settles_the_difference_by_hand(plain, tmp_path):
    run = ran(tmp_path, f"site.ppas=[{CFD % ', hub_usd_per_mwh: 41.0, basis_usd_per_mwh: -2.0'}]")
    got = opex(run)
    settled = [item for item in got.index if item.startswith("electricity virtual PPA")]
    assert len(settled) == 3
    assert got.loc[settled, "amount_usd"].sum() == pytest.approx(2.0 * HOURS * (41.0 - 2.0 - 30.0))
    # It moves no power, and the bill stays as it was.
    assert (run.intervals["ppa_power_w"] == 0).all()
    lines = [item for item in opex(plain).index if item.startswith("electricity")]
    assert got.loc[lines].equals(opex(plain).loc[lines])
    assert (run.intervals["clean_power_w"] == 2e6).all()
    assert run.kpis["opex_usd_per_year"]["value"] < plain.kpis["opex_usd_per_year"]["value"]


def test_the_hub_pays_each_hour_its_price(tmp_path):
    # Wind blows at night, when the hub pays 20; by day it pays 60 and at noon of every day it falls to -10.
    hour = np.arange(HOURS) % 24
    prices = year(tmp_path / "hub.csv", "usd_per_mwh", np.where(hour == 12, -10.0, np.where(hour < 8, 20.0, 60.0)))
    shape = year(tmp_path / "wind.csv", "capacity_frac", np.where(hour < 8, 1.0, np.where(hour == 12, 0.5, 0.0)))
    base = f", profile: {shape}, hub_prices: {prices}"
    (all_hours,) = months(laid(CFD % base), 1.0)
    assert all_hours.settled_mwh.sum() == pytest.approx(365 * (8 + 0.5) * 2)
    assert all_hours.hub_usd.sum() == pytest.approx(365 * 2 * (8 * 20.0 - 0.5 * 10.0))
    (floored,) = months(laid(CFD % f"{base}, floor_usd_per_mwh: 0.0"), 1.0)
    assert floored.settled_mwh.sum() == pytest.approx(365 * 8 * 2)
    assert floored.hub_usd.sum() == pytest.approx(365 * 2 * 8 * 20.0)
    # Scaled to twice the mean, every price doubles.
    mean = (8 * 20 + 15 * 60 - 10) / 24
    (scaled,) = months(laid(CFD % f"{base}, hub_usd_per_mwh: {2 * mean}"), 1.0)
    assert scaled.hub_usd.sum() == pytest.approx(2 * all_hours.hub_usd.sum())


def test_a_hub_rises_with_the_years_of_the_plan():
    loaded = small("plan.years=2", f"site.ppas=[{CFD % ', hub_usd_per_mwh: 40.0, hub_rise_frac_per_year: 0.1'}]")
    n = 2 * HOURS + 24
    found = contracted(loaded, n, 3600, lambda place: np.ones(HOURS))
    month = np.minimum(np.arange(n) // 730, 23)
    (of,) = contract_months(found, np.zeros(n), np.full(n, 3600.0), month)
    np.testing.assert_allclose(of.hub_usd / of.settled_mwh, [40.0] * 12 + [44.0] * 12)


def test_a_solar_contract_follows_the_sites_own_weather(tmp_path):
    ppa = "{kind: physical, name: sun, capacity_mw: 0.4, usd_per_mwh: 45.0, profile: solar}"
    run = ran(tmp_path, f"site.ppas=[{ppa}]")
    power = run.intervals["ppa_power_w"].to_numpy().reshape(365, 24)
    assert (power[:, [0, 1, 2, 3, 22, 23]] == 0).all()
    # A plant on trackers at Greensboro makes a fifth to a quarter of its AC rating.
    assert 0.19 < power.mean() / 0.4e6 < 0.25
    assert power[152:243].mean() > 1.3 * power[[*range(31), *range(334, 365)]].mean()
    with pytest.raises(InputError, match=r"ppas\[0\].profile: .*holds no radiation.*EPW, TMY3 or TMY2"):
        pipeline.prepare(small(f"site.ppas=[{ppa}]", "site.weather=us-co-denver"))


@pytest.mark.parametrize(
    ("ppa", "says"),
    [
        (FLAT % ", take_or_pay: false, surplus_usd_per_mwh: 5.0", "not the site's to sell"),
        (FLAT % ", start: 2028-01-01, end: 2027-01-01", "swap or correct"),
        (f"{FLAT % ''}, {FLAT % ''}", "two share a name"),
        (CFD % "", "needs a price of the hub"),
        ("{kind: fysical, name: a, capacity_mw: 1}", "did you mean 'physical'"),
        (FLAT % ", strike: 3", "strike"),
    ],
)
def test_contracts_that_contradict_themselves_are_refused(ppa, says):
    with pytest.raises(InputError, match=says):
        small(f"site.ppas=[{ppa}]")


def test_files_and_lines_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(InputError, match="is no file: name a CSV with a column capacity_frac"):
        laid(FLAT % ", profile: no.csv")
    with pytest.raises(InputError, match="is no file: name a CSV with a column usd_per_mwh"):
        laid(CFD % ", hub_prices: no.csv")
    cheap = year(tmp_path / "cheap.csv", "usd_per_mwh", [-1.0] * HOURS)
    with pytest.raises(InputError, match="cannot be scaled; leave out hub_usd_per_mwh"):
        laid(CFD % f", hub_prices: {cheap}, hub_usd_per_mwh: 30.0")
    wrong = year(tmp_path / "wrong.csv", "usd_per_mwh", ["dear"] + [1.0] * (HOURS - 1))
    with pytest.raises(InputError, match="'dear' is no price from"):
        laid(CFD % f", hub_prices: {wrong}")
    with pytest.raises(InputError, match="did you mean 'other riders'"):
        pipeline.prepare(small(f"site.ppas=[{FLAT % ', still_billed: [other rider]'}]"))
