"""What a planner states about tax, debt, tenure and delay."""

import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.model.base import Fraction, Name, NonNegative, Positive, Rate, Stated, Text

Months = Annotated[int, Field(strict=True, ge=0, le=240)]
Factors = tuple[Positive, ...]
FACTORS = "factor on the price of each month of the plan, the last one from its end on; a price_path fills it"


class Tax(Stated):
    """Income tax by calendar year."""

    regime: Name = Field(default="us-federal", description="key in the catalog's taxes")
    rate_frac: Fraction | None = Field(default=None, description="all income taxes together; the catalog's if absent")
    bonus_frac: Fraction | None = Field(
        default=None,
        description="share of property with a tax life of up to 20 years deducted at once; the catalog's if absent",
    )
    loss_limit_frac: Fraction | None = Field(
        default=None, description="share of a year's income that earlier losses may offset; the catalog's if absent"
    )
    losses: Literal["carry_forward", "used_at_once"] = Field(
        default="carry_forward", description="used_at_once where the owner's other income takes them in their year"
    )


class Debt(Stated):
    """One loan, drawn with the capital that it pays for until the last phase is energised, then repaid."""

    ltv_frac: Fraction = Field(description="loan over what is paid for capital until the last phase is energised")
    rate_frac: Rate = Field(description="nominal annual rate; a month pays a twelfth")
    fee_frac: Fraction = Field(default=0.01, description="arrangement fee over the loan, paid at the first draw")
    term_years: Annotated[int, Field(strict=True, ge=1, le=40)] = Field(
        description="years of repayment from the month after the last draw; what is left at the plan's end falls due"
    )
    repayment: Literal["annuity", "sculpted"] = Field(
        default="annuity", description="equal payments, or payments in the shape of the cash flow"
    )
    dscr: Positive = Field(
        default=1.3,
        le=10,
        description="cash flow over debt service: the covenant, and with sculpted repayment a limit on the loan",
    )
    draws: Literal["pro_rata", "equity_first"] = Field(
        default="pro_rata", description="whether equity is paid in beside the loan or before it"
    )


class Own(Stated):
    """Land, building, plant and hardware are the owner's."""

    kind: Literal["own"] = "own"


class Colocation(Stated):
    """Power, cooling and space are rented by the kilowatt; hardware is the tenant's, energy is passed through."""

    kind: Literal["colocation"] = "colocation"
    rent: Name = Field(default="us-colocation-2025", description="key of the rent in the catalog's prices")
    usd_per_kw_month: Positive | None = Field(default=None, description="the catalog's if absent [USD/kW-month]")
    escalation_frac_per_year: Rate | None = Field(default=None, description="the catalog's if absent")


class Cloud(Stated):
    """GPUs are rented by the hour; nothing is built, bought, staffed or metered."""

    kind: Literal["cloud"] = "cloud"
    price_path: Name = Field(default="h100-contract", description="key of the dated prices in the catalog")
    price_factors: dict[Name, Positive] = Field(
        default_factory=dict, description="price of a GPU-hour by pool over that of the path; 1 for pools left out"
    )
    decline_frac_per_year: Rate | None = Field(
        default=None, description="fall of the price a year after the path's last date; the catalog's if absent"
    )
    commitment: Literal["reserved", "on_demand"] = Field(
        default="reserved", description="pay for every energised GPU-hour, or for those that jobs and services hold"
    )
    monthly_price_factors: Factors = Field(default=(), description=FACTORS)


Tenure = Annotated[Own | Colocation | Cloud, Field(discriminator="kind")]


class CarbonPrice(Stated):
    """A price on operational carbon, paid by month."""

    usd_per_t: NonNegative
    price_year: Annotated[int, Field(strict=True, ge=2000, le=2100)]
    rise_frac_per_year: Rate = 0.0
    on: Literal["location", "market", "hourly"] = Field(
        default="location", description="which account of carbon is priced; fuel of generators is priced always"
    )


class Post(Stated):
    """A post to be filled, by shift."""

    role: Name
    posts: Positive
    shift: Literal["day", "24x7"] = Field(default="day", description="five days of eight hours, or round the clock")
    usd_per_fte_year: Positive | None = Field(default=None, description="loaded cost; the catalog's if absent")


class OwnAsset(Stated):
    """Something that the catalog's bill of materials does not hold, bought by the planner's own price."""

    name: Name
    asset_class: Literal[
        "land",
        "site works",
        "shell",
        "MEP",
        "critical power",
        "soft cost",
        "GPUs",
        "servers",
        "network",
        "optics",
        "storage",
        "spares",
    ]
    quantity: Positive = 1.0
    unit_price: NonNegative
    currency: Annotated[str, Field(strict=True, pattern="^[A-Z]{3}$")] = "USD"
    price_year: Annotated[int, Field(strict=True, ge=2000, le=2100)] | None = Field(
        default=None,
        description="year of the price, from which construction is inflated; nominal if absent, as hardware always is",
    )
    order: datetime.date
    delivery: datetime.date
    draws: tuple[Fraction, ...] = Field(default=(), description="as those of a schedule")
    energised: datetime.date = Field(description="when it goes into service")
    life_years: Positive | None = Field(
        default=None,
        description="economic life, after which it is bought again; that of its class in the books if absent",
    )
    maintenance_frac: Fraction = Field(default=0.0, description="yearly upkeep over its price")
    source: Text = Field(default="scenario", description="where the price comes from")

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if not self.order <= self.delivery <= self.energised:
            raise ValueError(
                f"order {self.order}, delivery {self.delivery} and energised {self.energised} must follow each other"
            )
        return self


class Delays(Stated):
    """What keeps the plan from its dates; every date of the scenario is as stated, and moves by these."""

    connection: datetime.date | None = Field(
        default=None, description="day on which the utility energises the site; no phase is energised before it"
    )
    connection_requested: datetime.date | None = Field(
        default=None, description="instead of that day: when the connection was asked for, and market says the wait"
    )
    market: Name = Field(default="time-to-power-us", description="key of the wait for a connection in operations")
    connection_months: Months = Field(default=0, description="slip of that day")
    construction_months: Months = Field(default=0, description="slip of every delivery of construction")
    hardware_months: Months = Field(default=0, description="slip of every delivery of hardware")

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        if self.connection and self.connection_requested:
            raise ValueError("state connection or connection_requested, not both")
        if self.connection_months and not (self.connection or self.connection_requested):
            raise ValueError(
                "connection_months slips a day that is not stated; state connection or connection_requested"
            )
        return self
