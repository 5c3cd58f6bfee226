"""Every key figure of money by formula, beside what the run says and what has changed since."""

from collections.abc import Sequence

from dcsim.finance.cashflow import irr
from dcsim.kpi_money import MONEY
from dcsim.runs import Run

from .assets import column_of
from .book import Book, Sheet
from .lines import Line
from .rates import COUNT, NEWTON, RATE, STEPS
from .returns import Worth

TOP = 5
FORMATS = {"USD": "usd", "1/year": "rate", "USD/year": "usd", "USD/MW": "usd", "GPU": "count", "GPU/MW": "count"}
# Figures of one digit of dollars and of pure numbers.
SMALL = {"cost_usd_per_gpu_h": "ratio", "cost_usd_per_pflop_day": "ratio", "irr_roots": ""}
# What a formula says where its figure has no value, by figure; rates of return say how many there are.
UNDEFINED = {
    "mirr_frac": "undefined: no change of sign",
    "payback_years": "undefined: not within the plan",
    "discounted_payback_years": "undefined: not within the plan",
    "moic": "undefined: nothing is paid in",
    "moic_equity": "undefined: nothing is paid in",
    "lost_contribution_usd": "undefined: no GPU is energised",
    "cost_usd_per_gpu_h": "undefined: no GPU time is held",
    "cost_usd_per_pflop_day": "undefined: no GPU time is held",
    "llcr": "undefined: nothing is owed",
    "dscr_min": "undefined: no payment in the plan",
    "dscr_mean": "undefined: no payment in the plan",
}
RATES = {"irr_frac": "project", "xirr_frac": "project", "irr_after_tax_frac": "after_tax", "irr_equity_frac": "equity"}


def write(book: Book, run: Run, lines: Sequence[Line], found: Worth) -> None:
    """Fill the sheet of the summary, which was added first so that it is seen first."""
    sheet = book.sheets["Summary"]
    sheet.text("A2", run.scenario["description"], "soft")
    sheet.text(
        "A3", "Change the cells of the sheet Inputs that are yellow: all figures follow. Amounts in USD.", "soft"
    )
    sheet.head(TOP - 1, ("figure", "value", "unit", "as the run has it", "changed by", "definition"))
    formulas = key_figures(book, run, lines, found)
    for index, (name, kpi) in enumerate(MONEY.items()):
        row = TOP + index
        sheet.text(f"A{row}", name)
        sheet.text(f"C{row}", kpi.unit, "soft")
        sheet.text(f"F{row}", kpi.definition, "soft")
        known = run.kpis[name]
        number = SMALL.get(name, FORMATS.get(kpi.unit, "ratio"))
        if name not in formulas:
            sheet.text(f"B{row}", "undefined")
            sheet.text(f"D{row}", f"undefined: {known.get('reason', '')}", "soft")
            continue
        value = known["value"]
        # Where a figure is undefined by its numbers, its formula says so in words of its own.
        said = _undefined(name, found) if value is None else value
        sheet.formula(f"B{row}", f"={formulas[name]}", said, number, "key")
        if value is None:
            sheet.text(f"D{row}", f"undefined: {known['reason']}", "soft")
        else:
            sheet.number(f"D{row}", value, number)
            sheet.formula(f"E{row}", f'=IF(ISNUMBER(B{row}),B{row}-D{row},"")', 0.0, number, "soft")
        book.define(name, "Summary", f"B{row}")
    row = TOP + len(MONEY) + 1
    sheet.text(f"A{row}", "Checks")
    sheet.formula(f"B{row}", "=Checks!C3", "all hold", "", "key")
    sheet.layout((30, 28, 10, 18, 16, 90), freeze=(TOP - 1, 1), months=None)


def _undefined(name: str, found: Worth) -> str:
    if name in UNDEFINED:
        return UNDEFINED[name]
    return f"undefined: {len(irr(found.flows[RATES[name]][found.start :]).roots)} rates"


def key_figures(book: Book, run: Run, lines: Sequence[Line], found: Worth) -> dict[str, str]:
    """Formula of each figure that the scenario defines."""
    figures = _always(book, run, lines)
    if run.scenario["economics"]["revenue"]["kind"] == "none":
        return figures
    returns = book.sheets["Returns"]
    figures |= _project(book, returns, found)
    finance = run.findings["finance"]
    if finance["tax"]:
        figures |= {
            "npv_after_tax_usd": f"SUM({returns.span('after_tax_pv')})",
            "irr_after_tax_frac": f"Rates!C{RATE}",
        }
    if finance["tax"] or run.scenario["economics"]["debt"]:
        figures |= {
            "npv_equity_usd": f"SUM({returns.span('equity_pv')})",
            "irr_equity_frac": f"Rates!D{RATE}",
            "moic_equity": _multiple(returns, "equity", "moic_equity"),
            "peak_equity_usd": f"MAX(0,-MIN({returns.span('equity_nominal_sum')}))",
        }
    return figures


