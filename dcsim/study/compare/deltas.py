"""What differs between the base and an alternative: key figures, ledger lines, and the bridge between two values."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.errors import DcsimError
from dcsim.finance.ledger import CATEGORIES, month_number, month_numbers
from dcsim.kpi_money import COSTS
from dcsim.model.scenario import Scenario
from dcsim.runs import Run
from dcsim.study.compare.asked import Key
from dcsim.study.compare.paired import Paired, difference
from dcsim.study.explain.rows import RULES, Rule, lines

Floats = NDArray[np.float64]

EVERY = Rule(CATEGORIES)
WORTH_OF_COSTS = "cost_worth_usd"
# Figures that may decide, as a sentence calls them.
BRIDGED = {"npv_usd": "NPV", "npv_after_tax_usd": "NPV after tax", "npv_equity_usd": "NPV to equity"}


@dataclass(frozen=True)
class Money:
    """The figure of money that decides, how it sums the ledger, and why it is not the one asked for."""

    name: str
    meaning: str
    rule: Rule
    reason: str = ""

    @property
    def short(self) -> str:
        """As a sentence calls it."""
        return BRIDGED.get(self.name, "worth of costs")

    def of(self, run: Run) -> float:
        """Its value in a run. [USD]"""
        if self.name in run.kpis:
            return float(run.kpis[self.name]["value"])
        return float(lines(run, self.rule)["adds"].sum())


def money(found: Paired, name: str) -> Money:
    """The figure *name*; where a run leaves it undefined, the present value of costs, which every run has."""
    for (side, _), cell in found.cells.items():
        for run in cell:
            if run.kpis[name]["value"] is None:
                reason = f"{name} is undefined of {side}: {run.kpis[name]['reason']}"
                meaning = "present value of capital and operating cost less residual value, costs negative"
                return Money(WORTH_OF_COSTS, meaning, Rule(COSTS), reason)
    some = next(iter(found.cells.values()))[0]
    return Money(name, some.kpis[name]["definition"], RULES[name])


def values(found: Paired, of: Money) -> dict[tuple[str, str], Floats]:
    """The figure of money by alternative and world, shape (n_seeds,) each. [USD]"""
    return {key: np.array([of.of(run) for run in cell]) for key, cell in found.cells.items()}


def capacity_months(found: Paired, key: tuple[str, str]) -> float:
    """Months from the base's start until the last phase has power, mean of the seeds; 0 where it has it then."""
    start = Scenario.model_validate(found.cells[found.base, key[1]][0].scenario).plan.start
    last = [max(phase["energised"] for phase in run.findings["schedule"]["phases"]) for run in found.cells[key]]
    return float(np.mean(np.maximum(month_numbers(day[:7] for day in last) - month_number(start), 0)))


def kpi_rows(found: Paired, name: str, world: str) -> list[dict[str, object]]:
    """Every key figure of an alternative against the base in a world: difference, errors, reason where undefined."""
    base, other = found.cells[found.base, world], found.cells[name, world]
    rows: list[dict[str, object]] = []
    for kpi, first in base[0].kpis.items():
        reasons: dict[str, list[str]] = {}
        for side, cell in ((found.base, base), (name, other)):
            for reason in dict.fromkeys(run.kpis[kpi]["reason"] for run in cell if run.kpis[kpi]["value"] is None):
                reasons.setdefault(reason, []).append(side)
        row: dict[str, object] = {"world": world, "alternative": name, "kpi": kpi, "unit": first["unit"]}
        for column, cell in (("base", base), ("value", other)):
            known = [run.kpis[kpi]["value"] for run in cell]
            row[column] = None if None in known else float(np.mean(known))
        row |= {"delta": None, "n_seeds": len(base)}
        if reasons:
            row |= {"se_paired": None, "se_independent": None, "se_ratio": None}
            row["reason"] = "; ".join(f"{' and '.join(who)}: {reason}" for reason, who in reasons.items())
        else:
            of = difference(*(np.array([run.kpis[kpi]["value"] for run in cell], float) for cell in (base, other)))
            row |= {"delta": of.mean, "se_paired": of.se_paired, "se_independent": of.se_independent}
            row |= {"se_ratio": of.ratio, "reason": ""}
        rows.append(row)
    return rows


