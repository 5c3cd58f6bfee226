"""What a planner states about the jobs: a trace, or a synthetic mix of catalog classes, and how they are scheduled."""

import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.model.base import Count, Name, NonNegative, Positive, Stated, Text
from dcsim.model.services import Service


class Synthetic(Stated):
    """A seeded mix of workload classes; sizes, run times and arrivals follow the catalog's published figures."""

    kind: Literal["synthetic"] = "synthetic"
    offered_load_frac: Annotated[float, Field(strict=True, gt=0, le=2)] = Field(
        default=0.85,
        description="GPU-hours asked for, at the speed of the pools that a class may use, over GPU-hours energised",
    )
    gpu_hours_share: dict[Name, Positive] = Field(
        min_length=1, description="share of the offered GPU-hours by workload class; normalised to 1"
    )
    max_gpus: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        default=None, description="larger draws are cut to this size; the smallest phase's cluster if absent"
    )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Workload classes of the jobs."""
        return tuple(self.gpu_hours_share)


class DemandStep(Stated):
    """A lasting change of demand."""

    start: datetime.date = Field(description="first month that it touches")
    factor: Positive = Field(description="demand from then on, over what it would have been")


class DemandPath(Stated):
    """Demand of a workload class by month."""

    gpus: Positive = Field(
        description="GPUs of the first pool that the class would keep busy in the first month, on average"
    )
    growth_frac_per_year: Annotated[float, Field(strict=True, gt=-1, le=20)] = Field(
        default=0.0, description="compounded from month to month"
    )
    seasons: tuple[Positive, ...] | None = Field(
        default=None, min_length=12, max_length=12, description="factor of each calendar month, January first"
    )
    steps: tuple[DemandStep, ...] = Field(default=(), description="lasting changes")


class Demanded(Stated):
    """Jobs of workload classes whose demand follows a path of its own, whatever is built."""

    kind: Literal["demand"] = "demand"
    classes: dict[Name, DemandPath] = Field(min_length=1, description="demand by workload class")
    max_gpus: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        default=None, description="larger draws are cut to this size; the smallest phase's cluster if absent"
    )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Workload classes of the jobs."""
        return tuple(self.classes)


