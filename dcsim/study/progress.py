"""The bar that a long verb shows on the terminal; nothing where nobody looks."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


@contextlib.contextmanager
def shown(quiet: bool, first: str) -> Iterator[Callable[[str, float], None]]:
    """A bar that is told the step and the share done, on the error stream, unless *quiet* or no terminal is there."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=quiet or not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task(first, total=1.0)
        yield lambda step, done: bar.update(task, description=step, completed=done)
