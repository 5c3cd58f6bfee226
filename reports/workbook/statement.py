"""The statement by month and by year: every row a sum of cash, depreciation, tax and debt."""

import numpy as np
import pandas as pd

from dcsim.columns import STATEMENT
from dcsim.runs import Run

from .assets import column_of
from .book import Book, C, Sheet, column
from .lines import Line

TOP = 6
YEAR, YEAR_END = 4, 5
COLUMNS = {one.name: one for one in STATEMENT if one.name != "month"}
# Where a row is a state and not a flow, a year has that of its last month.
STATES = ("gpus_energised", "debt_balance_usd", "book_value_usd")


def plan(book: Book) -> Sheet:
    """Add the sheet and say where its rows are, so that the others may refer to them."""
    sheet = book.sheet("Statement", "Statement by month, USD: profit and loss, cash, debt")
    sheet.rows |= {"year": YEAR, "year_end": YEAR_END, **{name: TOP + index for index, name in enumerate(COLUMNS)}}
    return sheet


def write(book: Book, run: Run, lines: list[Line]) -> None:
    """Write the statement."""
    sheet = book.sheets["Statement"]
    sheet.head(2, ("month", "unit", "total"))
    sheet.clock(2)
    months = book.months
    numbers = months.first + np.arange(months.n)
    ends = (numbers % 12 == 11) | (numbers == months.last)
    sheet.series(YEAR, "year", "calendar year", "", f"=INT({C}$3/12)", numbers // 12, number="", kind="soft")
    last = f"${column(months.n - 1)}$3"
    sheet.series(
        YEAR_END,
        "year_end",
        "last month of its year within the plan",
        "",
        f"=IF(OR(MOD({C}$3,12)=11,{C}$3={last}),1,0)",
        ends,
        number="",
        kind="soft",
    )
    formulas = _formulas(book, run, len(lines))
    table = run.statement
    for name, of in COLUMNS.items():
        row = sheet.rows[name]
        values = table[name].to_numpy()
        label = name.removesuffix("_usd").replace("_", " ")
        if name == "gpus_energised":
            sheet.values(row, name, label, of.unit, values)
        else:
            kind = "key" if name.startswith(("ebitda", "net_income", "cash")) else "calc"
            sheet.series(row, name, label, of.unit, formulas[name], values, total=name not in STATES, kind=kind)
        sheet.worksheet.write_comment(f"A{row}", of.meaning)
    sheet.layout((26, 6, 15), freeze=(3, 3), months=13)


def _formulas(book: Book, run: Run, n_lines: int) -> dict[str, str]:
    """Formula of each row by month."""
    sheet = book.sheets["Statement"]

    def of(name: str) -> str:
        return f"{C}{sheet.rows[name]}"

    def until(name: str) -> str:
        return f"SUM(${column(0)}{sheet.rows[name]}:{of(name)})"

    def cash(category: str) -> str:
        bottom = 3 + max(n_lines, 1)
        return f'=SUMIF(Cash!$B$4:$B${bottom},"{category}",Cash!{C}$4:{C}${bottom})'

    found = {name: cash(name.removesuffix("_usd")) for name in ("revenue_usd", "opex_usd", "capex_usd", "residual_usd")}
    held = f"-{until('capex_usd')}+{until('book_depreciation_usd')}-{until('residual_usd')}+{until('gain_on_sale_usd')}"
    gains = f"SUMIF({column_of(book, 'gain_month')},{C}$3,{column_of(book, 'gain')})"
    found |= {
        "ebitda_usd": f"={of('revenue_usd')}+{of('opex_usd')}",
        "book_depreciation_usd": f"=-{book.sheets['Depreciation'].at('book')}",
        "gain_on_sale_usd": f"={gains}",
        "net_income_usd": "="
        + "+".join(
            of(name)
            for name in (
                "ebitda_usd",
                "book_depreciation_usd",
                "interest_usd",
                "finance_costs_usd",
                "gain_on_sale_usd",
                "tax_usd",
            )
        ),
        "cash_before_tax_usd": f"={of('ebitda_usd')}+{of('capex_usd')}+{of('residual_usd')}",
        "cash_after_tax_usd": f"={of('cash_before_tax_usd')}+{of('tax_unlevered_usd')}",
        "cash_for_debt_usd": f"={of('ebitda_usd')}{_spread_tax(book, run)}",
        "book_value_usd": f"={held}",
    }
    return found | _taxed(book, run) | _lent(book, run)


def _spread_tax(book: Book, run: Run) -> str:
    """Tax without debt, spread evenly over the months of its year."""
    if not run.findings["finance"]["tax"]:
        return ""
    statement, tax = book.sheets["Statement"], book.sheets["Tax"]
    year = f"{C}${YEAR}"
    due = f"INDEX({tax.span('tax', len(book.months.years))},1,{year}-{book.months.years[0]}+1)"
    return f"-{due}/COUNTIF({statement.span(YEAR)},{year})"


def _taxed(book: Book, run: Run) -> dict[str, str]:
    """Rows of income tax: that of a year in its last month."""
    if not run.findings["finance"]["tax"]:
        return dict.fromkeys(("tax_usd", "tax_unlevered_usd"), "=0")
    tax = book.sheets["Tax"]
    years = len(book.months.years)

    def due(word: str) -> str:
        return f"=-{C}${YEAR_END}*INDEX({tax.span(word, years)},1,{C}${YEAR}-{book.months.years[0]}+1)"

    return {"tax_usd": due("levered_tax"), "tax_unlevered_usd": due("tax")}


def _lent(book: Book, run: Run) -> dict[str, str]:
    """Rows of the loan, and what is left to equity."""
    sheet = book.sheets["Statement"]
    saved = f"({C}{sheet.rows['tax_usd']}-{C}{sheet.rows['tax_unlevered_usd']})"
    equity = f"={C}{sheet.rows['cash_after_tax_usd']}+{saved}"
    names = ("interest_usd", "finance_costs_usd", "debt_drawn_usd", "debt_service_usd", "debt_balance_usd")
    if not run.findings["finance"]["loan"]:
        return {**dict.fromkeys(names, "=0"), "cash_to_equity_usd": equity}
    debt = book.sheets["Debt"]
    drawn, service = (f"{C}{sheet.rows[name]}" for name in ("debt_drawn_usd", "debt_service_usd"))
    lost = "".join(f"-{debt.at(word)}" for word in ("capitalised", "fee", "balloon"))
    return {
        "interest_usd": f"=-{debt.at('interest')}",
        "finance_costs_usd": f"=-{debt.at('expensed')}",
        "debt_drawn_usd": f"={debt.at('drawn')}+{debt.at('capitalised')}",
        "debt_service_usd": f"=-{debt.at('service')}",
        "debt_balance_usd": f"={debt.at('closing')}",
        "cash_to_equity_usd": f"{equity}+{drawn}{lost}+{service}",
    }


def write_annual(book: Book, run: Run) -> None:
    """Write the statement by calendar year."""
    statement = book.sheets["Statement"]
    sheet = book.sheet("Annual", "Statement by calendar year, USD; states are those of the year's last month")
    years = list(book.months.years)
    sheet.head(3, ("year", "unit", "total"))
    for index, year in enumerate(years):
        sheet.number(f"{column(index)}3", year, "", "head")
    calendar = book.months.first + np.arange(book.months.n)
    of_year = pd.Series(calendar // 12)
    for name, of in COLUMNS.items():
        row = statement.rows[name]
        values = run.statement[name].groupby(of_year.to_numpy())
        state = name in STATES
        where = f"{statement.span(YEAR)}"
        if state:
            formula = f"=SUMPRODUCT(({where}={C}$3)*{statement.span(YEAR_END)}*{statement.span(name)})"
        else:
            formula = f"=SUMIF({where},{C}$3,{statement.span(name)})"
        sheet.series(
            row,
            name,
            name.removesuffix("_usd").replace("_", " "),
            of.unit,
            formula,
            (values.last() if state else values.sum()).to_numpy(),
            total=not state,
            number="count" if name == "gpus_energised" else "usd",
            kind="key" if name.startswith(("ebitda", "net_income", "cash")) else "calc",
        )
        sheet.worksheet.write_comment(f"A{row}", of.meaning)
    sheet.layout((26, 6, 16), freeze=(3, 3), months=15)
