"""``dcsim report``."""

from pathlib import Path

import click
import pyarrow.parquet as pq

from dcsim import runs
from dcsim.columns import TABLES, Column
from dcsim.errors import UsageError

from . import investment, run_report, workbook


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="HTML file; RUN/report.html if absent, or RUN/investment.html.",
)
@click.option("--investment", "committee", is_flag=True, help="Write the tables of an investment committee instead.")
@click.option(
    "--xlsx",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the workbook with live formulas to this file.",
)
def report(folder: Path, out: Path | None, committee: bool, xlsx: Path | None) -> None:
    """Write the HTML report of a run folder again, its tables for an investment committee, or its workbook.

    With --xlsx alone no HTML is written.
    """
    if xlsx is not None and out is not None and not committee:
        raise UsageError("--out names an HTML file, and --xlsx writes none; add --investment, or leave one out")
    run = _read(folder)
    written = []
    if committee or xlsx is None:
        page = investment if committee else run_report
        target = out or folder / page.FILE
        text = page.html(run)
        _needs_parent(target)
        target.write_text(text, encoding="utf-8")
        written.append(target)
    if xlsx is not None:
        _needs_parent(xlsx)
        workbook.write(run, xlsx)
        written.append(xlsx)
    for target in written:
        click.echo(target)


def _read(folder: Path) -> runs.Run:
    """Read a run folder; say so if an older version wrote it.

    Raises
    ------
    UsageError
        If it is none, or lacks tables or columns that this version needs.
    """
    if (folder / "kpis.json").is_file():
        lacking = [
            f"{table}.parquet{column}" for table, columns in TABLES.items() for column in _lacks(folder, table, columns)
        ]
        if lacking:
            again = folder / "scenario.yaml"
            raise UsageError(
                f"{folder}: an older version wrote it, without {', '.join(lacking)}; run it again: dcsim run {again}"
            )
    return runs.read(folder)


def _lacks(folder: Path, table: str, columns: tuple[Column, ...]) -> list[str]:
    """Columns that a table of the folder lacks; one empty name if all of it is missing."""
    path = folder / f"{table}.parquet"
    if not path.is_file():
        return [""]
    known = pq.read_schema(path).names
    return [f" column {column.name}" for column in columns if column.name not in known]


def _needs_parent(target: Path) -> None:
    if not target.parent.is_dir():
        raise UsageError(f"{target}: there is no folder {target.parent}")