def _unless(name: str, undefined: str, formula: str) -> str:
    """A figure, or what is said in its place where it has no value."""
    return f'IF({undefined},"{UNDEFINED[name]}",{formula})'


def _multiple(returns: Sheet, word: str, name: str) -> str:
    flow = returns.span(word)
    paid, back = (f'SUMIF({flow},"{sign}0")' for sign in "<>")
    return _unless(name, f"{paid}=0", f"{back}/-{paid}")


def _project(book: Book, returns: Sheet, found: Worth) -> dict[str, str]:
    """Figures of the flow before tax and debt."""
    statement = book.sheets["Statement"]
    months = book.months.n - found.start
    flow = returns.span("project", start=found.start)

    def payback(word: str, name: str) -> str:
        gone = f"MAX({returns.span(word)})"
        return _unless(name, f"{gone}={months}", f"{gone}/12")

    first_year = returns.span("first_year")
    earned = f"SUMPRODUCT({first_year},{statement.span('ebitda_usd')})"
    stood = f"SUMPRODUCT({first_year},{statement.span('gpus_energised')})"
    waited = f"SUM({column_of(book, 'gpu_months')})"
    monthly = "(1+discount_rate)^(1/12)-1"
    modified = f"(1+MIRR({flow},{monthly},{monthly}))^12-1"
    return {
        "npv_usd": f"SUM({returns.span('project_pv')})",
        "irr_frac": f"Rates!B{RATE}",
        "irr_roots": f"Rates!B{COUNT}",
        "xirr_frac": f"IF(Rates!B{COUNT}=1,Rates!B{NEWTON + STEPS},Rates!B{RATE})",
        "mirr_frac": _unless("mirr_frac", f"OR(MIN({flow})>=0,MAX({flow})<=0)", modified),
        "payback_years": payback("project_sum_below", "payback_years"),
        "discounted_payback_years": payback("project_pv_sum_below", "discounted_payback_years"),
        "moic": _multiple(returns, "project", "moic"),
        "npv_usd_per_mw": "npv_usd/utility_mw",
        "lost_contribution_usd": _unless("lost_contribution_usd", f"{stood}=0", f"{waited}*{earned}/{stood}"),
    }


def _always(book: Book, run: Run, lines: Sequence[Line]) -> dict[str, str]:
    """Figures that need no revenue."""
    statement, returns = book.sheets["Statement"], book.sheets["Returns"]
    bottom = 3 + max(len(lines), 1)

    def over(word: str, name: str) -> str:
        work = f"SUM({returns.span(word)})"
        return _unless(name, f"{work}=0", f"SUM({returns.span('costs_pv')})/{work}")

    figures = {
        "capex_usd": f"-SUM({statement.span('capex_usd')})",
        "opex_usd_per_year": f"-SUM({statement.span('opex_usd')})/plan_years",
        "peak_outlay_usd": f"MAX(0,-MIN({returns.span('nominal_sum')}))",
        "cost_usd_per_gpu_h": over("hours_pv", "cost_usd_per_gpu_h"),
        "cost_usd_per_pflop_day": over("pflop_days_pv", "cost_usd_per_pflop_day"),
        "capex_usd_per_mw": "capex_usd/utility_mw",
        "gpus_per_utility_mw": "installed_gpus/utility_mw",
        "gpus_lost_to_overhead": "installed_gpus*(design_pue-1)",
        "idle_hardware_usd": f"SUM({column_of(book, 'idle')})",
    }
    if run.kpis["overhead_energy_usd_per_year"]["value"] is not None:
        category, item, total = (f"Cash!${letter}$4:${letter}${bottom}" for letter in "BCE")
        bill = f'SUMPRODUCT((LEFT({item},11)="electricity")*({category}="opex")*{total})'
        figures["overhead_energy_usd_per_year"] = f"-{bill}*(1-it_energy_mwh/facility_energy_mwh)/plan_years"
    if run.findings["finance"]["loan"]:
        figures |= _loan(book)
    return figures


def _loan(book: Book) -> dict[str, str]:
    """Size and cover of the loan."""
    debt, statement = book.sheets["Debt"], book.sheets["Statement"]
    cover = debt.span("cover", len(book.months.years))
    none = f"COUNT({cover})=0"
    owed, worth = (
        f"Debt!C{debt.rows['owed']}",
        f"SUMPRODUCT({debt.span('worth')},{statement.span('cash_for_debt_usd')})",
    )
    return {
        "loan_usd": f"SUM({debt.span('drawn')})",
        "idc_usd": f"SUM({debt.span('capitalised')})",
        "dscr_min": _unless("dscr_min", none, f"MIN({cover})"),
        "dscr_mean": _unless("dscr_mean", none, f"AVERAGE({cover})"),
        "llcr": _unless("llcr", f"{owed}=0", f"{worth}/{owed}"),
    }
