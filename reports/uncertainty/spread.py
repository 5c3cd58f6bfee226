"""What the draws give: distributions, side by side and as differences to the plan."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dcsim.units import percent

from ..chart import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, YELLOW, Chart
from .folder import Floats, Measure, Study, is_constant

FEWEST_BINS, MOST_BINS = 8, 50
N_CURVE = 200
# Room above the bars for the labels of percentiles.
HEADROOM = 1.3
LINES_TO = 0.88
ROW_PX, GAP_PX, REST_PX = 150, 34, 90
COLOURS = (GREY, BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW)


def bins(values: Floats, span: float = 0.0) -> Floats:
    """Edges of a histogram by Freedman and Diaconis' rule within limits; one thin bin where all values are alike."""
    low, high = float(values.min()), float(values.max())
    if is_constant(values):
        half = 0.01 * span or 0.05 * abs(low) or 0.5
        return np.array([low - half, low + half])
    quarter, three = np.quantile(values, (0.25, 0.75))
    width = 2.0 * (three - quarter) / len(values) ** (1 / 3)
    n = int(np.ceil((high - low) / width)) if width > 0 else MOST_BINS
    return np.linspace(low, high, min(max(n, FEWEST_BINS), MOST_BINS) + 1)


def rows_of(n: int, two_axes: bool = False) -> go.Figure:
    """An empty figure of some rows over one axis, with room for a name above each where there are several."""
    height = 380 if n == 1 else REST_PX + n * (ROW_PX + GAP_PX)
    gap = 0.0 if n == 1 else GAP_PX / (height - REST_PX)
    specs = [[{"secondary_y": two_axes}]] * n
    figure = make_subplots(n, 1, shared_xaxes=True, vertical_spacing=gap, specs=specs)
    for axis in figure.select_yaxes() if n > 1 else ():
        if axis.domain is not None:
            axis.domain = [end * (1.0 - gap / 2.0) for end in axis.domain]
    return figure.update_layout(height=height)


def _curve(values: Floats) -> tuple[Floats, Floats]:
    """Cumulative distribution: all values, or of many some that stand for them."""
    if len(values) <= N_CURVE:
        return np.sort(values), np.arange(1, len(values) + 1) / len(values)
    reached = np.linspace(0.0, 1.0, N_CURVE + 1)
    return np.quantile(values, reached), reached


def _rows(of: Sequence[tuple[str, Floats]], measure: Measure, title: str, zero: bool) -> go.Figure:
    """Histograms under one another on one axis, each with its cumulative share, P10, P50 and P90."""
    n = len(of)
    figure = rows_of(n, two_axes=True)
    figure.update_yaxes(showgrid=False, secondary_y=True)
    low, high = _ends([values for _, values in of])
    if zero and _near_zero(low, high):
        low, high = min(low, 0.0), max(high, 0.0)
        for row in range(1, n + 1):
            _line(figure, row, 0.0, RED, "solid")
    for row, (name, values) in enumerate(of, start=1):
        edges = bins(values, high - low)
        low, high = min(low, edges[0]), max(high, edges[-1])
        counts, _ = np.histogram(values, edges)
        shown = measure.shown(edges)
        bar = go.Bar(
            x=(shown[1:] + shown[:-1]) / 2,
            y=counts,
            width=np.diff(shown),
            customdata=np.stack([shown[:-1], shown[1:]], axis=1),
            name="draws",
            showlegend=n == 1,
            marker={"color": BLUE, "opacity": 0.7, "line": {"width": 0}},
            hovertemplate=f"%{{customdata[0]:,.4g}} to %{{customdata[1]:,.4g}} {measure.unit}: %{{y}} draws"
            f"<extra>{name}</extra>",
        )
        figure.add_trace(bar, row=row, col=1, secondary_y=False)
        at, reached = _curve(values)
        line = go.Scatter(
            x=measure.shown(at),
            y=reached.round(4),
            name="share at or below",
            showlegend=n == 1,
            mode="lines",
            line={"color": ORANGE, "width": 2, "shape": "hv" if len(values) <= N_CURVE else "linear"},
            hovertemplate=f"%{{y:.0%}} of the draws up to %{{x:,.4g}} {measure.unit}<extra>{name}</extra>",
        )
        figure.add_trace(line, row=row, col=1, secondary_y=True)
        figure.update_yaxes(
            title="draws [1]", range=[0, HEADROOM * counts.max()], nticks=5, row=row, col=1, secondary_y=False
        )
        figure.update_yaxes(
            range=[0, HEADROOM],
            tickvals=[0, 0.5, 1],
            tickformat=".0%",
            showgrid=False,
            row=row,
            col=1,
            secondary_y=True,
        )
        _mark(figure, row, values, measure)
        if n > 1:
            figure.add_annotation(
                text=f"<b>{name}</b>",
                **_place(row, 0.0, 1.0),
                xanchor="left",
                yanchor="bottom",
            )
    room = 0.12 * (high - low)
    figure.update_xaxes(range=measure.shown([low - room, high + room]).tolist(), nticks=7)
    figure.update_xaxes(title=title, row=n, col=1)
    figure.update_layout(bargap=0)
    return figure


