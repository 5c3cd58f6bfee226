"""Pools of unlike servers in a plan: their sums, their jobs, their money, and what is refused."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from plans import small

from dcsim import pipeline, runs
from dcsim.columns import OF_POOLS
from dcsim.errors import InputError
from dcsim.operate import simulated
from dcsim.sim.recorder import STATUSES
from dcsim.workload.jobs import together

B200 = (
    "facility.pools={b200: {server: hgx-b200-8, racks: {feed_kw: 60.0}}}",
    "facility.phases[1].pool=b200",
)
MODELS = ("workload.class_models={training: llama3.1-405b, fine_tuning: llama3.1-8b}",)
LIQUID = ("facility.server=hgx-h100-8-dlc", "facility.cooling={kind: direct_liquid_dry_cooler}")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run of two pools whose GPU-hours have two prices."""
    sets = (*B200, *MODELS, "economics.revenue.price_factors={b200: 1.5}")
    return runs.read(pipeline.run(small(*sets), tmp_path_factory.mktemp("runs")))


def of_pool(run, name):
    return run.pools[run.pools["pool"] == name].reset_index(drop=True)


@pytest.mark.parametrize("column", OF_POOLS)
def test_the_facility_is_the_sum_of_its_pools(two, column):
    total = of_pool(two, "main")[column] + of_pool(two, "b200")[column]
    assert np.allclose(two.intervals[column], total, rtol=1e-12)
    assert total.max() > 0 or column in ("gpus_down", "gpus_serving", "service_power_w")


@pytest.mark.parametrize("pool", ["main", "b200"])
def test_the_energy_of_a_pools_jobs_is_in_its_column(two, pool):
    of = of_pool(two, pool)
    jobs = two.jobs[two.jobs["pool"] == pool]
    assert jobs["energy_j"].sum() == pytest.approx(float(of["job_power_w"] @ of["duration_s"]), rel=1e-9)


def test_hours_of_each_pool_are_sold_at_its_price(two):
    revenue = two.ledger[two.ledger["category"] == "revenue"]
    b200 = revenue["item"].str.contains("pool b200")
    for name, rows in (("main", revenue[~b200]), ("b200", revenue[b200])):
        of = of_pool(two, name)
        assert rows["quantity"].sum() == pytest.approx(0.9 * float(of["gpus_allocated"] @ of["duration_s"]) / 3600)
    prices = [rows.set_index("month")["unit_price_usd"] for rows in (revenue[~b200], revenue[b200])]
    assert np.allclose((prices[1] / prices[0]).dropna(), 1.5)
    assert len(prices[1]) == 6  # its months


def test_each_phase_buys_the_servers_of_its_pool(two):
    bought = two.ledger[(two.ledger["category"] == "capex") & two.ledger["item"].str.startswith("servers: ")]
    servers = {phase["name"]: (phase["server"], phase["servers"]) for phase in two.findings["phases"]}
    for phase, rows in bought.groupby("phase"):
        server, count = servers[phase]
        assert rows["item"].unique().tolist() == [f"servers: {server} without its GPUs"]
        assert rows["quantity"].sum() == pytest.approx(count)


def test_findings_say_what_each_pool_did(two):
    main, b200 = two.findings["pools"]
    assert [main["pool"], b200["pool"]] == ["main", "b200"]
    started = two.jobs[two.jobs["start_s"].notna()]
    assert main["jobs_started"] + b200["jobs_started"] == len(started)
    waits = (started["start_s"] - started["ready_s"]).groupby(started["pool"]).mean() / 3600
    assert (main["mean_wait_h"], b200["mean_wait_h"]) == (pytest.approx(waits["main"]), pytest.approx(waits["b200"]))
    assert any("training jobs are" in note and "step times of llama3.1-405b" in note for note in two.findings["notes"])
    assert any("inference jobs are 1 times" in note and "assumed" in note for note in two.findings["notes"])


def test_a_newer_generation_takes_the_time_that_its_step_times_say():
    ready = pipeline.prepare(small(*B200, *MODELS))
    names = ready.demand.jobs.class_names
    speed = dict(zip(names, ready.facility.pools[1].speed.tolist(), strict=True))
    assert 1.5 < speed["fine_tuning"] < speed["training"] < 3.0
    assert speed["inference"] == 1.0
    assert (ready.facility.pools[0].speed == 1.0).all()
    of = simulated(dataclasses.replace(ready, reliability=None))[1]
    done = (of.result.status == STATUSES.index("completed")) & (of.result.span == 1)
    class_speed = ready.facility.pools[1].speed[of.result.jobs.class_index]
    expected_s = ready.demand.jobs.run_s[of.rows] / class_speed
    assert np.allclose(of.result.held_s[done], expected_s[done])


