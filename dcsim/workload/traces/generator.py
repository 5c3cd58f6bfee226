"""A generator of jobs fitted to a trace, and how far what it draws is from what it was fitted to."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtr
from scipy.stats import ks_2samp

from dcsim.errors import UsageError
from dcsim.rng import stream
from dcsim.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from dcsim.workload.jobs import Floats
from dcsim.workload.traces.canonical import frame
from dcsim.workload.traces.statistics import rank_correlation

FORM = "dcsim trace generator 1"
WEEK_H = 168
# Points of an empirical distribution; the spacing is finer towards its ends, where the load of long jobs lies.
_POINTS = 1.0 / (1.0 + np.exp(-np.linspace(-9.0, 9.0, 161)))
_MOST = 1_000_000
"""Jobs that a check of a fit draws at most."""
_QUIET = 0.3
"""Jobs that a day without any is taken to have had, so that the next fit's days are rare rather than impossible."""
_MIN_JOBS = 100
"""Jobs of which a width needs as many for a distribution of its own; rarer widths share one with their neighbours."""


@dataclass(frozen=True)
class Group:
    """Jobs of neighbouring widths: the distribution of their run times and of limit over run, and how these rank.

    ``widths`` and ``weights`` list what is drawn; ``run_s`` and ``limit_over_run`` are quantiles; ``rank`` is the
    correlation of the two as normal scores; ``limit_over_run`` is empty where the trace has no limits.
    """

    widths: list[float]
    weights: list[float]
    run_s: list[float]
    limit_over_run: list[float]
    rank: float


@dataclass(frozen=True)
class Generator:
    """Arrivals by hour of the week, gaps and their memory, and groups of widths.

    ``week`` is the rate of each hour of the week over the mean, from Thursday 00:00, as time counts from 1970; ``day``
    are quantiles of a day's arrivals over what its hours expect, and ``day_memory`` is how each day follows the one
    before, as normal scores; ``gap`` and ``memory`` are those of the gaps between arrivals, in time stretched by the
    rates. ``gpus`` says whether widths are GPUs or processors.
    """

    n_jobs: int
    first_submit_s: float
    span_s: float
    gpus: bool
    week: list[float]
    day: list[float]
    day_memory: float
    gap: list[float]
    memory: float
    groups: list[Group]
    form: str = FORM

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: Any) -> "Generator":
        """From plain data.

        Raises
        ------
        UsageError
            If it is no generator of this form.
        """
        if not isinstance(body, dict) or body.get("form") != FORM:
            raise UsageError(f"is not a '{FORM}'")
        return cls(**{**body, "groups": [Group(**group) for group in body["groups"]]})


def fit(frames: Iterable[pd.DataFrame], *, gpus: bool) -> tuple[Generator, dict[str, Floats]]:
    """Fit a generator to a trace; also the columns that it was fitted to.

    Notes
    -----
    Arrivals are a renewal process with memory in time stretched by the rate of each hour of the week and by a level of
    each day, so that the daily and weekly pattern, busy days, the distribution of gaps and their clustering stay.
    Widths come by their own frequencies; run times by the distribution of their width's group; limits by a Gaussian
    copula with the run time. What is not kept: that one user's jobs follow each other with like sizes, trends over
    months, and tenants.

    Raises
    ------
    UsageError
        If the trace has fewer than 100 jobs that can be used.
    """
    names = ("submit_s", "run_s", "limit_s", "width")
    parts: dict[str, list[Floats]] = {name: [] for name in names}
    for found in frames:
        used = found.assign(width=found["gpus" if gpus else "cpus"])
        used = used[(used["width"] > 0) & (used["run_s"] >= 0) & (used["submit_s"] >= 0)]
        for name in names:
            parts[name].append(used[name].to_numpy(dtype=float))
    # One column at a time, so that a trace of millions of rows is in memory once.
    of = {name: np.concatenate(parts.pop(name) or [np.empty(0)]) for name in names}
    n = len(of["submit_s"])
    if n < _MIN_JOBS:
        raise UsageError(f"{n} usable jobs are too few to fit a generator; {_MIN_JOBS} are needed")
    order = np.argsort(of["submit_s"], kind="stable")
    for name in names:
        of[name] = of[name][order]
    del order
    first_s, span_s = float(of["submit_s"][0]), float(np.ptp(of["submit_s"]))
    week = _week(of["submit_s"])
    days = _days(of["submit_s"], week)
    gap = np.diff(np.interp(of["submit_s"], *_clock(first_s, first_s + span_s, week, days)))
    made = Generator(
        n_jobs=n,
        first_submit_s=first_s,
        span_s=span_s,
        gpus=gpus,
        week=week.tolist(),
        day=_quantiles(days),
        day_memory=_normal_correlation(days[:-1], days[1:]),
        gap=_quantiles(gap / gap.mean()),
        memory=_normal_correlation(gap[:-1], gap[1:]),
        groups=_groups(of),
    )
    return made, of


