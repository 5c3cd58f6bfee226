"""Assets that a planner states by their own price, in any currency, beside the bill of materials."""

from dcsim.assets import Asset, Upkeep, accounts
from dcsim.catalog.load import Assumptions
from dcsim.model.facility import Schedule
from dcsim.model.financing import OwnAsset
from dcsim.model.scenario import Scenario

HARDWARE = ("GPUs", "servers", "network", "optics", "storage", "spares")


def stated_assets(used: Assumptions, scenario: Scenario) -> list[Asset]:
    """Assets of ``economics.assets``, priced in US dollars."""
    return [_asset(used, scenario, stated) for stated in scenario.economics.assets]


def _asset(used: Assumptions, scenario: Scenario, stated: OwnAsset) -> Asset:
    rate = 1.0 if stated.currency == "USD" else scenario.economics.exchange_usd[stated.currency]
    hardware = stated.asset_class in HARDWARE
    in_currency = "" if stated.currency == "USD" else f"; {stated.unit_price:,g} {stated.currency} at {rate:g} USD"
    of = accounts(used, stated.asset_class, hardware=hardware)
    return Asset(
        phase="site",
        schedule=Schedule(order=stated.order, delivery=stated.delivery, draws=stated.draws),
        energised=stated.energised,
        asset_class=stated.asset_class,
        item=stated.name,
        quantity=stated.quantity,
        unit="unit",
        unit_price_usd=stated.unit_price * rate,
        price_year=stated.price_year,
        source=f"{stated.source}{in_currency}",
        life_years=of.book_life_years if stated.life_years is None else stated.life_years,
        upkeep=Upkeep(stated.maintenance_frac, "scenario"),
        hardware=hardware,
        accounts=of,
    )
