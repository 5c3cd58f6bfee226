"""Data parallel training over unequal GPUs: the split of the batch, its bounds, and what is refused."""

import itertools
import json

import numpy as np
import pytest
from click.testing import CliRunner

from dcsim.catalog.hardware import gpu, transformer
from dcsim.errors import RangeError, UnknownNameError
from dcsim.physics.mixed import Kind, mixed_step, shared_plans, step_times
from dcsim.physics.plans import candidates
from dcsim.physics.training import Calibration, step
from dcsim.study import cli
from dcsim.study.estimate_mixed import mixed
from dcsim.study.estimate_training import Ask

MODEL = transformer("llama3.1-8b")
H100, A100 = (gpu(name, "bf16", "ib-ndr400") for name in ("h100-sxm-80gb", "a100-sxm-80gb"))
FAST, SLOW = Kind(64.0, H100, Calibration()), Kind(64.0, A100, Calibration())
ASK = Ask(model="llama3.1-8b", gpu="h100-sxm-80gb", tokens=1e12, gpus=256)


def plans(kinds, batch=128.0):
    total = sum(kind.gpus for kind in kinds)
    return shared_plans(candidates(MODEL, [total], H100, global_batch=[batch], seq=8192.0), kinds)


def some(kinds, n=12, **others):
    found = plans(kinds, **others)
    rows = np.random.default_rng(0).choice(len(found.tp), n, replace=False)
    return [found.take(int(row)) for row in rows]


@pytest.mark.parametrize("split", ["equal", "proportional"])
def test_two_halves_of_one_kind_are_one_cluster(split):
    for plan in some((FAST, FAST)):
        whole = float(step(MODEL, plan, H100, FAST.fit).step_s)
        found = mixed_step(MODEL, plan, (FAST, FAST), split)
        assert found.step_s == pytest.approx(whole)
        assert found.waiting_frac == (0.0, 0.0)


def test_an_equal_split_is_as_fast_as_the_slowest():
    for plan in some((FAST, SLOW)):
        found = mixed_step(MODEL, plan, (FAST, SLOW), "equal")
        assert found.step_s == pytest.approx(float(step(MODEL, plan, A100, SLOW.fit).step_s))
        assert found.waiting_frac[0] > 0.2
        assert found.micro_batches[0] == found.micro_batches[1]


def test_a_proportional_split_is_the_best_of_all_splits():
    kinds = FAST, Kind(32.0, A100, Calibration())
    for plan in some(kinds, batch=96.0):
        total = float(plan.global_batch / plan.micro_batch)
        least = int(plan.pp) if plan.vp > 1 else 1
        replicas = [float(kind.replicas(plan)) for kind in kinds]
        counts = range(least, int(total / min(replicas)) + 2)
        times = [step_times(MODEL, plan, kind, np.array(counts, dtype=float)) for kind in kinds]
        best = min(
            max(times[0][i], times[1][j])
            for (i, a), (j, b) in itertools.product(enumerate(counts), enumerate(counts))
            if replicas[0] * a + replicas[1] * b >= total
        )
        found = mixed_step(MODEL, plan, kinds, "proportional")
        assert found.step_s == pytest.approx(best)
        assert sum(n * m for n, m in zip(replicas, found.micro_batches, strict=True)) >= total


def test_a_faster_kind_gets_more_of_the_batch_and_both_are_done_sooner():
    for plan in some((FAST, SLOW), batch=512.0):
        equal, fair = (mixed_step(MODEL, plan, (FAST, SLOW), split) for split in ("equal", "proportional"))
        assert fair.step_s <= equal.step_s * (1 + 1e-12)
        assert fair.micro_batches[0] >= fair.micro_batches[1]


def test_a_kind_adds_no_more_than_its_own_rate():
    found = mixed(ASK, ["a100-sxm-80gb=256"], "proportional")
    alone = [1.0 / one["alone_step_s"] for one in found.kinds]
    rate = 1.0 / found.figures["step_s"].value
    assert max(alone) < rate < sum(alone)
    assert found.figures["gpus"].value == 512
    equal = mixed(ASK, ["a100-sxm-80gb=256"], "equal")
    assert equal.figures["step_s"].value > 1.5 * found.figures["step_s"].value
    assert equal.kinds[0]["waiting_frac"] > 0.5


def test_replicas_lie_whole_in_every_kind():
    found = plans((FAST, Kind(24.0, A100, Calibration())), batch=88.0)
    assert (np.mod(24.0 / (found.tp * found.pp * found.cp), 1) == 0).all()
    with pytest.raises(RangeError, match="whole ones"):
        wide = next(plan for plan in some((FAST, SLOW), n=60) if plan.tp * plan.pp * plan.cp > 1)
        mixed_step(MODEL, wide, (Kind(127.0, H100, FAST.fit), Kind(1.0, A100, SLOW.fit)), "equal")


@pytest.mark.parametrize(
    ("ask", "beside", "said"),
    [
        ({"gpus": None, "deadline_days": 10.0}, ["a100-sxm-80gb=8"], "goes with --gpus"),
        ({"plan": "tp=8"}, ["a100-sxm-80gb=8"], "without --deadline-days and --plan"),
        ({}, ["a100-sxm-80gb"], "is not GPU=N"),
        ({}, ["a100-sxm-80gb=0"], "is not GPU=N"),
        ({}, ["h100-sxm-80gb=8"], "names no other kind"),
        ({"gpus": 8, "global_batch": 200_000}, ["a100-sxm-80gb=8"], "lower the batch"),
        ({"model": "llama3.1-405b", "gpus": 8}, ["a100-sxm-80gb=8"], "no plan fits the memory of every kind"),
    ],
)
def test_what_does_not_go_is_said(ask, beside, said):
    with pytest.raises(RangeError, match=said):
        mixed(Ask(**{**vars(ASK), **ask}), beside, "proportional")


def test_an_unknown_gpu_is_named():
    with pytest.raises(UnknownNameError, match="did you mean"):
        mixed(ASK, ["a100-sxm-80g=8"], "equal")


def test_the_command_prints_the_part_of_each_kind():
    args = ["training", "--model", "llama3.1-8b", "--gpu", "h100-sxm-80gb", "--gpus", "64", "--tokens", "1e11"]
    args += ["--beside", "a100-sxm-80gb=64"]
    text = CliRunner().invoke(cli.estimate, args)
    assert text.exit_code == 0, text.output
    assert "micro-batches" in text.output
    assert "No published run over unequal GPUs" in text.output
    record = json.loads(CliRunner().invoke(cli.estimate, [*args, "--json", "--split", "equal"]).output)
    assert record["ask"]["split"] == "equal"
    assert [one["gpus"] for one in record["kinds"]] == [64, 64]
