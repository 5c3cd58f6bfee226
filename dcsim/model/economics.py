"""What a planner states about money: conventions, revenue, and the price rows to use."""

import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.model.base import Fraction, Name, NonNegative, Positive, Rate, Stated
from dcsim.model.financing import FACTORS, CarbonPrice, Debt, Factors, Own, OwnAsset, Post, Tax, Tenure


class Spot(Stated):
    """GPU-hours offered without a contract."""

    share_frac: Fraction = Field(description="share of the allocated GPU-hours that is offered so")
    price_path: Name = Field(default="h100-on-demand", description="key of the dated prices in the catalog")
    decline_frac_per_year: Rate | None = Field(
        default=None, description="fall of the price a year after the path's last date; the catalog's if absent"
    )
    sold_frac: Fraction = Field(default=0.7, description="share of them that somebody pays for")
    monthly_price_factors: Factors = Field(default=(), description=FACTORS)


class Ramp(Stated):
    """Sales that grow with the square of time at first and level off: 3 x^2 - 2 x^3 of the share of the months gone."""

    months: Annotated[int, Field(strict=True, ge=1, le=120)] = Field(
        description="from the first energisation until sales are full"
    )
    from_frac: Fraction = Field(default=0.0, description="share of full sales at the first energisation")


class Rental(Stated):
    """GPU-hours sold at a dated rental price path."""

    kind: Literal["rental"] = "rental"
    price_path: Name = Field(default="h100-contract", description="key of the dated prices in the catalog")
    price_factors: dict[Name, Positive] = Field(
        default_factory=dict, description="price of a GPU-hour by pool over that of the path; 1 for pools left out"
    )
    decline_frac_per_year: Rate | None = Field(
        default=None, description="fall of the price a year after the path's last date; the catalog's if absent"
    )
    sold_frac: Fraction = Field(default=0.9, description="share of the allocated GPU-hours that somebody pays for")
    take_or_pay_frac: Fraction = Field(
        default=0.0,
        description="share of the energised GPU-hours under contract that is paid for even where nobody holds them",
    )
    spot: Spot | None = Field(default=None, description="part that is sold without a contract; none if absent")
    ramp: Ramp | None = Field(default=None, description="how sales grow; full from the first hour if absent")
    monthly_price_factors: Factors = Field(default=(), description=FACTORS)


class Internal(Stated):
    """GPU-hours charged to the owner's own departments at a transfer price."""

    kind: Literal["internal"] = "internal"
    usd_per_gpu_h: NonNegative
    sold_frac: Fraction = 1.0


class Nothing(Stated):
    """No revenue: NPV, IRR and payback are undefined, costs are not."""

    kind: Literal["none"] = "none"


class Economics(Stated):
    """Conventions: US dollars, monthly flows at month ends; before tax and financing unless tax or debt are stated."""

    discount_rate: Rate = Field(default=0.10, description="annual rate, of the dollars that dollars names")
    equity_rate: Rate | None = Field(
        default=None, description="annual rate for what is left to equity after tax and debt; discount_rate if absent"
    )
    dollars: Literal["nominal", "real"] = Field(
        default="nominal",
        description="real divides flows by the growth of operating prices since the valuation month before they are "
        "discounted; the ledger is nominal always",
    )
    tenure: Tenure = Own()
    tax: Tax | None = Field(default=None, description="income tax; after-tax figures are undefined if absent")
    debt: Debt | None = Field(default=None, description="a loan; figures of equity are undefined if absent")
    property_tax: Name | None = Field(default=None, description="key in the catalog's taxes; not counted if absent")
    carbon_price: CarbonPrice | None = None
    staff: tuple[Post, ...] = Field(
        default=(), description="posts by shift; the number of people of operations if there are none"
    )
    software: tuple[Name, ...] = Field(default=(), description="keys in operations of licences a GPU and year")
    assets: tuple[OwnAsset, ...] = Field(default=(), description="what the bill of materials does not hold")
    exchange_usd: dict[Annotated[str, Field(strict=True, pattern="^[A-Z]{3}$")], Positive] = Field(
        default_factory=dict, description="dollars for one unit of each other currency that assets are priced in"
    )
    construction_index: Name | None = Field(
        default=None,
        description="key in the catalog's price_indices, which moves construction prices to its last year; yearly "
        "inflation alone if absent",
    )
    residual_by_age: Name | None = Field(
        default=None, description="key in prices of hardware's value by age; yearly decay if absent"
    )
    exit: Literal["sold", "closed"] = Field(
        default="sold", description="at the plan's end everything is sold at its value, or only land and hardware are"
    )
    valuation_date: datetime.date | None = Field(
        default=None, description="date to which present values refer; the month of the first cash flow if absent"
    )
    revenue: Annotated[Rental | Internal | Nothing, Field(discriminator="kind")]
    construction: Name = Field(default="us-average-2025", description="key of the construction prices")
    operations: Name = Field(default="us-10mw", description="key of staff, maintenance and insurance rates")
    opex_inflation_frac: Rate | None = Field(
        default=None, description="a year, on every operating price but energy; the catalog's if absent"
    )
    energy_price_factor: Positive = Field(default=1.0, description="on every price of energy of the tariff")
    energy_inflation_frac: Rate | None = Field(
        default=None, description="a year, on energy and demand charges; the catalog's if absent"
    )
    construction_inflation_frac: Rate | None = Field(
        default=None,
        description="a year, on construction prices from their year to the month of payment; the catalog's if absent",
    )
    hardware_deposit_frac: Fraction = Field(
        default=0.3, description="share of hardware paid on order; the rest on delivery"
    )
    contingency_frac: NonNegative | None = Field(
        default=None, le=1, description="on construction; the catalog's if absent"
    )

    @model_validator(mode="after")
    def _currencies_are_known(self) -> Self:
        names = [asset.name for asset in self.assets]
        if len(set(names)) < len(names):
            raise ValueError(f"two assets share a name: {', '.join(names)}; name each once")
        for index, asset in enumerate(self.assets):
            if asset.currency not in ("USD", *self.exchange_usd):
                raise ValueError(
                    f"assets[{index}].currency: state what a {asset.currency} is worth in exchange_usd, "
                    f"as exchange_usd: {{{asset.currency}: 1.1}}"
                )
        return self


class PriceOverride(Stated):
    """A catalog value that the planner replaces, with the planner's own reason."""

    value: Annotated[float, Field(strict=True)]
    source: Annotated[str, Field(strict=True, min_length=3)] = Field(description="where the planner has it from")


Overrides = dict[str, PriceOverride]
