"""Published sweeps of serving by batch as what physics takes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.catalog.fitted import fitted
from dcsim.catalog.hardware import architecture, gpu, stack
from dcsim.catalog.load import _read, catalog
from dcsim.errors import RangeError
from dcsim.physics.inference import DecodeStep, Served, ServingCalibration, decode_step
from dcsim.physics.parallel import Gpu
from dcsim.physics.serving_power import ServingPower, serving_power_frac
from dcsim.registry import lookup

# File of the reference data that holds the sweeps, and columns that describe a row of it.
FILE = "traces/gpu_power/mlenergy_v3_lm-arena-chat.json"
COLUMNS = (
    "model_id",
    "gpu_model",
    "num_gpus",
    "weight_precision",
    "max_num_seqs",
    "avg_batch_size",
    "avg_output_len",
    "activated_params_billions",
    "total_params_billions",
)
# Tokens of a prompt, which the sweeps do not print. Assumption: short chat questions.
PROMPT_TOKENS = 150.0
# Least share of the active weights of a model with experts that every token meets.
LEAST_DENSE = 0.05


def read_sweeps(path: Path) -> list[dict[str, str]]:
    """Rows of a file of sweeps, all values as text."""
    records = json.loads(path.read_text(encoding="utf-8"))["configurations"]
    return [{name: str(value) for name, value in record.items()} for record in records]


@dataclass(frozen=True)
class Point:
    """One row: a model on some GPUs at a batch."""

    sweep: str
    family: str
    batch: float
    output: float
    gpus: float
    rated_w: float
    gpu: Gpu
    model: Served
    case_id: str = ""

    @property
    def key(self) -> str:
        """Name of the row: its sweep and batch."""
        return f"{self.sweep}|{self.batch:.0f}"


@cache
def _shapes() -> dict[str, Mapping[str, str]]:
    return {row["model_id"]: row for row in _read("served_models.csv")}


def sweep_key(row: Mapping[str, str]) -> str:
    """Name of the sweep that a row is of: model, GPU, GPUs and precision."""
    return "|".join(row[name] for name in ("model_id", "gpu_model", "num_gpus", "weight_precision"))


def point(row: Mapping[str, str]) -> Point:
    """Read a row of a sweep.

    Raises
    ------
    UnknownNameError
        If the model or the GPU is not known.
    RangeError
        If a figure or the precision cannot be read.
    """
    model_id = row["model_id"]
    shape = lookup(_shapes(), model_id.removesuffix("-FP8"), "served model")
    precisions = {"bfloat16": "bf16", "float16": "bf16", "fp8": "fp8"}
    if row["weight_precision"] not in precisions:
        raise RangeError(f"weight_precision must be one of {', '.join(precisions)}, got '{row['weight_precision']}'")
    try:
        gpus, output = float(row["num_gpus"]), float(row["avg_output_len"])
        batch = float(row["avg_batch_size"] or row["max_num_seqs"])
        active, total = (1e9 * float(row[f"{what}_params_billions"]) for what in ("activated", "total"))
    except ValueError:
        raise RangeError("counts, lengths and sizes must be numbers") from None
    experts, top_k = float(shape["experts"] or 0), float(shape["top_k"] or 0)
    visited = top_k / experts if experts else 1.0
    dense = max((active - total * visited) / (1.0 - visited), LEAST_DENSE * active) if experts else total
    key = catalog().resolve("gpus", row["gpu_model"])
    return Point(
        sweep=sweep_key(row),
        family=architecture(key),
        batch=max(batch, 1.0),
        output=output,
        gpus=gpus,
        rated_w=catalog().row("gpus", key, "tdp_w").value,
        gpu=gpu(key, precisions[row["weight_precision"]], "ib-ndr400"),
        model=Served(
            layers=float(shape["layers"]),
            active_params=active,
            total_params=total,
            dense_params=dense,
            experts=experts,
            top_k=top_k,
            cache_b=2.0 * 2.0 * float(shape["attention_layers"]) * float(shape["kv_heads"]) * float(shape["head_dim"]),
            state_b=float(shape["state_b"] or 0),
        ),
    )


@dataclass(frozen=True)
class Points:
    """Rows together, as arrays of shape (n,)."""

    batch: Any
    output: Any
    gpus: Any
    rated_w: Any
    gpu: Gpu
    model: Served
    blackwell: Any

    def step(self, values: Mapping[str, float]) -> DecodeStep:
        """Steps under fitted values."""
        fit = serving_calibration(values)
        return decode_step(
            self.model, self.batch, prompt=PROMPT_TOKENS, output=self.output, gpu=self.gpu, gpus=self.gpus, fit=fit
        )

    def power_w(self, step: DecodeStep, values: Mapping[str, float]) -> Any:
        """Power of all GPUs of each row under fitted values. [W]"""
        fit = serving_power(values, self.blackwell)
        moe = np.asarray(self.model.experts) > 0
        return self.gpus * self.rated_w * serving_power_frac(step.memory_frac, step.compute_frac, moe, fit)


def serving_calibration(values: Mapping[str, float]) -> ServingCalibration:
    """Calibration of fitted values, which may hold others besides."""
    return ServingCalibration(**{field.name: values[field.name] for field in fields(ServingCalibration)})


def prompt_eight_bit_eff() -> float:
    """Rate of 8-bit over that of 16-bit products relative to their peaks, by published best rates of products. [1]

    The serving sweeps know only prompts of about 150 tokens, whose products are small.
    """
    return fitted("gemm")["all"].parameters["fp8"]


def serving_power(values: Mapping[str, float], blackwell: Any) -> ServingPower:
    """Power of fitted values, scaled where the GPU is of Blackwell's architecture."""
    named = {field.name: values[field.name] for field in fields(ServingPower) if field.name != "scale"}
    return ServingPower(**named, scale=np.where(blackwell, values["blackwell"], 1.0))


def together(points: Sequence[Point]) -> Points:
    """Rows as arrays."""
    return Points(
        batch=np.array([one.batch for one in points]),
        output=np.array([one.output for one in points]),
        gpus=np.array([one.gpus for one in points]),
        rated_w=np.array([one.rated_w for one in points]),
        gpu=stack([one.gpu for one in points]),
        model=stack([one.model for one in points]),
        blackwell=np.array([one.family == "blackwell" for one in points]),
    )


def knots(values: Mapping[str, float], prefix: str) -> tuple[Any, Any]:
    """Log batches of a sweep's own correction and its logarithms, in order."""
    found = sorted(
        (float(np.log(float(name.removeprefix(prefix)))), float(np.log(value)))
        for name, value in values.items()
        if name.startswith(prefix)
    )
    return np.array([x for x, _ in found]), np.array([y for _, y in found])


def correction(values: Mapping[str, float], prefix: str, batch: Any) -> Any:
    """Factor of a sweep's own correction at some batches: piecewise linear in logarithms, flat outside. [1]"""
    at, logs = knots(values, prefix)
    if not len(at):
        return np.ones_like(np.asarray(batch, dtype=float))
    return np.exp(np.interp(np.log(batch), at, logs))
