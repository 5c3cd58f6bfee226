"""Start times against readable schedulers that know no shortcut, and against a published simulation."""

import heapq
from math import inf

import numpy as np
import pytest
from plans import saturated_mix

from dcsim.sim.dispatcher import Dispatcher
from dcsim.sim.engine import ClusterSpec, Reliability, simulate
from dcsim.sim.placement import Placement
from dcsim.sim.policies import POLICIES
from dcsim.sim.reservations import ROUNDING_S
from dcsim.sim.seen import Policy, fits
from dcsim.study.schedule import bounded_slowdown
from dcsim.validate.schedule import replay
from dcsim.workload.jobs import Jobs

GPUS_PER_NODE, NODES_PER_LEAF, NODES_PER_RACK = 8, 32, 8
ONE_SPEED = np.ones((1, 2))


def naive_starts(jobs, gpus, backfill):
    """Start times by the textbook: at every moment sort the releases and walk the whole queue."""
    placement = Placement(GPUS_PER_NODE, NODES_PER_LEAF, NODES_PER_RACK)
    for node in range(gpus // GPUS_PER_NODE):
        placement.add_node(node)
    nodes = [-(-int(asked) // GPUS_PER_NODE) for asked in jobs.gpus]
    starts = np.full(len(jobs), np.nan)
    ends, queue, running, arrived = [], [], {}, 0

    def fits_now(job):
        return nodes[job] <= placement.free_nodes or (
            jobs.gpus[job] < GPUS_PER_NODE and placement.fits_share(int(jobs.gpus[job]))
        )

    def start(job, now_s):
        starts[job] = now_s
        if jobs.gpus[job] < GPUS_PER_NODE:
            held = placement.take_share(job, int(jobs.gpus[job]))
        else:
            held = placement.take_gang(job, nodes[job])
        running[job] = (now_s + jobs.limit_s[job], held)
        heapq.heappush(ends, (now_s + jobs.run_s[job], job))

    while arrived < len(jobs) or ends:
        now_s = min(jobs.submit_s[arrived] if arrived < len(jobs) else inf, ends[0][0] if ends else inf)
        while ends and ends[0][0] <= now_s:
            job = heapq.heappop(ends)[1]
            held = running.pop(job)[1]
            if isinstance(held, tuple):
                placement.return_gang(job, held)
            else:
                placement.return_share(job, held)
        while arrived < len(jobs) and jobs.submit_s[arrived] <= now_s:
            queue.append(arrived)
            arrived += 1
        while queue and fits_now(queue[0]):
            start(queue.pop(0), now_s)
        if not queue or not backfill:
            continue
        releases, shared = [], {}
        for job, (release_s, held) in running.items():
            if isinstance(held, tuple):
                releases.append((max(release_s, now_s), nodes[job]))
            else:
                shared[held] = max(shared.get(held, now_s), release_s)
        releases += [(release_s, 1) for release_s in shared.values()]
        shadow_s, extra = shadow_and_extra(releases, nodes[queue[0]], placement.free_nodes)
        for job in queue[1:]:
            in_time = jobs.limit_s[job] <= shadow_s - now_s + ROUNDING_S
            if fits_now(job) and (in_time or nodes[job] <= extra):
                extra -= 0 if in_time else nodes[job]
                queue.remove(job)
                start(job, now_s)
    return starts


def shadow_and_extra(releases, need, free):
    """Definition: earliest time at which enough nodes are free, and the nodes left over at that time."""
    available = free
    for shadow_s, n in sorted(releases):
        available += n
        if available >= need:
            return shadow_s, free + sum(m for time_s, m in releases if time_s <= shadow_s + ROUNDING_S) - need
    return inf, available - need


@pytest.mark.parametrize("load", [0.8, 0.9, 1.0, 1.2])
@pytest.mark.parametrize("gpus", [512, 1024, 4096])
@pytest.mark.parametrize("policy", ["easy", "fifo"])
def test_starts_equal_the_naive_scan_job_by_job(policy, gpus, load):
    jobs = saturated_mix(1500, gpus, load, seed=gpus + round(10 * load))
    cluster = ClusterSpec(GPUS_PER_NODE, NODES_PER_LEAF, NODES_PER_RACK, ((0.0, gpus // GPUS_PER_NODE),))
    outcome = simulate(cluster, jobs, ONE_SPEED, policy=policy, horizon_s=inf, seed=0)
    expected = naive_starts(jobs, gpus, backfill=policy == "easy")
    assert outcome.counters.max_waiting > 10
    np.testing.assert_array_equal(outcome.first_start_s, expected)


class NaiveEasy:
    """EASY from the definition inside the engine, so that failures, repairs, restarts and phases are in play."""

    def __init__(self, monkeypatch, phases):
        self.phases, self.returns = phases, {}
        fail_node, return_node = Dispatcher.fail_node, Dispatcher.return_node

        def failed(dispatcher, node, expected_return_s, cause):
            self.returns[node] = expected_return_s
            fail_node(dispatcher, node, expected_return_s, cause)

        def returned(dispatcher, node, expected_return_s):
            del self.returns[node]
            return_node(dispatcher, node, expected_return_s)

        monkeypatch.setattr(Dispatcher, "fail_node", failed)
        monkeypatch.setattr(Dispatcher, "return_node", returned)
        monkeypatch.setitem(POLICIES, "naive", Policy("EASY by the definition", self.start_jobs))

    def start_jobs(self, cluster, now_s, newcomers):
        queue, placement = cluster.queue, cluster.placement
        waiting = [job for job in range(len(queue.limit_s)) if job in queue]
        while waiting and fits(placement, queue.size_of[waiting[0]]):
            cluster.start(waiting.pop(0), now_s)
        if not waiting:
            return
        releases, shared = [(max(time_s, now_s), n) for time_s, n in self.phases if time_s > now_s], {}
        releases += [(max(time_s, now_s), 1) for time_s in self.returns.values()]
        for job in np.flatnonzero(~np.isnan(cluster._work.end_s)).tolist():
            release_s = max(cluster.release_s(job), now_s)
            if queue.size_of[job].share_gpus:
                node = cluster._node_of[job]
                shared[node] = max(shared.get(node, now_s), release_s)
            else:
                releases.append((release_s, queue.size_of[job].nodes))
        releases += [(release_s, 1) for release_s in shared.values()]
        need = queue.size_of[waiting[0]].nodes
        shadow_s, extra = shadow_and_extra(releases, need, placement.free_nodes)
        for job in waiting[1:]:
            nodes = queue.size_of[job].nodes
            in_time = queue.limit_s[job] <= shadow_s - now_s + ROUNDING_S
            if fits(placement, queue.size_of[job]) and (in_time or nodes <= extra):
                extra -= 0 if in_time else nodes
                cluster.start(job, now_s)


@pytest.mark.parametrize("seed", range(6))
def test_easy_equals_the_definition_with_failures_phases_and_slow_placements(monkeypatch, seed):
    jobs = saturated_mix(700, 512, 1.1, seed)
    phases = ((0.0, 24), (0.3 * jobs.submit_s[-1], 24), (0.6 * jobs.submit_s[-1], 16))
    cluster = ClusterSpec(GPUS_PER_NODE, 8, 4, phases)
    # Three leaves are slow enough for runs to outlast their limits, which counts as a release now.
    rates = np.array([[0.0, 1.0, 0.8, 0.4]])
    reliability = Reliability(0.3, 40_000.0, np.array([1800.0]), np.array([30.0]), np.array([300.0]))
    horizon_s = 1.5 * jobs.submit_s[-1]
    easy = simulate(cluster, jobs, rates, policy="easy", horizon_s=horizon_s, seed=seed, reliability=reliability)
    NaiveEasy(monkeypatch, phases)
    naive = simulate(cluster, jobs, rates, policy="naive", horizon_s=horizon_s, seed=seed, reliability=reliability)
    assert easy.restarts.sum() > 20
    assert (easy.held_s > jobs.limit_s).any()
    for column in ("segment_job", "segment_start_s", "segment_end_s", "segment_span", "segment_reason"):
        np.testing.assert_array_equal(getattr(easy, column), getattr(naive, column))


def test_equal_limits_are_equal_whatever_the_clock_rounds():
    # Job 0 sets the shadow of job 1 at 0.2 + 0.5, which rounds to less than 0.5 after 0.2; job 2, of the same limit and
    # moment, ends by then all the same.
    now_s, limit_s = 0.2, 0.5
    assert (now_s + limit_s) - now_s < limit_s
    times_s = np.full(3, now_s), np.full(3, 0.4), np.full(3, limit_s)
    jobs = Jobs(np.arange(1, 4), *times_s, np.array([16, 32, 8]), np.zeros(3, dtype=np.int64), ("training",))
    outcome = simulate(ClusterSpec(8, 4, 4, ((0.0, 4),)), jobs, ONE_SPEED, policy="easy", horizon_s=inf, seed=0)
    assert outcome.first_start_s.tolist() == [now_s, now_s + 0.4, now_s]


def test_the_head_starts_no_later_than_its_first_reservation_promised(monkeypatch):
    """The point of EASY, with limits that hold: backfill never delays the head."""
    promises = {}
    easy = POLICIES["easy"].start_jobs

    def watched(cluster, now_s, newcomers):
        easy(cluster, now_s, newcomers)
        head = cluster.queue.head()
        if head >= 0 and head not in promises:
            need = cluster.queue.size_of[head].nodes
            cluster.reservations.reserve(head, need, cluster.placement.free_nodes, now_s)
            promises[head] = cluster.reservations.shadow_s

    monkeypatch.setitem(POLICIES, "watched", Policy("EASY, watched", watched))
    jobs = saturated_mix(4000, 4096, 1.2, seed=5)
    cluster = ClusterSpec(GPUS_PER_NODE, NODES_PER_LEAF, NODES_PER_RACK, ((0.0, 512),))
    outcome = simulate(cluster, jobs, ONE_SPEED, policy="watched", horizon_s=inf, seed=0)
    heads = np.array(list(promises))
    assert len(heads) > 50
    assert np.all(outcome.first_start_s[heads] <= np.array(list(promises.values())) + ROUNDING_S)


def test_kth_sp2_under_easy_matches_the_published_simulation(reference):
    # 114.8 min and 92.9: an independent list-scan simulator on the same log with the same conventions. Tsafrir,
    # Etsion and Feitelson (IEEE TPDS 18(6), 2007) print 114 min and about 90 for EASY on KTH.
    log = reference("traces/swf/KTH-SP2-1996-2.1-cln.swf.gz")
    figures = replay(log, processors=100, policy="easy")
    assert figures["n_jobs"] == 28_475
    assert figures["mean_wait_s"] / 60 == pytest.approx(114.8, rel=0.01)
    assert figures["mean_bounded_slowdown"] == pytest.approx(92.9, rel=0.01)
    assert figures["utilisation_frac"] == pytest.approx(0.697, rel=0.01)


def test_bounded_slowdown_worked_numbers():
    wait_s, run_s = np.array([90.0, 9.0, 0.0, 100.0]), np.array([10.0, 1.0, 5.0, 50.0])
    np.testing.assert_array_equal(bounded_slowdown(wait_s, run_s), [10.0, 1.0, 1.0, 3.0])
