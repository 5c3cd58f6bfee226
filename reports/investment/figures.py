"""Figures for a committee: capital, cumulated cash, cost of a GPU-hour, years, the loan and its cover, capacity."""

from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go

from dcsim.runs import Run

from ..chart import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, YELLOW, Chart
from ..flows import gpu_hours_worth
from .returns import debt_by_year
from .tables import capital_by_class, components


def _waterfall(names: Sequence[str], values: Sequence[float], total: float, unit: str) -> go.Figure:
    """Bars that each start where the last ended, and their sum."""
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            measure=["relative"] * len(names) + ["total"],
            y=[*names, "all"],
            x=[*values, total],
            text=[f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}" for value in (*values, total)],
            textposition="outside",
            cliponaxis=False,
            increasing={"marker": {"color": BLUE}},
            decreasing={"marker": {"color": GREEN}},
            totals={"marker": {"color": GREY}},
            connector={"line": {"color": GREY, "width": 1}},
            hovertemplate="%{y}: %{delta:,.4g} " + unit + "<extra></extra>",
        )
    )
    top = max(np.cumsum(values).max(initial=0.0), total)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(range=[min(0.0, float(np.cumsum(values).min(initial=0.0))), 1.22 * float(top)])
    return figure


def capital(run: Run) -> Chart | None:
    """Capital by class of asset."""
    found = capital_by_class(run)
    if not found["rows"]:
        return None
    rows, total = found["rows"], found["total"]["usd"] / 1e6
    figure = _waterfall([row["name"] for row in rows], [row["usd"] / 1e6 for row in rows], total, "M USD")
    figure.update_xaxes(title="undiscounted capital [M USD]")
    first, second = rows[0], rows[1] if len(rows) > 1 else rows[0]
    finding = (
        f"{first['name'][:1].upper() + first['name'][1:]} take {first['share']:.0%} of {total:,.1f} M USD of capital, "
        f"{second['name']} {second['share']:.0%}"
    )
    return Chart(finding, figure, "Every bar is a sum of ledger rows of the category capex, replacements included.")


def cumulated(run: Run) -> Chart:
    """Cumulated cash before tax and to equity."""
    table = run.statement
    figure = go.Figure()
    shown = [("cash_before_tax_usd", "project, before tax", BLUE)]
    finance = run.findings["finance"]
    if finance["tax"] or finance["loan"]:
        shown.append(("cash_to_equity_usd", "equity, after tax and debt", ORANGE))
    for name, label, colour in shown:
        figure.add_trace(
            go.Scatter(
                x=table["month"],
                y=(table[name].cumsum() / 1e6).round(5),
                name=label,
                mode="lines",
                line={"color": colour, "width": 2.5},
                hovertemplate="%{x}: %{y:,.1f} M USD<extra>" + label + "</extra>",
            )
        )
    name, label, _ = shown[-1]
    sums, months = table[name].cumsum().to_numpy() / 1e6, table["month"].astype(str).tolist()
    lowest = int(sums.argmin())
    below = np.flatnonzero(sums < 0)
    of = "Equity" if len(shown) > 1 else "The project"
    deepest = f"{of} is {-sums[lowest]:,.1f} M USD deep in {months[lowest]}"
    if len(below) and below[-1] == len(sums) - 1:
        finding = f"{deepest} and {-sums[-1]:,.1f} M USD below zero at the end"
    else:
        turns = months[int(below[-1]) + 1] if len(below) else months[0]
        finding = f"{deepest} and above zero from {turns} on, {sums[-1]:,.1f} M USD at the end"
    figure.update_yaxes(title="cumulated cash [M USD]")
    figure.update_xaxes(title="month")
    return Chart(finding, figure, f"Undiscounted; the finding is of {label}. Sales fall in the last month.")


def gpu_hour(run: Run) -> Chart | None:
    """Cost of a GPU-hour by component."""
    hours = gpu_hours_worth(run)
    if hours <= 0:
        return None
    found = components(run)
    total = float(found["worth_usd"].sum()) / hours
    # What is too small to be seen stands together.
    small = found["worth_usd"].abs() < SMALL * found["worth_usd"].sum()
    shown = {str(name): float(of) / hours for name, of in found.loc[~small, ["group", "worth_usd"]].to_numpy()}
    if small.any():
        shown[f"{int(small.sum())} others"] = float(found.loc[small, "worth_usd"].sum()) / hours
    figure = _waterfall(list(shown), list(shown.values()), total, "USD")
    figure.update_xaxes(title="cost of a GPU-hour [USD/GPU-h]")
    owned = float(found.loc[found["kind"] != "operating cost", "worth_usd"].sum()) / hours
    finding = (
        f"A GPU-hour costs {total:.2f} USD, {owned:.2f} of it capital less residual value and "
        f"{total - owned:.2f} operating cost"
    )
    figure.update_layout(height=140 + 24 * (len(shown) + 1))
    return Chart(
        finding, figure, "Present value of each component over that of the GPU-hours held by jobs and services."
    )


