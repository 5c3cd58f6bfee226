"""Services in a plan: GPUs before jobs, energy that adds up, tokens that earn, and what cannot be served."""

from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
from dcsim.reports.run_report import html
from plans import small

from dcsim import pipeline, runs
from dcsim.errors import InputError
from dcsim.serving.plan import claims
from dcsim.study.summary import number, service_line, summary

CHAT = (
    "{name: chat, model: llama3.1-8b, "
    "requests: {per_s: 150.0, hours: [1,1,1,1,1,1,1,2,3,4,5,5,5,5,5,5,5,4,3,2,2,1,1,1]}, "
    "limits: {ttft_p95_s: 0.5, tpot_p95_s: 0.03}, usd_per_million_prompt_tokens: 0.1, "
    "usd_per_million_output_tokens: 0.4}"
)
CODE = (
    "{name: code, model: llama3.1-8b, requests: {per_s: 4.0, gap_cv: 3.0}, lengths: {prompt: 2048.0, output: 28.0}, "
    "scaling: {kind: rate}}"
)
TWO = f"workload.services=[{CHAT}, {CODE}]"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return runs.read(pipeline.run(small(TWO), tmp_path_factory.mktemp("runs")))


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    return runs.read(pipeline.run(small(), tmp_path_factory.mktemp("runs")))


def of(run, name):
    return run.services[run.services["service"] == name]


def test_energy_of_services_jobs_and_idle_servers_is_it_energy(run):
    table = run.intervals
    parts = ["job_power_w", "service_power_w", "idle_power_w", "fabric_power_w", "support_power_w"]
    assert table["it_power_w"].to_numpy() == pytest.approx(table[parts].sum(axis=1).to_numpy(), rel=1e-9)
    each = sum(of(run, name)["power_w"].to_numpy() for name in ("chat", "code"))
    assert table["service_power_w"].to_numpy() == pytest.approx(each, rel=1e-9)
    assert table["service_power_w"].min() > 0


def test_services_and_jobs_hold_no_more_gpus_than_there_are(run):
    table = run.intervals
    held = table["gpus_allocated"] + table["gpus_serving"]
    # Services give nodes back and take them again.
    assert table["gpus_serving"].nunique() >= 3
    assert np.all(held <= table["gpus_energised"] * (1 + 1e-9))
    each = sum(of(run, name)["gpus"].to_numpy() for name in ("chat", "code"))
    assert table["gpus_serving"].to_numpy() == pytest.approx(each, rel=1e-9)


def test_requests_are_conserved(run):
    for name in ("chat", "code"):
        rows = of(run, name)
        came, answered, refused, lost = (
            rows[f"{what}_per_s"].to_numpy() @ rows["duration_s"]
            for what in ("requests", "answered", "refused", "lost")
        )
        assert came == pytest.approx(answered + refused + lost + rows["requests_waiting"].iloc[-1], rel=1e-9)


