"""A training run over GPUs of several kinds: step, days, who waits for whom, against each kind alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from dcsim.catalog.hardware import gpu as gpu_part
from dcsim.catalog.hardware import transformer
from dcsim.catalog.load import catalog
from dcsim.catalog.profiles import estimate, nearest, profiles
from dcsim.errors import RangeError
from dcsim.nodes import node_kind
from dcsim.physics.memory import memory
from dcsim.physics.mixed import Kind, MixedStep, mixed_step, shared_plans
from dcsim.physics.parallel import Plan
from dcsim.physics.plans import candidates, search, usual_batch
from dcsim.physics.reliability import checkpoint_b, checkpoint_stall_s
from dcsim.physics.training import step
from dcsim.physics.transformer import Transformer
from dcsim.study.estimate import Figure, exact, failures, log_sd_of_range, power_log_sd, spread
from dcsim.study.estimate_training import RATE_GPUS, Ask
from dcsim.study.summary import number
from dcsim.units import J_PER_MWH, SECONDS_PER_DAY, SECONDS_PER_HOUR

# Plans, the best under an equal split, of which the proportional split is worked out.
LOOKED_AT = 24


@dataclass(frozen=True)
class MixedAnswer:
    """A run over several kinds: figures by name, the plan, and the part of each kind."""

    figures: dict[str, Figure]
    plan: dict[str, float]
    kinds: list[dict[str, Any]]
    notes: list[str]

    def record(self) -> dict[str, Any]:
        """Form of the JSON output."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**found, "figures": {name: figure.record() for name, figure in self.figures.items()}}


def parsed(beside: Sequence[str]) -> dict[str, int]:
    """GPUs by kind, of ``GPU=N``.

    Raises
    ------
    RangeError
        If one is not of that form.
    """
    found: dict[str, int] = {}
    for item in beside:
        name, _, count = item.partition("=")
        if not name or not count.isdigit() or not int(count):
            raise RangeError(f"'{item}' is not GPU=N with a number of GPUs from 1")
        key = catalog().resolve("gpus", name)
        found[key] = found.get(key, 0) + int(count)
    return found


def mixed(ask: Ask, beside: Sequence[str], split: str) -> MixedAnswer:
    """Estimate a training run over GPUs of several kinds.

    Parameters
    ----------
    ask : Ask
        As for :func:`dcsim.study.estimate_training.training`, with GPUs of the first kind.
    beside : sequence of str
        The others, ``GPU=N`` each.
    split : str
        Key of :data:`dcsim.physics.mixed.SPLITS`.

    Raises
    ------
    UnknownNameError
        If a name is not known.
    RangeError
        If no number of GPUs is given, a plan or a deadline is stated, or no plan suits every kind.
    """
    if ask.gpus is None or ask.deadline_days is not None or ask.plan != "auto":
        raise RangeError("--beside goes with --gpus, and without --deadline-days and --plan")
    if not 0 < ask.tokens < math.inf:
        raise RangeError(f"tokens must be above 0 and finite, got {ask.tokens:g}")
    counts = {catalog().resolve("gpus", ask.gpu): ask.gpus}
    for name, count in parsed(beside).items():
        counts[name] = counts.get(name, 0) + count
    if len(counts) < 2:
        raise RangeError("--beside names no other kind of GPU; say --gpus alone")
    model = transformer(ask.model)
    moe = bool(float(model.experts) > 0)
    sheets = {name: gpu_part(name, ask.dtype, ask.network) for name in counts}
    # One run has one software stack: the profile of the first kind serves the others by their data sheet rates.
    known = nearest(profiles(), gpu=ask.gpu, dtype=ask.dtype, stack=ask.stack, network=ask.network, moe=moe)
    kinds = [Kind(float(n), sheets[name], known.calibration(ask.dtype)) for name, n in counts.items()]
    total = float(sum(counts.values()))
    batch = float(ask.global_batch) if ask.global_batch else usual_batch(total, ask.seq)
    plan, found = _best(model, kinds, total, batch, ask, split)

    log_sd = max(
        float(estimate(known, model, plan, sheets[name], dtype=ask.dtype, stack=ask.stack).log_sd) for name in counts
    )
    host_b_s = catalog().row("operations", "estimate", "host_b_s_per_gpu").value
    stall_s = max(
        1.0,
        float(
            checkpoint_stall_s(
                checkpoint_b(model.params() * ask.trained_frac), total, storage_b_s=np.inf, host_b_s=host_b_s
            )
        ),
    )
    lost = failures(max(1.0, total / RATE_GPUS), stall_s, ask.reliability, ask.lemons_removed)
    if lost.effective_frac <= 0:
        raise RangeError(f"failures leave no time to train on {total:,.0f} GPUs; use fewer, or more reliable ones")
    days = ask.tokens / (batch * ask.seq) * found.step_s / lost.effective_frac / SECONDS_PER_DAY
    days_sd = math.hypot(log_sd, log_sd_of_range(lost.effective_frac, lost.low_frac, lost.high_frac))

    parts, node_w = [], 0.0
    for (name, count), kind, m, done_s, waits in zip(
        counts.items(), kinds, found.micro_batches, found.done_s, found.waiting_frac, strict=True
    ):
        node = node_kind(name)
        duty = float(_step_of(model, plan, kind, m).duty_frac) * done_s / found.step_s
        watts = node.watts(duty) * count / node.gpus
        node_w += watts
        parts.append(
            {
                "gpu": name,
                "gpus": count,
                "replicas": float(kind.replicas(plan)),
                "micro_batches": m,
                "done_s": done_s,
                "waiting_frac": waits,
                "power_kw": watts / 1e3,
                "alone_step_s": _alone_s(model, kind, batch, ask),
            }
        )
    pue = catalog().row("operations", "estimate", "pue")
    pue_value = ask.pue if ask.pue is not None else pue.value
    pue_sd = 0.0 if ask.pue is not None else log_sd_of_range(pue.value, pue.low, pue.high)
    power_sd = math.hypot(power_log_sd(), pue_sd)
    energy_j = node_w * pue_value * days * SECONDS_PER_DAY
    figures = {
        "gpus": exact(total, "GPU"),
        "days": spread(days, days_sd, "d"),
        "step_s": spread(found.step_s, log_sd, "s"),
        "tokens_per_s": spread(batch * ask.seq / found.step_s, log_sd, "token/s"),
        "power_mw": spread(node_w * pue_value / 1e6, power_sd, "MW"),
        "energy_mwh": spread(energy_j / J_PER_MWH, math.hypot(days_sd, power_sd), "MWh"),
        "gpu_hours": spread(total * days * SECONDS_PER_DAY / SECONDS_PER_HOUR, days_sd, "GPU-h"),
        "effective_time_frac": Figure(lost.effective_frac, lost.low_frac, lost.high_frac, "1"),
    }
    names = ("tp", "pp", "vp", "cp", "ep", "micro_batch", "zero", "full_recompute")
    notes = [
        f"profile {known.key} for every kind, by its data sheet rates: one run has one software stack",
        f"{split} split of {batch:g} sequences; the interval is that of the kind whose step is known least",
        "No published run over unequal GPUs was at hand: the step of each kind is scored, their mixture is not",
        "Not measured on a GPU by dcsim; errors against published runs: dcsim validate training",
    ]
    return MixedAnswer(figures, {name: float(getattr(plan, name)) for name in names}, parts, notes)


