"""Inputs that may be changed, each a named cell with its source, and what the simulated plan says of itself."""

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dcsim.catalog.hardware import server_gpu, server_has_gpus
from dcsim.finance.depreciation import MACRS, REAL_PROPERTY_YEARS, macrs_frac
from dcsim.finance.ledger import month_name
from dcsim.runs import Run

from ..flows import first_flow, month_of, valuation_month
from .book import LEFT, Book, Sheet, column

LEGEND = (
    ("input", "a value to change: every sheet follows"),
    ("fact", "a value of the simulated plan or of the catalog: change it in the scenario and run again"),
    ("calc", "a formula"),
)
CHOICES = {
    "dollars": ("nominal", "real"),
    "losses": ("carry_forward", "used_at_once"),
    "repayment": ("annuity", "sculpted"),
    "draws": ("pro_rata", "equity_first"),
}
# Columns of the table of tax depreciation: recovery periods, and real property by the month of going into service.
SCHEDULES = (*((life, 1) for life in MACRS), *((REAL_PROPERTY_YEARS, month) for month in range(1, 13)))


@dataclass(frozen=True)
class Input:
    """A named cell."""

    name: str
    meaning: str
    value: float | str
    unit: str
    source: str
    number: str = ""
    kind: str = "input"
    formula: str = ""


def rate_name(index: str) -> str:
    """Name of the cell that holds the yearly growth of an index."""
    return "rate_" + re.sub(r"\W+", "_", index)


def schedule_column(macrs_years: int, in_service: int) -> int:
    """Column, from 1, of a purchase in the table of tax depreciation; 0 where nothing is deducted."""
    if macrs_years == 0:
        return 0
    return SCHEDULES.index((macrs_years, in_service % 12 + 1 if macrs_years == REAL_PROPERTY_YEARS else 1)) + 1


def mfu(run: Run) -> float:
    """Share of its peak that a GPU reaches."""
    return float(_mfu(run)["value"])


def _mfu(run: Run) -> "pd.Series[Any]":
    of = run.assumptions
    rows = of[(of["table"] == "operations") & (of["key"] == "estimate") & (of["parameter"] == "mfu_frac")]
    return rows.iloc[0]


def _source(assumptions: pd.DataFrame, parameter: str, key: str | None = None) -> str:
    """Source of a catalog value that the run used; the scenario where it states the value itself."""
    rows = assumptions[assumptions["parameter"] == parameter]
    if key is not None:
        rows = rows[rows["key"] == key]
    return "scenario" if rows.empty else str(rows["source"].iloc[0])


def _rates(run: Run) -> list[Input]:
    """Yearly growth of each index."""
    economics, used = run.scenario["economics"], run.assumptions
    known = {
        "construction": ("inflation_frac_per_year", economics["construction"]),
        "opex": ("opex_inflation_frac_per_year", economics["operations"]),
        "energy": ("energy_inflation_frac_per_year", economics["operations"]),
        "rent": ("escalation_frac_per_year", economics["tenure"].get("rent")),
    }
    found = []
    for index, rate in run.findings["finance"]["indices"].items():
        source = _source(used, *known.get(index, ("decline_frac_per_year", index.split(": ")[-1])))
        found.append(Input(rate_name(index), f"growth of prices by the index {index}", rate, "1/year", source, "rate"))
    return found


def _discounting(run: Run) -> list[Input]:
    economics, finance = run.scenario["economics"], run.findings["finance"]
    equity = Input(
        "equity_rate", "rate for what is left to equity", finance["equity_rate"], "1/year", "scenario", "rate"
    )
    if economics["equity_rate"] is None:
        equity = Input(
            "equity_rate",
            "rate for what is left to equity: discount_rate, the scenario states none",
            finance["equity_rate"],
            "1/year",
            "scenario",
            "rate",
            formula="=discount_rate",
        )
    inflation = Input(
        "inflation",
        "growth of operating prices, by which real dollars are deflated",
        finance["inflation_frac"],
        "1/year",
        _source(run.assumptions, "opex_inflation_frac_per_year"),
        "rate",
        formula="=rate_opex" if "opex" in finance["indices"] else "",
    )
    return [
        Input("discount_rate", "annual effective rate", finance["discount_rate"], "1/year", "scenario", "rate"),
        equity,
        Input("dollars", "present values in nominal or real dollars", economics["dollars"], "", "scenario"),
        inflation,
    ]


