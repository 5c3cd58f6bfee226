"""Checkpoint intervals, effective time and failure rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.catalog.load import catalog
from dcsim.errors import RangeError
from dcsim.physics.reliability import (
    checkpoint_b,
    checkpoint_stall_s,
    checkpoint_write_s,
    daly_interval_s,
    effective_time_frac,
    rate_without_worst,
    time_to_failure_s,
    young_interval_s,
)

# Llama 3: 419 interruptions in 54 days on 2,048 nodes.
FAILURE_S = 54 * 86400 / 419


def llama3(stall_s):
    interval = young_interval_s(stall_s, FAILURE_S)
    return float(effective_time_frac(interval, stall_s, 600.0, FAILURE_S))


def test_llama_3_with_a_fast_and_a_slow_write():
    assert llama3(10.0) == pytest.approx(0.906, abs=0.01)
    assert llama3(60.0) < 0.90


def test_components_add_up_to_the_rate_of_all():
    part = catalog().part("reliability", "llama3-h100")
    total = sum(row.value for name, row in part.items() if name.startswith("component:"))
    assert total == pytest.approx(419 / (2048 * 54), rel=1e-4)
    assert total == pytest.approx(part["failures_per_node_day"].value, rel=2e-3)
    assert float(time_to_failure_s(2048, total)) == pytest.approx(FAILURE_S, rel=1e-4)


@given(st.floats(1.0, 300.0), st.floats(3600.0, 1e6))
def test_no_other_interval_beats_youngs_by_more_than_its_order(stall, failure):
    best = np.max(effective_time_frac(np.geomspace(10.0, failure, 4000), stall, 300.0, failure))
    found = float(effective_time_frac(young_interval_s(stall, failure), stall, 300.0, failure))
    assert best - found < stall / failure


def test_dalys_interval_nears_youngs_where_writes_are_short():
    assert float(daly_interval_s(1e-3, 1e5)) == pytest.approx(float(young_interval_s(1e-3, 1e5)), rel=1e-3)
    # Worked by hand: w = 60 s, mu = 3,600 s.
    x = 60 / 7200
    assert float(daly_interval_s(60.0, 3600.0)) == pytest.approx(
        np.sqrt(2 * 60 * 3600) * (1 + np.sqrt(x) / 3 + x / 9) - 60
    )
    assert float(daly_interval_s(100.0, 40.0)) == 40.0


def test_more_nodes_fail_sooner_in_proportion():
    assert list(time_to_failure_s([1, 10], 0.0065)) == pytest.approx([86400 / 0.0065, 86400 / 0.065])
    assert float(time_to_failure_s(1, 0.0)) == np.inf
    with pytest.raises(RangeError, match="a node"):
        time_to_failure_s(0, 0.01)


def test_an_asynchronous_write_stalls_only_for_the_copy():
    size = checkpoint_b(405e9)
    at = {"storage_b_s": 2e12, "host_b_s": 50e9}
    assert float(size) == 405e9 * 14
    assert float(checkpoint_stall_s(size, 16384, **at)) == pytest.approx(float(size) / (16384 * 50e9))
    assert float(checkpoint_write_s(size, 16384, **at)) == pytest.approx(float(size) / 2e12)
    assert float(checkpoint_stall_s(size, 16384, asynchronous=False, **at)) == pytest.approx(float(size) / 2e12)
    # Eight GPUs cannot fill that storage.
    assert float(checkpoint_write_s(size, 8, **at)) == pytest.approx(float(size) / (8 * 50e9))


@given(st.floats(0.05, 5.0), st.floats(0.001, 0.2))
def test_taking_out_the_worst_nodes_lowers_the_rate_more_the_more_they_differ(shape, removed):
    rate = float(rate_without_worst(1.0, removed, shape=shape))
    assert 0.0 < rate < 1.0
    assert rate <= float(rate_without_worst(1.0, removed, shape=shape * 2)) + 1e-12


def test_rates_without_the_worst_agree_with_draws():
    draws = np.sort(np.random.Generator(np.random.PCG64(1)).gamma(0.5, 2.0, 400_000))
    kept = draws[: int(0.95 * len(draws))].mean()
    assert float(rate_without_worst(1.0, 0.05, shape=0.5)) == pytest.approx(kept, rel=0.01)
    assert float(rate_without_worst(1.0, 0.0, shape=0.5)) == 1.0


def test_no_time_is_left_where_failures_come_too_fast():
    assert float(effective_time_frac(600.0, 10.0, 600.0, 300.0)) == 0.0
    with pytest.raises(RangeError, match="interval"):
        effective_time_frac(0.0, 10.0, 600.0, 300.0)
