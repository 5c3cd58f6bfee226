"""``dcsim run``, ``dcsim schedule``, ``dcsim size jobs``, ``dcsim estimate`` and ``dcsim plant``."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
import pyarrow.parquet as pq

from dcsim import pipeline, runs
from dcsim.columns import SCHEDULE
from dcsim.model.load import load
from dcsim.parquet import declared, encoding
from dcsim.physics.mixed import SPLITS
from dcsim.physics.plans import OBJECTIVES
from dcsim.registry import lookup
from dcsim.sim.policies import POLICIES
from dcsim.study import estimate_inference, estimate_mixed, estimate_training, pods
from dcsim.study import plant as plants
from dcsim.study import schedule as schedules
from dcsim.study.estimate import Figure
from dcsim.study.progress import shown
from dcsim.study.sizing import jobs as sizes
from dcsim.study.summary import number, summary
from dcsim.units import SECONDS_PER_MINUTE
from dcsim.workload.traces.formats import source
from dcsim.workload.traces.replay import replayed

Function = TypeVar("Function", bound=Callable[..., Any])


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
@click.option(
    "--calibration-draws",
    type=click.IntRange(2, 1000),
    help="Also run so many draws of the calibration within its intervals: every figure gets P10 and P90.",
)
@click.option("--no-report", is_flag=True, help="Leave out the HTML report.")
@click.option("--quiet", is_flag=True, help="Print the run folder alone.")
def run(
    source: str,
    sets: tuple[str, ...],
    out: Path,
    seed: int | None,
    calibration_draws: int | None,
    no_report: bool,
    quiet: bool,
) -> None:
    """Simulate SCENARIO and write a run folder.

    SCENARIO is the path of a YAML file or the name of a shipped scenario (`dcsim scenario list`).
    """
    if seed is not None:
        sets = (*sets, f"plan.seed={seed}")
    loaded = load(source, sets)
    # Reports are reached by name, so that nothing in the core imports plotly.
    writers = () if no_report else (importlib.import_module("dcsim.reports.run_report").write,)
    with shown(quiet, "load") as progress:
        folder = pipeline.run(
            loaded,
            out,
            writers=writers,
            draws=calibration_draws or 0,
            progress=progress,
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


def _trace(function: Function) -> Function:
    """Options of every verb that reads a trace."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON alone."),
        click.option("--bad-rows", type=click.Choice(["refuse", "skip"]), default="refuse", show_default=True),
        click.option("--map", "mapping", multiple=True, metavar="OURS=THEIRS", help="Column of a table."),
        click.option("--format", "form", metavar="NAME", help="Form of the trace; recognised if absent."),
        click.option("--policy", default="easy", show_default=True, help="Scheduling policy."),
        click.argument("path", metavar="TRACE", type=click.Path(path_type=Path)),
    ):
        function = decorate(function)
    return function


