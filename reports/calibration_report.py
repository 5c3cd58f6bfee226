"""The report of a machine's profile: what was measured, how well the fits hold, and what none of them saw."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dcsim.catalog.load import catalog
from dcsim.physics.collectives import BUS_FACTOR

from .chart import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, YELLOW, Chart
from .page import charts, render

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, RED, GREY)
Body = Mapping[str, Any]


def write(body: Body, path: Path) -> None:
    """Write the report of a profile: aside, then in place of what was there."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(html(body), encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def html(body: Body) -> str:
    """Page of a profile; the same profile gives the same bytes."""
    return render(
        "calibration_report.html",
        body=body,
        charts=charts((name, draw(body)) for name, draw in FIGURES.items()),
        rows=_rows(body),
    )


def _rows(body: Body) -> list[dict[str, Any]]:
    """Parameters with a value first, each with the half-width of its interval."""
    rows = []
    for name, one in body["parameters"].items():
        half = None
        if one["value"]:
            half = 100.0 * (math.sqrt(one["high"] / one["low"]) - 1.0) if one["low"] > 0 else None
        rows.append({"name": name, "half_pct": half, **one})
    return sorted(rows, key=lambda row: (row["value"] is None, row["name"]))


def _curves(body: Body, start: str) -> dict[str, Body]:
    return {name: of for name, of in body["curves"].items() if name.split(".")[0] == start}


def products(body: Body) -> Chart | None:
    """Rate of matrix products by their operations, with the fit."""
    curves = _curves(body, "gemm")
    if not curves:
        return None
    figure = go.Figure()
    best = []
    for colour, (name, of) in zip(COLOURS, curves.items(), strict=False):
        points = sorted(of["points"], key=lambda point: _flop(point["size"]))
        flop = np.array([_flop(point["size"]) for point in points])
        best.append(f"{name.split('.')[1]} {of['values']['flop_s'] / 1e12:.3g} TFLOP/s")
        for key, mode, label in (("measured", "markers", "measured"), ("predicted", "lines", "fitted")):
            figure.add_trace(
                go.Scatter(
                    x=flop,
                    y=[f / point[key] / 1e12 for f, point in zip(flop, points, strict=True)],
                    mode=mode,
                    name=f"{name} {label}",
                    line={"color": colour, "width": 1.5},
                    marker={"color": colour, "size": 7},
                    text=[_sizes(point["size"]) for point in points],
                    hovertemplate="%{text}: %{y:.3g} TFLOP/s<extra></extra>",
                )
            )
    figure.update_xaxes(type="log", title="operations of a product [FLOP]")
    figure.update_yaxes(type="log", title="rate [TFLOP/s]")
    worst = max(of["max_rel_err"] for of in curves.values())
    return Chart(
        f"Large matrix products run at {' and '.join(best)}",
        figure,
        f"Cubes and a model's own shapes. The fit misses its worst point by {worst:.0%}.",
    )


def _flop(size: Body) -> float:
    return 2.0 * float(size["m"]) * float(size["n"]) * float(size["k"])


def _sizes(size: Body) -> str:
    return ", ".join(f"{name} {value}" for name, value in size.items())


