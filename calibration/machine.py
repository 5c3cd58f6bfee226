"""Fit of a machine's samples: the parameters of the physics that the simulator calls, each with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dcsim.physics.collectives import BUS_FACTOR

from .curves import LAYER_PASSES, LOGIT_B, Curve, curve, refit
from .heldout import held_out
from .parameters import LEAST_SESSIONS, MOST_MISS, Parameter, absent, over_sessions
from .protocol import Point

Sessions = Sequence[Sequence[Point]]

# Error of a power sensor's gain that no repeat shows: standard deviation of the logarithm. Boards differ by -6 to 0 %
# from an external meter; an external meter has none of it.
SENSOR_GAIN = {
    "nvml.energy": 0.025,
    "nvml.power": 0.025,
    "nvml.average": 0.025,
    "nvml.instant": 0.025,
    "amdsmi": 0.025,
    "rapl": 0.025,
}
# A collective's latency shows only in messages that take less time than it, and its bandwidth in those that take more.
LEAST_SHORT, LEAST_LONG = 3, 2
DTYPES = ("fp32", "bf16")


@dataclass(frozen=True)
class Fitted:
    """A machine's fit: parameters by name, the curves behind them, and the steps that none of them saw."""

    parameters: dict[str, Parameter]
    curves: dict[str, dict[str, Any]] = field(default_factory=dict)
    holdout: dict[str, Any] = field(default_factory=dict)


def fit(sessions: Sequence[Mapping[str, Any]], *, left_out: bool = True) -> Fitted:
    """Parameters of a machine, and how far they miss the training step that none of them saw.

    Parameters
    ----------
    sessions : sequence of mapping
        What each session measured.
    left_out : bool
        Whether each point is predicted by a fit without it too.
    """
    points = [[Point(**record) for record in session["points"]] for session in sessions]
    found = Fitted({})
    _rates(found, points, left_out)
    _training(found, points)
    _power(found.parameters, points, sessions)
    found.holdout.update(held_out(found.parameters, points))
    return found


def _rates(found: Fitted, points: Sessions, left_out: bool) -> None:
    """Parameters of the kernels that have a curve."""

    def of(kernel: str, **size: str) -> list[list[Point]]:
        return chosen(points, kernel, **size)

    for dtype in DTYPES:
        _curve_parameters(
            found,
            f"gemm.{dtype}",
            of("gemm", dtype=dtype),
            {"flop_s": ("FLOP/s", "gemm", True), "launch_s": ("s", "gemm", False), "half": ("1", "gemm", False)},
            left_out,
        )
        _curve_parameters(
            found,
            f"attention.{dtype}",
            of("attention", dtype=dtype),
            {"flop_s": ("FLOP/s", "gemm", True), "exp_per_s": ("1/s", "gemm", True)},
            left_out,
        )
    for kernel in ("copy", "triad"):
        _curve_parameters(found, kernel, of(kernel), {"b_s": ("B/s", "copy", True)}, left_out, points)
    for kernel in ("host_to_device", "device_to_host"):
        _curve_parameters(found, kernel, of(kernel), {"b_s": ("B/s", "copy", True)}, left_out, points)
    for kernel in ("checkpoint_first_write", "checkpoint_write", "checkpoint_read"):
        _curve_parameters(found, kernel, of(kernel), {"b_s": ("B/s", "checkpoint", True)}, left_out, points)
    levels = sorted({str(p.size["level"]) for session in points for p in session if p.size.get("level")}) or ["node"]
    for kernel in ("all_reduce", "reduce_scatter", "all_gather", "send_recv"):
        for level in levels:
            wanted = {"alpha_s": ("s", "collective", False), "bus_b_s": ("B/s", "collective", True)}
            _curve_parameters(found, f"{kernel}.{level}", of(kernel, level=level), wanted, left_out, points)


def chosen(points: Sessions, kernel: str, **size: str) -> list[list[Point]]:
    """Points of a kernel that have samples, session by session; sessions without any are left out."""
    kept = [
        [
            p
            for p in session
            if p.kernel == kernel and p.times_s and all(p.size.get(name) == value for name, value in size.items())
        ]
        for session in points
    ]
    return [session for session in kept if session]


def _label(point: Point) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in point.size.values())