def _tax(run: Run) -> list[Input]:
    tax, used = run.findings["finance"]["tax"], run.assumptions
    regime = run.scenario["economics"]["tax"]["regime"]
    return [
        Input("tax_rate", "income tax", tax["rate_frac"], "1", _source(used, "rate_frac", regime), "rate"),
        Input(
            "bonus_frac",
            "share of property of up to 20 years that is deducted at once",
            tax["bonus_frac"],
            "1",
            _source(used, "bonus_frac", regime),
            "rate",
        ),
        Input(
            "loss_limit_frac",
            "share of a year's income that earlier losses may offset",
            tax["loss_limit_frac"],
            "1",
            _source(used, "loss_limit_frac", regime),
            "rate",
        ),
        Input("losses", "whether losses wait for income or are used at once", tax["losses"], "", "scenario"),
    ]


def _debt(run: Run) -> list[Input]:
    loan, debt = run.findings["finance"]["loan"], run.scenario["economics"]["debt"]
    first, interest = month_of(loan["first_payment"]), month_of(loan["interest_from"])
    return [
        Input("ltv_frac", "loan over capital until its first payment", loan["ltv_frac"], "1", "scenario", "rate"),
        Input(
            "debt_rate", "nominal annual rate; a month pays a twelfth", loan["rate_frac"], "1/year", "scenario", "rate"
        ),
        Input("fee_frac", "arrangement fee over the loan", loan["fee_frac"], "1", "scenario", "rate"),
        Input("term_years", "years of repayment", debt["term_years"], "year", "scenario"),
        Input("dscr", "cover of the debt service: the covenant", loan["dscr"], "1", "scenario", "ratio"),
        Input("repayment", "equal payments, or in the shape of the cash flow", debt["repayment"], "", "scenario"),
        Input("draws", "whether equity is paid in beside the loan or before it", debt["draws"], "", "scenario"),
        Input(
            "first_payment",
            f"month of the first payment, {loan['first_payment']}, by number",
            first,
            "month",
            "scenario",
            kind="fact",
        ),
        Input(
            "interest_from",
            f"month that first pays interest, {loan['interest_from']}, by number",
            interest,
            "month",
            "scenario",
            kind="fact",
        ),
    ]


def _facts(run: Run) -> list[Input]:
    """What the simulated plan says of itself, and what a GPU can do."""
    scenario, kpis = run.scenario, run.kpis
    utility_mw = sum(phase["utility_mw"] for phase in scenario["facility"]["phases"])
    valued, first = valuation_month(run), first_flow(run)
    it, whole = (kpis[name]["value"] for name in ("it_energy_mwh", "facility_energy_mwh"))
    facts = [
        ("valuation_month", f"number of the month of present values, {month_name(valued)}", valued, "month"),
        ("first_flow", f"number of the month of the first cash flow, {month_name(first)}", first, "month"),
        ("plan_years", "length of the plan", scenario["plan"]["years"], "year"),
        ("utility_mw", "utility power of all phases", utility_mw, "MW"),
        ("installed_gpus", "GPUs at the end of the plan", kpis["gpus_installed"]["value"], "GPU"),
        ("design_pue", "PUE in the design hour", kpis["pue_design_hour"]["value"], "1"),
        ("it_energy_mwh", "IT energy of the plan", it, "MWh"),
        ("facility_energy_mwh", "energy of the facility", whole, "MWh"),
    ]
    found = [Input(name, meaning, value, unit, "simulation", kind="fact") for name, meaning, value, unit in facts]
    source = str(_mfu(run)["source"])
    return [*found, Input("mfu_frac", "share of its peak that a GPU reaches", mfu(run), "1", source, "rate")]