def _axes(row: int) -> tuple[str, str]:
    """Names of a row's axes; every row has two of the second kind."""
    return ("x", "y") if row == 1 else (f"x{row}", f"y{2 * row - 1}")


def _place(row: int, x: float, y: float) -> dict[str, object]:
    across, up = _axes(row)
    return {"xref": f"{across} domain", "yref": f"{up} domain", "x": x, "y": y, "showarrow": False}


def _line(figure: go.Figure, row: int, x: float, colour: str, dash: str) -> None:
    across, up = _axes(row)
    figure.add_shape(
        type="line",
        xref=across,
        yref=f"{up} domain",
        x0=x,
        x1=x,
        y0=0,
        y1=LINES_TO,
        line={"color": colour, "dash": dash},
    )


def _mark(figure: go.Figure, row: int, values: Floats, measure: Measure) -> None:
    """Lines at P10, P50 and P90, labelled outwards so that narrow ones stay readable."""
    across, up = _axes(row)
    marks = [("P50", 0.5, "center", 1.0)]
    if not is_constant(values):
        marks += [("P10", 0.1, "right", LINES_TO), ("P90", 0.9, "left", LINES_TO)]
    for name, at, anchor, height in marks:
        value = float(np.quantile(values, at))
        shown = float(measure.shown(value))
        _line(figure, row, shown, GREY, "dot")
        figure.add_annotation(
            text=f"{name} {measure.text(value)}",
            x=shown,
            y=height,
            xref=across,
            yref=f"{up} domain",
            xanchor=anchor,
            yanchor="top",
            showarrow=False,
            font={"size": 11},
        )


def _ends(of: Sequence[Floats]) -> tuple[float, float]:
    return min(float(values.min()) for values in of), max(float(values.max()) for values in of)


def _near_zero(low: float, high: float) -> bool:
    """Whether 0 is not so far from all values that an axis with it would hide them."""
    return max(low, -high) <= high - low


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _undefined(study: Study) -> str:
    of = [f"{side['n_undefined']} of {side['name']}" for side in study.drawn if side["n_undefined"]]
    return f" Draws in which it is undefined are left out: {', '.join(of)}." if of else ""


def _zero_said(of: Sequence[Floats], zero: bool) -> str:
    """Where 0 stands: a line, or a word where it is off the axis."""
    if not zero:
        return ""
    low, high = _ends(of)
    if _near_zero(low, high):
        return " Red: 0."
    return f" 0 is off to the {'left' if low > 0 else 'right'}."


