"""What a node failure costs, and the law of failures."""

from dataclasses import fields
from math import inf

import numpy as np
import pytest
import simpy
from plans import jobs_of
from scipy import stats

from dcsim.errors import RangeError
from dcsim.sim.arrivals import Arrivals
from dcsim.sim.clock import Clock
from dcsim.sim.dispatcher import Dispatcher
from dcsim.sim.engine import ClusterSpec, Reliability, simulate
from dcsim.sim.failures import node_failures
from dcsim.sim.placement import Placement
from dcsim.sim.policies import POLICIES
from dcsim.sim.recorder import COMPLETED, FAILED, Counters, SimResult, result
from dcsim.units import SECONDS_PER_DAY

GPUS_PER_NODE, NODES_PER_LEAF = 8, 4
ONE_SPEED = np.ones((1, 2))
ARRAYS = [
    field.name for field in fields(SimResult) if field.name not in ("jobs", "horizon_s", "gpus_per_node", "counters")
]


def reliability_of(failures_per_node_day=0.0, repair_mean_s=1e5, interval_s=300.0, write_s=0.0, restart_s=50.0):
    one_class = (np.array([value]) for value in (interval_s, write_s, restart_s))
    return Reliability(failures_per_node_day, repair_mean_s, *one_class)


def run_with_failures(jobs, n_nodes, failures, reliability, horizon_s=1e6, work_rate=ONE_SPEED):
    """Simulate with stated failures, as (time, node, time of return)."""
    env = simpy.Environment()
    dispatcher = Dispatcher(
        env,
        jobs,
        Placement(GPUS_PER_NODE, NODES_PER_LEAF, NODES_PER_LEAF),
        POLICIES["easy"],
        work_rate,
        gpus_per_node=GPUS_PER_NODE,
        nodes_per_leaf=NODES_PER_LEAF,
        horizon_s=horizon_s,
        reliability=reliability,
    )

    def fail(time_s, node, return_s):
        yield env.timeout(time_s)
        dispatcher.fail_node(node, return_s)
        yield env.timeout(return_s - time_s)
        dispatcher.return_node(node, return_s)

    dispatcher.expect_nodes(0.0, n_nodes)
    dispatcher.add_nodes(0.0, n_nodes)
    for failure in failures:
        env.process(fail(*failure))
    env.run(until=env.process(Clock(env, Arrivals(jobs), [dispatcher], horizon_s=horizon_s).run()))
    counters = Counters(dispatcher.n_events, dispatcher.n_passes, 0, dispatcher.max_waiting)
    return result(
        dispatcher.recorder,
        jobs,
        dispatcher.progress_s(),
        counters,
        gpus_per_node=GPUS_PER_NODE,
        horizon_s=horizon_s,
    )


def test_a_failure_loses_exactly_the_work_since_the_last_checkpoint():
    # Checkpoints every 300 s. Stopped at 700 s: 600 s are saved, 400 s are left. The node is back at 800 s: 50 s of
    # reload, then work. Stopped at 1,200 s: 350 s worked, 300 s saved, 100 s left. Back at 1,300 s: 50 + 100 s.
    outcome = run_with_failures(
        jobs_of((0, 1000, 1500, 8)), 1, [(700.0, 0, 800.0), (1200.0, 0, 1300.0)], reliability_of()
    )
    assert outcome.segment_start_s.tolist() == [0.0, 800.0, 1300.0]
    assert outcome.segment_end_s.tolist() == [700.0, 1200.0, 1450.0]
    assert outcome.segment_reason.tolist() == [FAILED, FAILED, COMPLETED]
    assert outcome.end_s.tolist() == [1450.0]
    assert outcome.restarts.tolist() == [2]
    assert outcome.held_s.tolist() == [700.0 + 400.0 + 150.0]
    assert outcome.useful_s.tolist() == [1000.0]


def test_a_reload_is_no_work():
    # Back at 800 s with 400 s left. Stopped 30 s into the reload, and again 330 s after the next start, of which 280 s
    # are work and 300 s would make a checkpoint: nothing is saved, and each restart reloads.
    failures = [(700.0, 0, 800.0), (830.0, 0, 900.0), (1230.0, 0, 1300.0)]
    outcome = run_with_failures(jobs_of((0, 1000, 1500, 8)), 1, failures, reliability_of())
    assert outcome.segment_start_s.tolist() == [0.0, 800.0, 900.0, 1300.0]
    assert outcome.end_s.tolist() == [1300.0 + 50.0 + 400.0]


def test_without_checkpoints_all_work_is_lost():
    outcome = run_with_failures(
        jobs_of((0, 1000, 1500, 8)), 1, [(999.0, 0, 2000.0)], reliability_of(interval_s=inf, restart_s=0.0)
    )
    assert outcome.end_s.tolist() == [3000.0]