def test_a_stated_speed_goes_before_a_models():
    stated = pipeline.prepare(small(*B200, *MODELS, "facility.pools.b200.speed={training: 1.9}"))
    assert stated.facility.pools[1].speed[0] == 1.9


def test_two_halves_of_one_kind_stand_like_one_pool():
    one = pipeline.prepare(small("facility.phases[0].servers=20", "facility.phases[1].servers=20"))
    half = ("facility.pools={other: {server: hgx-h100-8}}", "facility.phases[1].pool=other")
    two = pipeline.prepare(small("facility.phases[0].servers=20", "facility.phases[1].servers=20", *half))
    before, after = one.facility.final, two.facility.final
    assert after.pool_servers == (20, 20)
    network_w = after.fabric_power_w - before.fabric_power_w
    assert after.it_design_w - before.it_design_w == pytest.approx(network_w, abs=1e-6)
    assert two.facility.gpus(after) == one.facility.gpus(before)


def test_jobs_of_a_class_stay_in_its_pools(tmp_path):
    bound = ("workload.pools={training: [main], fine_tuning: [b200], inference: [b200, main]}",)
    found = runs.read(pipeline.run(small(*B200, *bound), tmp_path))
    went = found.jobs.groupby("job_class")["pool"].unique().to_dict()
    assert went["training"].tolist() == ["main"]
    assert went["fine_tuning"].tolist() == ["b200"]
    assert set(went["inference"]) == {"main", "b200"}
    first = found.jobs[found.jobs["job_class"] == "fine_tuning"]["submit_s"].min()
    energised = found.intervals["start_s"][of_pool(found, "b200")["gpus_energised"] > 0].min()
    assert first >= energised  # the demand of a class follows the pools that it may use


def test_the_offered_load_is_that_of_the_time_that_jobs_take():
    sets = ("workload.pools={training: [b200], fine_tuning: [b200], inference: [main]}", "plan.years=10")
    ready = pipeline.prepare(small(*B200, *MODELS, *sets))
    jobs, facility = ready.demand.jobs, ready.facility
    total = together(facility.rooms)
    ends_s = np.array([*(time_s for time_s, _ in total[1:]), facility.horizon_s])
    gpu_s = sum(gpus * (end_s - time_s) for (time_s, gpus), end_s in zip(total, ends_s, strict=True))
    shares = {"training": 0.60, "fine_tuning": 0.15, "inference": 0.25}
    for index, name in enumerate(jobs.class_names):
        pool = facility.pools[0 if name == "inference" else 1]
        of = jobs.class_index == index
        asked = (jobs.gpus[of] * jobs.run_s[of]).sum() / pool.speed[index]
        load = ready.loaded.scenario.workload.jobs.offered_load_frac
        assert asked == pytest.approx(load * shares[name] * gpu_s, rel=0.1)


def test_a_path_needs_fewer_gpus_where_they_are_faster():
    path = "workload.jobs={kind: demand, classes: {training: {gpus: 100.0}}}"
    bound = "workload.pools={training: [b200]}"
    filling = pipeline.prepare(small(*B200, *MODELS, path, bound)).demand.filling
    speed = pipeline.prepare(small(*B200, *MODELS)).facility.pools[1].speed[0]
    assert filling.gpus[0] == 100.0  # before there are any
    assert filling.gpus[-1] == pytest.approx(100.0 / speed)


def test_plates_and_air_stand_side_by_side(tmp_path):
    air = ("facility.pools={air: {server: hgx-h100-8}}", "facility.phases[1].pool=air")
    mixed = runs.read(pipeline.run(small(*LIQUID, *air), tmp_path / "mixed"))
    liquid = runs.read(pipeline.run(small(*LIQUID), tmp_path / "liquid"))
    assert mixed.kpis["pue"]["value"] > liquid.kpis["pue"]["value"]
    with pytest.raises(InputError, match="'hgx-h100-8-dlc' has cold plates"):
        pipeline.prepare(small("facility.pools={wet: {server: hgx-h100-8-dlc}}", "facility.phases[1].pool=wet"))


def test_a_model_run_goes_to_its_pool():
    run = "workload.runs=[{name: mine, model: llama3.1-8b, gpus: 64, tokens: 1e11, submit_day: 200.0, pool: b200}]"
    ready = pipeline.prepare(small(*B200, run))
    jobs = ready.demand.jobs
    row = int(np.flatnonzero(jobs.class_index == jobs.class_names.index("mine"))[0])
    results = simulated(ready)
    assert row in results[1].rows.tolist()
    on_main = pipeline.prepare(small(*B200, run.replace(", pool: b200", ""))).demand.jobs
    assert jobs.run_s[row] < 0.7 * on_main.run_s[row]


