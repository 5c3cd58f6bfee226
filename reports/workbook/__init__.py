"""The workbook of a run: inputs, cash, tax, debt and returns as formulas that a spreadsheet recalculates."""

import os
from pathlib import Path

from xlsxwriter.exceptions import FileCreateError

from dcsim.runs import Run

from ..flows import month_of
from . import assets, checks, debt, inputs, notes, rates, returns, statement, summary, tax, work
from .book import Book, Months
from .lines import lines
from .lines import write as write_lines
from .purchases import purchases


def write(run: Run, path: Path) -> None:
    """Write the workbook of a run to *path*, aside and then in place; the same run gives the same bytes."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(run, aside)
        aside.replace(path)
    except FileCreateError as error:
        raise OSError(f"{path}: {error}") from None
    finally:
        aside.unlink(missing_ok=True)


def _write(run: Run, path: Path) -> None:
    first = month_of(run.findings["finance"]["first_month"])
    book = Book(path, Months(first, len(run.statement)), len(run.register))
    book.sheet("Summary", f"{run.scenario['name']}: key figures of money")
    inputs.write(book, run)
    bought = purchases(run)
    found = lines(run, book.months, bought)
    write_lines(book, found)
    assets.write_register(book, run, found, bought)
    assets.write_depreciation(book, run, bought)
    statement.plan(book)
    tax.write(book, run, bought)
    debt.write(book, run)
    statement.write(book, run, found)
    statement.write_annual(book, run)
    worth = returns.worth(book, run)
    returns.write(book, run, worth)
    work.write(book, run, worth)
    rates.write(book, worth)
    checks.write(book, run, found)
    summary.write(book, run, found, worth)
    notes.write(book, run)
    book.close()
