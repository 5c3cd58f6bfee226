"""Whether there are draws enough."""

import plotly.graph_objects as go

from ..chart import BLUE, ORANGE, SKY, Chart
from .folder import Study, label
from .spread import rows_of


def convergence(study: Study) -> Chart | None:
    """Mean and percentiles over growing parts of the draws, a side a row; None of one part."""
    table, m = study.tables["convergence"], study.figure
    of = [(side, table[table["side"] == side["name"]]) for side in study.drawn]
    of = [(side, rows) for side, rows in of if len(rows) > 1]
    if not of:
        return None
    n = len(of)
    figure = rows_of(n)
    moved = (0.0, "", "")
    for row, (side, rows) in enumerate(of, start=1):
        spread = side["p90"] - side["p10"]
        for name, colour in (("p90", SKY), ("p50", BLUE), ("mean", ORANGE), ("p10", SKY)):
            word = name if name == "mean" else name.upper()
            figure.add_trace(
                go.Scatter(
                    x=rows["draws"],
                    y=m.shown(rows[name]),
                    name=word,
                    showlegend=row == 1,
                    mode="lines+markers",
                    line={"color": colour, "dash": "dot" if name == "mean" else "solid"},
                    hovertemplate=f"first %{{x}} draws: {word} %{{y:,.4g}} {m.unit}<extra>{side['name']}</extra>",
                ),
                row=row,
                col=1,
            )
            last, before = rows[name].iloc[-1], rows[name].iloc[-2]
            if spread > 0:
                moved = max(moved, (abs(last - before) / spread, word, side["name"]))
        title = f"{label(side['name'])} [{m.unit or '1'}]" if n > 1 else m.axis
        figure.update_yaxes(title=title, nticks=5, row=row, col=1)
    marks = sorted({int(draws) for _, rows in of for draws in rows["draws"]})
    figure.update_xaxes(type="log", tickvals=marks, ticktext=[f"{mark:,}" for mark in marks])
    figure.update_xaxes(title="first draws that count [1]", row=n, col=1)
    frac, word, name = moved
    parts = of[0][1]["draws"]
    step = f"From {parts.iloc[-2]:,} to {parts.iloc[-1]:,} draws"
    if not word:
        finding = f"{step} nothing moved: the figure is the same in every draw"
    else:
        whose = f"{word} of {name}" if n > 1 else word
        finding = f"{step} {whose} moved most, by {frac:.0%} of the distance from P10 to P90"
    return Chart(finding, figure, "Lines that are flat to the right need no more draws." + study.left_out)
