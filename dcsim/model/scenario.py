"""A scenario: everything that a planner states, in one frozen object."""

import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from dcsim.model.base import Name, Stated
from dcsim.model.economics import Economics, Overrides, Rental
from dcsim.model.facility import Facility, Site
from dcsim.model.financing import Delays
from dcsim.model.uncertain import Uncertainty
from dcsim.model.workload import Workload
from dcsim.registry import unknown


class Plan(Stated):
    """The span of time that is simulated and the seed of every random draw."""

    start: datetime.date = Field(description="first day of the plan, local standard time; the first of a month")
    years: Annotated[int, Field(strict=True, ge=1, le=40)] = 5
    seed: Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)] = Field(default=1, description="0 is a seed")

    @model_validator(mode="after")
    def _starts_a_month(self) -> Self:
        if self.start.day != 1:
            raise ValueError(f"start {self.start} must be the first day of a month; bills are monthly")
        return self

    @property
    def end(self) -> datetime.date:
        """First day after the plan."""
        return self.start.replace(year=self.start.year + self.years)


class Report(Stated):
    """Resolution of the interval table."""

    interval_s: Annotated[int, Field(strict=True)] = Field(default=3600, description="one of 300, 600, 900, 1800, 3600")

    @model_validator(mode="after")
    def _divides_an_hour(self) -> Self:
        if self.interval_s not in (300, 600, 900, 1800, 3600):
            raise ValueError(f"interval_s {self.interval_s} is not one of 300, 600, 900, 1800, 3600")
        return self


class Scenario(Stated):
    """One plan of one site."""

    name: Name
    description: str = ""
    plan: Plan
    site: Site
    facility: Facility
    workload: Workload
    economics: Economics
    delays: Delays = Field(default=Delays(), description="what moves the dates of phases")
    overrides: Overrides = Field(
        default_factory=dict, description="catalog values that this plan replaces, as table.key.parameter"
    )
    report: Report = Report()
    # A run is of single values, so what a study draws is no part of what it ran.
    uncertainty: Uncertainty = Field(
        default=Uncertainty(), exclude=True, description="what dcsim uncertainty draws beside stated distributions"
    )

    @model_validator(mode="after")
    def _pools_are_known(self) -> Self:
        known = self.facility.pool_names
        for name, pools in self.workload.pools.items():
            if not pools:
                raise ValueError(f"workload.pools.{name} is empty; name a pool, or leave the class out for any")
            for pool in pools:
                if pool not in known:
                    raise ValueError(f"workload.pools.{name}: {unknown(pool, known, 'pool')}")
        for index, run in enumerate(self.workload.runs):
            if run.pool is not None and run.pool not in known:
                raise ValueError(f"workload.runs[{index}].pool: {unknown(run.pool, known, 'pool')}")
        for pool in self.economics.revenue.price_factors if isinstance(self.economics.revenue, Rental) else ():
            if pool not in known:
                raise ValueError(f"economics.revenue.price_factors.{pool}: {unknown(pool, known, 'pool')}")
        if len(known) > 1 and self.workload.power_limit_mw is not None:
            raise ValueError("workload.power_limit_mw holds for one pool; leave it out, or the pools of facility.pools")
        return self

    @model_validator(mode="after")
    def _assets_lie_inside_the_plan(self) -> Self:
        for index, asset in enumerate(self.economics.assets):
            if asset.energised >= self.plan.end:
                raise ValueError(
                    f"economics.assets[{index}]: '{asset.name}' is energised on {asset.energised}, not before the plan "
                    f"ends on {self.plan.end}; energise it earlier or leave it out"
                )
        return self

    @model_validator(mode="after")
    def _a_cloud_buys_its_own_power(self) -> Self:
        for name in ("ppas", "clean_power") if self.economics.tenure.kind == "cloud" else ():
            if getattr(self.site, name):
                raise ValueError(
                    f"site.{name}: power is in the rent under economics.tenure of kind cloud; leave it out"
                )
        return self

    @model_validator(mode="after")
    def _phases_lie_inside_the_plan(self) -> Self:
        for phase in self.facility.phases:
            if not self.plan.start <= phase.energised < self.plan.end:
                raise ValueError(
                    f"phase '{phase.name}' is energised on {phase.energised}, outside the plan from {self.plan.start} "
                    f"to {self.plan.end}; move it or change plan.years"
                )
        asked = sum(phase.utility_mw for phase in self.facility.phases)
        if asked > self.site.utility_mw * (1 + 1e-9):
            raise ValueError(
                f"the phases ask for {asked:g} MW of utility power, above the {self.site.utility_mw:g} MW of "
                "site.utility_mw; lower facility.phases[].utility_mw"
            )
        return self
