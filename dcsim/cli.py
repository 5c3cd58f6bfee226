"""The command line: a lazy table of verbs, and the one place where an error becomes a message and an exit code."""

import importlib
import sys
from typing import Any

import click

from dcsim import __version__
from dcsim.errors import DcsimError
from dcsim.registry import unknown

# verb: (module, attribute, one-line help). A verb's module is imported when it is used, so `dcsim --help` stays light.
VERBS = {
    "run": ("dcsim.study.cli", "run", "Simulate a scenario and write a run folder with its report."),
    "schedule": ("dcsim.study.cli", "schedule", "Run a scheduling policy alone on a job trace: waits, slowdown."),
    "size": (
        "dcsim.study.sizing.cli",
        "size",
        "Find the fewest GPUs for jobs that wait, or for requests with limits on latency.",
    ),
    "estimate": ("dcsim.study.cli", "estimate", "Estimate one training run or one service, with intervals."),
    "plant": (
        "dcsim.study.cli",
        "plant",
        "Work out a cooling plant at a site: PUE, water, modes; rank designs.",
    ),
    "trace": ("dcsim.workload.traces.cli", "trace", "Describe, convert and scale job traces; fit a generator to one."),
    "scenario": ("dcsim.model.cli", "scenario", "List, show and check scenarios; print their JSON Schema."),
    "catalog": ("dcsim.catalog.cli", "catalog_", "List and show the figures that dcsim uses, with their sources."),
    "compare": ("dcsim.study.compare.cli", "compare", "Set alternatives against a base: deltas, NPV bridge, regret."),
    "sweep": ("dcsim.study.sweep.cli", "sweep", "Run a scenario over values and seeds, here or on a cluster."),
    "uncertainty": (
        "dcsim.study.uncertainty.cli",
        "uncertainty",
        "Draw uncertain inputs: P10, P50, P90, chance of a loss, and what it rests on.",
    ),
    "optimise": ("dcsim.study.optimise.cli", "optimise", "Find the best designs by several objectives."),
    "explain": ("dcsim.study.explain.cli", "explain", "Show the ledger rows and stages behind a figure of a run."),
    "options": ("dcsim.study.options.cli", "options", "Value the rights to defer, expand, switch or abandon a run."),
    "solve": ("dcsim.study.solve.cli", "solve", "Find the value of an input at which a key figure is on target."),
    "report": ("dcsim.reports.cli", "report", "Write a run's report again, committee tables or a workbook."),
    "calibrate": ("dcsim.calibration.cli", "calibrate", "Fit profiles of hardware and software from measurements."),
    "validate": ("dcsim.validate.cli", "validate", "Compare predictions with published figures."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        if cmd_name not in VERBS:
            return None
        module, attribute, _ = VERBS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find a verb; an unknown one is refused with the nearest."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(unknown(args[0], VERBS, "command"), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in VERBS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dcsim")
def cli() -> None:
    """What can we build with this power, what will it do, what will it cost, and how sure are we?"""


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 a check found a difference, 2 bad input, 3 failed, 4 inconclusive."""
    try:
        code = cli(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except DcsimError as error:
        click.echo(f"dcsim: {error}", err=True)
        code = error.exit_code
    except BrokenPipeError:
        # The reader of our output went away (`dcsim ... | head`); there is nobody left to tell.
        sys.stderr.close()
        code = 0
    except KeyboardInterrupt:
        click.echo("dcsim: interrupted; nothing was written", err=True)
        code = 130
    except (MemoryError, OSError) as error:
        click.echo(f"dcsim: {type(error).__name__}: {error}", err=True)
        code = 3
    sys.exit(code if isinstance(code, int) else 0)
