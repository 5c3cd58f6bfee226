"""Tidy tables of an uncertainty study, as dcsim.study.uncertainty.folder declares them."""

from typing import Any

import numpy as np
import pandas as pd

from dcsim.finance.ledger import month_name
from dcsim.kpi import KPIS
from dcsim.study.figures.evaluate import Evaluated
from dcsim.study.uncertainty import statistics
from dcsim.study.uncertainty.asked import Side
from dcsim.study.uncertainty.study import Found

BANDS = {"p10": 0.10, "p50": 0.50, "p90": 0.90}


def tables(found: Found) -> dict[str, pd.DataFrame]:
    """Every table by its name; those of what was not asked for are empty."""
    pairs = list(zip(found.asked.sides, found.draws, strict=True))
    spider = pd.DataFrame(columns=["input", "change_frac", "value", "result"])
    heat = pd.DataFrame(columns=["first_value", "second_value", "value"])
    sobol = pd.DataFrame(columns=["input", "first_frac", "first_error", "total_frac", "total_error"])
    return {
        "draws": pd.concat([_draws(*pair) for pair in pairs], ignore_index=True),
        "percentiles": _percentiles(found),
        "convergence": pd.concat([_convergence(found, index) for index in range(len(pairs))], ignore_index=True),
        "tornado": _tornado(found),
        "spider": spider if found.spider is None else found.spider.rows,
        "heat": heat if found.heat is None else found.heat.table,
        "sobol": sobol if found.sobol is None else found.sobol,
        "cash": pd.concat([_cash(*pair) for pair in pairs], ignore_index=True),
        "monthly": pd.concat([_monthly(*pair) for pair in pairs], ignore_index=True),
    }


def _draws(side: Side, of: Evaluated) -> pd.DataFrame:
    """One row a draw: its inputs as tables show them, and its key figures."""
    columns: dict[str, Any] = {"side": side.name, "draw": np.arange(1, len(next(iter(of.figures.values()))) + 1)}
    for one in side.inputs:
        column = side.columns[one.name]
        labels = {number: one.label(number) for number in np.unique(column).tolist()} if one.values else {}
        columns[one.name] = [labels[number] for number in column.tolist()] if labels else column
    return pd.DataFrame(columns | of.figures)


def _percentiles(found: Found) -> pd.DataFrame:
    """One row a side and key figure; figures that are undefined in all draws but one are left out."""
    rows = []
    for side, of in zip(found.asked.sides, found.draws, strict=True):
        for name, values in of.figures.items():
            if (~np.isnan(values)).sum() < 2:
                continue
            one = statistics.summary(values)
            ends = {f"{key}_{end}": one.bounds[key][i] for key in one.bounds for i, end in enumerate(("low", "high"))}
            rows.append(
                {
                    "side": side.name,
                    "kpi": name,
                    "unit": KPIS[name].unit,
                    "single": found.single[name] if side is found.asked.base else np.nan,
                    "draws": one.n,
                    "undefined": one.n_undefined,
                    "mean": one.mean,
                    "sd": one.sd,
                    **one.percentiles,
                    **ends,
                    "reason": of.reasons.get(name, "") if one.n_undefined else "",
                }
            )
    return pd.DataFrame(rows)


def _convergence(found: Found, index: int) -> pd.DataFrame:
    table = statistics.convergence(found.draws[index].figures[found.asked.figure])
    table.insert(0, "side", found.asked.sides[index].name)
    return table


def _tornado(found: Found) -> pd.DataFrame:
    """One row a key figure and input, with the values of the input as tables show them."""
    by_name = {of.name: of for of in found.asked.base.inputs}
    rows = []
    for name, one in found.tornado.items():
        for row in one.rows.to_dict("records"):
            of = by_name[str(row["input"])]
            stated: dict[str, Any] = {"kpi": name, "unit": KPIS[name].unit, "base": one.base}
            stated |= {str(key): value for key, value in row.items()}
            stated |= {key: _shown(of.label(row[key])) for key in ("low_value", "high_value")}
            rows.append(stated)
    columns = ["kpi", "unit", "base", "input", "low_value", "high_value", "at_low", "at_high", "swing"]
    return pd.DataFrame(rows, columns=columns)


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _months(side: Side, of: Evaluated) -> list[str]:
    return [month_name(of.first_month + i) for i in range(of.flows_usd.shape[1])]


def _cash(side: Side, of: Evaluated) -> pd.DataFrame:
    """Cumulative project cash flow before tax by month: percentiles over the draws."""
    total = np.cumsum(of.flows_usd, axis=1)
    bands = {f"cumulative_{name}_usd": np.quantile(total, share, axis=0) for name, share in BANDS.items()}
    return pd.DataFrame({"side": side.name, "month": _months(side, of), "mean_usd": of.flows_usd.mean(axis=0), **bands})


def _monthly(side: Side, of: Evaluated) -> pd.DataFrame:
    """Project cash flow before tax of every draw by month."""
    n, n_months = of.flows_usd.shape
    return pd.DataFrame(
        {
            "side": side.name,
            "draw": np.repeat(np.arange(1, n + 1), n_months),
            "month": np.tile(np.array(_months(side, of), dtype=object), n),
            "net_cash_usd": of.flows_usd.ravel(),
        }
    )
