"""Output of nccl-tests: what it prints, and the JSON that it writes with ``-J``."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.errors import InputError, Problem
from dcsim.physics.collectives import BUS_FACTOR

from ..protocol import Point


@dataclass(frozen=True)
class Sweep:
    """Times of one operation by nccl-tests: points, ranks, hosts, and the name of the GPU where it is told."""

    points: tuple[Point, ...]
    ranks: int
    hosts: int
    name: str


# Tables of nccl-tests do not name their operation; its bus factor over ranks does, but for pairs that share one.
OPERATIONS = ("all_reduce", "all_gather", "reduce_scatter", "send_recv", "sendrecv", "alltoall", "all_to_all")
SPELT = {"sendrecv": "send_recv", "alltoall": "all_to_all"}


def nccl_json(text: str, path: Path, operation: str, ranks: int = 0) -> Sweep:
    """Read the file that nccl-tests writes with ``-J``.

    Raises
    ------
    InputError
        If a result is missing or wrong.
    """
    body = json.loads(text)
    devices = body.get("config", {}).get("devices", [])
    told = " ".join(map(str, body.get("args", [])[:1])) + " " + str(body.get("experiment_name", ""))
    rows = []
    for row in body["results"]:
        one = row.get("out_of_place") or row.get("in_place") or {}
        rows.append((row.get("size"), one.get("time"), one.get("nwrong"), one.get("alg_bw"), one.get("bus_bw")))
    hosts = len({device.get("hostname") for device in devices}) or 1
    names = [str(device.get("device_info", "")) for device in devices]
    return _sweep(path, rows, len(devices) or ranks, hosts, names[0] if names else "", f"{told} {path.name}", operation)


ROW = re.compile(r"^\s*(\d+)\s+(\d+)\s+(\w+)\s+(\w+)\s+(-?\d+)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)\s+(\S+)")
DEVICE = re.compile(r"^#\s*Rank\s+(\d+).*?\bon\s+(\S+)\s+device\s+\S+\s+\[\S+\]\s*(.*)$")


def nccl_text(text: str, path: Path, operation: str, ranks: int = 0) -> Sweep:
    """Read what nccl-tests prints: sizes, out-of-place times, errors.

    Raises
    ------
    InputError
        If a result is missing or wrong.
    """
    devices = [match.groups() for line in text.splitlines() if (match := DEVICE.match(line))]
    rows = []
    for line in text.splitlines():
        match = ROW.match(line)
        if match:
            size, _, _, _, _, time, algorithm, bus, wrong = match.groups()
            errors = None if wrong in ("N/A", "-") else float(wrong)
            rows.append((int(size), float(time), errors, float(algorithm), float(bus)))
    hosts = len({host for _, host, _ in devices}) or 1
    command = " ".join(line for line in text.splitlines() if "_perf" in line)
    name = devices[0][2].strip() if devices else ""
    return _sweep(path, rows, len(devices) or ranks, hosts, name, f"{command} {path.name}", operation)


def _sweep(
    path: Path, rows: Sequence[tuple[Any, ...]], ranks: int, hosts: int, name: str, told: str, operation: str
) -> Sweep:
    faults = []
    for size, time, wrong, *_ in rows:
        if not size or not time:
            continue
        if wrong not in (None, 0, 0.0):
            faults.append(Problem(0, f"size {size}", f"{wrong:g} wrong elements: no time of it means anything"))
    kept = [(size, time, alg, bus) for size, time, _, alg, bus in rows if size and time]
    if not kept:
        faults.append(Problem(0, "", "holds no results of nccl-tests"))
    if ranks < 2:
        rule = "names fewer than two ranks; keep the lines '#  Rank ...' of the output, or say --ranks"
        faults.append(Problem(0, "", rule))
    kernel = operation or next((SPELT.get(known, known) for known in OPERATIONS if known in told), "")
    if not faults and not kernel:
        kernel = _operation_by_factor(kept, ranks)
        if not kernel:
            faults.append(Problem(0, "", "does not name its operation; say --operation all_gather or another"))
    if not faults and kernel not in BUS_FACTOR:
        faults.append(Problem(0, "", f"'{kernel}' is not a known operation; known: {', '.join(BUS_FACTOR)}"))
    if faults:
        raise InputError(str(path), faults)
    level = "node" if hosts == 1 else "network" if hosts == ranks else "world"
    points = tuple(
        Point(kernel, {"size_b": int(size), "ranks": ranks, "level": level}, 0, [float(time) / 1e6], [0.0], "sure")
        for size, time, _, _ in sorted(kept)
    )
    return Sweep(points, ranks, hosts, name)


def _operation_by_factor(rows: Sequence[tuple[Any, ...]], ranks: int) -> str:
    """All-reduce where bus over algorithm bandwidth is its factor, which no other operation shares; else unknown."""
    ratios = [bus / alg for _, _, alg, bus in rows if alg and bus and alg > 0.1]
    want = float(BUS_FACTOR["all_reduce"](float(ranks)))
    same = ranks > 2 and bool(ratios) and math.isclose(float(np.median(ratios)), want, rel_tol=0.02)
    return "all_reduce" if same else ""
