"""A fault that nobody knows of yet: jobs hang on their nodes until it is detected."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
import simpy
from plans import jobs_of, saturated_mix, small

from dcsim import pipeline, runs
from dcsim.errors import RangeError
from dcsim.sim.arrivals import Arrivals
from dcsim.sim.clock import Clock
from dcsim.sim.dispatcher import Dispatcher
from dcsim.sim.engine import ClusterSpec, Reliability, simulate
from dcsim.sim.placement import Placement
from dcsim.sim.policies import POLICIES
from dcsim.sim.recorder import Counters, result

ONE_SPEED = np.ones((1, 2))


def reliability(detection_s=0.0, interval_s=300.0, restart_s=50.0, rate=0.0):
    one_class = (np.array([value]) for value in (interval_s, 0.0, restart_s))
    return Reliability(rate, 1000.0, *one_class, detection_s=detection_s)


def run(jobs, n_nodes, faults, horizon_s=1e6):
    """Simulate with faults as (time, node, time of detection, time of return)."""
    env = simpy.Environment()
    dispatcher = Dispatcher(
        env,
        jobs,
        Placement(8, 4, 4),
        POLICIES["easy"],
        ONE_SPEED,
        gpus_per_node=8,
        nodes_per_leaf=4,
        horizon_s=horizon_s,
        reliability=reliability(),
    )

    def fault(time_s, node, known_s, return_s):
        yield env.timeout(time_s)
        dispatcher.hang_node(node)
        yield env.timeout(known_s - time_s)
        assert dispatcher.detect_node(node)
        dispatcher.fail_node(node, return_s)
        yield env.timeout(return_s - known_s)
        dispatcher.return_node(node, return_s)

    dispatcher.expect_nodes(0.0, n_nodes)
    dispatcher.add_nodes(0.0, n_nodes)
    for one in faults:
        env.process(fault(*one))
    env.run(until=env.process(Clock(env, Arrivals(jobs), [dispatcher], horizon_s=horizon_s).run()))
    counters = Counters(dispatcher.n_events, dispatcher.n_passes, 0, dispatcher.max_waiting)
    return result(dispatcher.recorder, jobs, dispatcher.progress_s(), counters, gpus_per_node=8, horizon_s=horizon_s)


def test_work_ends_with_the_fault_and_nodes_are_held_until_it_is_known():
    # Fault at 700 s, when 600 s are saved; known at 1,300 s; the node is back at 1,400 s: 50 s of reload, 400 s to do.
    found = run(jobs_of((0, 1000, 1500, 8)), 1, [(700.0, 0, 1300.0, 1400.0)])
    assert found.segment_start_s.tolist() == [0.0, 1400.0]
    assert found.segment_end_s.tolist() == [1300.0, 1850.0]
    assert found.end_s.tolist() == [1850.0]


def test_a_job_does_not_end_while_it_hangs():
    found = run(jobs_of((0, 1000, 1500, 8)), 1, [(990.0, 0, 1590.0, 1600.0)])
    assert found.end_s.tolist() == [1600.0 + 50.0 + 100.0]  # 900 s were saved


def test_a_job_that_comes_on_the_node_hangs_too():
    # The first job ends before the fault; the second starts on the node between the fault and its detection.
    found = run(jobs_of((0, 100, 100, 8), (250, 50, 50, 8)), 1, [(200.0, 0, 800.0, 900.0)])
    assert found.segment_end_s.tolist() == [100.0, 800.0, 1000.0]
    assert found.restarts.tolist() == [0, 1]


def test_other_nodes_work_on():
    found = run(jobs_of((0, 1000, 1500, 8), (0, 1000, 1500, 8)), 2, [(700.0, 0, 1300.0, 1400.0)])
    assert sorted(found.end_s.tolist()) == [1000.0, 1750.0]  # the first goes on on the other node at 1,300 s


def test_what_hangs_at_the_horizon_keeps_its_checkpoint():
    found = run(jobs_of((0, 10_000, 15_000, 8)), 1, [(700.0, 0, 5000.0, 6000.0)], horizon_s=2000.0)
    assert found.segment_end_s.tolist() == [2000.0]
    assert found.useful_s.tolist() == [600.0]


def test_detection_costs_its_time_for_each_fault():
    jobs = saturated_mix(300, 64, 0.5, seed=1, n_sizes=1)
    long = replace(jobs, run_s=np.maximum(jobs.run_s, 3600.0), limit_s=np.maximum(jobs.limit_s, 7200.0))
    cluster = ClusterSpec(8, 4, 4, ((0.0, 8),))

    def held_s(detection_s):
        of = reliability(detection_s, interval_s=inf, restart_s=0.0, rate=1.0)
        found = simulate(cluster, long, ONE_SPEED, horizon_s=3e5, seed=1, reliability=of)
        return found.held_s.sum(), found.restarts.sum()

    (soon_s, soon), (late_s, late) = held_s(0.0), held_s(1800.0)
    assert soon > 10
    assert late > 10
    assert late_s > soon_s


def test_no_time_of_detection_changes_nothing():
    jobs = saturated_mix(300, 64, 0.8, seed=1, n_sizes=4)
    cluster = ClusterSpec(8, 4, 4, ((0.0, 8),))
    before, after = (
        simulate(cluster, jobs, ONE_SPEED, horizon_s=1e6, seed=1, reliability=of)
        for of in (reliability(rate=0.5), reliability(0.0, rate=0.5))
    )
    assert before.restarts.sum() > 0
    assert np.array_equal(before.segment_end_s, after.segment_end_s)


def test_a_negative_time_is_refused():
    with pytest.raises(RangeError, match="detection_s"):
        reliability(-1.0)


def test_a_plan_whose_faults_stay_unknown_has_less_goodput(tmp_path):
    rate = "workload.reliability.failures_per_node_day=0.2"
    goodput = [
        runs.read(pipeline.run(small(rate, f"workload.reliability.detection_s={s}"), tmp_path / name)).kpis
        for name, s in (("known", 0.0), ("unknown", 3600.0))
    ]
    share = [of["effective_time_frac"]["value"] for of in goodput]
    assert share[1] < share[0] - 0.002
