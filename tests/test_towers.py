import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dcsim.errors import RangeError
from dcsim.physics import towers
from dcsim.physics.psychrometrics import enthalpy_j_kg, humidity_ratio_from_rel_hum
from dcsim.units import J_PER_KWH, LATENT_HEAT_J_KG, STANDARD_PRESSURE_PA


def evaporation(dry, relative, entering_water=40.0, span=6.0, ratio=1.0):
    humidity = humidity_ratio_from_rel_hum(dry, relative)
    return towers.evaporation_kg_j(
        dry, humidity, STANDARD_PRESSURE_PA, entering_water, span, ratio, design_liquid_to_gas=1.0
    )


def test_approach_anchors_of_the_york_tower():
    # YorkCalc (EnergyPlus) at a range of 5.6 K and full fan speed: 3.8 to 3.9 K at 25.6, 7.8 at 10 and 11.2 at 0 degC.
    np.testing.assert_allclose(towers.approach_k([25.6, 10.0, 0.0], 5.6), [3.85, 7.81, 11.2], atol=0.05)


def test_nested_coefficients_are_the_published_polynomial():
    # EnergyPlus' order: wet bulb fastest, then range, then liquid-to-gas ratio.
    flat, wet, span, ratio = np.ravel(towers.YORK_CALC), 12.0, 7.0, 1.4
    expected = sum(
        flat[9 * i + 3 * j + k] * ratio**i * span**j * wet**k for i in range(3) for j in range(3) for k in range(3)
    )
    assert float(towers.approach_k(wet, span, ratio)) == pytest.approx(expected, rel=1e-12)


@given(st.floats(-30, 26), st.floats(3, 12), st.floats(0.3, 3), st.floats(0.01, 2))
def test_less_air_gives_warmer_water(wet, span, ratio, more):
    assert towers.approach_k(wet, span, ratio + more) > towers.approach_k(wet, span, ratio)


@given(st.floats(-20, 26), st.floats(3, 12), st.floats(0.4, 5))
def test_the_air_for_an_approach_gives_that_approach(wet, span, ratio):
    approach = towers.approach_k(wet, span, ratio)
    assert float(towers.liquid_to_gas_for(approach, wet, span)) == pytest.approx(ratio, rel=1e-6)


def test_outside_its_range_the_tower_is_clipped():
    assert towers.approach_k(30.0, 6.0) == towers.approach_k(26.7, 6.0)
    assert towers.approach_k(20.0, 40.0) == towers.approach_k(20.0, 22.2)
    assert float(towers.liquid_to_gas_for(500.0, 20.0, 6.0)) == 8.0
    assert float(towers.liquid_to_gas_for(-5.0, 20.0, 6.0)) == 0.05


@given(st.floats(-20, 43), st.floats(0.1, 1.0), st.floats(6, 10), st.floats(1, 4))
def test_evaporation_between_zero_and_1p7_q_over_hfg(dry, relative, span, ratio):
    # Above 1 / h_fg the water also cools the air; the bound holds up to a desert's 43 degC at full fan speed.
    rate = float(evaporation(dry, relative, entering_water=50.0, span=span, ratio=ratio))
    assert 0 <= rate <= 1.7 / LATENT_HEAT_J_KG


@given(st.floats(0, 40), st.floats(0.1, 1.0), st.floats(1, 8))
@example(dry=15.0, relative=0.5, ratio=8.0)
def test_air_never_leaves_hotter_than_the_water_that_enters(dry, relative, ratio):
    entering = 45.0
    humidity = float(humidity_ratio_from_rel_hum(dry, relative))
    rate = float(evaporation(dry, relative, entering_water=entering, ratio=ratio))
    # Saturated air at the entering water's temperature bounds what a kilogram of air takes and carries.
    outlet = float(humidity_ratio_from_rel_hum(entering, 1.0))
    taken = float(enthalpy_j_kg(entering, outlet)) - float(enthalpy_j_kg(dry, humidity))
    hottest = (outlet - humidity) / taken
    assert rate <= max(hottest, 1.71 / LATENT_HEAT_J_KG)
    if (dry, ratio) == (15.0, 8.0):
        assert rate == pytest.approx(hottest, rel=1e-3)


def test_dry_air_takes_more_water_than_humid_air():
    # Saturated-outlet balance per kWh of heat: 1.1 in a mild humid hour, 1.6 and more in a desert afternoon.
    humid, desert = (float(evaporation(*state)) * J_PER_KWH for state in ((15.0, 0.7), (35.0, 0.15)))
    assert humid == pytest.approx(1.1, abs=0.1)
    assert desert > 1.6


def test_blowdown_closes_the_solids_balance():
    drift, blowdown = towers.make_up(4.0, 100.0, cycles=5.0, drift_frac=2e-5)
    assert float(drift) == pytest.approx(0.002)
    # Solids leave with drift and blowdown at five times the make-up's concentration.
    assert float(drift + blowdown) * 5.0 == pytest.approx(4.0 + float(drift + blowdown))
    assert float(towers.make_up(0.0, 100.0, cycles=5.0, drift_frac=2e-5)[1]) == 0.0
    with pytest.raises(RangeError, match="above 1"):
        towers.make_up(1.0, 1.0, cycles=1.0, drift_frac=0.0)
