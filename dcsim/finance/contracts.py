"""Cost lines of power beside the tariff: physical contracts, virtual ones by differences, sun that is left over."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dcsim.finance.books import Books
from dcsim.finance.contract_months import ContractMonths, yearly_rise
from dcsim.finance.ledger import Entry, month_number
from dcsim.model.power import PhysicalPpa, VirtualPpa

Floats = NDArray[np.float64]


def _prices(books: Books, of: ContractMonths, first_usd: float) -> Floats:
    """Price of a contract in each month, which rises at each anniversary of its start. [USD/MWh]"""
    started = month_number(of.contract.start or books.scenario.plan.start)
    rise = yearly_rise(of.contract.escalation_frac_per_year, books.each_month - started)
    return np.asarray(first_usd * rise)


def _row(books: Books, item: str, quantity_mwh: Floats, price_usd: Floats | float) -> Entry:
    return Entry(books.each_month, "opex", f"electricity {item}", "site", quantity_mwh, "MWh", price_usd, "scenario")


def physical(books: Books) -> Iterator[Entry]:
    """Pay for what physical contracts generate or the site uses, and for delivery; sell what is left over."""
    for of in books.quantities.contracts:
        contract = of.contract
        if not isinstance(contract, PhysicalPpa):
            continue
        paid = of.generated_mwh if contract.take_or_pay else of.used_mwh
        yield _row(books, f"PPA: {contract.name}", paid, _prices(books, of, contract.usd_per_mwh))
        if contract.sleeve_usd_per_mwh > 0:
            yield _row(books, f"PPA sleeve: {contract.name}", of.used_mwh, contract.sleeve_usd_per_mwh)
        if contract.surplus_usd_per_mwh is not None:
            left = of.generated_mwh - of.used_mwh
            yield _row(books, f"PPA surplus: {contract.name}", left, -contract.surplus_usd_per_mwh)


def virtual(books: Books) -> Iterator[Entry]:
    """Settle virtual contracts: the strike is paid, the hub's price and the basis are got, for all that is settled."""
    for of in books.quantities.contracts:
        contract = of.contract
        if not isinstance(contract, VirtualPpa):
            continue
        settled = of.settled_mwh
        captured = np.divide(of.hub_usd, settled, out=np.zeros_like(settled), where=settled > 0)
        strike = _prices(books, of, contract.strike_usd_per_mwh)
        yield _row(books, f"virtual PPA strike: {contract.name}", settled, strike)
        yield _row(books, f"virtual PPA hub: {contract.name}", settled, -captured)
        if contract.basis_usd_per_mwh != 0:
            yield _row(books, f"virtual PPA basis: {contract.name}", settled, -contract.basis_usd_per_mwh)


def solar_surplus(books: Books) -> Iterator[Entry]:
    """Sell what on-site photovoltaics make beyond what the site takes, where the scenario states a price."""
    solar, surplus = books.scenario.site.solar, books.quantities.solar_surplus_mwh
    if solar is None or solar.surplus_usd_per_mwh is None or surplus is None:
        return
    yield _row(books, "surplus: on-site solar", surplus, -solar.surplus_usd_per_mwh)
