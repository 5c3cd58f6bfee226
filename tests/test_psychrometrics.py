import numpy as np
import psychrolib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import RangeError
from dcsim.physics import psychrometrics as air

psychrolib.SetUnitSystem(psychrolib.SI)
TEMPS, RELATIVE, PRESSURES = st.floats(-30, 50), st.floats(0.02, 1.0), st.floats(60_000, 105_000)
# Within this of 0 degC the equations over water and over ice both have a root, and tools take different ones.
ICE_BAND_K = 0.8


@given(TEMPS, RELATIVE, PRESSURES)
def test_wet_bulb_equals_psychrolib_away_from_the_ice_point(dry, relative, pressure):
    ours = float(air.wet_bulb_c(dry, air.humidity_ratio_from_rel_hum(dry, relative, pressure), pressure))
    theirs = psychrolib.GetTWetBulbFromRelHum(dry, relative, pressure)
    if min(abs(ours), abs(theirs)) > ICE_BAND_K:
        assert ours == pytest.approx(theirs, abs=0.001)


@given(TEMPS, RELATIVE, PRESSURES)
def test_humidity_pressure_and_enthalpy_equal_psychrolib(dry, relative, pressure):
    ratio = air.humidity_ratio_from_rel_hum(dry, relative, pressure)
    assert float(ratio) == pytest.approx(psychrolib.GetHumRatioFromRelHum(dry, relative, pressure), rel=1e-9)
    assert float(air.saturation_pressure_pa(dry)) == pytest.approx(psychrolib.GetSatVapPres(dry), rel=1e-9)
    assert float(air.enthalpy_j_kg(dry, ratio)) == pytest.approx(
        psychrolib.GetMoistAirEnthalpy(dry, float(ratio)), abs=1e-6
    )


@given(TEMPS, RELATIVE, PRESSURES)
def test_wet_bulb_lies_between_dew_point_and_dry_bulb(dry, relative, pressure):
    ratio = air.humidity_ratio_from_rel_hum(dry, relative, pressure)
    wet, dew = float(air.wet_bulb_c(dry, ratio, pressure)), float(air.dew_point_c(np.maximum(ratio, 1e-6), pressure))
    assert dew - (ICE_BAND_K if abs(wet) < ICE_BAND_K else 1e-3) <= wet <= dry


@given(st.floats(-30, 40), st.floats(0, 20), PRESSURES)
def test_humidity_from_wet_bulb_gives_the_wet_bulb_back(wet, depression, pressure):
    ratio = air.humidity_ratio_from_wet_bulb(wet + depression, wet, pressure)
    if ratio > 1e-6 and abs(wet) > ICE_BAND_K:
        assert float(air.wet_bulb_c(wet + depression, ratio, pressure)) == pytest.approx(wet, abs=1e-6)


@given(st.floats(-50, 50), PRESSURES)
def test_dew_point_gives_the_dew_point_back(dew, pressure):
    back = float(air.dew_point_c(air.humidity_ratio_from_dew_point(dew, pressure), pressure))
    # Pressures over ice and over water differ by 0.01 % where they meet, at 0.01 degC.
    assert back == pytest.approx(dew, abs=2e-3 if abs(dew) < 0.1 else 1e-6)


@given(st.floats(-30, 45), PRESSURES)
def test_saturated_air_of_an_enthalpy_has_that_enthalpy(temp, pressure):
    enthalpy = air.enthalpy_j_kg(temp, air.humidity_ratio_from_dew_point(temp, pressure))
    assert float(air.saturated_temp_c(enthalpy, pressure)) == pytest.approx(temp, abs=1e-4 if abs(temp) > 0.1 else 1e-2)


def test_at_the_ice_point_water_is_taken_where_it_has_a_root_of_at_least_zero():
    # 9.13 degC, 12.5 % and 80,590 Pa: the root over water is +0.06 degC, the one over ice -0.52 degC.
    at = (9.1307, 0.124756, 80_590.0)
    ours = float(air.wet_bulb_c(at[0], air.humidity_ratio_from_rel_hum(*at), at[2]))
    assert 0 < ours < 0.1
    assert psychrolib.GetTWetBulbFromRelHum(*at) < -0.5


def test_wet_bulb_rises_with_humidity_through_the_ice_point():
    wet = air.wet_bulb_c(4.0, air.humidity_ratio_from_rel_hum(4.0, np.linspace(0.05, 1.0, 2000)))
    assert (np.diff(wet) >= 0).all()
    assert wet[0] < 0 < wet[-1] == pytest.approx(4.0)


def test_worked_numbers_of_ashrae():
    # ASHRAE Handbook Fundamentals 2021, ch. 1, table 3: saturation pressure at 0.01, 20 and 60 degC.
    np.testing.assert_allclose(air.saturation_pressure_pa([0.01, 20.0, 60.0]), [611.7, 2339.2, 19_943.9], rtol=2e-4)
    # Example 1 there: 40 degC dry bulb and 20 degC wet bulb are 6.5 g/kg, 56.7 kJ/kg and a dew point of 7 degC.
    ratio = air.humidity_ratio_from_wet_bulb(40.0, 20.0)
    assert float(ratio) == pytest.approx(0.0065, abs=1e-4)
    assert float(air.enthalpy_j_kg(40.0, ratio)) == pytest.approx(56_700, rel=5e-3)
    assert float(air.dew_point_c(ratio)) == pytest.approx(7.0, abs=0.6)
    # Table 1 there: standard pressure at 1,000 and 3,000 m.
    np.testing.assert_allclose(air.standard_pressure_pa([0, 1000, 3000]), [101_325, 89_875, 70_108], rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: air.wet_bulb_c(70.0, 0.01), "dry bulb"),
        (lambda: air.wet_bulb_c(20.0, 0.01, 1013.25), "pressure"),
        (lambda: air.saturation_pressure_pa(-150.0), "-100 to 200"),
        (lambda: air.humidity_ratio_from_rel_hum(20.0, 50.0), "relative humidity"),
        (lambda: air.humidity_ratio_from_vapour_pressure(2e5, 1e5), "not below the total"),
        (lambda: air.dew_point_c(0.0), "humidity ratio"),
        (lambda: air.saturated_temp_c(1e6), "enthalpy"),
        (lambda: air.standard_pressure_pa(20_000.0), "elevation"),
    ],
)
def test_outside_its_range_it_refuses_and_names_the_range(call, message):
    with pytest.raises(RangeError, match=message):
        call()
