"""Cost and revenue lines: one function each, which turns the facility and a month's quantities into ledger entries."""

import datetime
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.assets import Asset
from dcsim.catalog.load import Assumptions
from dcsim.clean_power import CleanSupply
from dcsim.finance.ledger import Entry, ledger, month_number
from dcsim.finance.tariff import BillLine, Tariff, bill
from dcsim.model.economics import Economics, Nothing, Rental
from dcsim.model.facility import CleanPower
from dcsim.model.scenario import Scenario
from dcsim.serving.plan import Outcome
from dcsim.steps import sum_by
from dcsim.units import SECONDS_PER_HOUR, m3_from_kg_water, mwh_from_j

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tokens:
    """What a service answered, by month, with its price; arrays of shape (n_months,). [million tokens]"""

    service: str
    model: str
    kind: str
    millions: Floats
    usd_per_million: float


@dataclass(frozen=True)
class Quantities:
    """What the simulated plan bought and sold, by month; every array has shape (n_months,), GPU-hours are by pool."""

    first_month: int
    bill: tuple[BillLine, ...]
    make_up_m3: Floats
    sewer_m3: Floats
    allocated_gpu_h: dict[str, Floats]
    fuel_l: Floats
    tokens: tuple["Tokens", ...] = ()
    clean_mwh: tuple[tuple[CleanPower, Floats], ...] = ()


@dataclass(frozen=True)
class Books:
    """What a cost line may look at."""

    scenario: Scenario
    assets: tuple[Asset, ...]
    quantities: Quantities
    used: Assumptions

    def inflation_frac(self, what: str) -> float:
        """Yearly inflation of ``opex``, ``energy`` or ``construction``: the scenario's, else the catalog's."""
        stated: float | None = getattr(self.economics, f"{what}_inflation_frac")
        if what == "construction":
            table, key, parameter = "prices", self.economics.construction, "inflation_frac_per_year"
        else:
            table, key, parameter = "operations", self.economics.operations, f"{what}_inflation_frac_per_year"
        if stated is None:
            return self.used.use("inflation", table, key, parameter)
        return self.used.state("inflation", table, key, parameter, stated, "1/year")

    @property
    def economics(self) -> Economics:
        """The scenario's economics."""
        return self.scenario.economics

    @property
    def months(self) -> range:
        """Month numbers of the plan."""
        return range(month_number(self.scenario.plan.start), month_number(self.scenario.plan.end))


@dataclass(frozen=True)
class CostLine:
    """A registered line: its entries and what it means."""

    entries: Callable[[Books], Iterator[Entry]]
    meaning: str


def monthly_quantities(
    tariff: Tariff,
    intervals: pd.DataFrame,
    pools: pd.DataFrame,
    plan_start: datetime.date,
    clean: Sequence[CleanSupply] = (),
    services: Sequence[Outcome] = (),
) -> Quantities:
    """Sum the interval table, that of the pools, what services answer and clean power delivers, into months."""
    start_s = intervals["start_s"].to_numpy()
    when = pd.DatetimeIndex(np.datetime64(plan_start, "s") + start_s.astype("timedelta64[s]"))
    month = (when.year.to_numpy() * 12 + when.month.to_numpy() - 1 - month_number(plan_start)).astype(np.int64)
    duration_s = intervals["duration_s"].to_numpy()
    n_months = int(month[-1]) + 1

    def total(values: Floats) -> Floats:
        return sum_by(month, values, n_months)

    hours = duration_s / SECONDS_PER_HOUR
    return Quantities(
        first_month=month_number(plan_start),
        bill=tuple(bill(tariff, when, intervals["facility_power_w"].to_numpy(), duration_s, month)),
        make_up_m3=m3_from_kg_water(total(intervals["water_kg"].to_numpy())),
        sewer_m3=m3_from_kg_water(total(intervals["blowdown_kg"].to_numpy())),
        allocated_gpu_h={
            str(name): total(of["gpus_allocated"].to_numpy() * hours) for name, of in pools.groupby("pool", sort=False)
        },
        fuel_l=total(intervals["generator_fuel_l"].to_numpy()),
        tokens=tuple(
            Tokens(stated.name, stated.model, kind, total(per_s * duration_s) / 1e6, price)
            for of in services
            for stated in (of.planned.stated,)
            for kind, per_s, price in (
                ("prompts", of.prompt_tokens_per_s, stated.usd_per_million_prompt_tokens),
                ("answers", of.output_tokens_per_s, stated.usd_per_million_output_tokens),
            )
        ),
        clean_mwh=tuple((supply.contract, mwh_from_j(total(supply.power_w * duration_s))) for supply in clean),
    )


