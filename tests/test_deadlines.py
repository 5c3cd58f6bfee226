"""Deadlines of jobs: the order by them, how many are met, and what may wait for a better hour in spite of one."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import small

from dcsim import pipeline, runs
from dcsim.errors import InputError
from dcsim.sim.engine import ClusterSpec, simulate
from dcsim.workload.deferral import release_s
from dcsim.workload.jobs import Jobs

ONE_NODE = ClusterSpec(1, 1, 1, ((0.0, 1),))
ONE_RATE = np.ones((1, 2))


def jobs(run_s, deadline_s, submit_s=None, limit_s=None):
    n = len(run_s)
    run_s = np.array(run_s, dtype=float)
    return Jobs(
        job_id=np.arange(1, n + 1),
        submit_s=np.zeros(n) if submit_s is None else np.array(submit_s, dtype=float),
        run_s=run_s,
        limit_s=run_s if limit_s is None else np.array(limit_s, dtype=float),
        gpus=np.ones(n, dtype=np.int64),
        class_index=np.zeros(n, dtype=np.int64),
        class_names=("training",),
        deadline_s=np.array(deadline_s, dtype=float),
    )


def simulated(of, policy="edf"):
    return simulate(ONE_NODE, of, ONE_RATE, policy=policy, horizon_s=np.inf, seed=0)


def lateness_s(of, policy="edf"):
    return simulated(of, policy).end_s - of.deadline_s


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 200)), min_size=1, max_size=5))
def test_of_all_orders_on_one_gpu_the_worst_lateness_is_the_least(drawn):
    run_s, deadline_s = zip(*drawn, strict=True)
    best = min(
        max(np.cumsum([run_s[job] for job in order]) - [deadline_s[job] for job in order])
        for order in permutations(range(len(drawn)))
    )
    assert lateness_s(jobs(run_s, deadline_s)).max() == pytest.approx(best)


def test_a_later_job_with_an_earlier_deadline_goes_first():
    # The first runs from 0 to 100; the third, due at 200, passes the second, which is due at 1,000.
    of = jobs([100, 50, 60], [100, 1000, 200], submit_s=[0, 10, 20])
    assert simulated(of).first_start_s.tolist() == [
        0,
        160,
        100,
    ]
    assert lateness_s(of, "fifo")[2] == 10.0
    assert lateness_s(of)[2] == -40.0


def test_jobs_without_a_deadline_go_last():
    of = jobs([10, 10, 10], [np.inf, 500, np.inf])
    assert simulated(of).first_start_s.tolist() == [
        10,
        0,
        20,
    ]


def test_nobody_waits_for_an_hour_from_which_the_deadline_is_missed():
    hour = 3600.0
    signal = np.array([5.0, 4.0, 3.0, 1.0])
    of = jobs([hour, hour, hour], [np.inf, 3 * hour, 0.5 * hour])
    found = release_s(of, np.ones(3, dtype=bool), signal, step_s=hour, max_delay_s=10 * hour)
    assert found.tolist() == [3 * hour, 2 * hour, 0.0]


MIX = "workload.jobs={kind: synthetic, offered_load_frac: 0.9, gpu_hours_share: {training: 0.7, fine_tuning: 0.3}}"


def plan(tmp_path, policy, hours=6.0):
    stated = (MIX, f"workload.policy={policy}", f"workload.deadlines={{fine_tuning: {hours}}}")
    return runs.read(pipeline.run(small(*stated), tmp_path / f"{policy}-{hours}"))


def test_a_plan_meets_more_deadlines_in_their_order(tmp_path):
    easy, edf = plan(tmp_path, "easy"), plan(tmp_path, "edf")
    met = [of.kpis["deadlines_met_frac"]["value"] for of in (easy, edf)]
    assert 0 < met[0] < met[1] <= 1
    table = edf.jobs
    has_one = table["deadline_s"].notna()
    assert (has_one == (table["job_class"] == "fine_tuning")).all()
    of = table[has_one]
    np.testing.assert_allclose(of["deadline_s"] - of["submit_s"], 6 * 3600)
    horizon_s = edf.intervals["duration_s"].sum()
    met_count = (of["end_s"] <= of["deadline_s"]).sum()
    missed = (of["end_s"] > of["deadline_s"]).sum() + (of["end_s"].isna() & (of["deadline_s"] <= horizon_s)).sum()
    assert met[1] == pytest.approx(met_count / (met_count + missed))


def test_without_deadlines_the_figure_has_a_reason(tmp_path):
    kpi = runs.read(pipeline.run(small(), tmp_path)).kpis["deadlines_met_frac"]
    assert kpi["value"] is None
    assert "state workload.deadlines" in kpi["reason"]


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        ("workload.policy=edf", "state deadlines by workload class"),
        ("workload.deadlines={fine_tunning: 5.0}", "is not a known class of the jobs"),
        ("workload.deadlines={fine_tuning: 0.0}", "must be above 0"),
    ],
)
def test_deadlines_that_make_no_sense_are_refused(stated, fault, tmp_path):
    with pytest.raises(InputError, match=fault):
        pipeline.run(small(MIX, stated), tmp_path)
