"""The simulation as a whole: order at one moment, phases, horizon, conservation, series, queueing theory."""

from dataclasses import replace
from math import factorial, inf

import numpy as np
import pytest
from scipy import stats

from dcsim.errors import CapacityError, RangeError, UnknownNameError
from dcsim.sim.engine import ClusterSpec, Reliability, simulate
from dcsim.sim.policies import POLICIES
from dcsim.sim.recorder import COMPLETED, FAILED, HORIZON, STATUSES, Counters
from dcsim.sim.seen import Policy
from dcsim.sim.service import IN_SERVICE
from dcsim.workload.jobs import Jobs

ONE_SPEED = np.ones((1, 2))
FOUR_NODES = ClusterSpec(gpus_per_node=8, nodes_per_leaf=4, nodes_per_rack=2, phases=((0.0, 4),))


def jobs_of(*rows):
    """Jobs from (submit_s, run_s, limit_s, gpus)."""
    submit_s, run_s, limit_s, gpus = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    as_floats = submit_s.astype(float), run_s.astype(float), limit_s.astype(float)
    return Jobs(np.arange(1, n + 1), *as_floats, gpus, np.zeros(n, dtype=np.int64), ("training",))


def mix(n, seed, n_classes=1):
    rng = np.random.default_rng(seed)
    run_s = rng.lognormal(8, 1.2, n)
    return Jobs(
        np.arange(1, n + 1),
        np.sort(rng.uniform(0, 2e5, n)),
        run_s,
        run_s * (1 + rng.exponential(1, n)),
        2 ** rng.integers(0, 8, n),
        rng.integers(0, n_classes, n),
        tuple(f"class-{c}" for c in range(n_classes)),
    )


def busy(policy="easy", seed=4, horizon_s=3e5):
    """A run in which everything happens: shares, gangs over leaves, failures, repairs, a phase, a horizon."""
    cluster = ClusterSpec(8, 4, 2, ((0.0, 10), (6e4, 8)))
    per_class = np.array([1800.0, inf]), np.array([60.0, 0.0]), np.array([300.0, 0.0])
    return simulate(
        cluster,
        mix(600, seed, n_classes=2),
        np.array([[0.0, 1.0, 0.9, 0.8], [0.0, 2.0, 1.0, 1.0]]),
        policy=policy,
        horizon_s=horizon_s,
        seed=seed,
        reliability=Reliability(0.2, 3e4, *per_class),
    )


@pytest.mark.parametrize("policy", [name for name, of in POLICIES.items() if not of.always])
def test_ends_come_before_arrivals_and_both_before_one_pass(policy):
    # At 100 s job 0 ends and jobs 1 and 2 arrive; one pass starts both, the first submission first.
    jobs = jobs_of((0, 100, 100, 32), (100, 50, 50, 24), (100, 50, 50, 8))
    outcome = simulate(FOUR_NODES, jobs, ONE_SPEED, policy=policy, horizon_s=inf, seed=0)
    assert outcome.first_start_s.tolist() == [0.0, 100.0, 100.0]
    assert outcome.counters == Counters(events=7, passes=2, shadow_recomputes=0, max_waiting=2)


def test_arrivals_of_one_moment_enter_together():
    # Job 1 waits behind job 0, which ends at 10 s; job 2 ends by then and passes, in the pass in which job 0 starts.
    jobs = jobs_of((0, 10, 10, 8), (0, 10, 10, 32), (0, 10, 10, 8))
    outcome = simulate(FOUR_NODES, jobs, ONE_SPEED, policy="easy", horizon_s=inf, seed=0)
    assert outcome.first_start_s.tolist() == [0.0, 10.0, 0.0]


def test_a_job_without_run_time_ends_at_its_start():
    jobs = jobs_of((5, 0, 1, 32), (5, 0, 1, 32))
    outcome = simulate(FOUR_NODES, jobs, ONE_SPEED, policy="fifo", horizon_s=inf, seed=0)
    assert outcome.end_s.tolist() == [5.0, 5.0]
    assert outcome.gpus_allocated().values.max() == 0