def test_checkpoints_of_a_slow_placement_hold_less_work():
    # Two leaves of four nodes, of which two and three are taken: three nodes span two leaves instead of one, at half
    # the speed. Stopped after 1,700 s, of which 1,500 s are saved = 750 s of work at the reference placement. From
    # 1,800 s, at the same placement: 50 s of reload and 250 s of work at half the speed.
    jobs = jobs_of((0, 1e5, 1e5, 16), (0, 1e5, 1e5, 24), (0, 1000, 1000, 24))
    half_speed = np.array([[0.0, 1.0, 0.5]])
    outcome = run_with_failures(jobs, 8, [(1700.0, 7, 1800.0)], reliability_of(), work_rate=half_speed)
    assert outcome.segment_span[outcome.segment_job == 2].tolist() == [2, 2]
    assert outcome.end_s[2] == 1800.0 + 50.0 + 500.0


def test_the_node_leaves_the_pool_until_repaired():
    jobs = jobs_of((0, 100, 100, 16), (200, 100, 100, 16))
    outcome = run_with_failures(jobs, 2, [(150.0, 1, 500.0)], reliability_of())
    assert outcome.first_start_s.tolist() == [0.0, 500.0]
    assert outcome.gpus_down().at([149.0, 150.0, 499.0, 500.0]).tolist() == [0.0, 8.0, 8.0, 0.0]


def test_a_failing_node_stops_exactly_the_jobs_on_it():
    # Node 0 holds two shares, nodes 1 and 2 a gang, node 3 a gang of one.
    jobs = jobs_of((0, 1000, 1000, 3), (0, 1000, 1000, 4), (0, 1000, 1000, 16), (0, 1000, 1000, 8))
    for node, stopped in [(0, [0, 1]), (1, [2]), (2, [2]), (3, [3])]:
        outcome = run_with_failures(jobs, 4, [(500.0, node, 600.0)], reliability_of())
        assert np.flatnonzero(outcome.restarts).tolist() == stopped


def test_a_stopped_job_returns_ahead_of_later_submissions():
    # Job 0 is stopped at 500 s; jobs 1 and 2 wait since 1 s and 2 s for the same two nodes, and job 0 goes first.
    jobs = jobs_of((0, 1000, 1000, 16), (1, 100, 100, 16), (2, 100, 100, 16))
    outcome = run_with_failures(jobs, 2, [(500.0, 0, 700.0)], reliability_of(restart_s=0.0))
    assert outcome.segment_job.tolist() == [0, 0, 1, 2]
    assert outcome.segment_start_s.tolist() == [0.0, 700.0, 1400.0, 1500.0]


def test_the_limit_shrinks_with_the_work():
    # Job 0 is stopped at 650 s and restarts at once on the two other nodes, with a limit of 1,500 s less the 600 s
    # saved plus 50 s of reload: to 1,600 s. Job 1 waits for all three nodes, so one is for who ends by 1,600 s.
    jobs = jobs_of((0, 1000, 1500, 16), (10, 100, 100, 24), (799, 1, 802, 8), (800, 800, 800, 8))
    outcome = run_with_failures(jobs, 3, [(650.0, 0, 700.0)], reliability_of())
    assert outcome.end_s[0] == 650.0 + 50.0 + 400.0
    assert outcome.first_start_s[[1, 2, 3]].tolist() == [1600.0, 1700.0, 800.0]


def test_an_end_at_the_moment_of_a_failure_comes_after_it():
    outcome = run_with_failures(jobs_of((0, 500, 500, 8)), 1, [(500.0, 0, 600.0)], reliability_of(interval_s=inf))
    assert outcome.restarts.tolist() == [1]


def failing_mix(seed=0, rate=0.1, policy="easy", **changes):
    rng = np.random.default_rng(3)
    n = 400
    run_s = rng.lognormal(9, 1, n)
    jobs = jobs_of(*zip(np.sort(rng.uniform(0, 2e5, n)), run_s, 2 * run_s, 2 ** rng.integers(0, 7, n), strict=True))
    cluster = ClusterSpec(GPUS_PER_NODE, NODES_PER_LEAF, 2, ((0.0, 20), (1e5, 12)))
    reliability = None if rate is None else reliability_of(rate, **changes)
    return simulate(cluster, jobs, ONE_SPEED, policy=policy, horizon_s=4e5, seed=seed, reliability=reliability)


# Preemption costs a checkpoint where reliability says what that costs.
@pytest.mark.parametrize("policy", [name for name, of in POLICIES.items() if not of.preempts])
def test_a_zero_failure_rate_changes_nothing(policy):
    without, with_zero = failing_mix(rate=None, policy=policy), failing_mix(rate=0.0, policy=policy)
    assert without.counters == with_zero.counters
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(without, name), getattr(with_zero, name))


