"""Lines of the ledger by month: what is bought and sold as values, what it costs as formulas."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.finance.ledger import COSTS, OPERATING, month_numbers
from dcsim.runs import Run
from dcsim.steps import sum_by

from .book import FIRST_ROW, Book, C, Months, column
from .inputs import rate_name
from .purchases import Purchase

Floats = NDArray[np.float64]

KEY = ("category", "item", "phase", "unit", "price_usd", "index", "index_year", "source")
NONE = -1


@dataclass(frozen=True)
class Line:
    """One price and what was bought at it, by month; ``purchase`` is its row in the register, or -1."""

    category: str
    item: str
    phase: str
    unit: str
    price_usd: float
    index: str
    index_year: float
    source: str
    purchase: int
    quantity: Floats
    amount_usd: Floats


def lines(run: Run, months: Months, bought: Sequence[Purchase]) -> list[Line]:
    """Operating rows of the ledger by what they have in common, in the order of their categories."""
    table = run.ledger.assign(purchase=purchases_of(run.ledger, bought, months.last))
    found = []
    for category in OPERATING:
        rows = table[table["category"] == category]
        for key, group in rows.groupby([*KEY, "purchase"], sort=False, dropna=False):
            index = month_numbers(group["month"]) - months.first
            of: dict[str, Any] = dict(zip((*KEY, "purchase"), key, strict=True))
            found.append(
                Line(
                    **{**of, "index": of["index"] or "", "purchase": int(of["purchase"])},
                    quantity=sum_by(index, group["quantity"].to_numpy(), months.n),
                    amount_usd=sum_by(index, group["amount_usd"].to_numpy(), months.n),
                )
            )
    return found


def purchases_of(ledger: pd.DataFrame, found: Sequence[Purchase], last_month: int) -> NDArray[np.int64]:
    """Purchase that each row of capital in the ledger pays for, or of residual value sells; -1 for all other rows.

    Replacements of an asset share a name, and where they are ordered before the last was delivered, months: each takes
    the months of the first purchase, counted from its own delivery. A sale falls in the month of retirement, or in the
    plan's last.
    """
    of_rows = np.full(len(ledger), NONE, dtype=np.int64)
    months = month_numbers(ledger["month"]).tolist()
    waiting: dict[tuple[str, str, int], deque[int]] = defaultdict(deque)
    paid: dict[tuple[str, str], list[int]] = defaultdict(list)
    items, phases = ledger["item"].tolist(), ledger["phase"].tolist()
    for row in np.flatnonzero((ledger["category"] == "capex").to_numpy()).tolist():
        waiting[(items[row], phases[row], months[row])].append(row)
        paid[(items[row], phases[row])].append(months[row])
    sales = np.flatnonzero((ledger["category"] == "residual").to_numpy()).tolist()
    sold = {(items[row], phases[row], months[row]): row for row in sales}
    before: list[int] = []
    for purchase, one in enumerate(found):
        if one.renewal == 0:
            before = [month - one.delivered for month in paid[(one.ledger_item, one.phase)]]
        for offset in before:
            rows = waiting[(one.ledger_item, one.phase, one.delivered + offset)]
            if rows:
                of_rows[rows.popleft()] = purchase
        sale = sold.get((one.ledger_item, one.phase, min(one.retired, last_month)))
        if sale is not None:
            of_rows[sale] = purchase
    return of_rows


def write(book: Book, found: list[Line]) -> None:
    """Write the sheets of quantities and of cash."""
    quantities = book.sheet("Lines", "What is bought and sold, by line and month")
    cash = book.sheet("Cash", "Cash by line and month: sign × quantity × price × growth, USD")
    names = ["line", "category", "item", "phase", "unit", "price USD", "index", "index year", "source", "purchase"]
    quantities.head(2, names)
    quantities.clock(2)
    cash.head(2, ["line", "category", "item", "phase", "total"])
    cash.clock(2)
    for number, line in enumerate(found):
        row = FIRST_ROW + number
        for sheet in (quantities, cash):
            sheet.number(f"A{row}", number + 1, "", "soft")
            for letter, text in zip("BCD", (line.category, line.item, line.phase), strict=True):
                sheet.text(f"{letter}{row}", text)
        quantities.text(f"E{row}", line.unit, "soft")
        quantities.number(f"F{row}", line.price_usd)
        quantities.text(f"I{row}", line.source, "soft")
        growth = ""
        if line.index:
            quantities.text(f"G{row}", line.index, "soft")
            quantities.number(f"H{row}", line.index_year)
            growth = f"*(1+{rate_name(line.index)})^({C}$3/12-Lines!$H{row})"
        if line.purchase != NONE:
            quantities.number(f"J{row}", line.purchase + 1, "", "soft")
        sign = "-" if line.category in COSTS else ""
        for index in range(book.months.n):
            letters = column(index)
            quantities.number(f"{letters}{row}", line.quantity[index], "count")
            formula = f"={sign}Lines!{C}{row}*Lines!$F{row}{growth}".replace(C, letters)
            cash.formula(f"{letters}{row}", formula, line.amount_usd[index], "usd")
        cash.formula(f"E{row}", f"=SUM({cash.span(row, bare=True)})", line.amount_usd.sum(), "usd", "key")
    quantities.layout((6, 9, 38, 9, 14, 13, 14, 10, 18, 9), freeze=(3, 3))
    cash.layout((6, 9, 38, 9, 14), freeze=(3, 3))
