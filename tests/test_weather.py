"""Weather files: what is refused, what is repaired, and that both say so."""

import gzip
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcsim.catalog.normals import BETWEEN_YEARS_K, MONTH, sites
from dcsim.catalog.weather import _checked, from_normals, read, stations, weather
from dcsim.climate import climate, design_hour, outdoor_year
from dcsim.errors import InputError, UnknownNameError
from dcsim.physics.psychrometrics import saturation_pressure_pa

GREENSBORO = Path(str(files("pvlib"))) / "data" / "723170TYA.CSV"


@pytest.fixture(scope="module")
def year():
    return weather("greensboro-nc-tmy3", lambda: Path("unused"))


@pytest.mark.parametrize("key", stations())
def test_every_shipped_station_is_whole(key):
    assert weather(key, lambda: Path("unused")).hours == 8760


def test_the_year_is_the_published_one(year):
    # NREL TMY3 723170: 273 m, hottest hour 35.6 degC; monthly means of the station's January and July.
    assert (year.hours, year.elevation_m, year.utc_offset_h) == (8760, 273.0, -5.0)
    assert year.dry_bulb_c.max() == 35.6
    assert year.dry_bulb_c[:744].mean() == pytest.approx(0.33, abs=0.01)
    assert year.dry_bulb_c[4344:5088].mean() == pytest.approx(25.43, abs=0.01)
    assert year.notes == ()


@pytest.mark.parametrize("name", ["USA_VA_Leesburg.Exec", "USA_WA_Seattle-Tacoma", "USA_AZ_Phoenix-Sky.Harbor"])
def test_epw_files_are_read_and_their_faults_named(reference, name):
    result = read(reference(f"weather/{name}.epw.gz"), "x")
    assert result.hours == 8760
    assert result.dew_point_c.max() <= 30.0
    if "Phoenix" in name:
        # The file holds hours with a false wet bulb of 33 degC; those with dew points above 30 degC can be told.
        assert any("dew point above 30 degC were rejected" in note for note in result.notes)
        assert outdoor_year(result, 3600).wet_bulb_c.max() < 31


def lines():
    return GREENSBORO.read_text().split("\n")