def distribution(study: Study) -> Chart:
    """The figure that decides over the draws, a side a row."""
    of = [(side["name"], _known(study.values(side["name"]))) for side in study.drawn]
    m, best = study.figure, study.best
    spread = f"P10 {m.text(best['p10'])}, P50 {m.text(best['p50'])}, P90 {m.full(best['p90'])}"
    values = _known(study.values(best["name"]))
    what = m.words[0].upper() + m.words[1:]
    if len(study.sides) > 1:
        most = "lowest" if study.less_is_better else "highest"
        finding = f"{best['name']} has the {most} mean {m.words}, {m.full(best['mean'])}"
        if best["loss_frac"] is not None:
            finding += f"; it is below 0 in {percent(best['loss_frac'])} of the draws"
    elif is_constant(values):
        finding = f"{what} is {m.full(best['p50'])} in every draw"
    elif best["loss_frac"] is not None:
        finding = f"{what} is below 0 in {percent(best['loss_frac'])} of the draws: {spread}"
    else:
        finding = f"{what} is {m.text(best['p10'])} to {m.full(best['p90'])} in 80% of the draws"
        finding += f", {m.text(best['p50'])} in the middle"
    figure = _rows(of, m, m.axis, study.breaks_even)
    reading = "Bars: draws. Orange: share of the draws at or below, right axis. Dots: percentiles."
    reading += _zero_said([values for _, values in of], study.breaks_even) + study.left_out + _undefined(study)
    return Chart(finding, figure, reading)


def curves(study: Study) -> Chart | None:
    """Cumulative distributions of all sides in one; None of one side."""
    if len(study.sides) == 1:
        return None
    m = study.figure
    figure = go.Figure()
    for i, side in enumerate(study.drawn):
        at, reached = _curve(_known(study.values(side["name"])))
        figure.add_trace(
            go.Scatter(
                x=m.shown(at),
                y=reached.round(4),
                name=side["name"],
                mode="lines",
                line={"color": COLOURS[i % len(COLOURS)], "width": 2},
                hovertemplate=f"%{{y:.0%}} of the draws up to %{{x:,.4g}} {m.unit}<extra>{side['name']}</extra>",
            )
        )
    figure.update_xaxes(title=m.axis)
    figure.update_yaxes(
        title="share of the draws at or below [%]", tickformat=".0%", tickvals=[0, 0.1, 0.5, 0.9, 1], range=[0, 1.02]
    )
    if study.breaks_even:
        figure.add_vline(x=0.0, line={"color": RED, "width": 1})
    toward = "left" if study.less_is_better else "right"
    reading = f"A curve further {toward} is better. Best mean: {study.best['name']}."
    return Chart(_order(study), figure, reading + study.left_out)


def _order(study: Study) -> str:
    """Which side is best at which percentile."""
    names = ("p5", "p10", "p50", "p90", "p95")
    pick = min if study.less_is_better else max
    winners = {}
    for at in names:
        best = pick(side[at] for side in study.sides)
        winners[at] = next(side["name"] for side in study.sides if side[at] == best)
    if len(set(winners.values())) == 1:
        return f"{winners['p50']} has the best {study.figure.words} at every percentile from P5 to P95"
    told: dict[str, list[str]] = {}
    for at, name in winners.items():
        told.setdefault(name, []).append(at.upper())
    return "The curves cross: " + ", ".join(f"{name} is best at {' and '.join(at)}" for name, at in told.items())


def differences(study: Study) -> Chart | None:
    """Difference of each alternative to the plan, draw by draw; None without alternatives."""
    plan, *others = study.drawn
    if not others:
        return None
    m, base = study.figure, study.values(plan["name"])
    of = [(side["name"], _known(study.values(side["name"]) - base)) for side in others]
    of = [(name, values) for name, values in of if len(values)]
    if not of:
        return None
    sign = -1.0 if study.less_is_better else 1.0
    lead = max(others, key=lambda side: sign * side["delta_mean"])
    ends = f"P10 {m.text(lead['delta_p10'], True)}, P90 {m.text(lead['delta_p90'], True)}"
    finding = (
        f"{lead['name']} is better than {plan['name']} in {percent(lead['better_frac'])} of the draws: "
        f"{m.full(lead['delta_mean'], True)} on average, {ends}"
    )
    figure = _rows(of, m, f"difference of {m.words} to {plan['name']} [{m.unit or '1'}]", True)
    reading = "Both take the same draw of every input they share, so what they share cancels."
    reading += _zero_said([values for _, values in of], True).replace("Red: 0", "Red: no difference")
    return Chart(finding, figure, reading + study.left_out)
