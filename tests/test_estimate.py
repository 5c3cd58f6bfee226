"""``dcsim estimate``: answers that agree with themselves, with published runs, and refuse rubbish."""

import json

import pytest
from click.testing import CliRunner

from dcsim.errors import DcsimError, RangeError
from dcsim.study import estimate_inference, estimate_training
from dcsim.study.cli import estimate

SEVENTY = {"model": "llama3.1-70b", "gpu": "h100-sxm-80gb", "tokens": 2e12}


def training(**given):
    return estimate_training.training(estimate_training.Ask(**{**SEVENTY, **given}))


def serving(**given):
    ask = {"model": "llama3.1-70b", "gpu": "h100-sxm-80gb", "tokens_per_s": 50_000.0, **given}
    return estimate_inference.inference(estimate_inference.Ask(**ask))


def value(answer, name):
    return answer.figures[name].value


def test_figures_of_a_run_agree_with_each_other():
    answer = training(gpus=1024)
    days, step_s = value(answer, "days"), value(answer, "step_s")
    steps = 2e12 / (answer.plan["global_batch"] * answer.plan["seq"])
    assert days == pytest.approx(steps * step_s / value(answer, "effective_time_frac") / 86400)
    assert value(answer, "gpu_hours") == pytest.approx(1024 * 24 * days)
    assert value(answer, "energy_mwh") == pytest.approx(value(answer, "power_mw") * 24 * days)
    assert value(answer, "power_mw") == pytest.approx(value(answer, "node_power_kw") * 128 * 1.25 / 1e3)
    # Parts of the step but the attention's share of recomputation add up to it.
    assert sum(answer.step_parts.values()) == pytest.approx(step_s)
    for name, figure in answer.figures.items():
        assert figure.p10 <= figure.value <= figure.p90, name


def test_llama_3_405b_on_its_published_plan():
    """On 16,384 H100: TP 8, PP 16, sequences of 8,192, 41 % of bf16 peak (paper, table 4); chunks are not published."""
    answer = training(model="llama3.1-405b", tokens=15.6e12, gpus=16384, global_batch=2048, plan="tp=8,pp=16,vp=4")
    assert answer.figures["mfu"].p10 <= 0.41 <= answer.figures["mfu"].p90
    # 30.84 million GPU-hours by the model card, restarts and slower phases included.
    assert value(answer, "gpu_hours") == pytest.approx(30.84e6, rel=0.15)
    # 419 unexpected interruptions in 54 days.
    assert value(answer, "failures") / value(answer, "days") == pytest.approx(419 / 54, rel=0.01)


def test_the_fewest_gpus_for_a_deadline_meet_it_and_fewer_do_not():
    answer = training(deadline_days=30.0)
    gpus = value(answer, "gpus")
    assert value(answer, "days") <= 30.0
    assert training(gpus=int(gpus // 2)).figures["days"].value > 30.0
    assert answer.figures["gpus"].p10 <= gpus <= answer.figures["gpus"].p90


def test_a_stated_plan_is_kept_and_never_beats_the_search():
    stated = training(gpus=1024, plan="tp=4,pp=4,vp=5,micro_batch=1")
    assert [stated.plan[name] for name in ("tp", "pp", "vp", "dp")] == [4, 4, 5, 64]
    assert value(stated, "step_s") >= value(training(gpus=1024), "step_s")


def test_taking_out_lemons_lengthens_the_time_to_failure():
    few, many = (training(gpus=1024, lemons_removed=share).figures["failures"].value for share in (0.0, 0.02))
    assert many < 0.9 * few


def test_prices_and_pue_that_are_stated_have_no_interval_of_their_own():
    stated = training(gpus=1024, usd_per_gpu_h=2.0, pue=1.1)
    assert value(stated, "gpu_cost_usd") == pytest.approx(2.0 * value(stated, "gpu_hours"))
    assert value(stated, "energy_mwh") == pytest.approx(value(training(gpus=1024), "energy_mwh") * 1.1 / 1.25)


@pytest.mark.parametrize(
    ("gpu", "dtype", "gpus"),
    [
        ("mi300x-192gb", "bf16", 512),
        ("gb200-nvl72", "mxfp8", 576),
        ("a100-sxm-80gb", "bf16", 1024),
        ("H200", "fp8", 768),
    ],
)
def test_other_gpus_have_answers_that_say_what_they_rest_on(gpu, dtype, gpus):
    answer = training(gpu=gpu, dtype=dtype, gpus=gpus)
    assert 0.1 < value(answer, "mfu") < 0.75
    assert any(answer.profile in note for note in answer.notes)
    if gpu == "mi300x-192gb":
        assert answer.figures["gpu_cost_usd"].value is None
        assert "usd-per-gpu-h" in answer.figures["gpu_cost_usd"].reason
        assert any("nearest to" in note for note in answer.notes)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({}, "--gpus"),
        ({"gpus": 8}, "no plan fits"),
        ({"gpus": 1024, "tokens": -1.0}, "tokens must be above 0"),
        ({"gpus": 1024, "tokens": float("nan")}, "finite"),
        ({"gpus": 1024, "plan": "tp=3"}, "does not divide"),
        ({"gpus": 1024, "plan": "zero=2"}, "zero: 0, 1 or 3"),
        ({"gpus": 1024, "plan": "tp=128"}, "heads"),
        ({"gpus": 1024, "plan": "tp=8,pp=16,vp=8"}, "layers"),
        ({"deadline_days": 30.0, "plan": "tp=16"}, "--gpus too"),
        ({"gpus": 1024, "plan": "x=3"}, "NAME=VALUE"),
        ({"gpus": 1024, "plan": "tp=a"}, "numbers"),
        ({"gpus": 1024, "plan": "tp=0"}, "whole"),
        ({"gpus": 1024, "plan": "tp=8,recompute=some"}, "recompute"),
        ({"gpus": 1024, "plan": "tp=8,ep=3"}, "ep = 3"),
        ({"gpus": 1024, "global_batch": 500, "plan": "tp=8"}, "--global-batch"),
        ({"deadline_days": 30.0, "plan": "tp=8"}, "--gpus too"),
        ({"deadline_days": 1e-3}, "the least is"),
        ({"gpus": 1024, "gpu": "h999"}, "did you mean|known"),
        ({"gpus": 1024, "network": "ib"}, "did you mean|known"),
    ],
)
def test_rubbish_is_refused_with_the_way_out(given, rule):
    with pytest.raises(DcsimError, match=rule):
        training(**given)


