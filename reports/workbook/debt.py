"""The loan by month: draws, interest during construction, payments, balance, and its cover by year."""

import numpy as np
from numpy.typing import NDArray

from dcsim.finance.ledger import month_numbers
from dcsim.runs import Run
from dcsim.steps import sum_by

from ..flows import month_of
from .book import Book, C, P, Sheet, column

Floats = NDArray[np.float64]

# Rows of single figures, and of the cover by year.
IN_CONSTRUCTION = "loan drawn for interest during construction"
SIZE, FLOW, COVER = 11, 18, 32
IN_TERM = f"AND({C}$3>=first_payment,{C}$3<first_payment+12*term_years)"


def write(book: Book, run: Run) -> None:
    """Write the loan, or that there is none."""
    sheet = book.sheet("Debt", "The loan by month, USD; all rows positive")
    loan = run.findings["finance"]["loan"]
    if not loan:
        sheet.text("A3", "The scenario states no debt (economics.debt), or nothing that it could pay for.")
        return
    sheet.head(2, ("month", "unit", "total"))
    sheet.clock(2)
    start = month_of(loan["first_payment"]) - book.months.first
    drawable = _terms(book, sheet, run, start)
    owed = _balance(sheet, run, start)
    _size(sheet, run, start, drawable, owed)
    _costs(sheet, run, start)
    _cover(book, sheet, run)
    sheet.layout((46, 6, 15), freeze=(3, 3), months=13)


def _ledger(sheet: Sheet, run: Run, item: str) -> Floats:
    """What the ledger says of a row of the loan by month, positive. [USD]"""
    months = sheet.book.months
    rows = run.ledger[(run.ledger["category"] == "debt") & (run.ledger["item"] == item)]
    return np.abs(sum_by(month_numbers(rows["month"]) - months.first, rows["amount_usd"].to_numpy(), months.n))


def _terms(book: Book, sheet: Sheet, run: Run, start: int) -> Floats:
    """What the terms would lend of the capital of each month, before a limit on the cover. [USD]"""
    terms, statement = run.scenario["economics"]["debt"], book.sheets["Statement"]
    months = book.months.first + np.arange(book.months.n)
    capital = np.where(np.arange(book.months.n) < start, -run.statement["capex_usd"].to_numpy(), 0.0)
    formula = f"=IF({C}$3<first_payment,-{statement.at('capex_usd')},0)"
    sheet.series(4, "capital", "capital until the first payment", "USD", formula, capital, total=True)
    paid = np.cumsum(capital)
    sheet.series(5, "paid", "the same until each month", "USD", f"=SUM(${column(0)}4:{C}4)", paid)
    if terms["draws"] == "pro_rata":
        drawable = terms["ltv_frac"] * capital
    else:
        drawable = np.diff(np.maximum(paid - (1.0 - terms["ltv_frac"]) * paid[-1], 0.0), prepend=0.0)
    above = "MAX({}5-(1-ltv_frac)*$C$4,0)"
    pro_rata = f"ltv_frac*{C}4"
    formula = f'=IF(draws="equity_first",{above.format(C)}-{above.format(P)},{pro_rata})'
    first = f'=IF(draws="equity_first",{above.format(C)},{pro_rata})'
    sheet.series(6, "drawable", "draw by the loan's share", "USD", formula, drawable, first=first, total=True)
    interest_from = month_of(run.findings["finance"]["loan"]["interest_from"])
    added = np.maximum(interest_from - 1 - months, 0)
    sheet.series(
        7, "added", "months whose interest is added", "month", f"=MAX(interest_from-1-{C}$3,0)", added, number=""
    )
    cash = np.maximum(run.statement["cash_for_debt_usd"].to_numpy(), 0.0)
    formula = f"=MAX({statement.at('cash_for_debt_usd')},0)"
    sheet.series(8, "cash", "cash for debt service, if any", "USD", formula, cash)
    formula = f"=IF({IN_TERM},(1+debt_rate/12)^(-({C}$3-first_payment+1)),0)"
    sheet.series(
        9,
        "worth",
        "worth of a dollar at the start of the term",
        "1",
        formula,
        _worth(run, sheet, start),
        number="factor",
    )
    return np.asarray(drawable)


def _worth(run: Run, sheet: Sheet, start: int) -> Floats:
    """Worth of a payment of each month at the start of the term, 0 outside it."""
    loan = run.findings["finance"]["loan"]
    k = np.arange(sheet.book.months.n) - start
    return np.where((k >= 0) & (k < loan["payments"]), (1.0 + loan["rate_frac"] / 12) ** -(k + 1.0), 0.0)


