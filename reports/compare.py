"""The page of a comparison: what to take, the alternatives side by side, the bridge to each, regret over the worlds."""

import json
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from .chart import BLUE, GREEN, GREY, ORANGE, RED, SKY, Chart
from .page import charts, number, render

FILE = "compare.html"
AS_STATED = "as stated"
N_STEPS = 9
# Key figures side by side: (key figure, heading, factor, unit shown).
SHOWN = (
    ("capex_usd", "capital", 1e-6, "M USD"),
    ("opex_usd_per_year", "operating cost", 1e-6, "M USD a year"),
    ("cost_usd_per_gpu_h", "cost of an allocated GPU-hour", 1.0, "USD"),
    ("irr_frac", "internal rate of return", 100.0, "% a year"),
    ("payback_years", "payback", 1.0, "years"),
    ("gpus_installed", "GPUs installed", 1.0, ""),
    ("gpu_goodput_frac", "GPU time that became work", 100.0, "%"),
    ("queue_wait_mean_s", "mean wait of a job", 1 / 3600, "h"),
    ("pue", "PUE", 1.0, ""),
    ("facility_energy_mwh", "energy used", 1e-3, "GWh"),
    ("peak_grid_power_mw", "highest power at the meter", 1.0, "MW"),
    ("carbon_t", "carbon, location-based", 1e-3, "kt"),
    ("water_m3", "water", 1e-3, "thousand m³"),
)


def write(folder: Path) -> None:
    """Write ``compare.html`` into the folder of a comparison, from its tables."""
    (folder / FILE).write_text(html(folder), encoding="utf-8")


def html(folder: Path) -> str:
    """Page of a comparison; the same tables give the same bytes."""
    said = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
    kpis, lines, steps, regret = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("kpis", "lines", "bridge", "regret")
    )
    drawn = [("value", values(said))] if len(said["worlds"]) == 1 else [("worlds", worlds(said, regret))]
    others = [one["name"] for one in said["alternatives"][1:]]
    drawn += [("trade-off", trade_off(said))] if said["trade_off"] else []
    drawn += [(f"bridge-{i}", bridge(said, steps, name)) for i, name in enumerate(others)]
    shown = kpis[kpis["world"] == AS_STATED]
    return render(
        "compare.html",
        said=said,
        what=_what(said),
        side_by_side=_side_by_side(shown, others),
        rows=[{"name": name, "cells": table.to_dict("records")} for name, table in shown.groupby("kpi", sort=False)],
        lines=_lines(lines[lines["world"] == AS_STATED]),
        regret=_regret(said, regret),
        dominance=_dominance(said),
        charts=charts(drawn),
    )


def _what(said: dict[str, Any]) -> str:
    return str(said["figure"]["short"])


def _millions(usd: float, sign: bool = False) -> str:
    return f"{usd / 1e6:{'+' if sign else ''},.2f}"


def values(said: dict[str, Any]) -> Chart:
    """The figure of money by alternative, with two standard errors of its paired difference."""
    of = said["alternatives"]
    errors = [2 * (one["se_paired_usd"] or 0.0) / 1e6 for one in of]
    best = max(of, key=lambda one: one["value_usd"])
    names = [_wrapped(one["name"]) for one in of]
    figure = go.Figure(
        go.Bar(
            orientation="h",
            y=names,
            x=[one["value_usd"] / 1e6 for one in of],
            marker={"color": [GREY if i == 0 else BLUE for i in range(len(of))]},
            error_x={"type": "data", "array": errors, "color": ORANGE, "visible": any(errors)},
            showlegend=False,
            hovertemplate="%{y}: %{x:,.2f} M USD<extra></extra>",
        )
    )
    _amounts(figure, names, [_millions(one["value_usd"]) for one in of])
    ends = [0.0, *(one["value_usd"] / 1e6 for one in of)]
    room = 0.1 * (max(ends) - min(ends) or 1.0)
    span = [min(ends) - room * (min(ends) < 0), max(ends) + room * (max(ends) > 0)]
    figure.update_xaxes(title=f"{_what(said)} [M USD]", range=span)
    figure.update_layout(height=130 + 42 * len(of))
    if best is of[0]:
        finding = f"No alternative has a higher {_what(said)} than {best['name']}, {_millions(best['value_usd'])} M USD"
    else:
        finding = f"{best['name']} has the highest {_what(said)}, {_millions(best['delta_usd'], True)} M USD against "
        finding += said["base"]
    reading = f"Grey is the base. Values at {said['figure']['valued']}."
    if any(errors):
        reading += f" Orange: two standard errors of the difference to the base, {len(said['seeds'])} paired seeds."
    return Chart(finding, figure, reading)


