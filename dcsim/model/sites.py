"""What a planner states about one service over several sites: where requests come from, and who can answer them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.model.base import Count, Name, NonNegative, Positive, Stated
from dcsim.model.services import Limits, Share, TokenLengths
from dcsim.registry import unknown

Offset = Annotated[float, Field(strict=True, ge=-12, le=14)]
Hourly = NonNegative | Annotated[tuple[NonNegative, ...], Field(min_length=24, max_length=24)]


class Region(Stated):
    """Where requests come from."""

    per_s: Positive = Field(description="requests a second, mean of the day [1/s]")
    hours: tuple[NonNegative, ...] | None = Field(
        default=None, min_length=24, max_length=24, description="factor of each local hour, midnight first"
    )
    utc_offset_h: Offset = Field(default=0.0, description="local time less UTC, whole hours count [h]")


class ServingSite(Stated):
    """A site that can answer requests."""

    gpus: Count = Field(description="GPUs that the service may use")
    utc_offset_h: Offset = Field(default=0.0, description="local time less UTC, whole hours count [h]")
    pue: Annotated[float, Field(strict=True, ge=1, le=5)] = Field(
        description="power at the meter over power of the nodes"
    )
    usd_per_kwh: Hourly = Field(description="price of energy, or of each local hour [USD/kWh]")
    kg_per_kwh: Hourly | None = Field(default=None, description="carbon of energy, or of each local hour [kg/kWh]")
    carbon: Name | None = Field(default=None, description="carbon table of the catalog instead")
    network_s: dict[Name, NonNegative] = Field(
        description="time that the way there and back adds to the first token, by region; others are not served"
    )

    @model_validator(mode="after")
    def _one_carbon(self) -> Self:
        if (self.kg_per_kwh is None) == (self.carbon is None):
            raise ValueError("state one of kg_per_kwh and carbon, the name of a table of the catalog")
        return self


class ServingSites(Stated):
    """One service over several sites."""

    model: Name = Field(description="key in the catalog's models")
    gpu: Name = Field(description="key in the catalog's GPUs")
    weights: Literal["bf16", "fp16", "fp8"] = "bf16"
    gpus_per_replica: Count | None = None
    limits: Limits
    lengths: TokenLengths = TokenLengths()
    gap_cv: NonNegative = Field(default=1.0, le=50, description="variation of gaps between requests")
    burst_s: Positive = Field(default=10.0, description="mean length of a burst, where gap_cv is above 1 [s]")
    prefix_hit_frac: Share = 0.0
    regions: dict[Name, Region] = Field(min_length=1)
    sites: dict[Name, ServingSite] = Field(min_length=1)

    @model_validator(mode="after")
    def _first_tokens_are_limited(self) -> Self:
        if self.limits.ttft_p95_s is None:
            raise ValueError("limits.ttft_p95_s is required: the way to a site counts against it")
        for name, site in self.sites.items():
            for region in site.network_s:
                if region not in self.regions:
                    raise ValueError(f"sites.{name}.network_s: {unknown(region, self.regions, 'region')}")
        return self
