"""The scheduler alone: a trace on a cluster of nodes, all alike and without failures; waits, slowdown, utilisation."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dcsim.energy import job_columns
from dcsim.errors import InputError, Problem, UsageError
from dcsim.model.facility import MAIN
from dcsim.registry import lookup
from dcsim.sim.engine import ClusterSpec, SimResult, Tenancy, simulate
from dcsim.sim.policies import POLICIES
from dcsim.units import SECONDS_PER_DAY, SECONDS_PER_MINUTE
from dcsim.workload.jobs import Floats, Jobs

LISTED = 20


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


@dataclass(frozen=True)
class Scheduled:
    """What a policy made of a trace.

    Parameters
    ----------
    result : SimResult
        Starts, ends and spans.
    processors : int
        Size of the machine.
    """

    result: SimResult
    processors: int

    @property
    def wait_s(self) -> Floats:
        """From submission to the first start, shape (n_jobs,). [s]"""
        return np.asarray(self.result.first_start_s - self.result.jobs.submit_s)

    def figures(self) -> dict[str, float]:
        """Mean figures of the schedule.

        Returns
        -------
        dict of float
            ``n_jobs`` [1]; ``mean_wait_s``, ``median_wait_s``, ``p95_wait_s``, ``max_wait_s`` [s];
            ``mean_bounded_slowdown`` with a bound of 10 s [1]; ``makespan_s`` from the first submission to the last end
            [s]; ``utilisation_frac`` over that [1]; ``preemptions`` [1].
        """
        jobs, wait_s = self.result.jobs, self.wait_s
        makespan_s = float(self.result.end_s.max() - jobs.submit_s[0])
        median, p95 = np.quantile(wait_s, (0.5, 0.95))
        # What held a job beside its own time counts as wait: a preempted one is slow however soon it first started.
        slow = bounded_slowdown(self.result.end_s - jobs.submit_s - jobs.run_s, jobs.run_s)
        return {
            "n_jobs": float(len(jobs)),
            "mean_wait_s": float(wait_s.mean()),
            "median_wait_s": float(median),
            "p95_wait_s": float(p95),
            "max_wait_s": float(wait_s.max()),
            "mean_bounded_slowdown": float(slow.mean()),
            "makespan_s": makespan_s,
            "utilisation_frac": float((jobs.run_s * jobs.gpus).sum() / (self.processors * makespan_s)),
            "preemptions": float(len(self.result.segment_job) - len(jobs)),
        }

    def table(self) -> pd.DataFrame:
        """One row a job: the columns of a run's jobs table, and ``procs``; no power is known, so no energy."""
        result, jobs = self.result, self.result.jobs
        columns = {**job_columns(result, MAIN, np.full(len(jobs), np.nan)), "procs": jobs.gpus}
        return pd.DataFrame(columns, copy=False)


def schedule(
    jobs: Jobs,
    *,
    processors: int,
    policy: str = "easy",
    estimates: str = "user",
    per_node: int = 1,
    per_leaf: int | None = None,
    tenancy: Tenancy | None = None,
    depth: int | None = None,
) -> Scheduled:
    """Schedule jobs to their end.

    Parameters
    ----------
    jobs : Jobs
        In the order of submission.
    processors : int
        Size of the machine, a multiple of ``per_node``.
    policy : str
        Key of :data:`dcsim.sim.policies.POLICIES`.
    estimates : str
        ``user`` believes the limits of the trace; ``perfect`` the run times, at least 1 s.
    per_node, per_leaf : int
        Processors of a node, and nodes under a leaf switch; one leaf if absent. A job of at least a node's processors
        takes whole nodes.
    tenancy : Tenancy, optional
        Shares and quotas of tenants, where the policy looks at them.
    depth : int, optional
        Jobs in line that the policy ``conservative`` has a time for; all if absent.

    Raises
    ------
    InputError
        If jobs ask for more than the machine has; the first are named.
    UsageError
        If a depth is given and the policy plans no times.
    """
    wide = np.flatnonzero(jobs.gpus > processors)
    if len(wide):
        rule = f"of {processors} processors; it can never start"
        listed = [Problem(0, f"job {jobs.job_id[k]}", f"asks for {jobs.gpus[k]} {rule}") for k in wide[:LISTED]]
        if len(wide) > LISTED:
            listed.append(Problem(0, "", f"and {len(wide) - LISTED} more jobs that can never start"))
        raise InputError("schedule", listed)
    if estimates == "perfect":
        jobs = replace(jobs, limit_s=np.maximum(jobs.run_s, 1.0))
    nodes = processors // per_node
    leaf = per_leaf or nodes
    cluster = ClusterSpec(per_node, leaf, leaf, ((0.0, nodes),))
    rates = np.ones((len(jobs.class_names), 2))
    if depth is not None and not lookup(POLICIES, policy, "scheduling policy").plans:
        raise UsageError(f"a depth of backfill is given, but the policy '{policy}' plans no times; choose conservative")
    done = simulate(cluster, jobs, rates, policy=policy, horizon_s=np.inf, seed=0, tenancy=tenancy, depth=depth)
    return Scheduled(done, processors)


def tenancy(jobs: Jobs, quotas: tuple[str, ...]) -> Tenancy | None:
    """Quotas stated as ``TENANT=N``; none where none is stated.

    Raises
    ------
    UsageError
        If one is not of that form, or no job is of that tenant.
    """
    if not quotas:
        return None
    limits = np.full(len(jobs.tenants), np.inf)
    for text in quotas:
        name, equals, number = text.rpartition("=")
        if not equals or not number.isdigit() or int(number) < 1:
            raise UsageError(f"--quota {text}: write it as TENANT=N, such as --quota physics=64")
        limits[lookup({one: k for k, one in enumerate(jobs.tenants)}, name, "tenant of the trace")] = int(number)
    return Tenancy(np.ones(len(limits)), limits)


def lines(of: Scheduled, meaning: str) -> list[str]:
    """Figures of a schedule for a terminal."""
    found = of.figures()
    minute = SECONDS_PER_MINUTE
    return [
        f"policy       {meaning}",
        f"jobs         {found['n_jobs']:,.0f} on {of.processors:,} processors, {found['preemptions']:,.0f} preemptions",
        f"wait         mean {found['mean_wait_s'] / minute:,.4g} min, median {found['median_wait_s'] / minute:,.4g}, "
        f"p95 {found['p95_wait_s'] / minute:,.4g}, max {found['max_wait_s'] / minute:,.4g}",
        f"slowdown     mean {found['mean_bounded_slowdown']:,.4g}, bounded at 10 s",
        f"utilisation  {found['utilisation_frac']:.1%}",
        f"makespan     {found['makespan_s'] / SECONDS_PER_DAY:,.4g} days from the first submission to the last end",
    ]
