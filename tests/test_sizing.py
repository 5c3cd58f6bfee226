"""Sizing of services: the laws that a fewest count obeys, the bursts of a log, and what is refused."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from test_cli import refused

from dcsim.errors import RangeError, UsageError
from dcsim.serving.capacity import Options, carries, fewest, needed, service
from dcsim.serving.demand import Asked, recorded
from dcsim.serving.fluid import steady
from dcsim.serving.latency import Limit, excess, percentile_s
from dcsim.serving.replicas import replica
from dcsim.sim.serving.engine import serve
from dcsim.study.sizing.ask import Ask, day_profile, read_rates, windows_of
from dcsim.study.sizing.cli import size
from dcsim.study.sizing.serving import serving
from dcsim.workload.requests.arrivals import Bursty, Poisson
from dcsim.workload.requests.files import read
from dcsim.workload.requests.lengths import Stated
from dcsim.workload.requests.requests import Requests

EIGHT = replica("llama3.1-8b", "h100-sxm-80gb", gpus=1)
CHAT = Asked(Poisson(), Stated(1155, 0.96, 211, 0.77, 0.07))
LIMITS = (Limit("ttft", 95, 0.5), Limit("tpot", 95, 0.03))
CODE = "traces/llm_serving/AzureLLMInferenceTrace_code.csv.gz"
CONVERSATION = "traces/llm_serving/AzureLLMInferenceTrace_conv.csv.gz"
B = ("--model", "llama3.1-8b", "--gpu", "h100-sxm-80gb")


def seventy(log, ttft_s):
    limits = (Limit("ttft", 95, ttft_s),)
    return Ask("llama3.1-70b", "h100-sxm-80gb", limits, requests=log, weights="fp8", gpus_per_replica=2)


def sized(rate, asked=CHAT, limits=LIMITS, of=EIGHT, **options):
    return fewest(of, asked, rate, limits, options=Options(**options))


def test_one_replica_fewer_breaks_a_limit():
    found = sized(100.0)
    assert found.tried[found.replicas] <= 1.0
    assert found.tried[found.replicas - 1] > 1.0
    assert found.binding in map(str, LIMITS)


def test_more_requests_need_no_fewer_replicas_and_tighter_limits_neither():
    counts = [sized(rate).replicas for rate in (5.0, 50.0, 200.0, 1000.0)]
    assert counts == sorted(counts)
    loose = sized(50.0, limits=(Limit("tpot", 95, 0.06),)).replicas
    assert loose <= counts[1] <= sized(50.0, limits=(Limit("tpot", 99, 0.02),)).replicas


def test_what_a_fleet_carries_and_what_a_demand_needs_agree():
    carried = carries(EIGHT, CHAT, LIMITS, replicas=8, options=Options())
    assert sized(8 * carried.per_s * 0.97).replicas <= 8
    assert sized(8 * carried.per_s * 1.08).replicas > 8
    assert carried.per_s < EIGHT.most_per_s(CHAT.mean, 1024)


@pytest.mark.parametrize("model", ["llama3.1-70b", "llama3.1-8b", "qwen3-32b"])
@pytest.mark.parametrize("gpu", ["h100-sxm-80gb", "b200-sxm-180gb"])
def test_weights_of_eight_bit_carry_more(model, gpu):
    sixteen, eight = (replica(model, gpu, gpus=4, weights=weights) for weights in ("bf16", "fp8"))
    assert eight.most_per_s(CHAT.mean, 1024) > sixteen.most_per_s(CHAT.mean, 1024)


def test_slower_steps_need_more_replicas_and_bursts_too():
    assert sized(300.0, of=EIGHT.slowed(1.3)).replicas > sized(300.0).replicas
    assert sized(300.0, asked=replace(CHAT, process=Bursty(8.0, 10.0))).replicas > sized(300.0).replicas


def test_prefixes_that_are_cached_save_replicas():
    found = [sized(200.0, asked=replace(CHAT, prefix_hit_frac=hit)).replicas for hit in (0.0, 0.8)]
    assert found[1] < found[0]


def test_a_batch_that_never_changes_runs_at_the_mean_step():
    """A service at a fixed batch is what `dcsim validate inference` scores."""
    asked = Requests(np.zeros(4000), np.full(4000, 150), np.full(4000, 400))
    for batch in (8, 64, 256):
        done = serve(asked, service(EIGHT, 1, Options(most_requests=batch)))
        busy_s, steps, decoded = done.did[0, :3]
        mean = EIGHT.rates.mean_step(decoded / steps, Asked(Poisson(), Stated(150, 0, 400, 0)).mean)
        assert busy_s / steps == pytest.approx(float(mean.step_s), rel=0.01)
        assert EIGHT.power_of_windows(done.did)[0] == pytest.approx(float(EIGHT.power_of(mean)), rel=0.01)
        assert decoded / steps == pytest.approx(batch, rel=0.05)


@pytest.mark.parametrize("model", ["llama3.1-8b", "qwen3-30b-a3b"])
def test_the_fluid_is_the_simulation_of_one_replica(model):
    of = replica(model, "h100-sxm-80gb")
    table = steady(of, CHAT.mean, 1024)
    for load in (0.05, 0.3, 0.7):
        done = serve(CHAT.steady(load * table.most_per_s, 12_000, 1, "fluid"), service(of, 1, Options()))
        rate = np.array([len(done.requests) / done.horizon_s])
        busy = done.did[0, 0] / done.replica_s
        gpus_w = busy * of.power_of_windows(done.did)[0] + (1 - busy) * of.idle_w * of.gpus
        assert table.at(rate, "gpus_w")[0] == pytest.approx(gpus_w, rel=0.03)
        assert table.at(rate, "batch")[0] == pytest.approx(busy * done.did[0, 2] / done.did[0, 1], rel=0.06)


def test_an_answer_in_json_has_units_bounds_and_hours():
    words = ["serving", *B, "--rate", "40", "--peak-to-mean", "1.6", "--ttft-p95", "0.5", "--tpot-p95", ".03", "--json"]
    body = json.loads(CliRunner().invoke(size, words, catch_exceptions=False).stdout)
    figures = body["figures"]
    assert all(set(figure) >= {"value", "p10", "p90", "unit"} for figure in figures.values())
    assert figures["gpus"]["p10"] <= figures["gpus"]["value"] <= figures["gpus"]["p90"]
    hours = body["hours"]
    assert len(hours) == 24
    assert max(one["gpus"] for one in hours) == figures["gpus"]["value"]
    assert max(one["requests_per_s"] for one in hours) == pytest.approx(64.0)
    assert np.mean([one["requests_per_s"] for one in hours]) == pytest.approx(40.0)
    assert figures["autoscaled_gpu_h"]["value"] == sum(one["gpus"] for one in hours)
    assert figures["static_gpu_h"]["value"] == 24 * figures["gpus"]["value"]
    assert figures["tokens_per_j"]["value"] == pytest.approx(1 / figures["j_per_token"]["value"])
    assert figures["ttft_p95_s"]["value"] <= 0.5


def test_the_inverse_says_how_much_and_until_when():
    words = [
        *B,
        "--gpus",
        "4",
        "--rate",
        "20",
        "--growth-per-month",
        "0.05",
        "--from",
        "2027-01-01",
        "--tpot-p95",
        ".03",
    ]
    shown = CliRunner().invoke(size, ["serving", *words], catch_exceptions=False).stdout
    body = json.loads(CliRunner().invoke(size, ["serving", *words, "--json"], catch_exceptions=False).stdout)
    rate, months = (body["figures"][name] for name in ("requests_per_s", "months_until_full"))
    assert rate["p10"] < rate["value"] < rate["p90"]
    assert months["value"] == pytest.approx(math.log(rate["value"] / 20) / math.log(1.05))
    assert body["full_on"] in shown


@pytest.mark.parametrize("ratio", [1.0, 1.3, 2.0, 6.0, 20.0])
def test_a_day_has_the_peak_and_the_mean_that_are_stated(ratio):
    profile = day_profile(ratio)
    assert profile.mean() == pytest.approx(1.0)
    assert profile.max() == pytest.approx(ratio, rel=1e-6)
    assert profile.min() > 0


def test_hours_of_a_log_with_few_requests_have_their_rate():
    """Half a request a second for three hours, then one request."""
    arrival = np.append(np.arange(0.0, 10_800.0, 2.0), 13_000.0)
    log = Requests(arrival, np.full(len(arrival), 500), np.full(len(arrival), 50))
    rates = [window.per_s for window in windows_of(log)]
    assert rates[0] == pytest.approx(0.5)
    assert rates[-1] < 0.5
    gap = Requests(np.append(arrival, [20_000.0, 21_000.0]), *(np.full(len(arrival) + 2, n) for n in (500, 50)))
    found = serving(Ask("llama3.1-8b", "h100-sxm-80gb", LIMITS, requests=gap, gpus_per_replica=1))
    assert [one["replicas"] for one in found.hours] == [1, 1, 1, 1, 0, 1]


def test_answers_of_one_token_have_no_time_per_token_to_break_a_limit():
    words = ["serving", *B, "--rate", "5", "--output", "1", "--output-cv", "0", "--tpot-p95", "0.05", "--json"]
    body = json.loads(CliRunner().invoke(size, words, catch_exceptions=False).stdout)
    assert body["figures"]["replicas"]["value"] == 1
    assert body["figures"]["tpot_p95_s"]["value"] is None


def test_prefill_and_decode_apart_are_never_one_replica():
    assert needed(np.array([0.01, 1.0, 100.0]), [2, 4], [1.0, 1.0], 10).tolist() == [2, 2, 10]


def test_rates_by_hour_from_a_file(tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text("requests_per_s\n10\n0\n45\n")
    found = serving(Ask("llama3.1-8b", "h100-sxm-80gb", LIMITS, hourly=read_rates(path)))
    counts = [one["replicas"] for one in found.hours]
    assert counts[1] == 0
    assert counts[0] <= counts[2] == found.figures["replicas"].value


def test_a_log_of_many_hours_is_sized_by_hour():
    rng = np.random.default_rng(2)
    each = enumerate((3000, 60_000, 3000))
    hours = [np.zeros(1), *(np.sort(rng.uniform(3600 * hour, 3600 * (hour + 1), n)) for hour, n in each)]
    log = Requests(np.concatenate(hours), np.full(66_001, 800), np.full(66_001, 600))
    assert [len(window.requests) for window in windows_of(log)] == [3001, 60_000, 3000]
    found = serving(Ask("llama3.1-8b", "h100-sxm-80gb", LIMITS, requests=log, gpus_per_replica=1))
    counts = [one["replicas"] for one in found.hours]
    assert counts[0] == counts[2] == 1 < counts[1]
    assert found.figures["saved_frac"].value == pytest.approx(1 - sum(counts) / (3 * counts[1]))


# A limit below the time of the longest prompts is met by no number of replicas.
@pytest.mark.parametrize("ttft_s", [1.5, 2.0, 5.0])
def test_bursts_of_the_code_log_need_more_gpus_than_its_rate(reference, ttft_s):
    log, _ = read(reference(CODE))
    ask = seventy(log, ttft_s)
    found = [serving(one).figures["gpus"] for one in (ask, replace(ask, poisson=True))]
    assert found[0].value >= 3 * found[1].value


@pytest.mark.parametrize("ttft_s", [1.0, 2.0, 5.0])
def test_the_conversation_log_needs_about_as_many_as_its_rate(reference, ttft_s):
    log, _ = read(reference(CONVERSATION))
    ask = seventy(log, ttft_s)
    found = [serving(one).figures["replicas"].value for one in (ask, replace(ask, poisson=True))]
    assert abs(found[0] - found[1]) <= 1


def test_resampled_bursts_of_a_log_need_what_the_log_needs(reference):
    log, _ = read(reference(CODE))
    of = replica("llama3.1-70b", "h100-sxm-80gb", gpus=2, weights="fp8")
    limits = (Limit("ttft", 95, 2.0),)
    seeds = [fewest(of, recorded(log), 2.57, limits, options=Options(), seed=seed).replicas for seed in range(6)]
    assert min(seeds) <= serving(seventy(log, 2.0)).figures["replicas"].value <= max(seeds)


@pytest.mark.parametrize(
    ("words", "say"),
    [
        (["--rate", "20", "--ttft-p95", "0.001"], "allow that"),
        (["--rate", "20", "--tpot-p95", "0.0001"], "allow that"),
        (["--rate", "20"], "at least one limit"),
        (["--rate", "-1", "--ttft-p95", "1"], "above 0"),
        (["--ttft-p95", "1"], "--rate"),
        (["--rate", "1", "--e2e-p95", "9e9", "--prompt", "1e6", "--prompt-cv", "3"], "longer than"),
        (["--rate", "9", "--ttft-p95", "1", "--prompt-scale", "2"], "belongs to --trace"),
        (["--rate", "9", "--ttft-p95", "1", "--gpus", "8"], "--growth-per-month"),
        (["--rate", "9", "--ttft-p95", "1", "--growth-per-month", "0.1"], "needs --gpus"),
        (["--rate", "1", "--ttft-p95", "-1"], "above 0 s"),
        (["--rate", "1", "--limit", "moon:95=1"], "ttft"),
        (["--rate", "1", "--limit", "ttft=1"], "ttft:99=2.5"),
        (["--rate", "1", "--ttft-p95", "1", "--gap-cv", "-2"], "gap_cv"),
        (["--rate", "1", "--ttft-p95", "1", "--gpus-per-replica", "9"], "scale-up domain"),
        (["--trace", "none.csv", "--ttft-p95", "1"], "none.csv"),
        (["--rates", "none.csv", "--ttft-p95", "1"], "none.csv"),
    ],
)
def test_rubbish_is_refused_with_the_way_out(tmp_path, words, say):
    assert say in refused(tmp_path, "size", "serving", *B, *words)


@pytest.mark.parametrize(
    ("model", "gpus", "say"),
    [("llama3.1-405b", None, "in fp8 it fits"), ("megatron-1t", None, "in bf16 on "), ("llama3.1-70b", 1, "does on 4")],
)
def test_a_model_that_does_not_fit_says_where_it_does(model, gpus, say):
    with pytest.raises(RangeError, match=say):
        replica(model, "h100-sxm-80gb", gpus=gpus)


@pytest.mark.parametrize(
    ("text", "say"),
    [
        ("arrival_s,prompt,output\n", "no request"),
        ("arrival_s,prompt,output\n0,10,5\n", "no time between"),
        ("arrival_s,prompt,output\n0,10,5\n1,10,0\n", "line 3"),
        ("arrival_s,prompt,output\n5,10,5\n1,10,4\n", "before the row above"),
        ("arrival_s,prompt,output\n0,10,5\n9,9000000,4\n", "9,000,004 tokens"),
    ],
)
def test_logs_that_are_rubbish_are_refused(tmp_path, text, say):
    path = tmp_path / "log.csv"
    path.write_text(text)
    assert say in refused(tmp_path, "size", "serving", *B, "--trace", str(path), "--ttft-p95", "1")


def test_rates_that_are_rubbish_are_refused(tmp_path):
    path = tmp_path / "rates.csv"
    for text in ("", "rate\n1\n", "requests_per_s\n1\nmany\n-3\n", "requests_per_s\n0\n"):
        path.write_text(text)
        with pytest.raises(UsageError):
            read_rates(path)


def test_percentiles_are_of_requests_and_those_refused_count():
    assert percentile_s(np.arange(1.0, 101.0), 95.0) == 96.0
    asked = Requests(np.zeros(10), np.full(10, 100), np.full(10, 5))
    fleet = replace(service(EIGHT, 1, Options(most_requests=1)), most_waiting=3)
    assert excess(serve(asked, fleet), (Limit("ttft", 95, 100.0),)) == [math.inf]
