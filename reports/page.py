"""One HTML page that opens offline: plotly.js once, figures with fixed ids, colours for light and dark."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from .chart import Chart

CONFIG = {"responsive": True, "displayModeBar": False}

GRID = "rgba(128,128,128,0.3)"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (files("dcsim.reports") / "templates" / name).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["millions"] = millions
    environment.filters["breakable"] = breakable
    return environment


def number(value: Any) -> str:
    """Write a figure for a reader: grouped above 1,000, four significant digits below, a dash where there is none."""
    if value is None or value != value:
        return "–"
    if isinstance(value, str):
        return value
    if abs(value) >= 1e6:
        return f"{value / 1e6:,.4g} M" if abs(value) < 1e10 else f"{value / 1e9:,.4g} G"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def millions(usd: float | None) -> str:
    """Write dollars as millions with one digit, a dash for none and for exactly nothing."""
    return "–" if not usd else f"{round(usd / 1e6, 1) + 0.0:,.1f}"


def breakable(name: str) -> Markup:
    """Let a name of the catalog break where its words end."""
    return Markup(re.sub("([_:])", r"\1<wbr>", str(escape(name))))


def chart_html(identity: str, figure: go.Figure) -> str:
    """Markup of one figure. Text and grid take their colours from the page, so that light and dark both read well."""
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        height=figure.layout.height or 380,
        font={"family": "system-ui, sans-serif", "size": 12},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"font": {"color": "#111"}, "bgcolor": "#f4f4f4"},
    )
    figure.update_xaxes(automargin=True, gridcolor=GRID, zerolinecolor=GRID, linecolor=GRID)
    figure.update_yaxes(automargin=True, gridcolor=GRID, zerolinecolor=GRID, linecolor=GRID)
    markup = figure.to_html(full_html=False, include_plotlyjs=False, div_id=f"chart-{identity}", config=CONFIG)
    return str(markup)


def charts(drawn: Iterable[tuple[str, Chart | None]]) -> list[dict[str, str]]:
    """What the template of charts shows: each chart that there is, with its finding and its markup."""
    return [
        {"id": name, "finding": of.finding, "reading": of.reading, "html": chart_html(name, of.figure)}
        for name, of in drawn
        if of is not None
    ]


def render(template: str, **values: Any) -> str:
    """Fill a template; it may place ``plotlyjs`` once in a script element."""
    return _environment().get_template(template).render(plotlyjs=get_plotlyjs(), **values)
