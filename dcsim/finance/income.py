"""Income lines: GPU-hours and tokens, with their price paths."""

import datetime
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dcsim.finance.books import Books
from dcsim.finance.ledger import Entry, Index, month_number
from dcsim.model.economics import Nothing, Rental

Floats = NDArray[np.float64]


def revenue(books: Books) -> Iterator[Entry]:
    """Sell or charge the allocated GPU-hours."""
    terms = books.economics.revenue
    if isinstance(terms, Nothing):
        return
    if isinstance(terms, Rental):
        prices, source = rental_path(books, terms)
        label = f"GPU rental: {terms.price_path}"
        factors = terms.price_factors
    else:
        prices, source = [(terms.usd_per_gpu_h, None)] * len(books.months), "scenario"
        label, factors = "internal transfer", {}
    sold: dict[str, Floats] = {}
    for pool, hours in books.quantities.allocated_gpu_h.items():
        # Pools without a price of their own are sold together.
        name = pool if pool in factors else ""
        sold[name] = sold.get(name, 0.0) + hours * terms.sold_frac
    for pool, quantities in sold.items():
        factor = factors.get(pool, 1.0)
        item = f"{label}, pool {pool}, times {factor:g}" if pool else label
        for month, quantity, (price, index) in zip(books.months, quantities, prices, strict=True):
            yield Entry(month, "revenue", item, "site", float(quantity), "GPU h", price * factor, source, index)


def tokens(books: Books) -> Iterator[Entry]:
    """Sell the tokens of services at the prices that the planner states, nominal and constant."""
    if isinstance(books.economics.revenue, Nothing):
        return
    for of in books.quantities.tokens:
        if of.usd_per_million == 0:
            continue
        label = f"tokens of {of.kind}: {of.service}, {of.model}"
        for month, quantity in zip(books.months, of.millions, strict=True):
            yield Entry(month, "revenue", label, "site", float(quantity), "M tokens", of.usd_per_million, "scenario")


def rental_path(books: Books, terms: Rental) -> tuple[list[tuple[float, Index | None]], str]:
    """Price of each month: interpolated between the catalog's dated prices, then falling at a constant rate."""
    part = books.used.catalog.part("prices", terms.price_path)
    dated = sorted(name for name in part if re.fullmatch(r"\d{4}-\d{2}", name))
    known = [month_number(datetime.date(int(name[:4]), int(name[5:]), 1)) for name in dated]
    values = [books.used.use("revenue", "prices", terms.price_path, name) for name in dated]
    decline = "decline_frac_per_year"
    if terms.decline_frac_per_year is None:
        fall = books.used.use("revenue", "prices", terms.price_path, decline)
    else:
        fall = books.used.state("revenue", "prices", terms.price_path, decline, terms.decline_frac_per_year, "1/year")
    after = Index(terms.price_path, -fall, known[-1] / 12)
    prices: list[tuple[float, Index | None]] = [
        (float(np.interp(month, known, values)), None) if month <= known[-1] else (values[-1], after)
        for month in books.months
    ]
    return prices, part[dated[-1]].source