@pytest.mark.parametrize("policy", POLICIES)
def test_one_seed_gives_one_result(policy):
    first, second = failing_mix(seed=7, policy=policy), failing_mix(seed=7, policy=policy)
    assert first.restarts.sum() > 5
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_zero_is_a_seed_like_any_other():
    zero, again, one = failing_mix(seed=0), failing_mix(seed=0), failing_mix(seed=1)
    np.testing.assert_array_equal(zero.node_time_s, again.node_time_s)
    assert zero.node_time_s[0] != one.node_time_s[0]


def test_alternatives_share_the_failures():
    """Another policy and other checkpoints meet the same failures of the same nodes at the same times."""
    easy, fifo = failing_mix(), failing_mix(policy="fifo", interval_s=inf)
    assert not np.array_equal(easy.segment_end_s, fifo.segment_end_s)
    np.testing.assert_array_equal(easy.node_time_s, fifo.node_time_s)
    np.testing.assert_array_equal(easy.node, fifo.node)


def test_useful_time_leaves_out_checkpoint_writes_and_lost_work():
    outcome = failing_mix(rate=0.2, interval_s=600.0, write_s=60.0)
    completed = np.isfinite(outcome.end_s)
    assert completed.sum() > 100
    np.testing.assert_allclose(outcome.useful_s[completed], outcome.jobs.run_s[completed] * 600 / 660, rtol=1e-12)
    assert np.all(outcome.useful_s <= outcome.held_s * 600 / 660 * (1 + 1e-12))
    stopped = completed & (outcome.restarts > 0)
    assert np.all(outcome.useful_s[stopped] + 50 * outcome.restarts[stopped] < outcome.held_s[stopped])


def test_failures_and_down_time_follow_their_rates():
    """Failures are Poisson in node time; a node is down for repair / (time to failure + repair) of the time."""
    n_nodes, days, rate, repair_s = 50, 400, 0.02, 2.0 * SECONDS_PER_DAY
    cluster = ClusterSpec(GPUS_PER_NODE, NODES_PER_LEAF, 2, ((0.0, n_nodes),))
    horizon_s = days * SECONDS_PER_DAY
    down_frac, failures = [], 0
    for seed in range(20):
        outcome = simulate(
            cluster,
            jobs_of((0, 1, 1, 1)),
            ONE_SPEED,
            horizon_s=horizon_s,
            seed=seed,
            reliability=reliability_of(rate, repair_s),
        )
        failures += int((outcome.node_change == -1).sum())
        down_s = outcome.gpus_down().integral([0.0, horizon_s])[0]
        down_frac.append(down_s / (n_nodes * GPUS_PER_NODE * horizon_s))
    node_days_up = 20 * n_nodes * days * (1 - np.mean(down_frac))
    assert abs(failures - rate * node_days_up) < stats.norm.isf(0.0005) * np.sqrt(rate * node_days_up)
    # The first nodes start up, so the mean over the horizon is short of the steady state by a transient of order
    # 1 / (horizon x (rate + repair rate)); it is subtracted exactly.
    repair_rate = SECONDS_PER_DAY / repair_s
    steady, decay = rate / (rate + repair_rate), rate + repair_rate
    expected = steady * (1 - (1 - np.exp(-decay * days)) / (decay * days))
    tolerance = stats.t.isf(0.0005, 19) * np.std(down_frac, ddof=1) / np.sqrt(20)
    assert abs(np.mean(down_frac) - expected) < tolerance


def test_the_scheduler_is_told_the_mean_repair_time_and_not_the_draw():
    told = []

    class OneNode:
        up = True

        def in_service(self, node):
            return self.up

        def fail_node(self, node, expected_return_s, cause):
            self.up = False
            told.append([env.now, expected_return_s])

        def return_node(self, node, expected_return_s):
            self.up = True
            assert told[-1][1] == expected_return_s
            told[-1].append(env.now)

    env = simpy.Environment()
    env.process(node_failures(env, OneNode(), 1, reliability_of(1.0, 5000.0), seed=0))
    env.run(until=3e7)
    failed_s, expected_s, returned_s = np.array([row for row in told if len(row) == 3]).T
    assert len(failed_s) > 200
    np.testing.assert_array_equal(expected_s, failed_s + 5000.0)
    standard_error_s = 5000.0 / np.sqrt(len(failed_s))
    assert abs((returned_s - failed_s).mean() - 5000.0) < stats.norm.isf(0.0005) * standard_error_s


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"failures_per_node_day": -0.1}, "finite rate from 0"),
        ({"repair_mean_s": 0.0}, "finite time above 0"),
        ({"interval_s": 0.0}, "give infinity for no checkpoints"),
        ({"write_s": -1.0}, "checkpoint_write_s"),
        ({"restart_s": inf}, "restart_s"),
    ],
)
def test_reliability_out_of_range_is_refused(changes, rule):
    with pytest.raises(RangeError, match=rule):
        reliability_of(**changes)