def _week(submit_s: Floats) -> Floats:
    """Arrivals by hour of the week over what the hours of the trace would see at an even rate."""
    hour = (submit_s // SECONDS_PER_HOUR).astype(np.int64)
    seen = np.bincount(np.arange(hour[0], hour[-1] + 1) % WEEK_H, minlength=WEEK_H)
    counts = np.bincount(hour % WEEK_H, minlength=WEEK_H)
    if seen.min() < 2:  # Less than two weeks: only the hour of day can be told.
        daily = counts.reshape(7, 24).sum(axis=0) / np.maximum(seen.reshape(7, 24).sum(axis=0), 1)
        rate = np.tile(daily, 7)
    else:
        rate = counts / seen
    # One arrival more an hour of the week, so that an hour without any is rare rather than impossible.
    rate = rate + 1.0 / max(1.0, float(seen.sum()))
    return np.asarray(rate / rate.mean())


def _days(submit_s: Floats, week: Floats) -> Floats:
    """Arrivals of each day over what the hours of the week expect, mean 1; a quiet day counts as one of few."""
    hours = _hours(submit_s[0], submit_s[-1])
    expected = np.add.reduceat(week[hours % WEEK_H], np.arange(0, len(hours), 24))
    day = ((submit_s // SECONDS_PER_HOUR).astype(np.int64) - hours[0]) // 24
    level = np.maximum(np.bincount(day, minlength=len(expected)), _QUIET) / expected
    return np.asarray(level / level.mean())


def _hours(first_s: float, last_s: float) -> NDArray[np.int64]:
    """Hours, counted from 1970, that hold a span."""
    return np.arange(int(first_s // SECONDS_PER_HOUR), int(last_s // SECONDS_PER_HOUR) + 1)


def _clock(first_s: float, last_s: float, week: Floats, days: Floats) -> tuple[Floats, Floats]:
    """Edges of the hours of a span, and time at those in which arrivals come at an even rate. [s]"""
    hours = _hours(first_s, last_s)
    rate = week[hours % WEEK_H] * np.repeat(days, 24)[: len(hours)]
    edges_s = np.arange(hours[0], hours[-1] + 2) * SECONDS_PER_HOUR
    return edges_s, np.concatenate([[0.0], np.cumsum(rate)]) * SECONDS_PER_HOUR


def _quantiles(values: Floats) -> list[float]:
    return [float(value) for value in np.quantile(values, _POINTS)]


def _draw(quantiles: list[float], uniform: Floats) -> Floats:
    return np.interp(uniform, _POINTS, quantiles)


def _normal_correlation(one: Floats, other: Floats) -> float:
    """Correlation of normal scores that gives the rank correlation of two columns; 0 where one does not vary."""
    rank = rank_correlation(one, other)
    return 0.0 if rank is None else float(2.0 * np.sin(np.pi * rank / 6.0))


def _groups(of: dict[str, Floats]) -> list[Group]:
    widths, counts = np.unique(of["width"], return_counts=True)
    members = np.searchsorted(widths, of["width"]).astype(np.int32)
    found, held = [], []
    for index in range(len(widths)):
        held.append(index)
        rest = counts[index + 1 :].sum()
        if counts[held].sum() >= _MIN_JOBS and (rest == 0 or rest >= _MIN_JOBS):
            found.append(_group(of, widths, counts, members, held))
            held = []
    if held:
        found.append(_group(of, widths, counts, members, held))
    return found


def _group(of: dict[str, Floats], widths: Floats, counts: Any, members: Any, held: list[int]) -> Group:
    chosen = (members >= held[0]) & (members <= held[-1])
    run_s, limit_s = of["run_s"][chosen], of["limit_s"][chosen]
    limited = np.isfinite(limit_s) & (run_s > 0)
    over = np.maximum(limit_s[limited] / run_s[limited], 1.0)
    return Group(
        widths=widths[held].tolist(),
        weights=(counts[held] / len(members)).tolist(),
        run_s=_quantiles(run_s),
        limit_over_run=_quantiles(over) if len(over) >= _MIN_JOBS else [],
        rank=_normal_correlation(run_s[limited], over) if len(over) >= _MIN_JOBS else 0.0,
    )


def generate(of: Generator, *, days: float | None = None, load: float = 1.0, seed: int = 0) -> pd.DataFrame:
    """Draw a trace.

    Parameters
    ----------
    of : Generator
        What was fitted.
    days : float, optional
        Length; that of the fitted trace if absent. [d]
    load : float
        Arrivals over those of the fitted trace. [1]
    seed : int
        Streams are keyed by what is drawn.

    Returns
    -------
    DataFrame
        Canonical rows in the order of submission, on the fitted trace's clock.
    """
    span_s = of.span_s if days is None else days * SECONDS_PER_DAY
    n = max(1, round(of.n_jobs * load * span_s / of.span_s))
    week = np.array(of.week)
    last_s = of.first_submit_s + span_s
    n_days = -(-len(_hours(of.first_submit_s, last_s)) // 24)
    levels = _draw(of.day, ndtr(_remembering(stream(seed, "trace/days"), n_days, of.day_memory)))
    edges_s, along_s = _clock(of.first_submit_s, last_s, week, levels)
    ends = np.interp([of.first_submit_s, last_s], edges_s, along_s)
    along = np.cumsum(_draw(of.gap, ndtr(_remembering(stream(seed, "trace/gaps"), n, of.memory))))
    submit_s = np.interp(ends[0] + along / along[-1] * np.ptp(ends), along_s, edges_s)
    share = np.array([sum(group.weights) for group in of.groups])
    chosen = np.searchsorted(np.cumsum(share)[:-1] / share.sum(), stream(seed, "trace/groups").random(n), "right")
    width, run_s, limit_s = np.empty(n), np.empty(n), np.full(n, np.nan)
    pick, run, limit = (stream(seed, f"trace/{name}") for name in ("widths", "runs", "limits"))
    u_width, z_run, z_other = pick.random(n), run.standard_normal(n), limit.standard_normal(n)
    for index, group in enumerate(of.groups):
        here = np.flatnonzero(chosen == index)
        edges = np.cumsum(group.weights) / sum(group.weights)
        width[here] = np.array(group.widths)[np.searchsorted(edges[:-1], u_width[here], "right")]
        run_s[here] = _draw(group.run_s, ndtr(z_run[here]))
        if group.limit_over_run:
            z = group.rank * z_run[here] + np.sqrt(1.0 - group.rank**2) * z_other[here]
            limit_s[here] = run_s[here] * _draw(group.limit_over_run, ndtr(z))
    widths = {"gpus" if of.gpus else "cpus": width}
    return frame(n, job_id=np.arange(1, n + 1).astype(str), submit_s=submit_s, run_s=run_s, limit_s=limit_s, **widths)


def check_draw(of: Generator, seed: int) -> pd.DataFrame:
    """Draw as long as the fitted trace, or as many of its days as hold a million jobs."""
    share = min(1.0, _MOST / of.n_jobs)
    return generate(of, days=share * of.span_s / SECONDS_PER_DAY, seed=seed)


def _remembering(draws: np.random.Generator, n: int, memory: float) -> Floats:
    """Normal scores, each correlated with the one before."""
    shocks = draws.standard_normal(n)
    shocks[1:] *= np.sqrt(1.0 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], shocks))


def goodness(of: dict[str, Floats], drawn: pd.DataFrame, *, gpus: bool) -> list[dict[str, Any]]:
    """How far a drawn trace is from the one that it was fitted to.

    Returns
    -------
    list of dict
        ``what``, ``trace``, ``drawn`` and, for distributions, the Kolmogorov-Smirnov distance ``distance``.
    """
    new = {
        "submit_s": drawn["submit_s"].to_numpy(),
        "run_s": drawn["run_s"].to_numpy(),
        "limit_s": drawn["limit_s"].to_numpy(),
        "width": drawn["gpus" if gpus else "cpus"].to_numpy(),
    }
    rows = []
    for name, part in (("run time, mean [s]", "run_s"), ("width, mean", "width")):
        rows.append(_row(name, of[part].mean(), new[part].mean(), of[part], new[part]))
    gaps = [np.diff(np.sort(one["submit_s"])) for one in (of, new)]
    rows.append(_row("gap, variation", gaps[0].std() / gaps[0].mean(), gaps[1].std() / gaps[1].mean(), *gaps))
    for what, figure in FIGURES.items():
        rows.append(_row(what, figure(of), figure(new)))
    return rows


def _dispersion(of: dict[str, Floats]) -> float:
    counts = np.bincount(((of["submit_s"] - of["submit_s"].min()) // SECONDS_PER_HOUR).astype(np.int64))
    return float(counts.var() / counts.mean())


def _busiest(of: dict[str, Floats]) -> float:
    counts = np.bincount((of["submit_s"] % SECONDS_PER_DAY // SECONDS_PER_HOUR).astype(np.int64), minlength=24)
    return float(counts.max() / counts.mean())


# What a generator is to keep beside the distributions of single columns.
FIGURES: dict[str, Callable[[dict[str, Floats]], float | None]] = {
    "width in use, mean": lambda of: float((of["run_s"] * of["width"]).sum() / np.ptp(of["submit_s"])),
    "jobs an hour, variance over mean": _dispersion,
    "busiest hour of day over the mean": _busiest,
    "width with run time, rank correlation": lambda of: rank_correlation(of["width"], of["run_s"]),
    "limit with run time, rank correlation": lambda of: rank_correlation(of["limit_s"], of["run_s"]),
}


def _some(values: Floats) -> Floats:
    """At most a million values, evenly over the sorted ones, which moves no distance by more than a millionth."""
    return values if len(values) <= _MOST else np.sort(values)[:: -(-len(values) // _MOST)]


def _row(
    what: str, trace: float | None, drawn: float | None, one: Floats | None = None, other: Floats | None = None
) -> dict[str, Any]:
    distance = None
    if one is not None and other is not None:
        distance = float(ks_2samp(_some(one), _some(other), method="asymp").statistic)
    return {
        "what": what,
        "trace": None if trace is None else float(trace),
        "drawn": None if drawn is None else float(drawn),
        "distance": distance,
    }
