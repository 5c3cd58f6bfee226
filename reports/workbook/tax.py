"""The tax return by calendar year: as if there were no debt, and with interest deducted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dcsim.finance.tax import taxed_income_usd
from dcsim.runs import Run

from .assets import column_of
from .book import Book, C, P, Sheet, column
from .purchases import Purchase, deducted_usd, sold_in

Floats = NDArray[np.float64]

YEARS = 3


def write(book: Book, run: Run, found: Sequence[Purchase]) -> None:
    """Write the tax return, or that there is none."""
    tax = run.findings["finance"]["tax"]
    sheet = book.sheet("Tax", "Income tax by calendar year, USD, paid in the year's last month within the plan")
    if not tax:
        sheet.text("A3", "The scenario states no income tax (economics.tax).")
        return
    years = list(book.months.years)
    n = len(years)
    sheet.head(YEARS, ("year", "unit", "total"))
    for index, year in enumerate(years):
        sheet.number(f"{column(index)}{YEARS}", year, "", "head")
    statement = book.sheets["Statement"]
    calendar = (book.months.first + np.arange(book.months.n)) // 12 - years[0]

    def yearly(name: str) -> Floats:
        return np.asarray(np.bincount(calendar, weights=run.statement[name].to_numpy(), minlength=n), dtype=float)

    def summed(*names: str) -> str:
        where = statement.span("year")
        return "=" + "+".join(f"SUMIF({where},{C}${YEARS},{statement.span(name)})" for name in names)

    before = yearly("revenue_usd") + yearly("opex_usd")
    of_purchases = deducted_usd(found, book.months.years, tax["bonus_frac"])
    deducted, sold = of_purchases.sum(axis=0), np.zeros(n)
    for one, of in zip(found, of_purchases, strict=True):
        sold[sold_in(one, book.months.years) - years[0]] += one.sold_usd - one.paid_usd + of.sum()
    interest = yearly("interest_usd") + yearly("finance_costs_usd")
    depreciation = book.sheets["Depreciation"]
    gain = f"=SUMIF({column_of(book, 'gain_year')},{C}${YEARS},{column_of(book, 'tax_gain')})"
    row = {word: 4 + index for index, word in enumerate(("before", "depreciation", "sold", "income"))}
    sheet.series(
        4, "before", "revenue less operating costs", "USD", summed("revenue_usd", "opex_usd"), before, total=True
    )
    sheet.series(5, "depreciation", "depreciation", "USD", f"=-{depreciation.at('tax')}", -deducted, total=True)
    sheet.series(6, "sold", "sales less basis not deducted", "USD", gain, sold, total=True)
    income = before - deducted + sold
    formula = f"={C}{row['before']}+{C}{row['depreciation']}+{C}{row['sold']}"
    sheet.series(
        7, "income", "taxable before earlier losses, without debt", "USD", formula, income, total=True, kind="key"
    )
    _return(sheet, 8, "", "income", income, run)
    formula = summed("interest_usd", "finance_costs_usd")
    sheet.series(13, "interest", "interest and costs of the loan", "USD", formula, interest, total=True)
    formula = f"={C}{sheet.rows['income']}+{C}13"
    levered = income + interest
    label = "taxable before earlier losses, with debt"
    sheet.series(14, "levered_income", label, "USD", formula, levered, total=True, kind="key")
    _return(sheet, 15, "levered_", "levered_income", levered, run)
    sheet.layout((44, 6, 15), freeze=(3, 3), months=15)


def _return(sheet: Sheet, top: int, prefix: str, income_word: str, income: Floats, run: Run) -> None:
    """Losses brought forward, used and left, what is taxed, and the tax, in five rows."""
    tax = run.findings["finance"]["tax"]
    carried = tax["losses"] == "carry_forward"
    taxed = taxed_income_usd(income, loss_limit_frac=tax["loss_limit_frac"], carry_forward=carried)
    used = np.maximum(income, 0.0) - taxed if carried else np.zeros(len(income))
    left = np.cumsum(np.maximum(-income, 0.0) - used) if carried else np.zeros(len(income))
    of = f"{C}{sheet.rows[income_word]}"
    words = ("brought", "used", "left", "taxed", "tax")
    brought, used_at, taxed_at = (f"{C}{top + words.index(word)}" for word in ("brought", "used", "taxed"))
    at_once = 'losses="used_at_once"'
    for index, (word, label, formula, values) in enumerate(
        (
            ("brought", "losses of earlier years", f"={P}{top + 2}", np.concatenate([[0.0], left[:-1]])),
            ("used", "losses used", f"=IF({at_once},0,MIN({brought},loss_limit_frac*MAX({of},0)))", used),
            ("left", "losses left", f"=IF({at_once},0,{brought}+MAX(-{of},0)-{used_at})", left),
            ("taxed", "taxed income", f"=IF({at_once},{of},MAX({of},0)-{used_at})", taxed),
            ("tax", "income tax", f"={taxed_at}*tax_rate", taxed * tax["rate_frac"]),
        )
    ):
        first = "=0" if word == "brought" else None
        summed = word in ("used", "taxed", "tax")
        sheet.series(top + index, prefix + word, label, "USD", formula, values, first=first, total=summed)
