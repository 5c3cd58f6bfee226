"""``dcsim trace``: read, describe, convert, scale and fit job traces."""

import importlib
import json
import os
from collections.abc import Callable, Iterable
from math import isnan
from pathlib import Path
from typing import Any, Literal

import click
import pandas as pd
import pyarrow.parquet as pq

from dcsim.columns import TRACE
from dcsim.errors import UsageError
from dcsim.parquet import declared, encoding, schema
from dcsim.workload.requests import files as request_files
from dcsim.workload.requests.requests import statistics as request_statistics
from dcsim.workload.traces.canonical import Reading
from dcsim.workload.traces.formats import FORMATS, WIDTH, Frames, Source, source
from dcsim.workload.traces.generator import check_draw, fit, generate, goodness
from dcsim.workload.traces.scaling import scaled
from dcsim.workload.traces.statistics import statistics

BARS = " ▁▂▃▄▅▆▇█"
BadRows = Literal["refuse", "skip"]


@click.group()
def trace() -> None:
    """Read job traces: list formats, describe, convert to one form, scale, fit a generator."""


def _reading(function: Callable[..., None]) -> Callable[..., None]:
    """Options of every verb that reads a trace."""
    for decorate in (
        click.option("--bad-rows", type=click.Choice(["refuse", "skip"]), default="refuse", show_default=True),
        click.option(
            "--map", "mapping", multiple=True, metavar="OURS=THEIRS", help="Column of a table of no known form."
        ),
        click.option("--format", "name", metavar="NAME", help="Form of the trace; recognised if absent."),
        click.argument("path", metavar="TRACE", type=click.Path(path_type=Path)),
    ):
        function = decorate(function)
    return function