class Trace(Stated):
    """A recorded log, replayed; it keeps its recorded run times."""

    kind: Literal["trace"] = "trace"
    file: Text = Field(description="path of the trace, plain or gzip, relative to the scenario file")
    format: Name | None = Field(default=None, description="its form; recognised if absent: `dcsim trace formats`")
    columns: dict[Name, Text] = Field(
        default_factory=dict, description="the file's column by ours, of a table that is none of the known forms"
    )
    bad_rows: Literal["refuse", "skip"] = Field(default="refuse", description="what to do with rows that are no job")
    origin: Text | None = Field(default=None, description="where to get the file, said where it is missing")
    job_class: Name = Field(default="training", description="workload class that gives the jobs their power")
    oversized: Literal["refuse", "skip"] = Field(
        default="refuse", description="what to do with jobs that can never fit"
    )
    time_scale: Positive = Field(default=1.0, description="multiplies submit times: below 1 raises the load")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Workload classes of the jobs."""
        return (self.job_class,)


class ModelRun(Stated):
    """A training run of a known model: its time is steps times step time, its power follows its duty."""

    name: Name = Field(description="name of the run, and of its workload class")
    model: Name = Field(description="key in the catalog's models")
    gpus: Count
    tokens: Positive = Field(description="tokens to train on")
    submit_day: NonNegative = Field(default=0.0, description="when it is submitted, from the plan's start [d]")
    dtype: Literal["fp16", "bf16", "fp8", "mxfp8", "nvfp4"] = Field(default="bf16", description="of matrix products")
    seq: Count = Field(default=8192, description="tokens a sequence")
    global_batch: Count | None = Field(
        default=None, description="sequences a step; about four million tokens if absent"
    )
    trained_frac: Annotated[float, Field(strict=True, gt=0, le=1)] = Field(
        default=1.0,
        description="share of the weights that is trained; below 1 the others are frozen, as with low-rank adapters",
    )
    booked_days_ahead: NonNegative = Field(
        default=0.0, description="its nodes are kept for submit_day from so long before, by the policy conservative [d]"
    )
    pool: Name | None = Field(default=None, description="pool that it runs on; the first of the facility's if absent")
    stack: Name = Field(default="yours", description="software stack whose profile serves it, or the nearest")


class Stage(Stated):
    """One step of a campaign."""

    name: Name
    job_class: Name | None = Field(default=None, description="workload class; none for work outside the site's pools")
    gpus: Count | None = Field(default=None, description="GPUs that it takes; none for work elsewhere")
    nodes: Count | None = Field(default=None, description="nodes that it takes of a pool whose servers have no GPUs")
    hours: Positive = Field(description="its time without failures [h]")
    after: tuple[Name, ...] = Field(default=(), description="stages that must end before it")

    @model_validator(mode="after")
    def _gpus_have_a_class(self) -> Self:
        if self.gpus is not None and self.nodes is not None:
            raise ValueError("a stage takes gpus or nodes, not both; split it")
        if (self.gpus is None and self.nodes is None) != (self.job_class is None):
            raise ValueError("gpus or nodes and job_class go together; leave all out for work elsewhere")
        return self


class Campaign(Stated):
    """Stages that come after each other: data preparation, training, evaluation, model storage."""

    name: Name
    first_day: NonNegative = Field(default=0.0, description="when it is submitted, from the plan's start [d]")
    every_days: Positive | None = Field(default=None, description="again after so many days; once if absent")
    booked_days_ahead: NonNegative = Field(
        default=0.0,
        description="nodes of the stages that come after none are kept from so long before, by the policy "
        "conservative [d]",
    )
    stages: tuple[Stage, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _stages_follow_earlier_ones(self) -> Self:
        known: list[str] = []
        for stage in self.stages:
            if stage.name in known:
                raise ValueError(f"stages: '{stage.name}' is the name of two stages; name each once")
            for before in stage.after:
                if before not in known:
                    raise ValueError(f"stages: '{stage.name}' comes after '{before}', which is no stage before it")
            known.append(stage.name)
        return self


class Tenant(Stated):
    """One of those who share the cluster, as the trace names it."""

    share: Positive = Field(default=1.0, description="weight of what it may use, over those of the others")
    quota_gpus: Count | None = Field(default=None, description="GPUs that it may hold at once; no quota if absent")


class Maintenance(Stated):
    """Planned work on nodes, in windows or rolling; jobs on them write a checkpoint and queue again."""

    first_day: NonNegative = Field(default=30.0, description="when the first round begins, from the plan's start [d]")
    every_days: Positive = Field(default=90.0, description="from one round to the next [d]")
    duration_h: Positive = Field(default=4.0, description="time for which each node is out [h]")
    share_at_once: Annotated[float, Field(strict=True, gt=0, le=1)] = Field(
        default=0.05, description="1 for a window of the whole cluster, less for a rolling upgrade"
    )


class Deferral(Stated):
    """Classes of jobs that may wait for cheaper or cleaner hours."""

    signal: Literal["price", "carbon"] = Field(description="energy price of the tariff or carbon of the grid")
    classes: tuple[Name, ...] = Field(min_length=1, description="workload classes that may wait")
    max_delay_h: Annotated[float, Field(strict=True, gt=0, le=720)] = Field(
        default=24.0, description="longest wait for a better hour"
    )


class Walltime(Stated):
    """Longest time that jobs may hold their nodes at a stretch."""

    max_h: dict[Name, Positive] = Field(
        min_length=1,
        description="by workload class: its jobs are stopped after so long, or after the user's limit if shorter [h]",
    )
    at_limit: Literal["checkpoint", "requeue", "stop"] = Field(
        default="requeue",
        description="write a checkpoint and queue again, queue again from the last one, or be over with nothing",
    )


class Elastic(Stated):
    """Jobs that may run on fewer or more nodes than they ask for."""

    least_frac: Annotated[float, Field(strict=True, gt=0, le=1)] = Field(
        default=0.5, description="fewest nodes over those asked for"
    )
    most_frac: Annotated[float, Field(strict=True, ge=1, le=64)] = Field(
        default=2.0, description="most nodes over those asked for"
    )
    doubling_efficiency_frac: Annotated[float, Field(strict=True, gt=0.5, le=1)] = Field(
        default=0.95,
        description="speed on twice the nodes over twice the speed; an assumption, see `dcsim estimate training` for a "
        "model's own",
    )


class Shutdown(Stated):
    """Idle nodes switched off, for the policy easy_shutdown."""

    idle_s: NonNegative = Field(default=900.0, description="time that a node is free before it is switched off [s]")
    off_s: NonNegative = Field(default=60.0, description="time from the order to off [s]")
    boot_s: NonNegative | None = Field(default=None, description="from the order to ready; the catalog's if absent [s]")


class Stored(Stated):
    """What is kept on the site's storage."""

    data_tb: NonNegative = Field(default=0.0, description="datasets and results at the start of the plan [TB]")
    growth_tb_per_month: NonNegative = Field(default=0.0, description="what they grow by [TB]")
    kept_checkpoints: Count = Field(default=3, description="checkpoints kept of each model run, from its submission on")


