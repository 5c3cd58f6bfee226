"""Rates of return: all that make a flow worth nothing are counted, and one is said only where it is the only one.

Present values are looked at over a grid of rates, as the engine does; each change of sign is a rate of return, and IRR
starts at it. XIRR is solved by Newton's rule in cells from there: the function of spreadsheets stops at 1e-8 and fails
at negative rates.
"""

import datetime

import numpy as np
from numpy.typing import NDArray

from dcsim.finance import cashflow

from .book import Book, Sheet, column
from .returns import FLOWS, Worth

Floats = NDArray[np.float64]

# 1 + rate in steps of 0.3 %: from -99 % to +10,000 % a year.
LOWEST, HIGHEST, N_STEPS = 0.01, 101.0, 3000
LETTERS = dict(zip(FLOWS, "BCD", strict=True))
# Rows of what is found.
COUNT, BELOW, RATE, NEWTON = 4, 5, 6, 7
STEPS = 3
PROFILE = 13
SHOWN = tuple(range(-50, 105, 5))
# A spreadsheet counts days from here.
EPOCH = datetime.date(1899, 12, 30)


def write(book: Book, found: Worth) -> None:
    """Write the sheet of rates."""
    sheet = book.sheet("Rates", "Rates of return of each flow, and its present value over the rate, USD")
    sheet.head(3, ("", *FLOWS))
    for row, label in (
        (COUNT, "rates that make the present value zero, of -99 % to +10,000 % a year"),
        (BELOW, "rate a month just below the last of them"),
        (RATE, "internal rate of return, a year, if it is the only one"),
        *((NEWTON + step, f"XIRR of the project, step {step}") for step in range(STEPS + 1)),
    ):
        sheet.text(f"A{row}", label)
    sheet.head(PROFILE - 1, ("present value at an annual rate", *FLOWS))
    for index, percent in enumerate(SHOWN):
        sheet.number(f"A{PROFILE + index}", percent / 100, "rate")
    for word, letter in LETTERS.items():
        _root(book, sheet, letter, word, found)
        _profile(book, sheet, letter, word, found)
    _xirr(book, sheet, found)
    sheet.layout((62, 18, 18, 18), freeze=(3, 1), months=None)


def _years(book: Book, found: Worth) -> str:
    """Years of each month from the first cash flow on."""
    return f"((Returns!${column(found.start)}$3:${column(book.months.n - 1)}$3-first_flow)/12)"


def _root(book: Book, sheet: Sheet, letter: str, word: str, found: Worth) -> None:
    """Count the changes of sign, and polish the one if it is one."""
    flow = book.sheets["Returns"].span(word, start=found.start)
    rate = cashflow.irr(found.flows[word][found.start :])
    step = f"LN({HIGHEST:g}/{LOWEST:g})/{N_STEPS}"

    def grid(shift: int) -> str:
        return f"EXP(LN({LOWEST:g})+(ROW($A$1:$A${N_STEPS})-{1 - shift})*{step})"

    def worth(shift: int) -> str:
        return f"MMULT({grid(shift)}^(-{_years(book, found)}),TRANSPOSE({flow}))"

    changes = f"(SIGN({worth(0)})*SIGN({worth(1)})<0)"
    style = book.style("key", "")
    sheet.worksheet.write_array_formula(f"{letter}{COUNT}", f"{{=SUM({changes}*1)}}", style, float(len(rate.roots)))
    below = 0.0
    if rate.roots:
        edges = np.log(LOWEST) + np.arange(N_STEPS + 1) * np.log(HIGHEST / LOWEST) / N_STEPS
        below = float(np.exp(edges[np.searchsorted(edges, np.log1p(max(rate.roots))) - 1] / 12)) - 1.0
    formula = f"{{=IF({letter}{COUNT}=0,0,MAX({changes}*{grid(0)})^(1/12)-1)}}"
    sheet.worksheet.write_array_formula(f"{letter}{BELOW}", formula, book.style("calc", "factor"), below)
    undefined = f'"undefined: "&{letter}{COUNT}&" rates"'
    formula = f"=IF({letter}{COUNT}=1,(1+IRR({flow},{letter}{BELOW}))^12-1,{undefined})"
    value = f"undefined: {len(rate.roots)} rates" if rate.rate_frac is None else rate.rate_frac
    sheet.formula(f"{letter}{RATE}", formula, value, "rate", "key")


def _profile(book: Book, sheet: Sheet, letter: str, word: str, found: Worth) -> None:
    """Present value at some rates, for a chart and the eye."""
    flow = book.sheets["Returns"].span(word, start=found.start)
    years = np.arange(book.months.n - found.start) / 12
    for index, percent in enumerate(SHOWN):
        row = PROFILE + index
        formula = f"=SUMPRODUCT({flow},(1+$A{row})^(-{_years(book, found)}))"
        value = float(found.flows[word][found.start :] @ (1.0 + percent / 100) ** -years)
        sheet.formula(f"{letter}{row}", formula, value, "usd")


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