@click.command()
@_trace
@click.option("--processors", type=click.IntRange(min=1), help="Size of the machine, all nodes alike.")
@click.option("--nodes", type=click.Path(path_type=Path), help="List of unlike nodes instead, for a list of pods.")
@click.option("--starts", type=click.Choice(["free", "recorded"]), default="free", help="Of pods on --nodes.")
@click.option("--estimates", type=click.Choice(["user", "perfect"]), default="user", show_default=True)
@click.option("--per-node", type=click.IntRange(min=1), default=1, show_default=True, help="Processors of a node.")
@click.option("--quota", "quotas", multiple=True, metavar="TENANT=N", help="Most that a tenant holds, for fair_share.")
@click.option("--depth", type=click.IntRange(min=1), help="Jobs in line with a time, for conservative; all if absent.")
@click.option("--oversized", type=click.Choice(["refuse", "skip"]), default="refuse", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Parquet file of the jobs.")
def schedule(
    path: Path,
    processors: int | None,
    nodes: Path | None,
    starts: Literal["free", "recorded"],
    policy: str,
    estimates: str,
    per_node: int,
    quotas: tuple[str, ...],
    depth: int | None,
    oversized: Literal["refuse", "skip"],
    out: Path | None,
    form: str | None,
    mapping: tuple[str, ...],
    bad_rows: Literal["refuse", "skip"],
    as_json: bool,
) -> None:
    """Run the scheduler alone on TRACE: waits, bounded slowdown, utilisation, makespan."""
    if nodes is not None:
        if processors is not None or out is not None:
            raise click.UsageError("--nodes goes with neither --processors nor --out")
        found = pods.figures(pods.placed(path, nodes, recorded=starts == "recorded"))
        for line in [json.dumps(found, indent=1)] if as_json else pods.lines(found, recorded=starts == "recorded"):
            click.echo(line)
        return
    if processors is None:
        raise click.UsageError("say --processors, or --nodes for a list of pods on unlike nodes")
    if processors % per_node:
        raise click.UsageError(f"--processors {processors} is no multiple of --per-node {per_node}")
    known = lookup(POLICIES, policy, "scheduling policy")
    jobs, report = replayed(source(path, form, mapping), bad_rows=bad_rows)
    if oversized == "skip":
        jobs = jobs.select(jobs.gpus <= processors)
    done = schedules.schedule(
        jobs,
        processors=processors,
        policy=policy,
        estimates=estimates,
        per_node=per_node,
        tenancy=schedules.tenancy(jobs, quotas),
        depth=depth,
    )
    if out is not None:
        if not out.parent.is_dir():
            raise click.UsageError(f"{out}: there is no folder {out.parent}")
        pq.write_table(declared(done.table(), SCHEDULE), out, **encoding(SCHEDULE))
    if as_json:
        click.echo(json.dumps({"policy": policy, "processors": processors, **done.figures()}, indent=1))
        return
    for line in schedules.lines(done, known.meaning):
        click.echo(line)
    for note in report.notes(path.name):
        click.echo(f"note: {note}")
    if out is not None:
        click.echo(f"jobs         {out}")


@click.command()
@_trace
@click.option("--max-wait-min", type=click.FloatRange(min=0), required=True, help="Longest wait allowed.")
@click.option("--wait", type=click.Choice(list(sizes.WAITS)), default="mean", show_default=True, help="Which wait.")
@click.option("--per-node", type=click.IntRange(min=1), default=8, show_default=True, help="GPUs of a node.")
def size(
    path: Path,
    policy: str,
    form: str | None,
    mapping: tuple[str, ...],
    bad_rows: Literal["refuse", "skip"],
    as_json: bool,
    max_wait_min: float,
    wait: str,
    per_node: int,
) -> None:
    """Find the fewest GPUs on which the jobs of TRACE wait no longer than a limit."""
    lookup(POLICIES, policy, "scheduling policy")
    jobs, report = replayed(source(path, form, mapping), bad_rows=bad_rows)
    limit_s = max_wait_min * SECONDS_PER_MINUTE
    found = sizes.size(jobs, wait_s=limit_s, of=wait, policy=policy, per_node=per_node)
    if as_json:
        stated = {"trace": path.name, "policy": policy, "wait": wait, "max_wait_min": max_wait_min}
        click.echo(json.dumps(sizes.body(found, **stated), indent=1))
        return
    for line in sizes.lines(found, wait, limit_s):
        click.echo(line)
    for note in report.notes(path.name):
        click.echo(f"note: {note}")


def _common(function: Function) -> Function:
    """Options that every estimate has."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON alone."),
        click.option("--usd-per-gpu-h", type=click.FloatRange(0, 1e6), help="Instead of the catalog's price."),
        click.option(
            "--usd-per-kwh", type=click.FloatRange(0, 1e3), help="Electricity, instead of the catalog's mean."
        ),
        click.option("--pue", type=click.FloatRange(1.0, 5.0), help="Power at the meter over power of the nodes."),
        click.option("--gpu", required=True, help="GPU of the catalog (`dcsim catalog list gpus`)."),
        click.option("--model", required=True, help="Model of the catalog (`dcsim catalog list models`)."),
    ):
        function = option(function)
    return function


@click.group()
def estimate() -> None:
    """Estimate one training run or one service, each figure with the bounds of eight outcomes in ten."""


@estimate.command()
@_common
@click.option("--tokens", type=float, required=True, help="Tokens to train on, as 2e12.")
@click.option("--gpus", type=click.IntRange(min=1), help="GPUs; left out, the fewest that meet --deadline-days.")
@click.option("--deadline-days", type=float, help="Days within which the run must end.")
@click.option("--plan", default="auto", show_default=True, help="auto, or sizes as tp=4,pp=4,vp=5,cp=1,recompute=full.")
@click.option(
    "--objective", type=click.Choice(OBJECTIVES), default="time", show_default=True, help="What plans minimise."
)
@click.option("--dtype", default="bf16", show_default=True, help="bf16, fp16, fp8, mxfp8 or nvfp4.")
@click.option("--seq", type=click.IntRange(min=1), default=8192, show_default=True, help="Tokens a sequence.")
@click.option("--global-batch", type=click.IntRange(min=1), help="Sequences a step; left out, four million tokens.")
@click.option("--network", default="ib-ndr400", show_default=True, help="Network of the catalog.")
@click.option("--stack", default="yours", show_default=True, help="Software stack: nemo, bridge, mlperf, or another.")
@click.option("--reliability", default="llama3-h100", show_default=True, help="Failure rates of the catalog.")
@click.option("--lemons-removed", type=click.FloatRange(0, 0.5), default=0.0, help="Share of worst nodes taken out.")
@click.option(
    "--trained-frac",
    type=float,
    default=1.0,
    show_default=True,
    help="Share of the weights that is trained: below 1 for low-rank adapters, 0.00065 for rank 16 on Llama 2 70B.",
)
@click.option("--beside", multiple=True, metavar="GPU=N", help="GPUs of another kind in the same run; may be repeated.")
@click.option("--split", type=click.Choice(SPLITS), default="proportional", show_default=True, help="Of the batch.")
def training(as_json: bool, beside: tuple[str, ...], split: str, **given: Any) -> None:
    """Days on --gpus, or GPUs for --deadline-days; plan, step, MFU, energy, cost and failures.

    Exits with 1 where both are given and the deadline is missed.
    """
    if beside:
        both = estimate_mixed.mixed(estimate_training.Ask(**given), beside, split)
        if as_json:
            ask = {**given, "beside": beside, "split": split}
            click.echo(json.dumps({"ask": ask, **both.record()}, indent=1, allow_nan=False))
        else:
            click.echo("plan  " + ", ".join(f"{name} {value:g}" for name, value in both.plan.items()))
            _echo_figures(both.figures)
            click.echo("\n" + "\n".join(estimate_mixed.lines(both)))
            _echo_notes(both.notes)
        return
    answer = estimate_training.training(estimate_training.Ask(**given))
    if as_json:
        click.echo(json.dumps({"ask": given, **answer.record()}, indent=1, allow_nan=False))
    else:
        click.echo("plan  " + ", ".join(f"{name} {value:g}" for name, value in answer.plan.items()))
        _echo_figures(answer.figures)
        total = answer.figures["step_s"].value or 1.0
        shares = sorted(answer.step_parts.items(), key=lambda item: -item[1])
        parts = [
            f"{name.removesuffix('_s')} {100 * value / total:.1f} %" for name, value in shares if value > 0.0005 * total
        ]
        click.echo(f"\nstep  {', '.join(parts)}")
        click.echo(f"sent a GPU and step  {', '.join(f'{k[:-2]} {v / 1e9:.3g} GB' for k, v in answer.traffic.items())}")
        for other in answer.others:
            sizes = ", ".join(f"{k} {other['plan'][k]:g}" for k in ("tp", "pp", "vp", "cp", "ep", "micro_batch"))
            click.echo(f"next  {sizes}: {other['loses_by']}")
        if answer.losers:
            click.echo("plans lost by  " + ", ".join(f"{reason} {count}" for reason, count in answer.losers))
        _echo_notes(answer.notes)
    if answer.meets_deadline is False:
        click.echo(f"misses the deadline of {given['deadline_days']:g} days", err=True)
        raise SystemExit(1)


@estimate.command()
@_common
@click.option("--tokens-per-s", type=float, required=True, help="Output tokens a second to serve.")
@click.option("--prompt", type=float, default=512, show_default=True, help="Mean tokens of a prompt.")
@click.option("--output", type=float, default=256, show_default=True, help="Mean tokens of an answer.")
@click.option("--ttft-ms", type=float, help="Limit of the time to first token.")
@click.option("--tpot-ms", type=float, help="Limit of the time per output token.")
@click.option("--weights", default="bf16", show_default=True, help="bf16 or fp8.")
@click.option("--gpus-per-replica", type=click.IntRange(min=1), help="Left out, the split that needs the fewest GPUs.")
def inference(as_json: bool, **given: Any) -> None:
    """Replicas and GPUs that serve a demand within latency limits; batch, watts, cost of a million tokens."""
    answer = estimate_inference.inference(estimate_inference.Ask(**given))
    if as_json:
        click.echo(json.dumps({"ask": given, **answer.record()}, indent=1, allow_nan=False))
        return
    _echo_figures(answer.figures)
    click.echo(f"\nwhat binds  {answer.binding}")
    _echo_notes(answer.notes)


def _echo_figures(figures: dict[str, Figure]) -> None:
    click.echo(f"{'':36}{'':>14}{'P10':>14}{'P90':>14}")
    for name, figure in figures.items():
        if figure.value is None:
            click.echo(f"{name:36}{'-':>14}  {figure.unit} ({figure.reason})")
            continue
        sure = figure.p10 == figure.p90
        ends = ["" if sure or end is None else number(end) for end in (figure.p10, figure.p90)]
        click.echo(f"{name:36}{number(figure.value):>14}{ends[0]:>14}{ends[1]:>14}  {figure.unit}")


def _echo_notes(notes: list[str]) -> None:
    click.echo("")
    for note in notes:
        click.echo(f"note: {note}")


@click.command()
@click.argument("sites", metavar="[SITE]...", nargs=-1)
@click.option("--design", "names", multiple=True, help="Name of a design; may be repeated. All with --compare.")
@click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="A parameter of the plant or power chain.")
@click.option("--it-load-frac", type=float, default=0.8, show_default=True, help="IT power over the design's.")
@click.option("--compare", is_flag=True, help="Rank designs and sites by PUE.")
@click.option("--draws", type=click.IntRange(4, 1000), help="Years that differ as years do, of a site with normals.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of these years.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def plant(
    sites: tuple[str, ...],
    names: tuple[str, ...],
    sets: tuple[str, ...],
    it_load_frac: float,
    compare: bool,
    draws: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Work out a cooling plant and power chain at SITE over a year.

    SITE is a weather year or a site with normals of the catalog, or the path of an EPW, TMY3, TMY2 or CSV file.
    Without one, sites and designs are listed. Climate alone does not predict a site: age, load and design decide more,
    as `dcsim validate pue` shows of reported regions.
    """
    known = plants.designs()
    if not sites:
        click.echo(f"sites    {', '.join(plants.site_names())}")
        click.echo("designs")
        for name, of in known.items():
            click.echo(f"  {name:28}{of.meaning}")
        return
    if not compare and (len(sites) != 1 or len(names) != 1):
        raise click.UsageError("name one site and one --design, or say --compare")
    chosen = {name: plants.stated(name, sets) for name in names or known}
    years = plants.compare([plants.at_site(site) for site in sites], chosen, it_load_frac)
    records = [year.record() for year in years]
    if draws:
        for record, year in zip(records, years, strict=True):
            key = next(site for site in sites if plants.at_site(site).name == year.site)
            record["between_years"] = plants.between_years(key, chosen[year.design], it_load_frac, draws, seed)
    if as_json:
        click.echo(json.dumps(records if compare else records[0], indent=1, allow_nan=False))
    elif compare:
        click.echo(f"{'PUE':>7}{'design hour':>13}{'WUE L/kWh':>11}{'free h':>8}  design at site")
        for record in records:
            click.echo(
                f"{record['pue']:>7.3f}{record['pue_design_hour']:>13.3f}{record['wue_l_per_kwh']:>11.2f}"
                f"{record['hours']['free']:>8}  {record['design']} at {record['site']}"
            )
    else:
        for line in plants.lines(records[0]):
            click.echo(line)
