"""The ledger: every dollar is one row, a cost negative, and every figure of money is a sum of rows."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.columns import LEDGER
from dcsim.steps import sum_by

Floats = NDArray[np.float64]

# In the order of a month's rows. The first four are the project's before tax and financing.
OPERATING = ("capex", "opex", "revenue", "residual")
CATEGORIES = (*OPERATING, "tax", "debt")
COSTS = ("capex", "opex")


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
class Index:
    """Growth of a price at a constant rate a year from a moment on, in years of the calendar (2025.5: mid-2025)."""

    name: str
    rate_frac: float
    from_year: float

    def factor(self, month: int) -> float:
        """Price in the dollars of *month* over the price of ``from_year``."""
        return float((1.0 + self.rate_frac) ** (month / 12 - self.from_year))


@dataclass(frozen=True)
class Entry:
    """One row before it is written: quantity times price times index, signed by its category.

    ``price_usd`` is in the dollars of the index's year, nominal where there is no index. In the categories ``tax`` and
    ``debt`` the price carries the sign: income positive.
    """

    month: int
    category: str
    item: str
    phase: str
    quantity: float
    unit: str
    price_usd: float
    source: str
    index: Index | None = None

    @property
    def unit_price_usd(self) -> float:
        """Price in the dollars of the month. [USD]"""
        return self.price_usd if self.index is None else self.price_usd * self.index.factor(self.month)

    @property
    def amount_usd(self) -> float:
        """Cash flow: capital and operating costs negative, income positive. [USD]"""
        sign = -1.0 if self.category in COSTS else 1.0
        return sign * self.quantity * self.unit_price_usd


def ledger(entries: Iterable[Entry]) -> pd.DataFrame:
    """Table of the entries by month, in the order of their categories; rows of no quantity are left out."""
    rows = sorted(
        (entry for entry in entries if entry.quantity != 0),
        key=lambda entry: (entry.month, CATEGORIES.index(entry.category)),
    )
    columns: dict[str, list[Any]] = {
        column.name: [getattr(row, column.name) for row in rows]
        for column in LEDGER
        if column.name not in ("month", "index", "index_year")
    }
    columns["month"] = [month_name(row.month) for row in rows]
    columns["index"] = ["" if row.index is None else row.index.name for row in rows]
    columns["index_year"] = [None if row.index is None else row.index.from_year for row in rows]
    table = pd.DataFrame(columns, columns=[column.name for column in LEDGER])
    return table.astype({"index_year": float})


def monthly_flows(table: pd.DataFrame, first_month: int, n_months: int, category: str | None = None) -> Floats:
    """Cash flow of each month, shape (n_months,), of one category or of all. [USD]

    Months outside the span are an error of the caller: the sum of the flows is the sum of the rows.
    """
    rows = table if category is None else table[table["category"] == category]
    index = month_numbers(rows["month"]) - first_month
    return sum_by(index, rows["amount_usd"].to_numpy(), n_months)
