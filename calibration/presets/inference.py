"""Fits of published serving sweeps: step time by GPU architecture, power of all, and each sweep's own correction."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.catalog.fitted import Fitted, to_json
from dcsim.catalog.published_serving import FILE, Point, point, read_sweeps, together
from dcsim.catalog.reference import at_hand

from ..fit import Prior, log_fit

TIME = {
    "memory_eff": Prior(0.75, 0.2, 1.0),
    "request_s": Prior(2e-5, 1.0),
    "layer_s": Prior(3e-5, 0.7),
    "compute_eff": Prior(0.5, 0.3),
    "split_layers": Prior(0.3, 0.7),
    "expert_split_layers": Prior(1.0, 0.7),
    "expert_layers": Prior(0.5, 0.7),
    "step_s": Prior(1e-3, 0.7),
    "eight_bit_eff": Prior(0.7, 0.3),
    "eight_bit_expert_eff": Prior(0.7, 0.3),
    "expert_eff": Prior(0.8, 0.3),
}
POWER = {
    "base": Prior(0.35, 0.1),
    "memory": Prior(0.5, 0.3),
    "compute": Prior(1.0, 0.5),
    "cap": Prior(1.0, 0.1, 1.1),
    "exponent": Prior(0.6, 0.2),
    "experts": Prior(0.8, 0.3),
    "blackwell": Prior(0.85, 0.2),
}
TIME_NOISE, POWER_NOISE = 0.10, 0.05
# A sweep's own correction: standard deviation before its rows are seen, and of its rows.
KNOT_SD, KNOT_NOISE = 0.3, 0.03


@cache
def rows() -> tuple[tuple[Point, float, float], ...]:
    """Point, measured step time [s] and power of its GPUs [W]; empty where the reference data is not at hand."""
    path = at_hand(FILE)
    if path is None:
        return ()
    out = []
    for number, record in enumerate(read_sweeps(path), 1):
        one = replace(point(record), case_id=f"{path.stem}:{number}")
        throughput, power = (float(record[k]) for k in ("output_throughput_tokens_per_sec", "avg_power_watts"))
        out.append((one, one.batch / throughput, power))
    return tuple(out)


@cache
def _digest() -> str:
    path = at_hand(FILE)
    assert path is not None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _written(key: str, found: Any, base: dict[str, float], cases: Sequence[str], inherits: str = "priors") -> Fitted:
    return Fitted(
        key=key,
        inherits=inherits,
        free=tuple(found.values),
        parameters={**base, **found.values},
        covariance=found.covariance.tolist(),
        scatter=found.scatter,
        cases=tuple(cases),
        input=FILE,
        input_sha256=_digest(),
    )


def _time(family: str, of: Sequence[tuple[Point, float, float]]) -> Fitted:
    """Step time of an architecture."""
    own = [row for row in of if row[0].family == family]
    points = together([one for one, _, _ in own])
    found = log_fit(lambda v: np.asarray(points.step(v).step_s), [t for _, t, _ in own], TIME, noise=TIME_NOISE)
    return _written(family, found, {}, [one.case_id for one, _, _ in own])


def _power(of: Sequence[tuple[Point, float, float]], times: dict[str, Fitted]) -> Fitted:
    """Power of all rows, given step times as modelled."""
    groups = []
    for family, fitted in times.items():
        own = [row for row in of if row[0].family == family]
        points = together([one for one, _, _ in own])
        groups.append((points, points.step(fitted.parameters), [w for _, _, w in own]))

    def model(values: Any) -> Any:
        return np.concatenate([points.power_w(step, values) for points, step, _ in groups])

    found = log_fit(model, np.concatenate([w for _, _, w in groups]), POWER, noise=POWER_NOISE)
    return _written("power", found, {}, [one.case_id for one, _, _ in of])


def _knots(batches: Any) -> Any:
    """Batches of a correction: at most half of the rows, spread evenly over their order."""
    count = max(1, len(batches) // 2)
    return (
        np.sort(batches)[np.unique(np.linspace(0, len(batches) - 1, count).round().astype(int))]
        if count > 1
        else [float(np.sort(batches)[0])]
    )


def _correction(key: str, of: Sequence[tuple[Point, float, float]], time: Fitted, power: Fitted) -> list[Fitted]:
    """A sweep's own factors on time and power at some of its batches, piecewise linear in logarithms."""
    points = together([one for one, _, _ in of])
    step = points.step(time.parameters)
    at = np.log(_knots(points.batch))
    weights = np.array([np.interp(np.log(points.batch), at, row) for row in np.eye(len(at))]).T
    out = []
    for what, modelled, measured in (
        ("time", step.step_s, [t for _, t, _ in of]),
        ("power", points.power_w(step, power.parameters), [w for _, _, w in of]),
    ):
        miss = np.log(np.array(measured) / modelled)
        # Linear in the logarithms, so one solve is the whole fit.
        hessian = weights.T @ weights / KNOT_NOISE**2 + np.eye(len(at)) / KNOT_SD**2
        logs = np.linalg.solve(hessian, weights.T @ miss / KNOT_NOISE**2)
        left = miss - weights @ logs
        scatter = float(np.sqrt(np.sum(left**2) / max(len(of) - len(at), 1)))
        names = [f"knot.{float(np.exp(x)):.6g}" for x in at]
        out.append(
            Fitted(
                key=f"{what}|{key}",
                inherits=time.key if what == "time" else "power",
                free=tuple(names),
                parameters=dict(zip(names, map(float, np.exp(logs)), strict=True)),
                covariance=(np.linalg.inv(hessian) * max(1.0, scatter / KNOT_NOISE) ** 2).tolist(),
                scatter=scatter,
                cases=tuple(one.case_id for one, _, _ in of),
                input=FILE,
                input_sha256=_digest(),
            )
        )
    return out


