"""Purchases of the register as records, and what each deducts in the books and in the tax return."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.finance.depreciation import straight_line_usd, tax_depreciation_usd
from dcsim.finance.ledger import month_numbers
from dcsim.runs import Run

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Purchase:
    """A row of the register; months count from year 0, an infinite book life is never depreciated.

    ``kept_frac`` is the share of its value that hardware keeps a year, None for what is not hardware.
    """

    phase: str
    asset_class: str
    item: str
    ledger_item: str
    renewal: int
    quantity: float
    unit: str
    ordered: int
    delivered: int
    in_service: int
    retired: int
    paid_usd: float
    sold_usd: float
    book_life_years: float
    macrs_years: int
    kept_frac: float | None
    source: str

    @property
    def first_of_hardware(self) -> bool:
        """Hardware that is no replacement: what can wait for power."""
        return self.kept_frac is not None and self.renewal == 0

    @property
    def idle_years(self) -> float:
        """Years between delivery and service."""
        return (self.in_service - self.delivered) / 12


def purchases(run: Run) -> list[Purchase]:
    """The register of a run."""
    return [_purchase(record) for record in run.register.to_dict("records")]


def _purchase(of: dict[Any, Any]) -> Purchase:
    life, kept = of["book_life_years"], of["value_kept_frac_per_year"]
    fields: dict[str, Any] = {
        name: str(of[name]) for name in ("phase", "asset_class", "item", "ledger_item", "unit", "source")
    }
    dates = ("ordered", "delivered", "in_service", "retired")
    fields |= dict(zip(dates, map(int, month_numbers([str(of[name]) for name in dates])), strict=True))
    return Purchase(
        **fields,
        renewal=int(of["renewal"]),
        quantity=float(of["quantity"]),
        paid_usd=float(of["paid_usd"]),
        sold_usd=float(of["sold_usd"]),
        book_life_years=float("inf") if pd.isna(life) else float(life),
        macrs_years=int(of["macrs_years"]),
        kept_frac=None if pd.isna(kept) else float(kept),
    )


def worn_usd(found: Sequence[Purchase], first: int, n: int) -> Floats:
    """Book depreciation by purchase and month until it is retired, shape (n_purchases, n)."""
    worn = np.zeros((len(found), n))
    for row, one in zip(worn, found, strict=True):
        start, end = one.in_service - first, one.retired - first
        row[start:end] = straight_line_usd(one.paid_usd, one.book_life_years, end - start)
    return worn


def deducted_usd(found: Sequence[Purchase], years: range, bonus_frac: float) -> Floats:
    """Deductions of the tax return by purchase and calendar year until it is retired, (n_purchases, n_years)."""
    deducted = np.zeros((len(found), len(years)))
    for row, one in zip(deducted, found, strict=True):
        start, end = one.in_service // 12 - years[0], sold_in(one, years) - years[0]
        yearly = tax_depreciation_usd(one.paid_usd, one.macrs_years, one.in_service, bonus_frac)[: end + 1 - start]
        row[start : start + len(yearly)] = yearly
    return deducted


def sold_in(one: Purchase, years: range) -> int:
    """Calendar year in which a purchase is retired, or the plan's last."""
    return min(one.retired // 12, years[-1])
