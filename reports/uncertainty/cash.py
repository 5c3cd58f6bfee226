"""Cumulated cash by month over the draws, a fan for each side."""

import numpy as np
import plotly.graph_objects as go

from ..chart import BLUE, GREY, Chart
from .folder import Study

FAN = "rgba(86,180,233,0.35)"


def fans(study: Study) -> list[tuple[str, Chart]]:
    """P10 to P90 of cumulated cash with its P50, all sides on one range."""
    table = study.tables["cash"]
    table = table[table["side"].isin([side["name"] for side in study.drawn])]
    bands = [f"cumulative_p{n}_usd" for n in (10, 50, 90)]
    if table.empty:
        return []
    flows = table[bands].to_numpy(dtype=float) / 1e6
    low, high = float(flows.min()), float(flows.max())
    room = 0.05 * (max(high, 0.0) - min(low, 0.0)) or 1.0
    span = [min(low, 0.0) - room, max(high, 0.0) + room]
    months_of_all = [str(table["month"].min()), str(table["month"].max())]
    found = []
    for i, side in enumerate(study.drawn):
        rows = table[table["side"] == side["name"]].sort_values("month")
        months = rows["month"].astype(str).tolist()
        p10, p50, p90 = (rows[band].to_numpy(dtype=float) / 1e6 for band in bands)
        figure = go.Figure()
        for name, values, line, fill in (
            ("P90", p90, {"width": 0.5, "color": BLUE}, None),
            ("P10", p10, {"width": 0.5, "color": BLUE}, "tonexty"),
            ("P50", p50, {"width": 2.5, "color": BLUE}, None),
        ):
            figure.add_trace(
                go.Scatter(
                    x=months,
                    y=values.round(5),
                    name="P10 to P90" if fill else name,
                    showlegend=name != "P90",
                    mode="lines",
                    line=line,
                    fill=fill,
                    fillcolor=FAN if fill else None,
                    hovertemplate="%{x|%Y-%m}: %{y:,.2f} M USD<extra>" + name + "</extra>",
                )
            )
        figure.add_hline(y=0.0, line={"color": GREY, "width": 1.5})
        figure.update_yaxes(title="cumulative cash flow [M USD]", range=span)
        figure.update_xaxes(title="month", range=months_of_all, nticks=5, tickformat="%Y-%m", tickangle=0)
        whose = f"{side['name']}: c" if len(study.sides) > 1 else "C"
        finding = f"{whose}umulative cash {_turn(months, p50)}"
        reading = "Project cash flow before tax and financing, undiscounted; percentiles of each month by itself."
        if len(study.sides) > 1:
            reading += " All sides have one scale."
        deepest = int(p50.argmin())
        ends = f"{_turn(months, p10, 'at P10')}, {_turn(months, p90, 'at P90')}"
        reading += f" P50 is lowest in {months[deepest]}, {p50[deepest]:,.2f} M USD. It {ends}."
        found.append((f"cash-{i}", Chart(finding, figure, reading)))
    return found


def _turn(months: list[str], cumulated: np.ndarray, at: str = "at P50") -> str:
    """When a curve is above 0 for good."""
    below = np.flatnonzero(cumulated < 0)
    if not len(below):
        return f"is never below 0 {at}"
    if below[-1] == len(months) - 1:
        return f"does not turn positive {at}: {cumulated[-1]:,.2f} M USD in {months[-1]}"
    return f"turns positive in {months[int(below[-1]) + 1]} {at}"
