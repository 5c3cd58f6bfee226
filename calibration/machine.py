"""Fit of a machine's samples: the parameters of the physics that the simulator calls, each with its interval."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from dcsim.physics.collectives import BUS_FACTOR, ramp_s
from dcsim.physics.kernels import gemm_s, passes_s
from dcsim.physics.parallel import Gpu, Plan
from dcsim.physics.training import Calibration, step
from dcsim.physics.transformer import Transformer

from .fit import Prior, log_fit
from .protocol import Point

# Standard deviation of the logarithm between sessions by class of kernel, where fewer than three were run. Seen between
# quiet sessions on a processor; not measured on a GPU.
BETWEEN_SESSIONS = {"gemm": 0.05, "copy": 0.06, "collective": 0.30, "training": 0.15, "checkpoint": 0.20}
LEAST_SESSIONS = 3
# A fitted curve that misses a point by more than this is not identified.
MOST_MISS = 0.5
# Exponentials that a core does in a second, for the held-out step alone. Assumption.
EXPONENTIALS_S = 1e9


@dataclass(frozen=True)
class Parameter:
    """A fitted parameter.

    Parameters
    ----------
    value, unit
        Geometric mean over sessions, null where it was not measured.
    low, high : float or None
        95 % interval.
    log_sd, prior_log_sd, sessions
        Standard deviation of the logarithm between sessions, measured or the prior; the prior of the kernel's class;
        and how many sessions there were.
    basis : str
        ``sessions`` or ``prior``: where the interval comes from.
    higher_is_better : bool
        Whether a larger value is a faster machine.
    max_rel_err : float or None
        Largest miss of a point by the fitted curve. [1]
    identified : bool
        Whether the samples tell it.
    reason : str
        Why it is null or not identified.
    """

    value: float | None
    unit: str
    low: float | None
    high: float | None
    log_sd: float
    prior_log_sd: float
    sessions: int
    basis: str
    higher_is_better: bool
    max_rel_err: float | None
    identified: bool
    reason: str = ""


def absent(unit: str, reason: str, *, higher_is_better: bool = True) -> Parameter:
    """A parameter that was not measured, and why."""
    return Parameter(None, unit, None, None, 0.0, 0.0, 0, "none", higher_is_better, None, False, reason)


def over_sessions(
    values: Sequence[float], unit: str, kind: str, *, higher_is_better: bool, max_rel_err: float | None
) -> Parameter:
    """Mean and interval of a parameter that every session gave once.

    With three sessions or more a t interval on the session values; a bootstrap over pooled samples would cover 25 to
    67 % where it claims 95, since sessions differ more than samples do. With fewer, the class's prior.
    """
    logs = np.log(values)
    n = len(logs)
    if n >= LEAST_SESSIONS:
        log_sd, basis, reach = float(np.std(logs, ddof=1)), "sessions", float(student.ppf(0.975, n - 1))
    else:
        log_sd, basis, reach = BETWEEN_SESSIONS[kind], "prior", 1.96
    half = reach * log_sd / math.sqrt(n)
    value = float(np.exp(logs.mean()))
    identified = max_rel_err is None or max_rel_err <= MOST_MISS
    reason = "" if identified else f"the fitted curve misses a point by {100 * (max_rel_err or 0):.0f} %"
    return Parameter(
        value,
        unit,
        value * math.exp(-half),
        value * math.exp(half),
        log_sd,
        BETWEEN_SESSIONS[kind],
        n,
        basis,
        higher_is_better,
        max_rel_err,
        identified,
        reason,
    )


@dataclass(frozen=True)
class Curve:
    """A fit of one session: parameters by name, and its largest miss."""

    values: Mapping[str, float]
    max_rel_err: float


def _curve(
    model: Callable[[Mapping[str, float]], Any], measured: Sequence[float], priors: Mapping[str, Prior]
) -> Curve:
    kept = dict(list(priors.items())[: max(1, len(measured) // 2)])
    base = {name: prior.median for name, prior in priors.items()}
    found = log_fit(lambda v: np.asarray(model({**base, **v}), dtype=float), measured, kept, noise=0.05)
    miss = np.abs(np.asarray(model({**base, **found.values})) / np.asarray(measured) - 1.0)
    return Curve({**base, **found.values}, float(miss.max()))


def gemm_curve(points: Sequence[Point]) -> Curve:
    """Rate, launch time and half-rate size of matrix products of cubes."""
    n = np.array([point.size["n"] for point in points], dtype=float)
    times = [point.median_s for point in points]
    best, least = float(np.max(2.0 * n**3 / times)), float(np.min(times))
    priors = {"flop_s": Prior(best, 0.7), "launch_s": Prior(least / 3.0, 1.5), "half": Prior(0.05, 2.0)}

    def model(values: Mapping[str, float]) -> Any:
        half = values["half"]
        return gemm_s(n, n, n, values["flop_s"], half_m=half, half_n=half, half_k=half, launch_s=values["launch_s"])

    return _curve(model, times, priors)


def copy_curve(points: Sequence[Point]) -> Curve:
    """Bandwidth of copies, read and written bytes counted."""
    size_b = np.array([point.size["size_b"] for point in points], dtype=float)
    times = [point.median_s for point in points]
    priors = {"memory_b_s": Prior(float(np.max(2.0 * size_b / times)), 0.7)}
    return _curve(lambda v: passes_s(size_b / 4.0, 2.0, v["memory_b_s"], 4.0), times, priors)


def collective_curve(points: Sequence[Point]) -> Curve:
    """Ramp of a collective; whether it bends besides its latency is decided by the Bayesian information criterion."""
    size_b = np.array([point.size["size_b"] for point in points], dtype=float)
    factor = float(BUS_FACTOR[points[0].kernel](float(points[0].size["ranks"])))
    times = np.array([point.median_s for point in points])
    straight = {
        "alpha_s": Prior(float(times.min()), 1.0),
        "bus_b_s": Prior(float(np.max(factor * size_b / times)), 0.7),
    }
    bent = {**straight, "ramp_b": Prior(1e6, 2.0)}
    fixed = {"exponent": 0.5}

    def model(values: Mapping[str, float]) -> Any:
        return ramp_s(size_b, factor, **{"ramp_b": 0.0, **fixed, **values})

    found = [_curve(model, times.tolist(), priors) for priors in (straight, bent)]

    def criterion(curve: Curve, count: int) -> float:
        residual = float(np.sum(np.log(model(curve.values) / times) ** 2))
        return len(times) * math.log(max(residual, 1e-12) / len(times)) + count * math.log(len(times))

    scores = [criterion(curve, 2 + extra) for extra, curve in enumerate(found)]
    best = found[int(np.argmin(scores))]
    return Curve({"ramp_b": 0.0, **fixed, **best.values}, best.max_rel_err)


def fit(sessions: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Parameter], dict[str, Any]]:
    """Parameters of a machine, and how far they miss the training step that none of them saw.

    Parameters
    ----------
    sessions : sequence of mapping
        What each session measured.

    Returns
    -------
    tuple
        Parameters by name, and the held-out step: predicted and measured seconds and relative error.
    """
    points = [[Point(**record) for record in session["points"]] for session in sessions]
    found: dict[str, Parameter] = {}
    for dtype in ("fp32", "bf16"):
        curves = _by_session(points, lambda p, d=dtype: p.kernel == "gemm" and p.size.get("dtype") == d, gemm_curve)  # type: ignore[misc]
        found[f"gemm.{dtype}.flop_s"] = _parameter(curves, "flop_s", "FLOP/s", "gemm", True)
        found[f"gemm.{dtype}.launch_s"] = _parameter(curves, "launch_s", "s", "gemm", False)
    copies = _by_session(points, lambda p: p.kernel == "copy", copy_curve)
    found["copy.memory_b_s"] = _parameter(copies, "memory_b_s", "B/s", "copy", True)
    reason = _reason(points, "all_reduce")
    sweeps = _by_session(points, lambda p: p.kernel == "all_reduce" and bool(p.times_s), collective_curve)
    for name, unit, better in (("alpha_s", "s", False), ("bus_b_s", "B/s", True)):
        found[f"all_reduce.{name}"] = _parameter(sweeps, name, unit, "collective", better, reason)
    for kernel, name in (("checkpoint_write", "write_b_s"), ("checkpoint_read", "read_b_s")):
        rates = [_rate(session, kernel) for session in points]
        known = [rate for rate in rates if rate is not None]
        found[f"checkpoint.{name}"] = (
            over_sessions(known, "B/s", "checkpoint", higher_is_better=True, max_rel_err=None)
            if known
            else absent("B/s", "the kernel was not run")
        )
    return found, held_out(found, points)


def _by_session(
    sessions: Sequence[Sequence[Point]], keep: Callable[[Point], bool], curve: Callable[[Sequence[Point]], Curve]
) -> list[Curve]:
    chosen = [[point for point in session if keep(point) and point.times_s] for session in sessions]
    return [curve(points) for points in chosen if points]


def _parameter(
    curves: Sequence[Curve], name: str, unit: str, kind: str, better: bool, reason: str = "the kernel was not run"
) -> Parameter:
    if not curves:
        return absent(unit, reason, higher_is_better=better)
    miss = max(curve.max_rel_err for curve in curves)
    values = [curve.values[name] for curve in curves]
    return over_sessions(values, unit, kind, higher_is_better=better, max_rel_err=miss)


def _reason(sessions: Sequence[Sequence[Point]], kernel: str) -> str:
    reasons = [point.reason for session in sessions for point in session if point.kernel == kernel and point.reason]
    return reasons[0] if reasons else "the kernel was not run"


def _rate(session: Sequence[Point], kernel: str) -> float | None:
    """Bandwidth at the largest size of a kernel that moves files. [B/s]"""
    points = [point for point in session if point.kernel == kernel and point.times_s]
    if not points:
        return None
    largest = max(points, key=lambda point: float(point.size["size_b"]))
    return float(largest.size["size_b"]) / largest.median_s


def held_out(found: Mapping[str, Parameter], sessions: Sequence[Sequence[Point]]) -> dict[str, Any]:
    """Training steps as predicted from matrix products, copies and all-reduces alone, against those measured."""
    out: dict[str, Any] = {}
    for kernel in ("training_step_alone", "training_step"):
        points = [point for session in sessions for point in session if point.kernel == kernel and point.times_s]
        needed = ["gemm.fp32.flop_s", "copy.memory_b_s"] + (["all_reduce.bus_b_s"] if kernel == "training_step" else [])
        missing = [name for name in needed if found[name].value is None]
        if not points or missing:
            why = f"not measured: {', '.join(missing)}" if missing else "the kernel was not run, or needs two ranks"
            out[kernel] = {"predicted_s": None, "measured_s": None, "rel_err": None, "reason": why}
            continue
        measured = float(np.exp(np.mean([math.log(point.median_s) for point in points])))
        predicted = predicted_step_s(found, points[0], reduced=kernel == "training_step")
        out[kernel] = {
            "predicted_s": predicted,
            "measured_s": measured,
            "rel_err": predicted / measured - 1.0,
            "reason": "",
        }
    return out


def predicted_step_s(found: Mapping[str, Parameter], point: Point, *, reduced: bool) -> float:
    """Step time by :func:`dcsim.physics.training.step` with the machine's own rates and the model's usual passes."""
    size = point.size

    def value(name: str, otherwise: float = 1.0) -> float:
        known = found[name].value
        return otherwise if known is None else known

    rate, bus = value("gemm.fp32.flop_s"), value("all_reduce.bus_b_s", 1e12)
    ranks = float(size["ranks"]) if reduced else 1.0
    hidden, heads = float(size["hidden"]), float(size["heads"])
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
    batch = float(size["batch"])
    plan = Plan(ranks, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, batch, batch * ranks, float(size["seq"]), zero=0.0, gradient_b=4.0)
    part = Gpu(
        matmul_flop_s=rate,
        matmul16_flop_s=rate,
        exp_per_s=EXPONENTIALS_S,
        memory_b_s=value("copy.memory_b_s"),
        memory_b=1e12,
        domain_gpus=ranks,
        domain_b_s=bus,
        network_b_s=bus,
        weight_b=4.0,
        gemm_m0=0.0,
        gemm_n0=0.0,
        gemm_k0=0.0,
    )
    # Numbers of four bytes move twice the bytes that passes count.
    fit = Calibration(
        gemm_eff=1.0,
        gemm16_eff=1.0,
        attention_eff=1.0,
        memory_eff=1.0,
        layer_passes=40.0,
        output_passes=2.0,
        layer_s=value("gemm.fp32.launch_s", 0.0) * 12.0,
        step_s=0.0,
        domain_eff=1.0,
        network_eff=1.0,
        dp_exposed=1.0,
        jitter=0.0,
    )
    return float(step(model, plan, part, fit).step_s)