def test_fifo_lets_nobody_pass_and_easy_does():
    jobs = jobs_of((0, 100, 100, 24), (1, 100, 100, 16), (2, 50, 50, 8))
    starts = [
        simulate(FOUR_NODES, jobs, ONE_SPEED, policy=policy, horizon_s=inf, seed=0).first_start_s.tolist()
        for policy in ("fifo", "easy")
    ]
    assert starts == [[0.0, 100.0, 100.0], [0.0, 100.0, 2.0]]


def test_a_wide_job_waits_for_its_phase_and_blocks_nobody():
    cluster = ClusterSpec(8, 4, 2, ((0.0, 4), (500.0, 4)))
    jobs = jobs_of((0, 100, 100, 64), (1, 50, 50, 32), (2, 5, 5, 8), (400, 1000, 1000, 8))
    for policy in (name for name, of in POLICIES.items() if not of.preempts or name == "priority"):
        outcome = simulate(cluster, jobs, ONE_SPEED, policy=policy, horizon_s=inf, seed=0)
        # Job 0 enters at 500 s ahead of the others and needs the node that job 3 holds until 1,400 s.
        assert outcome.first_start_s.tolist() == [1400.0, 1.0, 51.0, 400.0]
        assert outcome.gpus_energised().at([499.9, 500.0]).tolist() == [32.0, 64.0]
    alone = simulate(cluster, jobs.select(np.arange(3)), ONE_SPEED, horizon_s=inf, seed=0)
    assert alone.first_start_s.tolist() == [500.0, 1.0, 51.0]
    assert alone.jobs_queued().at([0.0, 1.0, 2.0, 51.0, 499.9, 500.0]).tolist() == [1.0, 1.0, 2.0, 1.0, 1.0, 0.0]


def test_jobs_before_the_first_phase_wait_for_it_in_order():
    cluster = ClusterSpec(8, 4, 2, ((300.0, 1),))
    jobs = jobs_of((0, 10, 10, 8), (1, 10, 10, 4), (2, 10, 10, 4))
    outcome = simulate(cluster, jobs, ONE_SPEED, policy="fifo", horizon_s=inf, seed=0)
    assert outcome.first_start_s.tolist() == [300.0, 310.0, 310.0]


def test_a_future_phase_is_a_release():
    # Job 1 needs four nodes: two are busy until 1,000 s, but four come at 500 s, so job 2 may use a node until 500 s.
    cluster = ClusterSpec(8, 4, 2, ((0.0, 4), (500.0, 4)))
    jobs = jobs_of((0, 1000, 1000, 16), (1, 10, 10, 32), (2, 498, 498, 8), (3, 498, 498, 8))
    outcome = simulate(cluster, jobs, ONE_SPEED, policy="easy", horizon_s=inf, seed=0)
    # Both free nodes are extra at 500 s (2 + 4 - 4), so job 3 too starts at once.
    assert outcome.first_start_s.tolist() == [0.0, 500.0, 2.0, 3.0]


