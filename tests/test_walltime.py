"""Limits that stop jobs: what is saved, what runs again, and what is lost."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import jobs_of, small

from dcsim import pipeline, runs
from dcsim.errors import InputError, RangeError
from dcsim.sim.engine import ClusterSpec, Reliability, Walltime, simulate
from dcsim.sim.limits import AT_LIMIT
from dcsim.sim.policies import POLICIES
from dcsim.sim.recorder import LIMITED, STATUSES

ONE_RATE = np.ones((1, 3))
# A checkpoint of 10 s every 100 s; 30 s until a stopped job works again. No node ever fails.
SAVES = Reliability(0.0, 3600.0, np.array([100.0]), np.array([10.0]), np.array([30.0]))


def limited(of, max_s, at_limit="requeue", *, nodes=1, reliability=SAVES, horizon_s=1e6, **more):
    cluster = ClusterSpec(1, 4, 2, ((0.0, nodes),))
    time = Walltime(np.array([float(max_s)]), at_limit)
    return simulate(cluster, of, ONE_RATE, horizon_s=horizon_s, seed=0, reliability=reliability, walltime=time, **more)


def status(result):
    return [STATUSES[of] for of in result.status]


def test_a_job_queues_again_from_its_last_checkpoint():
    # 250 s hold two checkpoints, 200 s of work. After 30 s of reload 220 s hold two more, then 100 s are left.
    result = limited(jobs_of((0, 500, 600, 1)), 250)
    assert result.segment_start_s.tolist() == [0, 250, 500]
    assert result.segment_end_s.tolist() == [250, 500, 630]
    assert result.segment_reason.tolist()[:2] == [LIMITED, LIMITED]
    assert status(result) == ["completed"]
    assert result.restarts.tolist() == [0]
    assert result.interruptions == {}


def test_a_job_that_writes_a_checkpoint_loses_only_the_write():
    # 240 of 250 s are saved, then 210 of 250 s, then 50 s are left behind a reload of 30 s.
    result = limited(jobs_of((0, 500, 600, 1)), 250, "checkpoint")
    assert result.segment_end_s.tolist() == [250, 500, 580]


def test_a_job_that_is_over_leaves_nothing():
    result = limited(jobs_of((0, 500, 600, 1), (0, 100, 200, 1)), 250, "stop")
    assert status(result) == ["timed out", "completed"]
    assert result.useful_s[0] == 0.0
    assert result.held_s.tolist() == [250.0, 100.0]
    assert np.isnan(result.end_s[0])
    assert result.first_start_s.tolist() == [0.0, 250.0]


def test_a_job_that_saves_nothing_in_its_limit_is_over():
    result = limited(jobs_of((0, 500, 600, 1)), 99)
    assert status(result) == ["timed out"]
    assert len(result.segment_job) == 1
    # The reload of 30 s leaves 99 of 129 s, too few for a checkpoint: over at the second limit, with 100 s saved.
    result = limited(jobs_of((0, 500, 600, 1)), 129)
    assert result.segment_end_s.tolist() == [129.0, 258.0]
    assert result.useful_s[0] == pytest.approx(100.0 / 1.1)


def test_the_users_limit_counts_where_it_is_shorter():
    # Four nodes of two leaves at half speed: 200 s instead of 100, and the user allows 150.
    cluster = ClusterSpec(1, 2, 2, ((0.0, 4),))
    of = jobs_of((0, 1000, 1000, 1), (0, 1000, 1000, 1), (0, 100, 150, 2))
    # Two jobs on the first leaf would leave the second whole: one on each makes the third span both.
    rate = np.array([[1.0, 1.0, 0.5]])
    spread = replace(cluster, placement="spread")
    free = simulate(spread, of, rate, horizon_s=1e6, seed=0)
    assert free.span[2] == 2
    assert free.end_s[2] == 200.0
    time = Walltime(np.array([1e5]), "stop")
    assert status(simulate(spread, of, rate, horizon_s=1e6, seed=0, walltime=time))[2] == "timed out"
    time = Walltime(np.array([np.inf]), "stop")
    assert status(simulate(spread, of, rate, horizon_s=1e6, seed=0, walltime=time))[2] == "completed"


def test_a_job_that_ends_at_its_limit_is_done():
    assert status(limited(jobs_of((0.1, 250, 250, 1)), 250, "stop")) == ["completed"]


def test_what_comes_after_a_job_that_is_over_never_runs():
    of = replace(jobs_of((0, 500, 600, 1), (0, 10, 10, 1)), parents={1: (0,)})
    assert status(limited(of, 250, "stop")) == ["timed out", "queued"]
    assert status(limited(of, 250)) == ["completed", "completed"]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("at_limit", AT_LIMIT)
def test_under_every_policy_each_attempt_keeps_its_limit_and_nobody_is_forgotten(policy, at_limit):
    rng = np.random.default_rng(7)
    n = 60
    run_s = rng.integers(50, 900, n)
    of = jobs_of(*zip(np.sort(rng.integers(0, 3000, n)), run_s, run_s * 2, rng.integers(1, 5, n), strict=True))
    result = limited(of, 400, at_limit, nodes=6, policy=policy)
    assert (result.segment_end_s - result.segment_start_s).max() <= 400.0 + 1e-6
    long = run_s > 400
    if at_limit == "stop":
        over = np.array(status(result)) == "timed out"
        # A policy that preempts gives some another stretch, in which they are done.
        assert over[long].all() if not POLICIES[policy].preempts else not over[~long].any()
        assert not over[~long].any()
    else:
        assert set(status(result)) == {"completed"}
        np.testing.assert_allclose(result.useful_s, run_s / 1.1)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3000), st.integers(1, 1000), st.sampled_from(AT_LIMIT[:2]))
def test_attempts_follow_the_arithmetic_of_checkpoints(run_s, max_s, at_limit):
    left_s, reload_s, ends, now_s = float(run_s), 0.0, [], 0.0
    while True:
        if reload_s + left_s <= max_s:
            ends.append(now_s + reload_s + left_s)
            break
        now_s += max_s
        ends.append(now_s)
        worked_s = max_s - reload_s
        saved_s = worked_s // 100 * 100 if at_limit == "requeue" else worked_s - 10
        if saved_s <= 0:
            break
        left_s, reload_s = left_s - min(saved_s, left_s), 30.0
    result = limited(jobs_of((0, run_s, 10 * run_s + 100, 1)), max_s, at_limit)
    np.testing.assert_allclose(result.segment_end_s, ends)


def test_a_plan_pays_for_limits_with_reloads(tmp_path):
    def found(*stated):
        return runs.read(pipeline.run(small(*stated), tmp_path / str(len(stated)) / str(hash(stated))))

    plain = found()
    cut = found("workload.walltime={max_h: {training: 12.0}, at_limit: requeue}")
    over = found("workload.walltime={max_h: {training: 12.0}, at_limit: stop}")
    assert plain.kpis["jobs_timed_out"]["value"] == 0
    for run in (cut, over):
        assert run.kpis["jobs_timed_out"]["value"] == (run.jobs["status"] == "timed out").sum() > 0
    # Those that cannot go on had a limit of the user's own, too tight for where they landed, and no checkpoint in it.
    assert (cut.jobs[cut.jobs["status"] == "timed out"]["leaves"] > 1).all()
    assert over.kpis["jobs_timed_out"]["value"] > 10 * cut.kpis["jobs_timed_out"]["value"]
    goodput = [of.kpis["gpu_goodput_frac"]["value"] for of in (over, cut, plain)]
    assert goodput[0] < goodput[1] < goodput[2]


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        ("{max_h: {trainning: 12.0}}", "is not a known class of the jobs"),
        ("{max_h: {training: 0.0}}", "must be above 0"),
        ("{max_h: {}}", "at least 1"),
        ("{max_h: {training: 1.0}, at_limit: kill}", "checkpoint"),
    ],
)
def test_limits_that_make_no_sense_are_refused(stated, fault, tmp_path):
    with pytest.raises(InputError, match=fault):
        pipeline.run(small(f"workload.walltime={stated}"), tmp_path)


def test_the_simulator_refuses_limits_that_make_no_sense():
    with pytest.raises(RangeError, match="not above 0"):
        limited(jobs_of((0, 1, 1, 1)), 0)
    with pytest.raises(RangeError, match="give one of"):
        limited(jobs_of((0, 1, 1, 1)), 1, "kill")
    with pytest.raises(RangeError, match="one value a class"):
        simulate(
            ClusterSpec(1, 1, 1, ((0.0, 1),)),
            jobs_of((0, 1, 1, 1)),
            ONE_RATE,
            horizon_s=10.0,
            seed=0,
            walltime=Walltime(np.ones(2)),
        )
