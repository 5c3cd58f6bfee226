"""Plants against published tables: what lies inside their bands, and what is said where there is no weather."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from dcsim.finance.items import CONVENTIONS
from dcsim.physics import towers
from dcsim.physics.cooling_air import WaterCooledChiller, WaterCooledEconomiser
from dcsim.physics.plant import Outdoor
from dcsim.study.plant import Design, at_site, plant_year
from dcsim.validate import second_model
from dcsim.validate.common import ABSENT, run, shipped_cases
from dcsim.validate.lei import SYSTEMS, predict
from dcsim.validate.pue import LEI_2022, LEI_2025, PRESETS, own_overhead, reported
from dcsim.validate.sites import WEATHER_DIR, ZONES
from dcsim.validate.suites import SUITES
from dcsim.validate.table import markdown


def result(name, reference, monkeypatch):
    path = reference(f"cases/{LEI_2025}")
    monkeypatch.setenv("DCSIM_DATA_DIR", str(path.parent.parent))
    return run(name, SUITES[name], shipped_cases(name, SUITES[name]))


def inside(found, *names):
    parts = [part for part in found["parts"] if part["name"] in names and not part["held_out"] and "n_banded" in part]
    total = sum(part["n_banded"] for part in parts)
    return sum(part["inside_frac"] * part["n_banded"] for part in parts) / total, total


def test_pue_of_systems_with_published_parameters_lies_inside_the_published_bands(reference, monkeypatch):
    found = result("pue", reference, monkeypatch)
    share, cells = inside(found, "Lei 2025, systems 0, 1, 2 and 5", "Lei and Masanet 2022, systems 1, 2 and 5")
    assert cells >= 46
    assert share >= 0.95
    (finding,) = (text for text in found["findings"] if "climate alone does not predict" in text)
    # Every report repeats these figures.
    (convention,) = (text for text in CONVENTIONS if "Climate alone" in text)
    assert re.search(r"of (\d+) region-years .* by (\d\.\d+)", finding).groups() == tuple(
        re.search(r"of (\d+) region-years .* by (\d\.\d+)", convention).groups()
    )


def test_an_operators_constant_is_fitted_without_the_region_that_it_predicts(reference, monkeypatch):
    found = result("pue", reference, monkeypatch)
    fitted = [part for part in found["parts"] if part["name"].endswith(", fitted")]
    assert len(fitted) == len(PRESETS)
    assert all(part["held_out"] for part in fitted)
    for provider in PRESETS:
        rows = reported(provider)
        region = rows[0][0]
        others = [published - ours for name, ours, published in rows if name != region]
        assert own_overhead(provider, region) == pytest.approx(sum(others) / len(others))


def test_water_lies_inside_by_the_tables_convention_and_is_printed_by_ours(reference, monkeypatch):
    found = result("water", reference, monkeypatch)
    share, cells = inside(found, "systems 0, 1, 2 and 5")
    assert cells >= 46
    assert share >= 0.90
    assert [part["held_out"] for part in found["parts"]].count(True) == 1


def test_a_band_alone_has_no_error_and_says_whether_it_holds_the_prediction(reference, monkeypatch):
    found = result("pue", reference, monkeypatch)
    rows = [row for row in found["rows"] if row["case_id"].startswith(LEI_2022.removesuffix(".csv"))]
    assert {row["published"] for row in rows} == {None}
    assert {row["error_pct"] for row in rows} == {None}
    assert {row["inside"] for row in rows} == {True, False, None}
    for row in rows:
        assert ("reason" in row) == (row["predicted"] is None)


def test_a_zone_without_weather_is_predicted_only_with_weather_of_its_own(reference, monkeypatch, tmp_path):
    found = result("pue", reference, monkeypatch)
    missing = [row for row in found["rows"] if "zone 6A" in row.get("reason", "")]
    assert missing
    assert all("--weather-dir" in row["reason"] for row in missing)
    shutil.copy(reference("weather/USA_IL_Chicago.OHare.epw.gz"), tmp_path / "6A-stands-for-nothing-real.epw.gz")
    monkeypatch.setenv(WEATHER_DIR, str(tmp_path))
    again = result("pue", reference, monkeypatch)
    assert not [row for row in again["rows"] if "zone 6A" in row.get("reason", "")]


@pytest.mark.parametrize("number", SYSTEMS)
def test_every_system_is_predicted_where_weather_ships(number):
    for zone in ("1A", "4A"):
        assert zone in ZONES
        pue, wue = predict(str(number), zone)
        assert 1.0 < pue < 2.5
        _, table = predict(str(number), zone, all_latent=True)
        assert table >= wue >= 0.0


def test_reference_designs_agree_with_a_second_model_and_stay_out_of_the_table_of_accuracy(reference, monkeypatch):
    path = reference(second_model.FILE)
    monkeypatch.setenv("DCSIM_DATA_DIR", str(path.parent.parent))
    found = second_model.pairs(path)
    assert {pair.design for pair in found} == set(second_model.DESIGNS)
    assert len(found) == len(second_model.DESIGNS) * len(second_model.PLACES)
    for pair in found:
        assert pair.ours.pue == pytest.approx(pair.pue, abs=0.02), (pair.site, pair.design)
        assert pair.ours.wue_l_per_kwh == pytest.approx(pair.wue_l_per_kwh, abs=max(0.15 * pair.wue_l_per_kwh, 0.03)), (
            pair.site,
            pair.design,
        )
    checks = second_model.cross_check()
    assert len(checks) == len(second_model.DESIGNS)
    assert not set(checks) & set(markdown([result("pue", reference, monkeypatch)]).splitlines())


def test_towers_that_stay_4_k_above_the_wet_bulb_explain_the_compressors_of_the_economiser(reference, monkeypatch):
    path = reference(second_model.FILE)
    monkeypatch.setenv("DCSIM_DATA_DIR", str(path.parent.parent))

    def apart():
        found = [pair for pair in second_model.pairs(path) if pair.design == "R2"]
        return [pair.ours.shares()["compressors"] - pair.compressors for pair in found]

    assert min(apart()) > 0.006
    monkeypatch.setattr(towers, "approach_k", lambda wet, range_k, ratio=1.0: np.full(np.shape(wet), 4.0))
    np.testing.assert_allclose(apart(), 0.0, atol=0.001)


@pytest.mark.parametrize("economiser", [False, True])
def test_condensers_that_take_no_cold_water_cost_power_in_the_cold_alone(economiser):
    part = (WaterCooledEconomiser if economiser else WaterCooledChiller)(chilled_water_supply_c=10.0)
    wet_c = np.array([-5.0, 2.0, 10.0, 24.0])
    ready = at_site("greensboro-nc-tmy3")
    air = Outdoor(wet_c + 1.0, wet_c, np.full(4, 0.002), np.full(4, 101325.0))
    by = {
        least: plant_year(
            Design(replace(part, condenser_water_min_c=least)), air, ready.design_air, 0.8, site="", name=""
        )
        for least in (0.0, 22.0)
    }
    more_w = by[22.0].hours.chiller_w - by[0.0].hours.chiller_w
    assert more_w[-1] == 0.0
    assert (more_w[:-1] >= 0.0).all()
    assert more_w[2] > 0.0
    # Without an economiser fans slow down; with one a valve by-passes the condensers and the fans run on.
    slower = by[22.0].hours.rejection_w[:2] < 0.5 * by[0.0].hours.rejection_w[:2]
    assert slower.all() != economiser


def test_frontier_and_esif_lie_within_two_hundredths_from_their_loads_and_water(monkeypatch, tmp_path):
    monkeypatch.setenv("DCSIM_DATA_DIR", str(tmp_path))
    found = run("pue", SUITES["pue"], shipped_cases("pue", SUITES["pue"]))
    rows = {row["case_id"]: row for row in found["rows"]}
    assert set(rows) == {"frontier-2023", "esif"}
    for row in rows.values():
        assert not row["in_sample"]
        assert row["predicted"] == pytest.approx(row["published"], abs=0.02)
    assert any(text.startswith(ABSENT) for text in found["findings"])


def test_a_supercomputer_without_weather_has_a_reason(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text(
        "it_mean_mw,it_design_mw,facility_water_c,facility_water_rise_k,liquid_frac,weather,pue\n"
        "5,10,30,8,1.0,zone 8,1.05\n5,10,30,8,1.0,atlantis,1.05\n50,10,30,8,1.0,us-co-denver,1.05\n"
    )
    rows = run("pue", SUITES["pue"], [path])["rows"]
    assert [row["predicted"] for row in rows] == [None] * 3
    for row, says in zip(rows, ("zone 8", "atlantis", "at most 1"), strict=True):
        assert says in row["reason"]