def line_table(cell: tuple[Run, ...], rule: Rule) -> pd.DataFrame:
    """Dollars and what they add by category and line, mean of the seeds; the index is (category, line)."""
    tables = [lines(run, rule).set_index(["category", "line"])[["amount_usd", "adds"]] for run in cell]
    return pd.concat(tables).groupby(level=[0, 1], sort=True).sum() / len(tables)


@dataclass(frozen=True)
class Lines:
    """Ledger lines of a cell: of every category, and what those of a figure add to it."""

    every: pd.DataFrame
    adds: pd.Series


def line_tables(found: Paired, of: Money) -> dict[Key, Lines]:
    """Ledger lines by alternative and world."""
    tables = {key: line_table(cell, EVERY) for key, cell in found.cells.items()}
    if replace(of.rule, categories=CATEGORIES) == EVERY:
        return {
            key: Lines(table, table["adds"][table.index.get_level_values("category").isin(of.rule.categories)])
            for key, table in tables.items()
        }
    return {key: Lines(table, line_table(found.cells[key], of.rule)["adds"]) for key, table in tables.items()}


def line_rows(found: Paired, tables: dict[Key, Lines], name: str, world: str) -> pd.DataFrame:
    """Ledger lines of an alternative against the base, undiscounted and at the valuation month."""
    base, other = (tables[side, world].every for side in (found.base, name))
    both = pd.concat({"base": base, "other": other}, axis=1).fillna(0.0).sort_index()
    table = pd.DataFrame(
        {
            "base_usd": both["base", "amount_usd"],
            "value_usd": both["other", "amount_usd"],
            "delta_usd": both["other", "amount_usd"] - both["base", "amount_usd"],
            "base_worth_usd": both["base", "adds"],
            "worth_usd": both["other", "adds"],
            "delta_worth_usd": both["other", "adds"] - both["base", "adds"],
        }
    ).reset_index()
    table.insert(0, "alternative", name)
    table.insert(0, "world", world)
    return table


def to_the_cent(steps: Floats, start: float, end: float) -> tuple[int, NDArray[np.int64], int]:
    """Whole cents of a bridge whose steps add up to its ends exactly.

    Each step is rounded, and the cents that rounding loses go to the steps that were rounded furthest.

    Raises
    ------
    DcsimError
        If the steps do not add up before rounding.
    """
    if abs(start + steps.sum() - end) > 0.01 + 1e-12 * (abs(start) + abs(end) + np.abs(steps).sum()):
        raise DcsimError(f"the ledger lines add {steps.sum():,.2f} USD, but the values differ by {end - start:,.2f}")
    first, last = round(100 * start), round(100 * end)
    exact = 100 * steps
    cents = np.rint(exact).astype(np.int64)
    gap = last - first - int(cents.sum())
    furthest = np.argsort(-np.sign(gap) * (exact - cents), kind="stable")
    for i in range(abs(gap)):
        cents[furthest[i % len(cents)]] += np.sign(gap)
    return first, cents, last


def bridge(found: Paired, of: Money, tables: dict[Key, Lines], name: str, world: str) -> pd.DataFrame:
    """Steps from the base's value to the alternative's, one a ledger line, largest first, in whole cents."""
    base, other = (tables[side, world].adds for side in (found.base, name))
    both = pd.concat({"base": base, "other": other}, axis=1).fillna(0.0).sort_index()
    steps = (both["other"] - both["base"]).to_numpy()
    start, end = (float(np.mean([of.of(run) for run in found.cells[side, world]])) for side in (found.base, name))
    first, cents, last = to_the_cent(steps, start, end)
    order = [i for i in np.argsort(-np.abs(cents), kind="stable") if cents[i]]
    rows = [("start", "", found.base, first)]
    rows += [("step", *both.index[i], int(cents[i])) for i in order]
    rows.append(("end", "", name, last))
    table = pd.DataFrame(rows, columns=["kind", "category", "line", "cents"])
    table["usd"] = table.pop("cents") / 100
    table.insert(0, "position", np.arange(len(table)))
    table.insert(0, "alternative", name)
    table.insert(0, "world", world)
    return table