def _mean_square(modelled: Any, measured: Sequence[float]) -> float:
    """Mean square of the logarithm of measured over modelled."""
    return float(np.mean(np.log(np.asarray(measured) / modelled) ** 2))


def _with_spread(one: Fitted, squares: Sequence[float]) -> Fitted:
    """A fit with how far sweeps that it never saw scatter beyond those that it did."""
    beyond = max(float(np.mean(squares)) - one.scatter**2, 0.0)
    return replace(one, parameters={**one.parameters, "between_sweeps_sd": float(np.sqrt(beyond))})


def files() -> dict[Path, str]:
    """Text of the fitted files by path; none where the reference data is not at hand."""
    every = rows()
    if not every:
        return {}
    families = sorted({one.family for one, _, _ in every})
    sweeps = sorted({one.sweep for one, _, _ in every})
    times = {family: _time(family, every) for family in families}
    power = _power(every, times)
    shipped = [*times.values(), power]
    left_sweeps, left_batches = [], []
    misses: dict[str, list[float]] = {key: [] for key in (*families, "power")}
    for sweep in sweeps:
        own = [row for row in every if row[0].sweep == sweep]
        others = [row for row in every if row[0].sweep != sweep]
        family = own[0][0].family
        shipped += _correction(sweep, own, times[family], power)
        # The other architecture never saw the sweep, so only its own is fitted again.
        held = {**times, family: _time(family, others)}
        held_power = _power(others, held)
        named = [(f"time|{sweep}", held[family]), (f"power|{sweep}", held_power)]
        left_sweeps += [replace(one, key=key) for key, one in named]
        points = together([one for one, _, _ in own])
        step = points.step(held[family].parameters)
        misses[family].append(_mean_square(step.step_s, [t for _, t, _ in own]))
        misses["power"].append(_mean_square(points.power_w(step, held_power.parameters), [w for _, _, w in own]))
        for row in own:
            rest = [other for other in own if other is not row]
            left_batches += _correction(row[0].key, rest, held[family], held_power)
    shipped = [_with_spread(one, misses[one.key]) if one.key in misses else one for one in shipped]
    return {
        Path("inference.json"): to_json(shipped, indent=None),
        Path("validation/inference-left-out-sweeps.json"): to_json(left_sweeps, indent=None),
        Path("validation/inference-left-out-batches.json"): to_json(left_batches, indent=None),
    }
