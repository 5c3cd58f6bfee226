"""Ways to fail: published counts, racks and leaves at once, lemons, crews, spares, and what is no hardware."""

import numpy as np
import pytest
from plans import small
from scipy import stats

from dcsim import pipeline
from dcsim.errors import CapacityError, InputError, RangeError
from dcsim.physics.reliability import young_interval_s
from dcsim.sim.engine import ClusterSpec, Mode, Reliability, simulate
from dcsim.sim.failures import rate_shares
from dcsim.units import SECONDS_PER_DAY
from dcsim.workload.jobs import Jobs

ONE = np.ones((1, 2))
# Llama 3 405B: 16,384 H100 for 54 days, 419 unexpected interruptions, more than 90 % effective (arXiv 2407.21783).
NODES, DAYS, RATE = 2048, 54.0, 0.00379


def long_run(gpus):
    one = np.array([1])
    return Jobs(one, 0.0 * one, 1e9 * one, 1e9 * one, gpus * one, 0 * one, ("training",))


def training(seed, *, nodes=NODES, write_s=10.0, restart_s=600.0, days=DAYS, rate=RATE, over=0.05, **options):
    interval_s = float(young_interval_s(write_s, SECONDS_PER_DAY / (nodes * rate)))
    of = Reliability(rate, 22 * 3600.0, np.array([interval_s]), np.array([write_s]), np.array([restart_s]), **options)
    cluster = ClusterSpec(8, 32, 8, ((0.0, nodes + int(np.ceil(over * nodes))),))
    horizon_s = days * SECONDS_PER_DAY
    result = simulate(cluster, long_run(8 * nodes), ONE, policy="fifo", horizon_s=horizon_s, seed=seed, reliability=of)
    return result, float(result.useful_s[0]) / horizon_s


@pytest.mark.parametrize("seed", range(5))
def test_llama3_is_interrupted_as_often_as_published(seed):
    result, effective = training(seed)
    low, high = stats.poisson.ppf([0.001, 0.999], 419)
    assert low <= result.restarts[0] <= high
    assert effective == pytest.approx(0.906, abs=0.01)


def test_a_minute_of_writing_leaves_less_than_nine_tenths():
    assert np.mean([training(seed, write_s=60.0)[1] for seed in range(3)]) < 0.90


def test_what_is_no_hardware_explains_the_time_to_failure_of_smaller_jobs():
    # RSC-1, 1,024 GPUs: 7.9 h measured, 28.8 h from its hardware's rate; 0.092 a job-hour was fitted to it.
    days = 600.0
    result, _ = training(3, nodes=128, rate=0.0065, days=days, interruptions_per_job_h=0.092)
    n = int(result.restarts[0])
    assert 24 * days / n == pytest.approx(7.9, rel=3 / np.sqrt(n) + 0.03)
    assert set(result.interruptions) == {"node", "not hardware"}
    assert sum(result.interruptions.values()) == n


def test_components_fail_at_their_own_rates():
    modes = (Mode("gpu", 0.004, 3600.0), Mode("nic", 0.001, 3600.0))
    result, _ = training(1, nodes=256, days=200.0, modes=modes)
    gpu, nic = result.interruptions["gpu"], result.interruptions["nic"]
    assert gpu == pytest.approx(256 * 200 * 0.004, abs=4 * np.sqrt(256 * 200 * 0.004))
    assert nic == pytest.approx(256 * 200 * 0.001, abs=4 * np.sqrt(256 * 200 * 0.001))


def test_adding_a_mode_keeps_the_failures_of_the_others():
    gpu = Mode("gpu", 0.002, 3600.0)
    alone, both = (
        training(1, nodes=64, days=50.0, modes=modes)[0]
        for modes in ((gpu,), (gpu, Mode("rack event", 0.01, 60.0, "rack")))
    )
    shared = set(zip(alone.node_time_s, alone.node, strict=True))
    assert len(shared & set(zip(both.node_time_s, both.node, strict=True))) > 0.9 * len(shared)


