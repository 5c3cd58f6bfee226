"""Cost lines of operation: upkeep, people, insurance, licences, property tax, rent, the price of carbon."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dcsim.assets import Asset
from dcsim.finance.books import CARBON, Books, Standing
from dcsim.finance.capital import bought, leaves, value_frac
from dcsim.finance.income import price_path
from dcsim.finance.ledger import Entry, Index, month_number
from dcsim.model.financing import Cloud, Colocation, Own

Floats = NDArray[np.float64]

# Hours a year in which a post of each shift is filled.
HOURS_PER_POST = {"24x7": 8760.0, "day": 52.0 * 5.0 * 8.0}


def maintenance(books: Books) -> Iterator[Entry]:
    """Upkeep of every asset, a yearly share of its price: hardware from delivery, plant from going into service."""
    for asset in books.assets:
        if asset.upkeep.frac == 0:
            continue
        index = books.index("opex", asset.price_year)
        yield Entry(
            np.arange(kept_from(asset), leaves(asset, books)),
            "opex",
            f"maintenance: {asset.asset_class}, {asset.item}",
            asset.phase,
            asset.upkeep.frac / 12,
            "share of price",
            asset.cost_usd,
            asset.upkeep.source,
            index,
        )


def kept_from(asset: Asset) -> int:
    """Month from which an asset is kept up and insured: hardware from delivery, anything else from its service."""
    return month_number(asset.schedule.delivery if asset.hardware else asset.energised)


def staff(books: Books) -> Iterator[Entry]:
    """Pay the site's people from the first energisation: by post and shift where posts are stated, else by head."""
    if isinstance(books.economics.tenure, Cloud):
        return
    key, used = books.economics.operations, books.used
    price = used.use("staff", "operations", key, "usd_per_fte_year")
    row = used.catalog.row("operations", key, "usd_per_fte_year")
    index = books.index("opex", row.price_year)
    if books.economics.staff:
        hours = used.use("staff", "operations", key, "hours_per_fte_year")
        heads = [
            (
                f"staff: {post.role}, {post.posts:g} posts {post.shift}",
                post.posts * HOURS_PER_POST[post.shift] / hours,
                post.usd_per_fte_year or price,
                row.source if post.usd_per_fte_year is None else "scenario",
            )
            for post in books.economics.staff
        ]
    else:
        owns = isinstance(books.economics.tenure, Own)
        people = used.use("staff", "operations", key, "staff_fte" if owns else "colocation_staff_fte")
        heads = [("staff", people, price, row.source)]
    first = min(month_number(phase.energised) for phase in books.scenario.facility.phases)
    months = np.arange(first, books.months.stop)
    for item, people, usd_per_year, source in heads:
        yield Entry(months, "opex", item, "site", people, "FTE month", usd_per_year / 12, source, index)


def insurance(books: Books) -> Iterator[Entry]:
    """Insure at its price, land excepted: hardware from delivery, buildings from going into service."""
    key = books.economics.operations
    frac = books.used.use("insurance", "operations", key, "insurance_frac")
    row = books.used.catalog.row("operations", key, "insurance_frac")
    insured = [asset for asset in books.assets if asset.asset_class != "land"]
    if not insured:
        return
    since = np.array([kept_from(asset) for asset in insured])
    until = np.array([leaves(asset, books) for asset in insured])
    months = np.arange(since.min(), books.months.stop)
    stands = (since[:, np.newaxis] <= months) & (months < until[:, np.newaxis])
    usd = np.where(stands, np.array([[asset.cost_usd] for asset in insured]), 0.0).sum(axis=0)
    yield Entry(months, "opex", "insurance", "site", usd, "USD insured", frac / 12, row.source)


