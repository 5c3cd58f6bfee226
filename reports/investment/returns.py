"""Returns with and without debt, the loan by year, and what the plan is worth a unit of what it makes."""

from typing import Any

import numpy as np

from dcsim.runs import Run

from .tables import utility_mw

# Figures of each flow: before tax, after tax, to equity.
RETURNS = (
    ("net present value", ("npv_usd", "npv_after_tax_usd", "npv_equity_usd"), 1e-6, "M USD"),
    ("internal rate of return", ("irr_frac", "irr_after_tax_frac", "irr_equity_frac"), 100.0, "% a year"),
    ("XIRR, by the last day of each month", ("xirr_frac", None, None), 100.0, "% a year"),
    ("modified rate of return", ("mirr_frac", None, None), 100.0, "% a year"),
    ("multiple on what is paid in", ("moic", None, "moic_equity"), 1.0, ""),
    ("deepest point of cumulated cash", ("peak_outlay_usd", None, "peak_equity_usd"), 1e-6, "M USD"),
    ("payback", ("payback_years", None, None), 1.0, "years"),
    ("payback, discounted", ("discounted_payback_years", None, None), 1.0, "years"),
)
VALUE = (
    ("cost_usd_per_gpu_h", "GPU-hour held by jobs and services"),
    ("cost_usd_per_pflop_day", "day of an effective PFLOP/s"),
    ("cost_usd_per_million_tokens", "million tokens of answers"),
    ("capex_usd_per_mw", "capital a MW of utility power"),
    ("npv_usd_per_mw", "net present value a MW of utility power"),
    ("gpus_per_utility_mw", "GPUs a MW of utility power"),
    ("gpus_lost_to_overhead", "PUE as capacity: GPUs that its overhead displaces"),
    ("overhead_energy_usd_per_year", "PUE as energy: bill of its overhead"),
    ("idle_hardware_usd", "hardware that waits for power: interest and lost market value"),
    ("lost_contribution_usd", "contribution that waiting GPUs would have earned"),
)
# A plan of gigawatts is read by the gigawatt.
PER_GW = ("capex_usd_per_mw", "npv_usd_per_mw", "gpus_per_utility_mw")


def returns(run: Run) -> list[dict[str, Any]]:
    """Rows of returns; a cell is a value, or the reason why there is none."""
    rows = []
    for heading, names, factor, unit in RETURNS:
        cells = []
        for name in names:
            if name is None:
                cells.append({"value": None, "reason": ""})
                continue
            of = run.kpis[name]
            value = None if of["value"] is None else of["value"] * factor
            cells.append({"value": value, "reason": of.get("reason", ""), "definition": of["definition"]})
        rows.append({"heading": heading, "cells": cells, "unit": unit})
    return rows


def value(run: Run) -> list[dict[str, Any]]:
    """What the plan costs and is worth a unit."""
    rows = []
    for name, heading in VALUE:
        of = run.kpis[name]
        if of["value"] is None and name == "cost_usd_per_million_tokens":
            continue
        rows.append({"heading": heading, "name": name, **of})
        if name in PER_GW and of["value"] is not None and utility_mw(run) > 0:
            unit = of["unit"].replace("/MW", "/GW")
            rows.append(
                {**rows[-1], "heading": heading.replace(" a MW ", " a GW "), "value": 1e3 * of["value"], "unit": unit}
            )
    return rows


def debt_by_year(run: Run) -> dict[str, Any] | None:
    """The loan by calendar year with its cover; None without one."""
    loan = run.findings["finance"]["loan"]
    if not loan:
        return None
    table = run.statement.assign(year=run.statement["month"].str[:4])
    ledger = run.ledger[run.ledger["category"] == "debt"]
    by_item = ledger["amount_usd"].abs().groupby([ledger["item"], ledger["month"].str[:4]]).sum()
    # As dscr_min counts: months of scheduled payments alone.
    paying = (table["month"] >= loan["first_payment"]) & (table["debt_service_usd"] < 0)
    rows = []
    for year, of in table.groupby("year"):
        paid = of[paying[of.index]]
        service = -float(paid["debt_service_usd"].sum())
        rows.append(
            {
                "year": year,
                "drawn": float(by_item.get(("loan drawn for capital", year), 0.0)),
                "capitalised": float(by_item.get(("interest during construction", year), 0.0)),
                "interest": float(by_item.get(("interest", year), 0.0)),
                "principal": float(by_item.get(("principal", year), 0.0)),
                "balloon": float(by_item.get(("balance repaid at the end", year), 0.0)),
                "balance": float(of["debt_balance_usd"].iloc[-1]),
                "cash": float(paid["cash_for_debt_usd"].sum()) if service else None,
                "cover": float(paid["cash_for_debt_usd"].sum()) / service if service else None,
            }
        )
    covers = [row["cover"] for row in rows if row["cover"] is not None]
    n, misses = len(covers), int(np.sum(np.array(covers) < loan["dscr"] * (1 - 1e-9)))
    return {
        **loan,
        "rows": rows,
        "misses": misses,
        "kept_in": "its only year" if n == 1 else f"all {n} years",
        "missed_in": "its only year" if n == 1 else f"{misses} of {n} years",
    }
