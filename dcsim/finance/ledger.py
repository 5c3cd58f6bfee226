"""The ledger: every dollar is one row, a cost negative, and every figure of money is a sum of rows."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.columns import LEDGER
from dcsim.steps import sum_by

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# In the order of a month's rows. The first four are the project's before tax and financing.
OPERATING = ("capex", "opex", "revenue", "residual")
CATEGORIES = (*OPERATING, "tax", "debt")
COSTS = ("capex", "opex")
SIGNS = np.array([-1.0 if category in COSTS else 1.0 for category in CATEGORIES])


def month_number(date: datetime.date) -> int:
    """Months since year 0, so that months subtract."""
    return date.year * 12 + date.month - 1


def month_name(number: int) -> str:
    """``YYYY-MM`` of a month number."""
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def month_numbers(names: Iterable[str]) -> Ints:
    """Month numbers of ``YYYY-MM`` names."""
    return np.array([int(name[:4]) * 12 + int(name[5:]) - 1 for name in names], dtype=np.int64)


@dataclass(frozen=True)
class Index:
    """Growth of a price at a constant rate a year from a moment on, in years of the calendar (2025.5: mid-2025)."""

    name: str
    rate_frac: float
    from_year: float


NOMINAL = Index("", 0.0, 0.0)


class Entry(NamedTuple):
    """One item over its months: quantity times price times index, signed by its category.

    ``month``, ``quantity`` and ``price_usd`` are one number or one a month, shape (n_months,). ``price_usd`` is in the
    dollars of the year of ``price_index``, nominal where there is none. In the categories ``tax`` and ``debt`` the
    price carries the sign: income positive.
    """

    month: Ints | int
    category: str
    item: str
    phase: str
    quantity: Floats | float
    unit: str
    price_usd: Floats | float
    source: str
    price_index: Index | None = None


@dataclass(frozen=True)
class Rows:
    """Entries month by month, one after the other; months of no quantity are left out. Arrays of shape (n_rows,).

    ``of`` is the place of a row's entry among the entries, ``category`` that of its category among the categories.
    ``unit_price_usd`` is in the dollars of the month. ``amount_usd`` is the cash flow: capital and operating costs
    negative, income positive.
    """

    entries: tuple[Entry, ...]
    of: Ints
    category: Ints
    month: Ints
    quantity: Floats
    price_usd: Floats
    unit_price_usd: Floats
    amount_usd: Floats

    def by_entry_usd(self, category: str) -> list[float]:
        """Cash flow of each entry of a category over all its months, in the order of the entries. [USD]"""
        every = sum_by(self.of, self.amount_usd, len(self.entries)).tolist()
        return [usd for entry, usd in zip(self.entries, every, strict=True) if entry.category == category]

    def by_month_usd(self, first_month: int, n_months: int) -> dict[str, Floats]:
        """Cash flow of each month by category, shape (n_months,). [USD]"""
        cell = self.category * n_months + self.month - first_month
        flows = sum_by(cell, self.amount_usd, len(CATEGORIES) * n_months).reshape(-1, n_months)
        return dict(zip(CATEGORIES, flows, strict=True))


def rows(entries: Iterable[Entry]) -> Rows:
    """Lay entries out month by month."""
    every = tuple(entries)
    lengths = [len(entry.month) if isinstance(entry.month, np.ndarray) else 1 for entry in every]
    ends = list(accumulate(lengths, initial=0))
    month = np.empty(ends[-1], dtype=np.int64)
    quantity, price = np.empty(ends[-1]), np.empty(ends[-1])
    for entry, (start, end) in zip(every, pairwise(ends), strict=True):
        month[start:end], quantity[start:end], price[start:end] = entry.month, entry.quantity, entry.price_usd
    of = np.repeat(np.arange(len(every)), lengths)
    kept = quantity != 0
    of, month, quantity, price = of[kept], month[kept], quantity[kept], price[kept]
    indices = [entry.price_index or NOMINAL for entry in every]
    growth = np.array([1.0 + index.rate_frac for index in indices])[of]
    from_year = np.array([index.from_year for index in indices])[of]
    category = np.array([CATEGORIES.index(entry.category) for entry in every], dtype=np.int64)[of]
    unit_price = price * growth ** (month / 12 - from_year)
    return Rows(every, of, category, month, quantity, price, unit_price, SIGNS[category] * quantity * unit_price)


def ledger(entries: Iterable[Entry]) -> pd.DataFrame:
    """Table of the entries by month, in the order of their categories; rows of no quantity are left out."""
    found = rows(entries)
    order = np.lexsort((found.category, found.month))
    columns: dict[str, Any] = {
        name: getattr(found, name)[order] for name in ("quantity", "price_usd", "unit_price_usd", "amount_usd")
    }
    of = [found.entries[k] for k in found.of[order].tolist()]
    columns |= {
        name: [getattr(entry, name) for entry in of] for name in ("category", "item", "phase", "unit", "source")
    }
    columns["month"] = [month_name(month) for month in found.month[order].tolist()]
    columns["index"] = ["" if entry.price_index is None else entry.price_index.name for entry in of]
    columns["index_year"] = [None if entry.price_index is None else entry.price_index.from_year for entry in of]
    table = pd.DataFrame(columns, columns=[column.name for column in LEDGER])
    return table.astype({"index_year": float})


def monthly_flows(table: pd.DataFrame, first_month: int, n_months: int, category: str | None = None) -> Floats:
    """Cash flow of each month, shape (n_months,), of one category or of all. [USD]

    Months outside the span are an error of the caller: the sum of the flows is the sum of the rows.
    """
    rows = table if category is None else table[table["category"] == category]
    index = month_numbers(rows["month"]) - first_month
    return sum_by(index, rows["amount_usd"].to_numpy(), n_months)