def _inflated(price_usd: float, price_year: int | None, month: int, inflation_frac: float) -> float:
    """Price in the dollars of *month*; a price of a year counts for the middle of it."""
    years = 0.0 if price_year is None else month / 12 - (price_year + 0.5)
    return float(price_usd * (1.0 + inflation_frac) ** years)


def _purchases(asset: Asset, books: Books) -> list[int]:
    """Months in which an asset goes into service: when energised, then each time its life is over within the plan."""
    first = month_number(asset.energised)
    if asset.life_years == float("inf"):
        return [first]
    step = max(1, round(asset.life_years * 12))
    return list(range(first, books.months.stop, step))


def capital(books: Books) -> Iterator[Entry]:
    """Pay for each asset and its replacements: construction evenly from order to delivery, hardware in two parts."""
    economics = books.economics
    for asset in books.assets:
        order, delivery = month_number(asset.schedule.order), month_number(asset.schedule.delivery)
        for renewal, in_service in enumerate(_purchases(asset, books)):
            lead = month_number(asset.energised) - delivery
            paid = delivery if renewal == 0 else in_service - lead
            item = asset.item if renewal == 0 else f"{asset.item} (replacement)"
            if not asset.hardware:
                draws = range(order + paid - delivery, paid + 1)
                shares = [(month, 1.0 / len(draws)) for month in draws]
            elif order == delivery:
                shares = [(paid, 1.0)]
            else:
                deposit = economics.hardware_deposit_frac
                shares = [(paid - (delivery - order), deposit), (paid, 1.0 - deposit)]
            inflation = 0.0 if asset.hardware else books.inflation_frac("construction")
            for month, share in shares:
                price = _inflated(asset.unit_price_usd, asset.price_year, month, inflation)
                label = f"{asset.asset_class}: {item}"
                yield Entry(month, "capex", label, asset.phase, asset.quantity * share, asset.unit, price, asset.source)


def embodied_kg(books: Books) -> dict[str, float]:
    """Carbon of making and building what goes into service within the plan, replacements included, by asset class. [kg]

    Land, networks, storage and support are not counted: no source was found.
    """
    found: dict[str, float] = {}
    for asset in books.assets:
        carbon = asset.embodied_kg * asset.quantity * len(_purchases(asset, books))
        found[asset.asset_class] = found.get(asset.asset_class, 0.0) + carbon
    return found


def residual(books: Books) -> Iterator[Entry]:
    """Value of each asset on the last day: market decay for hardware, straight line for buildings, land at cost."""
    end = books.months.stop
    for asset in books.assets:
        age_years = (end - _purchases(asset, books)[-1]) / 12
        if asset.value_decay_frac is not None:
            left = asset.value_decay_frac**age_years
        elif asset.life_years == float("inf"):
            left = 1.0
        else:
            left = max(0.0, 1.0 - age_years / asset.life_years)
        label = f"{asset.asset_class}: {asset.item}"
        yield Entry(
            end - 1,
            "residual",
            label,
            asset.phase,
            asset.quantity * left,
            asset.unit,
            asset.unit_price_usd,
            asset.source,
        )


def electricity(books: Books) -> Iterator[Entry]:
    """Bill each charge of the tariff: energy, demand and fixed."""
    inflation = books.inflation_frac("energy")
    for line in books.quantities.bill:
        charge = line.charge
        label = f"electricity {charge.kind}: {charge.line}" + ("" if charge.period == "all" else f", {charge.period}")
        for month, quantity in zip(books.months, line.quantity, strict=True):
            price = _inflated(charge.price_usd, charge.price_year, month, inflation)
            yield Entry(month, "opex", label, "site", float(quantity), line.unit, price, charge.source)


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
    inflation = books.inflation_frac("energy")
    price = books.used.use("fuel of generators", "prices", key, "usd_per_l")
    row = books.used.catalog.row("prices", key, "usd_per_l")
    for month, quantity in zip(books.months, books.quantities.fuel_l, strict=True):
        if quantity > 0:
            inflated = _inflated(price, row.price_year, month, inflation)
            yield Entry(month, "opex", "generator fuel", "site", float(quantity), "L", inflated, row.source)


