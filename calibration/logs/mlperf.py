"""Power logs of MLPerf: a node's of Training, an analyser's of Inference."""

import csv
import json
import math
import re
from itertools import pairwise
from pathlib import Path

import pandas as pd

from dcsim.errors import InputError, Problem

MLLOG = re.compile(r":::MLLOG\s+(\{.*\})")


def mlperf_power(text: str, path: Path) -> dict[str, float]:
    """Read a node's power log of MLPerf Training, or an analyser's of MLPerf Inference: mean, peak [W], energy [J].

    Raises
    ------
    InputError
        If there are no two readings.
    """
    readings: list[tuple[float, float]] = []
    efficiency = 1.0
    window = [-math.inf, math.inf]
    for match in MLLOG.finditer(text):
        record = json.loads(match[1])
        at, key, value = float(record.get("time_ms", 0)) / 1e3, record.get("key"), record.get("value")
        if key == "power_reading":
            readings.append((at, float(value["value"] if isinstance(value, dict) else value)))
        elif key == "conversion_eff":
            efficiency = float(value["value"] if isinstance(value, dict) else value)
        elif key == "power_measurement_start":
            window[0] = at
        elif key == "power_measurement_stop":
            window[1] = at
    if not readings:
        readings = _analyser(text)
    inside = sorted((at, watts) for at, watts in readings if window[0] <= at <= window[1])
    if len(inside) < 2:
        raise InputError(str(path), [Problem(0, "", "holds fewer than two power readings")])
    # The trapezoidal rule; a reading before conversion is divided by the efficiency of the supply.
    joules = sum((t1 - t0) * (w0 + w1) / 2.0 for (t0, w0), (t1, w1) in pairwise(inside)) / efficiency
    span = inside[-1][0] - inside[0][0]
    if span <= 0.0:
        raise InputError(str(path), [Problem(0, "", "all power readings are of one moment")])
    return {
        "mean_w": joules / span,
        "peak_w": max(watts for _, watts in inside) / efficiency,
        "energy_j": joules,
        "seconds": span,
    }


def _analyser(text: str) -> list[tuple[float, float]]:
    """Readings of an analyser's lines ``Time,<date time>,Watts,<power>,...``."""
    out = []
    for row in csv.reader(text.splitlines()):
        if len(row) >= 4 and row[0] == "Time" and row[2] == "Watts":
            at = pd.to_datetime(row[1], format="mixed", dayfirst=False, errors="coerce")
            watts = pd.to_numeric(row[3], errors="coerce")
            if not pd.isna(at) and not pd.isna(watts) and float(watts) > 0:
                out.append((float(at.timestamp()), float(watts)))
    return out
