"""Plants without a scenario: energy closes, months add up to the year, designs rank as physics says."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dcsim.errors import RangeError, UnknownNameError
from dcsim.physics.cooling import COOLING
from dcsim.study import plant as plants
from dcsim.study.cli import plant

DESIGNS = plants.designs()
KINDS = pytest.mark.parametrize("name", DESIGNS)


@pytest.fixture(scope="module")
def greensboro():
    return plants.at_site("greensboro-nc-tmy3")


def year(name, site, load=0.8, **stated):
    of = plants.stated(name, [f"{key}={value}" for key, value in stated.items()])
    return plants.plant_year(of, site.air, site.design_air, load, site="x", name=name)


@pytest.mark.parametrize("name", [name for name in DESIGNS if hasattr(DESIGNS[name].cooling, "chiller_curve")])
def test_a_plant_on_towers_takes_the_doe2_curve_for_cold_water_alone(name, greensboro):
    cold = {"chilled_water_supply_c": 7.0, "supply_air_temp_c": 20.0}
    if hasattr(DESIGNS[name].cooling, "facility_water_supply_c"):
        with pytest.raises(RangeError, match="DOE-2 curves hold"):
            year(name, greensboro, chiller_curve="doe2", **cold)
        return
    curve, carnot = (year(name, greensboro, chiller_curve=of, **cold) for of in ("doe2", "carnot"))
    # Colder condenser water than 24 degC earns nothing by the curve.
    assert curve.design_pue == pytest.approx(carnot.design_pue, abs=0.01)
    assert carnot.pue < curve.pue < carnot.pue + 0.08


def test_every_cooling_system_has_a_design():
    assert list(DESIGNS) == list(COOLING)


@KINDS
def test_energy_closes_in_every_hour(name, greensboro):
    found = year(name, greensboro)
    lighting_w = DESIGNS[name].lighting_frac * plants.IT_W
    heat_out = found.hours.heat_rejected_w + found.hours.heat_reused_w + found.losses.transformer_loss_w
    np.testing.assert_allclose(found.facility_w, heat_out, rtol=1e-9)
    assert sum(found.shares().values()) == pytest.approx(found.pue - 1.0, abs=1e-12)
    assert found.shares()["lighting"] == pytest.approx(lighting_w / found.it_w, rel=1e-6)


@KINDS
def test_months_are_the_year(name, greensboro):
    found = year(name, greensboro)
    months = found.monthly()
    days = np.array(plants.DAYS)
    assert (days * [row["pue"] for row in months]).sum() / 365 == pytest.approx(found.pue, rel=1e-12)
    assert (days * [row["wue_l_per_kwh"] for row in months]).sum() / 365 == pytest.approx(
        found.wue_l_per_kwh, abs=1e-12
    )
    assert {mode: sum(row[f"{mode}_h"] for row in months) for mode in plants.MODES} == found.mode_hours()
    assert sum(found.mode_hours().values()) == 8760


@KINDS
def test_the_design_hour_is_no_better_than_the_year(name, greensboro):
    found = year(name, greensboro, load=1.0)
    assert found.design_pue >= found.pue > 1.0
    assert found.hours.margin_frac.min() >= -1e-9


@KINDS
@pytest.mark.parametrize("site", ["us-ak-sand-point", "us-az-tucson", "in-mumbai"])
def test_a_plant_carries_its_design_load_in_any_climate(name, site):
    ready = plants.at_site(site)
    found = year(name, ready, load=1.0)
    assert found.hours.margin_frac.min() >= -1e-9
    assert 1.0 < found.pue < 1.6


def test_climates_rank_as_they_should(greensboro):
    cold, hot = plants.at_site("us-ak-sand-point"), plants.at_site("sg-singapore")
    for name in DESIGNS:
        if name != "water_cooled_chiller":  # without free cooling its compressors rest on the least lift
            assert year(name, cold).pue < year(name, greensboro).pue < year(name, hot).pue, name


def test_designs_rank_as_they_should(greensboro):
    pue = {name: year(name, greensboro).pue for name in DESIGNS}
    assert pue["water_cooled_economiser"] < pue["water_cooled_chiller"] < pue["direct_expansion"]
    assert pue["direct_liquid_dry_cooler"] < pue["rear_door"] < pue["water_cooled_economiser"]
    reuse = year("direct_liquid_heat_reuse", greensboro)
    assert reuse.ere < reuse.pue - 0.05


def test_outdoor_air_is_shut_out_of_humid_hours(greensboro):
    found = year("air_economiser_evaporative", greensboro)
    dew = np.asarray(greensboro.air.humidity_ratio)
    shut = found.hours.mode == 2
    assert dew[shut].min() > 0.8 * dew[~shut].max()
    never = year("air_economiser_evaporative", greensboro, recirculate_above_c=15.0)
    assert never.mode_hours()["mechanical"] > found.mode_hours()["mechanical"]


def test_evaporation_and_humidification_cost_water_and_save_power():
    ready = plants.at_site("us-az-tucson")
    wet, dry = (year("air_economiser_evaporative", ready, evaporative_eff_frac=eff) for eff in (0.9, 0.0))
    assert wet.wue_l_per_kwh > 0.2 > dry.wue_l_per_kwh == 0.0
    assert wet.pue < dry.pue
    humid = year("air_economiser_evaporative", ready, evaporative_eff_frac=0.0, min_dew_point_c=5.0)
    assert humid.wue_l_per_kwh > 0.05


def test_pads_help_dry_coolers_where_air_is_dry():
    ready = plants.at_site("us-az-tucson")
    with_pads, without = (year("direct_liquid_adiabatic", ready, pad_eff_frac=eff) for eff in (0.75, 0.0))
    assert with_pads.pue < without.pue
    assert with_pads.wue_l_per_kwh > 0.0 == without.wue_l_per_kwh


def test_the_convention_of_all_latent_towers_takes_more_water_and_no_power(greensboro):
    own = year("water_cooled_chiller", greensboro)
    table = year("water_cooled_chiller", greensboro, tower_evaporation="all_latent")
    assert table.pue == own.pue
    assert table.wue_l_per_kwh > 1.2 * own.wue_l_per_kwh


def test_years_from_normals_give_a_spread_that_holds_the_typical_year():
    of = DESIGNS["water_cooled_economiser"]
    ready = plants.at_site("us-nc-greensboro")
    typical = plants.plant_year(of, ready.air, ready.design_air, 0.8, site="x", name="y")
    spread = plants.between_years("us-nc-greensboro", of, 0.8, 12, 0)
    assert spread["pue"][0] < spread["pue"][1]
    assert spread["pue"][0] - 0.004 < typical.pue < spread["pue"][1] + 0.004


@pytest.mark.parametrize("load", [0.0, 1.1, -1.0])
def test_a_load_out_of_range_is_refused(load, greensboro):
    with pytest.raises(RangeError, match="it-load-frac"):
        year("rear_door", greensboro, load=load)


def test_unknown_names_are_refused(greensboro):
    with pytest.raises(UnknownNameError, match="did you mean 'rear_door'"):
        plants.stated("rear_dor", [])
    with pytest.raises(UnknownNameError, match="did you mean 'fan_pressure_pa'"):
        plants.stated("rear_door", ["fan_presure_pa=3"])
    with pytest.raises(RangeError, match="no number"):
        plants.stated("rear_door", ["fan_pressure_pa=high"])
    with pytest.raises(UnknownNameError, match="nor is it a file"):
        plants.at_site("atlantis", Path("atlantis.epw"))


def test_the_command_answers_ranks_and_lists():
    run = CliRunner().invoke
    one = run(plant, ["greensboro-nc-tmy3", "--design", "rear_door", "--json"])
    assert one.exit_code == 0, one.output
    record = json.loads(one.stdout)
    assert set(record["hours"]) == {"free", "partial", "mechanical"}
    assert len(record["monthly"]) == 12
    ranked = json.loads(run(plant, ["us-co-denver", "sg-singapore", "--compare", "--json"]).stdout)
    assert len(ranked) == 2 * len(DESIGNS)
    assert [r["pue"] for r in ranked] == sorted(r["pue"] for r in ranked)
    assert "greensboro-nc-tmy3" in run(plant, []).output
    assert run(plant, ["greensboro-nc-tmy3"]).exit_code == 2
    spread = run(plant, ["us-co-denver", "--design", "rear_door", "--draws", "4"])
    assert "eight years in ten" in spread.output
