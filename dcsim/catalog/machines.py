"""Profiles of measured machines: how they are read and checked, and what they put in the place of a data sheet."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dcsim.catalog.load import catalog
from dcsim.catalog.profiles import DTYPE_EFF
from dcsim.errors import InputError, Problem, UsageError
from dcsim.physics.parallel import Gpu
from dcsim.physics.training import Calibration

SCHEMA = "dcsim.machine/2"
# A cross-check: no figure of a machine lies outside these, whatever it is.
BOUNDS = {"FLOP/s": (1e6, 1e17), "B/s": (1e3, 1e14), "s": (1e-9, 10.0), "W": (0.1, 1e5), "1/s": (1e3, 1e16)}
# Measured figures may pass a data sheet by so much: in-switch reduction makes a bus bandwidth higher than its wires.
ABOVE_SHEET, ABOVE_WIRE = 1.05, 1.35
# Data sheet figures that measured ones are held against: parameter, the catalog's row, and what it may be passed by.
SHEET = (
    ("gemm.bf16.flop_s", "bf16_dense_flop_s", ABOVE_SHEET),
    ("copy.b_s", "memory_bandwidth_b_s", ABOVE_SHEET),
    ("triad.b_s", "memory_bandwidth_b_s", ABOVE_SHEET),
    ("all_reduce.node.bus_b_s", "domain_b_s", ABOVE_WIRE),
)


def identity(body: Mapping[str, Any]) -> str:
    """sha256 of all but the id itself."""
    rest = {name: value for name, value in body.items() if name != "id"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read(path: Path) -> dict[str, Any]:
    """Read a profile and check it.

    Raises
    ------
    UsageError
        If there is no such file.
    InputError
        If it is no profile, of another schema, changed since it was written, or holds figures that cannot be; all
        faults are listed.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such profile; `dcsim calibrate run --out {path}` writes one")
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(str(path), [Problem(0, "", f"not JSON: {error}")]) from None
    faults = problems(body)
    if faults:
        raise InputError(str(path), faults)
    return dict(body)


def problems(body: Any) -> list[Problem]:
    """What is wrong with a profile; nothing where it is sound."""
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        given = body.get("schema") if isinstance(body, dict) else None
        return [Problem(0, "schema", f"is {given!r}, not '{SCHEMA}'; measure anew with this version")]
    parameters = body.get("parameters")
    if not isinstance(parameters, dict):
        return [Problem(0, "parameters", "are missing")]
    faults = []
    if body.get("id") != identity(body):
        faults.append(Problem(0, "id", "is not that of the content: the file was changed after it was written"))
    for name, one in parameters.items():
        faults += [Problem(0, f"parameters.{name}", fault) for fault in _faults(one)]
    return faults or _above_sheet(body)


def _above_sheet(body: Mapping[str, Any]) -> list[Problem]:
    """Rates above what the data sheet of the same GPU allows."""
    key = catalog().resolve("gpus", str(body["device"]["name"]))
    if key not in catalog().keys("gpus"):
        return []
    sheet = catalog().part("gpus", key)
    faults = []
    for name, row, factor in SHEET:
        value = (body["parameters"].get(name) or {}).get("value")
        if value is not None and row in sheet and value > factor * sheet[row].value:
            rule = f"{value:.4g} is above the {sheet[row].value:.4g} {sheet[row].unit} of the data sheet of {key}"
            faults.append(Problem(0, f"parameters.{name}", rule))
    return faults


def _faults(one: Any) -> list[str]:
    """What is wrong with one parameter."""
    fields = ("value", "low", "high", "unit", "reason")
    if not isinstance(one, dict) or any(name not in one for name in fields):
        return [f"is not an object of {', '.join(fields)}"]
    value, low, high = one["value"], one["low"], one["high"]
    if value is None:
        return [] if one["reason"] else ["has no value and no reason"]
    numbers = [value, low, high]
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        return ["holds something that is no finite number"]
    least, most = BOUNDS.get(one["unit"], (0.0, math.inf))
    out = [] if least <= value <= most else [f"{value:g} {one['unit']} cannot be"]
    return out if low <= value <= high else [*out, "lies outside its own interval"]


def values(body: Mapping[str, Any]) -> dict[str, float | None]:
    """Parameters of a profile by name, null where they were not measured or the samples do not tell them."""
    return {name: one["value"] if one["identified"] else None for name, one in body["parameters"].items()}


def hardware(of: Mapping[str, float | None], part: Gpu, fit: Calibration, dtype: str) -> tuple[Gpu, Calibration]:
    """A GPU and its calibration with measured rates in the place of data sheet rates and fitted efficiencies.

    Parameters
    ----------
    of : mapping
        Measured parameters by name, null where unknown; those stay as they are.
    part : Gpu
        Data sheet rates.
    fit : Calibration
        Of a software stack, whose element-wise passes, fixed times and exposures are kept: they are the stack's, not
        the machine's.
    dtype : str
        Data type of the matrix products. One that was not measured takes the rate of bf16, scaled as the fitted
        profiles scale it.
    """
    gemm, gemm16, attention = of.get(f"gemm.{dtype}.flop_s"), of.get("gemm.bf16.flop_s"), f"attention.{dtype}"
    changes: dict[str, float] = {}
    sizes: dict[str, float] = {}
    if gemm is None and gemm16 is not None and dtype in DTYPE_EFF:
        changes["gemm_eff"] = gemm16 / part.matmul16_flop_s * DTYPE_EFF[dtype] / DTYPE_EFF["bf16"]
    elif gemm is not None:
        changes["gemm_eff"] = gemm / part.matmul_flop_s
    wide = gemm if dtype == "fp32" else gemm16
    if wide is not None:
        changes["gemm16_eff"] = wide / part.matmul16_flop_s
    measured = dtype if of.get(f"gemm.{dtype}.half") is not None else "bf16"
    half = of.get(f"gemm.{measured}.half")
    if half is not None:
        sizes |= {"gemm_m0": half, "gemm_n0": half, "gemm_k0": half}
    if of.get(f"{attention}.flop_s") is None:
        attention = "attention.bf16"
    core, exponentials = of.get(f"{attention}.flop_s"), of.get(f"{attention}.exp_per_s")
    if core is not None and exponentials is not None:
        changes |= {"attention_eff": core / part.matmul16_flop_s, "softmax_cost": 1.0}
        sizes["exp_per_s"] = exponentials
    for name, efficiency, rate in (
        ("copy.b_s", "memory_eff", part.memory_b_s),
        ("all_reduce.node.bus_b_s", "domain_eff", part.domain_b_s),
        ("all_reduce.network.bus_b_s", "network_eff", part.network_b_s),
    ):
        known = of.get(name)
        if known is not None:
            changes[efficiency] = known / rate
    return replace(part, **sizes), replace(fit, **changes)
