"""Balance checks: amounts that must agree whatever the inputs are, each a formula."""

from dataclasses import dataclass

from dcsim.runs import Run

from .assets import column_of
from .book import Book, column
from .lines import Line

TOP = 6


@dataclass(frozen=True)
class Check:
    """Two amounts that must be equal to the cent."""

    what: str
    one: str
    other: str
    value: float


def write(book: Book, run: Run, lines: list[Line]) -> None:
    """Write the checks, and whether all hold."""
    sheet = book.sheet("Checks", "Balance checks: two ways to each amount, USD")
    checks = [*_always(book, run, lines), *_of_tax(book, run), *_of_debt(book, run)]
    sheet.head(TOP - 1, ("check", "one way", "other way", "difference", "holds"))
    last = TOP + len(checks) - 1
    sheet.text("A3", "All checks", "head")
    sheet.formula(
        "C3", f'=IF(COUNTIF(E{TOP}:E{last},"yes")={len(checks)},"all hold","LOOK BELOW")', "all hold", "", "key"
    )
    for index, check in enumerate(checks):
        row = TOP + index
        sheet.text(f"A{row}", check.what)
        sheet.formula(f"B{row}", f"={check.one}", check.value, "usd")
        sheet.formula(f"C{row}", f"={check.other}", check.value, "usd")
        sheet.formula(f"D{row}", f"=ROUND(B{row}-C{row},2)", 0.0, "ratio")
        sheet.formula(f"E{row}", f'=IF(ABS(D{row})<0.015,"yes","NO")', "yes", "", "key")
    sheet.layout((76, 20, 20, 14, 10), freeze=(TOP - 1, 1), months=None)


def _always(book: Book, run: Run, lines: list[Line]) -> list[Check]:
    statement, depreciation = book.sheets["Statement"], book.sheets["Depreciation"]
    annual = book.sheets["Annual"]
    years, table = len(book.months.years), run.statement
    cash = table["cash_to_equity_usd"].sum()
    bottom = 3 + max(len(lines), 1)
    worn = -table["book_depreciation_usd"].sum()

    def total(name: str) -> str:
        return f"SUM({statement.span(name)})"

    return [
        Check(
            "cash of all lines = project cash flow before tax",
            f"SUM(Cash!E4:E{bottom})",
            total("cash_before_tax_usd"),
            table["cash_before_tax_usd"].sum(),
        ),
        Check(
            "payments of the register = capital",
            f"SUM({column_of(book, 'basis')})",
            f"-{total('capex_usd')}",
            -table["capex_usd"].sum(),
        ),
        Check(
            "sales of the register = residual value",
            f"SUM({column_of(book, 'sold')})",
            total("residual_usd"),
            table["residual_usd"].sum(),
        ),
        Check(
            "profit of all years = cash to equity: capital and loans come and go",
            total("net_income_usd"),
            total("cash_to_equity_usd"),
            cash,
        ),
        Check(
            "depreciation of purchases = that of the statement",
            f"SUM({depreciation.span('book')})",
            f"-{total('book_depreciation_usd')}",
            worn,
        ),
        Check(
            "cash to equity by year = by month",
            f"SUM({annual.span('cash_to_equity_usd', years)})",
            total("cash_to_equity_usd"),
            cash,
        ),
        Check(
            "book value at the end is nothing",
            f"{statement.at('book_value_usd', _last(book))}",
            "0",
            0.0,
        ),
    ]


def _last(book: Book) -> str:
    return column(book.months.n - 1)


def _of_tax(book: Book, run: Run) -> list[Check]:
    if not run.findings["finance"]["tax"]:
        return []
    statement, tax, years = book.sheets["Statement"], book.sheets["Tax"], len(book.months.years)
    table = run.statement
    taxable = table["cash_before_tax_usd"].sum()
    return [
        Check(
            "taxable income of all years, without debt = project cash flow before tax",
            f"SUM({tax.span('income', years)})",
            f"SUM({statement.span('cash_before_tax_usd')})",
            taxable,
        ),
        Check(
            "tax of the return = tax of the statement",
            f"SUM({tax.span('levered_tax', years)})",
            f"-SUM({statement.span('tax_usd')})",
            -table["tax_usd"].sum(),
        ),
    ]


def _of_debt(book: Book, run: Run) -> list[Check]:
    if not run.findings["finance"]["loan"]:
        return []
    statement, debt, table = book.sheets["Statement"], book.sheets["Debt"], run.statement
    last = _last(book)
    drawn = table["debt_drawn_usd"].sum()
    service = -table["debt_service_usd"].sum()
    final = table["debt_balance_usd"].iloc[-1]
    return [
        Check(
            "the loan with interest added to it = principal and the balance repaid at the end",
            f"SUM({statement.span('debt_drawn_usd')})",
            f"SUM({debt.span('principal')})+SUM({debt.span('balloon')})",
            drawn,
        ),
        Check(
            "balance of the loan in the last month = what is repaid at the end",
            debt.at("closing", last),
            debt.at("balloon", last),
            final,
        ),
        Check(
            "service of the statement = interest and principal of the loan",
            f"-SUM({statement.span('debt_service_usd')})",
            f"SUM({debt.span('interest')})+SUM({debt.span('principal')})",
            service,
        ),
        Check(
            "costs expensed over the term = fee and interest during construction",
            f"SUM({debt.span('expensed')})",
            f"SUM({debt.span('fee')})+SUM({debt.span('capitalised')})",
            -table["finance_costs_usd"].sum(),
        ),
    ]
