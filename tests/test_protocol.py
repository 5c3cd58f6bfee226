"""How kernels are timed: enough samples, those that count, one decision for all ranks."""

import numpy as np
import pytest
from dcsim.calibration.protocol import ENOUGH, Point, median_half_width, sample, waited_s, without_far

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
    times, waits, stop = sample(lambda runs: 0.03 * runs, budget_s=10.0)
    assert (len(times), len(waits), stop) == (ENOUGH, ENOUGH, "sure")
    assert times == [0.03] * ENOUGH
    noise = stream(2, "tests/noise")
    times, _, stop = sample(lambda runs: runs * float(noise.uniform(0.01, 0.3)), budget_s=1.5)
    assert stop == "budget"
    assert len(times) >= ENOUGH


def test_short_work_is_repeated_within_a_sample():
    asked = []

    def seconds(runs):
        asked.append(runs)
        return 1e-4 * runs

    times, _, _ = sample(seconds, budget_s=1.0)
    assert max(asked) == 200
    assert times[0] == pytest.approx(1e-4)


def test_ranks_that_agree_take_the_slowest():
    times, _, _ = sample(lambda runs: 0.01, budget_s=1.0, inner=False, agree=lambda own: max(own, 0.05))
    assert set(times) == {0.05}


def test_time_waited_for_a_processor_never_falls():
    first = waited_s()
    sum(range(100_000))
    assert waited_s() >= first >= 0.0