def test_the_horizon_cuts():
    jobs = jobs_of((0, 100, 100, 32), (10, 100, 100, 32), (20, 100, 100, 32), (150, 1, 1, 8))
    outcome = simulate(FOUR_NODES, jobs, ONE_SPEED, horizon_s=150.0, seed=0)
    assert [STATUSES[status] for status in outcome.status] == ["completed", "running", "queued", "not submitted"]
    assert outcome.segment_reason.tolist() == [COMPLETED, HORIZON]
    assert outcome.segment_end_s.tolist() == [100.0, 150.0]
    np.testing.assert_array_equal(outcome.end_s, [100.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(outcome.first_start_s, [0.0, 100.0, np.nan, np.nan])
    assert outcome.useful_s.tolist() == [100.0, 50.0, 0.0, 0.0]
    assert outcome.span.tolist() == [1, 1, 0, 0]


def test_an_end_at_the_horizon_completes():
    outcome = simulate(FOUR_NODES, jobs_of((0, 100, 100, 8)), ONE_SPEED, horizon_s=100.0, seed=0)
    assert outcome.end_s.tolist() == [100.0]


def test_a_later_horizon_changes_nothing_before_the_earlier_one():
    short, long = busy(horizon_s=1.5e5), busy(horizon_s=3e5)
    n = len(short.segment_job)
    np.testing.assert_array_equal(long.segment_job[:n], short.segment_job)
    np.testing.assert_array_equal(np.minimum(long.segment_end_s[:n], 1.5e5), short.segment_end_s)


def test_elapsed_time_follows_the_class_and_the_leaves_spanned():
    # Leaves of four nodes with 1 and 2 free: three nodes span both, at 0.8 of class 0's speed, 0.5 of class 1's.
    cluster = ClusterSpec(8, 4, 2, ((0.0, 8),))
    rate = np.array([[0.0, 1.0, 0.8], [0.0, 3.0, 1.5]])
    for job_class, elapsed_s in [(0, 1250.0), (1, 2000.0)]:
        jobs = jobs_of((0, 1e5, 1e5, 24), (0, 1e5, 1e5, 16), (0, 1000, 1000, 24))
        jobs = replace(jobs, class_names=("a", "b"), class_index=np.array([0, 0, job_class]))
        outcome = simulate(cluster, jobs, rate, horizon_s=1e6, seed=0)
        assert outcome.span.tolist() == [1, 1, 2]
        assert outcome.end_s[2] == pytest.approx(elapsed_s, rel=1e-15)
        assert outcome.useful_s[2] == 1000.0


def test_a_job_at_the_fewest_leaves_keeps_its_run_time():
    # Six nodes need two leaves: that is their reference placement, whatever two leaves cost. Spans beyond the last
    # column cost what the last column says.
    cluster = ClusterSpec(8, 4, 2, ((0.0, 12),))
    jobs = jobs_of((0, 1000, 1000, 48), (2000, 1000, 1000, 96))
    outcome = simulate(cluster, jobs, np.array([[0.0, 1.0, 0.3]]), horizon_s=inf, seed=0)
    assert outcome.span.tolist() == [2, 3]
    assert outcome.end_s.tolist() == [1000.0, 3000.0]


@pytest.mark.parametrize("policy", POLICIES)
def test_every_gpu_is_free_held_or_down_at_every_change(policy, monkeypatch):
    checked = 0
    inner = POLICIES[policy].start_jobs

    def conserving(cluster, now_s, newcomers):
        nonlocal checked
        for when in ("before", "after"):
            placement = cluster.placement
            down = sum(state != IN_SERVICE for state in cluster.service.state)
            energised = 8 * len(cluster.service.state)
            assert placement.free_gpus + placement.held_gpus + 8 * down == energised
            checked += 1
            if when == "before":
                inner(cluster, now_s, newcomers)

    monkeypatch.setitem(POLICIES, "conserving", Policy("checked", conserving))
    outcome = busy("conserving")
    assert outcome.restarts.sum() > 5
    assert checked > 1000
    allocated, down, energised = outcome.gpus_allocated(), outcome.gpus_down(), outcome.gpus_energised()
    times_s = np.unique(np.concatenate([allocated.times, down.times, energised.times]))
    times_s = times_s[times_s < outcome.horizon_s]
    free = energised.at(times_s) - down.at(times_s) - allocated.at(times_s)
    assert free.min() >= 0
    assert np.array_equal(free, np.round(free))


def test_series_tell_the_same_story_as_the_segments():
    outcome = busy()
    times_s = np.linspace(0, outcome.horizon_s - 1, 997)
    running = (outcome.segment_start_s <= times_s[:, None]) & (times_s[:, None] < outcome.segment_end_s)
    held = outcome.gpus_held[outcome.segment_job]
    np.testing.assert_array_equal(outcome.gpus_allocated().at(times_s), running @ held)
    by_group = outcome.running_gpus()
    assert {span for _, span in by_group} >= {1, 2, 3}
    np.testing.assert_array_equal(sum(series.at(times_s) for series in by_group.values()), running @ held)
    for (job_class, span), series in by_group.items():
        of_group = (outcome.jobs.class_index[outcome.segment_job] == job_class) & (outcome.segment_span == span)
        np.testing.assert_array_equal(series.at(times_s), running[:, of_group] @ held[of_group])
    jobs = outcome.jobs
    in_system = (jobs.submit_s <= times_s[:, None]) & ~(outcome.end_s <= times_s[:, None])
    np.testing.assert_array_equal(outcome.jobs_queued().at(times_s), in_system.sum(axis=1) - running.sum(axis=1))
    asked = in_system @ jobs.gpus - running @ jobs.gpus[outcome.segment_job]
    np.testing.assert_array_equal(outcome.gpus_queued().at(times_s), asked)
    assert outcome.jobs_queued().values.max() == outcome.counters.max_waiting


def test_segments_and_jobs_agree():
    outcome = busy()
    n = len(outcome.jobs)
    failed = outcome.segment_reason == FAILED
    np.testing.assert_array_equal(outcome.restarts, np.bincount(outcome.segment_job[failed], minlength=n))
    lengths_s = outcome.segment_end_s - outcome.segment_start_s
    assert lengths_s.min() >= 0
    for job in range(n):
        own = outcome.segment_job == job
        assert outcome.held_s[job] == pytest.approx(lengths_s[own].sum())
        assert outcome.span[job] == (outcome.segment_span[own][-1] if own.any() else 0)
        assert np.all(outcome.segment_start_s[own][1:] >= outcome.segment_end_s[own][:-1])
        last = outcome.segment_reason[own][-1] if own.any() else FAILED
        assert STATUSES[outcome.status[job]] == {COMPLETED: "completed", HORIZON: "running", FAILED: "queued"}[last]


def test_a_gang_holds_whole_nodes():
    outcome = simulate(FOUR_NODES, jobs_of((0, 10, 10, 12), (0, 10, 10, 3)), ONE_SPEED, horizon_s=inf, seed=0)
    assert outcome.gpus_held.tolist() == [16, 3]


@pytest.mark.parametrize(("servers", "load"), [(1, 0.7), (16, 0.8)])
def test_mmc_wait_matches_theory(servers, load):
    """Mean wait of M/M/c, Erlang C; the tolerance is the 99.9 % confidence interval over the seeds."""
    offered = load * servers
    tail = offered**servers / factorial(servers) / (1 - load)
    waits = tail / (sum(offered**k / factorial(k) for k in range(servers)) + tail)
    expected_s = waits / (servers - offered)  # mean run time 1 s
    cluster = ClusterSpec(1, servers, servers, ((0.0, servers),))
    means_s = []
    for seed in range(20):
        rng = np.random.default_rng([seed, servers])
        n = 20_000
        run_s = rng.exponential(1.0, n)
        jobs = jobs_of(*zip(np.cumsum(rng.exponential(1 / offered, n)), run_s, run_s, [1] * n, strict=True))
        outcome = simulate(cluster, jobs, ONE_SPEED, policy="fifo", horizon_s=inf, seed=seed)
        means_s.append((outcome.first_start_s - jobs.submit_s)[n // 10 :].mean())
    tolerance_s = stats.t.isf(0.0005, 19) * np.std(means_s, ddof=1) / np.sqrt(20)
    assert abs(np.mean(means_s) - expected_s) < tolerance_s
    assert tolerance_s < 0.2 * expected_s


def test_event_counts_of_a_fixed_case_stay():
    """A change here is a change of the algorithm's cost, whatever the speed of the computer."""
    jobs = mix(2000, seed=1)
    cluster = ClusterSpec(8, 4, 2, ((0.0, 40),))
    easy = simulate(cluster, jobs, ONE_SPEED, policy="easy", horizon_s=inf, seed=0)
    fifo = simulate(cluster, jobs, ONE_SPEED, policy="fifo", horizon_s=inf, seed=0)
    assert easy.counters == Counters(events=4001, passes=3995, shadow_recomputes=691, max_waiting=1168)
    assert fifo.counters == Counters(events=4001, passes=3988, shadow_recomputes=0, max_waiting=1776)


def test_progress_rises_to_one_in_at_most_about_200_steps():
    seen = []
    jobs = mix(2000, seed=1)
    simulate(ClusterSpec(8, 4, 2, ((0.0, 40),)), jobs, ONE_SPEED, horizon_s=2e5, seed=0, progress=seen.append)
    assert 100 < len(seen) <= 202
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_no_jobs_is_a_result_too():
    jobs = mix(3, seed=1).select(np.zeros(0, dtype=np.int64))
    outcome = simulate(FOUR_NODES, jobs, ONE_SPEED, horizon_s=100.0, seed=0)
    assert outcome.gpus_energised().at([50.0]).tolist() == [32.0]
    assert outcome.gpus_allocated().at([50.0]).tolist() == [0.0]
    assert outcome.running_gpus() == {}


def test_a_job_that_can_never_fit_is_refused():
    with pytest.raises(CapacityError, match=r"asks for 33 GPUs = 5 nodes.* have 4 nodes of 8 GPUs; add nodes"):
        simulate(FOUR_NODES, jobs_of((0, 1, 1, 33)), ONE_SPEED, horizon_s=inf, seed=0)


def test_an_unknown_policy_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'easy'"):
        simulate(FOUR_NODES, jobs_of((0, 1, 1, 1)), ONE_SPEED, policy="easi", horizon_s=inf, seed=0)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ((-1, 1, 1, 1), "before time 0"),
        ((0, 1, 0.5, 1), "a limit below its run time"),
        ((0, -1, 1, 1), "negative run time"),
        ((0, 1, 1, -1), "fewer GPUs than none"),
        ((0, 1, inf, 1), "not finite"),
    ],
)
def test_jobs_out_of_range_are_refused_with_their_row(row, fault):
    with pytest.raises(RangeError, match=rf"job 1 \(row 0\) has .*{fault}"):
        simulate(FOUR_NODES, jobs_of(row), ONE_SPEED, horizon_s=10.0, seed=0)


def test_jobs_out_of_order_are_refused():
    with pytest.raises(RangeError, match=r"job 2 \(row 1\) has a submission earlier"):
        simulate(FOUR_NODES, jobs_of((5, 1, 1, 1), (4, 1, 1, 1)), ONE_SPEED, horizon_s=10.0, seed=0)


@pytest.mark.parametrize(
    "phases",
    [(), ((-1.0, 4),), ((0.0, 0),), ((5.0, 1), (4.0, 1)), ((inf, 1),)],
    ids=["none", "past", "no nodes", "order", "never"],
)
def test_phases_out_of_range_are_refused(phases):
    with pytest.raises(RangeError, match="phase"):
        ClusterSpec(8, 4, 2, phases)


def test_arguments_out_of_range_are_refused():
    jobs = jobs_of((0, 1, 1, 1))
    with pytest.raises(RangeError, match="horizon_s is 0"):
        simulate(FOUR_NODES, jobs, ONE_SPEED, horizon_s=0.0, seed=0)
    with pytest.raises(RangeError, match=r"work_rate has shape \(1,\)"):
        simulate(FOUR_NODES, jobs, np.ones(1), horizon_s=1.0, seed=0)
    with pytest.raises(RangeError, match="work_rate has a value"):
        simulate(FOUR_NODES, jobs, np.zeros((1, 2)), horizon_s=1.0, seed=0)
    with pytest.raises(RangeError, match="gpus_per_node is 0"):
        ClusterSpec(0, 4, 2, ((0.0, 4),))
    per_class = np.ones(2), np.ones(2), np.ones(2)
    with pytest.raises(RangeError, match="give one value a class"):
        simulate(FOUR_NODES, jobs, ONE_SPEED, horizon_s=1.0, seed=0, reliability=Reliability(0.1, 1.0, *per_class))
    with pytest.raises(RangeError, match="horizon_s is infinite"):
        one = np.ones(1), np.ones(1), np.ones(1)
        simulate(FOUR_NODES, jobs, ONE_SPEED, horizon_s=inf, seed=0, reliability=Reliability(0.1, 1.0, *one))
