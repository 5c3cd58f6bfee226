"""The register of purchases with its basis, and their depreciation in the books and in the tax return."""

from collections.abc import Sequence

import numpy as np

from dcsim.finance.depreciation import LONGEST_BONUS_YEARS
from dcsim.finance.ledger import month_name
from dcsim.runs import Run

from .book import FIRST_ROW, Book, C, Sheet, column
from .inputs import schedule_column
from .lines import Line
from .purchases import Purchase, deducted_usd, sold_in, worn_usd

# Columns of the register: their letter and heading.
COLUMNS = {
    "number": ("A", "purchase"),
    "phase": ("B", "phase"),
    "asset_class": ("C", "class"),
    "item": ("D", "item"),
    "renewal": ("E", "renewal"),
    "quantity": ("F", "quantity"),
    "unit": ("G", "unit"),
    "ordered": ("H", "ordered"),
    "delivered": ("I", "delivered"),
    "in_service": ("J", "in service"),
    "delivery": ("K", "delivered, month"),
    "start": ("L", "in service, month"),
    "end": ("M", "retired, month"),
    "life": ("N", "book life, years, 0 never"),
    "macrs": ("O", "MACRS, years, 0 never"),
    "table": ("P", "column of macrs"),
    "kept": ("Q", "value kept a year"),
    "basis": ("R", "basis USD"),
    "sold": ("S", "sold for USD"),
    "idle_years": ("T", "idle years"),
    "idle": ("U", "cost of idling USD"),
    "gpu_months": ("V", "GPU-months idle"),
    "gain_month": ("W", "month of the sale"),
    "gain": ("X", "gain in the books USD"),
    "gain_year": ("Y", "year of the sale"),
    "tax_gain": ("Z", "gain in the tax return USD"),
    "source": ("AA", "source"),
}


def at(word: str, row: int | str) -> str:
    """Cell of the register."""
    return f"${COLUMNS[word][0]}{row}"


def column_of(book: Book, word: str) -> str:
    """A column of the register over all purchases, one row at least."""
    letter = COLUMNS[word][0]
    return f"Register!${letter}${FIRST_ROW}:${letter}${FIRST_ROW + max(book.purchases, 1) - 1}"


def tax_top(found: Sequence[Purchase]) -> int:
    """Row of the years of the tax return in the sheet of depreciation."""
    return FIRST_ROW + len(found) + 2


def write_register(book: Book, run: Run, lines: Sequence[Line], found: Sequence[Purchase]) -> None:
    """Write the register: what was bought, its basis as a sum of cash, what it is sold for, and what waiting costs."""
    sheet = book.sheet("Register", "Purchases: the basis of each is the sum of its cash")
    sheet.head(3, [heading for _, heading in COLUMNS.values()])
    cash: dict[tuple[str, int], list[str]] = {}
    for index, line in enumerate(lines):
        cash.setdefault((line.category, line.purchase), []).append(f"Cash!E{FIRST_ROW + index}")
    rate = run.findings["finance"]["discount_rate"]
    worn = worn_usd(found, book.months.first, book.months.n).sum(axis=1)
    gains = [one.sold_usd - one.paid_usd + of for one, of in zip(found, worn.tolist(), strict=True)]
    taken = {(one.phase, one.retired) for one in found if one.asset_class == "GPUs"}
    for number, one in enumerate(found):
        row = FIRST_ROW + number
        _describe(book, sheet, row, number, one)
        paid, sold = ("+".join(cash.get((category, number), ["0"])) for category in ("capex", "residual"))
        idle = gpu_months = 0.0
        if one.first_of_hardware and one.kept_frac is not None:
            idle = one.paid_usd * ((1 + rate) ** one.idle_years - one.kept_frac**one.idle_years)
        # What takes the place of GPUs that still earn keeps nobody waiting.
        waits_alone = (one.phase, one.in_service) not in taken
        if one.asset_class == "GPUs" and one.renewal == 0 and waits_alone:
            gpu_months = one.quantity * (one.in_service - one.delivered)
        kept, renewal, basis, years = (at(word, row) for word in ("kept", "renewal", "basis", "idle_years"))
        waits = f"IF(AND(ISNUMBER({kept}),{renewal}=0),{basis}*((1+discount_rate)^{years}-{kept}^{years}),0)"
        months = f"{at('start', row)}-{at('delivery', row)}"
        gpus = f'IF(AND({at("asset_class", row)}="GPUs",{renewal}=0),{at("quantity", row)}*({months}),0)'
        gpus = gpus if waits_alone else "0"
        months_worn = f"Depreciation!${column(0)}{row}:${column(book.months.n - 1)}{row}"
        for word, formula, value, style in (
            ("basis", f"-({paid})", one.paid_usd, "usd"),
            ("sold", sold, one.sold_usd, "usd"),
            ("idle_years", f"({months})/12", one.idle_years, "ratio"),
            ("idle", waits, idle, "usd"),
            ("gpu_months", gpus, gpu_months, "count"),
            ("gain", f"{at('sold', row)}-({basis}-SUM({months_worn}))", gains[number], "usd"),
        ):
            sheet.formula(f"{COLUMNS[word][0]}{row}", f"={formula}", value, style)
    if run.findings["finance"]["tax"]:
        _tax_gains(book, run, sheet, found)
    sheet.layout((8, 9, 14, 34, 8, 10, 12, 9, 9, 9), freeze=(3, 4))


