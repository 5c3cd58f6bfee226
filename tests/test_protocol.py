"""How kernels are timed: enough samples, those that count, one decision for all ranks."""

import numpy as np
import pytest
from dcsim.calibration.protocol import (
    ENOUGH,
    WARM_RUNS,
    Point,
    in_turn,
    median_half_width,
    sample,
    waited_s,
    without_far,
)

from dcsim.rng import stream


def point(times, waits):
    return Point("gemm", {}, 0, list(times), list(waits), "sure")


def test_samples_whose_threads_waited_do_not_count():
    clean = point([1.0] * 10 + [9.0] * 5, [0.0] * 10 + [0.5] * 5)
    assert clean.clean() == [1.0] * 10
    assert not clean.contended


def test_a_contended_point_keeps_all_its_samples_and_says_so():
    busy = point([1.0] * 3 + [2.0] * 17, [0.0] * 3 + [0.5] * 17)
    assert busy.contended
    assert len(busy.clean()) == 20


def test_far_samples_are_dropped_but_a_second_mode_is_not():
    assert without_far([1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01, 0.99, 1.0, 1.0, 50.0])[-1] == 1.0
    two = [1.0, 1.01, 0.99, 1.0] * 2 + [5.0] * 4
    assert without_far(two) == two


def test_the_interval_of_a_median_covers_it():
    draws = stream(1, "tests/median").normal(10.0, 1.0, (400, 60))
    inside = [abs(np.median(row) - 10.0) <= median_half_width(row) * np.median(row) for row in draws]
    assert 0.93 <= np.mean(inside) <= 1.0
    assert median_half_width([1.0] * 5) == np.inf


def test_steady_work_stops_when_sure_and_noisy_work_at_its_budget():
    found = sample(lambda runs: 0.03 * runs, budget_s=10.0)
    assert (len(found.waited_frac), found.stop) == (ENOUGH, "sure")
    assert found.times_s == [0.03] * ENOUGH
    noise = stream(2, "tests/noise")
    found = sample(lambda runs: runs * float(noise.uniform(0.01, 0.3)), budget_s=1.5)
    assert found.stop == "budget"
    assert len(found.times_s) >= ENOUGH


def test_short_work_is_repeated_within_a_sample():
    asked = []

    def seconds(runs):
        asked.append(runs)
        return 1e-4 * runs

    found = sample(seconds, budget_s=1.0)
    assert max(asked) == 200
    assert found.times_s[0] == pytest.approx(1e-4)


def test_ranks_that_agree_take_the_slowest():
    found = sample(lambda runs: 0.01, budget_s=1.0, inner=False, agree=lambda own: max(own, 0.05))
    assert set(found.times_s) == {0.05}


def test_kernels_that_are_compared_run_in_turn_forth_and_back():
    order = []

    def kernel(name, seconds):
        return lambda runs: order.append(name) or seconds

    found = in_turn({"a": kernel("a", 1.0), "b": kernel("b", 2.0)}, 4, state=lambda: len(order))
    assert "".join(order[2 * WARM_RUNS :]) == "abbaabba"
    assert found["b"].times_s == [2.0] * 4
    assert found["a"].states == [6, 9, 10, 13]


def test_warm_up_ends_when_runs_agree_and_not_before():
    falling = iter([1.0 / (1 + i) + 0.05 for i in range(40)] + [0.05] * 100)
    seen = []

    def seconds(runs):
        took = next(falling)
        seen.append(took)
        return took

    sample(seconds, budget_s=1e6)
    warm = seen[:-ENOUGH]
    assert len(warm) >= 10
    assert abs(np.median(warm[-5:]) / np.median(warm[-10:-5]) - 1) <= 0.03


def test_few_samples_that_did_not_wait_are_not_contended():
    assert not point([1.0] * 4, [0.0] * 4).contended


def test_time_waited_for_a_processor_never_falls():
    first = waited_s()
    sum(range(100_000))
    assert waited_s() >= first >= 0.0
