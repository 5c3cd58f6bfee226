"""Options of every command that runs a study."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def engine_options(command: Command) -> Command:
    """``--engine`` and ``--workers``: where a study is worked out."""
    workers = click.option(
        "--workers", type=click.IntRange(1), help="Processes of this machine; all its processors if left out."
    )
    engine = click.option("--engine", "where", default="local", show_default=True, metavar="local|dask://HOST:PORT")
    return engine(workers(command))
