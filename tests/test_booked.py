"""Nodes kept for a date, and how many jobs in line have a time: the policy conservative."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from plans import jobs_of as rows_of
from plans import saturated_mix, small

from dcsim import pipeline
from dcsim.errors import InputError, RangeError
from dcsim.operate import simulated
from dcsim.sim.engine import ClusterSpec, simulate
from dcsim.workload.jobs import Jobs

ONE_SPEED = np.ones((1, 2))
jobs_of = partial(rows_of, columns=("known_s", "submit_s", "run_s", "limit_s", "gpus"))


def run(jobs, n_nodes=2, **others):
    cluster = ClusterSpec(8, 4, 4, ((0.0, n_nodes),))
    return simulate(cluster, jobs, ONE_SPEED, policy="conservative", horizon_s=1e6, seed=1, **others)


def test_booked_nodes_are_free_on_their_date_and_others_run_until_then():
    # Two nodes are booked for 100 s on. Before, a job of 90 s runs; one of 120 s would be in the way and starts after.
    jobs = jobs_of((0, 0, 90, 90, 8), (0, 0, 120, 120, 8), (0, 100, 50, 50, 16))
    assert run(jobs).first_start_s.tolist() == [0.0, 150.0, 100.0]


def test_a_job_that_is_not_booked_waits_for_those_before_it():
    jobs = replace(jobs_of((0, 0, 90, 90, 8), (0, 0, 120, 120, 8), (0, 100, 50, 50, 16)), known_s=None)
    assert run(jobs).first_start_s.tolist() == [0.0, 0.0, 120.0]


def test_a_booked_job_never_starts_before_its_date_and_its_wait_counts_from_it():
    found = run(jobs_of((0, 500, 50, 50, 16)))
    assert found.first_start_s.tolist() == [500.0]
    assert found.ready_s.tolist() == [500.0]
    assert found.jobs_queued().integral(np.array([0.0, 1000.0])).sum() == 0.0


def test_a_booking_of_nodes_in_use_waits_for_their_limits():
    # Known at 50 s, when a job of 200 s runs on all nodes.
    jobs = jobs_of((0, 0, 200, 200, 16), (50, 100, 50, 50, 16))
    assert run(jobs).first_start_s.tolist() == [0.0, 200.0]


def test_bookings_hold_in_a_full_cluster():
    jobs = saturated_mix(600, 16 * 8, 1.2, seed=2, n_sizes=4)
    dates = np.linspace(0.2, 0.8, 7) * jobs.submit_s[-1]
    n = len(jobs)
    ahead_s = float(jobs.limit_s.max()) + 1.0
    more = Jobs(
        np.arange(n + 1, n + 8),
        dates,
        np.full(7, 3600.0),
        np.full(7, 3600.0),
        np.full(7, 64),
        np.zeros(7, dtype=np.int64),
        jobs.class_names,
        known_s=np.maximum(dates - ahead_s, 0.0),
    )
    both = Jobs(
        *(
            np.concatenate([getattr(jobs, name), getattr(more, name)])
            for name in ("job_id", "submit_s", "run_s", "limit_s", "gpus", "class_index")
        ),
        jobs.class_names,
        known_s=np.concatenate([jobs.submit_s, more.known_s]),
    )
    ordered = both.select(np.argsort(both.submit_s, kind="stable"))
    booked = ordered.job_id > n
    late_s = (run(ordered, 16).first_start_s - ordered.submit_s)[booked]
    assert late_s.max() < 1.0
    walk_in = replace(ordered, known_s=None)
    assert (run(walk_in, 16).first_start_s - ordered.submit_s)[booked].max() > 600.0


def test_a_depth_that_never_binds_changes_nothing():
    jobs = saturated_mix(400, 16 * 8, 1.0, seed=2, n_sizes=4)
    exact, deep = run(jobs, 16), run(jobs, 16, depth=400)
    assert np.array_equal(exact.first_start_s, deep.first_start_s)


def test_a_depth_of_one_plans_for_the_first_in_line_alone():
    # The second in line has no time; the third could start beside the first, but is not looked at.
    jobs = replace(
        jobs_of((0, 0, 100, 100, 8), (0, 0, 100, 100, 16), (0, 0, 100, 100, 16), (0, 0, 50, 50, 8)), known_s=None
    )
    assert run(jobs, depth=1).first_start_s.tolist() == [0.0, 100.0, 200.0, 300.0]
    assert run(jobs).first_start_s.tolist() == [0.0, 100.0, 200.0, 0.0]


@pytest.mark.parametrize("load", [0.8, 1.2])
def test_a_depth_of_one_is_first_come_first_served(load):
    jobs = saturated_mix(400, 16 * 8, load, seed=2, n_sizes=4)
    whole_nodes = replace(jobs, gpus=np.maximum(jobs.gpus, 8))
    fifo = simulate(ClusterSpec(8, 4, 4, ((0.0, 16),)), whole_nodes, ONE_SPEED, policy="fifo", horizon_s=1e6, seed=1)
    assert np.array_equal(run(whole_nodes, 16, depth=1).first_start_s, fifo.first_start_s, equal_nan=True)


def test_a_shallow_depth_makes_jobs_wait_longer():
    jobs = saturated_mix(1500, 16 * 8, 1.3, seed=2, n_sizes=4)
    waits = [(run(jobs, 16, depth=depth).first_start_s - jobs.submit_s).mean() for depth in (1, 20, 1500)]
    assert waits[0] > waits[1] > waits[2]


def test_what_no_policy_but_conservative_can_do_is_refused():
    jobs, cluster = jobs_of((0, 100, 50, 50, 16)), ClusterSpec(8, 4, 4, ((0.0, 2),))
    with pytest.raises(RangeError, match="choose conservative"):
        simulate(cluster, jobs, ONE_SPEED, horizon_s=1e6, seed=1)
    with pytest.raises(RangeError, match="choose conservative"):
        simulate(
            ClusterSpec(8, 4, 4, ((0.0, 2),)), replace(jobs, known_s=None), ONE_SPEED, horizon_s=1e6, seed=1, depth=9
        )
    with pytest.raises(RangeError, match="at least 1"):
        run(jobs, depth=0)
    with pytest.raises(RangeError, match="before it is known"):
        run(jobs_of((101, 100, 50, 50, 16)))


CAMPAIGN = (
    "workload.campaigns=[{name: big, first_day: 100.0, booked_days_ahead: 30.0, stages: "
    "[{name: train, job_class: training, gpus: 64, hours: 100.0}, "
    "{name: test, job_class: training, gpus: 8, hours: 1.0, after: [train]}]}]"
)
SMALL = ("plan.years=1", "workload.jobs.offered_load_frac=0.9", "workload.policy=conservative")


def test_a_campaign_starts_on_the_day_that_it_is_booked_for():
    ready = pipeline.prepare(small(*SMALL, CAMPAIGN, "workload.backfill_depth=50", "workload.reliability=null"))
    jobs = ready.demand.jobs
    row = int(np.flatnonzero(jobs.known_s < jobs.submit_s)[0])
    assert (jobs.known_s[row], jobs.submit_s[row], jobs.gpus[row]) == (70 * 86_400.0, 100 * 86_400.0, 64)
    assert (jobs.known_s < jobs.submit_s).sum() == 1  # the later stage has no date
    (found,) = simulated(ready)
    assert found.result.first_start_s[row] == 100 * 86_400.0


def test_a_booked_run_is_known_before():
    model = "name: m, model: llama3.1-8b, gpus: 64, tokens: 1e10"
    run_ = f"workload.runs=[{{{model}, submit_day: 50.0, booked_days_ahead: 9.0}}]"
    jobs = pipeline.prepare(small(*SMALL, run_)).demand.jobs
    row = int(np.flatnonzero(jobs.class_index == jobs.class_names.index("m"))[0])
    assert jobs.submit_s[row] - jobs.known_s[row] == 9 * 86_400.0


def test_a_plan_says_where_it_asks_for_what_its_policy_cannot_do():
    ready = pipeline.prepare(small("plan.years=1", CAMPAIGN, "workload.backfill_depth=50"))
    with pytest.raises(InputError) as caught:
        simulated(ready)
    assert "workload.campaigns[0].booked_days_ahead" in str(caught.value)
    assert "workload.backfill_depth" in str(caught.value)
    assert "choose conservative" in str(caught.value)
