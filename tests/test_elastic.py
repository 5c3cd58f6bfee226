"""Elastic jobs: they shrink so that others start, grow while nobody waits, and never make or lose work."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from plans import jobs_of as rows_of
from plans import saturated_mix, small

from dcsim import pipeline, runs
from dcsim.errors import InputError, RangeError
from dcsim.sim.engine import ClusterSpec, Elasticity, Reliability, simulate
from dcsim.sim.recorder import RESIZED

ONE_SPEED = np.ones((2, 2))
ELASTIC, RIGID = range(2)
COLUMNS = ("submit_s", "run_s", "limit_s", "gpus", "class_index")
jobs_of = partial(rows_of, columns=COLUMNS, class_names=("elastic", "rigid"))


def elasticity(least=0.5, most=1.0, efficiency=1.0):
    """Of the first class alone."""
    return Elasticity(*(np.array([value, 1.0]) for value in (least, most, efficiency)))


def run(jobs, n_nodes=4, policy="elastic", horizon_s=1e9, **others):
    cluster = ClusterSpec(8, 64, 64, ((0.0, n_nodes),))
    return simulate(cluster, jobs, ONE_SPEED, policy=policy, horizon_s=horizon_s, seed=1, **others)


def test_a_job_shrinks_so_that_another_starts():
    # Four nodes for 10,000 s. At 4,000 s another asks for two: the first goes on on two, at half its speed.
    jobs = jobs_of((0, 10_000, 20_000, 32, ELASTIC), (4000, 50_000, 50_000, 16, RIGID))
    found = run(jobs, elasticity=elasticity())
    assert found.first_start_s.tolist() == [0.0, 4000.0]
    assert found.segment_gpus.tolist() == [32, 16, 16]
    assert found.end_s.tolist() == [4000.0 + 6000.0 * 2, 54_000.0]


def test_it_grows_again_when_nobody_waits():
    jobs = jobs_of((0, 10_000, 20_000, 32, ELASTIC), (4000, 3000, 3000, 16, RIGID))
    found = run(jobs, elasticity=elasticity(most=2.0))
    # On two nodes from 4,000 to 7,000 s, which is 1,500 s of its work; then on all four again.
    assert found.segment_gpus.tolist() == [32, 16, 16, 32]
    assert found.end_s.tolist() == [7000.0 + 4500.0, 7000.0]


def test_it_grows_beyond_what_it_asks_for():
    # Alone on four nodes, a job that asks for one has two after half an hour and four after another.
    found = run(jobs_of((0, 10_000, 20_000, 8, ELASTIC)), elasticity=elasticity(most=8.0))
    assert found.segment_gpus.tolist() == [8, 16, 32]
    assert found.segment_start_s.tolist() == [0.0, 1800.0, 3600.0]
    assert found.end_s[0] == pytest.approx(3600.0 + (10_000 - 1800 - 2 * 1800) / 4)


def test_it_starts_on_what_is_free():
    jobs = jobs_of((0, 1000, 1000, 24, RIGID), (10, 1000, 1000, 16, ELASTIC))
    found = run(jobs, elasticity=elasticity())
    assert found.first_start_s.tolist() == [0.0, 10.0]
    assert found.segment_gpus.tolist() == [24, 8, 16]  # what it asks for, when the first has ended


def test_a_job_works_for_half_an_hour_between_two_changes():
    jobs = jobs_of((0, 10_000, 20_000, 32, ELASTIC), (600, 1000, 1000, 16, RIGID))
    assert run(jobs, elasticity=elasticity()).first_start_s.tolist() == [0.0, 1800.0]


def test_twice_the_nodes_are_not_twice_as_fast():
    of = elasticity(0.25, 4.0, 0.9)
    assert of.speed(0, 2.0) == pytest.approx(1.8)
    assert of.speed(0, 4.0) == pytest.approx(4 * 0.81)
    assert of.speed(0, 0.5) == pytest.approx(0.5 / 0.9)
    assert of.nodes(0, 6) == (2, 24)


def test_each_change_costs_a_checkpoint_and_a_restart():
    one = (np.array([value, value]) for value in (np.inf, 30.0, 70.0))
    jobs = jobs_of((0, 10_000, 20_000, 32, ELASTIC), (4000, 50_000, 50_000, 16, RIGID))
    found = run(jobs, horizon_s=1e6, elasticity=elasticity(), reliability=Reliability(0.0, 1000.0, *one))
    # 3,970 s are saved; after 70 s of reload the rest takes twice as long.
    assert found.end_s[0] == pytest.approx(4000.0 + 70.0 + 2 * (10_000 - 3970))


@pytest.fixture(scope="module")
def mix():
    jobs = saturated_mix(800, 32 * 8, 1.1, seed=4, n_sizes=6)
    jobs = replace(jobs, class_names=("elastic", "rigid"))
    return replace(jobs, run_s=jobs.run_s * 10, limit_s=jobs.limit_s * 10, submit_s=jobs.submit_s * 10)


def test_without_elastic_jobs_it_is_easy(mix):
    easy, same = run(mix, 32, "easy"), run(mix, 32, elasticity=elasticity(1.0, 1.0))
    assert np.array_equal(easy.first_start_s, same.first_start_s)


def test_no_work_is_made_or_lost_and_no_bound_broken(mix):
    found = run(mix, 32, elasticity=elasticity(0.5, 2.0))
    assert (found.segment_reason == RESIZED).sum() > 50
    held = found.segment_gpus * (found.segment_end_s - found.segment_start_s)
    assert held.sum() == pytest.approx((found.gpus_held * mix.run_s).sum(), rel=1e-9)
    assert np.allclose(found.useful_s, mix.run_s)
    ratio = found.segment_gpus / found.gpus_held[found.segment_job]
    whole = mix.gpus[found.segment_job] >= 8
    assert ratio[whole].min() >= 0.5
    assert ratio[whole].max() <= 2.0
    assert (ratio[~whole] == 1.0).all()
    times_s = np.unique(np.concatenate([found.segment_start_s, found.segment_end_s]))
    mean = found.gpus_allocated().integral(times_s) / np.diff(times_s)
    assert mean.max() <= 32 * 8 + 1e-6


def test_elastic_jobs_make_others_wait_less(mix):
    waits = [
        (found.first_start_s - found.ready_s).mean()
        for found in (run(mix, 32, "easy"), run(mix, 32, elasticity=elasticity(0.5, 1.0)))
    ]
    assert waits[1] < 0.7 * waits[0]


def test_ranges_are_refused():
    for of in ((0.0, 1.0, 1.0), (1.5, 1.0, 1.0), (0.5, 0.9, 1.0), (0.5, 2.0, 0.5)):
        with pytest.raises(RangeError):
            elasticity(*of)


POLICY = "workload.policy=elastic"
TRAINING = "workload.elastic={training: {}}"


def test_a_plan_with_elastic_training_accounts_for_what_it_holds(tmp_path):
    sets = (
        "workload.policy=elastic",
        "workload.elastic={training: {least_frac: 0.25}}",
        "workload.jobs.offered_load_frac=0.9",
    )
    found = runs.read(pipeline.run(small(POLICY, *sets), tmp_path))
    of = found.intervals
    assert found.jobs["energy_j"].sum() == pytest.approx(float(of["job_power_w"] @ of["duration_s"]), rel=1e-9)
    assert of["gpus_allocated"].max() <= of["gpus_energised"].max() + 1e-6


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (("workload.policy=elastic",), "go together"),
        (("workload.elastic={training: {}}",), "go together"),
        (
            (
                "workload.policy=elastic",
                "workload.elastic={training: {}}",
                "workload.walltime={max_h: {training: 24.0}}",
            ),
            "has a wall time, too",
        ),
        (("workload.policy=elastic", "workload.elastic={training: {least_frac: 0.0}}"), "must be above 0"),
    ],
)
def test_what_does_not_go_together_is_refused(sets, said):
    with pytest.raises(InputError) as caught:
        pipeline.run(small(*sets), None)
    assert said in str(caught.value)