def _curve_parameters(
    found: Fitted,
    name: str,
    sessions: list[list[Point]],
    wanted: Mapping[str, tuple[str, str, bool]],
    left_out: bool,
    everything: Sessions = (),
) -> None:
    """Fit the form of all sessions together, then each session in that form; the first tells how far it misses."""
    if not sessions:
        reason = why_absent(everything, name.split(".")[0])
        for key, (unit, _, better) in wanted.items():
            found.parameters[f"{name}.{key}"] = absent(unit, reason, higher_is_better=better)
        return
    by_size: dict[str, list[Point]] = {}
    for session in sessions:
        for point in session:
            by_size.setdefault(_label(point), []).append(point)
    first = [same[0] for same in by_size.values()]
    medians = [float(np.exp(np.mean([np.log(point.median_s) for point in same]))) for same in by_size.values()]
    whole = curve(first, medians, left_out=left_out)
    each = [refit(whole, session) if len(session) == len(first) else whole.values for session in sessions]
    reasons = _unidentified(whole, first)
    for key, (unit, kind, better) in wanted.items():
        found.parameters[f"{name}.{key}"] = over_sessions(
            [values[key] for values in each],
            unit,
            kind,
            higher_is_better=better,
            # As many points as parameters are met exactly, which says nothing.
            max_rel_err=whole.max_rel_err if len(first) > whole.form.count else None,
            reason=reasons.get(key, ""),
        )
    found.curves[name] = _curve_record(whole, first)


def _unidentified(of: Curve, points: Sequence[Point]) -> dict[str, str]:
    """Parameters that the sizes do not tell, and why."""
    untold = dict.fromkeys(of.untold, "the samples say little of it")
    if points[0].kernel not in BUS_FACTOR or of.max_rel_err > MOST_MISS:
        return untold
    factor = float(BUS_FACTOR[points[0].kernel](float(points[0].size["ranks"])))
    bend_b = of.values["alpha_s"] * of.values["bus_b_s"] / factor
    short = sum(float(point.size["size_b"]) <= bend_b for point in points)
    out = untold
    if short < LEAST_SHORT:
        out["alpha_s"] = f"only {short} of {len(points)} messages are short enough to show it"
    if len(points) - short < LEAST_LONG:
        out["bus_b_s"] = f"only {len(points) - short} of {len(points)} messages are long enough to show it"
    return out


def _curve_record(of: Curve, points: Sequence[Point]) -> dict[str, Any]:
    """A curve for the profile: form, scores and every point with its misses."""
    errors = np.abs(of.left_out_s / of.measured_s - 1.0)
    known = errors[np.isfinite(errors)]
    return {
        "form": of.form.name,
        "unit": "s",
        "values": dict(of.values),
        "scores": {name: score for name, score in of.scores.items() if np.isfinite(score)},
        "max_rel_err": of.max_rel_err,
        "left_out_median_rel_err": float(np.median(known)) if len(known) else None,
        "left_out_max_rel_err": float(known.max()) if len(known) else None,
        "points": [
            {
                "size": point.size,
                "measured": float(measured),
                "predicted": float(predicted),
                "left_out": float(without) if np.isfinite(without) else None,
                "contended": point.contended,
            }
            for point, measured, predicted, without in zip(
                points, of.measured_s, of.predicted_s, of.left_out_s, strict=True
            )
        ],
    }


def why_absent(points: Sessions, kernel: str) -> str:
    """Why a kernel has no samples."""
    reasons = [point.reason for session in points for point in session if point.kernel == kernel and point.reason]
    return reasons[0] if reasons else "the kernel was not run"