def test_replicas_serve_the_demand_within_the_limits():
    answer = serving(tpot_ms=50.0, ttft_ms=1000.0)
    rate = value(answer, "tokens_per_s_per_replica")
    assert (value(answer, "replicas") - 1) * rate < 50_000 <= value(answer, "replicas") * rate
    assert value(answer, "time_per_output_token_ms") <= 50.0
    assert value(answer, "gpus") == value(answer, "replicas") * value(answer, "gpus_per_replica")
    assert rate == pytest.approx(value(answer, "batch") / value(answer, "time_per_output_token_ms") * 1e3)
    assert value(answer, "j_per_token") * 50_000 == pytest.approx(value(answer, "power_mw") * 1e6)


def test_tighter_limits_need_no_fewer_gpus_and_eight_bit_no_more():
    loose, tight = (value(serving(tpot_ms=ms), "gpus") for ms in (100.0, 20.0))
    assert tight >= loose
    assert value(serving(tpot_ms=50.0, weights="fp8"), "gpus") <= value(serving(tpot_ms=50.0), "gpus")


def test_what_cannot_be_served_is_refused():
    with pytest.raises(RangeError, match="fits on no replica"):
        serving(model="llama3.1-405b", gpu="L40S")
    with pytest.raises(RangeError, match="fastest token takes"):
        serving(tpot_ms=0.1)
    with pytest.raises(RangeError, match="tokens_per_s"):
        serving(tokens_per_s=0.0)


@pytest.mark.parametrize(
    "words",
    [
        ["training", "--model", "llama3.1-70b", "--gpus", "1024", "--gpu", "h100-sxm-80gb", "--tokens", "2e12"],
        ["inference", "--model", "llama3.1-70b", "--gpu", "H100", "--tokens-per-s", "1000", "--tpot-ms", "50"],
    ],
)
def test_the_command_prints_json_alone_or_a_table(words):
    told = CliRunner().invoke(estimate, words)
    assert told.exit_code == 0, told.output
    assert "P10" in told.output
    form = json.loads(CliRunner().invoke(estimate, [*words, "--json"]).stdout)
    assert all(set(figure) >= {"value", "p10", "p90", "unit"} for figure in form["figures"].values())


def test_a_missed_deadline_is_exit_code_1():
    words = ["training", "--model", "llama3.1-70b", "--gpus", "1024", "--gpu", "H100", "--tokens", "2e12"]
    assert CliRunner().invoke(estimate, [*words, "--deadline-days", "5"]).exit_code == 1
    assert CliRunner().invoke(estimate, [*words, "--deadline-days", "60"]).exit_code == 0
