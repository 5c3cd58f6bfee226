"""``dcsim calibrate``."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from dcsim.catalog.load import folder
from dcsim.errors import UsageError
from dcsim.registry import lookup, unknown


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
@click.option("--quick", is_flag=True, help="One session of small sizes: about half a minute on a processor.")
@click.option("--device", type=click.Choice(["auto", "cuda", "cpu"]), default="auto", show_default=True)
@click.option(
    "--nproc", type=click.IntRange(1, 64), default=1, show_default=True, help="Ranks on this host, one a GPU."
)
@click.option("--kernels", default="", help="Names by commas; all if left out.")
@click.option("--sessions", type=click.IntRange(1, 20), help="Fresh groups of processes; 3, or 1 with --quick.")
@click.option("--budget", default="600s", show_default=True, help="Most time of all sessions, as 120s.")
@click.option("--meter", default="auto", show_default=True, help="auto, nvml, amdsmi, rapl or none.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--with-hostname", is_flag=True, help="Write the host's name, not its hash.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("machine.json"), show_default=True)
def run(
    quick: bool,
    device: str,
    nproc: int,
    kernels: str,
    sessions: int | None,
    budget: str,
    meter: str,
    seed: int,
    with_hostname: bool,
    out: Path,
) -> None:
    """Run measurement kernels on this machine, fit its profile and write it.

    Nothing of the machine is changed: no clock, limit or mode is touched.
    """
    try:
        from .device import choose
        from .kernels import KERNELS
        from .launch import Ask, measure
        from .profile import profile, write
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed; install dcsim[calibration]") from None
    names = tuple(name.strip() for name in kernels.split(",") if name.strip()) or tuple(KERNELS)
    for name in names:
        lookup(KERNELS, name, "kernel")
    choose(device)
    count = sessions or (1 if quick else 3)
    ask = Ask(device, nproc, names, count, seed, quick, _seconds(budget), meter)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("start", total=float(count * len(names)))

        def told(session: int, kernel: str) -> None:
            done = session * len(names) + names.index(kernel)
            bar.update(task, description=f"session {session + 1} of {count}: {kernel}", completed=done)

        body = profile(measure(ask, told), with_hostname=with_hostname)
    write(out, body)
    for line in shown(body):
        click.echo(line)
    click.echo(f"profile  {out}")


def _seconds(text: str) -> float:
    """A time such as 120s or 5m. [s]"""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], units[text[-1]]) if text and text[-1] in units else (text, 1.0)
    try:
        value = float(number)
    except ValueError:
        raise UsageError(f"--budget must be a time such as 120s or 5m, got '{text}'") from None
    if not 0 < value * unit < float("inf"):
        raise UsageError(f"--budget must be above 0, got '{text}'")
    return value * unit


@calibrate.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone, without samples.")
def show(path: Path, as_json: bool) -> None:
    """Print the parameters of the profile PATH, each with its interval, and what to know of them."""
    from .profile import read

    body = read(path)
    if as_json:
        click.echo(json.dumps({name: value for name, value in body.items() if name != "sessions"}, indent=1))
        return
    for line in shown(body):
        click.echo(line)


def shown(body: Mapping[str, Any]) -> list[str]:
    """A profile in lines: what it is of, its parameters, the held-out step, warnings."""
    device = body["device"]
    count = len(body["sessions"])
    lines = [
        f"{body['kind']} profile of {device['name']}: {device['ranks']} rank{'s' if device['ranks'] > 1 else ''}, "
        f"{device['backend']}, {count} session{'s' if count > 1 else ''}{', quick' if body['quick'] else ''}",
        f"{'':24}{'':>12}{'low':>12}{'high':>12}  {'interval':10}miss",
    ]
    for name, one in body["parameters"].items():
        if one["value"] is None:
            lines.append(f"{name:24}{'-':>12}  ({one['reason']})")
            continue
        miss = "" if one["max_rel_err"] is None else f"{100 * one['max_rel_err']:.0f} %"
        numbers = "".join(f"{one[field]:>12.4g}" for field in ("value", "low", "high"))
        lines.append(f"{name:24}{numbers}  {one['basis']:10}{miss:6}{one['unit']}")
    for name, one in body["holdout"].items():
        if one["rel_err"] is None:
            lines.append(f"held out, {name}: - ({one['reason']})")
        else:
            lines.append(
                f"held out, {name}: predicted {one['predicted_s']:.4g} s, measured {one['measured_s']:.4g} s, "
                f"{100 * one['rel_err']:+.0f} %"
            )
    return [*lines, *(f"warning: {warning}" for warning in body["warnings"])]


@calibrate.command()
@click.argument("path", type=click.Path(path_type=Path))
def validate(path: Path) -> None:
    """Check the profile PATH: schema, figures that can be, intervals, content unchanged. Exits with 2 on a fault."""
    from .profile import read

    body = read(path)
    click.echo(f"{path}: {len(body['parameters'])} parameters, no fault")


@calibrate.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--rel", type=click.FloatRange(0.001, 1.0), default=0.10, show_default=True, help="Change of no matter.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def compare(first: Path, second: Path, rel: float, as_json: bool) -> None:
    """Compare the profile SECOND with FIRST, parameter by parameter.

    Exits with 1 if anything regressed, else 4 if anything cannot be told, else 0.
    """
    from .compare import compare as compared
    from .compare import exit_code
    from .profile import read

    verdicts = compared(read(first), read(second), rel=rel)
    if as_json:
        click.echo(json.dumps([vars(one) for one in verdicts], indent=1))
    else:
        for one in verdicts:
            click.echo(f"{one.name:24}{one.ratio:>8.3f}  ({one.low:.3f} to {one.high:.3f})  {one.verdict}")
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
