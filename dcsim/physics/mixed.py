"""Data parallel training over GPUs of several kinds: replicas of one split, each kind with a part of the batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.errors import RangeError
from dcsim.physics.parallel import Gpu, Plan
from dcsim.physics.training import Calibration, step
from dcsim.physics.transformer import Floats, Transformer

# Ways to split a batch over replicas of unequal speed.
SPLITS = ("equal", "proportional")
# Micro-batches of one replica that are looked at.
MOST_MICRO_BATCHES = 8192


@dataclass(frozen=True)
class Kind:
    """GPUs of one kind: how many, what they are, and what a software stack makes of them."""

    gpus: float
    gpu: Gpu
    fit: Calibration

    def replicas(self, plan: Plan) -> Any:
        """Replicas of a plan's split that they hold. [1]"""
        return self.gpus / (plan.tp * plan.pp * plan.cp)


@dataclass(frozen=True)
class MixedStep:
    """One step over several kinds.

    Parameters
    ----------
    step_s : float
        Its time: that of the kind that is done last. [s]
    micro_batches : tuple of int
        Of the fullest replica of each kind.
    done_s : tuple of float
        When each kind would be done if it were alone to wait for. [s]
    """

    step_s: float
    micro_batches: tuple[int, ...]
    done_s: tuple[float, ...]

    @property
    def waiting_frac(self) -> tuple[float, ...]:
        """Share of the step for which each kind waits for the others. [1]"""
        return tuple(1.0 - done_s / self.step_s for done_s in self.done_s)


def step_times(model: Transformer, plan: Plan, kind: Kind, micro_batches: Floats) -> Floats:
    """Times of a step whose replicas, all of one kind, have so many micro-batches each, shape (n,). [s]

    The other kinds count as replicas of gradient reduction and jitter, which are those of all GPUs.
    """
    one = np.ones(len(micro_batches))
    sizes = {name: value * one for name, value in vars(plan).items()}
    sizes["global_batch"] = micro_batches * plan.dp * plan.micro_batch
    return np.asarray(step(model, Plan(**sizes), kind.gpu, kind.fit).step_s, dtype=float)


def mixed_step(model: Transformer, plan: Plan, kinds: Sequence[Kind], split: str) -> MixedStep:
    r"""Time of a data parallel step over unequal GPUs.

    Parameters
    ----------
    model : Transformer
        Scalars.
    plan : Plan
        One plan of all GPUs together, scalars; its tensor, pipeline and context parallel sizes hold on every kind.
    kinds : sequence of Kind
        Whole replicas each.
    split : str
        ``equal``: each replica has as many micro-batches. ``proportional``: each kind has as many as make all done
        soonest, whole ones, so that the fullest replica of a kind has at most one more than its others.

    Raises
    ------
    RangeError
        If a kind holds no whole number of replicas, the split is not known, or a replica would have more micro-batches
        than are looked at.

    Notes
    -----
    With :math:`n_k` replicas of kind k that take :math:`T_k(m)` for m micro-batches, of M in all:

    .. math:: \min_{m} \max_k T_k(m_k) \quad \text{with} \quad \sum_k n_k m_k \ge M

    A kind is bound by its own links while it computes; gradients are reduced over all replicas at the pace of the kind
    that is done last. The times are those of the calibrated step model; no published run over unequal GPUs was at hand
    to score the mixture itself.
    """
    if split not in SPLITS:
        raise RangeError(f"split must be one of {', '.join(SPLITS)}, got '{split}'")
    replicas = [float(kind.replicas(plan)) for kind in kinds]
    if any(n < 1 or n % 1 for n in replicas):
        raise RangeError(f"the plan's split leaves {', '.join(f'{n:g}' for n in replicas)} replicas; give whole ones")
    total = float(plan.global_batch / plan.micro_batch)
    if split == "equal":
        share = np.ceil(total / sum(replicas) - 1e-9)
        done = [float(step_times(model, plan, kind, np.array([share]))[0]) for kind in kinds]
        return MixedStep(max(done), (int(share),) * len(kinds), tuple(done))
    # Chunked pipelines need as many micro-batches as stages.
    least = float(plan.pp) if float(plan.vp) > 1 else 1.0
    most = [min(MOST_MICRO_BATCHES, np.ceil((total - least * (sum(replicas) - n)) / n)) for n in replicas]
    counts = [np.arange(least, max(least, end) + 1) for end in most]
    times = [
        np.maximum.accumulate(step_times(model, plan, kind, count)) for kind, count in zip(kinds, counts, strict=True)
    ]

    def held(limit_s: float) -> list[int]:
        """Micro-batches of each kind's replicas that are done by then; none where not even the least are."""
        return [
            0 if time[0] > limit_s else int(count[np.searchsorted(time, limit_s, side="right") - 1])
            for time, count in zip(times, counts, strict=True)
        ]

    if sum(n * count[-1] for n, count in zip(replicas, counts, strict=True)) < total:
        each = f"{MOST_MICRO_BATCHES:,} for each of {sum(replicas):,.0f} replicas"
        raise RangeError(f"{total:,.0f} micro-batches are more than {each}; lower the batch")
    limits = np.unique(np.concatenate(times))
    limits = limits[limits >= max(time[0] for time in times)]
    low, high = 0, len(limits) - 1
    while low < high:
        middle = (low + high) // 2
        enough = sum(n * m for n, m in zip(replicas, held(limits[middle]), strict=True)) >= total - 1e-9
        low, high = (low, middle) if enough else (middle + 1, high)
    chosen = held(limits[low])
    done = [float(time[int(m - count[0])]) for time, count, m in zip(times, counts, chosen, strict=True)]
    return MixedStep(max(done), tuple(chosen), tuple(done))


def shared_plans(plan: Plan, kinds: Sequence[Kind]) -> Plan:
    """Those of the plans, rows, whose replicas and expert groups fit whole into every kind.

    Raises
    ------
    RangeError
        If none does.
    """
    keep = np.ones(len(np.atleast_1d(plan.tp)), dtype=bool)
    for kind in kinds:
        replicas = kind.replicas(plan)
        keep &= (replicas >= 1) & (np.mod(replicas, 1) == 0) & (plan.tp <= kind.gpu.domain_gpus)
        keep &= np.mod(kind.gpus / plan.pp, plan.ep) == 0
    if not keep.any():
        raise RangeError("no plan has whole replicas on every kind of GPU; change their numbers")
    return plan.take(np.flatnonzero(keep))