def test_maintenance_and_shutdown_are_those_of_each_pool():
    sets = ("workload.policy=easy_shutdown", "workload.maintenance={every_days: 60.0}")
    results = simulated(pipeline.prepare(small(*B200, *sets)))
    assert all(len(one.result.power_time_s) > 0 for one in results)
    assert all((one.result.node_change < 0).sum() > 0 for one in results)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (("facility.phases[1].pool=b20",), "did you mean 'b200'?"),
        (("facility.phases[1].pool=main",), "'b200' has no phase"),
        (
            ("facility.pools={main: {server: hgx-b200-8}}", "facility.phases[1].pool=main"),
            "is the pool of facility.server",
        ),
        (("workload.pools={training: [b20]}",), "did you mean 'b200'?"),
        (("workload.pools={training: []}",), "name a pool"),
        (("facility.pools.b200.speed={trainin: 2.0}",), "did you mean 'training'?"),
        (("facility.pools.b200.server=hgx-b20",), "did you mean"),
        (("facility.pools.b200.fabric={switch: qm970}",), "did you mean 'qm9700'?"),
        (("facility.pools.b200.racks.feed_kw=10.0",), "raise the feed"),
        (("economics.revenue.price_factors={b20: 2.0}",), "did you mean 'b200'?"),
        (("workload.policy=power_aware", "workload.power_limit_mw=1.0"), "holds for one pool"),
        (("workload.runs=[{name: r, model: llama3.1-8b, gpus: 8, tokens: 1e9, pool: b20}]",), "did you mean 'b200'?"),
    ],
)
def test_what_does_not_fit_is_said(sets, said):
    with pytest.raises(InputError) as caught:
        pipeline.prepare(small(*B200, *sets))
    assert said in str(caught.value)


def test_pools_are_read_back(two):
    assert isinstance(two.pools, pd.DataFrame)
    assert two.pools["pool"].unique().tolist() == ["main", "b200"]


MIG = (
    "facility.pools={small: {server: hgx-h100-8, mig_instances: 7}}",
    "facility.phases[1].pool=small",
    "workload.pools={training: [main], fine_tuning: [main], inference: [small, main]}",
)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return runs.read(pipeline.run(small(*MIG), tmp_path_factory.mktemp("split")))


def test_an_instance_is_a_seventh_of_a_gpu_in_every_count(split):
    of = of_pool(split, "small")
    servers = next(phase["servers"] for phase in split.findings["phases"] if phase["pool"] == "small")
    assert of["gpus_energised"].max() == pytest.approx(8 * servers)
    jobs = split.jobs[split.jobs["pool"] == "small"]
    assert (jobs["gpus"] == 1).all()
    assert np.allclose(jobs["gpus_held"], 1 / 7)
    held = float(of["gpus_allocated"] @ of["duration_s"])
    assert (jobs["gpus_held"] * jobs["run_s"]).sum() == pytest.approx(held, rel=1e-9)
    assert jobs["energy_j"].sum() == pytest.approx(float(of["job_power_w"] @ of["duration_s"]), rel=1e-9)


def test_larger_jobs_go_where_gpus_are_whole(split):
    inference = split.jobs[split.jobs["job_class"] == "inference"]
    assert (inference[inference["gpus"] > 1]["pool"] == "main").all()
    assert set(inference["pool"]) == {"main", "small"}


def test_an_instance_has_its_share_of_the_multiprocessors():
    def speed(*sets):
        return pipeline.prepare(small(*MIG, *sets)).facility.pools[1].speed[2]

    assert speed() == pytest.approx(0.1212)
    assert speed("facility.pools.small.mig_instances=3") == pytest.approx(2 * 0.1212)
    assert speed("facility.pools.small.mig_instances=2") == pytest.approx(3 * 0.1212)
    assert speed("facility.pools.small.speed={inference: 0.8}") == 0.8
    assert speed("facility.pools.small.runs_in=virtual_machines") == pytest.approx(0.98 * 0.1212)


def test_a_class_that_is_cut_to_one_gpu_is_named():
    bound = "workload.pools={training: [main], fine_tuning: [main], inference: [small]}"
    ready = pipeline.prepare(small(*MIG[:2], bound))
    inference = ready.demand.jobs.class_index == ready.demand.jobs.class_names.index("inference")
    assert (ready.demand.jobs.gpus[inference] == 1).all()
    (note,) = (note for note in ready.demand.notes if "drawn with one GPU each" in note)
    assert note.startswith("inference jobs")
    assert not any("drawn with one GPU" in note for note in pipeline.prepare(small(*MIG)).demand.notes)


def test_seven_instances_busy_draw_what_the_server_draws():
    ready = pipeline.prepare(small(*MIG))
    main, split_ = (pool.services for pool in ready.facility.pools)
    assert np.allclose(split_.gpu_power_w * split_.gpus_per_node, main.gpu_power_w * main.gpus_per_node)
    assert split_.gpus_per_node == 7 * main.gpus_per_node


