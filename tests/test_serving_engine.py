"""Services at request level against queueing theory, against steps one by one, and against what must be conserved."""

from dataclasses import replace
from heapq import heappop, heappush

import numpy as np
import pytest
from scipy import stats

from dcsim.errors import RangeError
from dcsim.physics.queueing import erlang_c, ggc_wait_s, mg1_wait_s, mmc_wait_s
from dcsim.sim.serving.engine import FINISHED, IN_FLIGHT, REFUSED, ServiceSpec, serve
from dcsim.sim.serving.replica import ReplicaSpec
from dcsim.sim.serving.routing import ROUTING
from dcsim.sim.serving.scaling import Scaling
from dcsim.steps import StepSeries
from dcsim.workload.requests.requests import Requests

# About llama3.1-8b on one H100.
EIGHT = ReplicaSpec(
    step_s=7.3e-3, request_s=74e-6, context_s=46e-9, token_s=24e-6, attention_s=0.84e-9, room_tokens=467_000
)
# A server that works on one request at a time for as many milliseconds as its prompt has tokens.
SERVER = ReplicaSpec(step_s=0, request_s=0, context_s=0, token_s=1e-3, most_requests=1, chunk_tokens=10**9)


def some(n, rate_per_s, seed=0, prompt=800, output=120):
    rng = np.random.default_rng(seed)
    return Requests(
        np.cumsum(rng.exponential(1 / rate_per_s, n)),
        1 + rng.poisson(rng.exponential(prompt, n)),
        1 + rng.poisson(rng.exponential(output, n)),
    )


def fleet(spec=EIGHT, count=2, **others):
    return ServiceSpec({spec.role: spec}, {spec.role: count}, **others)


LAWS = {
    "exponential": lambda rng, n: rng.exponential(1.0, n),
    "constant": lambda rng, n: np.ones(n),
    "lognormal": lambda rng, n: rng.lognormal(-0.5, 1.0, n),
}


def queue_waits_s(gaps_s, service_s, servers, routing="shared_queue"):
    """Wait of each request in a queue, through the code path of services; service in whole milliseconds."""
    tokens = np.maximum(np.round(1e3 * service_s), 1).astype(int)
    asked = Requests(np.cumsum(gaps_s), tokens, np.ones(len(tokens), dtype=int))
    done = serve(asked, fleet(SERVER, servers, routing=routing))
    return done.ttft_s - 1e-3 * tokens


def kiefer_wolfowitz_s(gaps_s, service_s, servers):
    """Wait of each request in a queue, by the recursion of Kiefer and Wolfowitz."""
    free, waits, now = [0.0] * servers, [], 0.0
    for gap, service in zip(gaps_s, service_s, strict=True):
        now += gap
        start = max(now, heappop(free))
        waits.append(start - now)
        heappush(free, start + service)
    return np.array(waits)


@pytest.mark.parametrize("servers", [1, 3, 8])
def test_a_shared_queue_is_first_come_first_served(servers):
    rng = np.random.default_rng(servers)
    gaps_s, service_s = rng.gamma(0.5, 2.0 / (0.9 * servers), 3000), rng.integers(1, 3000, 3000) / 1e3
    waits = queue_waits_s(gaps_s, service_s, servers)
    assert waits == pytest.approx(kiefer_wolfowitz_s(gaps_s, service_s, servers), abs=1e-6)


