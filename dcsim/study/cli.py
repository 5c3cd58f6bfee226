"""``dcsim run``."""

import importlib
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from dcsim import pipeline, runs
from dcsim.model.load import load


@click.command()
@click.argument("source", metavar="SCENARIO")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override a value; may be repeated.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder in which the run folder is written.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of every random draw, instead of the scenario's.")
@click.option("--no-report", is_flag=True, help="Leave out the HTML report.")
@click.option("--quiet", is_flag=True, help="Print the run folder alone.")
def run(source: str, sets: tuple[str, ...], out: Path, seed: int | None, no_report: bool, quiet: bool) -> None:
    """Simulate SCENARIO and write a run folder.

    SCENARIO is the path of a YAML file or the name of a shipped scenario (`dcsim scenario list`).
    """
    if seed is not None:
        sets = (*sets, f"plan.seed={seed}")
    loaded = load(source, sets)
    # Reports are reached by name, so that nothing in the core imports plotly.
    writers = () if no_report else (importlib.import_module("dcsim.reports.run_report").write,)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=quiet or not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("load", total=1.0)
        folder = pipeline.run(
            loaded,
            out,
            writers=writers,
            progress=lambda step, done: bar.update(task, description=step, completed=done),
        )
    if quiet:
        click.echo(folder)
        return
    result = runs.read(folder)
    for line in summary(result):
        click.echo(line)
    click.echo(f"run folder  {folder}")
    if not no_report:
        click.echo(f"report      {folder / 'report.html'}")


def summary(result: runs.Run) -> list[str]:
    """Lines that answer first: what binds in each phase, then every key figure with its unit."""
    lines = [f"{result.scenario['name']}: {result.scenario['description'].strip()}", ""]
    for phase in result.findings["phases"]:
        limits = ", ".join(f"{limit['name']} {limit['servers']}" for limit in phase["limits"])
        lines.append(
            f"{phase['name']} from {phase['energised']}: {phase['servers']} servers, {phase['gpus']:,} GPUs in all; "
            f"{phase['binding']} binds (servers in all that each limit allows: {limits})"
        )
    lines.append("")
    for name, kpi in result.kpis.items():
        value = "-" if kpi["value"] is None else _number(kpi["value"])
        reason = f"  ({kpi['reason']})" if kpi["value"] is None else ""
        lines.append(f"{name:24}{value:>16}  {kpi['unit']}{reason}")
    lines.extend(["", *(f"note: {note}" for note in result.findings["notes"]), ""])
    return lines


def _number(value: float) -> str:
    """Four significant digits below 1,000, whole and grouped above."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
