"""What a planner states about how the site buys, makes and stores energy."""

import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.model.base import Fraction, Lasting, Name, NonNegative, Positive, Rate, Stated, Text

# Either sign: prices of power fall below zero.
Price = Annotated[float, Field(strict=True, ge=-5000, le=5000)]


class ContractedDemand(Stated):
    """Demand that the site subscribes to from a month on; minimums of a tariff rest on it."""

    mw: NonNegative = Field(le=5000, description="at the meter [MW]")
    start: datetime.date | None = Field(
        default=None, description="first of the month from which it holds; always before the next one if absent"
    )

    @model_validator(mode="after")
    def _starts_a_month(self) -> Self:
        if self.start is not None and self.start.day != 1:
            raise ValueError(f"start {self.start} must be the first day of a month; bills are monthly")
        return self


class PowerContract(Lasting):
    """A power purchase agreement: what a plant generates, in which hours, for how long."""

    name: Name
    capacity_mw: Positive = Field(le=5000, description="what the plant delivers at full output [MW]")
    profile: Text = Field(
        default="flat",
        description="flat; solar for a plant on single-axis trackers in the site's own weather year; or the path of a "
        "CSV with a column capacity_frac, the output over the capacity of each hour of a year in local standard time, "
        "relative to the scenario file",
    )
    escalation_frac_per_year: Rate = Field(
        default=0.0, description="rise of the contract's price at each anniversary of its start [1/year]"
    )
    certificates: bool = Field(
        default=True, description="whether the certificates are the site's, so that its energy counts as carbon-free"
    )


class PhysicalPpa(PowerContract):
    """Power that is delivered to the site's meter, hour by hour; the tariff sells what it leaves.

    It comes through the meter, so charges on demand stay whole.
    """

    kind: Literal["physical"]
    usd_per_mwh: Price = Field(description="price of its energy in the first year; nominal [USD/MWh]")
    sleeve_usd_per_mwh: NonNegative = Field(
        default=0.0, le=1000, description="fee of who delivers it, for each MWh that the site uses; nominal [USD/MWh]"
    )
    take_or_pay: bool = Field(
        default=True, description="whether all that it generates is paid for, or only what the site uses"
    )
    surplus_usd_per_mwh: Price | None = Field(
        default=None,
        description="got for each MWh paid for and not used, below 0 where it costs to be rid of; spilled if absent; "
        "nominal [USD/MWh]",
    )
    still_billed: tuple[Text, ...] = Field(
        default=(), description="energy lines of the tariff that its energy pays too, such as delivery and riders"
    )

    @model_validator(mode="after")
    def _surplus_is_paid_for(self) -> Self:
        if self.surplus_usd_per_mwh is not None and not self.take_or_pay:
            raise ValueError("surplus_usd_per_mwh: what is not paid for is not the site's to sell; take_or_pay: true")
        return self


class VirtualPpa(PowerContract):
    """A contract for differences on what a plant generates elsewhere; no power comes to the site.

    In each hour the site gets the price at the hub, plus the basis, and pays the strike.
    """

    kind: Literal["virtual"]
    strike_usd_per_mwh: Price = Field(description="price of the contract in the first year; nominal [USD/MWh]")
    hub_usd_per_mwh: Price | None = Field(
        default=None, description="mean price of the hub's hours in the plan's first year; nominal [USD/MWh]"
    )
    hub_prices: Text | None = Field(
        default=None,
        description="path of a CSV with a column usd_per_mwh, the hub's price in each hour of a year in local standard "
        "time; scaled to the mean of hub_usd_per_mwh where that is stated too",
    )
    hub_rise_frac_per_year: Rate = Field(
        default=0.0, description="rise of the hub's prices at each anniversary of the plan's start [1/year]"
    )
    basis_usd_per_mwh: Price = Field(
        default=0.0,
        description="price where the plant stands less that of the hub, where the site bears it; mostly below 0 "
        "[USD/MWh]",
    )
    floor_usd_per_mwh: Price | None = Field(
        default=None, description="hub price below which an hour is not settled; all are if absent [USD/MWh]"
    )

    @model_validator(mode="after")
    def _hub_has_a_price(self) -> Self:
        if self.hub_usd_per_mwh is None and self.hub_prices is None:
            raise ValueError("needs a price of the hub: state hub_usd_per_mwh, or hub_prices, or both")
        return self


Ppa = Annotated[PhysicalPpa | VirtualPpa, Field(discriminator="kind")]


class OnSite(Stated):
    """Something that the owner builds on the site beside the phases."""

    order: datetime.date | None = Field(default=None, description="a year before it is energised if absent")
    delivery: datetime.date | None = Field(default=None, description="when it is energised if absent")
    energised: datetime.date | None = Field(default=None, description="when it works; the plan's start if absent")


class Solar(OnSite):
    """Photovoltaics behind the meter, in the site's own weather year."""

    kw_dc: Positive = Field(le=5e6, description="rating of the modules [kW DC]")
    tracking: bool = Field(default=False, description="single-axis trackers instead of fixed racks")
    tilt_deg: Annotated[float, Field(strict=True, ge=0, le=90)] = Field(
        default=20.0, description="of fixed racks, from the horizontal [deg]"
    )
    azimuth_deg: Annotated[float, Field(strict=True, ge=0, lt=360)] | None = Field(
        default=None, description="of fixed racks, clockwise from north; to the equator if absent [deg]"
    )
    losses_frac: Fraction | None = Field(
        default=None, description="soiling, shading, wiring, mismatch, availability; the catalog's if absent"
    )
    dc_ac_ratio: Annotated[float, Field(strict=True, ge=0.5, le=3)] | None = Field(
        default=None, description="rating of modules over that of inverters; the catalog's if absent"
    )
    surplus_usd_per_mwh: Price | None = Field(
        default=None,
        description="got for each MWh that neither site nor battery takes; spilled if absent; nominal [USD/MWh]",
    )
    price: Name = Field(default="solar-us-2023", description="key of its price in the catalog's prices")


class BatteryStorage(OnSite):
    """A battery behind the meter, which stores energy to pay less.

    It backs nothing up, and it keeps its capacity, which its upkeep pays for.
    """

    mwh: Positive = Field(le=100_000, description="energy that it holds between empty and full [MWh]")
    mw: Positive = Field(le=25_000, description="most that it gives or takes at its terminals [MW]")
    round_trip_frac: Annotated[float, Field(strict=True, gt=0, le=1)] | None = Field(
        default=None, description="energy given over energy taken; the catalog's if absent"
    )
    dispatch: Literal["peak_shaving", "arbitrage"] = Field(
        default="peak_shaving",
        description="peak_shaving holds each month's peak as low as it can; arbitrage buys in the cheapest hours of a "
        "day by the tariff's energy, up to the month's peak, and gives in the dearest; both know the load beforehand",
    )
    full_at_h: Annotated[int, Field(strict=True, ge=0, le=23)] = Field(
        default=6,
        description="hour at which a day of arbitrage begins and ends, full: the end of the cheap hours [h]",
    )
    price: Name = Field(default="battery-us-2023", description="key of its price in the catalog's prices")
