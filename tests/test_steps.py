"""Exact integration of step functions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dcsim.steps import StepSeries

changes = st.lists(st.tuples(st.floats(0, 100, allow_nan=False), st.integers(-50, 50)), min_size=1, max_size=40)


@given(changes, st.lists(st.floats(-5, 110), min_size=2, max_size=20, unique=True))
def test_bins_sum_to_the_integral_of_the_whole_span(rows, edges):
    times, deltas = zip(*rows, strict=True)
    series = StepSeries.from_changes(times, deltas)
    edges = np.sort(edges)
    # Change by change: a delta at t counts for the time from t to the end of the span.
    whole = sum(d * max(0.0, edges[-1] - max(t, edges[0])) for t, d in rows)
    assert np.isclose(series.integral(edges).sum(), whole, rtol=1e-12, atol=1e-9)


def test_point_sampling_would_miss_what_the_integral_keeps():
    # 7 W from 10 s to 13 s lies inside one 60 s bin: 21 J, where a sample each minute sees nothing.
    series = StepSeries.from_changes([10, 13], [7, -7])
    assert series.integral([0, 60, 120]).tolist() == [21.0, 0.0]
    assert series.at([0, 60]).tolist() == [0.0, 0.0]


def test_counts_return_to_exactly_zero():
    rng = np.random.default_rng(1)
    start = rng.random(1000)
    size = rng.integers(1, 1000, 1000)
    series = StepSeries.from_changes(np.r_[start, start + 1], np.r_[size, -size])
    assert series.values[-1] == 0.0


def test_several_quantities_integrate_as_each_alone():
    times, deltas = [0.0, 5.0, 7.5], np.array([[1, 10], [2, -10], [-3, 4]])
    together = StepSeries.from_changes(times, deltas).integral([0, 6, 9])
    alone = [StepSeries.from_changes(times, column).integral([0, 6, 9]) for column in deltas.T]
    assert (together == np.stack(alone, axis=1)).all()


def test_before_the_first_change_it_is_zero():
    assert StepSeries(np.array([5.0]), np.array([3.0])).at([4.9, 5.0]).tolist() == [0.0, 3.0]