SMALL = 0.01
PROFIT = (
    ("revenue", ("revenue_usd",), GREEN),
    ("operating cost", ("opex_usd",), ORANGE),
    ("depreciation", ("book_depreciation_usd",), SKY),
    ("interest and costs of the loan", ("interest_usd", "finance_costs_usd"), PURPLE),
    ("income tax", ("tax_usd",), YELLOW),
    ("gain on sale", ("gain_on_sale_usd",), GREY),
)


def profit(run: Run) -> Chart:
    """Profit and loss by year."""
    years = run.statement["month"].str[:4]
    figure = go.Figure()
    for label, names, colour in PROFIT:
        values = run.statement[list(names)].sum(axis=1).groupby(years).sum() / 1e6
        if not values.any():
            continue
        figure.add_trace(
            go.Bar(
                x=values.index,
                y=values.round(5),
                name=label,
                marker={"color": colour},
                hovertemplate="%{x}: %{y:,.2f} M USD<extra>" + label + "</extra>",
            )
        )
    net = run.statement["net_income_usd"].groupby(years).sum() / 1e6
    figure.add_trace(
        go.Scatter(
            x=net.index,
            y=net.round(5),
            name="net income",
            mode="lines+markers",
            line={"color": RED, "width": 2.5},
            hovertemplate="%{x}: %{y:,.2f} M USD<extra>net income</extra>",
        )
    )
    figure.update_layout(barmode="relative")
    figure.update_xaxes(title="year", type="category")
    figure.update_yaxes(title="profit and loss [M USD/year]")
    black = [str(year) for year, value in net.items() if value > 0]
    total = float(net.sum())
    verb = "gains" if total >= 0 else "loses"
    finding = f"The plan {verb} {abs(total):,.1f} M USD in all; {len(black)} of {len(net)} calendar years end in profit"
    return Chart(finding, figure, "Straight-line depreciation over book lives; nominal dollars.")


def loan(run: Run) -> Chart | None:
    """Balance of the loan, and its cover."""
    found = debt_by_year(run)
    if found is None:
        return None
    figure = go.Figure()
    table = run.statement
    figure.add_trace(
        go.Scatter(
            x=table["month"],
            y=(table["debt_balance_usd"] / 1e6).round(5),
            name="owed",
            mode="lines",
            fill="tozeroy",
            line={"color": BLUE, "width": 1.5},
            hovertemplate="%{x}: %{y:,.1f} M USD<extra>owed</extra>",
        )
    )
    rows = [row for row in found["rows"] if row["cover"] is not None]
    # The cover of a year stands in the middle of it.
    middle = [f"{row['year']}-07" for row in rows]
    figure.add_trace(
        go.Scatter(
            x=middle,
            y=[round(row["cover"], 4) for row in rows],
            name="cover of the year",
            mode="markers+lines",
            yaxis="y2",
            line={"color": RED, "width": 1.5, "dash": "dot"},
            marker={"size": 9},
            hovertemplate="%{x|%Y}: cover %{y:.2f}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[table["month"].iat[0], table["month"].iat[-1]],
            y=[found["dscr"]] * 2,
            name="covenant",
            mode="lines",
            yaxis="y2",
            line={"color": GREY, "dash": "dash", "width": 1.5},
        )
    )
    covers = [row["cover"] for row in rows]
    low, high = min([0.0, *covers]), max([found["dscr"], *covers])
    figure.update_layout(
        yaxis={"title": "owed [M USD]"},
        yaxis2={
            "title": "debt service cover [1]",
            "overlaying": "y",
            "side": "right",
            "range": [1.1 * low, 1.15 * high],
            "showgrid": False,
            "tickmode": "auto",
            "nticks": 6,
        },
    )
    figure.update_xaxes(title="month")
    top = float(table["debt_balance_usd"].max()) / 1e6
    least = f"{min(covers):.2f}" if covers else "nothing"
    kept = f"misses the covenant of {found['dscr']:g} in {found['missed_in']}"
    if covers and not found["misses"]:
        kept = f"keeps the covenant of {found['dscr']:g} in {found['kept_in']}"
    finding = f"The loan peaks at {top:,.1f} M USD; its cover {kept}, at the least {least}"
    return Chart(
        finding, figure, "Cover: cash after unlevered tax over scheduled interest and principal, by calendar year."
    )


def capacity(run: Run) -> Chart:
    """GPUs energised by month."""
    table = run.statement
    figure = go.Figure(
        go.Scatter(
            x=table["month"],
            y=table["gpus_energised"].round(3),
            mode="lines",
            fill="tozeroy",
            line={"color": BLUE, "shape": "hv", "width": 2},
            hovertemplate="%{x}: %{y:,.0f} GPUs<extra></extra>",
        )
    )
    figure.update_yaxes(title="energised, mean of the month [GPU]", rangemode="tozero")
    figure.update_xaxes(title="month")
    phases = run.findings["phases"]
    steps = ", ".join(f"{phase['gpus']:,.0f} from {phase['energised'][:7]}" for phase in phases[:3])
    more = " and more" if len(phases) > 3 else ""
    return Chart(f"GPUs energised: {steps}{more}", figure, "Before the first phase only money flows.")


FIGURES: dict[str, Callable[[Run], Chart | None]] = {
    "capital": capital,
    "cumulated": cumulated,
    "gpu-hour": gpu_hour,
    "profit": profit,
    "loan": loan,
    "capacity": capacity,
}
