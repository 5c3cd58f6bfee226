import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.physics import fluids

LOADS, EXPONENTS, FLOORS = st.floats(0, 1), st.floats(2, 3), st.floats(0, 0.9)


def test_worked_numbers_of_a_fan_and_a_pump():
    # 1 kW in air at 11 K is 0.0753 m3/s; at 300 Pa and 65 % that takes 34.8 W, the 0.035 kW/kW of planning guides.
    flow = fluids.air_flow_m3_s(1000.0, 11.0)
    assert float(flow) == pytest.approx(0.0753, abs=1e-4)
    assert float(fluids.mover_power_w(flow, 300.0, 0.65)) == pytest.approx(34.8, abs=0.1)
    # 1 kW in water at 10 K is 0.0239 L/s; at 200 kPa and 75 % that takes 6.4 W.
    flow = fluids.water_flow_m3_s(1000.0, 10.0)
    assert float(flow) * 1e3 == pytest.approx(0.0239, abs=1e-4)
    assert float(fluids.mover_power_w(flow, 200e3, 0.75)) == pytest.approx(6.4, abs=0.05)


def test_thinner_air_needs_more_flow():
    assert float(fluids.air_flow_m3_s(1.0, 10.0, density_kg_m3=0.6)) == pytest.approx(
        2 * float(fluids.air_flow_m3_s(1.0, 10.0))
    )


def test_half_speed_takes_an_eighth_and_the_floor_holds():
    power = fluids.affinity_power_w(8.0, [1.0, 0.5, 0.2, 0.0], exponent=3, floor_frac=0.25)
    np.testing.assert_allclose(power, [8.0, 1.0, 0.125, 0.125])


@given(LOADS, EXPONENTS, FLOORS)
def test_staged_units_take_at_least_what_units_that_turn_alike_take(load, exponent, floor):
    law = {"exponent": exponent, "floor_frac": floor}
    alike = float(fluids.affinity_power_w(1.0, load, **law))
    assert alike - 1e-12 <= float(fluids.staged_power_w(1.0, load, **law)) <= 1.0 + 1e-12


@given(st.floats(0.01, 1), st.floats(0.01, 1), EXPONENTS, FLOORS)
def test_overhead_of_staged_units_never_rises_with_load(one, other, exponent, floor):
    low, high = sorted((one, other))
    per_load = [float(fluids.staged_power_w(1.0, u, exponent=exponent, floor_frac=floor)) / u for u in (low, high)]
    assert per_load[1] <= per_load[0] + 1e-12


def test_overloaded_units_follow_the_affinity_law():
    power = fluids.staged_power_w(1.0, [1.0, 1.2], exponent=3, floor_frac=0.3)
    np.testing.assert_allclose(power, [1.0, 1.2**3])


def test_server_fans_follow_heat_and_hot_inlets_between_floor_and_full_speed():
    cool, edge, hot = fluids.server_fan_w(1000.0, 0.7, [20.0, 27.0, 32.0])
    assert cool == edge == pytest.approx(343.0)
    assert hot == pytest.approx(1000 * (0.7 * 1.2) ** 3)
    assert float(fluids.server_fan_w(1000.0, 1.0, 45.0)) == 1000.0
    assert float(fluids.server_fan_w(1000.0, 0.0, 20.0)) == pytest.approx(27.0)