def _training(found: Fitted, points: Sessions) -> None:
    """What a training step adds to bare kernels: slower products, element-wise passes, optimizer, and overlap."""
    out, memory = found.parameters, found.parameters["copy.b_s"].value

    def put(
        name: str, unit: str, kind: str, kernel: str, values: Sequence[Sequence[float]], *, better: bool = False
    ) -> None:
        known = [float(np.exp(np.mean(np.log(one)))) for one in values if len(one) and min(one) > 0.0]
        if known:
            out[name] = over_sessions(known, unit, kind, higher_is_better=better)
        else:
            out[name] = absent(unit, why_absent(points, kernel), higher_is_better=better)

    for dtype in DTYPES:
        for name, bare, trained, whole in (
            ("linear", "gemm", "linear", 3.0),
            ("attention_trained", "attention", "attention_trained", 3.5),
        ):
            ratios = [_ratios(session, bare, trained, whole, dtype) for session in points]
            put(f"{name}.{dtype}.eff", "1", "gemm", trained, ratios, better=True)
        if memory is None:
            continue
        layers = [
            [p.median_s * memory / (LAYER_PASSES * p.size["tokens"] * p.size["hidden"] * 2.0) for p in session]
            for session in chosen(points, "layer_passes", dtype=dtype)
        ]
        put(f"layer_passes.{dtype}.passes", "1", "copy", "layer_passes", layers)
        losses = [
            [p.median_s * memory / (LOGIT_B * p.size["tokens"] * p.size["vocab"]) for p in session]
            for session in chosen(points, "loss", dtype=dtype)
        ]
        put(f"loss.{dtype}.passes", "1", "copy", "loss", losses)
    if memory is not None:
        steps = [[p.median_s * memory / p.size["weights"] for p in s] for s in chosen(points, "optimizer")]
        put("optimizer.b", "B", "copy", "optimizer", steps)
    put("overlap.exposed_frac", "1", "training", "overlap", [[e] for s in points if (e := _exposed(s)) is not None])
    put("soak.kept_frac", "1", "gemm", "soak", [[_kept(p) for p in s] for s in chosen(points, "soak")], better=True)


def _ratios(session: Sequence[Point], bare: str, trained: str, whole: float, dtype: str) -> list[float]:
    """Time of bare kernels, times their share in a step, over the time with autograd, size by size."""
    alone = {_label(p): p.median_s for p in session if p.kernel == bare and p.times_s and p.size["dtype"] == dtype}
    return [
        whole * alone[_label(p)] / p.median_s
        for p in session
        if p.kernel == trained and p.times_s and p.size["dtype"] == dtype and _label(p) in alone
    ]


def _exposed(session: Sequence[Point]) -> float | None:
    """Share of an all-reduce that products beside it do not hide; above 1 where it slows them. [1]"""
    by_name = {p.kernel: p.median_s for p in session if p.kernel.startswith("overlap_") and p.times_s}
    if len(by_name) < 3:
        return None
    return (by_name["overlap_both"] - by_name["overlap_compute"]) / by_name["overlap_communicate"]


def _kept(point: Point) -> float:
    """Rate at the end of a soak over that at its start. [1]"""
    tenth = max(1, len(point.times_s) // 10)
    return float(np.median(point.times_s[:tenth]) / np.median(point.times_s[-tenth:]))


def _power(out: dict[str, Parameter], points: Sessions, sessions: Sequence[Mapping[str, Any]]) -> None:
    """Power by phase: idle, and each kernel that ran on and on."""
    source = str(sessions[0]["meter"]["source"])
    systematic = SENSOR_GAIN.get(source, 0.0)
    bare = [session["idle_bare"] for session in sessions if "idle_bare" in session]
    seen: dict[str, list[float]] = {"idle_bare": [one["mean_w"] for one in bare if one["mean_w"]]}
    reasons = {"idle_bare": bare[0]["reason"] if bare else "the kernel was not run"}
    for session in points:
        for point in session:
            phase = _phase(point)
            if phase is not None:
                seen.setdefault(phase, [])
                reasons[phase] = point.power_reason
                if point.mean_w:
                    seen[phase].append(point.mean_w)
    for phase, watts in seen.items():
        name = f"power.{phase}.w"
        if watts:
            out[name] = over_sessions(watts, "W", "power", higher_is_better=False, systematic=systematic)
        else:
            out[name] = absent("W", reasons[phase] or "no meter", higher_is_better=False)


def _phase(point: Point) -> str | None:
    """Phase whose power a point tells, null where none was asked for."""
    if point.power_reason == "not asked for at this size" or (not point.times_s and point.kernel != "idle_context"):
        return None
    dtype = point.size.get("dtype")
    if point.kernel in ("gemm", "attention"):
        return f"{point.kernel}_{dtype}"
    if point.kernel in ("training_step", "training_step_alone"):
        return f"{point.kernel}_{point.size['model']}_{dtype}"
    if point.kernel in ("prefill", "decode"):
        return f"{point.kernel}_{point.size['batch']}x{point.size['context']}"
    return point.kernel if point.kernel in ("idle_context", "copy", "all_reduce") else None


__all__ = ["LEAST_SESSIONS", "Fitted", "Parameter", "chosen", "fit"]
