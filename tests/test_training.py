"""The training model: sums, limits and laws that hold for every plan."""

from dataclasses import fields, replace

import numpy as np
import pytest
from dcsim.calibration.presets.training import training_rows
from hypothesis import given
from hypothesis import strategies as st

from dcsim.catalog.hardware import gpu, stack, transformer
from dcsim.physics.parallel import Plan
from dcsim.physics.training import Calibration, step
from dcsim.physics.transformer import Transformer

ROWS = training_rows()
MODELS = stack([row.run.model for row in ROWS])
PLANS = stack([row.run.plan for row in ROWS])
GPUS = stack([row.run.gpu for row in ROWS])
H100 = gpu("h100-sxm-80gb", "bf16", "ib-ndr400")
LLAMA = transformer("llama3.1-8b")


def plan(**changes):
    sizes = {"gpus": 64, "tp": 4, "pp": 4, "vp": 1, "cp": 1, "ep": 1, "expert_tp": 1}
    batch = {"micro_batch": 1, "global_batch": 128, "seq": 8192}
    return Plan(**{**sizes, **batch, **changes})


def test_every_part_of_a_step_is_named_and_they_sum_to_it():
    found = step(MODELS, PLANS, GPUS, Calibration())
    parts = (
        found.compute_s + found.tp_s + found.cp_s + found.ep_s + found.pp_s + found.dp_s
        + found.bubble_s + found.imbalance_s + found.jitter_s + found.overhead_s
    )  # fmt: skip
    np.testing.assert_allclose(parts, found.step_s, rtol=1e-12)
    compute = (
        found.gemm_s + found.attention_s + found.elementwise_s
        + found.output_s + found.recompute_s + found.optimizer_s
    )  # fmt: skip
    np.testing.assert_allclose(compute, found.compute_s, rtol=1e-12)
    assert all((np.asarray(getattr(found, f.name)) >= -1e-9).all() for f in fields(found))
    assert ((found.duty_frac > 0) & (found.duty_frac < 1)).all()


def test_rows_are_independent_and_equal_scalars():
    together = step(MODELS, PLANS, GPUS, Calibration())
    for i in (0, 40, 100, 150, 219):
        alone = step(ROWS[i].run.model, ROWS[i].run.plan, ROWS[i].run.gpu, Calibration())
        assert float(alone.step_s) == pytest.approx(together.step_s[i], rel=1e-12)
    np.testing.assert_array_equal(
        step(MODELS.take([3, 5]), PLANS.take([3, 5]), GPUS.take([3, 5]), Calibration()).step_s,
        together.step_s[[3, 5]],
    )


def test_parameters_are_those_of_the_published_models():
    # Llama 3.1 405B, DeepSeek-V3 671 B with 37 B active (its extra prediction layer adds 11.5 B), GPT-3 175 B.
    assert float(transformer("llama3.1-405b").params()) == pytest.approx(405.9e9, rel=0.005)
    assert float(transformer("gpt3-175b").params()) == pytest.approx(175e9, rel=0.005)
    without_mtp = replace(transformer("deepseek-v3"), mtp_layers=0.0)
    assert float(without_mtp.params()) == pytest.approx(671e9, rel=0.005)
    assert float(without_mtp.active_params()) == pytest.approx(37e9, rel=0.02)


def test_operations_are_those_of_megatron():
    # Narayanan et al., eq. 3 without recomputation: 72 B s L h^2 (1 + s / 6h + V / 12Lh), attention counted whole.
    layers, h, s, v = 96, 12288, 2048, 51200
    gpt = Transformer(layers, h, 96, 96, 128, 4 * h, 0, v)
    paper = 72 * s * layers * h * h * (1 + s / (6 * h) + v / (12 * layers * h))
    whole = float(gpt.train_flop(s)) + 3 * layers * float(gpt.attention_flop(s)) / 2
    assert whole == pytest.approx(paper, rel=1e-6)


@given(st.sampled_from(["gemm_eff", "attention_eff", "memory_eff", "domain_eff", "network_eff"]), st.floats(1.01, 1.3))
def test_better_efficiency_is_never_slower(name, factor):
    slow = step(MODELS, PLANS, GPUS, Calibration()).step_s
    fast = step(MODELS, PLANS, GPUS, replace(Calibration(), **{name: getattr(Calibration(), name) * factor})).step_s
    assert (fast <= slow * (1 + 1e-12)).all()


def test_bubble_is_the_share_that_theory_gives():
    # One forward, one backward: (p - 1) / m of the ideal time, v chunks divide it by v.
    free = replace(Calibration(), step_s=0.0, jitter=0.0, pp_exposed=0.0, dp_exposed=0.0)
    tiny_vocab = replace(LLAMA, vocab=1.0)
    fast_links = replace(H100, network_b_s=1e18, domain_b_s=1e18)
    for vp in (1, 2, 4):
        found = step(tiny_vocab, plan(vp=vp), fast_links, free)
        ideal = float(found.step_s - found.bubble_s - found.dp_s - found.optimizer_s)
        assert float(found.bubble_s) / ideal == pytest.approx((4 - 1) / (vp * 32), rel=5e-3)


def test_no_tensor_parallelism_has_no_tensor_traffic():
    found = step(LLAMA, plan(tp=1, pp=1, gpus=8), H100, Calibration())
    assert float(found.tp_s) == float(found.pp_s) == float(found.bubble_s) == float(found.ep_s) == 0.0
    assert float(found.network_b) == 0.0
    assert float(found.domain_b) > 0.0


def test_bytes_of_data_parallelism_are_those_of_a_ring():
    # Eight replicas, 16-bit gradients reduced and 16-bit weights gathered: 7/8 of 4 bytes a weight.
    found = step(LLAMA, plan(tp=1, pp=1, gpus=8), H100, Calibration())
    assert float(found.domain_b) == pytest.approx(float(LLAMA.params()) * 4 * 7 / 8, rel=1e-9)


def test_a_million_plans_need_no_loop():
    index = np.arange(1_000_000) % len(ROWS)
    chunk = [rows.take(index[:200_000]) for rows in (MODELS, PLANS, GPUS)]
    assert step(*chunk, Calibration()).step_s.shape == (200_000,)


def test_utilisation_counts_what_is_computed_again():
    """A full recomputation repeats the forward pass of the layers, a third of what they need."""
    from dataclasses import replace

    from dcsim.catalog.hardware import gpu, transformer
    from dcsim.physics.parallel import Plan
    from dcsim.physics.training import utilisation

    model, part = transformer("gpt3-175b"), gpu("a100-sxm-80gb", "bf16", "ib-hdr200")
    plan = Plan(64, 8, 8, 3, 1, 1, 1, 1, 64, 2048)
    mfu, hfu = utilisation(model, plan, part, 13.75)
    assert float(mfu) == float(hfu) == pytest.approx(0.51, abs=0.02)  # published: 0.514, attention counted whole
    full = utilisation(model, replace(plan, full_recompute=1.0), part, 18.13)
    assert float(full[1] / full[0]) == pytest.approx(4 / 3, rel=0.02)
    core = utilisation(model, replace(plan, core_recompute=1.0), part, 13.75)
    assert 1.0 < float(core[1] / core[0]) < 1.03
