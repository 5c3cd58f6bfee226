"""Training steps of a GPT as predicted from primitives alone, against those measured: the error of the model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dcsim.catalog.machines import hardware
from dcsim.physics.collectives import BUS_FACTOR, ramp_s
from dcsim.physics.parallel import Gpu, Plan
from dcsim.physics.training import Calibration, Step, step
from dcsim.physics.transformer import Transformer

from .parameters import Parameter
from .protocol import Point

GRADIENT_B = 4.0


def held_out(found: Mapping[str, Parameter], sessions: Sequence[Sequence[Point]]) -> dict[str, Any]:
    """Predicted and measured seconds and watts of every kind of step, null with a reason where they cannot be had."""
    out: dict[str, Any] = {}
    steps: dict[str, list[Point]] = {}
    for session in sessions:
        for point in session:
            if point.kernel in ("training_step", "training_step_alone") and point.times_s:
                steps.setdefault(f"{point.kernel}.{point.size['model']}.{point.size['dtype']}", []).append(point)
    for name, points in sorted(steps.items()):
        measured = float(np.exp(np.mean([math.log(point.median_s) for point in points])))
        watts = [point.mean_w for point in points if point.mean_w]
        record: dict[str, Any] = {
            "predicted_s": None,
            "measured_s": measured,
            "rel_err": None,
            "predicted_w": None,
            "measured_w": float(np.mean(watts)) if watts else None,
            "parts_s": {},
            "reason": "",
        }
        missing = _missing(found, points[0])
        if missing:
            record["reason"] = missing
        else:
            predicted, parts = predicted_step(found, points[0])
            record |= {"predicted_s": predicted, "rel_err": predicted / measured - 1.0, "parts_s": parts}
            record["predicted_w"] = _watts(found, parts, str(points[0].size["dtype"]))
        out[name] = record
    return out


def _missing(found: Mapping[str, Parameter], point: Point) -> str:
    """Why a step cannot be predicted, empty where it can."""
    if point.size["model"] != "gpt":
        return "convolutions and table look-ups are not measured apart, so this step is shown and not predicted"
    dtype = point.size["dtype"]
    needed = [f"gemm.{dtype}.flop_s", f"attention.{dtype}.flop_s", "copy.b_s", f"layer_passes.{dtype}.passes"]
    needed += ["all_reduce.node.bus_b_s"] if point.kernel == "training_step" else []
    missing = [name for name in needed if name not in found or found[name].value is None]
    return f"not measured: {', '.join(missing)}" if missing else ""


def predicted_step(found: Mapping[str, Parameter], point: Point) -> tuple[float, dict[str, float]]:
    """Time of a GPT's step, by :func:`dcsim.physics.training.step` and a ramp for gradients, and its parts. [s]"""
    size, dtype = point.size, str(point.size["dtype"])
    values = {name: one.value for name, one in found.items()}

    def value(name: str, otherwise: float) -> float:
        known = values.get(name)
        return otherwise if known is None else known

    hidden, heads, batch = float(size["hidden"]), float(size["heads"]), float(size["batch"])
    model = Transformer(
        layers=float(size["layers"]),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden / heads,
        ffn_hidden=4.0 * hidden,
        gated=0.0,
        vocab=float(size["vocab"]),
    )
    # One rank's own step; what it waits for others comes on top.
    plan = Plan(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, batch, batch, float(size["seq"]), zero=0.0, gradient_b=GRADIENT_B)
    # The machine's own rates stand in the place of a data sheet's, so efficiencies are 1 but for what a step adds.
    ones = dict.fromkeys(("gemm_eff", "gemm16_eff", "attention_eff", "memory_eff", "domain_eff", "network_eff"), 1.0)
    nothing = {"layer_s": 0.0, "step_s": 0.0, "jitter": 0.0}
    blank = Gpu(
        matmul_flop_s=1.0,
        matmul16_flop_s=1.0,
        exp_per_s=1.0,
        memory_b_s=1.0,
        memory_b=1e12,
        domain_gpus=1.0,
        domain_b_s=1.0,
        network_b_s=1.0,
        weight_b=GRADIENT_B,
        gemm_m0=0.0,
        gemm_n0=0.0,
        gemm_k0=0.0,
    )
    part, fit = hardware(values, blank, Calibration(**ones, **nothing), dtype)
    trained = value(f"linear.{dtype}.eff", 1.0)
    cores = value(f"attention_trained.{dtype}.eff", 1.0)
    fit = replace(
        fit,
        gemm_eff=fit.gemm_eff * trained,
        gemm16_eff=fit.gemm16_eff * trained,
        attention_eff=fit.attention_eff * cores,
        softmax_cost=1.0 / cores,
        layer_passes=value(f"layer_passes.{dtype}.passes", fit.layer_passes),
        output_passes=value(f"loss.{dtype}.passes", fit.output_passes),
        optimizer_b=value("optimizer.b", fit.optimizer_b),
    )
    alone = step(model, plan, part, fit)
    parts = _parts(alone)
    if point.kernel == "training_step":
        ranks = float(size["ranks"])
        reduce_s = ramp_s(
            GRADIENT_B * float(size["weights"]),
            BUS_FACTOR["all_reduce"](ranks),
            alpha_s=value("all_reduce.node.alpha_s", 0.0),
            bus_b_s=value("all_reduce.node.bus_b_s", 1.0),
            ramp_b=0.0,
            exponent=1.0,
        )
        parts["communication"] = float(reduce_s) * value("overlap.exposed_frac", 1.0)
    return sum(parts.values()), parts


def _parts(alone: Step) -> dict[str, float]:
    return {
        "products": float(alone.gemm_s),
        "attention": float(alone.attention_s),
        "passes": float(alone.elementwise_s + alone.optimizer_s),
        "output": float(alone.output_s),
        "communication": 0.0,
    }


def _watts(found: Mapping[str, Parameter], parts: Mapping[str, float], dtype: str) -> float | None:
    """Mean power of a step from that of its phases, weighted by time; null where a phase was not measured. [W]"""
    phase_of = {
        "products": f"power.gemm_{dtype}.w",
        "output": f"power.gemm_{dtype}.w",
        "attention": f"power.attention_{dtype}.w",
        "passes": "power.copy.w",
        "communication": "power.all_reduce.w",
    }
    total = 0.0
    for part, seconds in parts.items():
        if seconds <= 0.0:
            continue
        known = found.get(phase_of[part])
        if known is None or known.value is None:
            return None
        total += seconds * known.value
    return total / sum(parts.values())
