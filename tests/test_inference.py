"""Serving: what a step moves and computes, how it scales, what fits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.catalog.hardware import gpu, transformer
from dcsim.errors import RangeError
from dcsim.physics.inference import ServingCalibration, decode_step, first_token_s, most_requests, served
from dcsim.physics.serving_power import ServingPower, serving_power_frac

H100 = gpu("h100-sxm-80gb", "bf16", "ib-ndr400")
H100_FP8 = gpu("h100-sxm-80gb", "fp8", "ib-ndr400")
EIGHT = served(transformer("llama3.1-8b"))
SPARSE = served(transformer("qwen3-30b-a3b"))
FIT = ServingCalibration()


def step(model=EIGHT, batch=32.0, part=H100, gpus=1.0, prompt=200.0, output=500.0):
    return decode_step(model, batch, prompt=prompt, output=output, gpu=part, gpus=gpus, fit=FIT)


def test_cache_of_llama_8b_by_hand():
    # 32 layers x 8 heads x 128 numbers, keys and values, 2 bytes: 128 KiB a token.
    assert float(EIGHT.cache_b) == 32 * 8 * 128 * 2 * 2
    # Latent attention keeps 512 and 64 numbers a token and layer.
    assert float(served(transformer("deepseek-v3")).cache_b) == 61 * 576 * 2


def test_parts_sum_to_the_step():
    one = step(batch=np.array([1.0, 32.0, 512.0]))
    assert one.step_s == pytest.approx(one.weights_s + one.cache_s + one.compute_s + one.layers_s + one.requests_s)


def test_a_single_request_waits_for_the_weights():
    one = step(batch=1.0)
    weights_b = 2 * float(EIGHT.total_params)
    assert float(one.weights_s) == pytest.approx(weights_b / (3.35e12 * FIT.memory_eff))
    assert float(one.weights_s) > 10 * float(one.compute_s)


@given(st.floats(1, 2000), st.floats(1.1, 4.0))
def test_a_larger_batch_is_slower_for_each_and_faster_for_all(batch, factor):
    small, large = float(step(batch=batch).step_s), float(step(batch=batch * factor).step_s)
    assert large > small
    assert batch * factor / large > batch / small


def test_experts_are_read_as_they_are_touched():
    few, many = float(step(SPARSE, 1.0).weights_s), float(step(SPARSE, 4096.0).weights_s)
    expected = 1 - (1 - 8 / 128)
    routed = float(SPARSE.total_params - SPARSE.dense_params) * 2 / 3.35e12 / FIT.memory_eff / FIT.expert_eff
    assert many - few == pytest.approx(routed * (1 - expected), rel=1e-6)


def test_eight_bit_weights_halve_what_is_read():
    assert float(step(part=H100_FP8).weights_s) == pytest.approx(float(step().weights_s) / 2)


def test_long_prompts_cost_computation_and_cache():
    short, long = step(prompt=100.0), step(prompt=10_000.0)
    assert float(long.compute_s) > 10 * float(short.compute_s)
    assert float(long.cache_s) > 10 * float(short.cache_s)


def test_what_fits_beside_the_weights():
    # 70 billion weights in 16 bit fill 141 GB: not on one GPU of 80 GiB, on two with little left.
    seventy = served(transformer("llama3.1-70b"))
    fits = most_requests(seventy, prompt=200.0, output=500.0, gpu=H100, gpus=np.array([1.0, 2.0, 4.0]))
    assert fits[0] == 0
    assert 0 < fits[1] < fits[2]
    free = 0.9 * H100.memory_b * 4 - 2 * float(seventy.total_params)
    assert fits[2] == np.floor(free / (float(seventy.cache_b) * 700))


def test_the_first_token_waits_for_its_prompt():
    at = {"output": 500.0, "gpu": H100, "gpus": 1.0, "fit": FIT}
    short, long = (float(first_token_s(EIGHT, 32.0, prompt=p, **at)) for p in (100.0, 8000.0))
    prompt_s = 2 * float(EIGHT.active_params) * 8000 / (H100.matmul_flop_s * FIT.compute_eff)
    assert long > prompt_s
    assert long > short > float(step(prompt=100.0).step_s)


def test_power_grows_with_use_up_to_the_cap():
    fit = ServingPower(base=0.3, memory=0.5, compute=1.0, exponent=0.7, experts=1.0, cap=0.95)
    found = step(batch=np.array([1.0, 64.0, 1024.0]))
    power = serving_power_frac(found.memory_frac, found.compute_frac, False, fit)
    assert np.all((power > 0.3) & (power < 0.95))
    assert power[2] > power[0]


def test_impossible_requests_are_refused():
    with pytest.raises(RangeError, match="at least 1"):
        step(batch=0.5)
    with pytest.raises(RangeError, match="longer than 0"):
        step(output=0.0)