class Reliability(Stated):
    """Node failures and repair; figures default to the catalog row."""

    source: Name = Field(default="llama3-h100", description="key in the catalog's reliability table")
    failures_per_node_day: NonNegative | None = Field(default=None, le=1)
    repair_mean_h: Positive | None = Field(default=None, le=8760)
    by_component: bool = Field(
        default=False, description="fail by component class at the catalog's rates, so that causes can be told apart"
    )
    rack_events_per_year: NonNegative = Field(default=0.0, description="faults that take out a rack, of each")
    leaf_events_per_year: NonNegative = Field(default=0.0, description="faults of a leaf switch, of each")
    event_repair_h: Positive = Field(default=4.0, description="mean time until a rack or leaf is back")
    lemons: bool = Field(default=False, description="let few nodes have most failures, as the catalog's shape says")
    repair_crews: Count | None = Field(default=None, description="repairs that go on at once; no limit if absent")
    spare_frac: Annotated[float, Field(strict=True, ge=0, le=0.5)] = Field(
        default=0.0, description="share of the nodes kept aside to take the place of failed ones"
    )
    detection_s: NonNegative = Field(
        default=0.0,
        le=86400,
        description="time for which a fault is unknown: jobs on it hold their nodes and hang, until a time-out such as "
        "the 600 s of PyTorch's NCCL groups; 0 where it is part of the restart time, as in the catalog [s]",
    )
    interruptions_per_job_h: NonNegative = Field(
        default=0.0, description="rate at which a running job is stopped by what is no hardware"
    )


