"""Throughput and power of serving by batch against published sweeps."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from dcsim.catalog.fitted import Z90, Fitted, fitted, with_interval
from dcsim.catalog.load import folder
from dcsim.catalog.published_serving import COLUMNS, FILE, Point, correction, point, sweep_key, together
from dcsim.physics.inference import DecodeStep
from dcsim.validate.common import Case, Interval, Kind, Part, Prediction, Suite

ANSWERS = {"output_throughput_tokens_per_sec": "token/s", "avg_power_watts": "W"}


def predicted(
    one: Point,
    time: Fitted,
    power: Fitted,
    own: Mapping[str, Fitted | None],
    extra: Mapping[str, float],
    stepped: Callable[[Point, Mapping[str, float]], DecodeStep] = lambda one, values: together([one]).step(values),
) -> Mapping[str, Prediction]:
    """By fits of step time and power, and the sweep's own corrections of them where there are any.

    The mean step is that of the formula, or what *stepped* makes of the fit.
    """
    points, step = together([one]), stepped(one, time.parameters)
    middles = {"time": step.step_s, "power": points.power_w(step, power.parameters)}
    scatters = {"time": time.scatter, "power": power.scatter}
    found = {
        what: _corrected(middles[what], points.batch, correcting)
        if (correcting := own[what]) is not None
        else _spread(middles[what], float(np.hypot(scatters[what], extra[what])))
        for what in middles
    }
    middle, low, high = (float(np.asarray(value).item()) for value in found["time"])
    return {
        "output_throughput_tokens_per_sec": Interval(one.batch / middle, one.batch / high, one.batch / low),
        "avg_power_watts": Interval(*(float(np.asarray(value).item()) for value in found["power"])),
    }


def _corrected(middle: Any, batch: Any, own: Fitted) -> tuple[Any, Any, Any]:
    """A figure with a sweep's own correction, and its interval."""
    return with_interval(lambda values: middle * correction(values, "knot.", batch), own)


def _spread(middle: Any, log_sd: float) -> tuple[Any, Any, Any]:
    """A figure with an interval of a log-normal."""
    return middle, middle * np.exp(-Z90 * log_sd), middle * np.exp(Z90 * log_sd)


def serve(case: Case) -> Mapping[str, Prediction]:
    """By the shipped fits; with its own correction where the sweep was fitted."""
    return of_fits(point(case))


def of_fits(one: Point, **others: Any) -> Mapping[str, Prediction]:
    """A row by the shipped fits."""
    known = fitted("inference")
    time = known.get(one.family) or known["hopper"]
    own = {what: known.get(f"{what}|{one.sweep}") for what in ("time", "power")}
    beyond = {"time": time.parameters["between_sweeps_sd"], "power": known["power"].parameters["between_sweeps_sd"]}
    return predicted(one, time, known["power"], own, beyond, **others)


def without_sweep(case: Case) -> Mapping[str, Prediction]:
    """By fits that never saw the sweep."""
    one, known = point(case), fitted("validation/inference-left-out-sweeps")
    time, power = known[f"time|{one.sweep}"], known[f"power|{one.sweep}"]
    return predicted(one, time, power, {"time": None, "power": None}, {"time": 0.0, "power": 0.0})


def without_batch(case: Case) -> Mapping[str, Prediction]:
    """By fits that never saw the sweep, corrected by its other batches."""
    one, base = point(case), fitted("validation/inference-left-out-sweeps")
    known = fitted("validation/inference-left-out-batches")
    own: dict[str, Fitted | None] = {what: known[f"{what}|{one.key}"] for what in ("time", "power")}
    return predicted(one, base[f"time|{one.sweep}"], base[f"power|{one.sweep}"], own, {"time": 0.0, "power": 0.0})


def in_sample(case: Case) -> bool:
    """Whether rows of the sweep were fitted."""
    return f"time|{sweep_key(case)}" in fitted("inference")


@cache
def parts() -> tuple[Part, ...]:
    """Sweeps as fitted, with a batch left out, and left out whole; throughput and power apart, by GPU in detail."""
    if not (folder() / "profiles" / "inference.json").exists():
        return ()
    splits = (
        ("fitted", None),
        ("a batch left out of its sweep", without_batch),
        ("a whole sweep left out", without_sweep),
    )
    columns = (("throughput", "output_throughput_tokens_per_sec"), ("power", "avg_power_watts"))
    return tuple(
        Part(
            f"{label}, {gpu}" if gpu else label,
            meaning,
            partial(_of_gpu, gpu),
            predict,
            detail=bool(gpu),
            answer=column,
        )
        for meaning, predict in splits
        for label, column in columns
        for gpu in ("", "H100", "B200")
    )


def _of_gpu(gpu: str, case: Case) -> bool:
    """Whether a case of a fitted sweep ran on some GPU, or on any."""
    return in_sample(case) and gpu in ("", case["gpu_model"])


SUITE = Suite(
    {"sweep": Kind(COLUMNS, ANSWERS, serve, in_sample, "throughput and power of a replica at a batch")},
    "throughput and power of serving by batch, ML.ENERGY v3; time to first token has no published case here",
    parts,
    data_files=(FILE,),
    needs_data=True,
)
