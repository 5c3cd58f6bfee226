import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import RangeError
from dcsim.physics.servers import ServerPower, electronics_w, fan_w

# An air-cooled node with eight H100: idle and highest reading without fans in MLPerf v4.x, and fans by difference.
SERVER = ServerPower(2055.0, 7378.0, 1200.0, 0.0)
SHARES = st.floats(0, 1)


@given(SHARES, SHARES)
def test_power_lies_between_idle_and_maximum_and_stall_lowers_it(duty, stall):
    power = float(electronics_w(SERVER, duty, stall))
    assert 2055.0 <= power <= float(electronics_w(SERVER, duty)) <= 7378.0 + 1e-9


@given(SHARES, SHARES)
def test_energy_is_that_of_the_mean_duty(one, other):
    mean = float(np.mean(electronics_w(SERVER, [one, other])))
    assert mean == pytest.approx(float(electronics_w(SERVER, (one + other) / 2)))


def test_a_training_node_draws_what_was_measured():
    # MLPerf v4.0 GPT-3 on 64 nodes: 6,849 W on average without fans; arXiv 2506.14551: 76 % of the 10.2 kW rating with.
    electronics = float(electronics_w(SERVER, 0.96, 0.06))
    assert electronics == pytest.approx(6849, rel=0.005)
    assert electronics + float(fan_w(SERVER, electronics, 24.0)) == pytest.approx(0.76 * 10_200, rel=0.02)


def test_idle_fans_turn_at_their_floor_and_hot_air_speeds_them_up():
    idle = float(electronics_w(SERVER, 0.0))
    assert float(fan_w(SERVER, idle, 24.0)) == pytest.approx(1200 * 0.3**3)
    cool, edge, hot = fan_w(SERVER, 5000.0, [20.0, 27.0, 32.0])
    assert cool == edge < hot


@pytest.mark.parametrize(("duty", "stall"), [(1.2, 0.0), (-0.1, 0.0), (0.5, 2.0)])
def test_shares_outside_zero_to_one_are_refused(duty, stall):
    with pytest.raises(RangeError, match="0 to 1"):
        electronics_w(SERVER, duty, stall)