def roofline(body: Body) -> Chart | None:
    """Rate against operations a byte, with the roofs that memory and matrix units set."""
    memory = (body["parameters"].get("copy.b_s") or {}).get("value")
    curves = _curves(body, "gemm")
    if memory is None or not curves:
        return None
    figure = go.Figure()
    intensity = np.logspace(-1, 4, 60)
    above = 0
    for colour, (name, of) in zip(COLOURS, curves.items(), strict=False):
        top = of["values"]["flop_s"]
        figure.add_trace(
            go.Scatter(
                x=intensity,
                y=np.minimum(top, memory * intensity) / 1e12,
                mode="lines",
                name=f"roof, {name}",
                line={"color": colour, "dash": "dash", "width": 1.5},
            )
        )
        wide = 4.0 if name.endswith("fp32") else 2.0
        x, y = [], []
        for point in of["points"]:
            m, n, k = (point["size"][side] for side in "mnk")
            x.append(_flop(point["size"]) / (wide * (m * k + k * n + m * n)))
            y.append(_flop(point["size"]) / point["measured"] / 1e12)
            above += y[-1] * 1e12 > memory * x[-1]
        figure.add_trace(go.Scatter(x=x, y=y, mode="markers", name=name, marker={"color": colour, "size": 7}))
    figure.update_xaxes(type="log", title="operations a byte of memory [FLOP/B]")
    figure.update_yaxes(type="log", title="rate [TFLOP/s]")
    ridge = max(of["values"]["flop_s"] for of in curves.values()) / memory
    return Chart(
        f"Work of fewer than {ridge:.0f} operations a byte is bound by memory at {memory / 1e9:.4g} GB/s",
        figure,
        "Bytes are those of each matrix once."
        + (f" {above} products above the slope found theirs in a cache." if above else ""),
    )


def collectives(body: Body) -> Chart | None:
    """Bus bandwidth by message size and operation, with the fit and published plateaus of the same GPU."""
    curves = {name: of for start in BUS_FACTOR for name, of in _curves(body, start).items()}
    if not curves:
        return None
    figure = go.Figure()
    for colour, (name, of) in zip(COLOURS, curves.items(), strict=False):
        points = sorted(of["points"], key=lambda point: float(point["size"]["size_b"]))
        for key, mode, label in (("measured", "markers", "measured"), ("predicted", "lines", of["form"])):
            figure.add_trace(
                go.Scatter(
                    x=[point["size"]["size_b"] for point in points],
                    y=[_bus_gb_s(name, point["size"], point[key]) for point in points],
                    mode=mode,
                    name=f"{name} {label}",
                    line={"color": colour, "width": 1.5},
                    marker={"color": colour, "size": 6},
                    hovertemplate="%{x} B: %{y:.3g} GB/s<extra></extra>",
                )
            )
    published = _plateaus(body)
    for name, value in published.items():
        figure.add_hline(y=value / 1e9, line={"color": GREY, "dash": "dot"}, annotation_text=f"published {name}")
    figure.update_xaxes(type="log", title="message [B]")
    figure.update_yaxes(type="log", title="bus bandwidth [GB/s]")
    first = next((name for name in curves if name.startswith("all_reduce")), next(iter(curves)))
    one = body["parameters"][f"{first}.bus_b_s"]
    against = published.get(first)
    beside = "" if against is None else f", {one['value'] / against:.0%} of the published {against / 1e9:.4g} GB/s"
    none = "" if published else " No plateau of this device is published in the catalog."
    return Chart(
        f"Long messages of {first} reach {one['value'] / 1e9:.3g} GB/s of bus bandwidth{beside}",
        figure,
        f"Bandwidth as nccl-tests defines it, over {body['device']['ranks']} ranks.{none}",
    )


def _bus_gb_s(name: str, size: Body, seconds: float) -> float:
    return float(BUS_FACTOR[name.split(".")[0]](float(size["ranks"]))) * float(size["size_b"]) / seconds / 1e9


def _plateaus(body: Body) -> dict[str, float]:
    """Published bus bandwidths of the same GPU, of parameters that the profile holds."""
    key = catalog().resolve("gpus", str(body["device"]["name"]))
    if key not in catalog().keys("gpu_references"):
        return {}
    rows = catalog().part("gpu_references", key)
    ending = ".bus_b_s"
    return {
        name.removesuffix(ending): row.value
        for name, row in rows.items()
        if name.endswith(ending) and name.removesuffix(ending) in body["curves"]
    }


