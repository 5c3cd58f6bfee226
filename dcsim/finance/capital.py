"""What is built and bought: payments by draw schedule, replacements, values by age, what is left on the last day."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsim.assets import Asset
from dcsim.finance.books import Books
from dcsim.finance.ledger import Entry, Index, month_number
from dcsim.model.facility import Schedule

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Purchase:
    """An asset bought once: at first, or again when its life is over. Months count from year 0.

    In the months ``paid_in``, shape (n_payments,), the share ``paid_frac`` of the price falls due, one for all or one a
    month; ``retired`` is the month in which it is replaced or the plan ends.
    """

    asset: Asset
    renewal: int
    delivered: int
    in_service: int
    retired: int
    paid_in: Ints
    paid_frac: Floats | float

    @property
    def item(self) -> str:
        """Name of its rows in the ledger."""
        again = " (replacement)" if self.renewal else ""
        return f"{self.asset.asset_class}: {self.asset.item}{again}"

    @property
    def aged_from(self) -> int:
        """Month from which it loses value: hardware from delivery, powered or not; buildings from service."""
        return self.delivered if self.asset.hardware else self.in_service


def purchases(asset: Asset, books: Books) -> list[Purchase]:
    """When an asset is bought: for its energisation, then each time its economic life is over within the plan."""
    end = leaves(asset, books)
    energised, delivery = month_number(asset.energised), month_number(asset.schedule.delivery)
    lead = delivery - month_number(asset.schedule.order)
    if math.isinf(asset.life_years):
        services = range(energised, energised + 1)
    else:
        services = range(energised, end, max(1, round(asset.life_years * 12)))
    found = []
    for renewal, in_service in enumerate(services):
        # A replacement is delivered as long before its service as hardware was meant to wait, a month at most.
        delivered = delivery if renewal == 0 else in_service - min(energised - delivery, 1)
        retired = services[renewal + 1] if renewal + 1 < len(services) else end
        paid = _payments(asset, delivered, lead, books)
        found.append(Purchase(asset, renewal, delivered, in_service, retired, *paid))
    return found


def leaves(asset: Asset, books: Books) -> int:
    """Month from which an asset is there no more: that of its retirement, or the one after the plan."""
    return books.months.stop if asset.retires is None else month_number(asset.retires)


def _payments(asset: Asset, delivered: int, lead: int, books: Books) -> tuple[Ints, Floats | float]:
    """Months and shares of the price, from an order so many months before delivery."""
    if asset.schedule.draws:
        return _steps(asset.schedule, delivered - lead, lead)
    if not asset.hardware:
        return np.arange(delivered - lead, delivered + 1), 1.0 / (lead + 1)
    if lead == 0:
        return np.array([delivered]), 1.0
    deposit = books.economics.hardware_deposit_frac
    return np.array([delivered - lead, delivered]), np.array([deposit, 1.0 - deposit])


def _steps(schedule: Schedule, order: int, lead: int) -> tuple[Ints, Floats]:
    """Stated draws in equal steps from order to delivery."""
    steps = max(1, len(schedule.draws) - 1)
    months = [order + round(lead * index / steps) for index in range(len(schedule.draws))]
    return np.array(months), np.array(schedule.draws)


def bought(books: Books) -> list[Purchase]:
    """Every purchase of the plan, asset by asset."""
    return books.once("purchases", lambda: [one for asset in books.assets for one in purchases(asset, books)])


def _paid(purchase: Purchase, books: Books) -> Entry:
    asset, quantity = purchase.asset, purchase.asset.quantity * purchase.paid_frac
    price_usd, index = _indexed(asset, books)
    return Entry(
        purchase.paid_in, "capex", purchase.item, asset.phase, quantity, asset.unit, price_usd, asset.source, index
    )


def _indexed(asset: Asset, books: Books) -> tuple[float, Index | None]:
    """Price and how it grows: hardware is nominal, construction follows a published index, then yearly inflation."""
    if asset.hardware:
        return asset.unit_price_usd, None
    table, year = books.economics.construction_index, asset.price_year
    if table is None or year is None:
        return asset.unit_price_usd, books.index("construction", year)
    known = books.used.catalog.part("price_indices", table)
    years = sorted(int(name) for name in known)
    if year >= years[-1]:
        return asset.unit_price_usd, books.index("construction", year)
    values = [books.used.use("construction cost by year", "price_indices", table, str(of)) for of in years]
    # Before the table begins yearly inflation stands for it.
    earlier = (1.0 + books.inflation_frac("construction")) ** max(years[0] - year, 0)
    moved = earlier * values[-1] / float(np.interp(year, years, values))
    return asset.unit_price_usd * moved, books.index("construction", years[-1])


def capital(books: Books) -> Iterator[Entry]:
    """Pay for each asset and its replacements between order and delivery: an entry a purchase, in order."""
    for purchase in bought(books):
        yield _paid(purchase, books)


def embodied_kg(books: Books) -> dict[str, float]:
    """Carbon of making and building what goes into service within the plan, replacements included. [kg]

    By ``servers`` and ``construction``. Land, networks, storage and support are not counted: no source was found.
    """
    found = {"servers": 0.0, "construction": 0.0}
    for purchase in bought(books):
        of = "servers" if purchase.asset.hardware else "construction"
        found[of] += purchase.asset.embodied_kg * purchase.asset.quantity
    return found


def value_frac(purchases: Sequence[Purchase], books: Books, age_years: Floats) -> Floats:
    """What purchases of an age are worth over their price: market value of hardware, straight line of buildings, land.

    Parameters
    ----------
    purchases : sequence of Purchase, n of them
    books : Books
    age_years : ndarray, shape (n, m)
        Ages of each. [year]
    """
    assets = [one.asset for one in purchases]
    life_years = _column(asset.life_years for asset in assets)
    straight_line = np.maximum(0.0, 1.0 - age_years / life_years)
    if all(asset.value_decay_frac is None for asset in assets):
        return np.asarray(straight_line)
    traded = _column(asset.value_decay_frac is not None for asset in assets)
    return np.where(traded, _market_frac(assets, books, age_years), straight_line)


def _market_frac(assets: Sequence[Asset], books: Books, age_years: Floats) -> Floats:
    """Market value over price: by the table of ages that the scenario names, else by yearly decay."""
    table = books.economics.residual_by_age
    if table is None:
        kept_frac = _column(1.0 if asset.value_decay_frac is None else asset.value_decay_frac for asset in assets)
        return np.asarray(kept_frac**age_years)
    known = sorted((int(name[4:]), name) for name in books.used.catalog.part("prices", table))
    values = [books.used.use("residual value of hardware", "prices", table, name) for _, name in known]
    return np.asarray(np.interp(age_years, [of for of, _ in known], values))


def _column(values: Iterable[float]) -> NDArray[Any]:
    """One value a purchase, shape (n, 1), against ages, shape (n, m)."""
    return np.array([*values])[:, np.newaxis]


def _is_scrap(asset: Asset, books: Books) -> bool:
    """Plant that a conversion takes out is scrap, as are buildings of a site that closes."""
    keeps = asset.hardware or math.isinf(asset.life_years)
    return not keeps and (asset.retires is not None or books.economics.exit == "closed")


def _sold(purchase: Purchase, left_frac: float, books: Books) -> Entry:
    asset, month = purchase.asset, _last_month(purchase, books)
    quantity, price = asset.quantity * left_frac, asset.unit_price_usd
    return Entry(month, "residual", purchase.item, asset.phase, quantity, asset.unit, price, asset.source)


def _last_month(purchase: Purchase, books: Books) -> int:
    """Month in which it goes: that of its replacement, or the plan's last."""
    return min(purchase.retired, books.months.stop - 1)


