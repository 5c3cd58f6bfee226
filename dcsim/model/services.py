"""What a planner states about services: language models that answer requests, beside the jobs."""

import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.model.base import Count, Name, NonNegative, Positive, Stated, Text

Share = Annotated[float, Field(strict=True, ge=0, lt=1)]
Growth = Annotated[float, Field(strict=True, gt=-1, le=2)]


class Launch(Stated):
    """A lasting change of the requests, such as a launch or a customer lost."""

    start: datetime.date = Field(description="first day of it")
    factor: NonNegative = Field(description="requests from then on, over what they would have been")


class Requests(Stated):
    """Requests of a service by hour."""

    per_s: Positive = Field(description="requests a second at the plan's start, the mean over its profiles [1/s]")
    hours: tuple[NonNegative, ...] | None = Field(
        default=None, min_length=24, max_length=24, description="factor of each hour of the day, midnight first"
    )
    weekdays: tuple[NonNegative, ...] | None = Field(
        default=None, min_length=7, max_length=7, description="factor of each day of the week, Monday first"
    )
    seasons: tuple[NonNegative, ...] | None = Field(
        default=None, min_length=12, max_length=12, description="factor of each calendar month, January first"
    )
    growth_frac_per_month: Growth = Field(default=0.0, description="compounded from hour to hour")
    launches: tuple[Launch, ...] = Field(default=(), description="lasting changes; they multiply")
    gap_cv: NonNegative = Field(
        default=1.0, le=50, description="variation of the gaps between requests: 1 is Poisson, more is bursts"
    )
    burst_s: Positive = Field(default=10.0, description="mean length of a burst, where gap_cv is above 1 [s]")
    log: Text | None = Field(
        default=None,
        description="file of a request log, relative to the scenario file, whose gaps and lengths are drawn anew "
        "instead of gap_cv and lengths; its rate is not used",
    )

    @model_validator(mode="after")
    def _profiles_have_something(self) -> Self:
        for name in ("hours", "weekdays", "seasons"):
            profile = getattr(self, name)
            if profile is not None and not sum(profile) > 0:
                raise ValueError(f"{name} are all 0; give at least one factor above 0")
        return self


class TokenLengths(Stated):
    """Tokens of prompts and answers: lognormal, with a rank correlation. Defaults: Azure's conversations of 2023."""

    prompt: Annotated[float, Field(strict=True, ge=1, le=1e7)] = Field(default=1155.0, description="mean [token]")
    prompt_cv: NonNegative = Field(default=0.96, le=10, description="coefficient of variation")
    output: Annotated[float, Field(strict=True, ge=1, le=1e6)] = Field(default=211.0, description="mean [token]")
    output_cv: NonNegative = Field(default=0.77, le=10, description="coefficient of variation")
    correlation: Annotated[float, Field(strict=True, ge=-1, le=1)] = Field(
        default=0.07, description="rank correlation of prompt and answer"
    )


class Limits(Stated):
    """Latency that 95 of 100 requests must keep; what is absent is not limited."""

    ttft_p95_s: Positive | None = Field(default=None, description="time to first token [s]")
    tpot_p95_s: Positive | None = Field(default=None, description="time per output token after the first [s]")
    e2e_p95_s: Positive | None = Field(default=None, description="time from arrival to the last token [s]")


class Sized(Stated):
    """As many replicas in each interval as its requests need under the limits, ordered in time."""

    kind: Literal["sized"] = "sized"
    spare_frac: Annotated[float, Field(strict=True, ge=0, le=5)] = Field(
        default=0.0, description="replicas beyond the need, for failures and what the forecast misses"
    )
    least: Annotated[int, Field(strict=True, ge=0)] = Field(default=1, description="replicas that always stay")
    most: Count | None = Field(default=None, description="replicas at the most; no bound but the pool's if absent")


class Fixed(Stated):
    """The same number of replicas always."""

    kind: Literal["fixed"] = "fixed"
    replicas: Count


class ByRate(Stated):
    """Replicas that follow the rate of requests as an autoscaler does, with its delay and its inertia."""

    kind: Literal["rate"] = "rate"
    load_frac: Annotated[float, Field(strict=True, gt=0, le=1)] = Field(
        default=0.5, description="target: requests over the most that a replica can do"
    )
    least: Count = Field(default=1, description="replicas that always stay")
    most: Count | None = Field(default=None, description="replicas at the most; no bound but the pool's if absent")
    window_s: Positive = Field(default=60.0, le=3600, description="time over which the rate is counted [s]")
    ready_s: NonNegative | None = Field(
        default=None,
        le=3600,
        description="from the decision to a replica that serves: image and weights by the catalog if absent [s]",
    )
    down_s: NonNegative = Field(
        default=300.0, le=3600, description="time for which fewer must have been enough before one is taken away [s]"
    )


class Service(Stated):
    """A model that answers requests; it takes GPUs before jobs do, and services before it in the list before it."""

    name: Name
    model: Name = Field(description="key in the catalog's models")
    weights: Literal["bf16", "fp16", "fp8"] = Field(default="bf16", description="data type of the weights")
    gpus_per_replica: Count | None = Field(
        default=None, description="GPUs over which it is split; the fewest that hold it with room for a cache if absent"
    )
    pool: Name | None = Field(default=None, description="pool that it runs on; the first of the facility's if absent")
    requests: Requests
    lengths: TokenLengths = TokenLengths()
    prefix_hit_frac: Share = Field(default=0.0, description="share of each prompt that is found computed")
    limits: Limits = Limits()
    overload: Literal["lost", "queued"] = Field(
        default="lost",
        description="requests beyond what the replicas can do in an interval: given up, or answered later, as batch "
        "work may be",
    )
    scaling: Annotated[Sized | Fixed | ByRate, Field(discriminator="kind")] = Sized()
    routing: Name = Field(default="least_loaded", description="how replicas are chosen")
    prefill_per_decode: Positive | None = Field(
        default=None, le=100, description="replicas of prefill for each of decode, where both are apart"
    )
    most_requests: Count = Field(default=1024, description="requests of a batch")
    chunk_tokens: Count = Field(default=2048, description="tokens of a step")
    usd_per_million_prompt_tokens: NonNegative = Field(default=0.0, description="price at which prompts are sold")
    usd_per_million_output_tokens: NonNegative = Field(default=0.0, description="price at which answers are sold")

    @model_validator(mode="after")
    def _apart_is_counted(self) -> Self:
        if self.prefill_per_decode is not None and isinstance(self.scaling, ByRate):
            raise ValueError("prefill_per_decode: scaling by rate knows one kind of replica; choose sized or fixed")
        if self.prefill_per_decode is not None and isinstance(self.scaling, Fixed) and self.scaling.replicas < 2:
            raise ValueError("prefill_per_decode: prefill and decode apart take at least two replicas")
        return self

    @model_validator(mode="after")
    def _a_size_needs_a_limit(self) -> Self:
        limits = self.limits
        if isinstance(self.scaling, Sized) and not any((limits.ttft_p95_s, limits.tpot_p95_s, limits.e2e_p95_s)):
            raise ValueError("limits: scaling of kind sized needs a limit; state ttft_p95_s, tpot_p95_s or e2e_p95_s")
        return self
