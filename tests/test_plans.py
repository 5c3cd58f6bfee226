"""Plan search: what it tries, what it refuses, and that the best is best."""

import numpy as np
import pytest

from dcsim.catalog.hardware import gpu, transformer
from dcsim.catalog.profiles import nearest, profiles
from dcsim.errors import RangeError
from dcsim.physics.memory import memory
from dcsim.physics.plans import OBJECTIVES, candidates, losers, search, usual_batch, why_not
from dcsim.physics.training import step

H100 = gpu("h100-sxm-80gb", "bf16", "ib-ndr400")
SEVENTY, SPARSE = transformer("llama3.1-70b"), transformer("qwen3-30b-a3b")


def fit(moe=False):
    found = nearest(profiles(), gpu="h100-sxm-80gb", dtype="bf16", stack="x", network="ib-ndr400", moe=moe)
    return found.calibration("bf16")


PLANS = candidates(SEVENTY, [1024], H100, global_batch=[512], seq=8192)
FOUND = search(SEVENTY, PLANS, H100, fit())


@pytest.mark.parametrize(("model", "moe"), [(SEVENTY, False), (SPARSE, True)])
def test_every_candidate_divides_model_gpus_and_batch(model, moe):
    plan = candidates(model, [64, 72], H100, global_batch=[512, 576], seq=8192)
    assert np.all(np.mod(plan.dp, 1) == 0)
    assert np.all(np.mod(plan.micro_batches, 1) == 0)
    assert np.all(np.mod(float(model.heads), plan.tp) == 0)
    assert np.all(plan.tp <= 8)
    assert np.all((plan.vp == 1) | (plan.micro_batches >= plan.pp))
    assert (np.max(plan.ep) > 1) == moe
    rows = np.column_stack([np.asarray(getattr(plan, name)) for name in vars(plan)])
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_the_best_fits_and_no_other_that_fits_is_faster():
    assert FOUND.fits[FOUND.best]
    assert FOUND.memory_b[FOUND.best] <= H100.memory_b
    assert FOUND.step.step_s[FOUND.best] == np.min(FOUND.step.step_s[FOUND.fits])
    one = PLANS.take(FOUND.best)
    assert float(step(SEVENTY, one, H100, fit()).step_s) == pytest.approx(float(FOUND.step.step_s[FOUND.best]))
    assert float(memory(SEVENTY, one, H100).total_b) == pytest.approx(float(FOUND.memory_b[FOUND.best]))


def test_reasons_add_up_to_all_losers():
    assert sum(count for _, count in losers(FOUND, H100.memory_b)) == len(PLANS.gpus) - 1
    slow = [int(FOUND.order[5]), int(np.flatnonzero(~FOUND.fits)[0]), FOUND.best]
    texts = why_not(FOUND, slow, H100.memory_b)
    assert "most from" in texts[0]
    assert texts[1].startswith("needs ")
    assert texts[2] == "best"


def test_objectives_rank_numbers_of_gpus_differently():
    plan = candidates(SEVENTY, [256, 2048], H100, global_batch=[512, 512], seq=8192)
    best = {
        objective: float(
            plan.gpus[search(SEVENTY, plan, H100, fit(), objective=objective, busy_w=1100.0, waiting_w=700.0).best]
        )
        for objective in OBJECTIVES
    }
    assert best == {"time": 2048.0, "cost": 256.0, "energy": 256.0}


def test_energy_prefers_less_power_for_the_same_time():
    at = {"objective": "energy", "busy_w": 1000.0}
    hungry = search(SEVENTY, PLANS, H100, fit(), waiting_w=1000.0, **at)
    frugal = search(SEVENTY, PLANS, H100, fit(), waiting_w=0.0, **at)
    assert frugal.score[frugal.best] < hungry.score[hungry.best]
    assert hungry.best == FOUND.best


def test_what_cannot_be_is_refused_with_what_would():
    with pytest.raises(RangeError, match="no plan divides 7 GPUs"):
        candidates(SEVENTY, [7], H100, global_batch=[512], seq=8192)
    eight = candidates(SEVENTY, [8], H100, global_batch=[512], seq=8192)
    with pytest.raises(RangeError, match=r"needs \d+ GB of 86 GB"):
        search(SEVENTY, eight, H100, fit())
    with pytest.raises(RangeError, match="objective"):
        search(SEVENTY, PLANS, H100, fit(), objective="speed")


@pytest.mark.parametrize(
    ("gpus", "sequences"), [(8, 512), (1024, 512), (16384, 2048), (72, 576), (768, 576), (1000, 625), (7, 560)]
)
def test_the_usual_batch_is_four_million_tokens_that_gpus_divide(gpus, sequences):
    assert usual_batch(gpus, 8192) == sequences