@trace.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def formats(as_json: bool) -> None:
    """List the forms that can be read, and which were tried on their publisher's own files."""
    if as_json:
        rows = [
            {"name": name, "meaning": of.meaning, "gpus": of.gpus, "seen": of.seen or None, "source": of.source}
            for name, of in FORMATS.items()
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    for name, of in FORMATS.items():
        seen = f"tried on {of.seen}" if of.seen else "not seen on real data: from the documented columns"
        click.echo(f"{name:12} {of.meaning}\n{'':12} {seen}; {of.source}")
    click.echo(f"{'(any table)':12} --map OURS=THEIRS names the columns of a CSV or Parquet file")


@trace.command()
@_reading
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with figures too.")
def describe(
    path: Path, name: str | None, mapping: tuple[str, ...], bad_rows: BadRows, as_json: bool, html: Path | None
) -> None:
    """Sizes, run times, waits, arrivals and load of TRACE."""
    of = source(path, name, mapping)
    reading, frames = of.frames(bad_rows)
    found = statistics(frames, gpus=of.gpus)
    body: dict[str, Any] = {
        "trace": path.name,
        "format": of.name,
        "width": "GPUs" if of.gpus else "processors",
        "bad_rows": reading.bad,
        "statistics": found,
    }
    if html is not None:
        importlib.import_module("dcsim.reports.trace_report").write(body, html)
    if as_json:
        click.echo(json.dumps(body, indent=1, allow_nan=False))
        return
    for line in _described(body):
        click.echo(line)
    _tell_bad(reading)
    if html is not None:
        click.echo(f"page         {html}")


def _described(body: dict[str, Any]) -> Iterable[str]:
    found, unit = body["statistics"], body["width"]
    yield f"{body['trace']}: {body['format']}, {found['jobs']:,} jobs, {found['usable']:,} of them with {unit}"
    if not found["usable"]:
        return
    per_day = found["usable"] / max(found["span_days"], 1e-9)
    yield f"span         {found['span_days']:.1f} days, {per_day:,.0f} jobs a day; {found['never_ran']:,} never ran"
    load = f"{found['mean_busy']:,.1f} in use, {found['peak_busy']:,.0f} at the peak"
    yield f"load         {found['width_hours']:,.0f} {unit[:-1]}-hours; {load}"
    for label, key, scale, suffix in (
        (unit, "width", 1.0, ""),
        ("run time", "run_s", 60.0, " min"),
        ("wait", "wait_s", 60.0, " min"),
        ("limit/run", "limit_over_run", 1.0, ""),
        ("gap", "gap_s", 1.0, " s"),
    ):
        if (of := found[key]) is not None:
            yield (
                f"{label:12} mean {of['mean'] / scale:,.4g}{suffix}, median {of['p50'] / scale:,.4g}, "
                f"p90 {of['p90'] / scale:,.4g}, p99 {of['p99'] / scale:,.4g}, max {of['max'] / scale:,.4g}"
            )
    top = max(found["hours"])
    shape = "".join(BARS[round(8 * value / top)] for value in found["hours"])
    yield f"by hour      {shape}  busiest {top:.2f} times the mean"
    yield f"{'size':>12}  {'jobs':>6}  {unit[:-1] + '-hours':>15}"
    for row in found["sizes"]:
        label = "part of one" if row["up_to"] < 1 else f"<= {row['up_to']:,.0f}"
        yield f"{label:>12}  {row['jobs']:6.1%}  {row['width_hours']:15.1%}  {'█' * round(40 * row['jobs'])}"
    yield "states       " + ", ".join(f"{name} {count:,}" for name, count in sorted(found["statuses"].items()))
    if found["tenants"]:
        yield "largest      " + ", ".join(f"{one['name']} {one['share']:.0%}" for one in found["tenants"])


def _tell_bad(reading: Reading) -> None:
    if reading.bad:
        click.echo(f"{reading.bad:,} rows are no jobs and were skipped, such as:", err=True)
        for problem in reading.listed[:5]:
            click.echo(f"  {problem}", err=True)


@trace.command()
@_reading
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Parquet file to write.")
def convert(path: Path, name: str | None, mapping: tuple[str, ...], bad_rows: BadRows, out: Path) -> None:
    """Write TRACE in the canonical form."""
    of = source(path, name, mapping)
    reading, frames = of.frames(bad_rows)
    rows = _write(out, frames, f"{path.name} ({of.name})", gpus=of.gpus)
    click.echo(f"{out}  {rows:,} jobs of {reading.rows:,} rows")
    _tell_bad(reading)


@trace.command()
@_reading
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Parquet file to write.")
@click.option("--load", type=float, default=1.0, show_default=True, help="Jobs over those of the trace.")
@click.option("--from-gpus", type=float, help="Size of the trace's cluster; with --to-gpus instead of --load.")
@click.option("--to-gpus", type=float, help="Size of the cluster to scale to.")
@click.option("--width", type=float, default=1.0, show_default=True, help="Factor on the GPUs of every job.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def scale(
    path: Path,
    name: str | None,
    mapping: tuple[str, ...],
    bad_rows: BadRows,
    out: Path,
    load: float,
    from_gpus: float | None,
    to_gpus: float | None,
    width: float,
    seed: int,
) -> None:
    """Write TRACE with more or fewer jobs, or wider or narrower ones."""
    if (from_gpus is None) != (to_gpus is None):
        raise UsageError("--from-gpus and --to-gpus go together")
    if from_gpus is not None and to_gpus is not None:
        if load != 1.0:
            raise UsageError("--load and --from-gpus with --to-gpus say the same; give one of them")
        if from_gpus <= 0 or to_gpus <= 0:
            raise UsageError("--from-gpus and --to-gpus must be above 0")
        load = to_gpus / from_gpus
    of = source(path, name, mapping)
    span_s = _span(of, bad_rows)
    reading, frames = of.frames(bad_rows)
    made = scaled(frames, span_s=span_s, load=load, width=width, seed=seed)
    rows = _write(out, made, f"{path.name} ({of.name}), load {load:g}, width {width:g}, seed {seed}", gpus=of.gpus)
    click.echo(f"{out}  {rows:,} jobs from {reading.rows:,} rows, load {load:g}, width {width:g}")
    _tell_bad(reading)


def _span(of: Source, bad_rows: BadRows) -> tuple[float, float]:
    first_s, last_s = float("inf"), float("-inf")
    for found in of.frames(bad_rows)[1]:
        first_s, last_s = min(first_s, found["submit_s"].min()), max(last_s, found["submit_s"].max())
    return first_s, last_s


@trace.command("fit")
@_reading
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="JSON file of the generator."
)
@click.option("--jobs", type=click.Path(dir_okay=False, path_type=Path), help="Write a drawn trace too, Parquet.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Length of that; the trace's if absent.")
@click.option("--load", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Arrivals over the trace's.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def fit_(
    path: Path,
    name: str | None,
    mapping: tuple[str, ...],
    bad_rows: BadRows,
    out: Path,
    jobs: Path | None,
    days: float | None,
    load: float,
    seed: int,
) -> None:
    """Fit a generator to TRACE and show how far its draws are from it."""
    of = source(path, name, mapping)
    reading, frames = of.frames(bad_rows)
    made, columns = fit(frames, gpus=of.gpus)
    _aside(out, lambda file: file.write_text(json.dumps(made.to_json(), indent=1) + "\n", encoding="utf-8"))
    click.echo(f"{out}  {made.n_jobs:,} jobs, {len(made.groups)} groups of widths")
    click.echo(f"{'':38}{'trace':>12}{'drawn':>12}{'distance':>10}")
    for row in goodness(columns, check_draw(made, seed), gpus=of.gpus):
        values = "".join(f"{'–' if row[key] is None else format(row[key], ',.4g'):>12}" for key in ("trace", "drawn"))
        distance = "" if row["distance"] is None else f"{row['distance']:10.4f}"
        click.echo(f"{row['what']:38}{values}{distance}")
    if jobs is not None:
        drawn = generate(made, days=days, load=load, seed=seed)
        _write(
            jobs,
            iter([drawn]),
            f"drawn from a fit of {path.name} ({of.name}), load {load:g}, seed {seed}",
            gpus=of.gpus,
        )
        click.echo(f"{jobs}  {len(drawn):,} jobs")
    _tell_bad(reading)


