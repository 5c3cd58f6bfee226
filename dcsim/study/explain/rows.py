"""Where a figure of money comes from: the ledger rows that it sums, each discounted as it discounts them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dcsim.errors import UsageError
from dcsim.finance.cashflow import discount_factors_at
from dcsim.finance.ledger import OPERATING, month_number, month_numbers
from dcsim.kpi_money import AFTER_TAX, COSTS, EQUITY
from dcsim.model.scenario import Scenario
from dcsim.registry import unknown
from dcsim.runs import Run

STAGES = (
    ("build", "facility.phases and the catalog decide servers, ratings and the bill of materials", "register.parquet"),
    ("simulate", "jobs, services and failures decide who holds GPUs when", "jobs.parquet, services.parquet"),
    ("account", "weather, plant and power chain turn that into energy, water and carbon", "intervals.parquet"),
    ("cost", "quantities times prices, one row a line and month", "ledger.parquet"),
    ("finance", "depreciation, tax and debt of what those rows leave", "statement.parquet"),
    ("kpis", "sums of rows", "kpis.json"),
)


@dataclass(frozen=True)
class Rule:
    """How a figure sums the ledger: categories, sign, whether it discounts and at what, and by what it divides."""

    categories: tuple[str, ...]
    sign: float = 1.0
    discounts: bool = True
    equity: bool = False
    over: str = ""
    divisor: Callable[[Run], float] = lambda run: 1.0


def _years(run: Run) -> float:
    return float(run.scenario["plan"]["years"])


def _mw(run: Run) -> float:
    return float(sum(phase["utility_mw"] for phase in run.scenario["facility"]["phases"]))


def _sold(run: Run) -> float:
    """Present value of allocated GPU-hours, which the levelised cost divides by."""
    if run.kpis["cost_usd_per_gpu_h"]["value"] is None:
        return 1.0
    total = -float(_table(run, Rule(COSTS))["worth_usd"].sum())
    return total / float(run.kpis["cost_usd_per_gpu_h"]["value"])


RULES: dict[str, Rule] = {
    "npv_usd": Rule(OPERATING),
    "npv_after_tax_usd": Rule(AFTER_TAX),
    "npv_equity_usd": Rule(EQUITY, equity=True),
    "npv_usd_per_mw": Rule(OPERATING, over="MW of utility power", divisor=_mw),
    "capex_usd": Rule(("capex",), -1.0, discounts=False),
    "capex_usd_per_mw": Rule(("capex",), -1.0, discounts=False, over="MW of utility power", divisor=_mw),
    "opex_usd_per_year": Rule(("opex",), -1.0, discounts=False, over="years of the plan", divisor=_years),
    "cost_usd_per_gpu_h": Rule(COSTS, -1.0, over="present value of allocated GPU-hours", divisor=_sold),
}
# Rates and times are found from flows: what is explained of them is the flow.
BY_FLOW = {
    "irr_frac": "npv_usd",
    "irr_roots": "npv_usd",
    "xirr_frac": "npv_usd",
    "mirr_frac": "npv_usd",
    "payback_years": "npv_usd",
    "discounted_payback_years": "npv_usd",
    "moic": "npv_usd",
    "peak_outlay_usd": "npv_usd",
    "irr_after_tax_frac": "npv_after_tax_usd",
    "irr_equity_frac": "npv_equity_usd",
    "moic_equity": "npv_equity_usd",
    "peak_equity_usd": "npv_equity_usd",
}


def explained(run: Run, name: str) -> tuple[str, Rule] | None:
    """The figure whose rows explain *name*, and how it sums them; None where it is no sum of money.

    Raises
    ------
    UsageError
        If the run has no such figure.
    """
    if name not in run.kpis:
        raise UsageError(unknown(name, run.kpis, "key figure"))
    target = BY_FLOW.get(name, name)
    return (target, RULES[target]) if target in RULES else None


def lines(run: Run, rule: Rule) -> pd.DataFrame:
    """Rows behind a figure by category and line: how many, dollars, sources, and what they add to the figure.

    The column ``adds`` sums to the figure.
    """
    table = _table(run, rule)
    table["adds"] = rule.sign * (table["worth_usd"] if rule.discounts else table["amount_usd"]) / rule.divisor(run)
    table["line"] = table["item"].str.split(":").str[0]
    found = (
        table.groupby(["category", "line"], sort=False)
        .agg(
            rows=("adds", "size"),
            first=("month", "min"),
            last=("month", "max"),
            amount_usd=("amount_usd", "sum"),
            adds=("adds", "sum"),
            sources=("source", lambda of: ", ".join(sorted(set(of)))),
        )
        .reset_index()
    )
    return found.iloc[np.argsort(-found["adds"].abs().to_numpy(), kind="stable")].reset_index(drop=True)


def _table(run: Run, rule: Rule) -> pd.DataFrame:
    """Ledger rows of a rule with what each is worth at the valuation month."""
    finance = run.findings["finance"]
    table = run.ledger[run.ledger["category"].isin(rule.categories)].copy()
    scenario = Scenario.model_validate(run.scenario)
    stated = scenario.economics.valuation_date
    first = month_numbers([finance["first_month"]])[0]
    valued = first if stated is None else month_number(stated)
    months = month_numbers(table["month"]) - valued
    factors = discount_factors_at(months, finance["equity_rate"] if rule.equity else finance["discount_rate"])
    if scenario.economics.dollars == "real":
        factors = factors * discount_factors_at(months, finance["inflation_frac"])
    table["worth_usd"] = table["amount_usd"] * factors
    return table


def largest(run: Run, rule: Rule, line: str, n: int) -> pd.DataFrame:
    """The *n* largest single rows of a line, or of all where it is empty.

    Raises
    ------
    UsageError
        If no row is of that line.
    """
    table = run.ledger[run.ledger["category"].isin(rule.categories)]
    if line:
        of = table["item"].str.split(":").str[0]
        if line not in set(of):
            raise UsageError(unknown(line, sorted(set(of)), "line"))
        table = table[of == line]
    order = np.argsort(-table["amount_usd"].abs().to_numpy(), kind="stable")
    return table.iloc[order[:n]].reset_index(drop=True)
