"""Tables of capital, costs, years, capacity and dates: sums of rows of the ledger, the statement and the register."""

from typing import Any

import numpy as np
import pandas as pd

from dcsim.finance.ledger import month_numbers
from dcsim.runs import Run

from ..flows import gpu_hours_worth, month_of, worth_usd

# Rows of the years, as headings and columns of the statement; those with a total have one.
YEARS = (
    ("GPUs, end of year", "gpus_energised"),
    ("revenue", "revenue_usd"),
    ("operating cost", "opex_usd"),
    ("EBITDA", "ebitda_usd"),
    ("depreciation", "book_depreciation_usd"),
    ("interest", "interest_usd"),
    ("cost of the loan, spread", "finance_costs_usd"),
    ("gain on sale", "gain_on_sale_usd"),
    ("income tax", "tax_usd"),
    ("net income", "net_income_usd"),
    ("capital", "capex_usd"),
    ("sale of assets", "residual_usd"),
    ("project cash before tax", "cash_before_tax_usd"),
    ("project cash after tax", "cash_after_tax_usd"),
    ("loan drawn", "debt_drawn_usd"),
    ("debt service", "debt_service_usd"),
    ("cash to equity", "cash_to_equity_usd"),
    ("book value, end of year", "book_value_usd"),
    ("loan, end of year", "debt_balance_usd"),
)
STATES = ("gpus_energised", "book_value_usd", "debt_balance_usd")
SUMS = ("ebitda_usd", "net_income_usd", "cash_before_tax_usd", "cash_after_tax_usd", "cash_to_equity_usd")
OF_DEBT = ("interest_usd", "finance_costs_usd", "debt_drawn_usd", "debt_service_usd", "debt_balance_usd")
OF_TAX = ("tax_usd", "cash_after_tax_usd")


def asset_class(items: "pd.Series[Any]") -> "pd.Series[Any]":
    """Class of asset of each item of capital."""
    return items.str.split(":").str[0]


def cost_group(items: "pd.Series[Any]") -> "pd.Series[Any]":
    """Kind of operating cost of each item, electricity in one."""
    kind = items.str.replace(r"[:,].*", "", regex=True)
    return kind.where(~kind.str.startswith("electricity"), "electricity")


def utility_mw(run: Run) -> float:
    """Utility power of all phases. [MW]"""
    return float(sum(phase["utility_mw"] for phase in run.scenario["facility"]["phases"]))


def gpus(run: Run) -> float:
    """GPUs at the end of the plan."""
    return float(run.kpis["gpus_installed"]["value"])


def sources_and_uses(run: Run) -> dict[str, Any]:
    """Where money comes from and goes to until the plan is built: ledger rows before the first payment of the loan.

    Without a loan, until the last phase is energised. Equity is what remains, the sum of all rows.
    """
    loan = run.findings["finance"]["loan"]
    energised = max(month_of(phase["energised"]) for phase in run.findings["phases"])
    until = month_of(loan["first_payment"]) if loan else energised + 1
    table = run.ledger[month_numbers(run.ledger["month"]) < until]
    amounts = table["amount_usd"]
    uses: dict[str, float] = {}
    capital = table["category"] == "capex"
    for name, of in (-amounts[capital]).groupby(asset_class(table.loc[capital, "item"]), sort=False).sum().items():
        uses[f"{name}"] = float(of)
    uses["operating cost"] = -float(amounts[table["category"] == "opex"].sum())
    uses["income tax"] = -float(amounts[table["category"] == "tax"].sum())
    debt = table[table["category"] == "debt"]
    for item in ("interest during construction", "arrangement fee", "interest", "principal"):
        uses[item] = -float(debt.loc[debt["item"] == item, "amount_usd"].sum())
    found = {
        "loan, for capital": float(debt.loc[debt["item"] == "loan drawn for capital", "amount_usd"].sum()),
        "loan, for interest during construction": float(
            debt.loc[debt["item"] == "loan drawn for interest during construction", "amount_usd"].sum()
        ),
        "tax saved by interest": float(debt.loc[debt["item"].str.startswith("income tax"), "amount_usd"].sum()),
        "revenue": float(amounts[table["category"] == "revenue"].sum()),
        "sale of assets": float(amounts[table["category"] == "residual"].sum()),
        "equity": -float(amounts.sum()),
    }
    return {
        "until": f"{(until - 1) // 12:04d}-{(until - 1) % 12 + 1:02d}",
        "uses": {name: of for name, of in uses.items() if abs(of) > 0.5},
        "sources": {name: of for name, of in found.items() if abs(of) > 0.5},
        "total_uses": sum(uses.values()),
        "total_sources": sum(found.values()),
    }


