"""The recommendation: rules that anyone can check, what is asked for, what could go wrong, and on what it depends."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dcsim.runs import Run

from ..flows import worth_usd
from ..page import number
from ..run_report import assumptions

# Tables of the catalog whose values are prices, rates or shares of money.
OF_MONEY = (
    "prices",
    "operations",
    "tariffs",
    "taxes",
    "asset_classes",
    "servers",
    "switches",
    "optics",
    "price_indices",
)
UNITS = ("1", "1/year", "year", "month", "FTE", "h/year")
N_RISKS = 8


@dataclass(frozen=True)
class Rule:
    """What the plan must keep, what it has, and whether that is enough; None where it cannot be said."""

    what: str
    needs: str
    has: str
    met: bool | None


def _value(run: Run, name: str) -> float | None:
    value: float | None = run.kpis[name]["value"]
    return value


def _money(value: float | None) -> str:
    return "undefined" if value is None else f"{number(value)} USD"


def _rate(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f} % a year"


def rules(run: Run) -> list[Rule]:
    """Rules of the verdict; those of tax and debt where the scenario states them."""
    finance = run.findings["finance"]
    discount, equity = finance["discount_rate"], finance["equity_rate"]
    name = "npv_after_tax_usd" if finance["tax"] else "npv_usd"
    after = " after tax" if finance["tax"] else ""
    npv, npv_equity, payback = (_value(run, of) for of in (name, "npv_equity_usd", "payback_years"))
    dollars = run.scenario["economics"]["dollars"]
    found = [
        Rule(
            f"net present value{after} in {dollars} dollars at {discount:.1%} a year",
            "above 0",
            _money(npv),
            None if npv is None else npv > 0,
        ),
        Rule(
            "payback, undiscounted",
            "before the plan ends",
            "not within the plan" if payback is None else f"{payback:.1f} years from the first payment",
            payback is not None,
        ),
    ]
    if finance["loan"]:
        least = _value(run, "dscr_min")
        found.append(
            Rule(
                "least debt service cover of a year",
                f"at least {finance['loan']['dscr']:g}",
                "undefined" if least is None else f"{least:.2f}",
                None if least is None else least >= finance["loan"]["dscr"] * (1 - 1e-9),
            )
        )
    if npv_equity is not None:
        text = f"net present value to equity at {equity:.1%} a year"
        found.append(Rule(text, "above 0", _money(npv_equity), npv_equity > 0))
    return found


def verdict(run: Run) -> dict[str, Any]:
    """The verdict, in a word and a sentence, and its rules."""
    if run.scenario["economics"]["revenue"]["kind"] == "none":
        cost = _value(run, "cost_usd_per_gpu_h")
        said = "undefined" if cost is None else f"{cost:.2f} USD"
        return {
            "word": "no verdict",
            "sentence": f"The scenario states no revenue: only costs can be judged. A GPU-hour costs {said}.",
            "rules": [],
        }
    found = rules(run)
    missed = [rule for rule in found if not rule.met]
    if not missed:
        count = f"all {len(found)} rules"
        return {"word": "invest", "sentence": f"The plan keeps {count}.", "rules": found}
    what = "; ".join(f"{rule.what}: {rule.has}" for rule in missed)
    return {
        "word": "do not invest as planned",
        "sentence": f"The plan misses {len(missed)} of {len(found)} rules. {what[:1].upper() + what[1:]}.",
        "rules": found,
    }


def ask(run: Run) -> list[dict[str, Any]]:
    """What is asked for and what comes back: cards."""
    finance = run.findings["finance"]
    cards = [("capex_usd", "capital", 1e-6, "M USD")]
    if finance["loan"]:
        cards += [("peak_equity_usd", "equity at its peak", 1e-6, "M USD"), ("loan_usd", "loan", 1e-6, "M USD")]
    else:
        cards.append(("peak_outlay_usd", "outlay at its peak", 1e-6, "M USD"))
    cards += [("npv_usd", "NPV before tax", 1e-6, "M USD"), ("irr_frac", "IRR before tax", 100.0, "% a year")]
    if finance["tax"]:
        cards += [
            ("npv_after_tax_usd", "NPV after tax", 1e-6, "M USD"),
            ("irr_after_tax_frac", "IRR after tax", 100.0, "% a year"),
        ]
    if finance["tax"] or finance["loan"]:
        cards += [
            ("npv_equity_usd", "NPV to equity", 1e-6, "M USD"),
            ("irr_equity_frac", "IRR to equity", 100.0, "% a year"),
        ]
    if finance["loan"]:
        cards.append(("dscr_min", f"least cover; covenant {finance['loan']['dscr']:g}", 1.0, ""))
    cards += [("payback_years", "payback", 1.0, "years"), ("cost_usd_per_gpu_h", "cost of a GPU-hour", 1.0, "USD")]
    found = []
    for name, heading, factor, unit in cards:
        of = run.kpis[name]
        value = None if of["value"] is None else of["value"] * factor + 0.0
        reason = of.get("reason", "")
        found.append(
            {"heading": heading, "value": value, "unit": unit, "definition": of["definition"], "reason": reason}
        )
    return found


def risks(run: Run) -> list[dict[str, Any]]:
    """Largest lines of the ledger by present value, and whether their price is a guess."""
    table = run.ledger[run.ledger["category"].isin(("capex", "opex", "revenue", "residual"))].copy()
    table["worth_usd"] = worth_usd(run, table)
    table["line"] = table["item"].str.replace(r" \(replacement\)$", "", regex=True)
    found = (
        table.groupby(["category", "line"], sort=False)
        .agg(
            worth_usd=("worth_usd", "sum"),
            source=("source", lambda of: ", ".join(sorted(set(of)))),
            index=("index", lambda of: ", ".join(sorted({one for one in of if one}))),
        )
        .reset_index()
    )
    order = np.argsort(-found["worth_usd"].abs().to_numpy(), kind="stable")[:N_RISKS]
    rates = {name: rate + 0.0 for name, rate in run.findings["finance"]["indices"].items()}
    rows = []
    for one in found.iloc[order].to_dict("records"):
        grows = [
            f"{rates[name]:+.1%} a year" if rates[name] else "not" for name in str(one["index"]).split(", ") if name
        ]
        known = {str(name): value for name, value in one.items()}
        rows.append({**known, "grows": ", ".join(grows) or "not indexed", "guess": "assumption" in str(one["source"])})
    return rows


def guesses(run: Run) -> list[dict[str, Any]]:
    """Judgement about money with the widest range for its value."""
    rows = []
    for row in assumptions(run):
        of_money = row["table"] in OF_MONEY and ("USD" in row["unit"] or row["unit"] in UNITS)
        if not row["guess"] or not of_money or pd.isna(row["low"]) or not row["value"]:
            continue
        if row["high"] > row["low"]:
            rows.append({**row, "spread": (row["high"] - row["low"]) / abs(row["value"])})
    return sorted(rows, key=lambda row: -row["spread"])[:N_RISKS]


def conditions(run: Run) -> list[str]:
    """What must hold for the answer to hold."""
    said = []
    for phase in run.findings["schedule"]["phases"]:
        cause = phase["waits_for"]
        why = "as stated" if cause == "its stated date" else f"for which it waits for {cause}"
        said.append(f"{phase['name']} has power on {phase['energised']}, {why}.")
    said += [
        f"{phase['name']} is bound by {phase['binding']}: {phase['gpus']:,.0f} GPUs stand with it."
        for phase in run.findings["phases"]
    ]
    said += _sales(run)
    loan = run.findings["finance"]["loan"]
    if loan:
        said.append(
            f"A lender gives {loan['drawn_usd'] / 1e6:,.1f} M USD at {loan['rate_frac']:.2%} a year, limited by "
            f"{loan['limited_by']}, and asks for a cover of {loan['dscr']:g}."
        )
    return [*said, *(note[:1].upper() + note[1:] + "." for note in run.findings["notes"])]


def _sales(run: Run) -> list[str]:
    """Who pays for the GPU-hours."""
    stated = run.scenario["economics"]["revenue"]
    held = run.kpis["gpu_allocated_frac"]["value"]
    share = "" if held is None else f" of the {held:.0%} of GPU time that is held"
    if stated["kind"] == "internal":
        return [f"Departments pay {stated['usd_per_gpu_h']:g} USD a GPU-hour for {stated['sold_frac']:.0%}{share}."]
    if stated["kind"] != "rental":
        return []
    said = [f"Customers pay the price path {stated['price_path']} for {stated['sold_frac']:.0%}{share}."]
    if stated["take_or_pay_frac"]:
        said.append(f"They pay for {stated['take_or_pay_frac']:.0%} of the energised GPU-hours, held or not.")
    return said
