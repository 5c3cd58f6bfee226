"""Pools of unlike nodes on one clock: each as it would be alone, and jobs that may use several."""

from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
from plans import jobs_of as rows_of
from plans import saturated_mix

from dcsim.errors import CapacityError, RangeError
from dcsim.sim.engine import ClusterSpec, Pool, PowerLimit, Reliability, SimResult, simulate, simulate_pools
from dcsim.sim.recorder import STATUSES

ARRAYS = [field.name for field in fields(SimResult) if field.name.endswith("_s") or field.name in ("span", "status")]
ONE_SPEED = np.ones((2, 2))
CLASSES = ("training", "inference")
COLUMNS = ("submit_s", "run_s", "limit_s", "gpus", "class_index")
jobs_of = partial(rows_of, columns=COLUMNS, class_names=CLASSES)


def pool(n_nodes, per_node=8, name="", at_s=0.0, **others):
    return Pool(ClusterSpec(per_node, 4, 4, ((at_s, n_nodes),)), ONE_SPEED, name, **others)


def mixed(n=400, load=0.9):
    """Jobs of two classes that load 24 nodes of eight GPUs."""
    jobs = saturated_mix(n, 24 * 8, load, seed=3, n_sizes=4)
    return replace(jobs, class_index=np.arange(n) % 2, class_names=CLASSES)


def reliability():
    one = np.ones(2)
    return Reliability(20.0, 3600.0, 600.0 * one, 1.0 * one, 60.0 * one)


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in ARRAYS)


def test_classes_bound_to_pools_see_what_each_pool_alone_would_do():
    jobs = mixed()
    pools = pool(16, reliability=reliability()), pool(8, name="old", reliability=reliability())
    both = simulate_pools(pools, jobs, may_use=[(0,), (1,)], horizon_s=1e6, seed=1)
    for index, (of, found) in enumerate(zip(pools, both, strict=True)):
        assert found.rows.tolist() == np.flatnonzero(jobs.class_index == index).tolist()
        (alone,) = simulate_pools((of,), jobs.select(found.rows), horizon_s=1e6, seed=1)
        assert same(found.result, alone.result)
        assert found.result.restarts.sum() > 0


def test_a_pool_more_leaves_the_failures_of_the_first_alone():
    jobs = mixed()
    (alone,) = simulate_pools((pool(16, reliability=reliability()),), jobs, horizon_s=1e6, seed=1)
    first, second = simulate_pools(
        (pool(16, reliability=reliability()), pool(16, name="old", reliability=reliability())),
        jobs,
        horizon_s=1e6,
        seed=1,
    )
    assert np.array_equal(first.result.node_time_s, alone.result.node_time_s)
    assert not np.array_equal(second.result.node_time_s, alone.result.node_time_s)


def test_every_job_is_in_one_pool():
    jobs = mixed()
    found = simulate_pools((pool(12), pool(12, name="old")), jobs, horizon_s=1e9, seed=1)
    assert sorted(np.concatenate([one.rows for one in found]).tolist()) == list(range(len(jobs)))
    assert all((one.result.status == STATUSES.index("completed")).all() for one in found)
    held = sum((one.result.gpus_held * one.result.held_s).sum() for one in found)
    assert held == pytest.approx((jobs.gpus * jobs.run_s).sum())


def test_two_equal_pools_that_are_too_few_make_jobs_wait_alike():
    found = simulate_pools((pool(12), pool(12, name="old")), mixed(4000, load=1.5), horizon_s=1e9, seed=1)
    first, second = ((one.result.first_start_s - one.result.ready_s).mean() for one in found)
    assert first == pytest.approx(second, rel=0.1)
    assert len(found[0].rows) == pytest.approx(len(found[1].rows), rel=0.1)


def test_a_faster_pool_takes_its_share_of_the_time():
    # The second job finds the fast pool taken for 50 s more, which makes 100 s in all; the slow one needs 100 s.
    jobs = jobs_of((0, 100, 100, 8, 0), (0, 100, 100, 8, 0), (0, 100, 100, 8, 0))
    fast, slow = simulate_pools(
        (pool(1, name="fast", speed=np.full(2, 2.0)), pool(1)), jobs, horizon_s=1e6, seed=1, may_use=[(0, 1), (1,)]
    )
    assert fast.result.first_start_s.tolist() == [0.0, 50.0]
    assert fast.result.end_s.tolist() == [50.0, 100.0]
    assert slow.result.end_s.tolist() == [100.0]


def test_a_job_waits_for_no_pool_that_is_not_there_yet():
    jobs = jobs_of((0, 100, 100, 8, 0), (500, 100, 100, 16, 0))
    small, late = simulate_pools((pool(2), pool(2, name="late", at_s=400.0)), jobs, horizon_s=1e6, seed=1)
    assert small.rows.tolist() == [0, 1]
    late, small = simulate_pools((pool(2, name="late", at_s=400.0), pool(2)), jobs, horizon_s=1e6, seed=1)
    assert (late.rows.tolist(), small.rows.tolist()) == ([1], [0])


def test_a_job_follows_one_of_another_pool():
    jobs = jobs_of((0, 100, 100, 8, 0), (0, 50, 50, 8, 1), (0, 10, 10, 8, 0), parents={1: (0,), 2: (1,)})
    first, second = simulate_pools((pool(1), pool(1, name="old")), jobs, may_use=[(0,), (1,)], horizon_s=1e6, seed=1)
    assert second.result.first_start_s.tolist() == [100.0]
    assert second.result.ready_s.tolist() == [100.0]
    assert first.result.end_s.tolist() == [100.0, 160.0]
    assert first.result.ready_s.tolist() == [0.0, 150.0]


def test_what_never_queued_is_with_the_preferred_pool():
    jobs = jobs_of((0, 100, 100, 8, 0), (0, 50, 50, 8, 1), parents={1: (0,)})
    first, second = simulate_pools((pool(1), pool(1, name="old")), jobs, may_use=[(0,), (1, 0)], horizon_s=60.0, seed=1)
    assert (first.rows.tolist(), second.rows.tolist()) == ([0], [1])
    assert np.isnan(second.result.ready_s).all()


def test_a_job_too_wide_for_one_pool_goes_to_another():
    jobs = jobs_of((0, 100, 100, 24, 0), (0, 100, 100, 8, 0))
    _, wide = simulate_pools((pool(2), pool(4, name="wide")), jobs, horizon_s=1e6, seed=1)
    assert 0 in wide.rows
    with pytest.raises(CapacityError, match="more than any pool that it may use"):
        simulate_pools((pool(2), pool(4, name="wide")), jobs, may_use=[(0,), (1,)], horizon_s=1e6, seed=1)


def test_a_limit_on_power_holds_for_one_pool():
    jobs = mixed(10)
    limited = pool(12, power=PowerLimit(np.ones(10), 100.0))
    with pytest.raises(RangeError, match="one pool"):
        simulate_pools((limited, pool(12, name="old")), jobs, horizon_s=1e6, seed=1)


def test_one_pool_is_a_cluster():
    jobs = mixed()
    (found,) = simulate_pools((pool(24),), jobs, horizon_s=1e9, seed=1)
    assert same(found.result, simulate(ClusterSpec(8, 4, 4, ((0.0, 24),)), jobs, ONE_SPEED, horizon_s=1e9, seed=1))
