"""``dcsim calibrate``."""

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dcsim.catalog.hardware import transformer
from dcsim.catalog.load import folder
from dcsim.catalog.machines import read
from dcsim.errors import UsageError
from dcsim.registry import lookup, unknown

from .shown import checked, shown

# A held-out step of a GPU that is missed by more than this makes a profile unfit to plan on. [1]
MOST_HELD_OUT = 0.25


class RunByDefault(click.Group):
    """A group whose options without a verb mean ``run``; an unknown verb is refused with the nearest."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find a verb."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise click.UsageError(unknown(args[0], self.commands, "verb of calibrate"), ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` before options that come first."""
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=RunByDefault)
def calibrate() -> None:
    """Measure this machine and fit its profile; fit shipped profiles from published figures."""


@calibrate.command()
@click.option("--quick", is_flag=True, help="One session of small sizes: about 45 s on two processors.")
@click.option("--device", type=click.Choice(["auto", "cuda", "cpu"]), default="auto", show_default=True)
@click.option(
    "--nproc", type=click.IntRange(1, 64), default=1, show_default=True, help="Ranks on this host, one a GPU."
)
@click.option("--nnodes", type=click.IntRange(1, 4096), default=1, show_default=True, help="Hosts: prints their lines.")
@click.option("--kernels", default="", help="Names by commas; all but soak and power_caps if left out.")
@click.option("--sessions", type=click.IntRange(1, 20), help="Fresh groups of processes; 3, or 1 with --quick.")
@click.option("--budget", default="1h", show_default=True, help="Most time of all sessions, as 120s.")
@click.option("--model", default="", help="Model of the catalog whose matrix products are measured besides cubes.")
@click.option(
    "--meter",
    default="auto",
    show_default=True,
    help="auto, nvml[-average|-instant], amdsmi, rapl, csv or none.",
)
@click.option("--meter-file", default="", help="File of an external meter: Unix seconds and watts, as CSV.")
@click.option("--workdir", default="", help="Folder in which checkpoints are written and read; a temporary one.")
@click.option("--soak", help="Also run one product for so long, as 600s, and see whether it keeps its rate.")
@click.option("--power-limit-sweep", is_flag=True, help="Also measure under lower power limits; root alone, restored.")
@click.option("--busy", is_flag=True, help="Measure although other processes compute on the GPU.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--with-hostname", is_flag=True, help="Write the host's name, not its hash.")
@click.option("--no-report", is_flag=True, help="Leave out the HTML report beside the profile.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("machine.json"), show_default=True)
def run(quick: bool, device: str, nnodes: int, out: Path, **given: Any) -> None:
    """Run measurement kernels on this machine, fit its profile and write it.

    Nothing of the machine is changed: no clock, limit or mode is touched, but for --power-limit-sweep.
    """
    try:
        from .device import choose
        from .kernels import KERNELS, OPT_IN
        from .launch import Ask, measure, several_hosts
        from .meters import open_meter
        from .profile import profile
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed; install dcsim[calibration]") from None
    names = tuple(name.strip() for name in given["kernels"].split(",") if name.strip()) or tuple(KERNELS)
    for name in names:
        lookup(KERNELS | OPT_IN, name, "kernel")
    if given["model"]:
        transformer(given["model"])
    names += ("soak",) if given["soak"] and "soak" not in names else ()
    if given["power_limit_sweep"]:
        names += _power_limits()
    count = given["sessions"] or (1 if quick else 3)
    ask = Ask(
        device,
        given["nproc"],
        names,
        count,
        given["seed"],
        quick,
        _seconds(given["budget"]),
        given["meter"],
        given["meter_file"],
        given["model"],
        given["workdir"],
        _seconds(given["soak"] or "600s", "--soak"),
        given["busy"],
    )
    if nnodes > 1:
        click.echo(f"# on each of {nnodes} hosts, with FIRST_HOST set to the name of one; the last line on that one")
        for line in several_hosts(ask, nnodes):
            click.echo(line)
        return
    choose(device)
    if given["meter_file"]:
        open_meter("csv", device=device, file=Path(given["meter_file"]))
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("start", total=float(count * len(names)))

        def told(session: int, kernel: str) -> None:
            done = session * len(names) + names.index(kernel)
            bar.update(task, description=f"session {session + 1} of {count}: {kernel}", completed=done)

        sessions = measure(ask, told)
    _finish(profile(sessions, with_hostname=given["with_hostname"], argv=_words()), out, given["no_report"])


def _words() -> list[str]:
    """The command as it was given, without the path of the program."""
    return ["dcsim", *sys.argv[1:]]


def _power_limits() -> tuple[str, ...]:
    """Say what a sweep of power limits will do, or refuse it."""
    from .power_limit import allowed, limits, plan

    allowed()
    of = limits(0)
    click.echo(
        f"power limits of the first GPU will be set to {', '.join(f'{watts:.0f}' for watts in plan(of))} W and then "
        f"back to {of.now_w:.0f} W, also if this run is killed"
    )
    return ("power_caps",)


def _finish(body: Mapping[str, Any], out: Path, no_report: bool) -> None:
    """Write a profile and its report, and say what it holds."""
    from .profile import write

    write(out, body)
    for line in shown(body):
        click.echo(line)
    click.echo(f"profile  {out}")
    if not no_report:
        click.echo(f"report   {_report(body, out.with_suffix('.html'))}")


def _report(body: Mapping[str, Any], out: Path) -> Path:
    """Write the report of a profile. Reports are reached by name, so that nothing here imports plotly."""
    importlib.import_module("dcsim.reports.calibration_report").write(body, out)
    return out


def _seconds(text: str, option: str = "--budget") -> float:
    """A time such as 120s or 5m. [s]"""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], units[text[-1]]) if text and text[-1] in units else (text, 1.0)
    try:
        value = float(number)
    except ValueError:
        raise UsageError(f"{option} must be a time such as 120s or 5m, got '{text}'") from None
    if not 0 < value * unit < float("inf"):
        raise UsageError(f"{option} must be above 0, got '{text}'")
    return value * unit


