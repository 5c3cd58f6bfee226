"""``dcsim compare``."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import click

from dcsim.study.compare.answer import Answer, answer, usd
from dcsim.study.compare.asked import AS_STATED, asked
from dcsim.study.compare.deltas import BRIDGED
from dcsim.study.compare.folder import write
from dcsim.study.compare.paired import paired
from dcsim.study.engines.choose import engine_of
from dcsim.study.engines.engine import Engine
from dcsim.study.engines.local import LocalEngine
from dcsim.study.engines.nearby import NearbyEngine
from dcsim.study.progress import shown
from dcsim.study.summary import number

N_STEPS = 6
# Key figures on the terminal; the tables hold all.
SHOWN = (
    "capex_usd",
    "opex_usd_per_year",
    "cost_usd_per_gpu_h",
    "irr_frac",
    "payback_years",
    "gpus_installed",
    "gpu_goodput_frac",
    "pue",
    "facility_energy_mwh",
    "peak_grid_power_mw",
    "carbon_t",
    "water_m3",
)


@click.command()
@click.argument("base", metavar="BASE")
@click.argument("sources", metavar="ALT...", nargs=-1)
@click.option("--alt", "alternatives", multiple=True, metavar="'NAME: PATH=VALUE, ...'", help="The base, overridden.")
@click.option("--world", "worlds", multiple=True, metavar="'NAME: PATH=VALUE, ...'", help="Overrides of all.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=1, show_default=True, help="Paired seeds.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override a value of all; may be repeated.")
@click.option(
    "--by", type=click.Choice(list(BRIDGED)), default="npv_usd", show_default=True, help="Figure that decides."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("."),
    show_default=True,
    help="Folder for compare-<hash8>; its runs go to DIR/runs.",
)
@click.option("--engine", "where", default="local", show_default=True, metavar="local|dask://HOST:PORT")
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Processes of this machine; if left out all its processors, once runs are so long that this is faster.",
)
@click.option("--no-report", is_flag=True, help="Leave out the HTML page.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def compare(
    base: str,
    sources: tuple[str, ...],
    alternatives: tuple[str, ...],
    worlds: tuple[str, ...],
    seeds: int,
    sets: tuple[str, ...],
    by: str,
    out: Path,
    where: str,
    workers: int | None,
    no_report: bool,
    as_json: bool,
) -> None:
    """Set each ALT against BASE on the same seeds: what differs by key figure and ledger line, and which to take.

    BASE and ALT are scenario files, shipped names or run folders. Runs that stand in DIR/runs are not run again, so
    whatever ends a comparison, the same command goes on. Plans that differ in prices alone are simulated once.
    """
    engine = _engine(where, workers)
    kept = "nothing was written"
    try:
        ask = asked(base, sources, alternatives, worlds, seeds, sets)
        kept = f"what is finished is kept in {out / 'runs'}"
        with shown(as_json, "runs") as progress:
            found = paired(ask, out / "runs", engine, progress)
    except KeyboardInterrupt:
        click.echo(f"dcsim: interrupted; {kept}; the same command goes on", err=True)
        raise click.Abort from None
    finally:
        engine.close()
    result = answer(found, by)
    writers = () if no_report else (importlib.import_module("dcsim.reports.compare").write,)
    folder = write(out, result, writers)
    if as_json:
        click.echo(json.dumps({**result.said, "folder": str(folder)}, indent=1, allow_nan=False))
        return
    for line in text(result):
        click.echo(line)
    click.echo(f"\ntables      {folder} (kpis, lines, bridge, regret as .parquet and .csv; compare.json)")
    if not no_report:
        click.echo(f"report      {folder / 'compare.html'}")


def _engine(where: str, workers: int | None) -> Engine:
    """Engine that is asked for; short work is done in this process unless several workers are asked for."""
    engine = engine_of(where, workers)
    return NearbyEngine(engine) if isinstance(engine, LocalEngine) and workers in (None, 1) else engine


def text(result: Answer) -> Iterator[str]:
    """The answer in lines, the recommendation first."""
    said, tables = result.said, result.tables
    yield from said["recommendation"]
    figure, others = said["figure"], said["alternatives"][1:]
    yield f"\n{figure['name']}, {figure['meaning']}, at {figure['valued']}:"
    if figure["reason"]:
        yield f"  {figure['reason']}"
    wide = max(12, *(len(one["name"]) for one in said["alternatives"])) + 2
    for one in said["alternatives"]:
        line = f"  {one['name']:{wide}}{one['value_usd']:>18,.0f} USD"
        if one["delta_usd"] is not None:
            line += f"{one['delta_usd']:>+18,.0f}"
            if one["se_paired_usd"] is not None:
                ratio = "" if one["se_ratio"] is None else f", ratio {one['se_ratio']:.3f}"
                line += f"  standard error {number(one['se_paired_usd'])} paired"
                line += f", {number(one['se_independent_usd'])} independent{ratio}"
        yield line + (f"  dominated by {', '.join(one['dominated_by'])}" if one["dominated_by"] else "")
    for one in others:
        steps = tables["bridge"].query("alternative == @one['name'] and world == @AS_STATED and kind == 'step'")
        yield f"\nbridge from {said['base']} to {one['name']}, {len(steps)} lines:"
        for row in steps.head(N_STEPS).to_dict("records"):
            yield f"  {row['category'] + ' · ' + row['line']:36}{row['usd']:>+20,.2f}"
        if len(steps) > N_STEPS:
            yield f"  {f'{len(steps) - N_STEPS} others':36}{steps['usd'].iloc[N_STEPS:].sum():>+20,.2f}"
        yield f"  {'sum':36}{steps['usd'].sum():>+20,.2f}"
    kpis = tables["kpis"]
    kpis = kpis[kpis["world"] == AS_STATED]
    yield f"\n{'key figure':24}{said['base'][:16]:>18}" + "".join(f"{one['name'][:16]:>18}" for one in others)
    for name in SHOWN:
        rows = kpis[kpis["kpi"] == name]
        if rows["delta"].isna().all() or not rows["delta"].any():
            continue
        stated = _or_dash(float(rows["base"].iloc[0]))
        cells = "".join(f"{_or_dash(of, sign=True):>18}" for of in rows["delta"].to_numpy(float))
        yield f"{name:24}{stated:>18}{cells}  {rows['unit'].iloc[0]}"
    if len(said["worlds"]) > 1:
        yield "\nvalue by world, and the largest regret:"
        table = tables["regret"].pivot(index="alternative", columns="world", values="value_usd")
        names = [world["name"] for world in said["worlds"]]
        yield f"  {'':{wide}}" + "".join(f"{name[:16]:>18}" for name in names) + f"{'regret':>18}"
        for one in said["alternatives"]:
            cells = "".join(f"{usd(table.loc[one['name'], name]):>18}" for name in names)
            yield f"  {one['name']:{wide}}{cells}{usd(one['largest_regret_usd']):>18}"
    yield ""
    for one in said["objectives_left_out"]:
        yield f"not judged by {one['name']}: {one['reason']}"
    for one in said["undefined"]:
        who = "" if len(one["lacking"]) == len(said["alternatives"]) else f" of {', '.join(one['lacking'])}"
        yield f"undefined{who}: {', '.join(one['kpis'])}: {one['reason']}"
    for note in said["notes"]:
        yield f"note: {note}"


def _or_dash(value: float, sign: bool = False) -> str:
    return "–" if value != value else ("+" if sign and value > 0 else "") + number(value)
