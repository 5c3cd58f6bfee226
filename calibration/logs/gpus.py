"""Logs of GPU power, utilisation and clocks: DCGM-exporter, Prometheus, nvidia-smi."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dcsim.errors import InputError, Problem

from ..machine import Fitted
from ..parameters import absent, over_sessions

# Names of what is logged, by exporter. DCGM: fields 155, 203, 100 and the profiling field 1001; nvidia-smi: its query.
POWER = ("DCGM_FI_DEV_POWER_USAGE", "power.draw", "power.draw.instant", "power.draw.average", "power_w")
BUSY = ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "utilization.gpu", "utilisation_frac")
CLOCK = ("DCGM_FI_DEV_SM_CLOCK", "clocks.sm", "clocks.current.sm", "clock_mhz")
GPU = ("uuid", "UUID", "gpu_uuid", "pci.bus_id", "gpu", "index", "device")
HOST = ("Hostname", "hostname", "instance", "node")
NAME = ("modelName", "name", "gpu_name")
TIME = ("timestamp", "time", "Time", "ts")
# A GPU is idle below and busy above these shares of utilisation; least samples of either. [1]
IDLE_BELOW, BUSY_ABOVE, LEAST_SAMPLES = 0.01, 0.95, 10
BINS = 10


@dataclass(frozen=True)
class Telemetry:
    """Samples of many GPUs: *frame* with ``gpu``, ``power_w``, ``busy_frac`` and ``clock_mhz``, and what they are."""

    frame: pd.DataFrame
    name: str
    source: str
    dropped: int


def _column(frame: pd.DataFrame, names: Sequence[str]) -> str | None:
    """Column of any of some names; a unit in brackets after it does not matter."""
    bare = {re.sub(r"\s*\[.*\]$", "", str(column)).strip(): str(column) for column in frame.columns}
    return next((bare[name] for name in names if name in bare), None)


def _numbers(column: pd.Series) -> pd.Series:
    """Numbers of texts such as ``71.23 W`` and ``[N/A]``."""
    if pd.api.types.is_numeric_dtype(column):
        return column.astype(float)
    text = column.astype(str).str.extract(r"^\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*[%A-Za-z]*\s*$")[0]
    return pd.to_numeric(text, errors="coerce")


def telemetry(path: Path) -> Telemetry:
    """Read a log of GPUs: DCGM-exporter or Prometheus as CSV or Parquet, wide or long, or nvidia-smi's CSV.

    Raises
    ------
    InputError
        If the file has no column of power.
    """
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, skipinitialspace=True)
    except (ValueError, OSError) as error:
        raise InputError(str(path), [Problem(0, "", f"cannot be read: {error}")]) from None
    frame = _wide(frame)
    power = _column(frame, POWER)
    if power is None:
        rule = f"has no column of power; known: {', '.join(POWER)}; it has {', '.join(map(str, frame.columns[:12]))}"
        raise InputError(str(path), [Problem(0, "", rule)])
    busy, clock, name = _column(frame, BUSY), _column(frame, CLOCK), _column(frame, NAME)
    parts = [column for names in (HOST, GPU) if (column := _column(frame, names))]
    out = pd.DataFrame(
        {
            "gpu": frame[parts].astype(str).agg("/".join, axis=1) if parts else "gpu",
            "power_w": _numbers(frame[power]),
            "busy_frac": _numbers(frame[busy]) if busy else np.nan,
            "clock_mhz": _numbers(frame[clock]) if clock else np.nan,
        }
    )
    if busy and busy != "DCGM_FI_PROF_GR_ENGINE_ACTIVE" and busy != "utilisation_frac":
        out["busy_frac"] /= 100.0  # these two are shares already, the others percent
    good = out["power_w"].between(0.0, 1e5, inclusive="neither")
    if not good.any():
        raise InputError(str(path), [Problem(0, power, "holds no power above 0 W")])
    source = "dcgm" if power.startswith("DCGM") else "nvidia-smi" if power.startswith("power.draw") else "log"
    names = sorted(set(frame[name].dropna().astype(str).str.strip())) if name else []
    if len(names) > 1:
        rule = f"holds several kinds of GPU ({', '.join(names)}); import each by itself"
        raise InputError(str(path), [Problem(0, name or "", rule)])
    return Telemetry(out[good], str(names[0]) if len(names) else "", source, int((~good).sum()))


def _wide(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of one row a sample, from Prometheus's of one row a metric."""
    metric = _column(frame, ("__name__", "metric", "metric_name"))
    value = _column(frame, ("value", "Value"))
    if metric is None or value is None:
        return frame
    labels = [str(c) for names in (TIME, HOST, GPU, NAME) if (c := _column(frame, names)) is not None]
    wide = frame.pivot_table(index=labels, columns=metric, values=value, aggfunc="last", dropna=True)
    return wide.reset_index()


