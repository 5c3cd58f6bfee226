"""Stages that come after each other: order, work elsewhere, failures between, and what a plan makes of them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from plans import small

from dcsim import pipeline, runs
from dcsim.errors import InputError
from dcsim.model.workload import Campaign, Stage
from dcsim.sim.engine import ClusterSpec, Reliability, simulate
from dcsim.workload.campaigns import with_campaigns
from dcsim.workload.jobs import Jobs

RATES = np.ones((1, 2))
FOUR = ClusterSpec(1, 4, 4, ((0.0, 4),))
HOUR, DAY = 3600.0, 86_400.0
STAGES = (
    "{name: data, hours: 5.0}, "
    "{name: train, job_class: training, gpus: 64, hours: 20.0, after: [data]}, "
    "{name: eval, job_class: evaluation, gpus: 8, hours: 2.0, after: [train]}, "
    "{name: store, hours: 1.0, after: [train, eval]}"
)
PLAN = f"workload.campaigns=[{{name: weekly, every_days: 7.0, stages: [{STAGES}]}}]"


def jobs(*rows, parents=None):
    submit_s, run_s, gpus = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    times = submit_s.astype(float), run_s.astype(float), run_s.astype(float)
    return Jobs(np.arange(n), *times, gpus.astype(np.int64), np.zeros(n, np.int64), ("training",), parents=parents)


def run(of, **options):
    options = {"policy": "easy", "horizon_s": np.inf, "seed": 0} | options
    return simulate(FOUR, of, RATES, **options)


def test_a_job_starts_when_all_before_it_have_ended():
    of = jobs((0, 100, 1), (0, 300, 1), (0, 50, 2), parents={2: (0, 1)})
    result = run(of)
    assert result.first_start_s.tolist() == [0.0, 0.0, 300.0]
    assert result.ready_s.tolist() == [0.0, 0.0, 300.0]


def test_work_elsewhere_takes_time_and_no_gpu():
    of = jobs((0, 1000, 4), (10, 500, 0), (10, 100, 4), (10, 50, 0), parents={2: (1,), 3: (2,)})
    result = run(of)
    assert result.first_start_s.tolist() == [0.0, 10.0, 1000.0, 1100.0]
    assert result.ready_s.tolist() == [0.0, 10.0, 510.0, 1100.0]
    assert result.end_s[3] == 1150.0
    assert result.gpus_allocated().values.max() == 4
    assert result.gpus_held.tolist() == [4, 0, 4, 0]


def test_a_chain_without_any_time_ends_where_it_begins():
    of = jobs((5, 0, 0), (5, 0, 1), (5, 0, 0), parents={1: (0,), 2: (1,)})
    assert run(of).end_s.tolist() == [5.0, 5.0, 5.0]


def test_a_failed_stage_holds_up_what_comes_after_it():
    of = jobs((0, 50_000, 4), (0, 100, 1), parents={1: (0,)})
    cost = Reliability(2.0, 600.0, np.array([1000.0]), np.array([0.0]), np.array([60.0]))
    result = run(of, horizon_s=1e6, reliability=cost)
    assert result.restarts[0] > 0
    assert result.end_s[0] > 50_000
    assert result.first_start_s[1] >= result.end_s[0]


def test_what_does_not_end_within_the_horizon_leaves_its_children_waiting():
    result = run(jobs((0, 100, 1), (0, 10, 1), parents={1: (0,)}), horizon_s=50.0)
    assert np.isnan(result.ready_s[1])
    assert np.isnan(result.first_start_s[1])
    assert result.jobs_queued().values.max() <= 1


@pytest.mark.parametrize(
    "policy", ["fifo", "easy", "conservative", "sjf", "las", "fair_share", "priority", "easy_shutdown"]
)
def test_order_holds_under_every_policy(policy):
    draws = np.random.default_rng(4)
    n = 200
    of = jobs(*zip(np.sort(draws.uniform(0, 9e4, n)), draws.exponential(900, n), draws.integers(0, 5, n), strict=True))
    parents = {child: tuple(draws.choice(child, 2).tolist()) for child in range(50, n)}
    result = run(replace(of, parents=parents), policy=policy)
    assert np.isfinite(result.end_s).all()
    for child, before in parents.items():
        assert result.first_start_s[child] >= result.end_s[list(before)].max()


def test_choosing_rows_keeps_who_comes_after_whom():
    of = jobs((0, 1, 1), (0, 1, 1), (0, 1, 1), (0, 1, 1), parents={2: (0, 1), 3: (2,)})
    assert of.select(np.array([1, 2, 3])).parents == {1: (0,), 2: (1,)}
    assert of.select(np.array([True, True, False, True])).parents == {2: ()}


def test_a_campaign_comes_again_until_the_plan_ends():
    stages = (Stage(name="a", hours=1.0), Stage(name="b", job_class="training", gpus=2, hours=2.0, after=("a",)))
    of = with_campaigns(jobs((0, 1, 1)), (Campaign(name="c", first_day=1.0, every_days=2.0, stages=stages),), 6 * DAY)
    assert of.submit_s.tolist() == [0.0, DAY, DAY, 3 * DAY, 3 * DAY, 5 * DAY, 5 * DAY]
    assert of.gpus.tolist() == [1, 0, 2, 0, 2, 0, 2]
    assert of.parents == {2: (1,), 4: (3,), 6: (5,)}


def test_a_plan_runs_its_campaigns_in_order(tmp_path):
    run = runs.read(pipeline.run(small(PLAN), tmp_path))
    of = run.jobs[run.jobs["job_id"] > run.jobs["job_id"].max() - 4 * 53].sort_values("job_id")
    stages = [of.iloc[k::4] for k in range(4)]
    assert [set(stage["gpus"]) for stage in stages] == [{0}, {64}, {8}, {0}]
    done = stages[3]["end_s"].notna().to_numpy()
    assert done.sum() >= 50
    for before, after in pairwise(stages):
        assert (after["start_s"].to_numpy()[done] >= before["end_s"].to_numpy()[done]).all()
    assert (stages[1]["ready_s"].to_numpy()[done] == stages[0]["end_s"].to_numpy()[done]).all()
    assert stages[0]["energy_j"].sum() == 0
    assert set(stages[2]["job_class"]) == {"evaluation"}


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("{name: a, hours: 1.0, after: [b]}", "which is no stage before it"),
        ("{name: a, hours: 1.0}, {name: a, hours: 1.0}", "is the name of two stages"),
        ("{name: a, gpus: 8, hours: 1.0}", "gpus or nodes and job_class go together"),
        ("{name: a, job_class: trainig, gpus: 8, hours: 1.0}", "is not a known workload class"),
        ("{name: a, job_class: training, gpus: 80000, hours: 1.0}", "more than the"),
    ],
)
def test_campaigns_that_make_no_sense_are_refused(stages, message):
    with pytest.raises(InputError, match=message):
        pipeline.prepare(small(f"workload.campaigns=[{{name: c, stages: [{stages}]}}]"))
