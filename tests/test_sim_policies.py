"""Policies by what each promises: order, no delay of those before, levels, shares, quotas, room for priorities."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from plans import small

from dcsim import pipeline, runs
from dcsim.columns import SCHEDULE
from dcsim.errors import CapacityError, InputError, RangeError, UsageError
from dcsim.sim.engine import ClusterSpec, PowerLimit, Reliability, Shutdown, Tenancy, simulate
from dcsim.sim.policies import POLICIES
from dcsim.sim.recorder import STOP_REASONS
from dcsim.study import cli
from dcsim.study.schedule import schedule, tenancy
from dcsim.study.sizing.jobs import size
from dcsim.workload.jobs import Jobs

PREEMPTED = STOP_REASONS.index("preempted")
ONE_RATE = np.ones((1, 2))


def jobs(*rows, tenant=None, priority=None, tenants=("",)):
    submit_s, run_s, limit_s, gpus = (np.array(column) for column in zip(*rows, strict=True))
    return Jobs(
        np.arange(len(rows)),
        submit_s.astype(float),
        run_s.astype(float),
        limit_s.astype(float),
        gpus.astype(np.int64),
        np.zeros(len(rows), dtype=np.int64),
        ("training",),
        None if tenant is None else np.array(tenant),
        tenants,
        None if priority is None else np.array(priority),
    )


def mix(seed, n=400, widths=(1, 2, 4, 8, 16), over=3.0):
    draws = np.random.default_rng(seed)
    run_s = draws.exponential(900, n) + 1
    return jobs(
        *zip(
            np.sort(draws.uniform(0, 90_000, n)),
            run_s,
            run_s * (1 + draws.exponential(over - 1, n)),
            draws.choice(widths, n),
            strict=True,
        ),
        tenant=draws.integers(0, 3, n),
        tenants=("a", "b", "c"),
        priority=draws.integers(0, 3, n),
    )


def starts(of, policy, processors=32, **options):
    return schedule(of, processors=processors, policy=policy, **options).result.first_start_s


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(3))
def test_every_policy_ends_every_job_and_overfills_no_node(policy, seed):
    of = mix(seed)
    result = schedule(of, processors=32, policy=policy).result
    assert np.isfinite(result.end_s).all()
    np.testing.assert_allclose(result.useful_s, of.run_s)
    used = result.gpus_allocated()
    assert used.values.max() <= 32
    assert used.values[-1] == 0
    assert np.all(result.first_start_s >= of.submit_s)


@pytest.mark.parametrize("policy", [name for name, of in POLICIES.items() if not of.preempts])
def test_no_policy_without_preemption_stops_a_job(policy):
    result = schedule(mix(5), processors=32, policy=policy).result
    assert len(result.segment_job) == len(result.jobs)


@pytest.mark.parametrize("policy", POLICIES)
def test_an_empty_machine_starts_everybody_at_once(policy):
    of = mix(2, n=50)
    np.testing.assert_array_equal(starts(of, policy, processors=1024), of.submit_s)


def test_shortest_job_takes_the_shortest_limit():
    of = jobs((0, 100, 100, 4), (1, 50, 80, 4), (2, 60, 60, 4), (3, 10, 90, 4))
    assert starts(of, "sjf", processors=4).tolist() == [0.0, 160.0, 100.0, 210.0]


def test_conservative_never_delays_an_earlier_job_beyond_its_first_promise():
    """With limits that are met exactly, no start is later than with the jobs before it alone."""
    of = mix(3, n=120)
    of = replace(of, limit_s=of.run_s)
    whole = starts(of, "conservative")
    for k in range(10, 120, 10):
        alone = starts(of.select(np.arange(k)), "conservative")
        assert np.all(whole[:k] <= alone + 1e-3)


def test_easy_may_delay_the_second_in_line_and_conservative_does_not():
    # 4 nodes. 0 holds 2 until 100. 1 needs 4: at 100. 2 needs 2 for 200 s: at 200 behind 1. 3 needs 2 nodes for 100 s
    # and ends when 1 begins; EASY and conservative start it at once. 4 would push 2 back.
    of = jobs((0, 100, 100, 2), (1, 100, 100, 4), (2, 200, 200, 2), (3, 97, 97, 2))
    assert starts(of, "conservative", processors=4).tolist() == [0.0, 100.0, 200.0, 3.0]
    assert starts(of, "easy", processors=4).tolist() == [0.0, 100.0, 200.0, 3.0]


def test_least_attained_service_lets_a_short_job_pass_a_long_one():
    of = jobs((0, 100_000, 100_000, 4), (7200, 60, 60, 4))
    result = schedule(of, processors=4, policy="las").result
    # The long job has had 8 GPU-hours, so it makes room within a quantum, and goes on afterwards.
    assert result.first_start_s[1] <= 7200 + 600
    assert np.count_nonzero(result.segment_reason == PREEMPTED) == 1
    assert result.end_s[0] == pytest.approx(100_060.0)


def test_priorities_preempt_the_lowest_and_last_started_first():
    of = jobs((0, 1000, 1000, 2), (1, 1000, 1000, 2), (2, 1000, 1000, 2), (10, 100, 100, 2), priority=[1, 0, 0, 2])
    result = schedule(of, processors=6, policy="priority").result
    assert result.first_start_s[3] == 10.0
    stopped = result.segment_job[result.segment_reason == PREEMPTED]
    assert stopped.tolist() == [2]
    # It had worked 8 s, waits 100 s, and ends as late as that makes it.
    assert result.end_s[2] == pytest.approx(2 + 1000 + 100)


def test_equal_priorities_are_easy():
    of = mix(4)
    np.testing.assert_array_equal(starts(replace(of, priority=None), "priority"), starts(of, "easy"))


def test_preemption_costs_a_checkpoint_and_a_restart():
    of = jobs((0, 1000, 1000, 4), (100, 50, 50, 4), priority=[0, 1])
    cost = Reliability(0.0, 1.0, np.array([300.0]), np.array([20.0]), np.array([30.0]))
    cluster = ClusterSpec(1, 4, 4, ((0.0, 4),))
    result = simulate(cluster, of, np.ones((1, 2)), policy="priority", horizon_s=1e5, seed=0, reliability=cost)
    # 100 s worked less 20 s of the write; 50 s wait; 30 s to load the state; 920 s left.
    assert result.end_s[0] == pytest.approx(150 + 30 + 920)


def test_fair_share_serves_the_tenant_that_used_less():
    rows = [(0, 1000, 1000, 4), (1, 1000, 1000, 4), (2, 1000, 1000, 4)]
    of = jobs(*rows, tenant=[0, 0, 1], tenants=("a", "b"))
    assert starts(of, "fair_share", processors=4).tolist() == [0.0, 2000.0, 1000.0]


def test_shares_decide_how_much_each_tenant_gets():
    n = 300
    rows = [(k * 1e-3, 100, 100, 1) for k in range(n)]
    of = jobs(*rows, tenant=[k % 2 for k in range(n)], tenants=("a", "b"))
    shares = Tenancy(np.array([3.0, 1.0]), np.array([np.inf, np.inf]))
    first = schedule(of, processors=4, policy="fair_share", tenancy=shares).result.first_start_s
    half = np.median(first)
    early = of.tenant_index[first <= half]
    assert np.count_nonzero(early == 0) == pytest.approx(3 * np.count_nonzero(early == 1), rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_a_quota_is_never_exceeded(seed):
    of = mix(seed, widths=(1, 2, 4))
    limits = Tenancy(np.ones(3), np.array([8.0, 4.0, np.inf]))
    result = schedule(of, processors=32, policy="fair_share", tenancy=limits).result
    for name, most in enumerate(limits.quota_gpus):
        held = result._over_segments(np.flatnonzero(of.tenant_index[result.segment_job] == name))
        assert held.values.max() <= most


def test_a_job_above_its_quota_is_refused_by_name():
    of = mix(1)
    with pytest.raises(CapacityError, match="more than the quota of its tenant 'b'"):
        schedule(of, processors=32, policy="fair_share", tenancy=Tenancy(np.ones(3), np.array([16.0, 2.0, 16.0])))
    with pytest.raises(RangeError, match="other shapes"):
        schedule(of, processors=32, tenancy=Tenancy(np.ones(2), np.ones(2)))
    with pytest.raises(UsageError, match="write it as TENANT=N"):
        tenancy(of, ("a",))
    with pytest.raises(UsageError, match="is not a known tenant"):
        tenancy(of, ("nobody=3",))


def test_easy_nodes_spares_the_nodes_of_the_first_in_line():
    # Nodes 0-3. A holds 0-1 until 100, B holds 2 until 50. C needs 3: it will get 0, 1, 2 at 100 (shadow).
    # D, of 1 node and 500 s, may use 3 alone and starts at once; E too late for that waits behind.
    of = jobs((0, 100, 100, 2), (0, 50, 50, 1), (1, 100, 100, 3), (2, 500, 500, 1), (3, 500, 500, 1))
    assert starts(of, "easy_nodes", processors=4).tolist() == [0.0, 0.0, 100.0, 2.0, 200.0]


def written(tmp_path, of):
    log = tmp_path / "log.swf"
    log.write_text(
        "".join(
            f"{k} {s:.0f} -1 {r:.0f} {g} -1 -1 {g} {w:.0f} -1 1 {t} 1 1 -1 -1 -1 -1\n"
            for k, s, r, w, g, t in zip(
                of.job_id, of.submit_s, of.run_s, of.limit_s, of.gpus, of.tenant_index, strict=True
            )
        )
    )
    return log


@pytest.mark.parametrize("of", ["mean", "p95"])
def test_the_fewest_nodes_keep_the_limit_and_fewer_do_not(of):
    demand = mix(8, n=600)
    found = size(demand, wait_s=300.0, of=of, per_node=2)
    key = {"mean": "mean_wait_s", "p95": "p95_wait_s"}[of]
    assert schedule(demand, processors=found.gpus, per_node=2).figures()[key] <= 300.0
    for fewer in (found.gpus - 2, found.gpus - 4):
        assert schedule(demand, processors=fewer, per_node=2).figures()[key] > 300.0
    assert found.gpus >= max(found.busy_gpus, demand.gpus.max()) - 2
    assert list(found.tried) == sorted(found.tried)


def test_a_limit_that_any_size_keeps_needs_the_widest_job():
    demand = mix(8, n=50)
    assert size(demand, wait_s=1e9, per_node=1).gpus >= demand.gpus.max()
    with pytest.raises(UsageError, match="is no limit"):
        size(demand, wait_s=-1.0)
    with pytest.raises(UsageError, match="is no wait"):
        size(demand, wait_s=1.0, of="p50")


def test_size_prints_what_it_tried(tmp_path):
    log = written(tmp_path, mix(1, n=200))
    words = [str(log), "--max-wait-min", "5", "--per-node", "2"]
    done = CliRunner().invoke(cli.size, words, catch_exceptions=False)
    assert "are the fewest on which the mean wait is at most 5 min" in done.output
    assert "<-" in done.output
    found = json.loads(CliRunner().invoke(cli.size, [*words, "--json"], catch_exceptions=False).output)
    assert str(found["gpus"]) in found["tried"]


def test_the_verb_prints_and_writes(tmp_path):
    log, out = written(tmp_path, mix(1, n=60)), tmp_path / "jobs.parquet"
    words = [str(log), "--processors", "32", "--policy", "fair_share", "--quota", "1=16", "--out", str(out)]
    done = CliRunner().invoke(cli.schedule, words, catch_exceptions=False)
    assert done.exit_code == 0
    for word in ("wait", "slowdown", "utilisation", "makespan"):
        assert word in done.output
    found = pd.read_parquet(out)
    assert list(found.columns) == [column.name for column in SCHEDULE]
    assert (found["procs"] == found["gpus"]).all()
    assert found["energy_j"].isna().all()
    assert pq.read_schema(out).field("procs").metadata[b"unit"] == b"1"


def test_the_verb_refuses_what_can_never_start(tmp_path):
    log = written(tmp_path, mix(1, n=60))
    with pytest.raises(InputError, match="of 8 processors; it can never start"):
        CliRunner().invoke(cli.schedule, [str(log), "--processors", "8"], catch_exceptions=False)
    words = [str(log), "--processors", "8", "--oversized", "skip", "--json"]
    assert CliRunner().invoke(cli.schedule, words, catch_exceptions=False).exit_code == 0
    refused = CliRunner().invoke(cli.schedule, [str(log), "--processors", "9", "--per-node", "2"])
    assert refused.exit_code == 2


TIMES = Shutdown(60.0, 6.0, 150.0)


def switched(of, nodes=32, shutdown=TIMES, **options):
    cluster = ClusterSpec(1, nodes, nodes, ((0.0, nodes),))
    options = {"policy": "easy_shutdown", "horizon_s": np.inf, "seed": 0} | options
    return simulate(cluster, of, ONE_RATE, shutdown=shutdown, **options)


def test_idle_nodes_are_switched_off_and_jobs_wait_for_them_to_start():
    of = jobs((0, 100, 100, 2), (1000, 50, 50, 4))
    result = switched(of, nodes=4)
    # Nodes 2 and 3 are free from the start, 0 and 1 from 100 s; all are off when the second job comes, and start.
    assert result.first_start_s.tolist() == [0.0, 1150.0]
    off = result.nodes_by_power_state()
    states = off.at([59.0, 63.0, 70.0, 163.0, 170.0, 1100.0, 1160.0]).tolist()
    assert states == [[0, 0, 0], [0, 2, 0], [2, 0, 0], [2, 2, 0], [4, 0, 0], [0, 0, 4], [0, 0, 0]]


def test_nodes_that_never_idle_for_long_are_never_switched_off():
    of = mix(11)
    patient = switched(of, shutdown=Shutdown(1e9, 6.0, 150.0))
    np.testing.assert_array_equal(patient.first_start_s, starts(of, "easy"))
    assert patient.power_time_s.min() > patient.end_s.max()


@pytest.mark.parametrize("seed", range(3))
def test_a_node_is_off_held_or_idle_and_never_two_of_them(seed):
    result = switched(mix(seed))
    states, held = result.nodes_by_power_state(), result.gpus_allocated()
    at = np.unique(np.concatenate([states.times, held.times]))
    assert np.all(states.at(at) >= 0)
    assert np.all(states.at(at).sum(axis=1) + held.at(at) <= 32)
    assert states.at(at)[:, 0].max() > 0
    np.testing.assert_allclose(result.useful_s, result.jobs.run_s)


def test_switching_off_saves_energy_and_costs_wait():
    of = mix(12, n=200)
    end_s = float(schedule(of, processors=32).result.end_s.max())
    quick, none = switched(of), switched(of, shutdown=Shutdown(1e9, 6.0, 150.0))
    off = [float(one.nodes_by_power_state().integral([0.0, end_s])[0][0]) for one in (quick, none)]
    assert off[0] > 0 == off[1]
    assert quick.first_start_s.mean() >= none.first_start_s.mean()


def test_a_plan_switches_idle_nodes_off(tmp_path):
    light = ("workload.jobs={kind: synthetic, offered_load_frac: 0.3, gpu_hours_share: {training: 1.0}}",)
    easy, off = (
        runs.read(pipeline.run(small(*light, f"workload.policy={name}"), tmp_path / name))
        for name in ("easy", "easy_shutdown")
    )
    idle = [float(one.intervals["idle_power_w"].mean()) for one in (easy, off)]
    assert idle[1] < 0.3 * idle[0]
    assert off.kpis["jobs_completed"]["value"] == pytest.approx(easy.kpis["jobs_completed"]["value"], rel=0.02)
    assert off.kpis["facility_energy_mwh"]["value"] < easy.kpis["facility_energy_mwh"]["value"]


@pytest.mark.parametrize("times", [(-1.0, 0.0, 0.0), (0.0, np.inf, 0.0), (0.0, 0.0, np.nan)])
def test_times_of_switching_are_finite(times):
    with pytest.raises(RangeError, match="give a finite time"):
        Shutdown(*times)


def limited(of, watts, limit_w):
    cluster = ClusterSpec(1, 32, 32, ((0.0, 32),))
    power = PowerLimit(watts * of.gpus, limit_w)
    return simulate(cluster, of, ONE_RATE, policy="power_aware", horizon_s=np.inf, seed=0, power=power)


@pytest.mark.parametrize("seed", range(3))
def test_a_limit_on_power_is_never_exceeded_and_everybody_ends(seed):
    of = mix(seed)
    result = limited(of, 100.0, 2000.0)
    assert np.isfinite(result.end_s).all()
    assert 100 * result.gpus_allocated().values.max() <= 2000
    assert result.first_start_s.mean() > starts(of, "easy").mean()


def test_a_limit_that_never_binds_is_easy():
    of = mix(9)
    np.testing.assert_array_equal(limited(of, 100.0, 3200.0).first_start_s, starts(of, "easy"))


def test_who_waits_for_power_is_not_passed():
    of = jobs((0, 100, 100, 2), (1, 100, 100, 8), (2, 10, 10, 1))
    assert limited(of, 1.0, 8.0).first_start_s.tolist() == [0.0, 100.0, 200.0]


def test_a_job_above_the_limit_alone_is_refused():
    with pytest.raises(RangeError, match="more than the limit"):
        limited(mix(1), 1000.0, 8000.0)


def test_a_plan_under_a_limit_peaks_lower(tmp_path):
    limit = ("workload.policy=power_aware", "workload.power_limit_mw=0.25")
    free, kept = (runs.read(pipeline.run(small(*sets), tmp_path / str(len(sets)))) for sets in ((), limit))
    assert kept.kpis["peak_facility_power_mw"]["value"] < free.kpis["peak_facility_power_mw"]["value"]
    with pytest.raises(InputError, match="go together"):
        small("workload.power_limit_mw=1.0")
    with pytest.raises(InputError, match="more than the limit"):
        pipeline.run(small("workload.policy=power_aware", "workload.power_limit_mw=0.001"), tmp_path)


def test_a_share_of_a_node_spares_the_node_of_the_first_in_line():
    # One node of four GPUs. A small job runs for 100 s; the next needs the whole node, at 100 s. A small job of 500 s
    # that fits beside the first would hold the node, so it waits; one of 50 s does not.
    def starts(policy):
        of = jobs((0, 100, 100, 1), (1, 100, 100, 4), (2, 500, 500, 1), (3, 50, 50, 1))
        cluster = ClusterSpec(4, 4, 4, ((0.0, 1),))
        return simulate(cluster, of, np.ones((1, 2)), policy=policy, horizon_s=np.inf, seed=0).first_start_s.tolist()

    assert starts("easy_nodes") == [0.0, 100.0, 200.0, 3.0]
    assert starts("conservative") == [0.0, 100.0, 200.0, 3.0]


def test_a_shared_node_is_free_when_all_on_it_have_ended():
    # Two nodes. Two small jobs share one until 100 and 300 s, a whole job has the other until 200 s. The first in line
    # needs both nodes: at 300 s. A whole job of 90 s fits in between, one of 150 s does not.
    of = jobs((0, 100, 100, 1), (0, 300, 300, 1), (0, 200, 200, 4), (1, 50, 50, 8), (2, 90, 90, 4), (3, 150, 150, 4))
    cluster = ClusterSpec(4, 4, 4, ((0.0, 2),))
    found = simulate(cluster, of, np.ones((1, 2)), policy="easy_nodes", horizon_s=np.inf, seed=0)
    assert found.first_start_s.tolist() == [0.0, 0.0, 0.0, 300.0, 200.0, 350.0]
