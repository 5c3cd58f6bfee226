"""Profiles from what an operator already has: logs of power, utilisation and clocks, nccl-tests, MLPerf power logs."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dcsim.errors import InputError, Problem, UsageError

from ..machine import Fitted, fit
from ..parameters import over_sessions
from ..profile import assembled
from .gpus import POWER, power_fit, telemetry
from .mlperf import mlperf_power
from .nccl import ROW, Sweep, nccl_json, nccl_text


def kind_of(path: Path, text: str) -> str:
    """Which of the known logs a file is, by its content.

    Raises
    ------
    InputError
        If it is none; all known kinds are listed.
    """
    if path.suffix == ".parquet":
        return "telemetry"
    if ":::MLLOG" in text or re.search(r"^Time,[^,]+,Watts,", text, re.MULTILINE):
        return "mlperf-power"
    if text.lstrip().startswith("{") and '"results"' in text:
        return "nccl-json"
    if "nccl-tests" in text or any(ROW.match(line) for line in text.splitlines()):
        return "nccl-text"
    first = text.splitlines()[0] if text else ""
    if "," in first and re.search("|".join(map(re.escape, (*POWER, "__name__", "metric"))), first):
        return "telemetry"
    rule = (
        "is none of: DCGM-exporter or Prometheus CSV or Parquet of GPU power, nvidia-smi --query-gpu CSV, nccl-tests "
        "text or -J JSON, MLPerf power logs"
    )
    raise InputError(str(path), [Problem(0, "", rule)])


def imported(
    paths: Sequence[Path], *, gpu: str = "", ranks: int = 0, operation: str = "", argv: Sequence[str] = ()
) -> dict[str, Any]:
    """Profile of what an operator already has.

    Parameters
    ----------
    paths : sequence of Path
        Logs of one kind of GPU. Several of the same kind are runs, over which intervals are taken.
    gpu : str
        Name of the GPU where the logs do not tell it.
    ranks : int
        Ranks of nccl-tests where the logs do not tell them; 0 to read them.
    operation : str
        Operation of nccl-tests where the logs do not tell it.
    argv : sequence of str
        Words of the command.

    Raises
    ------
    InputError
        If a file is of no known kind or cannot be right.
    """
    read = {p: "" if p.suffix == ".parquet" else p.read_text(encoding="utf-8", errors="replace") for p in paths}
    kinds = {path: kind_of(path, text) for path, text in read.items()}
    found = Fitted({})
    names, notes, sources = {gpu} - {""}, [], sorted(set(kinds.values()))
    sweeps, watts, most_ranks, most_hosts = [], [], 1, 1
    for path, kind in kinds.items():
        if kind == "telemetry":
            log = telemetry(path)
            names |= {log.name} - {""}
            of_log = power_fit(log)
            found.parameters.update(of_log.parameters)
            found.curves.update(of_log.curves)
            notes.append(f"{path.name}: {len(log.frame):,} samples of {log.frame['gpu'].nunique()} GPUs, {log.source}")
            if log.dropped:
                notes.append(f"{path.name}: {log.dropped:,} samples without a power were left out")
        elif kind == "mlperf-power":
            watts.append(mlperf_power(read[path], path))
        else:
            sweep = (nccl_json if kind == "nccl-json" else nccl_text)(read[path], path, operation, ranks)
            names |= {sweep.name} - {""}
            most_ranks, most_hosts = max(most_ranks, sweep.ranks), max(most_hosts, sweep.hosts)
            sweeps.append(sweep)
    if watts:
        for name in ("mean_w", "peak_w"):
            values = [one[name] for one in watts]
            found.parameters[f"node_power.{name.removesuffix('_w')}.w"] = over_sessions(
                values, "W", "power", higher_is_better=False
            )
    if len(names) > 1:
        raise UsageError(f"the logs are of several kinds of GPU ({', '.join(sorted(names))}); import each by itself")
    first = _first(sorted(names)[0] if names else "unknown", ranks or most_ranks, most_hosts, "; ".join(sources))
    sessions = _sessions(first, sweeps)
    if sweeps:
        of_sweeps = fit(sessions)
        measured = {point.kernel for sweep in sweeps for point in sweep.points}
        found.parameters.update(
            {name: one for name, one in of_sweeps.parameters.items() if name.split(".")[0] in measured}
        )
        found.curves.update(of_sweeps.curves)
    notes.append("imported from logs: not measured by dcsim, whose protocol does not hold for it")
    return assembled(
        found, first, kind="telemetry", host="", argv=argv, warnings=[*notes, *_reasons(found)], sessions=sessions
    )


def _reasons(found: Fitted) -> list[str]:
    return [f"{name}: {one.reason}" for name, one in sorted(found.parameters.items()) if one.reason]


def _first(name: str, ranks: int, hosts: int, source: str) -> dict[str, Any]:
    """What a session says of itself, as far as logs tell it."""
    return {
        "quick": False,
        "seed": 0,
        "device": {"kind": "cuda", "name": name, "ranks": ranks, "hosts": hosts, "backend": "nccl", "by_rank": []},
        "software": {},
        "meter": {"source": source, "reason": ""},
    }


def _sessions(first: Mapping[str, Any], sweeps: Sequence[Sweep]) -> list[dict[str, Any]]:
    """Sweeps as sessions: those of one operation and number of ranks are repeats of each other."""
    turns: dict[tuple[str, int, str], int] = {}
    sessions: list[dict[str, Any]] = []
    for sweep in sweeps:
        point = sweep.points[0]
        key = (point.kernel, sweep.ranks, str(point.size["level"]))
        turn = turns.get(key, 0)
        turns[key] = turn + 1
        while len(sessions) <= turn:
            sessions.append({**first, "session": len(sessions), "points": []})
        sessions[turn]["points"] += [point.record() for point in sweep.points]
    return sessions
