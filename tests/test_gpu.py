"""Power of a GPU by duty, stall and clock; throughput under a cap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import RangeError
from dcsim.physics.gpu import capped_clock, capped_rate, gpu_w
from dcsim.physics.servers import ServerPower, electronics_w

FRACTION = st.floats(0.0, 1.0)


@given(FRACTION, FRACTION, FRACTION)
def test_power_lies_between_idle_and_the_most(duty, wait, share):
    stall = wait * (1.0 - duty)
    power = float(gpu_w(70.0, 700.0, duty, stall, stall_power_frac=share))
    assert 70.0 <= power <= 700.0 + 1e-9
    assert power >= float(gpu_w(70.0, 700.0, duty)) - 1e-9


def test_a_stalled_gpu_draws_its_share():
    assert float(gpu_w(70.0, 700.0, 0.8, 0.2, stall_power_frac=0.5)) == pytest.approx(70 + 630 * 0.9)
    assert float(gpu_w(70.0, 700.0, 1.0, clock_frac=0.5, clock_exponent=2.0)) == pytest.approx(70 + 630 / 4)


def test_impossible_shares_are_refused():
    with pytest.raises(RangeError, match="at most 1"):
        gpu_w(70.0, 700.0, 0.8, 0.3)
    with pytest.raises(RangeError):
        gpu_w(70.0, 700.0, -0.1)


@given(st.floats(0.3, 1.0), st.floats(0.5, 1.0))
def test_a_cap_above_need_changes_nothing_and_one_below_is_met(cap, need):
    rate = float(capped_rate(cap, idle_frac=0.1, need_frac=need))
    if cap >= need:
        assert rate == 1.0
    else:
        clock = float(capped_clock(cap, idle_frac=0.1, need_frac=need))
        assert rate == pytest.approx(clock)
        # At that clock the work draws the cap.
        assert float(gpu_w(0.1, need, 1.0, clock_frac=clock)) == pytest.approx(cap)


def test_work_that_waits_for_memory_loses_less_under_a_cap():
    bound = np.array([1.0, 0.5, 0.0])
    rates = capped_rate(0.5, idle_frac=0.1, need_frac=0.95, clock_bound_frac=bound)
    assert np.all(np.diff(rates) > 0)
    assert float(rates[-1]) == 1.0


def test_a_cap_below_idle_is_refused():
    with pytest.raises(RangeError, match="idle power"):
        capped_rate(0.1, idle_frac=0.15, need_frac=0.9)


def test_a_waiting_server_draws_its_stall_share():
    server = ServerPower(2000.0, 7000.0, 0.0, 0.0)
    assert float(electronics_w(server, 1.0, 0.4, stall_power_frac=0.5)) == pytest.approx(2000 + 5000 * 0.8)
    assert float(electronics_w(server, 1.0, 0.4)) == pytest.approx(2000 + 5000 * 0.6)
