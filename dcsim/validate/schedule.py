"""The scheduler against independent replays: EASY backfill on the log of the KTH SP2."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from dcsim.sim.engine import ClusterSpec, simulate
from dcsim.validate.common import Case, Kind, NotPredicted, Suite, reference
from dcsim.workload.jobs import Floats
from dcsim.workload.traces.formats import source
from dcsim.workload.traces.replay import replayed


def bounded_slowdown(wait_s: Floats, run_s: Floats, bound_s: float = 10.0) -> Floats:
    """Bounded slowdown of each job.

    Parameters
    ----------
    wait_s, run_s : ndarray, shape (n,)
        Wait and run time. [s]
    bound_s : float
        Run times below it count as this long, so that short jobs do not decide the mean. [s]

    Returns
    -------
    ndarray, shape (n,)
        Slowdown, at least 1. [1]

    Notes
    -----
    .. math:: \\max\\left(1, \\frac{t_{wait} + t_{run}}{\\max(t_{run}, t_{bound})}\\right)

    References
    ----------
    Feitelson, Rudolph, Schwiegelshohn, Sevcik and Wong, "Theory and practice in parallel job scheduling", JSSPP 1997.
    """
    return np.maximum(1.0, (wait_s + run_s) / np.maximum(run_s, bound_s))


def replay(path: str | Path, *, processors: int, policy: str, perfect_estimates: bool = False) -> dict[str, float]:
    """Replay a trace on nodes of one processor, all alike and without failures.

    Parameters
    ----------
    path : str or Path
        The trace.
    processors : int
        Size of the machine.
    policy : str
        Scheduling policy.
    perfect_estimates : bool
        Let limits be the run times, at least 1 s, instead of the users' estimates.

    Returns
    -------
    dict of float
        ``n_jobs`` [1], ``mean_wait_min`` [min], ``mean_bounded_slowdown`` with a bound of 10 s [1], and
        ``utilisation_frac`` from the first submission to the last end [1].
    """
    jobs, _ = replayed(source(Path(path)))
    if perfect_estimates:
        jobs = replace(jobs, limit_s=np.maximum(jobs.run_s, 1.0))
    cluster = ClusterSpec(
        gpus_per_node=1, nodes_per_leaf=processors, nodes_per_rack=processors, phases=((0.0, processors),)
    )
    outcome = simulate(cluster, jobs, np.ones((1, 2)), policy=policy, horizon_s=np.inf, seed=0)
    wait_s = outcome.first_start_s - jobs.submit_s
    span_s = outcome.end_s.max() - jobs.submit_s[0]
    return {
        "n_jobs": float(len(jobs)),
        "mean_wait_min": float(wait_s.mean()) / 60.0,
        "mean_bounded_slowdown": float(bounded_slowdown(wait_s, jobs.run_s).mean()),
        "utilisation_frac": float((jobs.run_s * jobs.gpus).sum() / (processors * span_s)),
    }


def predict(case: Case) -> Mapping[str, float]:
    """Mean wait and bounded slowdown of a replayed log."""
    estimates = case["estimates"]
    if estimates not in ("user", "perfect"):
        raise NotPredicted(f"estimates must be user or perfect, not '{estimates}'")
    result = replay(
        reference(case["trace"]),
        processors=int(case["processors"]),
        policy=case["policy"],
        perfect_estimates=estimates == "perfect",
    )
    return {f"published_{name}": result[name] for name in ("mean_wait_min", "mean_bounded_slowdown")}


SUITE = Suite(
    {
        "replay": Kind(
            ("trace", "processors", "policy", "estimates"),
            {"published_mean_wait_min": "min", "published_mean_bounded_slowdown": "1"},
            predict,
            lambda case: False,
            "a batch log replayed under a policy; the trace is a path under the reference data",
        )
    },
    "independent replay of the KTH-SP2 log under EASY",
    needs_data=True,
)
