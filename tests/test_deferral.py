"""Jobs that wait for better hours: worked choices, and what they change of a plan."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import small

from dcsim import pipeline, runs
from dcsim.errors import InputError, RangeError
from dcsim.operate import deferred
from dcsim.sim.engine import ClusterSpec, simulate
from dcsim.workload.deferral import release_s
from dcsim.workload.jobs import Jobs

HOUR = 3600.0


def jobs(*rows):
    submit_s, run_s = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    n = len(rows)
    return Jobs(np.arange(n), submit_s, run_s, run_s, np.ones(n, np.int64), np.zeros(n, np.int64), ("training",))


def chosen(of, signal, delay_h=24.0, deferrable=None):
    mask = np.ones(len(of), dtype=bool) if deferrable is None else np.array(deferrable)
    return release_s(of, mask, np.array(signal, dtype=float), step_s=HOUR, max_delay_s=delay_h * HOUR)


def test_worked_choices():
    signal = [5, 5, 1, 1, 5, 0, 5, 5]
    of = jobs((0, HOUR), (0, 2 * HOUR), (1800, HOUR), (0, HOUR))
    # An hour of run goes to the hour of 0; two hours to the two of 1; the last may not wait.
    found = chosen(of, signal, deferrable=[True, True, True, False])
    assert found.tolist() == [5 * HOUR, 2 * HOUR, 5 * HOUR, 0.0]


def test_a_delay_that_is_too_short_changes_nothing():
    of = jobs((600, HOUR), (1200, HOUR))
    assert chosen(of, [5, 5, 5, 0], delay_h=0.5).tolist() == of.submit_s.tolist()
    assert chosen(of, [5] * 4).tolist() == of.submit_s.tolist()


@given(
    st.lists(st.tuples(st.floats(0, 40 * HOUR), st.floats(1, 30 * HOUR)), min_size=1, max_size=20),
    st.lists(st.floats(0.1, 10), min_size=2, max_size=48),
    st.floats(0, 36),
)
def test_nobody_waits_longer_than_allowed_or_for_a_worse_hour(rows, signal, delay_h):
    of = jobs(*sorted(rows))
    found = chosen(of, signal, delay_h)
    assert np.all(found >= of.submit_s)
    assert np.all(found <= of.submit_s + delay_h * HOUR)

    def mean(start, run):
        edges = np.linspace(start, start + run, 4001)
        middle = (edges[1:] + edges[:-1]) / 2
        return np.mean(np.array(signal)[np.minimum((middle // HOUR).astype(int), len(signal) - 1)])

    for start, submit, run in zip(found, of.submit_s, of.run_s, strict=True):
        assert mean(start, run) <= mean(submit, run) * 1.01


def test_a_released_job_keeps_its_place_in_the_queue():
    of = jobs((0, 100), (1, 100), (2, 100))
    of = replace(of, release_s=np.array([50.0, 1.0, 2.0]))
    one = ClusterSpec(1, 1, 1, ((0.0, 1),))
    result = simulate(one, of, np.ones((1, 2)), policy="fifo", horizon_s=np.inf, seed=0)
    assert result.first_start_s.tolist() == [101.0, 1.0, 201.0]
    with pytest.raises(RangeError, match="a release before it"):
        simulate(one, replace(of, release_s=of.submit_s - 1.0), np.ones((1, 2)), horizon_s=np.inf, seed=0)


def test_a_release_at_the_submission_changes_nothing():
    draws = np.random.default_rng(3)
    of = jobs(*zip(np.sort(draws.uniform(0, 9e4, 300)), draws.exponential(900, 300), strict=True))
    shape = ClusterSpec(1, 4, 4, ((0.0, 4),))
    plain = simulate(shape, of, np.ones((1, 2)), horizon_s=np.inf, seed=0)
    same = simulate(shape, replace(of, release_s=of.submit_s), np.ones((1, 2)), horizon_s=np.inf, seed=0)
    np.testing.assert_array_equal(plain.end_s, same.end_s)
    assert plain.counters == same.counters


@pytest.mark.parametrize(("signal", "figure"), [("carbon", "carbon_t"), ("price", "opex_usd_per_year")])
def test_a_plan_is_cleaner_or_cheaper_for_the_same_work(signal, figure, tmp_path):
    light = "workload.jobs={kind: synthetic, offered_load_frac: 0.4, gpu_hours_share: {fine_tuning: 1.0}}"
    stated = f"workload.deferral={{signal: {signal}, classes: [fine_tuning], max_delay_h: 24.0}}"
    now, later = (
        runs.read(pipeline.run(small(light, *more), tmp_path / str(len(more)))).kpis for more in ((), (stated,))
    )
    done = [of["jobs_completed"]["value"] for of in (now, later)]
    assert done[1] == pytest.approx(done[0], rel=0.01)
    assert later[figure]["value"] < now[figure]["value"]
    assert later["queue_wait_mean_s"]["value"] > now["queue_wait_mean_s"]["value"]


def test_an_unknown_class_is_named():
    stated = "workload.deferral={signal: carbon, classes: [fine_tunning]}"
    with pytest.raises(InputError, match="is not a known class of the jobs"):
        ready = pipeline.prepare(small(stated))
        deferred(ready, ready.demand.jobs)


def test_a_delay_below_nothing_is_refused():
    with pytest.raises(RangeError, match="makes no sense"):
        chosen(jobs((0, 1)), [1.0], delay_h=-1)
