"""Jobs that share the up-links of leaves: worked by hand, and the law that a limit that never binds changes nothing."""

from functools import partial

import numpy as np
import pytest
from plans import jobs_of

from dcsim.errors import RangeError
from dcsim.sim.engine import ClusterSpec, Reliability, Uplinks, simulate

# 8 leaves of 4 nodes of 1 GPU.
CLUSTER = ClusterSpec(1, 4, 4, ((0.0, 32),))
RATES = np.ones((1, 9))


jobs = partial(jobs_of, columns=("submit_s", "run_s", "gpus"))


def run(of, nodes, wait=0.4, cluster=CLUSTER, **options):
    uplinks = None if nodes is None else Uplinks(nodes, np.full_like(RATES, wait))
    options = {"policy": "fifo", "horizon_s": np.inf, "seed": 0} | options
    return simulate(cluster, of, RATES, uplinks=uplinks, **options)


def test_two_jobs_on_one_leafs_uplinks_slow_each_other_for_as_long_as_both_run():
    # Two leaves of 4: a 3-node filler leaves one node on leaf 0; jobs of 2 and 3 nodes then share what is left.
    # Job A: 6 nodes, 4 on one leaf and 2 on another. B: 2 nodes there, 4 on a third: they meet on one leaf's up-links.
    cluster = ClusterSpec(1, 4, 4, ((0.0, 12),))
    of = jobs((0, 100, 6), (10, 50, 6))
    alone = run(of, None, cluster=cluster)
    shared = run(of, 1.0, cluster=cluster)
    assert alone.end_s.tolist() == [100.0, 60.0]
    # A and B each send 4 (1 - 4/6) = 4/3 up from their full leaf and 2 (1 - 2/6) = 4/3 from the one they share. With
    # up-links for 1 node, each has min(1, 1 / (4/3)) = 3/4 alone and 3/8 beside the other: half, so a step that waits
    # 0.4 of its time alone takes 0.6 + 0.8 = 1.4 times as long while both run.
    assert shared.end_s[1] == pytest.approx(10 + 50 * 1.4)
    # A does 10 s alone, 50 s of work in the 70 s beside B, then its last 40 s alone.
    assert shared.end_s[0] == pytest.approx(10 + 70 + 40)


def test_jobs_of_one_leaf_share_nothing():
    of = jobs(*[(0, 100, 4)] * 8)
    assert run(of, 0.1).end_s.tolist() == [100.0] * 8


def draw(seed, n=300):
    draws = np.random.default_rng(seed)
    return jobs(
        *zip(
            np.sort(draws.uniform(0, 20_000, n)),
            draws.exponential(600, n) + 1,
            draws.choice([1, 2, 6, 9, 16], n),
            strict=True,
        )
    )


@pytest.mark.parametrize("policy", ["fifo", "easy"])
def test_uplinks_that_never_bind_change_nothing(policy):
    of = draw(1)
    free, wide = run(of, None, policy=policy), run(of, 4.0, policy=policy)
    np.testing.assert_array_equal(free.end_s, wide.end_s)
    np.testing.assert_array_equal(free.segment_span, wide.segment_span)


@pytest.mark.parametrize("seed", range(5))
def test_scarcer_uplinks_slow_no_job_down_by_more_than_its_wait(seed):
    of = draw(seed)
    found = run(of, 1.0, wait=0.3)
    held_s = found.end_s - found.first_start_s
    assert np.all(held_s >= of.run_s * (1 - 1e-9))
    # All eight leaves' jobs on one up-link would leave a share of 1/8.
    assert np.all(held_s <= of.run_s * (0.7 + 0.3 * 32) * (1 + 1e-9))
    assert np.any(held_s > of.run_s * 1.001)
    np.testing.assert_allclose(found.useful_s, of.run_s)


def test_failures_and_sharing_lose_no_work_but_what_no_checkpoint_holds():
    of = draw(7)
    reliability = Reliability(2.0, 3600.0, np.array([100.0]), np.array([0.0]), np.array([10.0]))
    found = run(of, 1.0, horizon_s=200_000.0, reliability=reliability, policy="easy")
    assert found.restarts.sum() > 20
    assert np.all(found.useful_s <= of.run_s * (1 + 1e-9))
    done = np.isfinite(found.end_s)
    assert done.mean() > 0.95
    np.testing.assert_allclose(found.useful_s[done], of.run_s[done])


@pytest.mark.parametrize("nodes", [0.0, -1.0])
def test_uplinks_that_carry_nothing_are_refused(nodes):
    with pytest.raises(RangeError, match="give more than 0"):
        Uplinks(nodes, np.zeros((1, 2)))


def test_a_table_of_another_shape_is_refused():
    with pytest.raises(RangeError, match="wait_frac has shape"):
        simulate(CLUSTER, draw(1), RATES, horizon_s=10.0, seed=0, uplinks=Uplinks(1.0, np.zeros((1, 2))))
