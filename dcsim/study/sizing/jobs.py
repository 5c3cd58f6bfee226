"""The fewest GPUs on which a trace's jobs wait no longer than a limit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dcsim.errors import UsageError
from dcsim.study.schedule import schedule
from dcsim.units import SECONDS_PER_MINUTE
from dcsim.workload.jobs import Jobs

# Which wait is limited: key of a schedule's figures by the name that a user states.
WAITS = {"mean": "mean_wait_s", "median": "median_wait_s", "p95": "p95_wait_s", "max": "max_wait_s"}
# How many sizes below the one found are tried too: waits need not fall with every node added.
BELOW = 3


@dataclass(frozen=True)
class Sized:
    """What a search found.

    Parameters
    ----------
    gpus : int
        Fewest GPUs that keep the limit.
    tried : dict of int to dict
        Figures of the schedule by GPUs, in order of size.
    busy_gpus : float
        GPUs that the jobs keep busy on average over the submissions: no fewer could ever do.
    """

    gpus: int
    tried: dict[int, dict[str, float]]
    busy_gpus: float


def size(
    jobs: Jobs,
    *,
    wait_s: float,
    of: str = "mean",
    policy: str = "easy",
    per_node: int = 8,
    per_leaf: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Sized:
    """Search the fewest nodes under a limit on wait.

    Parameters
    ----------
    jobs : Jobs
        In the order of submission.
    wait_s : float
        Limit, at least 0. [s]
    of : str
        ``mean``, ``median``, ``p95`` or ``max``.
    policy : str
        Key of :data:`dcsim.sim.policies.POLICIES`.
    per_node, per_leaf : int
        As for :func:`dcsim.study.schedule.schedule`.
    progress : callable, optional
        Called with each size before it is tried. [GPU]

    Raises
    ------
    UsageError
        If the limit is negative or no such wait is known.

    Notes
    -----
    Sizes are doubled from the widest job, or the mean load if more, until the limit holds, then halved between; since a
    schedule is not monotone in its nodes, the sizes just below are tried as well. What is found keeps the limit on this
    trace; another draw of the same demand may need more.
    """
    if of not in WAITS:
        raise UsageError(f"'{of}' is no wait; one of {', '.join(WAITS)}")
    if not wait_s >= 0:
        raise UsageError(f"a wait of {wait_s:g} s is no limit; give at least 0")
    span_s = max(float(jobs.submit_s[-1] - jobs.submit_s[0]), 1.0)
    busy = float((jobs.gpus * jobs.run_s).sum()) / span_s
    widest = -(-int(jobs.gpus.max()) // per_node)
    tried: dict[int, dict[str, float]] = {}

    def keeps(nodes: int) -> bool:
        if nodes not in tried:
            if progress is not None:
                progress(nodes * per_node)
            done = schedule(jobs, processors=nodes * per_node, policy=policy, per_node=per_node, per_leaf=per_leaf)
            tried[nodes] = done.figures()
        return tried[nodes][WAITS[of]] <= wait_s

    low = widest - 1
    high = max(widest, int(busy / per_node))
    while not keeps(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    for nodes in range(max(widest, high - BELOW), high):
        if keeps(nodes):
            high = nodes
            break
    return Sized(high * per_node, {nodes * per_node: tried[nodes] for nodes in sorted(tried)}, busy)


def lines(of: Sized, wait: str, limit_s: float) -> list[str]:
    """What was found, for a terminal."""
    found = of.tried[of.gpus]
    head = (
        f"{of.gpus:,} GPUs are the fewest on which the {wait} wait is at most {limit_s / SECONDS_PER_MINUTE:,.4g} min; "
        f"they are {found['utilisation_frac']:.0%} used, and {of.busy_gpus:,.0f} would be busy without a queue"
    )
    rows = [f"{'GPUs':>10}{'mean wait':>16}{'p95 wait':>16}{'slowdown':>12}{'used':>7}"]
    for gpus, one in of.tried.items():
        mean, p95 = (_number(one[key] / SECONDS_PER_MINUTE) for key in ("mean_wait_s", "p95_wait_s"))
        slow, used = _number(one["mean_bounded_slowdown"]), one["utilisation_frac"]
        rows.append(f"{gpus:>10,}{mean:>12} min{p95:>12} min{slow:>12}{used:>7.0%}{'  <-' if gpus == of.gpus else ''}")
    return [head, "", *rows]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def body(of: Sized, **stated: Any) -> dict[str, Any]:
    """The same as plain data."""
    return {**stated, "gpus": of.gpus, "busy_gpus": of.busy_gpus, "tried": {str(k): v for k, v in of.tried.items()}}
