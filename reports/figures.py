"""Figures of a run: each a function that returns a chart and the finding that is its title."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dcsim.finance.ledger import OPERATING, month_name, month_numbers, monthly_flows
from dcsim.runs import Run
from dcsim.units import mw_from_w

from .chart import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, YELLOW, Chart
from .services import gpus_of_services, latency_of_services, load_of_services

Floats = NDArray[np.float64]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _clock(run: Run) -> pd.DatetimeIndex:
    start = np.datetime64(run.scenario["plan"]["start"], "s")
    return pd.DatetimeIndex(start + run.intervals["start_s"].to_numpy().astype("timedelta64[s]"))


def _power(run: Run, column: str) -> Floats:
    return np.asarray(mw_from_w(run.intervals[column].to_numpy()))


def power_over_time(run: Run) -> Chart:
    """Stack of mean power by day, with the utility limit of the energised phases."""
    when = _clock(run)
    day = when.floor("D")
    parts = {
        "IT": ("it_power_w", BLUE),
        "electrical losses": ("electrical_loss_w", ORANGE),
        "cooling": ("cooling_power_w", SKY),
        "other": ("other_power_w", GREY),
    }
    figure = go.Figure()
    for name, (column, colour) in parts.items():
        daily = pd.Series(_power(run, column), index=day).groupby(level=0).mean()
        figure.add_trace(
            go.Scatter(
                x=daily.index,
                y=daily.to_numpy().round(4),
                name=name,
                stackgroup="power",
                line={"width": 0.5, "color": colour},
                hovertemplate="%{x|%Y-%m-%d}: %{y:.2f} MW<extra>" + name + "</extra>",
            )
        )
    limit = np.zeros(len(when))
    for phase in run.scenario["facility"]["phases"]:
        limit[when >= pd.Timestamp(phase["energised"])] += phase["utility_mw"]
    steps = np.flatnonzero(np.diff(limit, prepend=np.nan))
    x = [*when[steps], when[-1]]
    figure.add_trace(
        go.Scatter(
            x=x,
            y=[*limit[steps], limit[-1]],
            name="utility limit",
            mode="lines",
            line={"shape": "hv", "color": RED, "dash": "dash", "width": 1.5},
        )
    )
    facility = _power(run, "facility_power_w")
    top = int(facility.argmax())
    finding = (
        f"Facility power peaks at {facility[top]:.2f} MW on {when[top]:%Y-%m-%d}, "
        f"{facility[top] / limit[top]:.0%} of the {limit[top]:g} MW then connected"
    )
    figure.update_yaxes(title="mean power of the day [MW]", rangemode="tozero")
    return Chart(finding, figure, "Daily means; the peak is the highest single interval.")


def pue_by_month_and_hour(run: Run) -> Chart:
    """Ratio of energies by month of the year and hour of the day."""
    when = _clock(run)
    cell = [when.month, when.hour]
    energy = pd.DataFrame(
        {
            name: run.intervals[name].to_numpy() * run.intervals["duration_s"].to_numpy()
            for name in ("facility_power_w", "it_power_w")
        }
    )
    sums = energy.groupby(cell).sum()
    sums = sums[sums["it_power_w"] > 0]
    pue = (sums["facility_power_w"] / sums["it_power_w"]).unstack()
    table = pue.to_numpy()
    low, high = np.unravel_index(np.nanargmin(table), table.shape), np.unravel_index(np.nanargmax(table), table.shape)
    overall = run.kpis["pue"]["value"]

    months, hours = pue.index.to_numpy(dtype=int), pue.columns.to_numpy(dtype=int)

    def place(cell: tuple[np.intp, ...]) -> str:
        return f"{MONTHS[months[cell[0]] - 1]} at {hours[cell[1]]} h"

    finding = (
        f"PUE is {overall:.3f} over the plan: {table[low]:.3f} in {place(low)}, {table[high]:.3f} in {place(high)}, "
        f"{run.kpis['pue_design_hour']['value']:.3f} in the design hour"
    )
    figure = go.Figure(
        go.Heatmap(
            x=hours,
            y=[MONTHS[month - 1] for month in months],
            z=table.round(5),
            colorscale="Viridis",
            colorbar={"title": {"text": "PUE"}, "thickness": 12},
            hovertemplate="%{y}, %{x} h: PUE %{z:.3f}<extra></extra>",
        )
    )
    figure.update_xaxes(title="hour of day, local standard time [h]")
    figure.update_yaxes(title="month", autorange="reversed")
    return Chart(finding, figure, "Facility energy over IT energy in all hours of the cell, all years together.")


def load_duration(run: Run) -> Chart:
    """Facility and IT power in falling order."""
    figure = go.Figure()
    hours = run.intervals["duration_s"].to_numpy().sum() / 3600
    share = np.linspace(0, 1, 401)
    curves = {}
    behind = not run.intervals["grid_power_w"].equals(run.intervals["facility_power_w"])
    for name, column, colour in (
        ("facility", "facility_power_w", BLUE),
        *((("meter", "grid_power_w", GREEN),) if behind else ()),
        ("IT", "it_power_w", ORANGE),
    ):
        # Every interval has the same length, so quantiles of the rows are quantiles of time.
        curves[name] = np.quantile(_power(run, column), 1 - share)
        figure.add_trace(
            go.Scatter(
                x=(share * 100).round(2),
                y=curves[name].round(4),
                name=name,
                line={"color": colour},
                hovertemplate="more than %{y:.2f} MW for %{x:.1f} % of the time<extra>" + name + "</extra>",
            )
        )
    meter = curves["meter" if behind else "facility"]
    finding = (
        f"The meter reads more than {meter[200]:.2f} MW for half of the {hours:,.0f} hours and "
        f"more than {meter[4]:.2f} MW for 1 % of them"
    )
    figure.update_xaxes(title="share of the time [%]")
    figure.update_yaxes(title="power [MW]", rangemode="tozero")
    return Chart(finding, figure, f"The area under the curve of the {'meter' if behind else 'facility'} was bought.")


def energy_by_use(run: Run) -> Chart:
    """Facility energy by what consumes it."""
    seconds = run.intervals["duration_s"].to_numpy()
    uses = {
        "jobs": "job_power_w",
        "services": "service_power_w",
        "idle servers": "idle_power_w",
        "network fabric": "fabric_power_w",
        "storage and support": "support_power_w",
        "PDU losses": "pdu_loss_w",
        "UPS losses": "ups_loss_w",
        "transformer losses": "transformer_loss_w",
        "room fans": "room_fan_power_w",
        "pumps": "pump_power_w",
        "compressors": "chiller_power_w",
        "heat rejection fans": "rejection_power_w",
        "plant base load": "plant_base_power_w",
        "lighting and other": "other_power_w",
    }
    gwh = {name: float(run.intervals[column].to_numpy() @ seconds) / 3.6e12 for name, column in uses.items()}
    if not run.findings["services"]:
        del gwh["services"]
    total = sum(gwh.values())
    names = sorted(gwh, key=lambda name: gwh[name])
    it = ("jobs", "services", "idle servers", "network fabric", "storage and support")
    overhead = [name for name in gwh if name not in it]
    first = max(overhead, key=lambda name: gwh[name])
    finding = (
        f"Jobs take {gwh['jobs'] / total:.0%} of the {total:,.0f} GWh used; outside IT the largest user is "
        f"{first} with {gwh[first] / total:.1%}"
    )
    figure = go.Figure(
        go.Bar(
            x=[round(gwh[name], 4) for name in names],
            y=names,
            orientation="h",
            marker={"color": [BLUE if name not in overhead else SKY for name in names]},
            text=[f"{gwh[name] / total:.1%}" for name in names],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.2f} GWh<extra></extra>",
        )
    )
    figure.update_xaxes(title="energy over the plan [GWh]", range=[0, 1.15 * max(gwh.values())])
    return Chart(finding, figure, "Dark bars are IT, light bars the facility around it.")


def capex_by_class(run: Run) -> Chart | None:
    """Capital by asset class and phase, replacements included; none where everything is rented."""
    capex = run.ledger[run.ledger["category"] == "capex"]
    if capex.empty:
        return None
    asset_class = capex["item"].str.split(":").str[0]
    table = -capex["amount_usd"].groupby([asset_class, capex["phase"]]).sum().unstack(fill_value=0) / 1e6
    totals = table.sum(axis=1).sort_values()
    largest, total = totals.index[-1], float(totals.sum())
    name = str(largest)
    finding = f"{name[0].upper()}{name[1:]} take {totals.iloc[-1] / total:.0%} of the {total:,.0f} M USD of capital"
    figure = go.Figure()
    for phase, colour in zip(table.columns, (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, GREY) * 4, strict=False):
        figure.add_trace(
            go.Bar(
                x=table.loc[totals.index, phase].round(4),
                y=totals.index,
                name=str(phase),
                orientation="h",
                marker={"color": colour},
                hovertemplate="%{y}: %{x:,.1f} M USD<extra>" + str(phase) + "</extra>",
            )
        )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="undiscounted capital [M USD]")
    return Chart(finding, figure, "Every bar is a sum of ledger rows of the category capex.")


def cumulative_cash_flow(run: Run) -> Chart:
    """Monthly cash flow by category and its running sum."""
    months = month_numbers(run.ledger["month"])
    first, count = int(months.min()), int(months.max() - months.min()) + 1
    names = [month_name(first + i) for i in range(count)]
    figure = go.Figure()
    for category, colour in (("capex", BLUE), ("opex", ORANGE), ("revenue", GREEN), ("residual", PURPLE)):
        flows = monthly_flows(run.ledger, first, count, category) / 1e6
        if not flows.any():
            continue
        figure.add_trace(
            go.Bar(
                x=names,
                y=flows.round(5),
                name=category,
                marker={"color": colour},
                hovertemplate="%{x}: %{y:,.2f} M USD<extra>" + category + "</extra>",
            )
        )
    before_tax = run.ledger[run.ledger["category"].isin(OPERATING)]
    cumulative = np.cumsum(monthly_flows(before_tax, first, count)) / 1e6
    figure.add_trace(
        go.Scatter(
            x=names,
            y=cumulative.round(5),
            name="cumulative",
            line={"color": RED, "width": 2.5},
            hovertemplate="%{x}: %{y:,.1f} M USD<extra>cumulative</extra>",
        )
    )
    figure.update_layout(barmode="relative")
    figure.update_yaxes(title="cash flow [M USD]")
    figure.update_xaxes(title="month")
    below = np.flatnonzero(cumulative < 0)
    lowest = f"at the lowest {cumulative.min():,.0f} M USD in {names[int(cumulative.argmin())]}"
    if not (run.ledger["category"] == "revenue").any():
        finding = f"The plan spends {-cumulative[-1]:,.0f} M USD net of residual value; no revenue is stated"
    elif len(below) and below[-1] == count - 1:
        finding = f"The plan does not earn its money back: {cumulative[-1]:,.0f} M USD at the end, {lowest}"
    else:
        turns = names[int(below[-1]) + 1] if len(below) else names[0]
        finding = f"Cumulative cash flow turns positive in {turns}; {lowest}"
    return Chart(finding, figure, "Undiscounted, before tax and financing; residual value falls in the last month.")


def opex_by_item(run: Run) -> Chart:
    """Operating cost by year and kind."""
    opex = run.ledger[run.ledger["category"] == "opex"]
    kind = opex["item"].str.replace(r"[:,].*", "", regex=True)
    table = -opex["amount_usd"].groupby([opex["month"].str[:4], kind]).sum().unstack(fill_value=0) / 1e6
    totals = table.sum().sort_values(ascending=False)
    electricity = float(totals[[name for name in totals.index if name.startswith("electricity")]].sum())
    finding = (
        f"Operating costs {run.kpis['opex_usd_per_year']['value'] / 1e6:,.1f} M USD a year, "
        f"of which electricity is {electricity / float(totals.sum()):.0%}"
    )
    figure = go.Figure()
    for name, colour in zip(totals.index, (BLUE, SKY, GREEN, ORANGE, PURPLE, YELLOW, GREY, RED) * 3, strict=False):
        figure.add_trace(
            go.Bar(
                x=table.index,
                y=table[name].round(5),
                name=str(name),
                marker={"color": colour},
                hovertemplate="%{x}: %{y:,.2f} M USD<extra>" + str(name) + "</extra>",
            )
        )
    # Surpluses sold and differences got are below zero.
    figure.update_layout(barmode="relative")
    figure.update_xaxes(title="year", type="category")
    figure.update_yaxes(title="operating cost [M USD/year]")
    return Chart(finding, figure, "Nominal dollars of each year.")


def queue_and_utilisation(run: Run) -> Chart:
    """Allocated share of GPUs and GPUs asked for by waiting jobs, by day."""
    day = _clock(run).floor("D")
    serves = bool(run.findings["services"])
    columns = ["gpus_energised", "gpus_allocated", "gpus_serving", "gpus_down", "gpus_queued"]
    daily = run.intervals[columns].groupby(day).mean()
    figure = go.Figure()
    for name, column, colour, dash in (
        ("energised", "gpus_energised", GREY, "dash"),
        ("held by jobs", "gpus_allocated", BLUE, "solid"),
        *((("held by services", "gpus_serving", GREEN, "solid"),) if serves else ()),
        ("waited for", "gpus_queued", ORANGE, "solid"),
        ("in repair", "gpus_down", RED, "solid"),
    ):
        figure.add_trace(
            go.Scatter(
                x=daily.index,
                y=daily[column].round(3),
                name=name,
                line={"color": colour, "dash": dash, "width": 1.5},
                hovertemplate="%{x|%Y-%m-%d}: %{y:,.0f} GPUs<extra>" + name + "</extra>",
            )
        )
    figure.update_yaxes(title="mean of the day [GPU]", rangemode="tozero")
    wait = run.kpis["queue_wait_mean_s"]["value"]
    waits = "no job started" if wait is None else f"a job waits {wait / 3600:.1f} h on average"
    finding = (
        f"{'Jobs and services' if serves else 'Jobs'} hold {run.kpis['gpu_allocated_frac']['value']:.0%} of the GPU "
        f"time and {waits}; "
        f"{run.kpis['gpu_goodput_frac']['value']:.0%} became lasting work"
    )
    return Chart(finding, figure, "Waited for: GPUs that jobs in the queue ask for. Daily means.")


def demand_against_capacity(run: Run) -> Chart | None:
    """Demand by month and what is energised, where demand has a path of its own."""
    path = run.findings["demand"]
    if path is None:
        return None
    months = pd.to_datetime(path["months"])
    figure = go.Figure()
    for key, name, colour, shape in (
        ("capacity", "energised", GREY, "hv"),
        ("gpus", "demand", BLUE, "linear"),
    ):
        line = {"color": colour, "shape": shape, "width": 2}
        figure.add_trace(go.Scatter(x=months, y=path[key], name=name, mode="lines", line=line))
    figure.update_yaxes(title="GPUs, mean of the month", rangemode="tozero")
    lasting = [one for one in path["full"] if one["until"] is None]
    if lasting:
        finding = f"Demand is above what is energised from {lasting[0]['from'][:7]} on: {lasting[0]['binding']} binds"
    elif path["full"]:
        finding = f"Demand is above what is energised {len(path['full'])} times, never to the end"
    else:
        finding = "Demand stays within what is energised"
    return Chart(finding, figure, "Demand is what the paths of workload.jobs.classes add up to, before any queue.")


# Figures that some runs have.
OPTIONAL: dict[str, Callable[[Run], Chart | None]] = {
    "demand": demand_against_capacity,
    "service-gpus": gpus_of_services,
    "service-latency": latency_of_services,
    "service-load": load_of_services,
}

FIGURES: dict[str, Callable[[Run], Chart | None]] = {
    "power": power_over_time,
    "energy": energy_by_use,
    "pue": pue_by_month_and_hour,
    "load-duration": load_duration,
    "queue": queue_and_utilisation,
    "capex": capex_by_class,
    "opex": opex_by_item,
    "cash-flow": cumulative_cash_flow,
}
