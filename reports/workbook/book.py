"""What the sheets of a workbook share: styles, names, and rows by month whose formulas carry the value of the run."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xlsxwriter
from numpy.typing import ArrayLike
from xlsxwriter.utility import xl_col_to_name

from dcsim.finance.ledger import month_name

# Column of the first month or year in every sheet, so that a month stands in the same column everywhere.
LEFT = 10
# In a formula by month: the column of the month, and of the month before.
C, P = "{c}", "{p}"
FIRST_ROW = 4

USD = '#,##0;[Red]-#,##0;"–"'
NUMBERS = {
    "": "General",
    "usd": USD,
    "rate": "0.00%",
    "factor": "0.000000",
    "count": '#,##0.##;[Red]-#,##0.##;"–"',
    "ratio": "#,##0.00",
    "date": "yyyy-mm-dd",
}
# What a cell is, by its colours: the legend on the sheet of inputs.
KINDS: dict[str, dict[str, Any]] = {
    "input": {"font_color": "#0000C0", "bg_color": "#FFF8CC", "border": 1, "border_color": "#C8B860"},
    "fact": {"font_color": "#6A3D00"},
    "calc": {},
    "key": {"bold": True},
    "text": {},
    "guess": {"font_color": "#9A3B00"},
    "soft": {"font_color": "#5A6470", "italic": True},
    "wrap": {"text_wrap": True, "valign": "top"},
    "head": {"bold": True, "bg_color": "#E3EAF2", "bottom": 1},
    "title": {"bold": True, "font_size": 14},
}


@dataclass(frozen=True)
class Months:
    """Months that the sheets run over, counted from year 0."""

    first: int
    n: int

    @property
    def last(self) -> int:
        """The plan's last month."""
        return self.first + self.n - 1

    @property
    def years(self) -> range:
        """Calendar years."""
        return range(self.first // 12, self.last // 12 + 1)


def column(index: int) -> str:
    """Letters of the month or year so many after the first."""
    return str(xl_col_to_name(LEFT + index))


class Book:
    """A workbook under construction; its bytes depend on what is written alone."""

    def __init__(self, path: Path, months: Months, purchases: int) -> None:
        self.months = months
        self.purchases = purchases
        self.workbook = xlsxwriter.Workbook(str(path), {"strings_to_numbers": False, "strings_to_formulas": False})
        # The date of making it would make every file another one.
        self.workbook.set_properties({"author": "dcsim", "created": datetime.datetime(2000, 1, 1)})
        self.workbook.set_calc_mode("auto")
        self.sheets: dict[str, Sheet] = {}
        self._styles: dict[tuple[str, str], Any] = {}

    def sheet(self, name: str, title: str, reading: str = "") -> "Sheet":
        """Add a sheet with a title and how it is read."""
        made = Sheet(self, name, self.workbook.add_worksheet(name))
        self.sheets[name] = made
        made.text("A1", title, "title")
        if reading:
            made.text("A2", reading, "soft")
        return made

    def style(self, kind: str, number: str) -> Any:
        """Format of a kind of cell and a kind of number."""
        key = (kind, number)
        if key not in self._styles:
            self._styles[key] = self.workbook.add_format({**KINDS[kind], "num_format": NUMBERS[number]})
        return self._styles[key]

    def define(self, name: str, sheet: str, cell: str) -> None:
        """Name a cell."""
        letters = cell.rstrip("0123456789")
        self.workbook.define_name(name, f"={sheet}!${letters}${cell[len(letters) :]}")

    def close(self) -> None:
        """Write the file."""
        self.workbook.close()


class Sheet:
    """One sheet; cells are named as in a spreadsheet, rows by a word of their own."""

    def __init__(self, book: Book, name: str, worksheet: Any) -> None:
        self.book = book
        self.name = name
        self.worksheet = worksheet
        self.rows: dict[str, int] = {}

    def text(self, cell: str, value: str, kind: str = "text") -> None:
        """Write a text."""
        self.worksheet.write_string(cell, value, self.book.style(kind, ""))

    def number(self, cell: str, value: float, number: str = "", kind: str = "fact") -> None:
        """Write a value that no formula makes."""
        self.worksheet.write_number(cell, float(value) + 0.0, self.book.style(kind, number))

    def formula(self, cell: str, formula: str, value: float | str, number: str = "", kind: str = "calc") -> None:
        """Write a formula with its value, which viewers that do not calculate show."""
        cached = value if isinstance(value, str) else float(value) + 0.0
        self.worksheet.write_formula(cell, formula, self.book.style(kind, number), cached)

    def head(self, row: int, names: Sequence[str], first: int = 0) -> None:
        """Write a row of headings from a column on."""
        for index, name in enumerate(names):
            self.text(f"{xl_col_to_name(first + index)}{row}", name, "head")

    def clock(self, row: int) -> None:
        """Write the months by name, and below them by number, from which formulas count."""
        for index in range(self.book.months.n):
            month = self.book.months.first + index
            self.text(f"{column(index)}{row}", month_name(month), "head")
            self.number(f"{column(index)}{row + 1}", month, "", "soft")

    def series(
        self,
        row: int,
        word: str,
        label: str,
        unit: str,
        formula: str,
        values: ArrayLike,
        *,
        number: str = "usd",
        first: str | None = None,
        total: bool = False,
        kind: str = "calc",
    ) -> None:
        """Write a row of formulas, one a month or year; *first* is that of the first, *word* how others refer to it."""
        found = np.asarray(values, dtype=float).tolist()
        self.labelled(row, word, label, unit)
        for index, value in enumerate(found):
            text = formula if index or first is None else first
            self.formula(f"{column(index)}{row}", _filled(text, index), value, number, kind)
        if total:
            self.formula(f"C{row}", f"=SUM({self.span(word, len(found), bare=True)})", sum(found), number, kind)

    def values(self, row: int, word: str, label: str, unit: str, values: ArrayLike, number: str = "count") -> None:
        """Write a row of values from the simulated plan."""
        self.labelled(row, word, label, unit)
        for index, value in enumerate(np.asarray(values, dtype=float).tolist()):
            self.number(f"{column(index)}{row}", value, number)

    def labelled(self, row: int, word: str, label: str, unit: str) -> None:
        """Name a row, for readers and for formulas."""
        self.rows[word] = row
        self.text(f"A{row}", label)
        self.text(f"B{row}", unit, "soft")

    def at(self, word: str, col: str = C) -> str:
        """Cell of a named row in a column, that of the formula's month if none is said."""
        return f"{self.name}!{col}${self.rows[word]}"

    def span(self, word: str | int, n: int | None = None, *, start: int = 0, bare: bool = False) -> str:
        """All months of a named row, or of a row by its number."""
        row = word if isinstance(word, int) else self.rows[word]
        last = (self.book.months.n if n is None else n) - 1
        sheet = "" if bare else f"{self.name}!"
        return f"{sheet}${column(start)}${row}:${column(last)}${row}"

    def layout(self, widths: Sequence[float], *, freeze: tuple[int, int], months: float | None = 12.0) -> None:
        """Set the widths of the first columns and of the months, and keep the first rows and columns in sight."""
        for index, width in enumerate(widths):
            self.worksheet.set_column(index, index, width)
        if months is not None:
            self.worksheet.set_column(len(widths), LEFT - 1, 1.5) if len(widths) < LEFT else None
            self.worksheet.set_column(LEFT, LEFT + self.book.months.n, months)
        self.worksheet.freeze_panes(*freeze)


def _filled(formula: str, index: int) -> str:
    """A formula by month with the letters of its columns."""
    return formula.replace(C, column(index)).replace(P, column(index - 1) if index else "#REF!")
