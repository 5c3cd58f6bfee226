"""Input for tests and benchmarks: a small plan, and a mix of jobs that saturates a cluster."""

import numpy as np

from dcsim.model.load import load
from dcsim.workload.jobs import Jobs

# The baseline at a tenth of its size, one year, two phases.
SMALL = (
    "name=small",
    "site.utility_mw=1.0",
    "plan.years=1",
    "facility.phases[0].utility_mw=0.5",
    "facility.phases[1].utility_mw=0.5",
    "facility.phases[0].rack_slots=20",
    "facility.phases[1].rack_slots=20",
    "facility.phases[1].energised=2027-07-01",
    "facility.phases[1].construction={order: 2026-07-01, delivery: 2027-05-01}",
    "facility.phases[1].hardware={order: 2026-12-01, delivery: 2027-06-01}",
)


def small(*sets, base="baseline-10mw-h100"):
    """Load the small plan with further overrides."""
    return load(base, (*SMALL, *sets))


def jobs_of(*rows, columns=("submit_s", "run_s", "limit_s", "gpus"), class_names=("training",), **others):
    """Jobs from rows of some columns, numbered from 1; limits are run times, GPUs one, classes the first if absent."""
    given = {name: np.array(column) for name, column in zip(columns, zip(*rows, strict=True), strict=True)}
    n = len(rows)
    whole = {"gpus": np.ones(n, dtype=np.int64), "class_index": np.zeros(n, dtype=np.int64)}
    times = {name: column.astype(float) for name, column in given.items() if name not in whole}
    whole |= {name: column.astype(np.int64) for name, column in given.items() if name in whole}
    times.setdefault("limit_s", times["run_s"])
    return Jobs(job_id=np.arange(1, n + 1), **times, **whole, class_names=class_names, **others)


def saturated_mix(n_jobs, gpus, load, seed, n_sizes=11):
    """Lognormal run times, 1 to 2^10 GPUs, many of one GPU; limits in whole quarters of an hour, so often equal."""
    rng = np.random.default_rng(seed)
    weights = np.array([0.42, 0.08, 0.08, 0.16, 0.08, 0.06, 0.05, 0.03, 0.02, 0.015, 0.005])[:n_sizes]
    asked = np.minimum(2 ** rng.choice(n_sizes, n_jobs, p=weights / weights.sum()), gpus)
    run_s = rng.lognormal(7.5, 1.6, n_jobs)
    span_s = float((asked * run_s).sum()) / (load * gpus)
    return Jobs(
        job_id=np.arange(1, n_jobs + 1),
        submit_s=np.sort(rng.uniform(0, span_s, n_jobs)),
        run_s=run_s,
        limit_s=np.ceil(run_s * (1 + rng.exponential(1, n_jobs)) / 900) * 900,
        gpus=asked,
        class_index=np.zeros(n_jobs, dtype=np.int64),
        class_names=("training",),
    )


def value(run, name):
    """Value of a key figure of a run."""
    return run.kpis[name]["value"]


def investment_rows(run, start, category=None):
    """Rows of a run's ledger whose item starts so, of one category or of all."""
    found = run.ledger[run.ledger["item"].str.startswith(start)]
    return found if category is None else found[found["category"] == category]