def write(tmp_path, text, name="w.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("keep", [100, 8000, 8761])
def test_a_short_year_is_refused(tmp_path, keep):
    with pytest.raises(InputError, match="a year has 8760 or 8784"):
        read(write(tmp_path, "\n".join(lines()[: keep + 2 - 2]) + "\n"), "x")


def test_gzip_is_read_and_a_truncated_one_refused(tmp_path):
    packed = gzip.compress(GREENSBORO.read_bytes())
    assert read(write(tmp_path, packed), "x").hours == 8760
    with pytest.raises(InputError, match="damaged or truncated"):
        read(write(tmp_path, packed[:5000]), "x")


def frame(year):
    return pd.DataFrame(
        {"temp_air": year.dry_bulb_c.copy(), "temp_dew": year.dew_point_c.copy(), "pressure": year.pressure_pa.copy()}
    )


def check(data):
    notes, problems = [], []
    columns = _checked(data, 273.0, notes, problems)
    return columns, notes, problems


def test_a_few_bad_hours_are_interpolated_and_counted(year):
    data = frame(year)
    data.loc[100:102, "temp_dew"] = 33.0
    data.loc[500, "temp_air"] = 99.9
    data.loc[700, "temp_dew"] = data.loc[700, "temp_air"] + 3
    (dry, dew, _), notes, problems = check(data)
    assert problems == []
    assert any("3 hours with a dew point above 30" in note for note in notes)
    assert any("1 hours with a dew point above the dry bulb" in note for note in notes)
    assert dry[500] == pytest.approx((dry[499] + dry[501]) / 2)
    assert np.isfinite(dew).all()
    assert (dew <= dry).all()


@pytest.mark.parametrize("hours", [30, 400])
def test_a_long_gap_is_refused(year, hours):
    data = frame(year)
    data.loc[1000 : 1000 + hours, "temp_air"] = np.nan
    _, _, problems = check(data)
    assert any("missing or rejected" in problem for problem in problems)


def test_constant_humidity_is_refused(year):
    data = frame(year)
    data["temp_dew"] = 5.0
    assert any("never changes" in problem for problem in check(data)[2])


def test_a_stuck_sensor_is_refused(year):
    data = frame(year)
    data.loc[2000:2100, "temp_dew"] = -3.0
    assert any("stands still" in problem for problem in check(data)[2])


def test_missing_pressure_becomes_that_of_the_altitude(year):
    data = frame(year)
    data["pressure"] = 999_999.0
    (_, _, pressure), notes, problems = check(data)
    assert problems == []
    assert pressure[0] == pytest.approx(98_090, abs=50)  # 273 m of the standard atmosphere
    assert any("273 m altitude" in note for note in notes)


def test_an_unknown_station_names_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'us-nc-greensboro'"):
        weather("greensboro", lambda: tmp_path / "greensboro")


def test_hourly_air_is_the_files_own_and_finer_air_lies_between(year):
    hourly, fine = outdoor_year(year, 3600), outdoor_year(year, 300)
    assert (hourly.dry_bulb_c == year.dry_bulb_c).all()
    assert len(fine.dry_bulb_c) == 12 * 8760
    assert fine.dry_bulb_c.min() >= hourly.dry_bulb_c.min()
    assert fine.dry_bulb_c.max() <= hourly.dry_bulb_c.max()
    assert fine.dry_bulb_c.mean() == pytest.approx(hourly.dry_bulb_c.mean(), abs=1e-3)


def test_a_leap_day_repeats_the_day_before(year):
    import datetime

    days = climate(year, datetime.date(2028, 1, 1), 366 * 24, 3600).row.reshape(366, 24)
    assert (days[59] == days[58]).all()  # 29 February
    assert days[60, 0] == 59 * 24  # 1 March is the typical year's own
    assert days[365, 23] == 8759


def test_the_design_hour_is_the_hottest_with_its_margin(year):
    design = design_hour(year, 2.0)
    assert design.dry_bulb_c[0] == pytest.approx(37.6)
    assert design.wet_bulb_c[0] == pytest.approx(outdoor_year(year, 3600).wet_bulb_c.max() + 2.0)


def test_miami_of_1961_to_1990_is_read_from_its_tmy2_file():
    result = weather("miami-fl-tmy2", lambda: Path("unused"))
    assert (result.hours, result.elevation_m) == (8760, 2.0)
    # Its monthly normals, taken from the same hours by another program, have January at 19.99 and 15.15 degC.
    assert result.dry_bulb_c[:744].mean() == pytest.approx(19.99, abs=0.02)
    assert result.dew_point_c[:744].mean() == pytest.approx(15.15, abs=0.05)


@pytest.mark.parametrize("humidity", ["dew_point_c", "rel_hum_frac"])
def test_a_plain_csv_is_a_weather_year(tmp_path, year, humidity):
    columns = {"dry_bulb_c": year.dry_bulb_c, "dew_point_c": year.dew_point_c, "pressure_pa": year.pressure_pa}
    if humidity == "rel_hum_frac":
        dew = columns.pop("dew_point_c")
        columns["rel_hum_frac"] = saturation_pressure_pa(dew) / saturation_pressure_pa(year.dry_bulb_c)
    path = tmp_path / "year.csv"
    path.write_text("# elevation_m: 273\n# utc_offset_h: -5\n" + pd.DataFrame(columns).to_csv(index=False))
    result = weather(str(path), lambda: path)
    assert (result.hours, result.elevation_m, result.utc_offset_h) == (8760, 273.0, -5.0)
    np.testing.assert_allclose(result.dew_point_c, year.dew_point_c, atol=0.02)


@pytest.mark.parametrize("key", sites())
def test_a_year_from_normals_has_their_means_and_is_sized_on_the_record(key):
    of, made = sites()[key], from_normals(key)
    month = np.repeat(MONTH, 24)
    for values, normals, within in (
        (made.dry_bulb_c, of.dry_bulb_mean_c, 0.5),
        (made.dew_point_c, of.dew_point_mean_c, 0.6),
    ):
        means = np.bincount(month, values) / np.bincount(month)
        np.testing.assert_allclose(means, normals, atol=within)
    assert (made.dew_point_c <= made.dry_bulb_c).all()
    design = design_hour(made, 0.0)
    assert design.wet_bulb_c[0] >= of.wet_bulb_max_c
    assert any("not for peaks" in note for note in made.notes)


def test_years_among_many_differ_as_years_do():
    typical = from_normals("us-nc-greensboro")
    means = [from_normals("us-nc-greensboro", draw=draw).dry_bulb_c.mean() for draw in range(40)]
    assert np.std(means) == pytest.approx(BETWEEN_YEARS_K, rel=0.35)
    assert np.mean(means) == pytest.approx(typical.dry_bulb_c.mean(), abs=0.25)
    again = from_normals("us-nc-greensboro", draw=3)
    assert again.dry_bulb_c.mean() == means[3]


def test_a_year_from_normals_is_near_the_file_that_they_came_from(year):
    made, real = (outdoor_year(w, 3600).wet_bulb_c for w in (from_normals("us-nc-greensboro"), year))
    assert np.mean(made) == pytest.approx(np.mean(real), abs=0.1)
    assert np.quantile(made, 0.996) == pytest.approx(np.quantile(real, 0.996), abs=1.5)