def peaks_flop_s(run: Run) -> dict[str, float]:
    """Dense 16-bit peak rate of a GPU of each pool, 0 for pools without GPUs. [FLOP/s]"""
    used = run.assumptions
    rows = used[(used["table"] == "gpus") & (used["parameter"] == "bf16_dense_flop_s")]
    known = dict(zip(rows["key"], rows["value"], strict=True))
    servers = {phase["pool"]: phase["server"] for phase in run.findings["phases"]}
    return {
        pool: float(known[server_gpu(server)]) if server_has_gpus(server) else 0.0 for pool, server in servers.items()
    }


def write(book: Book, run: Run) -> None:
    """Write the sheet of inputs."""
    sheet = book.sheet("Inputs", f"Inputs of {run.scenario['name']}")
    for index, (kind, meaning) in enumerate(LEGEND):
        sheet.text(f"A{2 + index}", kind, kind)
        sheet.text(f"B{2 + index}", meaning, "soft")
    finance = run.findings["finance"]
    blocks = [
        ("Discounting", _discounting(run)),
        ("Growth of prices", _rates(run)),
        ("Income tax", _tax(run) if finance["tax"] else []),
        ("Debt", _debt(run) if finance["loan"] else []),
        ("From the simulation and the catalog", _facts(run)),
    ]
    row = 3 + len(LEGEND)
    for title, inputs in blocks:
        if not inputs:
            continue
        sheet.head(row, (title, "value", "unit", "source", "meaning"))
        row += 1
        for one in inputs:
            _put(book, sheet, row, one)
            row += 1
        row += 1
    _schedules(book, sheet, row)
    sheet.layout((38, 16, 9, 20, 16), freeze=(5, 1), months=None)


def _put(book: Book, sheet: Sheet, row: int, one: Input) -> None:
    sheet.text(f"A{row}", one.name)
    sheet.text(f"E{row}", one.meaning, "soft")
    sheet.text(f"C{row}", one.unit, "soft")
    sheet.text(f"D{row}", one.source, "soft")
    cell = f"B{row}"
    if one.formula:
        sheet.formula(cell, one.formula, one.value, one.number, "input")
    elif isinstance(one.value, str):
        sheet.text(cell, one.value, one.kind)
        sheet.worksheet.data_validation(cell, {"validate": "list", "source": list(CHOICES[one.name])})
    else:
        sheet.number(cell, one.value, one.number, one.kind)
        if one.kind == "input":
            sheet.worksheet.data_validation(cell, _limits(one.name))
    book.define(one.name, "Inputs", cell)


def _limits(name: str) -> dict[str, Any]:
    """Values that a spreadsheet takes for an input: what the scenario takes for it."""
    if name == "term_years":
        return {"validate": "integer", "criteria": "between", "minimum": 1, "maximum": 40}
    if name == "dscr":
        return {"validate": "decimal", "criteria": "between", "minimum": 0.01, "maximum": 10}
    share = name.endswith("_frac") or name == "tax_rate"
    return {
        "validate": "decimal",
        "criteria": "between",
        "minimum": 0 if share else -0.99,
        "maximum": 1 if share else 10,
    }


def _schedules(book: Book, sheet: Sheet, row: int) -> None:
    """Tax depreciation by year of recovery: half-year convention, and real property by month of going into service."""
    sheet.text(f"A{row}", "Share of the basis that each tax year deducts, IRS Publication 946 (macrs)", "head")
    shares = [macrs_frac(life, month) for life, month in SCHEDULES]
    letters = [column(index - LEFT + 1) for index in range(len(SCHEDULES))]
    for letter, (life, month) in zip(letters, SCHEDULES, strict=True):
        sheet.text(
            f"{letter}{row}", f"{life} years" + (f", month {month}" if life == REAL_PROPERTY_YEARS else ""), "head"
        )
    years = len(book.months.years)
    for year in range(years):
        sheet.text(f"A{row + 1 + year}", f"year {year + 1}")
        for letter, of in zip(letters, shares, strict=True):
            sheet.number(f"{letter}{row + 1 + year}", of[year] if year < len(of) else 0.0, "factor")
    area = f"=Inputs!${letters[0]}${row + 1}:${letters[-1]}${row + years}"
    book.workbook.define_name("macrs", area)
