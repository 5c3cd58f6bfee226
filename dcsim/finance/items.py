"""Cost and revenue lines: one function each, which turns the facility and a month's quantities into ledger entries."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from dcsim.finance.books import Books
from dcsim.finance.capital import capital, residual
from dcsim.finance.income import revenue, tokens
from dcsim.finance.ledger import Entry, ledger
from dcsim.finance.operations import insurance, maintenance, staff
from dcsim.finance.utilities import clean_power, diesel, electricity, water


@dataclass(frozen=True)
class CostLine:
    """A registered line: its entries and what it means."""

    entries: Callable[[Books], Iterator[Entry]]
    meaning: str


CONVENTIONS = (
    "Nominal US dollars by calendar month; before tax and before financing; property tax is not included.",
    "A flow is discounted by (1 + r)^(-k/12), k months after the valuation month; rates are annual effective.",
    "Construction is paid evenly from order to delivery and inflated to the month of payment; hardware is paid at the "
    "catalog's price, a deposit on order and the rest on delivery.",
    "Residual value on the last day: hardware by market decay, buildings and plant straight line, land at cost.",
    "Energy is billed on interval means at the meter; demand is the highest interval mean of the month within its "
    "hours; ratchets and minimum bills are not modelled.",
    "A job wider than a node holds whole nodes; revenue counts allocated GPU-hours times the sold share.",
    "PUE, WUE and CUE are ratios of sums; carbon is operational. Location-based it follows the grid table alone; "
    "market-based, contracts of clean power count against the energy of their calendar year; hourly-matched, against "
    "that of their interval. Excess is neither sold nor carried over.",
    "PUE and water are of this plant in this climate at this load. Climate alone predicts no site: of 20 region-years "
    "that operators report, the PUE of one plant by climate ranks with the reported one by 0.04 (dcsim validate pue).",
    "The weather is a typical year repeated; 28 February stands for a leap day.",
)

COST_LINES: dict[str, CostLine] = {
    "capital": CostLine(capital, "assets and their replacements, paid between order and delivery"),
    "electricity": CostLine(electricity, "energy, demand and fixed charges of the tariff"),
    "clean power": CostLine(clean_power, "certificates of carbon-free power under contract"),
    "diesel": CostLine(diesel, "fuel of generators' tests"),
    "water": CostLine(water, "make-up water and sewer"),
    "maintenance": CostLine(maintenance, "upkeep as a share of price"),
    "staff": CostLine(staff, "people on site"),
    "insurance": CostLine(insurance, "insurance of what is in service"),
    "revenue": CostLine(revenue, "GPU-hours sold or charged"),
    "tokens": CostLine(tokens, "tokens of services sold"),
    "residual": CostLine(residual, "value of what is left on the last day"),
}


def cost(books: Books) -> pd.DataFrame:
    """Run every registered line and return the ledger."""
    return ledger(entry for line in COST_LINES.values() for entry in line.entries(books))