def _describe(book: Book, sheet: Sheet, row: int, number: int, one: Purchase) -> None:
    """What the register says of a purchase."""
    life = 0.0 if np.isinf(one.book_life_years) else one.book_life_years
    known: dict[str, str | float] = {
        "phase": one.phase,
        "asset_class": one.asset_class,
        "item": one.item,
        "renewal": one.renewal,
        "quantity": one.quantity,
        "unit": one.unit,
        "ordered": month_name(one.ordered),
        "delivered": month_name(one.delivered),
        "in_service": month_name(one.in_service),
        "delivery": one.delivered,
        "start": one.in_service,
        "end": one.retired,
        "life": life,
        "macrs": one.macrs_years,
        "table": schedule_column(one.macrs_years, one.in_service),
        "gain_month": min(one.retired, book.months.last),
        "gain_year": sold_in(one, book.months.years),
        "source": one.source,
    }
    if one.kept_frac is not None:
        known["kept"] = one.kept_frac
    sheet.number(f"A{row}", number + 1, "", "soft")
    for word, value in known.items():
        cell = f"{COLUMNS[word][0]}{row}"
        if isinstance(value, str):
            sheet.text(cell, value)
        else:
            sheet.number(cell, value)


def _tax_gains(book: Book, run: Run, sheet: Sheet, found: Sequence[Purchase]) -> None:
    """Price of each sale less what the tax return has not deducted."""
    deducted = deducted_usd(found, book.months.years, run.findings["finance"]["tax"]["bonus_frac"]).sum(axis=1)
    for number, one in enumerate(found):
        row, of = FIRST_ROW + number, tax_top(found) + 1 + number
        years = f"Depreciation!${column(0)}{of}:${column(len(book.months.years) - 1)}{of}"
        formula = f"={at('sold', row)}-({at('basis', row)}-SUM({years}))"
        gain = one.sold_usd - one.paid_usd + deducted[number]
        sheet.formula(f"{COLUMNS['tax_gain'][0]}{row}", formula, gain, "usd")


def write_depreciation(book: Book, run: Run, found: Sequence[Purchase]) -> None:
    """Write depreciation by purchase: straight line in the books, and MACRS in the tax return if there is one."""
    title = "Depreciation by purchase, USD: in the books by month, in the tax return by year"
    sheet = book.sheet("Depreciation", title)
    sheet.head(2, ("purchase", "phase", "item"))
    sheet.clock(2)
    worn = worn_usd(found, book.months.first, book.months.n)
    for number, one in enumerate(found):
        row = FIRST_ROW + number
        _name(sheet, row, number, one)
        start, end, life, basis = (f"Register!{at(word, row)}" for word in ("start", "end", "life", "basis"))
        formula = (
            f"=IF(OR({C}$3<{start},{C}$3>={end},{life}=0),0,{basis}*"
            f"(MIN(({C}$3-{start}+1)/(12*{life}),1)-MIN(({C}$3-{start})/(12*{life}),1)))"
        )
        for month in range(book.months.n):
            sheet.formula(f"{column(month)}{row}", formula.replace(C, column(month)), worn[number, month], "usd")
    bottom = FIRST_ROW + len(found)
    total = f"=SUM({C}{FIRST_ROW}:{C}{bottom - 1})" if found else "=0"
    sheet.series(bottom, "book", "", "", total, worn.sum(axis=0), kind="key")
    sheet.text(f"C{bottom}", "in the books", "key")
    if run.findings["finance"]["tax"]:
        _tax(sheet, found, tax_top(found), run.findings["finance"]["tax"]["bonus_frac"])
    sheet.layout((8, 9, 38), freeze=(3, 3))


def _name(sheet: Sheet, row: int, number: int, one: Purchase) -> None:
    sheet.number(f"A{row}", number + 1, "", "soft")
    sheet.text(f"B{row}", one.phase)
    sheet.text(f"C{row}", one.ledger_item)


def _tax(sheet: Sheet, found: Sequence[Purchase], top: int, bonus_frac: float) -> None:
    """Deductions by calendar year."""
    years = sheet.book.months.years
    sheet.text(f"C{top}", "in the tax return, by calendar year", "head")
    for index, year in enumerate(years):
        sheet.number(f"{column(index)}{top}", year, "", "head")
    deducted = deducted_usd(found, years, bonus_frac)
    for number, one in enumerate(found):
        row, of = top + 1 + number, FIRST_ROW + number
        _name(sheet, row, number, one)
        start, end, life, table, basis = (
            f"Register!{at(word, of)}" for word in ("start", "end", "macrs", "table", "basis")
        )
        bonus = f"IF({life}<={LONGEST_BONUS_YEARS},bonus_frac,0)"
        age = f"{C}${top}-INT({start}/12)"
        share = f"INDEX(macrs,MAX({age},0)+1,MAX({table},1))*(1-{bonus})+IF({age}=0,{bonus},0)"
        formula = f"=IF(OR({table}=0,{age}<0,{C}${top}>INT({end}/12)),0,{basis}*({share}))"
        for index in range(len(years)):
            sheet.formula(f"{column(index)}{row}", formula.replace(C, column(index)), deducted[number, index], "usd")
    bottom = top + 1 + len(found)
    total = f"=SUM({C}{top + 1}:{C}{bottom - 1})" if found else "=0"
    sheet.series(bottom, "tax", "", "", total, deducted.sum(axis=0), kind="key")
    sheet.text(f"C{bottom}", "in the tax return", "key")