def _figure(sheet: Sheet, row: int, word: str, label: str, unit: str, formula: str, value: float, number: str) -> None:
    """A single figure of the loan."""
    sheet.labelled(row, word, label, unit)
    sheet.formula(f"C{row}", formula, value, number, "key")


def _size(sheet: Sheet, run: Run, start: int, drawable: Floats, owed: float) -> None:
    """What limits the loan, and the payment that repays it."""
    loan = run.findings["finance"]["loan"]
    rate, cash = loan["rate_frac"] / 12, np.maximum(run.statement["cash_for_debt_usd"].to_numpy(), 0.0)
    interest_from = month_of(loan["interest_from"])
    months = sheet.book.months.first + np.arange(sheet.book.months.n)
    unlimited = float(drawable @ (1.0 + rate) ** np.maximum(interest_from - 1 - months, 0))
    worth = float(cash @ _worth(run, sheet, start))
    most = worth / loan["dscr"]
    sculpted = loan["repayment"] == "sculpted"
    scale = min(1.0, most / unlimited) if sculpted and unlimited else 1.0
    payments = loan["payments"]
    annuity = owed * rate / -np.expm1(-payments * np.log1p(rate)) if rate else owed / payments
    drawn, added, of_cash, weight = (sheet.span(word, bare=True) for word in ("drawable", "added", "cash", "worth"))
    r = SIZE
    formula = f"=SUMPRODUCT({drawn},(1+debt_rate/12)^{added})"
    _figure(sheet, r, "unlimited", "owed at the first payment, without a limit", "USD", formula, unlimited, "usd")
    formula = f"=SUMPRODUCT({of_cash},{weight})"
    _figure(
        sheet, r + 1, "cash_worth", "worth of the cash of the term at the loan's rate", "USD", formula, worth, "usd"
    )
    _figure(sheet, r + 2, "most", "what that repays at the cover asked for", "USD", f"=C{r + 1}/dscr", most, "usd")
    formula = f'=IF(AND(repayment="sculpted",C{r}>0),MIN(1,MAX(C{r + 2},0)/C{r}),1)'
    _figure(sheet, r + 3, "scale", "share of the draws that is lent", "1", formula, scale, "factor")
    cell = f"{column(start)}{sheet.rows['opening']}"
    _figure(sheet, r + 4, "owed", "owed at the first payment", "USD", f"={cell}", owed, "usd")
    formula = f"=IF(C{r + 4}=0,0,-PMT(debt_rate/12,12*term_years,C{r + 4}))"
    _figure(sheet, r + 5, "annuity", "equal payment that repays it", "USD", formula, float(annuity), "usd")


def _balance(sheet: Sheet, run: Run, start: int) -> float:
    """Rows of the balance; what is owed at the first payment is returned. [USD]"""
    n = sheet.book.months.n
    closing = run.statement["debt_balance_usd"].to_numpy()
    opening = np.concatenate([[0.0], closing[:-1]])
    drawn, capitalised, interest, principal = (
        _ledger(sheet, run, item) for item in ("loan drawn for capital", IN_CONSTRUCTION, "interest", "principal")
    )
    words = ("drawn", "opening", "due", "capitalised", "interest", "payment", "principal", "closing", "service")
    row = {word: FLOW + index for index, word in enumerate(words)}
    of = {word: f"{C}{number}" for word, number in row.items()}
    cells = {"scale": f"$C${SIZE + 3}", "owed": f"$C${SIZE + 4}", "worth": f"$C${SIZE + 1}"}
    principal = principal - _ledger(sheet, run, "interest added to the loan")
    repaid = np.arange(n) >= start
    shaped = f"IF({cells['worth']}=0,0,{C}8*{cells['owed']}/{cells['worth']})"
    payment = f'=IF({IN_TERM},IF(repayment="sculpted",{shaped},$C${SIZE + 5}),0)'
    service = np.where(repaid, interest + principal, 0.0)

    def put(word: str, label: str, formula: str, values: Floats, first: str | None = None, total: bool = True) -> None:
        sheet.series(row[word], word, label, "USD", formula, values, first=first, total=total)

    put("drawn", "drawn for capital", f"={C}6*{cells['scale']}", drawn)
    put("opening", "owed at the start of the month", f"={P}{row['closing']}", opening, "=0", total=False)
    put("due", "interest of the month", f"={of['opening']}*debt_rate/12", capitalised + interest)
    put("capitalised", "of it added to the loan", f"=IF({C}$3<interest_from,{of['due']},0)", capitalised)
    put("interest", "of it paid", f"={of['due']}-{of['capitalised']}", interest)
    # Payments before the first are no formulas: they would look at what is owed then, which looks at them.
    for word, label, formula, values in (
        ("payment", "payment due by the terms", payment, service),
        ("principal", "principal repaid", f"=MIN({of['opening']},{of['payment']}-{of['due']})", principal),
    ):
        sheet.labelled(row[word], word, label, "USD")
        for index in range(n):
            text = formula.replace(C, column(index)) if index >= start else "=0"
            sheet.formula(f"{column(index)}{row[word]}", text, values[index], "usd")
        sheet.formula(f"C{row[word]}", f"=SUM({sheet.span(row[word], bare=True)})", values.sum(), "usd")
    balance = f"={of['opening']}+{of['capitalised']}+{of['drawn']}-{of['principal']}"
    put("closing", "owed at the end of the month", balance, closing, total=False)
    put("service", "interest and principal paid", f"={of['interest']}+{of['principal']}", interest + principal)
    return float(opening[start])


