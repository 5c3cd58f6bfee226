"""Figures of the services of a run: GPUs wanted and had, latency over time, and load."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dcsim.runs import Run

from .chart import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, Chart

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, GREY)


def _of_each(run: Run) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Name, colour and rows of each service, with the week of each row."""
    start = np.datetime64(run.scenario["plan"]["start"], "s")
    names = [one["service"] for one in run.findings["services"]]
    for name, colour in zip(names, COLOURS * (1 + len(names) // len(COLOURS)), strict=False):
        rows = run.services[run.services["service"] == name]
        when = pd.DatetimeIndex(start + rows["start_s"].to_numpy().astype("timedelta64[s]"))
        yield name, colour, rows.assign(week=when.to_period("W").start_time, hour=when.hour)


def _line(x: object, y: object, name: str, colour: str, hover: str, dash: str = "solid") -> go.Scatter:
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        mode="lines",
        line={"color": colour, "width": 1.5, "dash": dash},
        hovertemplate=hover + "<extra>" + name + "</extra>",
    )


def gpus_of_services(run: Run) -> Chart | None:
    """GPUs that services want and have at the busiest hour of each week."""
    found = run.findings["services"]
    if not found:
        return None
    figure = go.Figure()
    for name, colour, rows in _of_each(run):
        split = next(one["gpus_per_replica"] for one in found if one["service"] == name)
        weekly = rows.groupby("week")[["replicas_wanted", "gpus"]].max()
        hover = "week of %{x|%Y-%m-%d}: %{y:,.0f} GPUs"
        wanted = (weekly["replicas_wanted"] * split).round(2)
        figure.add_trace(_line(weekly.index, wanted, f"{name} wants", colour, hover, "dot"))
        figure.add_trace(_line(weekly.index, weekly["gpus"].round(2), f"{name} has", colour, hover))
    figure.update_yaxes(title="GPUs at the busiest hour of the week", rangemode="tozero")
    short = [one for one in found if one["short_intervals"]]
    peak = sum(one["peak_gpus"] for one in found)
    if short:
        finding = (
            f"The pool is too small for {short[0]['service']} in {short[0]['short_intervals']:,} intervals: "
            "more GPUs, or fewer services, would keep its limits"
        )
    else:
        mean = sum(one["mean_gpus"] for one in found)
        finding = f"Services hold {mean:,.0f} GPUs on average and {peak:,.0f} at their peaks; none lacked any"
    return Chart(finding, figure, "What a service has are the GPUs of the whole servers that it holds.")


METRICS = {"ttft": "first token", "tpot": "a token", "e2e": "last token"}


def latency_of_services(run: Run) -> Chart | None:
    """Highest p95 of each latency in each week over its limit, where one is stated."""
    found = run.findings["services"]
    if not any(limit for one in found for limit in one["limits"].values()):
        return None
    figure = go.Figure()
    nearest = ("", "", 0.0)
    for name, colour, rows in _of_each(run):
        (one,) = (of for of in found if of["service"] == name)
        for metric, dash in zip(METRICS, ("solid", "dot", "dash"), strict=True):
            limit_s = one["limits"][f"{metric}_p95_s"]
            if limit_s is None:
                continue
            weekly = rows.groupby("week")[f"{metric}_p95_s"].max() / limit_s
            label = f"{name}, {METRICS[metric]}"
            hover = "week of %{x|%Y-%m-%d}: %{y:.2f} of " + f"{limit_s:g} s"
            figure.add_trace(_line(weekly.index, weekly.round(4), label, colour, hover, dash))
            if weekly.max() > nearest[2]:
                nearest = (name, METRICS[metric], float(weekly.max()))
    figure.update_yaxes(title="worst p95 of the week over its limit", rangemode="tozero")
    worst = min(found, key=lambda one: one["within_limits_frac"] or 0.0)
    known = worst["known_frac"] or 0.0
    finding = (
        f"{100 * (worst['within_limits_frac'] or 0.0):.4g} % of the requests of {worst['service']} come in hours that "
        f"keep its limits"
    )
    if nearest[0]:
        finding += f"; nearest is {nearest[1]} of {nearest[0]}, at {nearest[2]:.2f} of its limit"
    if known < 0.9999:
        finding += f"; of {1 - known:.1%} latency is not known"
    reading = "Gaps: the load is above 0.8, replicas are short or requests wait from before, and no latency is said."
    return Chart(finding, figure, reading)


def load_of_services(run: Run) -> Chart | None:
    """Mean load by hour of the day."""
    if not run.findings["services"]:
        return None
    figure = go.Figure()
    busiest = ("", 0, 0.0)
    for name, colour, rows in _of_each(run):
        hourly = rows.groupby("hour")["load_frac"].mean()
        figure.add_trace(_line(hourly.index, hourly.round(4), name, colour, "%{x} h: load %{y:.2f}"))
        if len(hourly.dropna()) and hourly.max() > busiest[2]:
            busiest = (name, int(hourly.to_numpy().argmax()), float(hourly.max()))
    figure.update_xaxes(title="hour of day, local standard time [h]")
    figure.update_yaxes(title="load", rangemode="tozero")
    finding = f"Replicas of {busiest[0]} are busiest at {busiest[1]} h, with a load of {busiest[2]:.2f}"
    reading = "Requests over the most that the replicas can do, mean of all days; limits on latency keep it below 1."
    return Chart(finding, figure, reading)