def worlds(said: dict[str, Any], table: pd.DataFrame) -> Chart:
    """The figure of money by world, a bar an alternative."""
    figure = go.Figure()
    colours = (GREY, BLUE, ORANGE, GREEN, SKY, RED)
    names = [world["name"] for world in said["worlds"]]
    for i, one in enumerate(said["alternatives"]):
        rows = table[table["alternative"] == one["name"]]
        figure.add_trace(
            go.Bar(
                name=one["name"],
                x=rows["world"],
                y=rows["value_usd"] / 1e6,
                marker={"color": colours[i % len(colours)]},
                hovertemplate="%{x}: %{y:,.2f} M USD<extra>" + one["name"] + "</extra>",
            )
        )
    figure.update_layout(barmode="group")
    figure.update_yaxes(title=f"{_what(said)} [M USD]")
    figure.update_xaxes(title="state of the world [name]", type="category")
    winners = table.loc[table.groupby("world", sort=False)["value_usd"].idxmax(), "alternative"]
    if winners.nunique() == 1:
        finding = f"{winners.iloc[0]} has the highest {_what(said)} in all {len(names)} worlds"
    else:
        counts = winners.value_counts(sort=False).sort_values(ascending=False, kind="stable")
        of = [f"{name} in {count}" for name, count in counts.items()]
        finding = f"The best depends on the world: {', '.join(of)} of {len(names)}"
    return Chart(finding, figure, f"Grey is the base. Values at {said['figure']['valued']}, mean of the seeds.")


def trade_off(said: dict[str, Any]) -> Chart:
    """Alternatives by the figure of money and one other objective; those that nobody beats are joined."""
    of = said["trade_off"]
    money, other = (next(one for one in said["objectives"] if one["name"] == name) for name in of["objectives"])
    at = {
        one["name"]: (one["objectives"][other["name"]], one["objectives"][money["name"]] / 1e6)
        for one in said["alternatives"]
    }
    front, beaten = of["front"], list(of["dominated_by"])
    figure = go.Figure()
    for names, colour, mode in ((beaten, GREY, "markers+text"), (front, BLUE, "lines+markers+text")):
        figure.add_trace(
            go.Scatter(
                x=[at[name][0] for name in names],
                y=[at[name][1] for name in names],
                mode=mode,
                text=names,
                textposition=[_beside(at, name) for name in names],
                cliponaxis=False,
                marker={"color": colour, "size": 10},
                line={"color": colour, "width": 1, "dash": "dot"},
                hovertemplate="%{text}: %{x:,.4g} " + other["unit"] + ", %{y:,.2f} M USD<extra></extra>",
                showlegend=False,
            )
        )
    title = f"{other['meaning']} [{other['unit']}], {other['better']} is better"
    figure.update_xaxes(title=_wrapped(title, 36), nticks=5)
    figure.update_yaxes(title=f"{_what(said)} [M USD]")
    for update, column in ((figure.update_xaxes, 0), (figure.update_yaxes, 1)):
        low, high = (end(place[column] for place in at.values()) for end in (min, max))
        update(range=[low - 0.15 * (high - low), high + 0.15 * (high - low)])
    figure.update_layout(height=340)
    best, last = front[0], front[-1]
    if len(front) == 1:
        finding = f"{best} has the highest {_what(said)} and is best by {other['meaning']} too, of {len(at)} plans"
    else:
        change = at[last][0] - at[best][0]
        finding = (
            f"From {best} to {last}, {at[last][1] - at[best][1]:+,.2f} M USD of {_what(said)} goes with "
            f"{'+' if change > 0 else ''}{number(change)} {other['unit']} of {other['meaning']}"
        )
    grey = "; ".join(f"{name} by {' and '.join(by)}" for name, by in of["dominated_by"].items())
    reading = "Joined: plans that no other beats on both axes." + (f" Grey is beaten: {grey}." if grey else "")
    return Chart(finding, figure, reading)


def _beside(at: dict[str, tuple[float, float]], name: str) -> str:
    """Where the label of a point stands: toward the middle of the chart, above and below in turn by place."""
    ranked = sorted(at, key=lambda of: at[of])
    low, high = (end(place[0] for place in at.values()) for end in (min, max))
    side = "right" if at[name][0] < (low + high) / 2 else "left"
    return f"{'top' if ranked.index(name) % 2 else 'bottom'} {side}"


