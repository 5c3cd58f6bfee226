"""Cost lines of what the meters count: electricity, contracts of clean power, fuel, water."""

from collections.abc import Iterator

from dcsim.finance.books import Books
from dcsim.finance.ledger import Entry
from dcsim.finance.tariff import ENERGY, TAKE


def electricity(books: Books) -> Iterator[Entry]:
    """Bill each charge of the tariff; what a ratchet or a minimum adds to measured demand is a line of its own."""
    for line in books.quantities.bill:
        charge = line.charge
        index = books.index("energy", charge.price_year)
        label = f"electricity {charge.kind}: {charge.line}"
        label += "" if charge.period == "all" else f", {charge.period}"
        label += f", tier {charge.tier}" if charge.tier else ""
        price, source = charge.price_usd, charge.source
        if charge.kind in (ENERGY, TAKE) and (factor := books.economics.energy_price_factor) != 1.0:
            price, source = price * factor, f"{source}, times {factor:g} of the scenario"
        yield Entry(books.each_month, "opex", label, "site", line.quantity, line.unit, price, source, index)


def clean_power(books: Books) -> Iterator[Entry]:
    """Pay for what each contract of clean power delivers, at its nominal price."""
    for contract, delivered in books.quantities.clean_mwh:
        price = contract.certificate_usd_per_mwh
        label = f"clean power: {contract.name}"
        yield Entry(books.each_month, "opex", label, "site", delivered, "MWh", price, "scenario")


def diesel(books: Books) -> Iterator[Entry]:
    """Pay for the fuel of generators' tests."""
    key = books.scenario.site.diesel
    price = books.used.use("fuel of generators", "prices", key, "usd_per_l")
    row = books.used.catalog.row("prices", key, "usd_per_l")
    index = books.index("energy", row.price_year)
    litres = books.quantities.fuel_l
    yield Entry(books.each_month, "opex", "generator fuel", "site", litres, "L", price, row.source, index)


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
        yield Entry(books.each_month, "opex", item, "site", volume, "m3", price, row.source, index)
