"""What a planner states about the jobs: a trace, or a synthetic mix of catalog classes, and how they are scheduled."""

from typing import Annotated, Literal

from pydantic import Field

from dcsim.model.base import Name, NonNegative, Positive, Stated, Text


class Synthetic(Stated):
    """A seeded mix of workload classes; sizes, run times and arrivals follow the catalog's published figures."""

    kind: Literal["synthetic"] = "synthetic"
    offered_load_frac: Annotated[float, Field(strict=True, gt=0, le=2)] = Field(
        default=0.85, description="GPU-hours asked for over GPU-hours energised"
    )
    gpu_hours_share: dict[Name, Positive] = Field(
        min_length=1, description="share of the offered GPU-hours by workload class; normalised to 1"
    )
    max_gpus: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        default=None, description="larger draws are cut to this size; the smallest phase's cluster if absent"
    )


class Trace(Stated):
    """A recorded log, replayed; it keeps its recorded run times."""

    kind: Literal["trace"] = "trace"
    format: Literal["swf"] = "swf"
    file: Text = Field(description="path of the log, plain or gzip, relative to the scenario file")
    job_class: Name = Field(default="training", description="workload class that gives the jobs their power")
    oversized: Literal["refuse", "skip"] = Field(
        default="refuse", description="what to do with jobs that can never fit"
    )
    time_scale: Positive = Field(default=1.0, description="multiplies submit times: below 1 raises the load")


class Reliability(Stated):
    """Node failures and repair; figures default to the catalog row."""

    source: Name = Field(default="llama3-h100", description="key in the catalog's reliability table")
    failures_per_node_day: NonNegative | None = Field(default=None, le=1)
    repair_mean_h: Positive | None = Field(default=None, le=8760)


class Workload(Stated):
    """The jobs and their scheduler."""

    jobs: Annotated[Synthetic | Trace, Field(discriminator="kind")]
    policy: Name = Field(default="easy", description="scheduling policy")
    reliability: Reliability | None = Field(default=Reliability(), description="null: nodes never fail")
