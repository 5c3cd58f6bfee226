"""Cost lines of what the meters count: electricity, contracts of clean power, fuel, water."""

from collections.abc import Iterator

from dcsim.finance.books import Books
from dcsim.finance.ledger import Entry


def electricity(books: Books) -> Iterator[Entry]:
    """Bill each charge of the tariff; what a ratchet or a minimum adds to measured demand is a line of its own."""
    for line in books.quantities.bill:
        charge = line.charge
        index = books.index("energy", charge.price_year)
        label = f"electricity {charge.kind}: {charge.line}"
        label += "" if charge.period == "all" else f", {charge.period}"
        label += f", tier {charge.tier}" if charge.tier else ""
        for month, quantity in zip(books.months, line.quantity, strict=True):
            yield Entry(
                month, "opex", label, "site", float(quantity), line.unit, charge.price_usd, charge.source, index
            )


def clean_power(books: Books) -> Iterator[Entry]:
    """Pay for what each contract of clean power delivers, at its nominal price."""
    for contract, delivered in books.quantities.clean_mwh:
        for month, quantity in zip(books.months, delivered, strict=True):
            price = contract.certificate_usd_per_mwh
            label = f"clean power: {contract.name}"
            yield Entry(month, "opex", label, "site", float(quantity), "MWh", price, "scenario")


def diesel(books: Books) -> Iterator[Entry]:
    """Pay for the fuel of generators' tests."""
    key = books.scenario.site.diesel
    price = books.used.use("fuel of generators", "prices", key, "usd_per_l")
    row = books.used.catalog.row("prices", key, "usd_per_l")
    index = books.index("energy", row.price_year)
    for month, quantity in zip(books.months, books.quantities.fuel_l, strict=True):
        if quantity > 0:
            yield Entry(month, "opex", "generator fuel", "site", float(quantity), "L", price, row.source, index)


def water(books: Books) -> Iterator[Entry]:
    """Bill make-up water and the sewer for blowdown."""
    key = books.scenario.site.water
    for item, parameter, volume in (
        ("water", "water_usd_per_m3", books.quantities.make_up_m3),
        ("sewer", "sewer_usd_per_m3", books.quantities.sewer_m3),
    ):
        price = books.used.use("water bill", "prices", key, parameter)
        row = books.used.catalog.row("prices", key, parameter)
        index = books.index("opex", row.price_year)
        for month, quantity in zip(books.months, volume, strict=True):
            yield Entry(month, "opex", item, "site", float(quantity), "m3", price, row.source, index)
