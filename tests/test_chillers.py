import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import RangeError
from dcsim.physics import chillers


@given(st.floats(-10, 25), st.floats(-20, 60), st.floats(0, 30))
def test_cop_falls_as_ambient_rises(evaporating, condensing, hotter):
    cool, warm = chillers.carnot_cop(evaporating, [condensing, condensing + hotter], carnot_frac=0.62)
    assert 0 < warm <= cool <= 14.0


@given(st.floats(-10, 20), st.floats(0, 10), st.floats(25, 60))
def test_cop_rises_with_chilled_water(evaporating, warmer, condensing):
    cold, warm = chillers.carnot_cop([evaporating, evaporating + warmer], condensing, carnot_frac=0.62)
    assert warm >= cold


def test_the_reference_chiller_is_met():
    # DOE-2 reference centrifugal chiller (EnergyPlus data set): COP 5.5 at 6.67 degC chilled and 29.4 degC entering
    # condenser water, 5.6 K range, 2 K approaches.
    assert float(chillers.carnot_cop(4.67, 29.4 + 5.6 + 2.0, carnot_frac=0.63)) == pytest.approx(5.5, abs=0.1)


@pytest.mark.parametrize(("condenser_c", "cop"), [(25.0, 6.1), (30.0, 5.5), (35.0, 4.9)])
def test_the_doe2_curve_at_seven_degrees(condenser_c, cop):
    # Coefficients of the EnergyPlus data set worked by hand for its reference chiller.
    assert float(chillers.doe2_cop(7.0, condenser_c, reference_cop=5.5)) == pytest.approx(cop, abs=0.05)


@given(st.floats(5, 10), st.floats(10, 35), st.floats(0, 10))
def test_the_doe2_curve_never_gains_from_a_warmer_ambient(chilled, condenser, hotter):
    cool, warm = chillers.doe2_cop(chilled, [condenser, min(condenser + hotter, 35.0)], reference_cop=5.5)
    assert 0 < warm <= cool + 1e-12


@pytest.mark.parametrize("chilled_c", [4.9, 10.1, 18.0])
def test_the_doe2_curve_refuses_warm_chilled_water(chilled_c):
    with pytest.raises(RangeError, match="chilled water of 5 to 10 degC, got"):
        chillers.doe2_cop(chilled_c, 29.4, reference_cop=5.5)


def test_the_doe2_curve_refuses_hot_condenser_water():
    with pytest.raises(RangeError, match="condenser water up to 35 degC, got 36"):
        chillers.doe2_cop(7.0, [24.0, 36.0], reference_cop=5.5)


def test_warm_water_is_worth_what_thermodynamics_says():
    # Chilled 18 and condenser water 25 degC: the DOE-2 curves, extrapolated, give 4.7; Carnot's fraction gives 11.
    assert float(chillers.carnot_cop(16.0, 32.6, carnot_frac=0.63)) == pytest.approx(11.0, abs=0.2)


def test_lift_floor_and_cap_bind():
    assert float(chillers.carnot_cop(16.0, 10.0, carnot_frac=0.3)) == pytest.approx(0.3 * 289.15 / 8.0)
    assert float(chillers.carnot_cop(16.0, 10.0, carnot_frac=0.62)) == 14.0


def test_full_load_takes_full_power_and_part_load_is_best_near_two_thirds():
    # EIRFPLR of DOE-2's centrifugal chiller is 1 at full load; factor over load is least at sqrt(0.222903/0.46371).
    assert float(chillers.part_load_power_factor(1.0)) == pytest.approx(1.0, abs=1e-4)
    x = np.linspace(0.2, 1.0, 801)
    assert x[np.argmin(chillers.part_load_power_factor(x) / x)] == pytest.approx(0.693, abs=0.002)


def test_the_fewest_machines_that_carry_the_load_run():
    units = chillers.running_units([0.0, 0.1, 1.0, 1.001, 3.7, 4.0, 4.2, 9.0], installed=5)
    np.testing.assert_array_equal(units, [1, 1, 1, 2, 4, 4, 5, 5])


@given(st.floats(0, 1.25), st.integers(1, 8))
def test_a_staged_plant_stays_within_its_machines_part_load(load, units):
    power = float(chillers.compressor_w(load, 5.0, 1.0, units=units, redundant_units=units / 4))
    worst = chillers.part_load_power_factor(0.15) / 0.15
    assert 0.95 * load / 5.0 <= power <= worst * load / 5.0 + 1e-12
    assert power == 0 or load > 0


@given(st.floats(0.01, 0.99), st.integers(1, 6))
def test_a_machine_that_cycles_draws_in_proportion(share, units):
    low = 0.15 / units
    part, whole = chillers.compressor_w([share * low, low], 5.0, 1.0, units=units)
    assert part == pytest.approx(share * whole)


def test_no_plant_draws_nothing_and_half_a_machine_is_refused():
    assert float(chillers.compressor_w(0.0, 5.0, 0.0, units=1)) == 0.0
    with pytest.raises(RangeError, match="at least one unit"):
        chillers.compressor_w(1.0, 5.0, 1.0, units=0)


def test_capacity_slopes_are_those_of_doe_2_at_its_reference_point():
    # CAPFT of the EnergyPlus reference centrifugal chiller at chilled-water t and condenser-water s.
    def capft(t, s):
        return 0.257896 + 0.0389016 * t - 0.00021708 * t * t + 0.0468684 * s - 0.00094284 * s * s - 0.00034344 * t * s

    lost = (capft(6.67, 29.4) - capft(6.67, 35.0)) / 5.6
    assert 1.0 - float(chillers.capacity_frac(1.0)) == pytest.approx(lost, abs=3e-4)
    gained = capft(7.17, 29.4) - capft(6.17, 29.4)
    assert float(chillers.supply_rise_k(1.0 + gained, 0.0)) == pytest.approx(1.0, abs=0.01)


def test_supply_rises_only_where_machines_are_short():
    np.testing.assert_array_equal(chillers.supply_rise_k([0.0, 0.9, 1.0], -5.0), 0.0)
    assert float(chillers.supply_rise_k(1.0, 10.0)) > 0
    assert float(chillers.capacity_frac(-20.0)) == 1.0
