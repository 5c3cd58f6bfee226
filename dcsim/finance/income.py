"""Income lines: GPU-hours and tokens, with their price paths."""

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.finance.books import Books
from dcsim.finance.ledger import Entry, Index, month_number
from dcsim.model.economics import Internal, Nothing, Rental, Spot
from dcsim.model.financing import Cloud

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PricePath:
    """Price of each month of the plan, shape (n_months,): nominal in the first ``n_dated``, then at an index."""

    price_usd: Floats
    n_dated: int
    after: Index
    source: str

    def rows(self, books: Books, category: str, item: str, gpu_h: Floats, factor: float) -> Iterator[Entry]:
        """GPU-hours of each month at a factor on the price."""
        price = self.price_usd * factor
        dated, later = slice(self.n_dated), slice(self.n_dated, None)
        for of, index in ((dated, None), (later, self.after)):
            yield Entry(books.each_month[of], category, item, "site", gpu_h[of], "GPU h", price[of], self.source, index)


def revenue(books: Books) -> Iterator[Entry]:
    """Sell or charge the allocated GPU-hours: under contract, and at spot where that is stated."""
    terms = books.economics.revenue
    if isinstance(terms, Internal):
        hours = np.asarray(sum(held * terms.sold_frac for held in books.quantities.allocated_gpu_h.values()))
        item, price = "internal transfer", terms.usd_per_gpu_h
        yield Entry(books.each_month, "revenue", item, "site", hours, "GPU h", price, "scenario")
    elif isinstance(terms, Rental):
        yield from _rented(books, terms)


def _rented(books: Books, terms: Rental) -> Iterator[Entry]:
    ramp = ramp_frac(books, terms)
    spot = terms.spot.share_frac if terms.spot else 0.0
    factors = terms.price_factors
    path = price_path(books, terms, "revenue")
    label = f"GPU rental: {terms.price_path}"
    held = books.quantities.allocated_gpu_h
    sold = {pool: hours * (1.0 - spot) * terms.sold_frac * ramp for pool, hours in held.items()}
    yield from _sold(books, label, _by_price(sold, factors), factors, path)
    if terms.take_or_pay_frac:
        of, least = books.standing, terms.take_or_pay_frac * (1.0 - spot) * ramp
        idle = {
            pool: np.maximum(least * (of.energised_gpu_h[pool] - of.serving_gpu_h[pool]) - hours, 0.0)
            for pool, hours in sold.items()
        }
        yield from _sold(books, f"take or pay: {terms.price_path}", _by_price(idle, factors), factors, path)
    if terms.spot is not None:
        path = price_path(books, terms.spot, "revenue at spot")
        sold = {pool: hours * spot * terms.spot.sold_frac * ramp for pool, hours in held.items()}
        label = f"GPU rental at spot: {terms.spot.price_path}"
        yield from _sold(books, label, _by_price(sold, factors), factors, path)


def ramp_frac(books: Books, terms: Rental) -> Floats:
    """Share of full sales in each month of the plan, shape (n_months,)."""
    if terms.ramp is None:
        return np.ones(len(books.months))
    first = min(month_number(phase.energised) for phase in books.scenario.facility.phases)
    # The middle of each month, over the months of the ramp.
    x = np.clip((books.each_month - first + 0.5) / terms.ramp.months, 0.0, 1.0)
    grown: Floats = terms.ramp.from_frac + (1.0 - terms.ramp.from_frac) * x * x * (3.0 - 2.0 * x)
    return grown


def _by_price(hours: dict[str, Floats], factors: Mapping[str, float]) -> dict[str, Floats]:
    """Hours by pool, those of pools without a price of their own together, under an empty name."""
    found: dict[str, Floats] = {}
    for pool, of in hours.items():
        name = pool if pool in factors else ""
        found[name] = found.get(name, np.zeros(len(of))) + of
    return found


def _sold(
    books: Books, label: str, hours: dict[str, Floats], factors: Mapping[str, float], path: PricePath
) -> Iterator[Entry]:
    for pool, sold in hours.items():
        factor = factors.get(pool, 1.0)
        item = f"{label}, pool {pool}, times {factor:g}" if pool else label
        yield from path.rows(books, "revenue", item, sold, factor)


def tokens(books: Books) -> Iterator[Entry]:
    """Sell the tokens of services at the prices that the planner states, nominal and constant."""
    if isinstance(books.economics.revenue, Nothing):
        return
    for of in books.quantities.tokens:
        if of.usd_per_million == 0:
            continue
        label = f"tokens of {of.kind}: {of.service}, {of.model}"
        price = of.usd_per_million
        yield Entry(books.each_month, "revenue", label, "site", of.millions, "M tokens", price, "scenario")


def price_path(books: Books, terms: Rental | Spot | Cloud, why: str) -> PricePath:
    """Price of each month: interpolated between the catalog's dated prices, then falling at a rate."""
    path, decline_frac, factors = terms.price_path, terms.decline_frac_per_year, terms.monthly_price_factors
    part = books.used.catalog.part("prices", path)
    dated = sorted(name for name in part if re.fullmatch(r"\d{4}-\d{2}", name))
    known = [month_number(datetime.date(int(name[:4]), int(name[5:]), 1)) for name in dated]
    values = [books.used.use(why, "prices", path, name) for name in dated]
    decline = "decline_frac_per_year"
    if decline_frac is None:
        fall = books.used.use(why, "prices", path, decline)
    else:
        fall = books.used.state(why, "prices", path, decline, decline_frac, "1/year")
    # Sales and rent may fall at other rates on one path, so an index is named by both.
    after = Index(f"{why}: {path}", -fall, known[-1] / 12)
    # What is interpolated is the last price from its date on.
    prices = np.interp(books.each_month, known, values)
    if factors:
        prices = prices * np.array(factors)[np.minimum(np.arange(len(prices)), len(factors) - 1)]
    return PricePath(prices, int((books.each_month <= known[-1]).sum()), after, part[dated[-1]].source)
