"""What is built and bought: payments by draw schedule, replacements, values by age, what is left on the last day."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.assets import Asset
from dcsim.finance.books import Books
from dcsim.finance.ledger import Entry, Index, month_number
from dcsim.model.facility import Schedule

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Purchase:
    """An asset bought once: at first, or again when its life is over. Months count from year 0.

    ``payments`` are months with the share of the price that falls due in each; ``retired`` is the month in which it is
    replaced or the plan ends.
    """

    asset: Asset
    renewal: int
    delivered: int
    in_service: int
    retired: int
    payments: tuple[tuple[int, float], ...]

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
    if np.isinf(asset.life_years):
        services = [energised]
    else:
        services = list(range(energised, end, max(1, round(asset.life_years * 12))))
    found = []
    for renewal, in_service in enumerate(services):
        # A replacement is delivered as long before its service as hardware was meant to wait, a month at most.
        delivered = delivery if renewal == 0 else in_service - min(energised - delivery, 1)
        retired = services[renewal + 1] if renewal + 1 < len(services) else end
        found.append(Purchase(asset, renewal, delivered, in_service, retired, _payments(asset, delivered, books)))
    return found


def leaves(asset: Asset, books: Books) -> int:
    """Month from which an asset is there no more: that of its retirement, or the one after the plan."""
    return books.months.stop if asset.retires is None else month_number(asset.retires)


def _payments(asset: Asset, delivered: int, books: Books) -> tuple[tuple[int, float], ...]:
    """Months and shares of the price, from an order as long before delivery as the schedule's."""
    lead = month_number(asset.schedule.delivery) - month_number(asset.schedule.order)
    if asset.schedule.draws:
        return tuple(_steps(asset.schedule, delivered - lead, lead))
    if not asset.hardware:
        return tuple((month, 1.0 / (lead + 1)) for month in range(delivered - lead, delivered + 1))
    if lead == 0:
        return ((delivered, 1.0),)
    deposit = books.economics.hardware_deposit_frac
    return ((delivered - lead, deposit), (delivered, 1.0 - deposit))


def _steps(schedule: Schedule, order: int, lead: int) -> Iterator[tuple[int, float]]:
    """Stated draws in equal steps from order to delivery."""
    steps = max(1, len(schedule.draws) - 1)
    for index, share in enumerate(schedule.draws):
        yield order + round(lead * index / steps), share


def bought(books: Books) -> list[Purchase]:
    """Every purchase of the plan, asset by asset."""
    return books.once("purchases", lambda: [one for asset in books.assets for one in purchases(asset, books)])


def payments(books: Books) -> list[list[Entry]]:
    """Rows of every purchase, in the order of :func:`bought`."""
    return books.once("payments", lambda: [list(_paid(purchase, books)) for purchase in bought(books)])


def _paid(purchase: Purchase, books: Books) -> Iterator[Entry]:
    asset, item = purchase.asset, purchase.item
    price_usd, index = _indexed(asset, books)
    for month, share in purchase.payments:
        quantity = asset.quantity * share
        yield Entry(month, "capex", item, asset.phase, quantity, asset.unit, price_usd, asset.source, index)


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
    """Pay for each asset and its replacements between order and delivery, by its draw schedule."""
    for rows in payments(books):
        yield from rows


def embodied_kg(books: Books) -> dict[str, float]:
    """Carbon of making and building what goes into service within the plan, replacements included. [kg]

    By ``servers`` and ``construction``. Land, networks, storage and support are not counted: no source was found.
    """
    found = {"servers": 0.0, "construction": 0.0}
    for purchase in bought(books):
        of = "servers" if purchase.asset.hardware else "construction"
        found[of] += purchase.asset.embodied_kg * purchase.asset.quantity
    return found


def value_frac(asset: Asset, books: Books, age_years: Floats | float) -> Floats:
    """What an asset of an age is worth over its price: market value of hardware, straight line of buildings, land."""
    age = np.asarray(age_years, dtype=float)
    table = books.economics.residual_by_age
    if asset.value_decay_frac is not None and table is not None:
        known = sorted((int(name[4:]), name) for name in books.used.catalog.part("prices", table))
        values = [books.used.use("residual value of hardware", "prices", table, name) for _, name in known]
        return np.asarray(np.interp(age, [of for of, _ in known], values))
    if asset.value_decay_frac is not None:
        return np.asarray(asset.value_decay_frac**age)
    if np.isinf(asset.life_years):
        return np.ones_like(age)
    return np.maximum(0.0, 1.0 - age / asset.life_years)


def sale(purchase: Purchase, books: Books) -> Entry | None:
    """What it is sold for: hardware by age since delivery when it is replaced or the plan ends, the rest at the end.

    Buildings lose their value straight line, and all of it where the site closes; land keeps its.
    """
    asset, at_end = purchase.asset, purchase.retired == books.months.stop
    keeps = asset.hardware or np.isinf(asset.life_years)
    # Plant that a conversion takes out is scrap, as are buildings of a site that closes.
    if not keeps and (asset.retires is not None or books.economics.exit == "closed"):
        return None
    left = float(value_frac(asset, books, (purchase.retired - purchase.aged_from) / 12))
    if left == 0:
        return None
    return Entry(
        purchase.retired - at_end,
        "residual",
        purchase.item,
        asset.phase,
        asset.quantity * left,
        asset.unit,
        asset.unit_price_usd,
        asset.source,
    )


def residual(books: Books) -> Iterator[Entry]:
    """Sell what is replaced, and everything on the last day."""
    for purchase in bought(books):
        entry = sale(purchase, books)
        if entry is not None:
            yield entry


def decommissioning(books: Books) -> Iterator[Entry]:
    """Take out what is replaced, and clear a site that closes."""
    closes = books.economics.exit == "closed"
    for purchase in bought(books):
        asset = purchase.asset
        at_end = purchase.retired == books.months.stop
        if asset.accounts.decommission_frac == 0 or (at_end and not (closes and not asset.hardware)):
            continue
        yield Entry(
            purchase.retired - at_end,
            "opex",
            f"decommissioning: {asset.asset_class}, {asset.item}",
            asset.phase,
            asset.accounts.decommission_frac,
            "share of price",
            asset.cost_usd,
            "assumption",
            books.index("opex", asset.price_year),
        )
