"""Training campaigns: stages that come after each other, again and again, beside the jobs of a plan."""

from dataclasses import replace

import numpy as np

from dcsim.model.workload import Campaign
from dcsim.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from dcsim.workload.jobs import Jobs, booked


def with_campaigns(jobs: Jobs, campaigns: tuple[Campaign, ...], horizon_s: float) -> Jobs:
    """Jobs and the stages of campaigns, in the order of submission.

    A campaign is submitted whole when it begins; a stage waits for those that it comes after. A stage that takes nodes
    without GPUs counts these in the column of GPUs; one without either runs elsewhere. ``jobs.class_names`` must hold
    the classes of all stages.
    """
    rows: list[tuple[float, float, int, int, float]] = []
    parents: dict[int, tuple[int, ...]] = {}
    for of in campaigns:
        begin_s = of.first_day * SECONDS_PER_DAY
        while begin_s < horizon_s:
            first = len(rows)
            number = {stage.name: first + k for k, stage in enumerate(of.stages)}
            for stage in of.stages:
                name = stage.job_class if stage.job_class is not None else jobs.class_names[0]
                if stage.after:
                    parents[len(rows)] = tuple(number[before] for before in stage.after)
                known_before_s = 0.0 if stage.after else of.booked_days_ahead * SECONDS_PER_DAY
                in_class = jobs.class_names.index(name)
                taken = stage.gpus or stage.nodes or 0
                rows.append((begin_s, stage.hours * SECONDS_PER_HOUR, taken, in_class, known_before_s))
            if of.every_days is None:
                break
            begin_s += of.every_days * SECONDS_PER_DAY
    if not rows:
        return jobs
    n, more = len(jobs), len(rows)
    submit_s, run_s, gpus, index, ahead_s = (np.array(column) for column in zip(*rows, strict=True))
    first_id = int(jobs.job_id.max(initial=0)) + 1
    merged = Jobs(
        job_id=np.concatenate([jobs.job_id, np.arange(first_id, first_id + more)]),
        submit_s=np.concatenate([jobs.submit_s, submit_s]),
        run_s=np.concatenate([jobs.run_s, run_s]),
        limit_s=np.concatenate([jobs.limit_s, run_s * LIMIT_FACTOR]),
        gpus=np.concatenate([jobs.gpus, gpus.astype(np.int64)]),
        class_index=np.concatenate([jobs.class_index, index.astype(np.int64)]),
        class_names=jobs.class_names,
        tenant_index=None if jobs.tenant_index is None else np.append(jobs.tenant_index, [len(jobs.tenants)] * more),
        tenants=jobs.tenants if jobs.tenant_index is None else (*jobs.tenants, "campaigns"),
        known_s=booked(jobs, submit_s, ahead_s),
        parents={n + child: tuple(n + one for one in of) for child, of in parents.items()},
    )
    if jobs.parents:
        merged = replace(merged, parents={**jobs.parents, **(merged.parents or {})})
    return merged.select(np.argsort(merged.submit_s, kind="stable"))


# The user's estimate of a stage over its time without failures. Assumption.
LIMIT_FACTOR = 1.25