class Workload(Stated):
    """The jobs and their scheduler."""

    jobs: Annotated[Synthetic | Demanded | Trace, Field(discriminator="kind")]
    services: tuple[Service, ...] = Field(
        default=(), description="language models that answer requests, first come first with GPUs, all before jobs"
    )
    runs: tuple[ModelRun, ...] = Field(default=(), description="training runs of known models, beside the jobs")
    campaigns: tuple[Campaign, ...] = Field(default=(), description="stages after each other, beside the jobs")
    class_models: dict[Name, Name] = Field(
        default_factory=dict,
        description="model that stands for a workload class: its step times over spans of the network scale the jobs' "
        "times, instead of the catalog's multi_leaf_rate",
    )
    pools: dict[Name, tuple[Name, ...]] = Field(
        default_factory=dict,
        description="pools that jobs of a workload class may use, the preferred one first; any pool if absent",
    )
    gpu_time_frac: dict[Name, Annotated[float, Field(strict=True, gt=0, le=1)]] = Field(
        default_factory=dict,
        description="share of a GPU's time that a job of a class uses when it has one for itself, where GPUs are used "
        "in turns; 1 if absent",
    )
    policy: Name = Field(default="easy", description="scheduling policy; each pool has a queue of its own")
    elastic: dict[Name, Elastic] = Field(
        default_factory=dict,
        description="workload classes whose jobs shrink and grow, for the policy elastic; each change costs the write "
        "of a checkpoint and a restart",
    )
    backfill_depth: Count | None = Field(
        default=None,
        description="jobs in line that the policy conservative has a time for, as Slurm's bf_max_job_test (500 by "
        "default there); all if absent",
    )
    maintenance: Maintenance | None = Field(default=None, description="planned work on nodes; none if absent")
    deferral: Deferral | None = Field(default=None, description="jobs that wait for better hours; none if absent")
    walltime: Walltime | None = Field(default=None, description="limits that stop jobs; none if absent")
    deadlines: dict[Name, Positive] = Field(
        default_factory=dict,
        description="longest time from submission to end by workload class, for deadlines_met_frac [h]",
    )
    shutdown: Shutdown = Field(default=Shutdown(), description="times of switching nodes off, for easy_shutdown")
    power_limit_mw: Positive | None = Field(
        default=None, description="most that running jobs may draw above idle, for the policy power_aware"
    )
    placement: Name = Field(default="topology", description="how nodes are chosen: topology, packed or spread")
    tenants: dict[Text, Tenant] = Field(
        default_factory=dict, description="shares and quotas of a trace's tenants, for the policy fair_share"
    )
    stored: Stored = Field(default=Stored(), description="what is kept on facility.storage")
    reliability: Reliability | None = Field(default=Reliability(), description="null: nodes never fail")

    @property
    def classes_on_nodes(self) -> set[str]:
        """Workload classes whose jobs take nodes without GPUs."""
        stages = [stage for campaign in self.campaigns for stage in campaign.stages]
        return {stage.job_class for stage in stages if stage.job_class is not None and stage.nodes is not None}

    @model_validator(mode="after")
    def _a_class_takes_one_kind(self) -> Self:
        stages = [stage for campaign in self.campaigns for stage in campaign.stages]
        on_gpus = {stage.job_class for stage in stages if stage.gpus is not None} | {*self.jobs.class_names}
        both = sorted(self.classes_on_nodes & on_gpus)
        if both:
            raise ValueError(f"campaigns: '{both[0]}' takes nodes in one stage and GPUs elsewhere; give each a class")
        return self

    @model_validator(mode="after")
    def _a_limit_has_a_policy(self) -> Self:
        if (self.power_limit_mw is not None) != (self.policy == "power_aware"):
            raise ValueError("power_limit_mw and policy power_aware go together; state both or neither")
        return self

    @model_validator(mode="after")
    def _elastic_jobs_have_a_policy(self) -> Self:
        if bool(self.elastic) != (self.policy == "elastic"):
            raise ValueError("workload.elastic and policy elastic go together; state both or neither")
        both = sorted(self.elastic.keys() & (self.walltime.max_h if self.walltime else {}).keys())
        if both:
            raise ValueError(
                f"elastic: '{both[0]}' has a wall time, too, which a job that is resized has not; leave one out"
            )
        return self

    @model_validator(mode="after")
    def _edf_has_deadlines(self) -> Self:
        if self.policy == "edf" and not self.deadlines:
            raise ValueError("policy edf orders jobs by their deadlines; state deadlines by workload class")
        return self

    @model_validator(mode="after")
    def _services_have_names_of_their_own(self) -> Self:
        names = [service.name for service in self.services]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"services: {', '.join(twice)} is the name of two services; name each once")
        return self

    @model_validator(mode="after")
    def _runs_have_names_of_their_own(self) -> Self:
        names = [run.name for run in self.runs]
        classes = self.jobs.class_names
        twice = sorted({name for name in names if names.count(name) > 1 or name in classes})
        if twice:
            raise ValueError(f"runs: {', '.join(twice)} is the name of another run or workload class; name each once")
        return self