@calibrate.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone, without samples.")
def show(path: Path, as_json: bool) -> None:
    """Print the parameters of the profile PATH, each with its interval, and what to know of them."""
    body = read(path)
    if as_json:
        click.echo(json.dumps({name: value for name, value in body.items() if name != "sessions"}, indent=1))
        return
    for line in shown(body):
        click.echo(line)


@calibrate.command()
@click.argument("measurements", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--with-hostname", is_flag=True, help="Write the host's name, not its hash.")
@click.option("--no-report", is_flag=True, help="Leave out the HTML report beside the profile.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("machine.json"), show_default=True)
def fit(measurements: tuple[Path, ...], with_hostname: bool, no_report: bool, out: Path) -> None:
    """Fit a profile from MEASUREMENTS: files of sessions, as several hosts write them, or the samples of profiles."""
    from .profile import profile, sessions_of

    sessions = [session for path in measurements for session in sessions_of(path)]
    _finish(profile(sessions, with_hostname=with_hostname, argv=_words()), out, no_report)


@calibrate.command("import")
@click.argument("logs", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--gpu", default="", help="Name of the GPU, where the logs do not tell it.")
@click.option("--ranks", type=click.IntRange(2), help="Ranks of nccl-tests, where the log does not list them.")
@click.option("--operation", default="", help="Operation of nccl-tests, where the log does not tell it.")
@click.option("--no-report", is_flag=True, help="Leave out the HTML report beside the profile.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("machine.json"), show_default=True)
def import_(logs: tuple[Path, ...], gpu: str, ranks: int | None, operation: str, no_report: bool, out: Path) -> None:
    """Make a profile of LOGS that an operator already has.

    Known are GPU power, utilisation and clocks of DCGM-exporter or Prometheus as CSV or Parquet, CSV of nvidia-smi
    --query-gpu, nccl-tests output as text or JSON (-J), and MLPerf power logs.
    """
    from .logs import imported

    body = imported(logs, gpu=gpu, ranks=ranks or 0, operation=operation, argv=_words())
    _finish(body, out, no_report)


@calibrate.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--against", default="reference", show_default=True, help="reference, or the path of another profile.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def check(path: Path, against: str, as_json: bool) -> None:
    """Check the speed of the profile PATH against published figures of its GPU, and its ranks and links mutually.

    Exits with 1 if anything is degraded, else 4 if nothing could be compared or it cannot be told, else 0.
    """
    from .check import against_published, among_ranks, exit_code
    from .compare import compare as compared
    from .compare import findings

    body = read(path)
    found = against_published(body) if against == "reference" else findings(compared(read(Path(against)), body))
    found += among_ranks(body)
    if as_json:
        click.echo(json.dumps([vars(one) for one in found], indent=1))
    else:
        for line in checked(found):
            click.echo(line)
    raise SystemExit(exit_code(found))


@calibrate.command("report")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Beside the profile if left out.")
def report_(path: Path, out: Path | None) -> None:
    """Write the HTML report of the profile PATH: fits and residuals, power by phase, roofline, collectives."""
    click.echo(_report(read(path), out or path.with_suffix(".html")))


@calibrate.command()
@click.argument("path", type=click.Path(path_type=Path))
def validate(path: Path) -> None:
    """Check the profile PATH: schema, figures that can be, intervals, content unchanged, held-out training steps.

    Exits with 2 on a fault, and with 1 if a held-out step is missed by more than the profile's own warning line.
    """
    body = read(path)
    missed = {name: one["rel_err"] for name, one in body["holdout"].items() if one["rel_err"] is not None}
    click.echo(f"{path}: {len(body['parameters'])} parameters, no fault")
    for name, error in missed.items():
        click.echo(f"held out, {name}: {100 * error:+.1f} %")
    if body["kind"] == "measured" and any(abs(error) > MOST_HELD_OUT for error in missed.values()):
        click.echo(f"a held-out step is missed by more than {MOST_HELD_OUT:.0%}: do not plan on this profile", err=True)
        raise SystemExit(1)


@calibrate.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--rel", type=click.FloatRange(0.001, 1.0), default=0.10, show_default=True, help="Change of no matter.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def compare(first: Path, second: Path, rel: float, as_json: bool) -> None:
    """Compare the profile SECOND with FIRST, parameter by parameter.

    Exits with 1 if anything regressed, else 4 if anything cannot be told, else 0.
    """
    from .compare import changed, exit_code
    from .compare import compare as compared

    one, other = read(first), read(second)
    verdicts = compared(one, other, rel=rel)
    if as_json:
        click.echo(json.dumps([vars(of) for of in verdicts], indent=1))
    else:
        for line in changed(one, other):
            click.echo(f"differs  {line}")
        for of in verdicts:
            click.echo(f"{of.name:34}{of.ratio:>8.3f}  ({of.low:.3f} to {of.high:.3f})  {of.verdict}")
    raise SystemExit(exit_code(verdicts))


@calibrate.command()
@click.option("--check", is_flag=True, help="Fit anew and compare with the shipped files; write nothing.")
def presets(check: bool) -> None:
    """Fit every shipped profile and validation split from published figures.

    With --check, exits with 1 where a parameter differs by more than 1e-6 of its value.
    """
    from .presets import differences, files, inference, lines

    target = folder() / "profiles"
    found = files()
    if not inference.rows():
        click.echo("inference: not fitted, reference data absent (set DCSIM_DATA_DIR)")
    if check:
        faults = differences(found, target)
        for fault in faults:
            click.echo(fault)
        click.echo(f"{len(found)} files checked, {len(faults)} differ")
        raise SystemExit(1 if faults else 0)
    for path in [*target.glob("*.json"), *target.glob("validation/*.json")]:
        if inference.rows() or not path.name.startswith("inference"):
            path.unlink()
    for name, text in found.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text, encoding="utf-8")
    for line in lines(found):
        click.echo(line)
    click.echo(f"{len(found)} files written to {_shown(target)}")


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
