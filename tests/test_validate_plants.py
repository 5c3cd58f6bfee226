"""Plants against published tables: what lies inside their bands, and what is said where there is no weather."""

import shutil

import pytest

from dcsim.validate.common import run, shipped_cases
from dcsim.validate.lei import SYSTEMS, predict
from dcsim.validate.pue import LEI_2022, LEI_2025
from dcsim.validate.sites import WEATHER_DIR, ZONES
from dcsim.validate.suites import SUITES


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
    assert any("climate alone does not predict" in text for text in found["findings"])


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
