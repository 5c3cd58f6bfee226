"""The ledger: every dollar is one row, a cost negative, and every figure of money is a sum of rows."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.columns import LEDGER
from dcsim.steps import sum_by

Floats = NDArray[np.float64]

CATEGORIES = ("capex", "opex", "revenue", "residual")


def month_number(date: datetime.date) -> int:
    """Months since year 0, so that months subtract."""
    return date.year * 12 + date.month - 1


def month_name(number: int) -> str:
    """``YYYY-MM`` of a month number."""
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def month_numbers(names: Iterable[str]) -> NDArray[np.int64]:
    """Month numbers of ``YYYY-MM`` names."""
    return np.array([int(name[:4]) * 12 + int(name[5:]) - 1 for name in names], dtype=np.int64)


@dataclass(frozen=True)
class Entry:
    """One row before it is written: an amount is its quantity times its unit price, signed by its category."""

    month: int
    category: str
    item: str
    phase: str
    quantity: float
    unit: str
    unit_price_usd: float
    source: str

    @property
    def amount_usd(self) -> float:
        """Cash flow: capital and operating costs negative, revenue and residual value positive. [USD]"""
        sign = -1.0 if self.category in ("capex", "opex") else 1.0
        return sign * self.quantity * self.unit_price_usd


def ledger(entries: Iterable[Entry]) -> pd.DataFrame:
    """Table of the entries by month, in the order of their categories; rows of no quantity are left out."""
    rows = sorted(
        (entry for entry in entries if entry.quantity != 0),
        key=lambda entry: (entry.month, CATEGORIES.index(entry.category)),
    )
    data = {
        column.name: [month_name(row.month) if column.name == "month" else getattr(row, column.name) for row in rows]
        for column in LEDGER
    }
    return pd.DataFrame(data, columns=[column.name for column in LEDGER])


def monthly_flows(table: pd.DataFrame, first_month: int, n_months: int, category: str | None = None) -> Floats:
    """Cash flow of each month, shape (n_months,), of one category or of all. [USD]

    Months outside the span are an error of the caller: the sum of the flows is the sum of the rows.
    """
    rows = table if category is None else table[table["category"] == category]
    index = month_numbers(rows["month"]) - first_month
    return sum_by(index, rows["amount_usd"].to_numpy(), n_months)
