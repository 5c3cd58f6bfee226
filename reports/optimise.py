"""The page of an optimisation: the best designs, the front by each pair of objectives, and what binds."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from .chart import BLUE, GREY, ORANGE, Chart
from .page import charts, number, render

FILE = "optimise.html"
N_ROWS = 60


def write(folder: Path) -> None:
    """Write ``optimise.html`` into the folder of an optimisation, from its tables."""
    (folder / FILE).write_text(html(folder), encoding="utf-8")


def html(folder: Path) -> str:
    """Page of an optimisation; the same tables give the same bytes."""
    said = json.loads((folder / "optimise.json").read_text(encoding="utf-8"))
    points = pd.read_parquet(folder / "points.parquet")
    shown = [one for one in said["objectives"] if one["varies"]] or said["objectives"][:1]
    drawn: list[tuple[str, Chart | None]] = []
    if said["front"]:
        drawn = [(f"front-{i}", scatter(said, points, other, shown[0])) for i, other in enumerate(shown[1:] or [None])]
    return render(
        "optimise.html",
        said=said,
        shown=shown,
        rows=[{**one, "cells": _cells(one)} for one in said["front"][:N_ROWS]],
        n_more=max(0, len(said["front"]) - N_ROWS),
        best={one["point"]: one["objective"] for one in reversed(said["best"])},
        how=_how(said),
        spans=[_span(one) for one in said["design"]],
        binds=_binds(said),
        charts=charts(drawn),
    )


def scatter(said: dict[str, Any], points: pd.DataFrame, across: dict[str, Any] | None, up: dict[str, Any]) -> Chart:
    """All designs by two objectives: dominated ones grey, those that break a limit hollow, the front with its knee.

    Where there is one objective alone, designs stand in the order in which they were tried.
    """
    x_name = "point" if across is None else across["name"]
    x_scale, y_scale = (1.0 if across is None else _scale(across)), _scale(up)
    known = points[points[x_name].notna() & points[up["name"]].notna()]
    front = known[(known["on_front"] == 1) & known["same_as"].isna()]
    knee = said["knee"]["point"]
    groups = (
        ("breaks a limit", known[known["feasible"] == 0], {"symbol": "circle-open", "color": GREY, "size": 8}),
        ("dominated", known[known["dominated"] == 1], {"color": GREY, "size": 7, "opacity": 0.55}),
        ("on the front", front[front["point"] != knee], {"color": BLUE, "size": 9}),
        ("knee", front[front["point"] == knee], {"color": ORANGE, "size": 14, "symbol": "diamond"}),
    )
    figure = go.Figure()
    edge = _edge(front, across, up)
    if len(edge) > 1:
        figure.add_trace(
            go.Scatter(
                x=edge[x_name] * x_scale,
                y=edge[up["name"]] * y_scale,
                mode="lines",
                line={"color": BLUE, "width": 1.5},
                hoverinfo="skip",
                showlegend=False,
            )
        )
    paths = [one["path"] for one in said["design"]]
    for name, rows, marker in groups:
        if len(rows):
            figure.add_trace(
                go.Scatter(
                    x=rows[x_name] * x_scale,
                    y=rows[up["name"]] * y_scale,
                    mode="markers",
                    name=f"{name} ({len(rows)})" if name != "knee" else f"knee, design {knee}",
                    marker=marker,
                    text=[_label(row, paths) for row in rows.to_dict("records")],
                    hovertemplate="%{text}<br>%{x:,.6g}, %{y:,.6g}<extra></extra>",
                )
            )
    figure.update_xaxes(title="design, as tried [number]" if across is None else _axis(across), nticks=6)
    figure.update_yaxes(title=_axis(up))
    n = len(said["front"])
    if across is None:
        finding = f"{up['name']} is best in design {said['best'][0]['point']}: {_value(up, up['best'])}"
        return Chart(finding, figure, "The only objective that differs between designs.")
    best = {one["objective"]: one["point"] for one in said["best"]}
    both = front[(front[x_name] == across["best"]) & (front[up["name"]] == up["best"])]
    if len(both):
        finding = f"Design {both['point'].iloc[0]} has the best {up['name']} and the best {across['name']} of all"
    else:
        ends = [points[points["point"] == best[of["name"]]].iloc[0] for of in (up, across)]
        gap = [abs(ends[0][of["name"]] - ends[1][of["name"]]) for of in (up, across)]
        finding = (
            f"The best {up['name']} and the best {across['name']} are {_value(up, gap[0])} and "
            f"{_value(across, gap[1])} apart"
        )
    reading = f"{n} designs of {len(said['objectives'])} objectives are on the front."
    if len(edge) > 1:
        reading += f" The line joins the {len(edge)} that are best by these two alone."
    return Chart(finding, figure, reading)


def _edge(front: pd.DataFrame, across: dict[str, Any] | None, up: dict[str, Any]) -> pd.DataFrame:
    """Designs of the front that are on the front of two objectives alone, in order of the first."""
    if across is None:
        return front.iloc[:0]
    ways = [of["better"] == "less" for of in (across, up)]
    order = front.sort_values([across["name"], up["name"], "point"], ascending=[*ways, True])
    gain = order[up["name"]] * (-1 if ways[1] else 1)
    edge: pd.DataFrame = order[gain > gain.cummax().shift(fill_value=-float("inf"))]
    return edge


def _scale(of: dict[str, Any]) -> float:
    return 1e-6 if of["unit"] == "USD" and max(abs(of["worst"]), abs(of["best"])) >= 1e6 else 1.0


def _axis(of: dict[str, Any]) -> str:
    unit = f"M {of['unit']}" if _scale(of) != 1.0 else of["unit"]
    return f"{of['name']} [{unit}], {of['better']} is better"


def _value(of: dict[str, Any], value: float) -> str:
    unit = "" if of["unit"] == "1" else f" {of['unit']}"
    return f"{number(value)}{unit}"


def _label(row: dict[str, Any], paths: list[str]) -> str:
    return f"design {row['point']}<br>" + "<br>".join(f"{path}={_plain(row[path])}" for path in paths)


def _plain(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _cells(one: dict[str, Any]) -> list[str]:
    """Values of a design in the order of the choices."""
    return [text.partition("=")[2] for text in one["design"]]


def _how(said: dict[str, Any]) -> str:
    """How the designs were found, in a sentence."""
    search, tried = said["search"], said["points"]["tried"]
    if search["method"] == "grid":
        return f"All {tried} designs were tried."
    of = "" if search["designs"] is None else f" of {search['designs']:,}"
    return (
        f"{tried}{of} designs were tried, in {search['generations']} generations of up to {search['population']} "
        f"(NSGA-II, seed {search['seed']})."
    )


def _span(one: dict[str, Any]) -> dict[str, Any]:
    """A choice with the values that it may take, and how many designs of the front stand at its ends."""
    values = one["values"]
    text = f"{values[0]} to {values[-1]}" if one["continuous"] or len(values) > 6 else ", ".join(values)
    return {**one, "text": text}


def _binds(said: dict[str, Any]) -> str:
    """What binds on the front, in a sentence."""
    n = len(said["front"])
    most = said["binding"][0] if said["binding"] else None
    limits = [one for one in said["limits"] if one["keeps_off_front"]]
    told = "" if most is None else f"{most['binding']} binds in {most['points']} of the {n} designs on the front"
    if limits:
        told += f"; {limits[0]['limit']} keeps {limits[0]['keeps_off_front']} off it"
    return told[:1].upper() + told[1:]
