"""What is built and bought: payments by draw schedule, replacements, and what is left on the last day."""

from collections.abc import Iterator

from dcsim.assets import Asset
from dcsim.finance.books import Books
from dcsim.finance.ledger import Entry, month_number


def purchases(asset: Asset, books: Books) -> list[int]:
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
        for renewal, in_service in enumerate(purchases(asset, books)):
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
            index = None if asset.hardware else books.index("construction", asset.price_year)
            for month, share in shares:
                yield Entry(
                    month,
                    "capex",
                    f"{asset.asset_class}: {item}",
                    asset.phase,
                    asset.quantity * share,
                    asset.unit,
                    asset.unit_price_usd,
                    asset.source,
                    index,
                )


def embodied_kg(books: Books) -> dict[str, float]:
    """Carbon of making and building what goes into service within the plan, replacements included, by asset class. [kg]

    Land, networks, storage and support are not counted: no source was found.
    """
    found: dict[str, float] = {}
    for asset in books.assets:
        carbon = asset.embodied_kg * asset.quantity * len(purchases(asset, books))
        found[asset.asset_class] = found.get(asset.asset_class, 0.0) + carbon
    return found


def residual(books: Books) -> Iterator[Entry]:
    """Value of each asset on the last day: market decay for hardware, straight line for buildings, land at cost."""
    end = books.months.stop
    for asset in books.assets:
        age_years = (end - purchases(asset, books)[-1]) / 12
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
