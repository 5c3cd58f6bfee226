"""Search of parallel plans: every sensible split of a model over GPUs at once, the best, and why others lose."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from dcsim.errors import RangeError
from dcsim.physics.memory import memory
from dcsim.physics.parallel import Gpu, Plan
from dcsim.physics.training import Calibration, Step, step
from dcsim.physics.transformer import Floats, Transformer

# Choices of each dimension; those that do not divide the model or the GPUs fall away.
TENSOR = (1, 2, 4, 8, 16)
PIPELINE = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 18, 20, 21, 24, 32, 35, 64)
CHUNKS = (1, 2, 3, 4, 5, 6, 8, 12)
CONTEXT = (1, 2, 4, 8)
EXPERT = (1, 2, 4, 8, 16, 32, 64, 128)
MICRO = (1, 2, 4, 8)
# Tokens of a sequence below which context is not split.
SHORTEST_SPLIT = 8192
# Tokens of a step where none are stated, and the GPUs above which they grow.
BATCH_TOKENS, BATCH_GPUS = 4.0 * 2**20, 4096.0
# What a search can minimise.
OBJECTIVES = ("time", "cost", "energy")
# Parts of a step that can make a plan lose, and how to say so.
LOSSES = {
    "gemm_s": "smaller matrix products",
    "attention_s": "attention",
    "elementwise_s": "element-wise work",
    "output_s": "output layer",
    "recompute_s": "recomputation",
    "optimizer_s": "optimizer",
    "tp_s": "tensor-parallel communication",
    "cp_s": "context-parallel communication",
    "ep_s": "expert-parallel communication",
    "pp_s": "pipeline communication",
    "dp_s": "gradient reduction or weight gathering",
    "bubble_s": "pipeline bubble",
    "imbalance_s": "uneven stages",
    "jitter_s": "jitter",
    "overhead_s": "fixed overhead of micro-batches",
}


def candidates(
    model: Transformer,
    gpus: Sequence[float],
    gpu: Gpu,
    *,
    global_batch: Any,
    seq: float,
    trained_frac: float = 1.0,
) -> Plan:
    """Every plan of the choices that divides model, GPUs and batch, as rows.

    Parameters
    ----------
    model : Transformer
        One model, scalars.
    gpus : sequence of float
        Counts of GPUs to plan for. [1]
    gpu : Gpu
        One GPU with its links, scalars.
    global_batch : sequence of float
        Sequences of a step, one for each count of GPUs. [1]
    seq : float
        Tokens a sequence. [1]
    trained_frac : float
        Share of the weights that is trained. [1]

    Raises
    ------
    RangeError
        If no plan divides.

    Notes
    -----
    Tensor parallelism stays in a scale-up domain and brings sequence parallelism; chunks need at least as many
    micro-batches as stages; ZeRO-3 goes without pipeline and, for want of published runs, without experts; tensor
    parallelism within experts is not tried.
    """
    layers, heads, experts = float(model.layers), float(model.heads), float(model.experts)
    context = CONTEXT if seq >= SHORTEST_SPLIT else (1,)
    expert = EXPERT if experts > 0 else (1,)
    grid = np.meshgrid(
        np.arange(len(gpus)), TENSOR, PIPELINE, CHUNKS, context, expert, MICRO, (0.0, 1.0), (1.0, 3.0), indexing="ij"
    )
    index, tp, pp, vp, cp, ep, micro, full, zero = (axis.ravel() for axis in grid)
    n, batch = np.asarray(gpus, dtype=float)[index], np.asarray(global_batch, dtype=float)[index]
    dp = n / (tp * pp * cp)
    whole = (dp >= 1) & (np.mod(n, tp * pp * cp) == 0) & (tp <= gpu.domain_gpus) & (np.mod(heads, tp) == 0)
    chunks = pp * vp
    even = (np.mod(layers, chunks) == 0) | ((np.mod(layers + 2, chunks) == 0) & (pp > 1))
    splits = np.where(pp == 1, vp == 1, even & (chunks <= layers))
    batches = np.mod(batch, dp * micro) == 0
    piped = (vp == 1) | (batch / (dp * micro) >= pp)
    plain = (zero < 3) | ((pp == 1) & (dp * cp > 1) & (experts == 0))
    routed = (np.mod(experts, ep) == 0 if experts else ep == 1) & (np.mod(n / pp, ep) == 0)
    keep = whole & splits & batches & piped & plain & routed
    if not np.any(keep):
        raise RangeError(
            f"no plan divides {', '.join(f'{one:g}' for one in gpus)} GPUs and a batch of "
            f"{', '.join(f'{one:g}' for one in np.unique(global_batch))} sequences; change either"
        )
    one = np.ones(int(np.count_nonzero(keep)))
    return Plan(
        gpus=n[keep],
        tp=tp[keep].astype(float),
        pp=pp[keep].astype(float),
        vp=vp[keep].astype(float),
        cp=cp[keep].astype(float),
        ep=ep[keep].astype(float),
        expert_tp=one,
        micro_batch=micro[keep].astype(float),
        global_batch=batch[keep],
        seq=seq * one,
        full_recompute=full[keep],
        core_recompute=0.0 * one,
        other_recompute=0.0 * one,
        sequence_parallel=(tp[keep] > 1).astype(float),
        zero=zero[keep],
        gradient_b=2.0 * one,
        trained_frac=trained_frac * one,
    )


def usual_batch(gpus: float, seq: float) -> float:
    """Sequences of a step where none are stated: four million tokens, more on more than 4,096 GPUs.

    Llama 3 was trained with 4 million tokens a step at first and 16 million on 16,384 GPUs. Where GPUs have an odd
    factor, as 72 or 1,000 have, the next multiple of it and of as many twos as a quarter of the batch allows, so that
    replicas can divide it.
    """
    sequences = float(max(1, round(BATCH_TOKENS * max(1.0, gpus / BATCH_GPUS) / seq)))
    odd = int(gpus)
    while odd % 2 == 0:
        odd //= 2
    if odd == 1:
        return sequences
    twos = max(0, min(6, int(np.floor(np.log2(max(sequences / 4.0 / odd, 1.0))))))
    unit = odd * 2**twos
    return float(np.ceil(sequences / unit) * unit)


@dataclass(frozen=True)
class Search:
    """Plans with their steps; rows of one length.

    Parameters
    ----------
    plan, step : Plan, Step
        Candidates and their steps.
    memory_b : ndarray
        Memory of the fullest GPU. [B]
    fits : ndarray of bool
        Whether that is at most the GPU's.
    score : ndarray
        What was minimised: s, GPU-s or J a token; infinite where a plan does not fit.
    order : ndarray of int
        Rows from best to worst.
    """

    plan: Plan
    step: Step
    memory_b: Floats
    fits: Any
    score: Floats
    order: Any

    @property
    def best(self) -> int:
        """Row of the best plan."""
        return int(self.order[0])


def search(
    model: Transformer,
    plan: Plan,
    gpu: Gpu,
    fit: Calibration,
    *,
    objective: str = "time",
    busy_w: float = 1.0,
    waiting_w: float = 1.0,
) -> Search:
    """Score every plan.

    Parameters
    ----------
    model, gpu, fit
        One model, GPU and calibration, scalars.
    plan : Plan
        Candidates, rows.
    objective : str
        ``time`` of a token, its ``cost`` in GPU-seconds, or its ``energy``.
    busy_w, waiting_w : float
        Power of a GPU's share of its node while it computes and while it waits; only for energy. [W]

    Raises
    ------
    RangeError
        If no plan fits in memory: the best of them is named with what it would need.
    UnknownNameError
        If the objective is not known.
    """
    if objective not in OBJECTIVES:
        raise RangeError(f"objective must be one of {', '.join(OBJECTIVES)}, got '{objective}'")
    found = step(model, plan, gpu, fit)
    need_b = np.asarray(memory(model, plan, gpu).total_b, dtype=float)
    fits = need_b <= gpu.memory_b
    tokens = plan.global_batch * plan.seq
    watts = found.duty_frac * busy_w + (1.0 - found.duty_frac) * waiting_w
    score = found.step_s / tokens
    if objective != "time":
        score = score * plan.gpus
    if objective == "energy":
        score = score * watts
    if not np.any(fits):
        least = int(np.argmin(need_b))
        raise RangeError(
            f"no plan fits: the smallest needs {need_b[least] / 1e9:.0f} GB of {gpu.memory_b / 1e9:.0f} GB a GPU; "
            "use more GPUs or ones with more memory"
        )
    score = np.where(fits, score, np.inf)
    return Search(plan, found, need_b, fits, score, np.argsort(score, kind="stable"))


def why_not(found: Search, rows: Any, memory_b: float) -> list[str]:
    """Why some rows lose against the best: they do not fit, or the part of a step that grows most.

    Parts of plans for other numbers of GPUs are compared for each token and GPU.
    """
    names = [field.name for field in fields(Step) if field.name in LOSSES]
    share = found.plan.gpus / (found.plan.global_batch * found.plan.seq)
    parts = np.array([np.asarray(getattr(found.step, name)) * share for name in names])
    rows = np.asarray(rows)
    growth = parts[:, rows] - parts[:, [found.best]]
    worst = np.argmax(growth, axis=0)
    total = np.asarray(found.step.step_s) * share
    slower = total[rows] / total[found.best] - 1.0
    reasons = []
    for column, row in enumerate(rows):
        if row == found.best:
            reasons.append("best")
        elif not found.fits[row]:
            reasons.append(f"needs {found.memory_b[row] / 1e9:.0f} GB of {memory_b / 1e9:.0f} GB")
        else:
            lost = growth[worst[column], column] / total[found.best]
            reasons.append(
                f"{100 * slower[column]:+.1f} %, most from {LOSSES[names[worst[column]]]} ({100 * lost:+.1f} %)"
            )
    return reasons


def losers(found: Search, memory_b: float) -> list[tuple[str, int]]:
    """Reasons that plans lose, with how many lose for each: all that do not fit, and the part that grows most."""
    names = [field.name for field in fields(Step) if field.name in LOSSES]
    share = found.plan.gpus / (found.plan.global_batch * found.plan.seq)
    parts = np.array([np.asarray(getattr(found.step, name)) * share for name in names])
    worst = np.argmax(parts - parts[:, [found.best]], axis=0)
    others = found.fits & (np.arange(len(worst)) != found.best)
    counted = [(LOSSES[name], int(np.count_nonzero(worst[others] == i))) for i, name in enumerate(names)]
    counted.append((f"more than {memory_b / 1e9:.0f} GB a GPU", int(np.count_nonzero(~found.fits))))
    return sorted(((reason, count) for reason, count in counted if count), key=lambda item: -item[1])
