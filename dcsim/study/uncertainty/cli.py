"""``dcsim uncertainty``."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from dcsim.errors import UsageError
from dcsim.study.engines.choose import engine_of
from dcsim.study.engines.cli import engine_options
from dcsim.study.progress import shown
from dcsim.study.uncertainty import folder as written
from dcsim.study.uncertainty.answer import Answer, amount, answer
from dcsim.study.uncertainty.asked import asked
from dcsim.study.uncertainty.study import plan, study

N_SHOWN = 8


@click.command()
@click.argument("source", metavar="SCENARIO")
@click.option("--draws", type=click.IntRange(8, 1_000_000), default=1000, show_default=True, help="How many.")
@click.option("--method", type=click.Choice(["latin", "sobol"]), default="latin", show_default=True, help="Sampling.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override a value; may be a distribution.")
@click.option("--alt", "alternatives", multiple=True, metavar="'NAME: PATH=VALUE, ...'", help="On the same draws.")
@click.option("--catalog-ranges", is_flag=True, help="Draw each price of the catalog between its low and high too.")
@click.option("--figure", metavar="FIGURE", help="Key figure that decides; NPV if left out, or the cost of a GPU-hour.")
@click.option("--also", multiple=True, metavar="FIGURE", help="A further key figure; may be repeated.")
@click.option("--sobol", "n_sobol", type=click.IntRange(0), default=0, help="Base points of Sobol indices, as 512.")
@click.option("--heat", nargs=2, metavar="PATH PATH", help="Inputs of the heat map; the widest of prices if left out.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the study.  [default: uncertainty/<name>-<hash of what is drawn>]",
)
@engine_options
@click.option("--no-report", is_flag=True, help="Leave out the HTML page.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def uncertainty(
    source: str,
    draws: int,
    method: Any,
    sets: tuple[str, ...],
    alternatives: tuple[str, ...],
    catalog_ranges: bool,
    figure: str | None,
    also: tuple[str, ...],
    n_sobol: int,
    heat: tuple[str, str] | None,
    out: Path | None,
    where: str,
    workers: int | None,
    no_report: bool,
    as_json: bool,
) -> None:
    """Draw the uncertain inputs of SCENARIO and say what it is worth: P10, P50, P90, and the chance of a loss.

    Any scalar of a scenario may be a distribution in place of a number; its uncertainty section adds seeds, draws of
    the calibration and correlations. What an input does not touch is not run again: prices are costed on one
    simulation. A result is kept as it comes, and the same command goes on with what is missing.
    """
    if n_sobol & (n_sobol - 1):
        raise UsageError(f"--sobol {n_sobol}: Sobol points come in powers of two, as 256 or 512")
    ask = asked(source, sets, alternatives, draws, method, figure, also, catalog_ranges)
    engine = engine_of(where, workers)
    place = out
    try:
        with shown(as_json, "build") as progress:
            planned = plan(ask, out, engine)
            place = planned.folder
            found = study(planned, n_sobol, heat, progress)
            result = answer(found)
            progress("write", 1.0)
            writers = () if no_report else (importlib.import_module("dcsim.reports.uncertainty").write,)
            said = written.write(place, found, result, engine, writers)
    except KeyboardInterrupt:
        kept = "nothing was written" if place is None else f"what is finished is kept in {place}"
        click.echo(f"dcsim: interrupted; {kept}; the same command goes on", err=True)
        raise click.Abort from None
    finally:
        engine.close()
    if as_json:
        click.echo(json.dumps({**said, "folder": str(place)}, indent=1, allow_nan=False))
        return
    click.echo("\n".join(text(Answer(said, result.tables))))
    click.echo(f"\ntables      {place} (draws, percentiles, tornado and others as .parquet and .csv; uncertainty.json)")
    if not no_report:
        click.echo(f"report      {place / 'uncertainty.html'}")


def text(result: Answer) -> Iterator[str]:
    """The answer in lines, the recommendation first."""
    said, tables = result.said, result.tables
    yield from said["recommendation"]
    figure = said["figure"]
    how = "Latin hypercube" if said["method"] == "latin" else "scrambled Sobol points"
    yield f"\n{figure['name']} over {said['draws']} draws ({how}, seed {said['seed']}): {figure['meaning']}"
    wide = max(12, *(len(side["name"]) for side in said["sides"])) + 2
    unit = figure["unit"]
    yield f"  {'':{wide}}{'mean':>18}{'P10':>18}{'P50':>18}{'P90':>18}{'worst 5 %':>18}{'loss, 95 % interval':>26}"
    for side in said["sides"]:
        cells = "".join(f"{_cell(side[key], unit):>18}" for key in ("mean", "p10", "p50", "p90", "cvar5"))
        loss = ""
        if side["loss_frac"] is not None:
            low, high = side["loss_bounds_frac"]
            loss = f"{side['loss_frac']:.1%} ({low:.1%} to {high:.1%})"
        yield f"  {side['name']:{wide}}{cells}{loss:>26}"
    yield f"\n{'key figure':24}{'single':>14}{'P10':>14}{'P50':>14}{'P90':>14}"
    table = tables["percentiles"]
    for row in table[table["side"] == said["plan"]].to_dict("records"):
        cells = "".join(f"{_cell(row[key], row['unit']):>14}" for key in ("single", "p10", "p50", "p90"))
        yield f"{row['kpi']:24}{cells}  {row['unit']}"
    swings = tables["tornado"]
    swings = swings[swings["kpi"] == figure["name"]]
    if len(swings):
        yield f"\n{'input from P10 to P90':52}{figure['name'] + ' at P10':>22}{'at P90':>18}{'rank corr.':>12}"
    ranks = {of["name"]: of["rank_correlation"] for of in said["inputs"]}
    for row in swings.head(N_SHOWN).to_dict("records"):
        span = f"{row['input']} {row['low_value']} to {row['high_value']}"
        yield f"{span:52}{_cell(row['at_low'], unit):>22}{_cell(row['at_high'], unit):>18}{ranks[row['input']]:>+12.2f}"
    for row in tables["sobol"].head(N_SHOWN).to_dict("records"):
        yield (
            f"Sobol {row['input']:46}first {row['first_frac']:6.3f} ± {row['first_error']:.3f}   "
            f"total {row['total_frac']:6.3f} ± {row['total_error']:.3f}"
        )
    yield "\ndraws          mean           P10           P50           P90"
    steps = tables["convergence"]
    for row in steps[steps["side"] == said["plan"]].to_dict("records"):
        yield f"{row['draws']:5}" + "".join(f"{_cell(row[key], unit):>14}" for key in ("mean", "p10", "p50", "p90"))
    for name, run in said["percentile_runs"].items():
        yield f"{name.upper():4}draw {run['draw']:6}  {run['folder']}"
    for note in said["notes"]:
        yield f"note: {note}"


def _cell(value: float, unit: str) -> str:
    if value != value:
        return "–"
    return amount(value, unit).removesuffix(unit).strip() if unit != "1" else amount(value, unit)