def _costs(sheet: Sheet, run: Run, start: int) -> None:
    """The fee, what is expensed over the term, and the balance that falls due at the end."""
    months, loan = sheet.book.months, run.findings["finance"]["loan"]
    row = FLOW + 9
    drawn, capitalised = sheet.rows["drawn"], sheet.rows["capitalised"]
    last = f"${column(months.n - 1)}$3"
    formula = f"=IF(AND({C}{drawn}<>0,SUM(${column(0)}{drawn}:{C}{drawn})={C}{drawn}),fee_frac*$C{drawn},0)"
    sheet.series(row, "fee", "arrangement fee", "USD", formula, _ledger(sheet, run, "arrangement fee"), total=True)
    spread = f"($C{capitalised}+$C{row})"
    rest = f"{spread}*(1-MIN(12*term_years,{last}-first_payment+1)/(12*term_years))"
    formula = f"=IF({IN_TERM},{spread}/(12*term_years),0)+IF({C}$3={last},{rest},0)"
    expensed = -run.statement["finance_costs_usd"].to_numpy()
    label = "fee and interest during construction, expensed"
    sheet.series(row + 1, "expensed", label, "USD", formula, expensed, total=True)
    balloon = _ledger(sheet, run, "balance repaid at the end")
    formula = f"=IF({C}$3={last},{C}{sheet.rows['closing']},0)"
    sheet.series(row + 2, "balloon", "balance repaid at the end", "USD", formula, balloon, total=True)
    flags = _scheduled(run, start)
    sheet.series(row + 3, "scheduled", "months of the term", "1", f"=IF({IN_TERM},1,0)", flags, number="")
    assert loan["payments"] > 0


def _scheduled(run: Run, start: int) -> Floats:
    month = np.arange(len(run.statement))
    payments = run.findings["finance"]["loan"]["payments"]
    return np.where((month >= start) & (month < start + payments), 1.0, 0.0)


def _cover(book: Book, sheet: Sheet, run: Run) -> None:
    """Cover of the debt service by calendar year, empty in years without."""
    statement, years = book.sheets["Statement"], list(book.months.years)
    first = month_of(run.findings["finance"]["loan"]["first_payment"])
    flags = _scheduled(run, first - book.months.first)
    calendar = (book.months.first + np.arange(book.months.n)) // 12 - years[0]
    sheet.head(COVER, ("cover of the debt service", "unit", "least"))
    for index, year in enumerate(years):
        sheet.number(f"{column(index)}{COVER}", year, "", "head")
    sums = {}
    for row, word, label, name, sign in (
        (COVER + 1, "cover_cash", "cash in months of the term", "cash_for_debt_usd", ""),
        (COVER + 2, "cover_service", "interest and principal", "debt_service_usd", "-"),
    ):
        values = np.bincount(calendar, weights=flags * run.statement[name].to_numpy(), minlength=len(years))
        sums[word] = -values if sign else values
        formula = (
            f"={sign}SUMPRODUCT(({statement.span('year')}={C}${COVER})*{sheet.span('scheduled', bare=True)}"
            f"*{statement.span(name)})"
        )
        sheet.series(row, word, label, "USD", formula, sums[word])
    row = COVER + 3
    sheet.labelled(row, "cover", "debt service cover", "1")
    for index in range(len(years)):
        cash, service = (f"{column(index)}{COVER + of}" for of in (1, 2))
        paid = sums["cover_service"][index]
        value = sums["cover_cash"][index] / paid if paid else ""
        sheet.formula(f"{column(index)}{row}", f'=IF({service}=0,"",{cash}/{service})', value, "ratio", "key")
    cover = sheet.span("cover", len(years), bare=True)
    known = [float(c / s) for c, s in zip(*sums.values(), strict=True) if s]
    least: float | str = min(known) if known else "none"
    sheet.formula(f"C{row}", f'=IF(COUNT({cover})=0,"none",MIN({cover}))', least, "ratio", "key")
