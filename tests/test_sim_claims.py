"""Nodes that services take from jobs: as many as are claimed, at the least cost to the jobs, and none for nothing."""

import numpy as np
import pytest
from plans import jobs_of, saturated_mix

from dcsim.errors import RangeError
from dcsim.sim.engine import Claims, ClusterSpec, Maintenance, Pool, Reliability, simulate, simulate_pools
from dcsim.sim.recorder import STATUSES

CLUSTER = ClusterSpec(8, 4, 2, ((0.0, 8),))
RATE = np.ones((1, 4))


def run(jobs, *nodes_from, horizon_s=1e5, cluster=CLUSTER, policy="easy", **others):
    claims = Claims(nodes_from) if nodes_from else None
    pool = Pool(cluster, RATE, claims=claims, reliability=others.pop("reliability", None))
    (only,) = simulate_pools((pool,), jobs, horizon_s=horizon_s, seed=0, policy=policy, **others)
    return only.result


def reliability(per_day=0.0):
    return Reliability(
        failures_per_node_day=per_day,
        repair_mean_s=3600.0,
        checkpoint_interval_s=np.array([600.0]),
        checkpoint_write_s=np.array([30.0]),
        restart_s=np.array([60.0]),
    )


def test_as_many_nodes_are_lent_as_are_claimed():
    lent = run(jobs_of((0.0, 100.0, 100.0, 1)), (0.0, 3), (500.0, 5), (900.0, 1), (2000.0, 0)).nodes_lent()
    assert lent.at([0.0, 499.0, 500.0, 899.0, 900.0, 1999.0, 2000.0]).tolist() == [3, 3, 5, 5, 1, 1, 0]


def test_idle_nodes_are_lent_before_any_job_is_stopped():
    jobs = jobs_of((0.0, 1000.0, 1000.0, 32))
    found = run(jobs, (100.0, 4), (600.0, 0))
    assert found.end_s.tolist() == [1000.0]
    assert found.interruptions == {}


def test_the_job_that_started_last_makes_room_and_goes_on_later():
    jobs = jobs_of((0.0, 1000.0, 1000.0, 32), (10.0, 1000.0, 1000.0, 32))
    found = run(jobs, (100.0, 4), (600.0, 0), reliability=reliability())
    assert found.end_s[0] == pytest.approx(1000.0 + 30.0, abs=31)
    # It lost no work but the time of a checkpoint's write and of its restart.
    assert 1500.0 <= found.end_s[1] <= 1700.0
    assert found.interruptions == {"services": 1}


def test_a_claim_of_more_than_there_is_takes_all_and_asks_again():
    cluster = ClusterSpec(8, 4, 2, ((0.0, 8), (1000.0, 8)))
    lent = run(jobs_of((0.0, 10.0, 10.0, 1)), (0.0, 12), (1000.0, 12), (2000.0, 13), cluster=cluster).nodes_lent()
    assert lent.at([0.0, 1000.0, 2000.0]).tolist() == [8, 12, 13]


def test_a_claim_of_nothing_changes_nothing():
    jobs = saturated_mix(2000, 64, 0.9, 3, n_sizes=7)
    free, none = (run(jobs, *claims, horizon_s=4e6) for claims in ((), ((0.0, 0), (5000.0, 0))))
    assert np.array_equal(free.end_s, none.end_s, equal_nan=True)


@pytest.mark.parametrize("policy", ["fifo", "easy", "easy_nodes", "conservative", "priority", "easy_shutdown"])
def test_jobs_and_services_never_hold_more_than_there_is(policy):
    jobs = saturated_mix(400, 64, 0.8, 5, n_sizes=6)
    rng = np.random.default_rng(1)
    claims = tuple((3600.0 * hour, int(rng.integers(0, 6))) for hour in range(400))
    end_s = 3600.0 * 400
    found = run(jobs, *claims, horizon_s=end_s, policy=policy, reliability=reliability(0.01))
    times = np.unique(np.concatenate([found.segment_start_s, found.segment_end_s, [t for t, _ in claims]]))
    held = found.gpus_allocated().at(times) + 8 * found.nodes_lent().at(times) + found.gpus_down().at(times)
    assert held.max() <= 64
    assert (found.status == STATUSES.index("completed")).mean() > 0.5
    assert found.useful_s.sum() <= jobs.run_s.sum() * (1 + 1e-9)


def test_another_node_is_lent_for_one_that_fails():
    found = run(jobs_of((0.0, 10.0, 10.0, 1)), (0.0, 3), horizon_s=1e6, reliability=reliability(0.5))
    times = np.arange(0.0, 1e6, 500.0)
    assert found.gpus_down().at(times).max() > 0
    assert (found.nodes_lent().at(times) == 3).mean() > 0.99


@pytest.mark.parametrize(
    "others", [{"reliability": reliability(0.1)}, {"maintenance": Maintenance(3600, 36_000, 1800, 0.25)}]
)
def test_services_that_hold_all_nodes_get_those_back_that_return(others):
    found = run(jobs_of((0.0, 10.0, 10.0, 1)), (0.0, 8), horizon_s=1e6, **others)
    times = np.arange(0.0, 1e6, 500.0)
    lent, down = found.nodes_lent().at(times), found.gpus_down().at(times) / 8
    assert down.max() > 0
    assert np.all(lent + down == 8)


def test_the_last_to_come_goes_back_first_when_one_before_it_has_failed():
    """Nodes that are due back later stay when the count falls, whichever node stands for them."""
    found = run(
        jobs_of((0.0, 10.0, 10.0, 1)),
        *((3600.0 * hour, 2 + hour % 4) for hour in range(250)),
        horizon_s=9e5,
        reliability=reliability(0.3),
    )
    times = 3600.0 * np.arange(250) + 1800.0
    wanted = 2 + np.arange(250) % 4
    assert (found.nodes_lent().at(times) == wanted).mean() > 0.95


def test_claims_and_maintenance_share_the_nodes():
    jobs = saturated_mix(200, 64, 0.6, 5, n_sizes=6)
    maintenance = Maintenance(3600.0, 36_000.0, 1800.0, 0.25)
    found = run(jobs, (0.0, 2), (50_000.0, 5), (90_000.0, 1), horizon_s=2e5, maintenance=maintenance)
    times = np.arange(0.0, 2e5, 450.0)
    assert (
        found.gpus_allocated().at(times) + 8 * found.nodes_lent().at(times) + found.gpus_down().at(times)
    ).max() <= 64


def test_the_same_jobs_without_claims_are_those_of_one_simulation():
    jobs = saturated_mix(500, 64, 0.9, 3, n_sizes=7)
    plain = simulate(CLUSTER, jobs, RATE, horizon_s=4e6, seed=0)
    assert np.array_equal(plain.end_s, run(jobs, horizon_s=4e6).end_s, equal_nan=True)


@pytest.mark.parametrize("wrong", [((5.0, 1), (5.0, 2)), ((5.0, 1), (4.0, 2)), ((0.0, -1),), ((-1.0, 1),)])
def test_claims_out_of_order_are_refused(wrong):
    with pytest.raises(RangeError):
        Claims(wrong)