def software(books: Books) -> Iterator[Entry]:
    """Licences a GPU and year, on the GPUs energised."""
    stands = books.standing
    for key in books.economics.software:
        price = books.used.use("software", "operations", key, "usd_per_gpu_year")
        row = books.used.catalog.row("operations", key, "usd_per_gpu_year")
        index = books.index("opex", row.price_year)
        gpus = np.asarray(np.sum(list(stands.energised_gpu_h.values()), axis=0) / stands.hours)
        item = f"software: {key}"
        yield Entry(books.each_month, "opex", item, "site", gpus, "GPU month", price / 12, row.source, index)


def property_tax(books: Books) -> Iterator[Entry]:
    """Tax hardware on its market value and real property on its value in use, month by month from delivery on."""
    key = books.economics.property_tax
    if key is None:
        return
    found = bought(books)
    since, until = (np.array([getattr(one, of) for one in found], dtype=np.int64) for of in ("aged_from", "retired"))
    months = np.arange(since.min(initial=books.months.start), books.months.stop)
    age_months = months - since[:, np.newaxis]
    stands = (age_months >= 0) & (months < until[:, np.newaxis])
    price_usd = np.array([one.asset.cost_usd for one in found])[:, np.newaxis]
    worth_usd = np.where(stands, price_usd * value_frac(found, books, np.maximum(age_months, 0) / 12), 0.0)
    hardware = np.array([one.asset.hardware for one in found], dtype=bool)
    values = {"personal": worth_usd[hardware].sum(axis=0), "real": worth_usd[~hardware].sum(axis=0)}
    for kind, parameter in (("personal", "personal_frac"), ("real", "real_frac")):
        frac = books.used.use("property tax", "taxes", key, parameter)
        source = books.used.catalog.row("taxes", key, parameter).source
        item = f"property tax: {kind} property"
        yield Entry(months, "opex", item, "site", values[kind], "USD value", frac / 12, source)


def rent(books: Books) -> Iterator[Entry]:
    """Rent of a tenant: kilowatts of a colocation, or GPU-hours of a cloud."""
    tenure = books.economics.tenure
    if isinstance(tenure, Colocation):
        yield from _colocation(books, tenure, books.standing)
    elif isinstance(tenure, Cloud):
        yield from _cloud(books, tenure, books.standing)


def _colocation(books: Books, tenure: Colocation, stands: Standing) -> Iterator[Entry]:
    used, key = books.used, tenure.rent
    row = used.catalog.row("prices", key, "usd_per_kw_month")
    price, source, rise = tenure.usd_per_kw_month, "scenario", tenure.escalation_frac_per_year
    if price is None:
        price, source = used.use("rent", "prices", key, "usd_per_kw_month"), row.source
    if rise is None:
        rise = used.use("rent", "prices", key, "escalation_frac_per_year")
    index = None if row.price_year is None else Index("rent", rise, row.price_year + 0.5)
    item = f"colocation rent: {key}"
    yield Entry(books.each_month, "opex", item, "site", stands.critical_kw, "kW month", price, source, index)


def _cloud(books: Books, tenure: Cloud, stands: Standing) -> Iterator[Entry]:
    path = price_path(books, tenure, "cloud rent")
    for pool, energised in stands.energised_gpu_h.items():
        held = books.quantities.allocated_gpu_h[pool] + stands.serving_gpu_h[pool]
        hours = energised if tenure.commitment == "reserved" else held
        factor = tenure.price_factors.get(pool, 1.0)
        item = f"cloud rent: {tenure.price_path}, pool {pool}, {tenure.commitment.replace('_', ' ')}"
        yield from path.rows(books, "opex", item, hours, factor)


def carbon_price(books: Books) -> Iterator[Entry]:
    """Pay for operational carbon by the account that is stated, and for the fuel of generators."""
    priced = books.economics.carbon_price
    if priced is None:
        return
    stands = books.standing
    index = books.index(CARBON, priced.price_year)
    tonnes = stands.carbon_t[priced.on] + stands.carbon_t["fuel"]
    item, price = f"carbon price: {priced.on}", priced.usd_per_t
    yield Entry(books.each_month, "opex", item, "site", tonnes, "t", price, "scenario", index)