def replications(law, servers, load, n=8_000, runs=40):
    """Mean waits of independent runs, the first fifth of each left out."""
    found = []
    for run in range(runs):
        rng = np.random.default_rng(run)
        service_s = LAWS[law](rng, n)
        found.append(queue_waits_s(rng.exponential(1 / (load * servers), n), service_s, servers)[n // 5 :].mean())
    return np.array(found)


@pytest.mark.parametrize(
    ("law", "servers", "load", "theory"),
    [
        ("exponential", 1, 0.7, mmc_wait_s(0.7, 1.0, 1)),
        ("exponential", 8, 0.85, mmc_wait_s(6.8, 1.0, 8)),
        ("constant", 1, 0.8, mg1_wait_s(0.8, 1.0, 0.0)),
        ("lognormal", 1, 0.6, mg1_wait_s(0.6, 1.0, np.sqrt(np.e - 1.0))),
    ],
    ids=["M/M/1", "M/M/8", "M/D/1", "M/G/1"],
)
def test_mean_waits_are_those_of_theory(law, servers, load, theory):
    waits = replications(law, servers, load)
    # 99.9 % of intervals of Student's t cover the mean.
    reach = stats.t.ppf(0.9995, len(waits) - 1) * waits.std(ddof=1) / np.sqrt(len(waits))
    assert abs(waits.mean() - theory) < reach
    assert reach < 0.2 * theory


def test_allen_and_cunneen_are_near_where_gaps_are_independent():
    rng = np.random.default_rng(1)
    n, servers, load = 200_000, 4, 0.8
    # Gamma gaps of a variation of 2.
    gaps = rng.gamma(0.25, 4.0 / (load * servers), n)
    wait = queue_waits_s(gaps, rng.exponential(1.0, n), servers).mean()
    assert wait == pytest.approx(float(ggc_wait_s(load * servers, 1.0, servers, 2.0, 1.0)), rel=0.25)


def test_worked_chances_to_wait():
    # Two servers, a load of one: C = (1/2 * 2) / (1 + 1 + 1/2 * 2) = 1/3.
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert erlang_c(1, np.array([0.0, 0.4])) == pytest.approx([0.0, 0.4])
    assert 0 < erlang_c(5000, 4900.0) < 1
    with pytest.raises(RangeError):
        erlang_c(2, 2.0)


def step_by_step(asked, spec):
    """One replica, every step by itself: what leaps must equal."""
    n = len(asked)
    arrival, prompt, output = (v.tolist() for v in (asked.arrival_s, asked.prompt, asked.output))
    first, end = [None] * n, [None] * n
    line, filling, decoding = [], [], {}
    todo, kept, now, came = {}, 0, 0.0, 0
    while came < n or line or filling or decoding:
        if not (line or filling or decoding):
            now = max(now, arrival[came])
        while came < n and arrival[came] <= now:
            line.append(came)
            came += 1
        while line and len(filling) + len(decoding) < spec.most_requests:
            need = prompt[line[0]] + output[line[0]]
            if kept + need > spec.room_tokens:
                break
            kept += need
            todo[line[0]] = prompt[line[0]]
            filling.append(line.pop(0))
        budget, tokens, pairs, firsts = max(spec.chunk_tokens - len(decoding), 1), 0, 0.0, []
        for one in filling:
            take = min(todo[one], budget - tokens)
            pairs += take * (prompt[one] - todo[one] + take / 2)
            tokens += take
            todo[one] -= take
            if todo[one]:
                break
            firsts.append(one)
        filling = [one for one in filling if todo[one]]
        touched = 1 - spec.missed_frac ** max(len(decoding), tokens)
        now += (
            spec.step_s
            + spec.request_s * len(decoding)
            + spec.context_s * sum(decoding.values())
            + spec.token_s * tokens
            + spec.attention_s * pairs
            + spec.experts_s * touched
        )
        for one in [*decoding]:
            decoding[one] += 1
            if decoding[one] == prompt[one] + output[one]:
                end[one] = now
        for one in firsts:
            first[one] = now
            decoding[one] = prompt[one] + 1
            if output[one] == 1:
                end[one] = now
        for one in [one for one in decoding if end[one] is not None]:
            kept -= prompt[one] + output[one]
            del decoding[one]
    return np.array(first), np.array(end)


@pytest.mark.parametrize(
    "spec",
    [
        EIGHT,
        replace(EIGHT, most_requests=4),
        replace(EIGHT, room_tokens=6_000, chunk_tokens=256),
        replace(EIGHT, context_s=0.0, chunk_tokens=2048),
        replace(EIGHT, experts_s=5e-3, missed_frac=0.9, chunk_tokens=512),
    ],
    ids=["free", "few", "short of memory", "no context", "experts"],
)
def test_leaps_are_steps_one_by_one(spec):
    asked = some(400, 6.0, prompt=900, output=60)
    asked = asked.select(asked.prompt + asked.output <= spec.room_tokens)
    done = serve(asked, fleet(spec, 1))
    first_s, end_s = step_by_step(asked, spec)
    assert done.first_s == pytest.approx(first_s, rel=1e-9)
    assert done.end_s == pytest.approx(end_s, rel=1e-9)


@pytest.mark.parametrize("routing", ROUTING)
@pytest.mark.parametrize("horizon_s", [20.0, np.inf])
def test_requests_and_tokens_are_conserved(routing, horizon_s):
    asked, spec = some(1500, 40.0), replace(EIGHT, most_requests=16)
    done = serve(asked, fleet(spec, 3, routing=routing, most_waiting=20), horizon_s=horizon_s, window_s=1.0)
    came = asked.arrival_s < horizon_s
    counts = np.bincount(done.status[came], minlength=3)
    assert counts.sum() == came.sum()
    finished = done.status == FINISHED
    if horizon_s == np.inf:
        assert counts[IN_FLIGHT] == 0
        assert counts[REFUSED] > 0
        decoded, computed = done.did[:, 2].sum(), done.did[:, 4].sum()
        assert decoded == pytest.approx((asked.output[finished] - 1).sum(), rel=1e-9)
        assert computed == pytest.approx(asked.prompt[finished].sum(), rel=1e-9)
    else:
        assert counts[IN_FLIGHT] > 0
    assert np.all(done.first_s[finished] <= done.end_s[finished])
    assert np.all(done.ttft_s[finished] > 0)


def test_windows_hold_all_that_steps_did():
    asked = some(300, 10.0)
    whole, parts = serve(asked, fleet()), serve(asked, fleet(), window_s=0.7)
    assert parts.did.sum(axis=0) == pytest.approx(whole.did.sum(axis=0), rel=1e-9)
    assert parts.end_s == pytest.approx(whole.end_s, rel=1e-12)
    assert whole.did[0, 0] <= whole.replica_s


def test_a_limit_that_never_binds_changes_nothing():
    asked = some(500, 20.0)
    free = serve(asked, fleet())
    for others in ({"most_waiting": 10_000}, {"back_s": 5.0}):
        assert np.array_equal(serve(asked, fleet(**others)).end_s, free.end_s)
    scaling = {"both": Scaling("schedule", schedule=((0.0, 2),), within=StepSeries(np.zeros(1), np.array([9.0])))}
    assert np.array_equal(serve(asked, fleet(scaling=scaling)).end_s, free.end_s)


def test_the_least_loaded_replica_waits_less_than_turns():
    asked, spec = some(3000, 45.0), replace(EIGHT, most_requests=16)
    waits = {routing: np.mean(serve(asked, fleet(spec, 4, routing=routing)).ttft_s) for routing in ROUTING}
    assert waits["least_loaded"] < waits["round_robin"]


def shared_prefixes(n=600, families=6, rate_per_s=30.0):
    """Requests of a few families whose prompts begin alike: 4 blocks of 512, and a block of their own."""
    rng = np.random.default_rng(3)
    family = rng.integers(families, size=n)
    blocks = np.concatenate([[*range(10 * f, 10 * f + 4), 1000 + i] for i, f in enumerate(family)])
    return Requests(
        np.cumsum(rng.exponential(1 / rate_per_s, n)),
        np.full(n, 5 * 512),
        np.full(n, 50),
        blocks,
        5 * np.arange(n + 1),
    )


def test_known_prefixes_are_computed_once():
    asked = shared_prefixes()
    spec = replace(EIGHT, block_tokens=512)
    done = serve(asked, fleet(spec, 1))
    # 6 families of 4 blocks once, and each request's own block.
    assert done.did[0, 4] == pytest.approx(512 * (6 * 4 + len(asked)))


def test_routing_by_prefix_computes_less():
    asked, spec = shared_prefixes(families=60), replace(EIGHT, block_tokens=512)
    computed = {
        routing: serve(asked, fleet(spec, 4, routing=routing)).did[0, 4] for routing in ("round_robin", "cache_aware")
    }
    assert computed["cache_aware"] < 0.8 * computed["round_robin"]


def test_a_small_cache_forgets():
    asked = shared_prefixes(families=60)
    roomy, tight = (
        serve(asked, fleet(replace(EIGHT, block_tokens=512, room_tokens=room), 1)).did[0, 4] for room in (4e5, 2e4)
    )
    assert tight > roomy


def apart(count_prefill=2, count_decode=1, **others):
    return ServiceSpec(
        {"prefill": replace(EIGHT, role="prefill"), "decode": replace(EIGHT, role="decode")},
        {"prefill": count_prefill, "decode": count_decode},
        **others,
    )


def test_prefill_and_decode_apart_keep_prompts_from_slowing_answers():
    asked = some(1500, 15.0, prompt=2500)
    both, split = serve(asked, fleet(count=3)), serve(asked, apart())
    assert np.all(split.status == FINISHED)
    assert split.did[0, 4] == pytest.approx(asked.prompt.sum())
    assert split.did[0, 2] == pytest.approx((asked.output - 1).sum())
    assert np.nanpercentile(split.tpot_s, 95) < np.nanpercentile(both.tpot_s, 95)


def test_moving_keys_and_values_delays_the_second_token_only():
    asked = some(200, 2.0, output=2)
    near, far = serve(asked, apart()), serve(asked, apart(transfer_token_s=1e-4))
    assert np.array_equal(near.first_s, far.first_s)
    assert np.nanmean(far.end_s - near.end_s) > 0.05


def test_failures_make_requests_begin_again_and_lose_none():
    asked = some(2000, 20.0)
    done = serve(asked, fleet(count=3, failures_per_day=2000.0, back_s=20.0), seed=4)
    assert np.all(done.status == FINISHED)
    assert done.restarts.sum() > 0
    assert done.did[0, 4] > asked.prompt.sum()
    again = serve(asked, fleet(count=3, failures_per_day=2000.0, back_s=20.0), seed=4)
    assert np.array_equal(again.end_s, done.end_s)


def test_scaling_by_rate_follows_it():
    rng = np.random.default_rng(5)
    # Ten minutes at 5 a second, ten at 50, ten at 5.
    arrival = np.concatenate([np.sort(rng.uniform(a, a + 600, n)) for a, n in ((0, 3000), (600, 30_000), (1200, 3000))])
    asked = Requests(arrival, np.full(len(arrival), 500), np.full(len(arrival), 50))
    scaling = Scaling("rate", target=5.0, most=20, ready_s=30.0, down_s=120.0)
    done = serve(asked, fleet(count=1, scaling={"both": scaling}))
    assert np.all(done.status == FINISHED)
    low, high, after = done.replicas.at(np.array([500.0, 1100.0, 1750.0]))
    assert low <= 2
    assert 9 <= high <= 13
    assert after <= 3


def test_a_service_without_requests_has_no_replica_and_the_next_request_waits_for_one():
    asked = Requests(np.array([0.0, 2000.0]), np.array([100, 100]), np.array([10, 10]))
    scaling = Scaling("running", target=8, least=0, every_s=10.0, ready_s=45.0, down_s=100.0)
    done = serve(asked, fleet(count=1, scaling={"both": scaling}))
    assert done.ttft_s[0] < 1.0
    assert 45.0 < done.ttft_s[1] < 60.0
    assert done.replicas.at([1000.0]) == 0


def test_scaling_by_rate_counts_the_time_that_it_looks_at():
    asked = Requests(np.arange(0.0, 2000.0, 0.1), np.full(20_000, 10), np.full(20_000, 2))
    for every_s in (15.0, 45.0, 300.0):
        scaling = Scaling("rate", target=1.0, window_s=60.0, every_s=every_s, ready_s=0.0)
        found = serve(asked, fleet(count=10, scaling={"both": scaling}))
        assert found.replicas.at([1500.0]) == pytest.approx(10, abs=1)


def test_a_replica_holds_its_gpus_while_it_loads():
    asked = Requests(np.array([0.0, 1000.0, 2000.0]), np.full(3, 100), np.full(3, 10))
    scaling = Scaling("schedule", schedule=((0.0, 1), (500.0, 2)), every_s=10.0, ready_s=200.0, down_s=0.0)
    found = serve(asked, fleet(count=1, scaling={"both": scaling}))
    # It is ordered so early that it serves by then.
    assert found.replicas.at([290.0, 310.0, 600.0]).tolist() == [1, 2, 2]


def test_a_drain_refuses_nobody_who_was_accepted():
    asked = some(100, 1e6)
    scaling = Scaling("schedule", schedule=((0.0, 2), (1.0, 1)), every_s=1.0, ready_s=0.0, down_s=0.0)
    spec = replace(EIGHT, most_requests=4)
    drained = serve(asked, fleet(spec, 2, most_waiting=60, scaling={"both": scaling}))
    assert np.all(drained.status == FINISHED)


def test_a_service_that_never_has_room_is_refused_without_a_horizon():
    scaling = Scaling("queue", least=0, within=StepSeries(np.zeros(1), np.zeros(1)))
    with pytest.raises(RangeError, match="horizon"):
        serve(some(2, 1.0), fleet(count=0, scaling={"both": scaling}))


def test_prefill_keeps_prompts_alone():
    """A replica of prefill with room for the prompt, but not for its answer."""
    asked = Requests(np.zeros(1), np.array([1000]), np.array([3000]))
    service = ServiceSpec(
        {"prefill": replace(EIGHT, role="prefill", room_tokens=1500), "decode": replace(EIGHT, role="decode")},
        {"prefill": 1, "decode": 1},
    )
    assert serve(asked, service).status.tolist() == [FINISHED]
    small = replace(EIGHT, role="decode", room_tokens=3500)
    assert serve(asked, replace(service, replicas={**service.replicas, "decode": small})).status.tolist() == [REFUSED]


def test_room_that_others_leave_bounds_the_replicas():
    asked = some(6000, 60.0)
    room = StepSeries(np.array([0.0, 50.0]), np.array([6.0, 2.0]))
    scaling = {"both": Scaling("queue", target=4.0, ready_s=0.0, within=room)}
    done = serve(asked, fleet(count=1, scaling=scaling))
    assert done.replicas.at([49.0]) <= 6
    # Those that drain finish what they have.
    assert done.replicas.at([90.0]) <= 3


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: replace(EIGHT, most_requests=0),
        lambda: replace(EIGHT, step_s=-1.0),
        lambda: replace(EIGHT, role="both of them"),
        lambda: ServiceSpec({"prefill": replace(EIGHT, role="prefill")}, {"prefill": 1}),
        lambda: fleet(count=0),
        lambda: Scaling("moon"),
        lambda: Scaling("rate", target=0.0),
        lambda: Scaling("rate", schedule=((0.0, 1),)),
        lambda: serve(Requests(*(np.array([], dtype=t) for t in (float, int, int))), fleet()),
    ],
)
def test_rubbish_is_refused(wrong):
    with pytest.raises(RangeError):
        wrong()
