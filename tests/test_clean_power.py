"""Clean power under contract: what is left by year and by hour, what it costs, and profiles that are refused."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import small

from dcsim import pipeline, runs
from dcsim.clean_power import carbon_left_kg, supplies
from dcsim.climate import hour_of_year
from dcsim.errors import InputError

FLAT = "site.clean_power=[{name: hydro, capacity_mw: 0.3, certificate_usd_per_mwh: 4.0}]"
HOURS = st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=4, max_size=40)


def day(path, hours=8760, top=1.0):
    """A profile that is full from 8 to 16 h."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["capacity_frac"])
        rows.writerows([top if 8 <= hour % 24 < 16 else 0.0] for hour in range(hours))
    return f"[{{name: sun, capacity_mw: 1.5, profile: {path}, certificate_usd_per_mwh: 2.0}}]"


def ran(tmp_path, *sets):
    return runs.read(pipeline.run(small(*sets), tmp_path))


@given(HOURS, st.floats(0.01, 1))
def test_hours_never_match_more_than_years_and_neither_more_than_all(pairs, intensity):
    used, clean = np.array(pairs).T
    year = np.repeat([2027, 2028], (len(used) // 2, len(used) - len(used) // 2))
    factor = np.full(len(used), intensity)
    by_year, by_hour = carbon_left_kg(used, clean, factor, year)
    whole = used * factor
    assert (by_year >= 0).all()
    assert (by_hour >= 0).all()
    assert by_year.sum() <= by_hour.sum() + 1e-9
    assert by_hour.sum() <= whole.sum() + 1e-9
    for one in (2027, 2028):
        of = year == one
        assert by_year[of].sum() == pytest.approx(intensity * max(0.0, used[of].sum() - clean[of].sum()), abs=1e-9)


def test_excess_of_one_year_covers_no_other():
    by_year, _ = carbon_left_kg(np.ones(4), np.array([3.0, 1.0, 0.0, 0.0]), np.ones(4), np.array([1, 1, 2, 2]))
    np.testing.assert_array_equal(by_year, [0, 0, 1, 1])


def test_without_contracts_all_three_carbons_are_one(tmp_path):
    run = ran(tmp_path)
    assert run.kpis["carbon_market_t"]["value"] == pytest.approx(run.kpis["carbon_t"]["value"], rel=1e-12)
    assert run.kpis["carbon_hourly_t"]["value"] == pytest.approx(run.kpis["carbon_t"]["value"], rel=1e-12)
    assert run.kpis["clean_matched_frac"]["value"] == 0.0


def test_a_flat_contract_is_paid_as_delivered_and_leaves_location_based_carbon(tmp_path):
    plain, run = ran(tmp_path / "plain"), ran(tmp_path / "clean", FLAT)
    assert run.kpis["carbon_t"] == plain.kpis["carbon_t"]
    paid = run.ledger[run.ledger["item"] == "clean power: hydro"]
    assert len(paid) == 12
    assert paid["quantity"].sum() == pytest.approx(0.3 * 8760)
    assert paid["amount_usd"].sum() == pytest.approx(-4.0 * 0.3 * 8760)
    assert run.kpis["opex_usd_per_year"]["value"] - plain.kpis["opex_usd_per_year"]["value"] == pytest.approx(10_512)
    assert 0 < run.kpis["carbon_market_t"]["value"] < run.kpis["carbon_t"]["value"]


def test_sun_covers_the_year_and_not_the_night(tmp_path):
    run = ran(tmp_path, f"site.clean_power={day(tmp_path / 'sun.csv')}", "site.residual_mix_kg_per_kwh=0.5")
    delivered_mwh = 1.5 * 365 * 8
    used_mwh = run.kpis["facility_energy_mwh"]["value"]
    assert run.kpis["carbon_market_t"]["value"] == pytest.approx(0.5 * max(used_mwh - delivered_mwh, 0.0))
    night = run.intervals[run.intervals["clean_power_w"] == 0]
    assert len(night) == 365 * 16
    energy_kwh = night["facility_power_w"] * night["duration_s"] / 3.6e6
    np.testing.assert_allclose(night["carbon_hourly_kg"], 0.5 * energy_kwh)
    assert run.kpis["carbon_hourly_t"]["value"] == pytest.approx(0.5 * energy_kwh.sum() / 1e3)
    assert run.kpis["clean_matched_frac"]["value"] == pytest.approx(1 - energy_kwh.sum() / 1e3 / used_mwh)
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert "clean power sun" in manifest["inputs"]


def test_a_contract_delivers_between_its_days_alone():
    loaded = small(
        "site.clean_power=[{name: a, capacity_mw: 1, certificate_usd_per_mwh: 0, start: 2027-03-01, end: 2027-03-03}]"
    )
    (supply,) = supplies(loaded, 8760, 3600)
    assert np.flatnonzero(supply.power_w).tolist() == list(range(59 * 24, 61 * 24))


def test_leap_days_take_the_hours_of_the_day_before():
    start = small().scenario.plan.start.replace(year=2028)
    hours = hour_of_year(start, 8784, 3600, 8760)
    np.testing.assert_array_equal(hours[59 * 24 : 60 * 24], hours[58 * 24 : 59 * 24])
    assert hours[-1] == 8759


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hour,frac\n1,0.2\n", "no column capacity_frac"),
        ("capacity_frac\n" + "0.5\n" * 100, "holds 100 hours"),
        ("capacity_frac\n1.5\n" + "0.5\n" * 8759, "'1.5' is no share"),
        ("capacity_frac\nsunny\n" + "0.5\n" * 8759, "'sunny' is no share"),
        ("", "no column capacity_frac"),
    ],
)
def test_profiles_that_are_no_year_are_refused_with_their_faults(tmp_path, text, says):
    path = tmp_path / "profile.csv"
    path.write_text(text)
    loaded = small(f"site.clean_power=[{{name: a, capacity_mw: 1, profile: {path}, certificate_usd_per_mwh: 0}}]")
    with pytest.raises(InputError, match=says):
        supplies(loaded, 8760, 3600)


def test_a_profile_that_is_absent_and_days_that_are_swapped_are_refused():
    one = "name: a, capacity_mw: 1, certificate_usd_per_mwh: 0"
    with pytest.raises(InputError, match="is no file"):
        supplies(small(f"site.clean_power=[{{{one}, profile: no.csv}}]"), 10, 3600)
    with pytest.raises(InputError, match="swap or correct"):
        small(f"site.clean_power=[{{{one}, start: 2028-01-01, end: 2027-01-01}}]")