def water(books: Books) -> Iterator[Entry]:
    """Bill make-up water and the sewer for blowdown."""
    key = books.scenario.site.water
    inflation = books.inflation_frac("opex")
    for item, parameter, volume in (
        ("water", "water_usd_per_m3", books.quantities.make_up_m3),
        ("sewer", "sewer_usd_per_m3", books.quantities.sewer_m3),
    ):
        price = books.used.use("water bill", "prices", key, parameter)
        row = books.used.catalog.row("prices", key, parameter)
        for month, quantity in zip(books.months, volume, strict=True):
            inflated = _inflated(price, row.price_year, month, inflation)
            yield Entry(month, "opex", item, "site", float(quantity), "m3", inflated, row.source)


def maintenance(books: Books) -> Iterator[Entry]:
    """Upkeep of every asset in service: a yearly share of its price."""
    inflation = books.inflation_frac("opex")
    for asset in books.assets:
        if asset.upkeep.frac == 0:
            continue
        for month in range(max(month_number(asset.energised), books.months.start), books.months.stop):
            price = _inflated(asset.cost_usd, asset.price_year, month, inflation)
            yield Entry(
                month,
                "opex",
                f"maintenance: {asset.asset_class}, {asset.item}",
                asset.phase,
                asset.upkeep.frac / 12,
                "share of price",
                price,
                asset.upkeep.source,
            )


def _from_first_energised(books: Books) -> range:
    return range(min(month_number(phase.energised) for phase in books.scenario.facility.phases), books.months.stop)


def staff(books: Books) -> Iterator[Entry]:
    """Pay the site's people from the first energisation."""
    key = books.economics.operations
    people = books.used.use("staff", "operations", key, "staff_fte")
    price = books.used.use("staff", "operations", key, "usd_per_fte_year")
    row = books.used.catalog.row("operations", key, "usd_per_fte_year")
    inflation = books.inflation_frac("opex")
    for month in _from_first_energised(books):
        inflated = _inflated(price / 12, row.price_year, month, inflation)
        yield Entry(month, "opex", "staff", "site", people, "FTE month", inflated, row.source)


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


def revenue(books: Books) -> Iterator[Entry]:
    """Sell or charge the allocated GPU-hours."""
    terms = books.economics.revenue
    if isinstance(terms, Nothing):
        return
    if isinstance(terms, Rental):
        prices, source = rental_path(books, terms)
        label = f"GPU rental: {terms.price_path}"
        factors = terms.price_factors
    else:
        prices, source = [terms.usd_per_gpu_h] * len(books.months), "scenario"
        label, factors = "internal transfer", {}
    sold: dict[str, Floats] = {}
    for pool, hours in books.quantities.allocated_gpu_h.items():
        # Pools without a price of their own are sold together.
        name = pool if pool in factors else ""
        sold[name] = sold.get(name, 0.0) + hours * terms.sold_frac
    for pool, quantities in sold.items():
        factor = factors.get(pool, 1.0)
        item = f"{label}, pool {pool}, times {factor:g}" if pool else label
        for month, quantity, price in zip(books.months, quantities, prices, strict=True):
            yield Entry(month, "revenue", item, "site", float(quantity), "GPU h", price * factor, source)


def tokens(books: Books) -> Iterator[Entry]:
    """Sell the tokens of services at the prices that the planner states, nominal and constant."""
    if isinstance(books.economics.revenue, Nothing):
        return
    for of in books.quantities.tokens:
        if of.usd_per_million == 0:
            continue
        label = f"tokens of {of.kind}: {of.service}, {of.model}"
        for month, quantity in zip(books.months, of.millions, strict=True):
            yield Entry(month, "revenue", label, "site", float(quantity), "M tokens", of.usd_per_million, "scenario")


def rental_path(books: Books, terms: Rental) -> tuple[list[float], str]:
    """Price of each month: interpolated between the catalog's dated prices, then falling at a constant rate."""
    part = books.used.catalog.part("prices", terms.price_path)
    dated = sorted(name for name in part if re.fullmatch(r"\d{4}-\d{2}", name))
    known = [month_number(datetime.date(int(name[:4]), int(name[5:]), 1)) for name in dated]
    values = [books.used.use("revenue", "prices", terms.price_path, name) for name in dated]
    decline = "decline_frac_per_year"
    if terms.decline_frac_per_year is None:
        fall = books.used.use("revenue", "prices", terms.price_path, decline)
    else:
        fall = books.used.state("revenue", "prices", terms.price_path, decline, terms.decline_frac_per_year, "1/year")
    prices = [
        float(np.interp(month, known, values)) * (1.0 - fall) ** (max(0, month - known[-1]) / 12)
        for month in books.months
    ]
    return prices, part[dated[-1]].source


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
