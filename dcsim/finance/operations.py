"""Cost lines of operation: upkeep, people, insurance."""

from collections.abc import Iterator

from dcsim.finance.books import Books
from dcsim.finance.ledger import Entry, month_number


def maintenance(books: Books) -> Iterator[Entry]:
    """Upkeep of every asset in service: a yearly share of its price."""
    for asset in books.assets:
        if asset.upkeep.frac == 0:
            continue
        index = books.index("opex", asset.price_year)
        for month in range(max(month_number(asset.energised), books.months.start), books.months.stop):
            yield Entry(
                month,
                "opex",
                f"maintenance: {asset.asset_class}, {asset.item}",
                asset.phase,
                asset.upkeep.frac / 12,
                "share of price",
                asset.cost_usd,
                asset.upkeep.source,
                index,
            )


def _from_first_energised(books: Books) -> range:
    return range(min(month_number(phase.energised) for phase in books.scenario.facility.phases), books.months.stop)


def staff(books: Books) -> Iterator[Entry]:
    """Pay the site's people from the first energisation."""
    key = books.economics.operations
    people = books.used.use("staff", "operations", key, "staff_fte")
    price = books.used.use("staff", "operations", key, "usd_per_fte_year")
    row = books.used.catalog.row("operations", key, "usd_per_fte_year")
    index = books.index("opex", row.price_year)
    for month in _from_first_energised(books):
        yield Entry(month, "opex", "staff", "site", people, "FTE month", price / 12, row.source, index)


def insurance(books: Books) -> Iterator[Entry]:
    """Insure what is in service at its price, land excepted."""
    key = books.economics.operations
    frac = books.used.use("insurance", "operations", key, "insurance_frac")
    row = books.used.catalog.row("operations", key, "insurance_frac")
    for month in books.months:
        insured = sum(
            asset.cost_usd
            for asset in books.assets
            if asset.asset_class != "land" and month_number(asset.energised) <= month
        )
        yield Entry(month, "opex", "insurance", "site", insured, "USD insured", frac / 12, row.source)
