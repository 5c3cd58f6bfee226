"""Flows in the dollars that are discounted: cumulated, discounted, and how long they stay below zero."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.runs import Run

from ..flows import deflators, discounts, first_flow, valuation_month
from .book import Book, C, Sheet, column

Floats = NDArray[np.float64]

# Flows by their column of the statement, with the factor that discounts each.
FLOWS = {
    "project": ("cash_before_tax_usd", "discount", "flow to the project before tax"),
    "after_tax": ("cash_after_tax_usd", "discount", "flow to the project after tax"),
    "equity": ("cash_to_equity_usd", "equity_discount", "flow to equity"),
}
TOP_OF_FLOWS, ROWS_OF_FLOW = 9, 5
FACTORS = ("deflator", "discount", "equity_discount")


@dataclass(frozen=True)
class Worth:
    """What a run's dollars are worth by month, arrays of shape (n_months,).

    ``start`` is the month of the first cash flow, from the first month of the sheets on; ``flows`` are deflated.
    """

    start: int
    k: NDArray[np.int64]
    factors: dict[str, Floats]
    flows: dict[str, Floats]


def worth(book: Book, run: Run) -> Worth:
    """Factors and flows of a run."""
    months = book.months.first + np.arange(book.months.n)
    deflator = deflators(run, months)
    return Worth(
        first_flow(run) - book.months.first,
        months - valuation_month(run),
        {
            "deflator": deflator,
            "discount": discounts(run, months),
            "equity_discount": discounts(run, months, "equity_rate"),
        },
        {word: run.statement[name].to_numpy() * deflator for word, (name, _, _) in FLOWS.items()},
    )


def write(book: Book, run: Run, found: Worth) -> Sheet:
    """Write the sheet of returns, to which the work is added."""
    sheet = book.sheet("Returns", "Flows in the dollars that are discounted, and the work that they pay for")
    sheet.head(2, ("month", "unit", "total"))
    sheet.clock(2)
    label = "months since the valuation month"
    sheet.series(4, "k", label, "month", f"={C}$3-valuation_month", found.k, number="")
    for index, (word, label, formula) in enumerate(
        (
            ("deflator", "discounted dollars, a nominal one", f'=IF(dollars="real",(1+inflation)^(-{C}4/12),1)'),
            ("discount", "worth of a dollar at discount_rate", f"=(1+discount_rate)^(-{C}4/12)"),
            ("equity_discount", "worth of a dollar at equity_rate", f"=(1+equity_rate)^(-{C}4/12)"),
        )
    ):
        sheet.series(5 + index, word, label, "1", formula, found.factors[word], number="factor")
    for index, (word, (name, factor, label)) in enumerate(FLOWS.items()):
        top = TOP_OF_FLOWS + index * ROWS_OF_FLOW
        formula = f"={book.sheets['Statement'].at(name)}*{C}${sheet.rows['deflator']}"
        sheet.series(top, word, label, "USD", formula, found.flows[word], kind="key")
        discounted = found.flows[word] * found.factors[factor]
        formula = f"={C}{top}*{C}${sheet.rows[factor]}"
        sheet.series(top + 1, f"{word}_pv", "discounted", "USD", formula, discounted, total=True)
        _cumulated(sheet, top + 2, f"{word}_sum", "cumulated", top, found.flows[word], found.start)
        _cumulated(sheet, top + 3, f"{word}_pv_sum", "cumulated and discounted", top + 1, discounted, found.start)
    row = TOP_OF_FLOWS + len(FLOWS) * ROWS_OF_FLOW
    statement = book.sheets["Statement"]
    cash = statement.rows["cash_before_tax_usd"]
    formula = f"=SUM(Statement!${column(0)}{cash}:{C}{cash})"
    nominal = np.cumsum(run.statement["cash_before_tax_usd"].to_numpy())
    sheet.series(row, "nominal_sum", "nominal flow to the project, cumulated", "USD", formula, nominal)
    equity = statement.rows["cash_to_equity_usd"]
    formula = f"=SUM(Statement!${column(0)}{equity}:{C}{equity})"
    nominal = np.cumsum(run.statement["cash_to_equity_usd"].to_numpy())
    sheet.series(row + 3, "equity_nominal_sum", "nominal flow to equity, cumulated", "USD", formula, nominal)
    for shift, word in ((1, "project_sum"), (2, "project_pv_sum")):
        flow = found.flows["project"] * (found.factors["discount"] if shift == 2 else 1.0)
        sums = np.cumsum(np.where(np.arange(len(flow)) >= found.start, flow, 0.0))
        below = np.where(sums < 0, np.arange(len(flow)) - found.start + 1, 0)
        formula = f"=IF({C}{sheet.rows[word]}<0,{C}$3-first_flow+1,0)"
        label = ("cumulated flow" if shift == 1 else "cumulated and discounted flow") + " below zero: months gone"
        sheet.series(row + shift, f"{word}_below", label, "month", formula, below, number="")
    sheet.layout((48, 10, 16), freeze=(3, 3), months=13)
    return sheet


def _cumulated(sheet: Sheet, row: int, word: str, label: str, of: int, flow: Floats, start: int) -> None:
    """Running sum from the first cash flow on."""
    sums = np.cumsum(np.where(np.arange(len(flow)) >= start, flow, 0.0))
    formula = f"=IF({C}$3<first_flow,0,SUM(${column(start)}{of}:{C}{of}))"
    sheet.series(row, word, label, "USD", formula, sums)