def test_virtual_machines_slow_every_class_and_offer_less_work():
    bare, virtual = (pipeline.prepare(small(f"facility.runs_in={of}")) for of in ("servers", "virtual_machines"))
    assert (virtual.facility.pools[0].speed == 0.98).all()
    assert (pipeline.prepare(small("facility.runs_in=containers")).facility.pools[0].speed == 0.99).all()
    asked = [(of.demand.jobs.gpus * of.demand.jobs.run_s).sum() for of in (bare, virtual)]
    assert asked[1] == pytest.approx(0.98 * asked[0], rel=0.05)
    (before,), (after,) = (simulated(dataclasses.replace(of, reliability=None)) for of in (bare, virtual))
    ratio = after.result.jobs.run_s.mean() / virtual.demand.jobs.run_s.mean()
    assert ratio == pytest.approx(1 / 0.98)
    assert before.result.jobs.run_s.mean() == bare.demand.jobs.run_s.mean()


def test_a_gpu_that_cannot_be_split_is_named():
    with pytest.raises(InputError, match="does not know how gb300-nvl72 is split"):
        pipeline.prepare(
            small(*LIQUID, "facility.server=gb300-nvl72", "facility.mig_instances=7", "facility.racks.feed_kw=200.0")
        )
    with pytest.raises(InputError, match="mig_instances"):
        pipeline.prepare(small("facility.mig_instances=8"))


CPU = (
    "facility.pools={cpu: {server: cpu-16}}",
    "facility.phases[1].pool=cpu",
    "facility.phases[1].servers=40",
    "workload.campaigns=[{name: c, first_day: 200.0, every_days: 40.0, stages: ["
    "{name: prepare, job_class: data_preparation, nodes: 32, hours: 48.0}, "
    "{name: train, job_class: training, gpus: 64, hours: 100.0, after: [prepare]}]}]",
)


@pytest.fixture(scope="module")
def processors(tmp_path_factory):
    return runs.read(pipeline.run(small(*CPU, "workload.reliability=null"), tmp_path_factory.mktemp("cpu")))


def test_data_is_prepared_on_nodes_without_gpus_before_training(processors):
    jobs = processors.jobs
    prepared_ = jobs[jobs["job_class"] == "data_preparation"]
    assert len(prepared_) == 5
    assert (prepared_["pool"] == "cpu").all()
    assert (prepared_[["gpus", "gpus_held"]] == 0).all(axis=None)
    assert (prepared_["nodes"] == 32).all()
    assert (prepared_["run_s"] == 48 * 3600).sum() >= 4
    trained = jobs[(jobs["pool"] == "main") & (jobs["ready_s"] > jobs["submit_s"])]
    assert set(trained["ready_s"]) <= set(prepared_["end_s"])
    assert len(trained) == prepared_["end_s"].notna().sum()


def test_nodes_without_gpus_draw_power_and_count_no_gpu(processors):
    cpu = of_pool(processors, "cpu")
    assert (cpu[["gpus_energised", "gpus_allocated"]] == 0).all(axis=None)
    assert cpu["idle_power_w"].max() == pytest.approx(40 * 31.0, rel=0.01)
    jobs = processors.jobs[processors.jobs["pool"] == "cpu"]
    assert jobs["energy_j"].sum() == pytest.approx(float(cpu["job_power_w"] @ cpu["duration_s"]), rel=1e-9)
    # 32 nodes at full use for two days.
    full = jobs[jobs["status"] == "completed"]["energy_j"]
    assert np.allclose(full, 32 * 197.3 * 48 * 3600, rtol=0.01)
    assert processors.kpis["gpus_installed"]["value"] == of_pool(processors, "main")["gpus_energised"].max()


def test_servers_without_gpus_are_bought_and_offer_no_gpu_time():
    ready, without = pipeline.prepare(small(*CPU)), pipeline.prepare(small())
    bought = [asset for asset in ready.facility.assets if asset.item == "cpu-16"]
    assert [asset.quantity for asset in bought] == [40]
    assert together(ready.facility.rooms)[-1][1] < together(without.facility.rooms)[-1][1]


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (("workload.pools={data_preparation: [main]}",), "take servers without GPUs"),
        (("workload.pools={training: [cpu]}",), "take servers with GPUs"),
        (("workload.campaigns[0].stages[0].nodes=41",), "41 nodes are more than the 40"),
        (("workload.campaigns[0].stages[0].gpus=8",), "gpus or nodes, not both"),
        (("workload.campaigns[0].stages[0].job_class=training",), "give each a class"),
        (("facility.phases[1].pool=main", "facility.phases[1].servers=20", "facility.pools={}"), "no phase has any"),
    ],
)
def test_what_does_not_suit_nodes_without_gpus_is_said(sets, said):
    with pytest.raises(InputError) as caught:
        pipeline.prepare(small(*CPU, *sets))
    assert said in str(caught.value)
