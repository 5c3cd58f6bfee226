"""``dcsim size``."""

import datetime
import importlib
import json
import re
from pathlib import Path
from typing import Any, Literal

import click

from dcsim.errors import RangeError
from dcsim.serving.capacity import Options
from dcsim.serving.latency import METRICS, Limit
from dcsim.sim.serving.routing import ROUTING
from dcsim.study.sizing import sites as several
from dcsim.study.sizing.ask import Ask, read_rates
from dcsim.study.sizing.serving import lines
from dcsim.study.sizing.serving import serving as sized


class Sizing(click.Group):
    """A group that takes a trace of jobs where no command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command for jobs before what is no command."""
        if args and args[0] not in self.list_commands(ctx) and args[0] not in ctx.help_option_names:
            args = ["jobs", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the demands."""
        return ["jobs", *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command for jobs is loaded on use: it needs the schedulers and the readers of traces."""
        if cmd_name == "jobs":
            command = importlib.import_module("dcsim.study.cli").size
            assert isinstance(command, click.Command)
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=Sizing)
def size() -> None:
    """Find the fewest GPUs for a demand: of jobs that may wait so long, or of requests that must be answered so soon.

    `dcsim size TRACE` is short for `dcsim size jobs TRACE`.
    """


def _limit(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[Limit]:
    """Limits as METRIC:PERCENTILE=SECONDS."""
    found = []
    for text in texts:
        match = re.fullmatch(r"(\w+):p?([\d.]+)=([\d.eE+-]+)", text)
        if match is None:
            raise click.BadParameter(f"'{text}' is no limit; write it as ttft:99=2.5")
        try:
            found.append(Limit(match[1], float(match[2]), float(match[3])))
        except (ValueError, RangeError) as error:
            raise click.BadParameter(f"'{text}': {error}") from None
    return found


def _refuse_idle_options(ctx: click.Context, has_log: bool, given: dict[str, Any]) -> None:
    """Refuse options that would change nothing, so that no answer is taken for another one's."""

    def said(*names: str) -> list[str]:
        source = click.core.ParameterSource.COMMANDLINE
        return [f"--{name.replace('_', '-')}" for name in names if ctx.get_parameter_source(name) == source]

    of_log = said("rate_scale", "prompt_scale", "output_scale", "poisson", "bad_rows", "mapping")
    if of_log and not has_log:
        raise click.UsageError(f"{', '.join(of_log)} belongs to --trace; with --rate say --prompt, --output, --gap-cv")
    names = ("prompt", "prompt_cv", "output", "output_cv", "length_correlation", "gap_cv", "burst_s", "peak_to_mean")
    of_rate = said(*names)
    if of_rate and has_log:
        raise click.UsageError(f"{', '.join(of_rate)} is what a log says itself; leave it out, or say --prompt-scale")
    growth, rate, gpus = given["growth_per_month"], given["rate"], given["gpus"]
    if growth and (rate is None or gpus is None):
        raise click.UsageError("--growth-per-month needs --gpus and --rate, to say when the GPUs are full")
    if rate is not None and gpus is not None and not growth:
        raise click.UsageError("--gpus asks what they carry: leave --rate out, or say --growth-per-month too")


@size.command()
@click.option("--model", required=True, help="Model of the catalog (`dcsim catalog list models`).")
@click.option("--gpu", required=True, help="GPU of the catalog (`dcsim catalog list gpus`).")
@click.option("--rate", type=float, help="Requests a second, the mean of a day.")
@click.option("--peak-to-mean", type=float, default=1.0, show_default=True, help="Of the hours of the day of --rate.")
@click.option("--rates", type=click.Path(path_type=Path), help="File of rates by hour instead: column requests_per_s.")
@click.option(
    "--trace", type=click.Path(path_type=Path), help="Log of requests instead: Azure, Mooncake, CSV, Parquet."
)
@click.option(
    "--map", "mapping", multiple=True, metavar="OURS=THEIRS", help="Column of a log: arrival_s, prompt, output."
)
@click.option("--bad-rows", type=click.Choice(["refuse", "skip"]), default="refuse", show_default=True)
@click.option("--rate-scale", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Factor on a log's rate.")
@click.option("--prompt-scale", type=click.FloatRange(min=0, min_open=True), default=1.0, help="On its prompts.")
@click.option("--output-scale", type=click.FloatRange(min=0, min_open=True), default=1.0, help="On its answers.")
@click.option("--poisson", is_flag=True, help="As many requests as a log has, of its lengths, but without its bursts.")
@click.option("--ttft-p95", type=float, metavar="S", help="Most seconds to the first token, of 95 requests in 100.")
@click.option("--tpot-p95", type=float, metavar="S", help="Most seconds a token after that.")
@click.option("--e2e-p95", type=float, metavar="S", help="Most seconds to the last token.")
@click.option("--limit", "others", multiple=True, callback=_limit, metavar="METRIC:P=S", help="As ttft:99=2.5.")
@click.option("--prompt", type=float, default=1155.0, show_default=True, help="Mean tokens of a prompt, with --rate.")
@click.option("--prompt-cv", type=float, default=0.96, show_default=True, help="Their coefficient of variation.")
@click.option("--output", type=float, default=211.0, show_default=True, help="Mean tokens of an answer.")
@click.option("--output-cv", type=float, default=0.77, show_default=True, help="Their coefficient of variation.")
@click.option("--length-correlation", type=float, default=0.07, show_default=True, help="Rank correlation of both.")
@click.option(
    "--gap-cv", type=float, default=1.0, show_default=True, help="Variation of gaps; 1 is Poisson, 13 bursts."
)
@click.option("--burst-s", type=float, default=10.0, show_default=True, help="Mean length of a burst.")
@click.option("--prefix-hit", type=click.FloatRange(0, 1, max_open=True), default=0.0, help="Share of prompts cached.")
@click.option("--weights", default="bf16", show_default=True, help="Data type of the weights, such as fp8.")
@click.option("--gpus-per-replica", type=click.IntRange(min=1), help="Left out, the best split is searched.")
@click.option("--max-batch", type=click.IntRange(min=1), default=1024, show_default=True, help="Requests of a batch.")
@click.option("--chunk-tokens", type=click.IntRange(min=1), default=2048, show_default=True, help="Tokens of a step.")
@click.option("--routing", type=click.Choice(list(ROUTING)), default="least_loaded", show_default=True)
@click.option(
    "--prefill-per-decode", type=click.FloatRange(min=0, min_open=True), help="Keep both apart, in this ratio."
)
@click.option("--gpus", type=click.IntRange(min=1), help="The other way: the most requests that so many GPUs serve.")
@click.option("--growth-per-month", type=click.FloatRange(0, 1), default=0.0, help="0.06 is 6 %: when --gpus are full.")
@click.option("--from", "start", type=click.DateTime(["%Y-%m-%d"]), help="Date of --rate, to say the date.")
@click.option("--pue", type=click.FloatRange(1.0, 5.0), help="Power at the meter over power of the nodes.")
@click.option("--usd-per-kwh", type=click.FloatRange(0, 1e3), help="Electricity, instead of the catalog's mean.")
@click.option("--usd-per-gpu-h", type=click.FloatRange(0, 1e6), help="Instead of the catalog's price.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the requests that are drawn."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def serving(
    as_json: bool,
    rates: Path | None,
    trace: Path | None,
    mapping: tuple[str, ...],
    bad_rows: Literal["refuse", "skip"],
    rate_scale: float,
    prompt_scale: float,
    output_scale: float,
    ttft_p95: float | None,
    tpot_p95: float | None,
    e2e_p95: float | None,
    others: list[Limit],
    max_batch: int,
    chunk_tokens: int,
    routing: str,
    prefill_per_decode: float | None,
    start: datetime.datetime | None,
    **given: Any,
) -> None:
    """Find the fewest replicas and GPUs that answer requests within limits on latency, by hour and at peak.

    A log is one of Azure's, Mooncake's JSON lines, or a CSV or Parquet table whose columns arrival_s, prompt and output
    --map names. Without one the lengths are those of Azure's conversations of 2023. With --gpus the answer is the most
    requests a second that these carry.
    """
    _refuse_idle_options(click.get_current_context(), trace is not None, given)
    stated = zip(METRICS, (ttft_p95, tpot_p95, e2e_p95), strict=True)
    limits = [Limit(metric, 95.0, most_s) for metric, most_s in stated if most_s is not None]
    log, notes = None, []
    if trace is not None:
        # Loaded on use: the readers need pandas and Arrow.
        files = importlib.import_module("dcsim.workload.requests.files")
        requests = importlib.import_module("dcsim.workload.requests.requests")
        pairs = [text.partition("=") for text in mapping]
        log, report = files.read(trace, columns={ours: theirs for ours, _, theirs in pairs} or None, bad_rows=bad_rows)
        notes = report.notes(trace.name)
        log = requests.scaled(log, rate=rate_scale, prompt=prompt_scale, output=output_scale)
    answer = sized(
        Ask(
            limits=(*limits, *others),
            requests=log,
            hourly=None if rates is None else read_rates(rates),
            options=Options(max_batch, chunk_tokens, routing, prefill_per_decode),
            start=None if start is None else start.date(),
            **given,
        )
    )
    answer.notes[:0] = notes
    if as_json:
        asked = {**given, "limits": [str(one) for one in (*limits, *others)], "trace": trace and trace.name}
        click.echo(json.dumps({"ask": asked, **answer.record()}, indent=1, allow_nan=False))
        return
    for line in lines(answer):
        click.echo(line)


@size.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def sites(path: Path, seed: int, as_json: bool) -> None:
    """Place the requests of several regions on several sites, by latency, price and carbon.

    FILE is YAML: a model, a GPU, limits, regions with their requests by local hour, sites with GPUs, price, carbon and
    the time that the way from each region takes; or the name of an example, three-sites.
    """
    of = several.load(path)
    placed = several.place(of, seed)
    if as_json:
        click.echo(json.dumps(several.record(of, placed), indent=1, allow_nan=False))
        return
    for line in several.lines(of, placed):
        click.echo(line)
