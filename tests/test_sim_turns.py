"""GPUs used in turns: jobs slow each other once they need more than there is, and no work is made or lost."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from plans import jobs_of as rows_of
from plans import saturated_mix, small

from dcsim import pipeline, runs
from dcsim.errors import InputError, RangeError
from dcsim.sim.engine import ClusterSpec, Pool, Reliability, TimeSlices, simulate_pools

ONE_SPEED = np.ones((1, 2))
jobs_of = partial(rows_of, columns=("submit_s", "run_s"))


def run(jobs, slices=4, need=1.0, overhead=0.0, gpus=1, nodes=1, horizon_s=1e9, **others):
    of = TimeSlices(gpus, np.array([need]), overhead)
    pool = Pool(ClusterSpec(gpus * slices, 4, 4, ((0.0, nodes),)), ONE_SPEED, largest_job=1, slices=of, **others)
    (found,) = simulate_pools((pool,), jobs, horizon_s=horizon_s, seed=1)
    return found.result


def test_two_jobs_that_need_all_of_a_gpu_take_twice_as_long():
    assert run(jobs_of((0, 100), (0, 100))).end_s.tolist() == [200.0, 200.0]


def test_jobs_that_need_little_do_not_slow_each_other():
    assert run(jobs_of((0, 100), (0, 100), (0, 100)), need=0.3).end_s.tolist() == [100.0] * 3
    assert run(jobs_of(*[(0, 100)] * 4), need=0.5).end_s.tolist() == [200.0] * 4


def test_a_newcomer_slows_what_is_left():
    # 50 s alone; then both at half speed: the first needs 100 s more, the second has then done 50 s.
    assert run(jobs_of((0, 100), (50, 100))).end_s.tolist() == [150.0, 200.0]


def test_turns_cost_time_where_there_are_more_jobs_than_gpus():
    assert run(jobs_of((0, 100)), overhead=0.1).end_s.tolist() == [100.0]
    assert run(jobs_of((0, 100), (0, 100)), overhead=0.1).end_s.tolist() == [pytest.approx(220.0)] * 2
    assert run(jobs_of((0, 100), (0, 100)), overhead=0.1, gpus=2, slices=2).end_s.tolist() == [100.0, 100.0]


def test_nodes_are_apart():
    found = run(jobs_of(*[(0, 100)] * 3), slices=2, nodes=2)
    assert sorted(found.end_s.tolist()) == [100.0, 200.0, 200.0]


def test_jobs_beyond_all_turns_wait():
    found = run(jobs_of((0, 100), (0, 100), (0, 100)), slices=2)
    assert found.first_start_s.tolist() == [0.0, 0.0, 200.0]


def test_gpus_that_need_all_of_their_time_do_no_more_work_in_turns():
    jobs = replace(saturated_mix(400, 32, 2.0, seed=5, n_sizes=1), gpus=np.ones(400, dtype=np.int64))
    found = run(jobs, slices=4, gpus=8, nodes=4)
    assert np.allclose(found.useful_s, jobs.run_s)
    assert np.nanmax(found.end_s) >= jobs.run_s.sum() / 32
    # At no time more than 32 GPUs' worth of work is done.
    order = np.argsort(found.end_s)
    done = np.cumsum(jobs.run_s[order])
    assert (done <= 32 * found.end_s[order] + 1e-6).all()


def test_a_failure_takes_the_work_since_the_checkpoint_at_the_speed_that_it_had():
    one = (np.array([value]) for value in (1e9, 0.0, 0.0))
    found = run(jobs_of((0, 1e5), (0, 1e5)), horizon_s=1e6, reliability=Reliability(2.0, 100.0, *one))
    assert found.restarts.sum() > 0
    assert (found.useful_s <= found.held_s + 1e-6).all()


def test_ranges_are_refused():
    for of in ((0, 1.0, 0.0), (1, 0.0, 0.0), (1, 1.1, 0.0), (1, 1.0, -0.1)):
        with pytest.raises(RangeError):
            TimeSlices(of[0], np.array([of[1]]), of[2])


TURNS = (
    "facility.pools={shared: {server: hgx-h100-8, time_slices: 4}}",
    "facility.phases[1].pool=shared",
    "workload.pools={training: [main], fine_tuning: [main], inference: [shared, main]}",
    "workload.gpu_time_frac={inference: 0.25}",
)


def test_a_plan_counts_gpus_and_power_of_turns(tmp_path):
    found = runs.read(pipeline.run(small(*TURNS), tmp_path))
    of = found.pools[found.pools["pool"] == "shared"]
    jobs = found.jobs[found.jobs["pool"] == "shared"]
    servers = next(phase["servers"] for phase in found.findings["phases"] if phase["pool"] == "shared")
    assert of["gpus_energised"].max() == pytest.approx(8 * servers)
    assert np.allclose(jobs["gpus_held"], 0.25)
    assert jobs["energy_j"].sum() == pytest.approx(float(of["job_power_w"] @ of["duration_s"]), rel=1e-9)


def test_four_jobs_that_need_a_quarter_draw_what_one_whole_job_draws():
    main, shared = pipeline.prepare(small(*TURNS)).facility.pools
    inference = main.services.class_names.index("inference")
    whole, turn = main.services.gpu_power_w[inference, 1], shared.services.gpu_power_w[inference, 1]
    assert 4 * turn == pytest.approx(whole)
    assert 4 * shared.services.idle_gpu_power_w == pytest.approx(main.services.idle_gpu_power_w)


def test_demand_follows_what_turns_can_do():
    light, heavy = (
        pipeline.prepare(small(*TURNS, f"workload.gpu_time_frac={{inference: {need}}}")) for need in (0.25, 1.0)
    )
    room = [next(room for room in of.facility.rooms if room.pool == "shared") for of in (light, heavy)]
    assert room[0].speed["inference"] == 1.0
    assert room[1].speed["inference"] == 0.25


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (("facility.pools.shared.mig_instances=7",), "split in one way"),
        (("workload.gpu_time_frac={inferenc: 0.5}",), "did you mean 'inference'?"),
        (("facility.pools.shared.time_slices=0",), "time_slices"),
    ],
)
def test_what_does_not_go_is_said(sets, said):
    with pytest.raises(InputError) as caught:
        pipeline.prepare(small(*TURNS, *sets))
    assert said in str(caught.value)
