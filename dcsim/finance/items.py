"""Cost and revenue lines: one function each, which turns the facility and a month's quantities into ledger entries."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.finance.books import Books
from dcsim.finance.capital import capital, decommissioning, residual
from dcsim.finance.contracts import physical, solar_surplus, virtual
from dcsim.finance.financing import Financed, finance
from dcsim.finance.income import revenue, tokens
from dcsim.finance.ledger import Entry, ledger, month_name, rows
from dcsim.finance.operations import carbon_price, insurance, maintenance, property_tax, rent, software, staff
from dcsim.finance.statement import register, statement
from dcsim.finance.utilities import clean_power, diesel, electricity, water

ALWAYS = ("own", "colocation", "cloud")
METERED = ("own", "colocation")
OWNED = ("own",)


@dataclass(frozen=True)
class CostLine:
    """A registered line: its entries, what it means, and the kinds of tenure under which it is paid."""

    entries: Callable[[Books], Iterator[Entry]]
    meaning: str
    tenures: tuple[str, ...] = ALWAYS


CONVENTIONS = (
    "The ledger holds nominal US dollars by calendar month. npv_usd, irr_frac and the cost of a GPU-hour are before "
    "income tax and financing; after-tax and equity figures say so in their names.",
    "A flow is discounted by (1 + r)^(-k/12), k months after the valuation month; rates are annual effective. XIRR "
    "counts days over 365 from the last day of the first month. Interest of a loan is a twelfth of its annual rate.",
    "Levelised cost: present value of capital and operating cost less residual value, before tax, over the present "
    "value of the GPU-hours that jobs and services hold, both at discount_rate; costs stay nominal in the numerator.",
    "Construction is paid evenly from order to delivery, or by stated draws, and inflated to the month of payment; "
    "hardware is paid at the catalog's price, a deposit on order and the rest on delivery.",
    "What is replaced, and everything on the last day, is sold: hardware by market decay since delivery, buildings and "
    "plant straight line, land whole, all on the price in the dollars of its year; insurance and property tax count so "
    "too. Hardware is insured and kept up from delivery, powered or not.",
    "Energy is billed on interval means at the meter; demand is the highest interval mean of the month within its "
    "hours. What a ratchet or a minimum adds to measured demand is a line of its own; a ratchet knows no month before "
    "the plan. Coincident demand is the highest of a stated window, which stands for the hours of system peaks.",
    "A job wider than a node holds whole nodes; revenue counts allocated GPU-hours times the sold share.",
    "PUE, WUE and CUE are ratios of sums; carbon is operational. Location-based it follows the grid table and the "
    "energy through the meter, whoever sells it; market-based, contracts of clean power count against that of their "
    "calendar year; hourly-matched, against that of their interval. Excess is not carried over; certificates are kept.",
    "A physical power purchase agreement takes energy off the tariff hour by hour, up to what goes through the meter; "
    "charges on demand stay whole. A virtual one is settled on what its plant generates and moves no power.",
    "PUE and water are of this plant in this climate at this load. Climate alone predicts no site: of 20 region-years "
    "that operators report, the PUE of one plant by climate ranks with the reported one by 0.04 (dcsim validate pue).",
    "The weather is a typical year repeated; 28 February stands for a leap day.",
)

COST_LINES: dict[str, CostLine] = {
    "capital": CostLine(capital, "assets and their replacements, paid between order and delivery"),
    "electricity": CostLine(electricity, "energy, demand and fixed charges of the tariff", METERED),
    "power contracts": CostLine(physical, "physical power purchase agreements: energy, delivery, surplus", METERED),
    "virtual power contracts": CostLine(virtual, "virtual power purchase agreements: differences settled", METERED),
    "solar surplus": CostLine(solar_surplus, "sun that neither site nor battery takes, sold", OWNED),
    "clean power": CostLine(clean_power, "certificates of carbon-free power under contract", METERED),
    "diesel": CostLine(diesel, "fuel of generators' tests", OWNED),
    "water": CostLine(water, "make-up water and sewer", OWNED),
    "maintenance": CostLine(maintenance, "upkeep as a share of price"),
    "staff": CostLine(staff, "people on site"),
    "insurance": CostLine(insurance, "insurance of what stands, at its price"),
    "software": CostLine(software, "licences a GPU and year"),
    "property tax": CostLine(property_tax, "tax on hardware and on real property"),
    "rent": CostLine(rent, "colocation by the kilowatt, or GPUs of a cloud by the hour"),
    "carbon price": CostLine(carbon_price, "price on operational carbon", METERED),
    "decommissioning": CostLine(decommissioning, "taking out what is replaced, clearing a site that closes"),
    "revenue": CostLine(revenue, "GPU-hours sold or charged"),
    "tokens": CostLine(tokens, "tokens of services sold"),
    "residual": CostLine(residual, "value of what is left on the last day"),
}


@dataclass(frozen=True)
class Costed:
    """Every entry, and what was found of loan and tax; tables of them are made when they are first asked for."""

    entries: tuple[Entry, ...]
    financed: Financed
    gpus: NDArray[np.float64]

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """Every row as a table."""
        return ledger(self.entries)

    @cached_property
    def statement(self) -> pd.DataFrame:
        """Profit and loss, cash and debt by month."""
        return statement(self.ledger, self.financed, self.gpus)

    @cached_property
    def register(self) -> pd.DataFrame:
        """One row a purchase."""
        return register(self.financed)


def cost(books: Books) -> Costed:
    """Run every registered line, then finance and tax what they leave."""
    kind = books.economics.tenure.kind
    lines = (line for line in COST_LINES.values() if kind in line.tenures)
    operating = rows(entry for line in lines for entry in line.entries(books))
    found = finance(books, operating)
    gpus = np.sum(list(books.standing.energised_gpu_h.values()), axis=0) / books.standing.hours
    return Costed((*operating.entries, *found.entries), found, gpus)


def findings(books: Books, costed: Costed) -> dict[str, Any]:
    """Rates and months that the statement rests on, for whoever works it out again."""
    economics, found = books.economics, costed.financed
    indexed = costed.ledger.loc[costed.ledger["index"] != "", "index"]
    rates = {of.price_index.name: of.price_index.rate_frac for of in costed.entries if of.price_index}
    tax, debt = found.tax, economics.debt
    return {
        "first_month": month_name(found.first_month),
        "indices": {str(name): rates[str(name)] for name in sorted(set(indexed))},
        "discount_rate": economics.discount_rate,
        "inflation_frac": books.inflation_frac("opex"),
        "equity_rate": economics.discount_rate if economics.equity_rate is None else economics.equity_rate,
        "tax": None
        if tax is None or economics.tax is None
        else {
            "rate_frac": tax.rate_frac,
            "bonus_frac": tax.bonus_frac,
            "loss_limit_frac": tax.loss_limit_frac,
            "losses": economics.tax.losses,
            "first_year": tax.first_year,
        },
        "loan": None
        if found.loan is None or debt is None
        else {
            "limited_by": found.loan_size_limit,
            "first_payment": month_name(found.repaid_from),
            "interest_from": month_name(found.interest_from),
            "payments": found.n_payments,
            "drawn_usd": float(found.loan.drawn_usd.sum()),
            "rate_frac": debt.rate_frac,
            "ltv_frac": debt.ltv_frac,
            "fee_frac": debt.fee_frac,
            "repayment": debt.repayment,
            "dscr": debt.dscr,
        },
    }


def conventions(books: Books) -> list[str]:
    """How the figures of a plan are to be read, for every output."""
    economics = books.economics
    said = [*CONVENTIONS]
    if economics.dollars == "real":
        said.append(
            "Present values and rates of return are real: flows are divided by the growth of operating prices, "
            f"{books.inflation_frac('opex'):.2%} a year since the valuation month, and discount_rate is a real rate."
        )
    if economics.tenure.kind != "own":
        said.append(f"Tenure is {economics.tenure.kind}: nothing is built; what the landlord runs is in the rent.")
    if economics.tax is not None:
        said.append(
            "Income tax is computed by calendar year and paid in its last month; property follows MACRS, losses are "
            f"{economics.tax.losses.replace('_', ' ')}; there are no deferred taxes and interest is deducted in full."
        )
    if economics.debt is not None:
        said.append(
            "The loan is drawn with capital until the last phase is energised; interest before the first energisation "
            "is added to it; what is left at the plan's end falls due. It is drawn at month ends. Debt service cover "
            "is cash after tax without debt, spread over its year, over scheduled interest and principal."
        )
    site = books.scenario.site
    if site.solar is not None:
        said.append(
            "On-site solar follows the radiation of the typical year, hour by hour, and fades with age; it lowers what "
            "goes through the meter, so location-based carbon too, and counts as no contract of clean power."
        )
    if site.battery is not None:
        known = "load and price of each day" if site.battery.dispatch == "arbitrage" else "load of each month"
        said.append(
            f"The battery knows the {known} beforehand, which bounds what a controller saves; it leaves contracts of "
            "power out of account, keeps its capacity and backs nothing up."
        )
    if economics.property_tax is None:
        said.append("Property tax is not counted: state economics.property_tax.")
    return said
