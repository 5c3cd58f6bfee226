"""What a planner states about money: conventions, revenue, and the price rows to use."""

import datetime
from typing import Annotated, Literal

from pydantic import Field

from dcsim.model.base import Fraction, Name, NonNegative, Positive, Rate, Stated


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


class Internal(Stated):
    """GPU-hours charged to the owner's own departments at a transfer price."""

    kind: Literal["internal"] = "internal"
    usd_per_gpu_h: NonNegative
    sold_frac: Fraction = 1.0


class Nothing(Stated):
    """No revenue: NPV, IRR and payback are undefined, costs are not."""

    kind: Literal["none"] = "none"


class Economics(Stated):
    """Conventions: nominal US dollars, monthly flows at month ends, before tax and financing."""

    discount_rate: Rate = Field(default=0.10, description="nominal annual rate")
    valuation_date: datetime.date | None = Field(
        default=None, description="date to which present values refer; the month of the first cash flow if absent"
    )
    revenue: Annotated[Rental | Internal | Nothing, Field(discriminator="kind")]
    construction: Name = Field(default="us-average-2025", description="key of the construction prices")
    operations: Name = Field(default="us-10mw", description="key of staff, maintenance and insurance rates")
    opex_inflation_frac: Rate | None = Field(
        default=None, description="a year, on every operating price but energy; the catalog's if absent"
    )
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


class PriceOverride(Stated):
    """A catalog value that the planner replaces, with the planner's own reason."""

    value: Annotated[float, Field(strict=True)]
    source: Annotated[str, Field(strict=True, min_length=3)] = Field(description="where the planner has it from")


Overrides = dict[str, PriceOverride]
