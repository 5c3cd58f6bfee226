"""Standby generators: sets that carry the site with one out, fuel by load, and what tests burn, cost and emit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import small

from dcsim import pipeline, runs
from dcsim.catalog.load import catalog
from dcsim.errors import InputError
from dcsim.physics.electrical import REDUNDANCY
from dcsim.physics.generators import Generators, fuel_l_per_h, fuel_of_tests_l_per_s, installed_w

CURVE = {
    name: catalog().row("electrical", "generator-diesel", name).value
    for name in ("fixed_l_per_kwh", "linear_l_per_kwh")
}


@pytest.mark.parametrize("redundancy", REDUNDANCY)
def test_sets_carry_the_site_with_one_block_out(redundancy):
    rating_w = installed_w(Generators(redundancy=redundancy), 1e6)
    assert rating_w == pytest.approx(1e6 * REDUNDANCY[redundancy].installed_over_required)
    assert installed_w(Generators(kind="none", redundancy=redundancy), 1e6) == 0.0


def test_fuel_of_an_energy_falls_as_the_load_rises_and_meets_the_points_of_the_fit():
    per_kwh = [fuel_l_per_h(1e6, u, **CURVE) / (1e3 * u) for u in (0.25, 0.5, 0.75, 1.0)]
    assert per_kwh == sorted(per_kwh, reverse=True)
    assert per_kwh == pytest.approx([0.342, 0.288, 0.271, 0.261], abs=0.002)


@given(st.floats(0, 100), st.floats(0, 1))
def test_a_year_of_tests_burns_its_hours(hours, load):
    part = Generators(test_h_per_year=hours, test_load_frac=load)
    year_l = fuel_of_tests_l_per_s(part, 1e6, **CURVE) * 8760 * 3600
    assert year_l == pytest.approx(hours * fuel_l_per_h(1.25e6, load, **CURVE), abs=1e-9)


def test_tests_are_paid_and_emit_and_change_no_other_figure(tmp_path):
    tested = runs.read(pipeline.run(small(), tmp_path / "a"))
    without = runs.read(pipeline.run(small("facility.generators.kind=none"), tmp_path / "b"))
    fuel_l = tested.intervals["generator_fuel_l"].sum()
    rating_mw = [phase["generators_mw"] for phase in tested.findings["phases"]]
    by_hand_l = sum(1e3 * mw * 24 * 0.5 * (0.0267 + 0.2345 * 0.3) for mw in rating_mw)
    assert fuel_l == pytest.approx(by_hand_l, rel=0.02)  # half a year each, but for a day or two
    assert tested.kpis["carbon_fuel_t"]["value"] == pytest.approx(2.697e-3 * fuel_l)
    paid = tested.ledger[tested.ledger["item"] == "generator fuel"]
    assert paid["quantity"].sum() == pytest.approx(fuel_l)
    assert (paid["amount_usd"] < 0).all()
    assert without.kpis["carbon_fuel_t"]["value"] == 0.0
    assert not (without.ledger["item"] == "generator fuel").any()
    for name in ("pue", "facility_energy_mwh", "carbon_t", "gpus_installed"):
        assert tested.kpis[name] == without.kpis[name]


def test_rubbish_is_refused():
    with pytest.raises(InputError, match="test_load_frac"):
        small("facility.generators.test_load_frac=1.5")
    with pytest.raises(InputError, match="diesel"):
        pipeline.prepare(small("site.diesel=heating-oil"))
