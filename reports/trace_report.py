"""The page of a job trace: sizes, arrivals and run times as `dcsim trace describe` found them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from .chart import BLUE, GREEN, ORANGE, Chart
from .page import charts, render

Body = Mapping[str, Any]


def write(body: Body, path: Path) -> None:
    """Write the page of a trace."""
    path.write_text(html(body), encoding="utf-8")


def html(body: Body) -> str:
    """Page of a trace; the same figures give the same bytes."""
    drawn = FIGURES if body["statistics"]["usable"] else {}
    return render("trace_report.html", body=body, charts=charts((name, draw(body)) for name, draw in drawn.items()))


def sizes(body: Body) -> Chart:
    """Shares of jobs and of the load by width."""
    rows = body["statistics"]["sizes"]
    unit = body["width"]
    names = [_span(row["up_to"]) for row in rows]
    figure = go.Figure()
    for key, label, colour in (("jobs", "jobs", BLUE), ("width_hours", f"{unit[:-1]}-hours", ORANGE)):
        figure.add_trace(go.Bar(x=names, y=[100.0 * row[key] for row in rows], name=label, marker={"color": colour}))
    figure.update_xaxes(title=f"{unit} of a job", type="category")
    figure.update_yaxes(title="share [%]")
    heaviest = max(rows, key=lambda row: float(row["width_hours"]))
    load, jobs = f"{heaviest['width_hours']:.0%} of the {unit[:-1]}-hours", f"{heaviest['jobs']:.0%} of the jobs"
    return Chart(
        f"{_span(heaviest['up_to'])} {unit}: {load} and {jobs}",
        figure,
        "Widths up to each power of two, above the one before.",
    )


def _span(up_to: float) -> str:
    """Widths up to a power of two and above the one before, in words."""
    if up_to < 1:
        return "part of one"
    return f"{up_to:,.0f}" if up_to <= 2 else f"{up_to / 2 + 1:,.0f} to {up_to:,.0f}"


def hours(body: Body) -> Chart:
    """Arrivals by hour of day."""
    found = body["statistics"]["hours"]
    top = max(range(24), key=lambda hour: float(found[hour]))
    figure = go.Figure(go.Bar(x=list(range(24)), y=found, marker={"color": GREEN}))
    figure.update_xaxes(title="hour of day, the trace's own clock")
    figure.update_yaxes(title="arrivals over the mean")
    return Chart(
        f"Jobs arrive {found[top]:.2f} times the mean at {top:02d}:00 and {min(found):.2f} times in the quietest hour",
        figure,
        f"Counts of an hour vary {body['statistics']['hourly_dispersion']:.3g} times as much as independent ones.",
    )


def times(body: Body) -> Chart | None:
    """Quantiles of run time and wait."""
    found = body["statistics"]
    figure = go.Figure()
    for key, label, colour in (("run_s", "run time", BLUE), ("wait_s", "wait", ORANGE)):
        if found[key] is not None:
            points = [(0.1, "p10"), (0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (1.0, "max")]
            figure.add_trace(
                go.Scatter(
                    x=[max(float(found[key][name]), 1.0) / 3600.0 for _, name in points],
                    y=[100.0 * share for share, _ in points],
                    name=label,
                    mode="lines+markers",
                    line={"color": colour},
                )
            )
    if found["run_s"] is None:
        return None
    figure.update_xaxes(type="log", title="time [h]")
    figure.update_yaxes(title="jobs at most as long [%]")
    run = found["run_s"]
    return Chart(
        f"Half of the jobs run at most {run['p50'] / 3600:.3g} h; the mean is {run['mean'] / 3600:.3g} h",
        figure,
        "Recorded run times and waits at their 10th, 50th, 90th and 99th percentile and maximum; below 1 s as 1 s.",
    )


FIGURES = {"sizes": sizes, "hours": hours, "times": times}
