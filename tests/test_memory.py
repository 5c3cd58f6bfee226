"""Memory of training: published figures and laws."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.catalog.hardware import gpu, transformer
from dcsim.physics.memory import held_layers, layer_activations_b, memory, states_b
from dcsim.physics.parallel import Plan

H100 = gpu("h100-sxm-80gb", "bf16", "ib-ndr400")
GPT = transformer("gpt3-175b")


def plan(**changes):
    sizes = {"gpus": 512, "tp": 8, "pp": 8, "vp": 1, "cp": 1, "ep": 1, "expert_tp": 1}
    return Plan(**{**sizes, "micro_batch": 1, "global_batch": 512, "seq": 2048, **changes})


@given(st.integers(1, 8), st.sampled_from([512, 2048, 8192]))
def test_a_gpt_layer_keeps_34_bytes_a_number_and_5_a_score(micro, seq):
    # Korthikanti et al., eq. 1: s b h (34 + 5 a s / h).
    h, a = GPT.hidden, GPT.heads
    alone = plan(tp=1, micro_batch=micro, seq=seq)
    expected = seq * micro * h * (34 + 5 * a * seq / h)
    assert float(layer_activations_b(GPT, alone, dropout=True, scores=True)) == pytest.approx(expected)


def test_adam_takes_18_bytes_a_weight_with_32_bit_gradients():
    alone = plan(gpus=1, tp=1, pp=1, zero=0, gradient_b=4.0)
    assert float(states_b(GPT, alone)) == pytest.approx(18 * float(GPT.params()))


def test_zero_splits_the_optimizer_and_then_all():
    replicated, one, three = (float(states_b(GPT, plan(pp=1, gpus=64, zero=z, tp=1))) for z in (0, 1, 3))
    weights = float(GPT.params())
    assert replicated == pytest.approx(16 * weights)
    assert one == pytest.approx((4 + 12 / 64) * weights)
    assert three == pytest.approx(16 / 64 * weights)


def test_the_first_stage_holds_as_many_micro_batches_as_stages():
    assert float(held_layers(GPT, plan())) == 96
    assert float(held_layers(GPT, plan(vp=3))) == pytest.approx(96 * (1 + 7 / 24))
    assert float(held_layers(GPT, plan(global_batch=16))) == 12 * 2


@pytest.mark.parametrize("change", [{"full_recompute": 1.0}, {"tp": 16}, {"cp": 2}, {"other_recompute": 1.0}])
def test_recomputing_or_splitting_saves_activations(change):
    assert float(memory(GPT, plan(**change), H100).activations_b) < float(memory(GPT, plan(), H100).activations_b)


def test_eight_bit_inputs_save_activations():
    fp8 = replace(H100, weight_b=1.0)
    assert float(memory(GPT, plan(), fp8).activations_b) < float(memory(GPT, plan(), H100).activations_b)