def residuals(body: Body) -> Chart | None:
    """How far every fit misses every point, and what it would have said of the point without it."""
    curves = body["curves"]
    if not curves:
        return None
    figure = go.Figure()
    worst, where = 0.0, ""
    for name, of in curves.items():
        if len(of["points"]) < 2:
            continue  # met exactly
        errors = [100.0 * (point["predicted"] / point["measured"] - 1.0) for point in of["points"]]
        figure.add_trace(
            go.Box(
                y=errors,
                name=name,
                boxpoints="all",
                jitter=0.3,
                pointpos=0,
                marker={"color": BLUE, "size": 5},
                line={"width": 1},
                showlegend=False,
                text=[_sizes(point["size"]) for point in of["points"]],
                hovertemplate="%{text}: %{y:.1f} %<extra></extra>",
            )
        )
        if of["max_rel_err"] > worst:
            worst, where = of["max_rel_err"], name
    left = [of["left_out_median_rel_err"] for of in curves.values() if of["left_out_median_rel_err"] is not None]
    figure.update_yaxes(title="fitted over measured, less 1 [%]")
    outside = f" A point that was left out is predicted within {np.median(left):.0%} (median)." if left else ""
    return Chart(
        f"The fits miss their points by at most {worst:.0%}, in {where}", figure, f"A dot is one size.{outside}"
    )


def power_by_phase(body: Body) -> Chart | None:
    """Mean power of each phase with its interval."""
    ending = ".w"
    known = {
        name.removesuffix(ending): one
        for name, one in body["parameters"].items()
        if name.startswith(("power.", "node_power.")) and one["value"] is not None
    }
    if not known:
        return None
    rows = sorted(known.items(), key=lambda item: float(item[1]["value"]))
    figure = go.Figure(
        go.Bar(
            x=[one["value"] for _, one in rows],
            y=[name.removeprefix("power.") for name, _ in rows],
            orientation="h",
            marker={"color": BLUE},
            error_x={
                "array": [one["high"] - one["value"] for _, one in rows],
                "arrayminus": [one["value"] - one["low"] for _, one in rows],
            },
            hovertemplate="%{y}: %{x:.4g} W<extra></extra>",
        )
    )
    figure.update_xaxes(title="mean power [W]", rangemode="tozero")
    (low_name, low), (high_name, high) = rows[0], rows[-1]
    return Chart(
        f"Power runs from {low['value']:.0f} W ({low_name}) to {high['value']:.0f} W ({high_name})",
        figure,
        f"By {body['meter']['source']}; bars are 95 % intervals.",
    )


def steps(body: Body) -> Chart | None:
    """Training steps as predicted from the kernels, by part, beside those measured."""
    known = {name: one for name, one in body["holdout"].items() if one["predicted_s"] is not None}
    if not known:
        return None
    figure = go.Figure()
    names = list(known)
    parts = list(next(iter(known.values()))["parts_s"])
    for colour, part in zip(COLOURS, parts, strict=False):
        figure.add_trace(
            go.Bar(
                x=[f"{_short(name)}<br>predicted" for name in names],
                y=[1e3 * known[name]["parts_s"][part] for name in names],
                name=part,
                marker={"color": colour},
            )
        )
    figure.add_trace(
        go.Bar(
            x=[f"{_short(name)}<br>measured" for name in names],
            y=[1e3 * known[name]["measured_s"] for name in names],
            name="measured",
            marker={"color": GREY},
        )
    )
    figure.update_layout(barmode="stack")
    order = [f"{_short(name)}<br>{what}" for name in names for what in ("predicted", "measured")]
    figure.update_xaxes(categoryorder="array", categoryarray=order)
    figure.update_yaxes(title="time of a step [ms]")
    errors = [one["rel_err"] for one in known.values()]
    return Chart(
        f"Training steps that no fit saw are predicted {min(errors):+.0%} to {max(errors):+.0%} off",
        figure,
        "Predicted from matrix products, attention, element-wise passes and an all-reduce alone; the gap is the "
        "profile's model error.",
    )


def _short(name: str) -> str:
    """Name of a step for an axis: model, data type, and whether ranks exchanged gradients."""
    kind, model, dtype = name.split(".")
    return f"{model} {dtype}" + ("" if kind == "training_step" else ", no exchange")


FIGURES = {
    "products": products,
    "roofline": roofline,
    "collectives": collectives,
    "residuals": residuals,
    "power": power_by_phase,
    "steps": steps,
}