def test_replicas_follow_the_hours_and_keep_the_limits(run):
    rows = of(run, "chat")
    hour = (rows["start_s"] // 3600 % 24).astype(int)
    by_hour = rows.groupby(hour)["replicas"].mean()
    assert by_hour[12] > by_hour[3]
    known = rows["ttft_p95_s"].notna()
    assert known.mean() > 0.99
    assert rows.loc[known, "ttft_p95_s"].max() <= 0.5
    # A table is read between loads that were simulated.
    assert rows.loc[known, "tpot_p95_s"].max() <= 0.03 * 1.05
    (found,) = [one for one in run.findings["services"] if one["service"] == "chat"]
    assert found["within_limits_frac"] > 0.9


def test_jobs_get_less_done_beside_services(run, without):
    assert run.kpis["gpu_goodput_frac"]["value"] < without.kpis["gpu_goodput_frac"]["value"]


def test_a_plan_without_services_has_none(without):
    assert len(without.services) == 0
    assert without.findings["services"] == []
    assert without.intervals["gpus_serving"].max() == 0
    for name in ("requests_answered_frac", "cost_usd_per_million_tokens", "output_tokens_per_j"):
        assert "workload.services" in without.kpis[name]["reason"]


def test_tokens_are_sold_at_their_price(run):
    ledger = run.ledger
    sold = ledger[ledger["item"] == "tokens of answers: chat, llama3.1-8b"]
    rows = of(run, "chat")
    tokens = rows["output_tokens_per_s"].to_numpy() @ rows["duration_s"].to_numpy()
    assert sold["quantity"].sum() == pytest.approx(tokens / 1e6)
    assert sold["amount_usd"].sum() == pytest.approx(0.4 * tokens / 1e6)
    assert set(sold["unit"]) == {"M tokens"}
    # The other service states no price.
    assert not ledger["item"].str.contains("code").any()


def test_cost_of_tokens_is_that_of_the_gpu_hours_held(run):
    rows = run.services
    gpu_h = rows["gpus"].to_numpy() @ rows["duration_s"].to_numpy() / 3600
    tokens = rows["output_tokens_per_s"].to_numpy() @ rows["duration_s"].to_numpy()
    cost = run.kpis["cost_usd_per_gpu_h"]["value"] * gpu_h / (tokens / 1e6)
    assert run.kpis["cost_usd_per_million_tokens"]["value"] == pytest.approx(cost)


def test_the_table_declares_its_columns(run):
    schema = pq.read_schema(run.folder / "services.parquet")
    assert all(field.metadata[b"unit"] is not None and field.metadata[b"meaning"] for field in schema)


def test_a_service_that_wants_more_than_its_pool_says_so(tmp_path):
    much = CHAT.replace("per_s: 150.0", "per_s: 60000.0").replace("chat", "crowd")
    found = runs.read(pipeline.run(small(f"workload.services=[{much}]"), tmp_path))
    (one,) = found.findings["services"]
    assert one["short_intervals"] > 8000
    assert one["answered_frac"] < 0.5
    assert one["known_frac"] < 0.1
    assert any("too small" in note for note in found.findings["notes"])
    assert found.services["ttft_p95_s"].isna().mean() > 0.9
    # All of it goes to the service; jobs of the plan wait.
    assert found.intervals["gpus_allocated"].mean() < 0.1 * found.intervals["gpus_serving"].mean()


def test_a_service_behind_a_greedy_one_keeps_its_least():
    greedy = CHAT.replace("per_s: 150.0", "per_s: 60000.0").replace("chat", "greedy")
    first, second = pipeline.prepare(small(f"workload.services=[{greedy}, {CODE}]")).services
    assert second.claimed.min() >= 1
    assert (first.nodes + second.nodes).max() == first.nodes.max() + second.nodes[first.nodes.argmax()]


def test_batch_work_waits_where_requests_of_users_are_lost(tmp_path):
    fixed = (
        "{{name: b, model: llama3.1-8b, scaling: {{kind: fixed, replicas: 8}}, overload: {overload}, "
        "requests: {{per_s: 70.0, hours: [1,1,1,1,1,1,1,1,4,4,4,4,4,4,4,4,1,1,1,1,1,1,1,1]}}}}"
    )
    tables = {}
    for overload in ("lost", "queued"):
        service = fixed.format(overload=overload)
        tables[overload] = runs.read(pipeline.run(small(f"workload.services=[{service}]"), tmp_path)).services
    assert tables["lost"]["requests_waiting"].max() == 0
    assert tables["queued"]["lost_per_s"].max() == 0
    assert tables["lost"]["lost_per_s"].max() > 0
    assert tables["queued"]["requests_waiting"].max() > 0
    assert tables["queued"]["answered_per_s"].sum() > tables["lost"]["answered_per_s"].sum()


def test_fixed_replicas_stay_and_a_launch_lifts_the_load(tmp_path):
    fixed = (
        "{name: steady, model: llama3.1-8b, scaling: {kind: fixed, replicas: 8}, requests: {per_s: 20.0, "
        "launches: [{start: 2027-07-01, factor: 3.0}]}}"
    )
    found = runs.read(pipeline.run(small(f"workload.services=[{fixed}]"), tmp_path))
    rows = found.services
    assert rows["replicas"].nunique() == 1
    half = rows["start_s"] < 180 * 86400
    assert rows.loc[~half, "load_frac"].iloc[-1] == pytest.approx(3 * rows.loc[half, "load_frac"].iloc[0])
    assert rows.loc[~half, "power_w"].iloc[-1] > rows.loc[half, "power_w"].iloc[0]


def test_requests_that_are_too_long_are_refused_and_not_sold(tmp_path):
    service = (
        "{name: long, model: llama3.1-70b, gpus_per_replica: 2, scaling: {kind: fixed, replicas: 4}, "
        "requests: {per_s: 0.5}, lengths: {prompt: 4000.0, prompt_cv: 2.5}, usd_per_million_output_tokens: 1.0}"
    )
    found = runs.read(pipeline.run(small(f"workload.services=[{service}]"), tmp_path))
    rows = found.services
    assert 0 < rows["refused_per_s"].iloc[0] < 0.01 * rows["requests_per_s"].iloc[0]
    assert rows["output_tokens_per_s"].iloc[0] < 0.5 * 211
    assert any("too long for a replica" in note for note in found.findings["notes"])
    assert rows["ttft_p95_s"].notna().all()


def test_loose_limits_are_kept_where_latency_is_known():
    loose = CHAT.replace("{ttft_p95_s: 0.5, tpot_p95_s: 0.03}", "{e2e_p95_s: 60.0}")
    ready = pipeline.prepare(small(f"workload.services=[{loose}]"))
    (one,) = ready.services
    assert (one.per_s / (one.claimed * one.most_per_s)).max() <= 0.8


def test_a_service_that_nobody_asks_holds_its_least():
    idle = CODE.replace("per_s: 4.0", "per_s: 4.0, launches: [{start: 2027-01-01, factor: 0.0}]")
    (one,) = pipeline.prepare(small(f"workload.services=[{idle}]")).services
    assert one.claimed.max() == 1


def test_prefill_apart_keeps_answers_faster():
    def tpot_s(apart):
        extra = "prefill_per_decode: 1.0, " if apart else ""
        service = (
            f"{{name: s, {extra}model: llama3.1-8b, scaling: {{kind: fixed, replicas: 8}}, requests: {{per_s: 40.0}}}}"
        )
        ready = pipeline.prepare(small(f"workload.services=[{service}]"))
        return ready.services[0].surface.column("latency_s")[0, 0, 1, 13]

    assert tpot_s(True) < tpot_s(False)


def test_claims_change_only_when_nodes_do():
    ready = pipeline.prepare(small(TWO))
    found = claims(ready.services, ready.facility, 0)
    total = np.sum([one.nodes for one in ready.services], axis=0)
    counts = [nodes for _, nodes in found.nodes_from]
    assert all(a != b for a, b in pairwise(counts))
    assert max(counts) == total.max()


def test_one_seed_gives_the_same_bytes(tmp_path, run):
    again = pipeline.run(small(TWO), tmp_path)
    assert (again / "services.parquet").read_bytes() == (run.folder / "services.parquet").read_bytes()


@pytest.mark.parametrize(
    ("service", "say"),
    [
        (CHAT.replace("llama3.1-8b", "llama3.1-405b"), "in fp8 it fits"),
        (CHAT.replace("llama3.1-8b", "llama9"), "not a known model"),
        (CHAT.replace("ttft_p95_s: 0.5", "ttft_p95_s: 0.001"), "allow that"),
        (CHAT.replace("name: chat", "name: chat, pool: moon"), "not a known pool"),
        (CHAT.replace("name: chat", "name: chat, routing: luck"), "not a known routing"),
        ("{name: x, model: llama3.1-8b, requests: {per_s: 1.0}}", "needs a limit"),
        (CODE.replace("name: code", "name: code, prefill_per_decode: 1.0"), "one kind of replica"),
        (CHAT.replace("name: chat", "name: chat, gpus_per_replica: 16"), "scale-up domain"),
        (CHAT.replace("per_s: 150.0", "per_s: 150.0, log: nothing.csv"), "nothing.csv"),
        (CODE.replace("gap_cv: 3.0", "hours: [1, 2]"), "has 2 items; at least 24 are needed"),
    ],
)
def test_what_cannot_be_served_is_refused_with_its_place(service, say):
    with pytest.raises(InputError) as refusal:
        pipeline.prepare(small(f"workload.services=[{service}]"))
    assert say in str(refusal.value)
    assert "services[0]" in str(refusal.value)


def test_nodes_that_are_switched_off_are_not_promised():
    with pytest.raises(InputError, match="switches nodes off"):
        pipeline.prepare(small(f"workload.services=[{CHAT}]", "workload.policy=easy_shutdown"))


def test_two_services_of_one_name_are_refused():
    with pytest.raises(InputError, match="two services"):
        small(f"workload.services=[{CHAT}, {CHAT}]")


def test_the_printed_answer_has_a_line_for_each_service(run):
    chat, code = (line for line in summary(run) if line.startswith("service "))
    (found, _) = run.findings["services"]
    assert f"{number(found['peak_gpus'])} at the peak" in chat
    assert f"ttft p95 {number(found['ttft_p95_s']['value'])} s of 0.5 s" in chat
    assert f"cost {number(found['cost_usd_per_million_tokens'])} USD" in chat
    assert f"bring {number(found['income_usd_per_million_tokens'])}" in chat
    assert code.startswith("service code: ")
    assert "nobody asks" not in chat + code


def test_a_service_that_answers_too_little_says_so_first():
    one = {"service": "s", "requests": 10.0, "answered_frac": 0.25, "within_limits_frac": 0.0, "mean_gpus": 8.0}
    one |= {"peak_gpus": 8.0, "limits": dict.fromkeys(f"{m}_p95_s" for m in ("ttft", "tpot", "e2e"))}
    one |= {f"{m}_p95_s": {"value": None} for m in ("ttft", "tpot", "e2e")}
    one |= {"cost_usd_per_million_tokens": None, "income_usd_per_million_tokens": None}
    assert service_line(one).startswith("service s: 75.0% of its requests are not answered")
    assert "latency not known" in service_line(one)
    assert "nobody asks" in service_line({**one, "requests": 0.0})


def test_the_report_shows_services(run):

    page = html(run)
    assert "Services answer" in page
    assert 'id="chart-service-latency"' in page


def test_a_service_runs_on_the_pool_that_it_names(tmp_path):
    service = (
        "{name: chat, model: llama3.1-70b, pool: b200, scaling: {kind: fixed, replicas: 2}, requests: {per_s: 4.0}}"
    )
    found = runs.read(pipeline.run(small(f"workload.services=[{service}]", base="two-generations-10mw"), tmp_path))
    pools = found.pools
    for name, serves in (("main", False), ("b200", True)):
        rows = pools[pools["pool"] == name]
        assert (rows["gpus_serving"].max() > 0) == serves
        assert (rows["service_power_w"].max() > 0) == serves
    for column in ("gpus_serving", "service_power_w"):
        total = pools.groupby("start_s")[column].sum().to_numpy()
        assert found.intervals[column].to_numpy() == pytest.approx(total, rel=1e-12)
    # Nobody asks before the hall of the pool stands.
    rows = found.services
    assert rows["requests_per_s"].iloc[0] == 0
    assert rows["requests_per_s"].iloc[-1] > 0