def bridge(said: dict[str, Any], table: pd.DataFrame, name: str) -> Chart:
    """Waterfall from the base to an alternative by ledger line; small steps stand together."""
    rows = table[(table["alternative"] == name) & (table["world"] == AS_STATED)]
    start, end = (float(rows.loc[rows["kind"] == kind, "usd"].iloc[0]) for kind in ("start", "end"))
    steps = rows[rows["kind"] == "step"]
    large, small = steps.head(N_STEPS), steps.iloc[N_STEPS:]
    labels = [f"{row['line']}, {row['category']}" for row in large.to_dict("records")]
    amounts = large["usd"].tolist()
    if len(small):
        labels.append(f"{len(small)} other lines")
        amounts.append(float(small["usd"].sum()))
    shown = [start / 1e6, *(usd / 1e6 for usd in amounts), end / 1e6]
    heights, level = [shown[0]], shown[0]
    for step in shown[1:-1]:
        level += step
        heights.append(level)
    names = [_wrapped(of) for of in (said["base"], *labels, name)]
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            measure=["absolute"] + ["relative"] * len(amounts) + ["total"],
            y=names,
            x=[*shown[:-1], 0.0],
            increasing={"marker": {"color": GREEN}},
            decreasing={"marker": {"color": RED}},
            totals={"marker": {"color": GREY}},
            connector={"line": {"color": GREY, "width": 1}},
            hovertemplate="%{y}: %{delta:+,.3f} M USD<extra></extra>",
            showlegend=False,
        )
    )
    low, high = min(heights), max(heights)
    room = 0.1 * ((high - low) or abs(high) or 1.0)
    texts = [f"{shown[0]:,.2f}", *(f"{of:+,.2f}" for of in shown[1:-1]), f"{shown[-1]:,.2f}"]
    _amounts(figure, names, texts)
    figure.update_xaxes(title=f"{_what(said)} [M USD]", range=[low - room, high + room], nticks=4)
    figure.update_layout(height=130 + (34 if any("<br>" in of for of in names) else 28) * len(shown))
    if not len(steps):
        finding = f"{name} is worth what {said['base']} is, {_millions(start)} M USD, line by line"
    else:
        first = large.iloc[0]
        finding = (
            f"{name} is {_millions(end - start, True)} M USD against {said['base']}; the largest step is "
            f"{first['line']} ({first['category']}), {_millions(first['usd'], True)}"
        )
    reading = f"Each step is a ledger line at {said['figure']['valued']}; {len(steps)} lines add up to the cent."
    return Chart(finding, figure, reading + " The axis is cut to the steps.")


def _wrapped(text: str, n: int = 20) -> str:
    """Text over lines so short that a narrow screen has room beside them."""
    return "<br>".join(textwrap.wrap(text, n))


def _amounts(figure: go.Figure, names: list[str], texts: list[str]) -> None:
    """Write amounts at the right of bars by name, as ticks of an axis of their own.

    Beside the bars they would run into the names on a narrow screen.
    """
    figure.add_trace(go.Scatter(x=[None] * len(names), y=names, yaxis="y2", showlegend=False, hoverinfo="skip"))
    figure.update_yaxes(range=[len(names) - 0.5, -0.5], type="category")
    figure.update_layout(
        yaxis2={
            "range": [len(names) - 0.5, -0.5],
            "type": "category",
            "overlaying": "y",
            "side": "right",
            "tickmode": "array",
            "tickvals": list(range(len(names))),
            "ticktext": texts,
            "showgrid": False,
        }
    )


def _side_by_side(kpis: pd.DataFrame, names: list[str]) -> list[dict[str, Any]]:
    """Main key figures with the difference of each alternative; those that none has are left out."""
    found = []
    for kpi, heading, factor, unit in SHOWN:
        rows = kpis[kpis["kpi"] == kpi].set_index("alternative")
        if rows[["base", "value"]].isna().all(axis=None):
            continue
        cells = []
        for name in names:
            row = rows.loc[name]
            delta = row["delta"] * factor
            signed = ("+" if delta > 0 else "") + str(number(delta))
            of_base: str = "" if pd.isna(delta) else "same" if delta == 0 else signed
            cells.append({"value": row["value"] * factor, "delta": of_base, "reason": row["reason"]})
        found.append({"heading": heading, "unit": unit, "base": rows["base"].iloc[0] * factor, "cells": cells})
    return found


def _lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Ledger lines that differ in some alternative, with the difference in worth of each."""
    found = []
    for (category, line), rows in table.groupby(["category", "line"], sort=False):
        deltas = dict(zip(rows["alternative"], rows["delta_worth_usd"], strict=True))
        if any(abs(of) >= 0.005 for of in deltas.values()):
            base = rows["base_worth_usd"].iloc[0]
            found.append({"category": category, "line": line, "base": base, "deltas": deltas})
    return sorted(found, key=lambda row: -max(abs(of) for of in row["deltas"].values()))


def _regret(said: dict[str, Any], table: pd.DataFrame) -> dict[str, Any] | None:
    """Regret by alternative and world with its finding; None of one world."""
    if len(said["worlds"]) == 1:
        return None
    choice, largest = said["minimax_regret"]["choice"], said["minimax_regret"]["largest_regret_usd"]
    rows = [
        {
            "name": one["name"],
            "cells": table[table["alternative"] == one["name"]].to_dict("records"),
            "largest": one["largest_regret_usd"],
            "chosen": one["name"] == choice,
        }
        for one in said["alternatives"]
    ]
    worst = f"at worst {_millions(largest)} M USD behind the best" if largest else "the best in every world"
    return {"finding": f"{choice} is regretted least: {worst}", "rows": rows}


def _dominance(said: dict[str, Any]) -> str:
    """Which alternatives are dominated, in a sentence."""
    over = [one for one in said["alternatives"] if one["dominated_by"]]
    n = len(said["objectives"])
    if not over:
        return f"No alternative is dominated by another on {n} objectives"
    of = [f"{one['name']} by {' and '.join(one['dominated_by'])}" for one in over]
    return f"Dominated on {n} objectives: {'; '.join(of)}"
