"""``dcsim optimise``."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import click

from dcsim.errors import UsageError
from dcsim.study.engines.choose import engine_of
from dcsim.study.engines.cli import engine_options
from dcsim.study.optimise.answer import label
from dcsim.study.optimise.asked import asked
from dcsim.study.optimise.design import choices
from dcsim.study.optimise.study import Study
from dcsim.study.optimise.study import optimise as found_by
from dcsim.study.optimise.tried import OptimiseError
from dcsim.study.progress import shown
from dcsim.study.summary import number

SHOWN = 24


@click.command()
@click.argument("source", metavar="SCENARIO")
@click.option(
    "--vary",
    "varies",
    multiple=True,
    metavar="PATH=A,B,C|LOW..HIGH[..STEP]",
    help="What may be chosen; may be repeated. Whole numbers go by 1; a range with a decimal point is continuous.",
)
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    metavar="FIGURE[,max|min]",
    help="What is better; may be repeated.  [default: money, carbon, water, months to power, availability]",
)
@click.option("--limit", "limits", multiple=True, metavar="'FIGURE<=BOUND'", help="What a design must keep, or >=.")
@click.option(
    "--trials", type=click.IntRange(1, 5000), default=200, show_default=True, help="Designs to try; all, if no more."
)
@click.option("--seed", type=click.IntRange(0), help="Seed of the search.  [default: the scenario's]")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override a value of all designs.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the study.  [default: optimisations/<name>-<hash of what is asked>]",
)
@engine_options
@click.option("--resume", is_flag=True, help="Refuse to begin a new study; go on with the one in --out.")
@click.option("--no-report", is_flag=True, help="Leave out the HTML page.")
@click.option("--quiet", is_flag=True, help="Print the folder of the study alone.")
def optimise(
    source: str,
    varies: tuple[str, ...],
    objectives: tuple[str, ...],
    limits: tuple[str, ...],
    trials: int,
    seed: int | None,
    sets: tuple[str, ...],
    out: Path | None,
    where: str,
    workers: int | None,
    resume: bool,
    no_report: bool,
    quiet: bool,
) -> None:
    """Find the designs of SCENARIO that no other beats by every objective, and say what binds each.

    Every design is tried where there are at most --trials of them, else a genetic search (NSGA-II) chooses. A design
    that cannot be built is kept with its reason. A result is kept as it comes: the same command goes on.
    """
    ask = asked(source, sets, choices(varies), objectives, limits, trials, seed)
    folder = out or Path("optimisations") / f"{ask.name}-{ask.identity}"
    if resume and not (folder / "results").exists():
        raise UsageError(f"--resume: {folder} holds no study; leave --resume out to begin one")
    writers = () if no_report else (importlib.import_module("dcsim.reports.optimise").write,)
    engine = engine_of(where, workers)
    try:
        with shown(quiet, "check") as progress:
            study = found_by(ask, folder, engine, progress, writers)
    except KeyboardInterrupt:
        click.echo(f"dcsim: interrupted; what is finished is kept in {folder}; the same command goes on", err=True)
        raise click.Abort from None
    finally:
        engine.close()
    click.echo(str(study.folder) if quiet else "\n".join(lines(study, not no_report)))
    if study.failed:
        raise OptimiseError(failures(study))


def lines(study: Study, report: bool) -> Iterator[str]:
    """The answer first, then the front, then where the rest is."""
    said = study.said
    yield from said["finding"]
    points = said["points"]
    yield (
        f"\n{points['tried']} designs: {points['refused']} cannot be built, {points['failed']} failed, "
        f"{points['built'] - points['feasible']} break a limit or lack a figure, {points['dominated']} are dominated, "
        f"{points['front']} on the front, {points['alike']} equal to one of these; "
        f"{study.n_before} results were there"
    )
    objectives = [of for of in said["objectives"] if of["varies"]]
    if said["front"]:
        yield f"\n{'point':>5} {'':4}" + "".join(f"{of['name'][:22]:>24}" for of in objectives)
        knee = said["knee"]["point"]
        for one in said["front"][:SHOWN]:
            cells = "".join(f"{number(one['objectives'][of['name']]):>24}" for of in objectives)
            tight = one["tightest_limit"]
            near = "" if tight is None else f"; {tight['limit']} has {tight['slack_frac']:.1%} left"
            alike = "" if not one["alike"] else f"; equal: {', '.join(map(str, one['alike']))}"
            mark = "knee" if one["point"] == knee else ""
            yield f"{one['point']:>5} {mark:4}{cells}  {label(said, one)}; binds: {one['binding']}{near}{alike}"
        if len(said["front"]) > SHOWN:
            yield f"      and {len(said['front']) - SHOWN} more in points.csv"
        same = [of for of in said["objectives"] if not of["varies"]]
        if same and len(said["front"]) > 1:
            told = ", ".join(f"{of['name']} {number(of['best'])}" for of in same)
            yield f"the same in all feasible designs: {told}"
    for one in said["not_feasible"]:
        yield f"not feasible, {len(one['points'])}: {one['reason']}"
    yield f"study folder  {study.folder}"
    if report:
        yield f"report        {study.folder / 'optimise.html'}"


def failures(study: Study) -> str:
    """Message that names the designs that failed and why."""
    told = [f"  {one.label}: {'; '.join(one.reasons)}" for one in study.failed]
    return "\n".join(
        [
            f"{study.folder}: {len(told)} of {study.said['points']['tried']} designs failed; the others are judged",
            *told,
            "Mend the cause and give the same command again",
        ]
    )