def power_fit(of: Telemetry) -> Fitted:
    """Idle, busy, mean and peak power, utilisation and clock; an interval over GPUs, a line of power by utilisation."""
    found = Fitted({})
    groups = [frame for _, frame in of.frame.groupby("gpu")]
    known = of.frame["busy_frac"].notna().any()
    no_use = "" if known else "the log has no utilisation"

    def over_gpus(
        name: str, unit: str, each: Callable[[pd.DataFrame], pd.Series], figure: Callable[[pd.Series], float], why: str
    ) -> None:
        values = [figure(kept) for group in groups if len(kept := each(group).dropna()) >= LEAST_SAMPLES]
        values = [value for value in values if value > 0.0]
        found.parameters[name] = (
            over_sessions(values, unit, "power", higher_is_better=name.startswith("clock"), basis="gpus")
            if values
            else absent(unit, no_use or why, higher_is_better=name.startswith("clock"))
        )

    def idle(frame: pd.DataFrame) -> pd.Series:
        return frame.loc[frame["busy_frac"] <= IDLE_BELOW, "power_w"]

    def busy(frame: pd.DataFrame) -> pd.Series:
        return frame.loc[frame["busy_frac"] >= BUSY_ABOVE, "power_w"]

    few = f"no GPU has {LEAST_SAMPLES} samples"
    median = lambda kept: float(kept.median())  # noqa: E731
    over_gpus("power.idle.w", "W", idle, median, f"{few} below {IDLE_BELOW:.0%} utilisation")
    over_gpus("power.busy.w", "W", busy, median, f"{few} above {BUSY_ABOVE:.0%} utilisation")
    no_use = ""
    over_gpus("power.mean.w", "W", lambda f: f["power_w"], lambda kept: float(kept.mean()), few)
    over_gpus("power.peak.w", "W", lambda f: f["power_w"], lambda kept: float(kept.quantile(0.99)), few)
    over_gpus("utilisation.mean_frac", "1", lambda f: f["busy_frac"], lambda kept: float(kept.mean()), "not logged")
    over_gpus("clock.busy_mhz", "MHz", lambda f: f.loc[f["busy_frac"] >= BUSY_ABOVE, "clock_mhz"], median, "not logged")
    if known:
        _power_line(found, of.frame)
    return found


def _power_line(found: Fitted, frame: pd.DataFrame) -> None:
    """Mean power by bins of utilisation against the line that the simulator draws between idle and busy."""
    low, high = (found.parameters[f"power.{name}.w"].value for name in ("idle", "busy"))
    bins = frame.dropna(subset=["busy_frac"]).copy()
    bins["bin"] = np.minimum((bins["busy_frac"] * BINS).astype(int), BINS - 1)
    rows = bins.groupby("bin").agg(busy=("busy_frac", "mean"), watts=("power_w", "mean"), n=("power_w", "size"))
    rows = rows[rows["n"] >= LEAST_SAMPLES]
    if low is None or high is None or rows.empty:
        return
    line = low + (high - low) * rows["busy"]
    found.curves["power"] = {
        "form": "line",
        "unit": "W",
        "values": {"idle_w": low, "busy_w": high},
        "scores": {},
        "max_rel_err": float((line / rows["watts"] - 1.0).abs().max()),
        "left_out_median_rel_err": None,
        "left_out_max_rel_err": None,
        "points": [
            {
                "size": {"utilisation_frac": float(busy)},
                "measured": float(watts),
                "predicted": float(fitted),
                "left_out": None,
                "contended": False,
            }
            for busy, watts, fitted in zip(rows["busy"], rows["watts"], line, strict=True)
        ],
    }
