"""Rates of return: all that make a flow worth nothing are counted, and one is said only where it is the only one.

Present values stand over a grid of rates; each change of sign is a rate of return, and starts IRR where it is. XIRR is
solved by Newton's rule in cells from there: the function of spreadsheets stops at 1e-8 and fails at negative rates.
"""

import datetime

import numpy as np
from numpy.typing import NDArray

from dcsim.finance import cashflow

from .book import Book, Sheet, column
from .returns import FLOWS, Worth

Floats = NDArray[np.float64]

# Steps of 0.3 % from -99 % to +10,000 % a year, as the engine looks.
GRID = np.expm1(np.linspace(np.log(0.01), np.log(101.0), 3001))
TOP = 12
BOTTOM = TOP + len(GRID) - 1
LETTERS = dict(zip(FLOWS, "BCD", strict=True))
# Rows of what is found.
COUNT, GUESS, RATE, NEWTON = 4, 5, 6, 7
STEPS = 3
# A spreadsheet counts days from here.
EPOCH = datetime.date(1899, 12, 30)


def write(book: Book, found: Worth) -> None:
    """Write the sheet of rates."""
    sheet = book.sheet("Rates", "Rates of return: present value of each flow over the rate, USD, and where it is zero")
    sheet.head(3, ("", *FLOWS))
    for row, label in (
        (COUNT, "rates that make the present value zero"),
        (GUESS, "rate a month below the last of them"),
        (RATE, "internal rate of return, a year, if it is the only one"),
        *((NEWTON + step, f"XIRR of the project, step {step}") for step in range(STEPS + 1)),
    ):
        sheet.text(f"A{row}", label)
    sheet.text(f"A{TOP - 1}", "annual rate", "head")
    for index, rate in enumerate(GRID):
        sheet.number(f"A{TOP + index}", rate, "factor", "soft")
    for word, letter in LETTERS.items():
        _grid(book, sheet, letter, word, found)
        _root(book, sheet, letter, word, found)
    _xirr(book, sheet, found)
    sheet.layout((50, 18, 18, 18), freeze=(TOP - 1, 1), months=None)


def _grid(book: Book, sheet: Sheet, letter: str, word: str, found: Worth) -> None:
    """Present value at each rate of the grid, as one formula over all of them."""
    returns = book.sheets["Returns"]
    n = book.months.n - found.start
    values = (1.0 + GRID[:, None]) ** -(np.arange(n) / 12) @ found.flows[word][found.start :]
    years = f"(Returns!${column(found.start)}$3:${column(book.months.n - 1)}$3-first_flow)/12"
    flow = returns.span(word, start=found.start)
    formula = f"{{=MMULT((1+$A${TOP}:$A${BOTTOM})^(-{years}),TRANSPOSE({flow}))}}"
    style = book.style("calc", "usd")
    sheet.worksheet.write_array_formula(f"{letter}{TOP}:{letter}{BOTTOM}", formula, style, float(values[0]))
    for index, value in enumerate(values.tolist()):
        if index:
            sheet.worksheet.write_number(f"{letter}{TOP + index}", value, style)


def _root(book: Book, sheet: Sheet, letter: str, word: str, found: Worth) -> None:
    """Count the rates, and polish the one if it is one."""
    flows = found.flows[word][found.start :]
    rate = cashflow.irr(flows)
    changes = f"(SIGN({letter}{TOP}:{letter}{BOTTOM - 1})*SIGN({letter}{TOP + 1}:{letter}{BOTTOM})<0)"
    sheet.formula(f"{letter}{COUNT}", f"=SUMPRODUCT({changes}*1)", len(rate.roots), "", "key")
    below = f"SUMPRODUCT(MAX({changes}*(1+$A{TOP}:$A{BOTTOM - 1})))"
    guess = float(GRID[np.searchsorted(GRID, max(rate.roots)) - 1]) if rate.roots else 0.0
    formula = f"=IF({letter}{COUNT}=0,0,{below}^(1/12)-1)"
    sheet.formula(f"{letter}{GUESS}", formula, (1.0 + guess) ** (1 / 12) - 1.0, "factor")
    flow = book.sheets["Returns"].span(word, start=found.start)
    undefined = f'"undefined: "&{letter}{COUNT}&" rates make the present value zero"'
    formula = f"=IF({letter}{COUNT}=1,(1+IRR({flow},{letter}{GUESS}))^12-1,{undefined})"
    value = (
        f"undefined: {len(rate.roots)} rates make the present value zero" if rate.rate_frac is None else rate.rate_frac
    )
    sheet.formula(f"{letter}{RATE}", formula, value, "rate", "key")


def last_days(book: Book) -> list[datetime.date]:
    """Last day of each month."""
    day = datetime.timedelta(days=1)
    months = (book.months.first + 1 + index for index in range(book.months.n))
    return [datetime.date(month // 12, month % 12 + 1, 1) - day for month in months]


def _xirr(book: Book, sheet: Sheet, found: Worth) -> None:
    """Flows on the last day of their month, years of 365 days: Newton's rule from the internal rate of return."""
    returns = book.sheets["Returns"]
    days = np.array([(date - EPOCH).days for date in last_days(book)])
    row = 8
    returns.labelled(row, "day", "last day of the month", "date")
    for index, day in enumerate(days):
        returns.number(f"{column(index)}{row}", float(day), "date")
    flow = returns.span("project", start=found.start)
    years = f"(({returns.span('day', start=found.start)}-Returns!${column(found.start)}${row})/365)"
    span = (days[found.start :] - days[found.start]) / 365
    flows = found.flows["project"][found.start :]
    rate = cashflow.irr(flows).rate_frac
    sheet.formula(f"B{NEWTON}", f"=IF(B{COUNT}=1,B{RATE},0)", rate or 0.0, "rate")
    at = rate or 0.0
    for step in range(1, STEPS + 1):
        before = f"B{NEWTON + step - 1}"
        value = f"SUMPRODUCT({flow},(1+{before})^(-{years}))"
        slope = f"SUMPRODUCT({flow},-{years},(1+{before})^(-{years}-1))"
        if rate is not None:
            at -= float(flows @ (1 + at) ** -span) / float((flows * -span) @ (1 + at) ** (-span - 1))
        sheet.formula(f"B{NEWTON + step}", f"=IF(B{COUNT}=1,{before}-{value}/{slope},0)", at, "rate")
