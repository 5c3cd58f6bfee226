"""``dcsim report``."""

from pathlib import Path

import click

from dcsim import runs
from dcsim.errors import UsageError

from . import run_report


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="HTML file; RUN/report.html if absent.")
def report(folder: Path, out: Path | None) -> None:
    """Write the HTML report of a run folder again."""
    target = out or folder / run_report.FILE
    page = run_report.html(runs.read(folder))
    if not target.parent.is_dir():
        raise UsageError(f"{target}: there is no folder {target.parent}")
    target.write_text(page, encoding="utf-8")
    click.echo(target)
