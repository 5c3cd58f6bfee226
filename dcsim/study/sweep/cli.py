"""``dcsim sweep``."""

from pathlib import Path

import click

from dcsim.errors import DcsimError, UsageError
from dcsim.model.load import load
from dcsim.study.engines.choose import engine_of
from dcsim.study.engines.cli import engine_options
from dcsim.study.progress import shown
from dcsim.study.sweep import design
from dcsim.study.sweep.answer import failures, lines
from dcsim.study.sweep.study import Study, plan
from dcsim.study.sweep.study import sweep as computed


class SweepError(DcsimError):
    """Some runs of a sweep failed; the others are finished."""


@click.command()
@click.argument("source", metavar="SCENARIO")
@click.option("--vary", "varies", multiple=True, metavar="PATH=A,B,C", help="Values, [a,b] being one; may be repeated.")
@click.option("--seeds", type=click.IntRange(1), help="Run each with so many seeds, from the scenario's on.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override a value of all runs.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the study.  [default: sweeps/<name>-<hash of the design>]",
)
@engine_options
@click.option("--resume", is_flag=True, help="Refuse to begin a new study; go on with the one in --out.")
@click.option("--quiet", is_flag=True, help="Print the folder of the study alone.")
def sweep(
    source: str,
    varies: tuple[str, ...],
    seeds: int | None,
    sets: tuple[str, ...],
    out: Path | None,
    where: str,
    workers: int | None,
    resume: bool,
    quiet: bool,
) -> None:
    """Run SCENARIO over every combination of values, each once.

    A result is kept as it comes. Whatever ends a sweep, the same command goes on with what is missing. The folder holds
    kpis.parquet and kpis.csv, monthly.parquet, mean and variance of the intervals over all runs, and whole run folders
    of the runs at P5, P50 and P95 of npv_usd.
    """
    axes = design.axes(varies)
    if seeds is not None:
        axes = design.seeded(axes, seeds, load(source, sets).scenario.plan.seed)
    if not axes:
        raise UsageError("nothing varies: state --vary path=a,b,c or --seeds N")
    engine = engine_of(where, workers)
    study: Study | None = None
    folder = out
    try:
        with shown(quiet, "load") as progress:
            planned = plan(source, sets, axes, engine, progress)
            folder = out or Path("sweeps") / f"{planned.name}-{planned.identity}"
            if resume and not (folder / "manifest.json").exists():
                raise UsageError(f"--resume: {folder} holds no study; leave --resume out to begin one")
            study = computed(planned, folder, engine, progress)
    except KeyboardInterrupt:
        kept = "nothing was written" if folder is None else f"what is finished is kept in {folder}"
        click.echo(f"dcsim: interrupted; {kept}; the same command goes on", err=True)
        raise click.Abort from None
    finally:
        engine.close()
    click.echo(str(study.folder) if quiet else "\n".join(lines(study)))
    if study.failed:
        raise SweepError(failures(study))