def _write(out: Path, frames: Frames, origin: str, *, gpus: bool) -> int:
    """Write canonical frames: aside, then in place, so that a fault leaves nothing. The number of rows."""
    rows = 0

    def to(file: Path) -> None:
        nonlocal rows
        form = schema(TRACE).with_metadata({"origin": origin, WIDTH: "gpus" if gpus else "cpus"})
        with pq.ParquetWriter(file, form, **encoding(TRACE)) as writer:
            for found in frames:
                writer.write_table(declared(_null_texts(found), TRACE).cast(form))
                rows += len(found)

    _aside(out, to)
    return rows


def _null_texts(found: pd.DataFrame) -> pd.DataFrame:
    texts = [column.name for column in TRACE if column.kind == "s"]
    return found.fillna(dict.fromkeys(texts, ""))


def _aside(out: Path, to: Callable[[Path], Any]) -> None:
    if not out.parent.is_dir():
        raise UsageError(f"{out}: there is no folder {out.parent}")
    aside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        to(aside)
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)


@trace.command()
@click.argument("path", metavar="LOG", type=click.Path(path_type=Path))
@click.option("--format", "form", metavar="NAME", help="Form of the log; recognised if absent.")
@click.option("--map", "mapping", multiple=True, metavar="OURS=THEIRS", help="Column: arrival_s, prompt, output.")
@click.option("--bad-rows", type=click.Choice(["refuse", "skip"]), default="refuse", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def requests(path: Path, form: str | None, mapping: tuple[str, ...], bad_rows: BadRows, as_json: bool) -> None:
    """Rate, bursts and lengths of LOG, a log of requests to a language model."""
    pairs = {ours: theirs for ours, _, theirs in (text.partition("=") for text in mapping)}
    log, report = request_files.read(path, form=form, columns=pairs or None, bad_rows=bad_rows)
    found = {name: None if isnan(value) else value for name, value in request_statistics(log).items()}
    if as_json:
        click.echo(json.dumps({"log": path.name, "format": report.form, "statistics": found}, indent=1))
        return
    click.echo(f"{path.name}: {report.form}")
    for name, value in found.items():
        click.echo(f"{name:28}{'-' if value is None else f'{value:,.4g}':>12}")
    click.echo(
        "gap_cv and dispersion are 1 where requests know nothing of each other; size serving --trace counts GPUs"
    )
    for note in report.notes(path.name):
        click.echo(f"note: {note}")