def capital_by_class(run: Run) -> dict[str, Any]:
    """Capital by class and phase, replacements included, with what each class is a megawatt and a GPU."""
    capex = run.ledger[run.ledger["category"] == "capex"]
    if capex.empty:
        return {"phases": [], "rows": [], "total": None}
    table = (-capex["amount_usd"]).groupby([asset_class(capex["item"]), capex["phase"]]).sum().unstack(fill_value=0)
    table = table.loc[table.sum(axis=1).sort_values(ascending=False).index]
    total = float(table.to_numpy().sum())
    mw, n = utility_mw(run), gpus(run)

    def row(name: str, of: "pd.Series[Any]") -> dict[str, Any]:
        usd = float(of.sum())
        return {
            "name": name,
            "phases": of.to_list(),
            "usd": usd,
            "share": usd / total,
            "per_mw": usd / mw,
            "per_gpu": usd / n if n else None,
        }

    rows = [row(str(name), of) for name, of in table.iterrows()]
    return {"phases": [str(name) for name in table.columns], "rows": rows, "total": row("all", table.sum())}


def components(run: Run) -> pd.DataFrame:
    """Cost by component: columns kind, group, usd, worth_usd; the worth sums to that of the levelised cost."""
    table = run.ledger[run.ledger["category"].isin(("capex", "opex", "residual"))].copy()
    table["worth_usd"] = -worth_usd(run, table)
    of_assets = table["category"] != "opex"
    table["group"] = cost_group(table["item"]).where(~of_assets, asset_class(table["item"]))
    table["usd"] = -table["amount_usd"]
    table["kind"] = np.where(of_assets, "capital less residual value", "operating cost")
    found = table.groupby(["kind", "group"], sort=False)[["usd", "worth_usd"]].sum().reset_index()
    return found.sort_values(["kind", "worth_usd"], ascending=[True, False], kind="stable").reset_index(drop=True)


def unit_costs(run: Run) -> dict[str, Any]:
    """Cost build-up: present value a megawatt, a GPU and a GPU-hour, by component."""
    found = components(run)
    hours, mw, n = gpu_hours_worth(run), utility_mw(run), gpus(run)

    def row(name: str, kind: str, worth: float) -> dict[str, Any]:
        return {
            "name": name,
            "kind": kind,
            "per_mw": worth / mw,
            "per_gpu": worth / n if n else None,
            "per_gpu_h": worth / hours if hours > 0 else None,
        }

    rows = [row(str(one["group"]), str(one["kind"]), float(one["worth_usd"])) for one in found.to_dict("records")]
    return {"rows": rows, "total": row("all", "", float(found["worth_usd"].sum()))}


def annual(run: Run) -> dict[str, Any]:
    """The statement by calendar year, in dollars."""
    table = run.statement
    years = table["month"].str[:4]
    finance = run.findings["finance"]
    rows = []
    for heading, name in YEARS:
        if (name in OF_DEBT and not finance["loan"]) or (name in OF_TAX and not finance["tax"]):
            continue
        by_year = table[name].groupby(years)
        state = name in STATES
        values = (by_year.last() if state else by_year.sum()).to_list()
        rows.append(
            {
                "heading": heading,
                "values": values,
                "total": None if state else float(table[name].sum()),
                "gpus": name == "gpus_energised",
                "sum": name in SUMS,
            }
        )
    return {"years": sorted(set(years)), "rows": rows}


def capacity(run: Run) -> list[dict[str, Any]]:
    """What each phase adds, and what binds it."""
    before = {"gpus": 0.0, "design_it_mw": 0.0, "design_facility_mw": 0.0}
    rows = []
    for phase in run.findings["phases"]:
        added = {name: phase[name] - of for name, of in before.items()}
        before = {name: phase[name] for name in before}
        second = sorted(limit["servers"] for limit in phase["limits"])
        slack = None if len(second) < 2 or not second[0] else second[1] / second[0] - 1.0
        rows.append({**phase, **{f"added_{name}": of for name, of in added.items()}, "next_limit_frac": slack})
    return rows


def schedule(run: Run) -> list[dict[str, Any]]:
    """Dates of each phase, and how long its hardware lies idle."""
    rows = []
    for phase in run.findings["schedule"]["phases"]:
        idle = month_of(phase["energised"]) - month_of(phase["hardware_delivered"])
        built = month_of(phase["energised"]) - month_of(phase["construction_delivered"])
        rows.append({**phase, "idle_months": idle, "built_months": built})
    return rows