def residual(books: Books) -> Iterator[Entry]:
    """Sell what is replaced, and everything on the last day: an entry a purchase, in the order of :func:`bought`.

    Hardware is sold by age since delivery when it is replaced or the plan ends, the rest at the end. Buildings lose
    their value straight line, and all of it where the site closes; land keeps its.
    """
    found = bought(books)
    age_years = _column(one.retired - one.aged_from for one in found) / 12
    for one, left in zip(found, value_frac(found, books, age_years)[:, 0].tolist(), strict=True):
        yield _sold(one, 0.0 if _is_scrap(one.asset, books) else left, books)


def decommissioning(books: Books) -> Iterator[Entry]:
    """Take out what is replaced, and clear a site that closes."""
    closes = books.economics.exit == "closed"
    for purchase in bought(books):
        asset = purchase.asset
        at_end = purchase.retired == books.months.stop
        if asset.accounts.decommission_frac == 0 or (at_end and not (closes and not asset.hardware)):
            continue
        yield Entry(
            _last_month(purchase, books),
            "opex",
            f"decommissioning: {asset.asset_class}, {asset.item}",
            asset.phase,
            asset.accounts.decommission_frac,
            "share of price",
            asset.cost_usd,
            "assumption",
            books.index("opex", asset.price_year),
        )
