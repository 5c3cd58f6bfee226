"""The figure over two inputs, and the line on which it breaks even."""

import numpy as np
import plotly.graph_objects as go

from dcsim.units import percent

from ..chart import Chart
from ..page import number
from .folder import Floats, Study, is_constant, label

# Ink that stands out from every colour of both scales, on light and dark pages alike.
INK = "#111111"


def crossing(x: Floats, y: Floats, near: float) -> float | None:
    """Where a line through points passes 0, the place nearest to *near*; None where it does not."""
    found = [
        float(x[i] - y[i] * (x[i + 1] - x[i]) / (y[i + 1] - y[i]))
        for i in range(len(x) - 1)
        if y[i] != y[i + 1] and y[i] * y[i + 1] <= 0
    ]
    return min(found, key=lambda at: abs(at - near)) if found else None


def heat(study: Study) -> Chart | None:
    """Map over the two inputs of ``heat``; None where there are none or all cells are alike."""
    of, table, m = study.said["heat"], study.tables["heat"], study.figure
    if of is None or table["value"].isna().all() or is_constant(table["value"].dropna().to_numpy(dtype=float)):
        return None
    grid = table.pivot(index="second_value", columns="first_value", values="value")
    x, y, z = (np.asarray(axis, dtype=float) for axis in (grid.columns, grid.index, grid.to_numpy()))
    names = [study.short[of[key]] for key in ("first", "second")]
    singles = [float(study.input(of[key])["single"]) for key in ("first", "second")]
    low, high = float(np.nanmin(z)), float(np.nanmax(z))
    around_zero = study.breaks_even and low < 0 < high
    level = 0.0 if study.breaks_even else study.single
    scale = {"colorscale": "RdBu", "zmid": 0.0} if around_zero else {"colorscale": "Viridis"}
    figure = go.Figure(
        go.Heatmap(
            x=x,
            y=y,
            z=m.shown(z),
            colorbar={"title": {"text": m.unit}, "thickness": 12},
            hovertemplate=f"{of['first']} %{{x:,.4g}}<br>{of['second']} %{{y:,.4g}}<br>{m.words} %{{z:,.4g}} {m.unit}"
            "<extra></extra>",
            **scale,
        )
    )
    reading = f"{study.of_plan}Cross: single values, where the map's other inputs all are."
    if level is not None and low < level < high and min(len(x), len(y)) > 1:
        at = float(m.shown(level))
        reading += f" Line: {m.words} {m.full(level)}, interpolated between cells."
        figure.add_trace(
            go.Contour(
                x=x,
                y=y,
                z=m.shown(z),
                contours={"start": at, "end": at, "size": 1, "coloring": "none"},
                line={"width": 3, "color": INK},
                showscale=False,
                hoverinfo="skip",
                name=f"{m.words} {m.full(level)}",
                showlegend=False,
            )
        )
    figure.add_trace(
        go.Scatter(
            x=[singles[0]],
            y=[singles[1]],
            mode="markers",
            marker={"symbol": "x", "size": 11, "color": "#ffffff", "line": {"color": INK, "width": 1.5}},
            name="single values",
            showlegend=False,
            hovertemplate=f"single values: {number(singles[0])} and {number(singles[1])}<extra></extra>",
        )
    )
    figure.update_xaxes(title=f"{label(names[0], 34)} [as stated]", nticks=6)
    figure.update_yaxes(title=f"{label(names[1], 34)} [as stated]", nticks=6)
    return Chart(_finding(study, x, y, z, names, singles), figure, reading)


def _finding(study: Study, x: Floats, y: Floats, z: Floats, names: list[str], singles: list[float]) -> str:
    """How far the first input may go where the second stays, or which sign the whole map has."""
    m, known = study.figure, z[~np.isnan(z)]
    if not study.breaks_even:
        level = "" if study.single is None else f", {m.full(study.single)} at the single values"
        return f"{_upper(m.words)} is {m.text(known.min())} to {m.full(known.max())} over {' and '.join(names)}{level}"
    pick, sign = (np.nanargmax, "below") if known.max() < 0 else (np.nanargmin, "above")
    if known.max() < 0 or known.min() > 0:
        j, i = np.unravel_index(pick(z), z.shape)
        extreme = "at best" if sign == "below" else "at worst"
        return (
            f"{m.words} is {sign} 0 in every cell; {extreme} {m.full(float(z[j, i]))}, "
            f"at {names[0]} {number(x[i])} and {names[1]} {number(y[j])}"
        )
    second = float(np.clip(singles[1], y[0], y[-1]))
    row = np.array([np.interp(second, y, z[:, i]) for i in range(len(x))])
    at = crossing(x, row, singles[0])
    whole = f"{m.words} is above 0 in {percent(float((known > 0).mean()))} of the map"
    if at is None:
        return f"{whole}, and {'never' if np.nanmax(row) < 0 else 'always'} with {names[1]} at {number(second)}"
    rises = np.interp(at, x, row) <= row[np.searchsorted(x, at, side="right").clip(max=len(x) - 1)]
    return (
        f"With {names[1]} at {number(second)}, {m.words} is above 0 where {names[0]} is "
        f"{'above' if rises else 'below'} {number(at)}; {number(singles[0])} is its single value"
    )


def _upper(words: str) -> str:
    return words[0].upper() + words[1:]
