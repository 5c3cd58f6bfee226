"""Frozen weights: what low-rank adapters save of a step and of memory, against published runs."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from plans import small

from dcsim import pipeline
from dcsim.catalog.hardware import gpu, transformer
from dcsim.catalog.profiles import estimate, nearest, profiles
from dcsim.errors import RangeError
from dcsim.physics.memory import memory
from dcsim.physics.plans import candidates
from dcsim.physics.training import Calibration, step, utilisation
from dcsim.study import cli
from dcsim.study.estimate_training import Ask, training
from dcsim.validate.common import run, shipped_cases
from dcsim.validate.suites import SUITES

MODEL = transformer("llama2-70b")
H100 = gpu("h100-sxm-80gb", "bf16", "ib-ndr400")


def plans(frac):
    return candidates(MODEL, [64.0], H100, global_batch=[64.0], seq=8192.0, trained_frac=frac)


def test_frozen_weights_save_one_of_three_matrix_passes():
    full, frozen = (step(MODEL, plans(frac), H100, Calibration()) for frac in (1.0, 0.001))
    assert np.allclose(frozen.gemm_s, full.gemm_s * 2 / 3)
    assert np.allclose(frozen.attention_s, full.attention_s)
    assert (frozen.optimizer_s < 0.002 * full.optimizer_s).all()
    assert (frozen.elementwise_s > full.elementwise_s).all()  # adapters read and write activations
    assert (frozen.step_s < full.step_s).all()


def test_adapters_move_what_their_operations_move():
    # 64 heads, of which 8 for keys and values: queries, keys and values are 1.25 times as wide as the layer.
    assert float(MODEL.adapter_passes()) == (2 + 1 + 1.25 + 3 * 1.25) + (2 + 1 + 1 + 3)


def test_all_weights_trained_is_full_training():
    full, same = plans(1.0), candidates(MODEL, [64.0], H100, global_batch=[64.0], seq=8192.0)
    assert np.array_equal(step(MODEL, full, H100, Calibration()).step_s, step(MODEL, same, H100, Calibration()).step_s)


def test_frozen_weights_have_no_gradients_and_no_optimizer():
    full, frozen = (memory(MODEL, plans(frac), H100) for frac in (1.0, 0.001))
    alone = plans(1.0).zero == 1
    weights_b = frozen.states_b[alone] / (2.0 + 0.001 * 2.0)
    assert (frozen.states_b < 0.6 * full.states_b).all()
    assert weights_b.max() < 2.0 * float(MODEL.params())
    assert np.array_equal(frozen.activations_b, full.activations_b)


def test_utilisation_counts_the_operations_that_are_needed():
    plan = plans(0.001).take(0)
    mfu, _ = utilisation(MODEL, plan, H100, 1.0)
    full, _ = utilisation(MODEL, plans(1.0).take(0), H100, 1.0)
    assert 0.66 < float(mfu / full) < 0.75  # attention is whole


def test_the_interval_is_wider_where_nothing_was_fitted():
    profile = nearest(profiles(), gpu="h100-sxm-80gb", dtype="bf16", stack="nemo", network="ib-ndr400", moe=False)
    sds = [
        float(estimate(profile, MODEL, plans(frac).take(0), H100, dtype="bf16", stack="nemo").log_sd)
        for frac in (1.0, 0.001)
    ]
    assert sds[1] > sds[0] + 0.01


def test_adapters_fit_where_full_training_does_not():
    ask = {"model": "llama2-70b", "gpu": "h100-sxm-80gb", "tokens": 1e8, "gpus": 8, "dtype": "fp8"}
    with pytest.raises(RangeError, match="no plan fits"):
        training(Ask(**ask))
    found = training(Ask(**ask, trained_frac=0.00065))
    assert found.figures["memory_fits"].value == 1.0
    assert any("low-rank adapters" in note for note in found.notes)


@pytest.mark.parametrize("frac", [0.0, -0.1, 1.5])
def test_a_share_outside_its_range_is_refused(frac):
    with pytest.raises(RangeError, match="trained_frac"):
        training(Ask(model="llama3.1-8b", gpu="h100-sxm-80gb", tokens=1e8, gpus=8, trained_frac=frac))


def test_the_command_takes_the_share():
    args = ["training", "--model", "llama3.1-8b", "--gpu", "h100-sxm-80gb", "--gpus", "8", "--tokens", "1e9", "--json"]
    full, frozen = (
        json.loads(CliRunner().invoke(cli.estimate, [*args, *more]).output)["figures"]["step_s"]["value"]
        for more in ((), ("--trained-frac", "0.001"))
    )
    assert 0.6 < frozen / full < 0.95


def test_a_run_of_a_plan_may_have_frozen_weights():
    model = "name: m, model: llama3.1-8b, gpus: 64, tokens: 1e11"
    times = []
    for frac in ("1.0", "0.001"):
        ready = pipeline.prepare(small(f"workload.runs=[{{{model}, trained_frac: {frac}}}]"))
        jobs = ready.demand.jobs
        times.append(float(jobs.run_s[jobs.class_index == jobs.class_names.index("m")][0]))
    assert times[1] < 0.9 * times[0]


def test_published_adapters_are_predicted_unseen():
    form = run("training", SUITES["training"], shipped_cases("training", SUITES["training"]))
    parts = {part["name"]: part for part in form["parts"] if part["name"].startswith("low-rank adapters")}
    joined = parts["low-rank adapters"]
    assert (joined["n_predicted"], joined["n"]) == (6, 6)
    assert joined["mape_pct"] < 12.0
    # A profile fitted on GPUs joined by NVLink says nothing of cards on a bus; the miss is printed.
    assert parts["low-rank adapters, GPUs without NVLink"]["mape_pct"] > 50.0
    rows = [row for row in form["rows"] if "-lora-" in row["case_id"]]
    assert len(rows) == 8
    assert not any(row["in_sample"] for row in rows)
