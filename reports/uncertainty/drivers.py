"""What the figure rests on: one input at a time, and shares of the variance."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..chart import BLUE, GREY, ORANGE, RED, SKY, Chart
from .folder import Measure, Study, is_constant, measure, value_text
from .heat import crossing
from .spread import COLOURS

MOST_ROWS = 15
ROW_PX, REST_PX = 46, 120


def tornado(study: Study) -> Chart | None:
    """The figure that decides with one input at its P10 and P90; None where nothing moves it."""
    return _tornado(study, _rows(study), study.figure)


def _rows(study: Study) -> pd.DataFrame:
    table = study.tables["tornado"]
    return table[table["kpi"] == study.figure.name]


def other_tornadoes(study: Study) -> list[tuple[str, Chart]]:
    """The same of every other key figure that some input moves."""
    found = []
    for name, rows in study.tables["tornado"].groupby("kpi", sort=False):
        if name == study.figure.name:
            continue
        m = measure(str(name), str(rows["unit"].iloc[0]), rows[["base", "at_low", "at_high"]].to_numpy())
        if (chart := _tornado(study, rows, m)) is not None:
            found.append((f"tornado-{name}", chart))
    return found


def _tornado(study: Study, table: pd.DataFrame, m: Measure) -> Chart | None:
    floor = 1e-9 * table["base"].abs()
    moving = table[table["swing"] > floor].sort_values("swing", ascending=False, kind="stable")
    if moving.empty:
        return None
    rows, base = moving.head(MOST_ROWS), float(moving["base"].iloc[0])
    places = np.arange(len(rows))
    figure = go.Figure()
    ends, longest = [], 0
    for end, word, colour in (("low", "P10", SKY), ("high", "P90", BLUE)):
        at = rows[f"at_{end}"].to_numpy(dtype=float)
        other = rows["at_high" if end == "low" else "at_low"].to_numpy(dtype=float)
        values = [value_text(value) for value in rows[f"{end}_value"]]
        longest = max(longest, *(len(value) for value in values))
        full = [
            f"{name} at {value}: {m.full(result)}"
            for name, value, result in zip(rows["input"], rows[f"{end}_value"], at, strict=True)
        ]
        ends.append(m.shown(at))
        figure.add_trace(
            go.Bar(
                orientation="h",
                y=places,
                width=0.5,
                x=m.shown(at) - float(m.shown(base)),
                base=float(m.shown(base)),
                name=f"input at its {word}",
                marker={"color": colour, "line": {"width": 0}},
                hovertext=full,
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )
        # An end that moves nothing is labelled on the side that the other one leaves free.
        left = np.where(at != base, at < base, other > base)
        figure.add_trace(
            go.Scatter(
                x=m.shown(at),
                y=places,
                mode="text",
                text=[f" {value} " for value in values],
                textposition=["middle left" if to else "middle right" for to in left],
                textfont={"size": 11},
                cliponaxis=False,
                showlegend=False,
                hoverinfo="skip",
            )
        )
    figure.add_vline(x=float(m.shown(base)), line={"color": GREY, "width": 1.5})
    low, high = float(np.min(ends)), float(np.max(ends))
    low, high = min(low, float(m.shown(base))), max(high, float(m.shown(base)))
    # Of a phone's width a letter takes a fortieth.
    frac = min(longest + 1, 10) / 40
    room = frac / (1.0 - 2.0 * frac) * (high - low)
    if study.breaks_even and m is study.figure and low - room <= 0.0 <= high + room:
        figure.add_vline(x=0.0, line={"color": RED, "width": 1})
    figure.update_layout(barmode="overlay", height=REST_PX + ROW_PX * len(rows))
    _name_rows(figure, [study.short[name] for name in rows["input"]])
    figure.update_xaxes(title=m.axis, range=[low - room, high + room], nticks=6)
    reading = f"{study.of_plan}Each bar: one input from its P10 to its P90, written at the ends, all others at their "
    reading += f"single values, where the figure is {m.full(base)}."
    if len(moving) > len(rows):
        reading += f" The {len(rows)} widest of {len(moving)}."
    still = [study.short[name] for name in table["input"] if name not in set(moving["input"])]
    if still:
        reading += f" No effect: {', '.join(still)}."
    return Chart(_most(study, moving, m), figure, reading)


def _name_rows(figure: go.Figure, names: list[str]) -> None:
    """Names above bars, where they take none of the width that a phone has."""
    for place, name in enumerate(names):
        figure.add_annotation(
            text=name,
            x=0,
            xref="x domain",
            y=place - 0.28,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 12},
        )
    figure.update_yaxes(range=[len(names) - 0.6, -0.75], showticklabels=False, showgrid=False, zeroline=False)


def _most(study: Study, rows: pd.DataFrame, m: Measure) -> str:
    first = rows.iloc[0]
    ends = f"{m.text(first['at_low'])} at its P10, {m.full(first['at_high'])} at its P90"
    finding = f"{study.short[first['input']]} moves {m.words} most: {ends}"
    if not study.breaks_even or m is not study.figure:
        return finding
    low, base, high = (np.sign(rows[name].to_numpy(dtype=float)) for name in ("at_low", "base", "at_high"))
    turns = rows[(low != base) | (high != base)]
    if turns.empty:
        return f"{finding}; no input alone takes it {'above' if first['base'] < 0 else 'below'} 0"
    names = [study.short[name] for name in turns["input"].head(3)]
    more = f" and {len(turns) - 3} more" if len(turns) > 3 else ""
    return f"{finding}; {', '.join(names)}{more} alone can change its sign"


def spider(study: Study) -> Chart | None:
    """The figure over the same relative change of each number; None where none changes it."""
    table, m, base = study.tables["spider"], study.figure, study.single
    if table.empty or base is None or is_constant(np.append(table["result"].to_numpy(dtype=float), base)):
        return None
    figure = go.Figure()
    steep: dict[str, float] = {}
    crossings: dict[str, float] = {}
    order = [of["name"] for of in study.said["inputs"] if of["name"] in set(table["input"])]
    for i, name in enumerate(order):
        rows = table[table["input"] == name].sort_values("change_frac")
        change = np.append(rows["change_frac"].to_numpy(dtype=float), 0.0)
        result = np.append(rows["result"].to_numpy(dtype=float), base)
        value = np.append(rows["value"].to_numpy(dtype=float), np.nan)
        sort = np.argsort(change, kind="stable")
        change, result, value = change[sort], result[sort], value[sort]
        steep[name] = 0.1 * (result.max() - result.min()) / (change.max() - change.min())
        if (passes := crossing(change, result, 0.0)) is not None:
            crossings[name] = passes
        hover = [
            "single values" if step == 0 else f"{name} {step:+.0%}, {value_text(of)}: {m.full(at)}"
            for step, of, at in zip(change, value, result, strict=True)
        ]
        figure.add_trace(
            go.Scatter(
                x=(change * 100).round(6),
                y=m.shown(result),
                name=study.short[name],
                mode="lines+markers",
                line={"color": COLOURS[(i + 1) % len(COLOURS)], "dash": "solid" if i < len(COLOURS) else "dot"},
                hovertext=hover,
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )
    if study.breaks_even and crossings:
        figure.add_hline(y=0.0, line={"color": RED, "width": 1})
    figure.update_xaxes(title="change of the input [%]", zeroline=True)
    figure.update_yaxes(title=m.axis)
    first = max(steep, key=lambda name: steep[name])
    finding = f"A tenth of {study.short[first]} moves {m.words} by {m.full(steep[first])}, more than of any other input"
    if len(steep) == 1:
        finding = f"A tenth of {study.short[first]} moves {m.words} by {m.full(steep[first])}"
    if study.breaks_even:
        if first in crossings:
            finding += f"; {crossings[first]:+.0%} brings it to 0"
        elif not crossings:
            finding += "; no change shown brings it to 0"
    reading = f"{study.of_plan}All lines meet at the single values. Ends that the plan may not have are left out."
    return Chart(finding, figure, reading)


def sobol(study: Study) -> Chart | None:
    """Shares of the variance by input, alone and with others; None if none were asked for."""
    table = study.tables["sobol"].sort_values("total_frac", ascending=False, kind="stable").head(MOST_ROWS)
    if table.empty:
        return None
    places = np.arange(len(table))
    figure = go.Figure()
    for key, word, colour, off in (("first", "alone", BLUE, -0.13), ("total", "together with others", SKY, 0.13)):
        share, error = (table[f"{key}_{of}"].to_numpy(dtype=float) * 100 for of in ("frac", "error"))
        figure.add_trace(
            go.Bar(
                orientation="h",
                y=places + off,
                width=0.25,
                x=share.round(4),
                error_x={"type": "data", "array": error.round(4), "color": ORANGE, "thickness": 1.5},
                name=word,
                marker={"color": colour},
                hovertext=[
                    f"{name} {word}: {of:.0f} ± {by:.0f} %"
                    for name, of, by in zip(table["input"], share, error, strict=True)
                ],
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )
    figure.update_layout(barmode="overlay", height=REST_PX + ROW_PX * len(table))
    _name_rows(figure, [study.short[name] for name in table["input"]])
    figure.update_xaxes(title="share of the variance [%]")
    first = table.iloc[0]
    finding = (
        f"{study.short[first['input']]} carries {first['total_frac']:.0%} ± {first['total_error']:.0%} of the "
        f"variance, {first['first_frac']:.0%} ± {first['first_error']:.0%} of it alone"
    )
    reading = f"{study.of_plan}Sobol indices; orange: 95% intervals. Wide ones call for more base points."
    return Chart(finding, figure, reading)