def lines(of: MixedAnswer) -> list[str]:
    """The part of each kind, for a terminal."""
    rows = [
        f"{'GPU':24}{'GPUs':>8}{'replicas':>10}{'micro-batches':>15}{'waits':>8}{'power kW':>11}{'step alone s':>14}"
    ]
    for one in of.kinds:
        alone = "-" if one["alone_step_s"] is None else number(one["alone_step_s"])
        rows.append(
            f"{one['gpu']:24}{one['gpus']:>8,}{one['replicas']:>10g}{one['micro_batches']:>15}"
            f"{one['waiting_frac']:>8.1%}{number(one['power_kw']):>11}{alone:>14}"
        )
    return rows


def _step_of(model: Transformer, plan: Plan, kind: Kind, micro_batches: float) -> Any:
    """Step of a kind with so many micro-batches a replica."""
    sizes = {**vars(plan), "global_batch": micro_batches * plan.dp * plan.micro_batch}
    return step(model, Plan(**sizes), kind.gpu, kind.fit)


def _best(
    model: Transformer, kinds: Sequence[Kind], total: float, batch: float, ask: Ask, split: str
) -> tuple[Plan, MixedStep]:
    """The fastest plan that suits and fits every kind."""
    # Kinds differ in the size of their scale-up domain: what is possible in the largest is tried.
    widest = max((kind.gpu for kind in kinds), key=lambda one: float(one.domain_gpus))
    plans = shared_plans(
        candidates(model, [total], widest, global_batch=[batch], seq=float(ask.seq), trained_frac=ask.trained_frac),
        kinds,
    )
    fits = np.ones(len(plans.tp), dtype=bool)
    slowest = np.zeros(len(plans.tp))
    for kind in kinds:
        fits &= np.asarray(memory(model, plans, kind.gpu).total_b) <= kind.gpu.memory_b
        slowest = np.maximum(slowest, np.asarray(step(model, plans, kind.gpu, kind.fit).step_s))
    if not fits.any():
        raise RangeError("no plan fits the memory of every kind of GPU; use more of them or leave the smallest out")
    order = np.argsort(np.where(fits, slowest, np.inf), kind="stable")[: min(LOOKED_AT, int(fits.sum()))]
    tried = [(plans.take(int(row)), mixed_step(model, plans.take(int(row)), kinds, split)) for row in order]
    return min(tried, key=lambda one: one[1].step_s)


def _alone_s(model: Transformer, kind: Kind, batch: float, ask: Ask) -> float | None:
    """Step of a kind alone with the same batch, by its own best plan; None where none divides or fits. [s]"""
    try:
        plans = candidates(
            model, [kind.gpus], kind.gpu, global_batch=[batch], seq=float(ask.seq), trained_frac=ask.trained_frac
        )
        found = search(model, plans, kind.gpu, kind.fit)
    except RangeError:
        return None
    return float(found.step.step_s[found.best])