@pytest.mark.parametrize(("scope", "size"), [("rack", 8), ("leaf", 32)])
def test_a_rack_or_leaf_fails_and_returns_as_one(scope, size):
    result, _ = training(2, nodes=256, days=100.0, modes=(Mode("event", 0.02, 1800.0, scope),), over=0.0)
    times, counts = np.unique(result.node_time_s, return_counts=True)
    assert len(times) > 20
    assert set(counts) == {size}
    first = result.node[result.node_time_s == times[0]]
    assert first.min() % size == 0
    assert np.ptp(first) == size - 1


def test_few_lemons_have_most_failures():
    share = np.sort(np.diff(rate_shares(0.1, 10_000, seed=1), prepend=0.0))[::-1]
    assert share[:1000].sum() > 0.7
    assert share.sum() == pytest.approx(1.0)
    assert rate_shares(np.inf, 10, seed=1) is None
    even, _ = training(4, nodes=128, days=300.0)
    lemons, _ = training(4, nodes=128, days=300.0, lemon_shape=0.1)
    worst = [np.bincount(of.node[of.node_change < 0]).max() for of in (even, lemons)]
    assert worst[1] > 3 * worst[0]


def test_a_crew_repairs_one_after_the_other():
    free, _ = training(5, nodes=128, days=60.0, rate=0.05, over=0.5)
    one, _ = training(5, nodes=128, days=60.0, rate=0.05, over=0.5, crews=2)
    down = [float(of.gpus_down().integral([0.0, of.horizon_s])[0]) for of in (free, one)]
    assert down[1] > 2 * down[0]


def test_spares_take_the_place_of_failed_nodes():
    # As many nodes either way: 8 wait aside, or there are none to spare.
    with_spares, effective = training(6, nodes=128, days=100.0, rate=0.01, over=8 / 128, spare_frac=8 / 136)
    _, without = training(6, nodes=128, days=100.0, rate=0.01, over=0.0)
    assert effective > without + 0.2
    assert with_spares.gpus_allocated().values.max() == 8 * 128


def test_a_job_wider_than_what_is_beside_the_spares_is_refused():
    with pytest.raises(CapacityError, match="beside 7 spares"):
        training(1, nodes=128, days=1.0, over=0.0, spare_frac=0.05)


@pytest.mark.parametrize(
    "changes", [{"lemon_shape": 0.0}, {"crews": 0}, {"spare_frac": 1.0}, {"interruptions_per_job_h": -1.0}]
)
def test_what_makes_no_sense_is_refused(changes):
    with pytest.raises(RangeError):
        Reliability(0.1, 1.0, np.ones(1), np.zeros(1), np.zeros(1), **changes)


def test_a_mode_has_a_rate_and_a_repair():
    with pytest.raises(RangeError, match="per_day"):
        Mode("x", -1.0, 1.0)
    with pytest.raises(RangeError, match="repair_mean_s"):
        Mode("x", 1.0, 0.0)


def test_a_plan_fails_by_component():
    ready = pipeline.prepare(
        small("workload.reliability={by_component: true, lemons: true, rack_events_per_year: 0.5}")
    )
    names = {mode.name for mode in ready.reliability.modes}
    assert {"gpu", "nic", "rack event"} <= names
    assert "maintenance" not in names
    # The components add up to what was counted, less the planned.
    total = sum(mode.per_day for mode in ready.reliability.modes if mode.scope == "node")
    assert total == pytest.approx(0.00379 - 32 / 54 / 2048, rel=0.08)
    assert ready.reliability.lemon_shape == 0.1


def test_a_source_without_components_is_refused():
    with pytest.raises(InputError, match="has no rates by component"):
        pipeline.prepare(small("workload.reliability={by_component: true, source: rsc2-a100}"))
