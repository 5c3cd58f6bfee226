"""``dcsim solve``."""

import json
import math

import click

from dcsim.errors import UsageError
from dcsim.kpi import KPIS
from dcsim.model.load import load
from dcsim.registry import unknown
from dcsim.study.figures.touched import touches_simulation
from dcsim.study.solve.break_even import TOLERANCE, BreakEven, break_even, two_way
from dcsim.study.solve.evaluate import Figure, Kept, figure_by, override, place_of
from dcsim.study.summary import number


@click.command()
@click.argument("source", metavar="SCENARIO")
@click.option("--target", required=True, metavar="FIGURE=VALUE", help="What a key figure should be, as npv_usd=0.")
@click.option("--by", "path", required=True, metavar="PATH", help="Input to vary, as economics.discount_rate.")
@click.option("--between", nargs=2, type=float, required=True, metavar="LOW HIGH", help="Where to look for its value.")
@click.option("--by2", "path2", metavar="PATH", help="Second input: a break-even at each of its values.")
@click.option("--values2", metavar="A,B,...", help="Those values.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override a value; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def solve(
    source: str,
    target: str,
    path: str,
    between: tuple[float, float],
    path2: str | None,
    values2: str | None,
    sets: tuple[str, ...],
    as_json: bool,
) -> None:
    """Find the value of an input of SCENARIO at which a key figure is on target, its break-even.

    A PATH is one that --set takes, or overrides.table.key.parameter for a value of the catalog. Inputs of economics
    and prices are costed anew on one simulation; others are simulated at each value. What is found is run whole
    and must be on target again.
    """
    name, wanted = _target(target)
    if (path2 is None) != (values2 is None):
        raise UsageError("--by2 and --values2 belong together: a second input and its values")
    base = load(source, sets)
    answer = {
        "figure": name,
        "unit": KPIS[name].unit,
        "target": wanted,
        "by": path,
        "low": between[0],
        "high": between[1],
        "simulated_once": not touches_simulation(base.scenario, place_of(path)),
    }
    if path2 is None or values2 is None:
        found = break_even(figure_by(source, sets, path, name, []), wanted, *between)
        again = figure_by(source, sets, path, name)(found.value)
        _check(again, wanted, found)
        if as_json:
            click.echo(json.dumps({**answer, **_plain(found), "run_again": again}, indent=1))
            return
        click.echo(f"{path} = {found.value:.9g} gives {name} = {number(again)} {KPIS[name].unit}, run whole")
        click.echo(
            f"{name} is {number(found.at_low)} at {between[0]:g} and {number(found.at_high)} at {between[1]:g}; "
            f"{found.evaluations} values tried"
        )
        return
    shared: Kept | None = None if touches_simulation(base.scenario, place_of(path2)) else []

    def figure_at(value2: float) -> Figure:
        kept: Kept = [] if shared is None else shared
        return figure_by(source, (*sets, override(base, path2, value2)), path, name, kept)

    rows = two_way(figure_at, _numbers(values2), wanted, *between)
    for row in rows:
        if row.found is not None:
            whole = figure_by(source, (*sets, override(base, path2, row.value2)), path, name)
            _check(whole(row.found.value), wanted, row.found)
    if as_json:
        table = [
            {"value2": row.value2, **(_plain(row.found) if row.found else {"value": None, "reason": row.reason})}
            for row in rows
        ]
        click.echo(json.dumps({**answer, "by2": path2, "rows": table}, indent=1))
        return
    click.echo(f"{path} at which {name} is {wanted:g} {KPIS[name].unit}, by {path2}")
    for row in rows:
        click.echo(f"{row.value2:>14g}  {f'{row.found.value:.9g}' if row.found else 'none: ' + row.reason}")


def _target(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in KPIS:
        raise UsageError(f"--target: {unknown(name, KPIS, 'key figure')}")
    try:
        wanted = float(value)
    except ValueError:
        wanted = math.nan
    if not math.isfinite(wanted):
        raise UsageError(f"--target '{text}': write it as figure=value, for example npv_usd=0")
    return name, wanted


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--values2 '{text}': write numbers with commas between, for example 1,2.5,4") from None


def _plain(found: BreakEven) -> dict[str, float]:
    return {
        "value": found.value,
        "at_value": found.figure,
        "at_low": found.at_low,
        "at_high": found.at_high,
        "evaluations": found.evaluations,
    }


def _check(again: float, wanted: float, found: BreakEven) -> None:
    """Hold the value found against a run of all stages."""
    scale = abs(wanted) or max(abs(found.at_low), abs(found.at_high)) or 1.0
    if abs(again - wanted) > TOLERANCE * scale:
        raise RuntimeError(
            f"run whole, the figure is {again!r} and not {wanted!r}: a stage was kept that should not be"
        )
