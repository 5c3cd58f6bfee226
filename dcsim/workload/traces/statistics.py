"""What a trace holds: sizes, run times, waits, arrivals, load, as one table of figures."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from dcsim.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from dcsim.workload.jobs import Floats

QUANTILES = (0.1, 0.5, 0.9, 0.99)
_KEPT = ("submit_s", "start_s", "run_s", "limit_s", "width")
_TENANTS = 5


def statistics(frames: Iterable[pd.DataFrame], *, gpus: bool) -> dict[str, Any]:
    """Figures of a trace.

    Parameters
    ----------
    frames : iterable of DataFrame
        Canonical frames.
    gpus : bool
        Take GPUs as the width of a job, else processors.

    Returns
    -------
    dict
        Counts, ``span_days``; ``width``, ``run_s``, ``wait_s``, ``gap_s``, ``limit_over_run`` each with mean and
        quantiles; ``sizes``, the shares of jobs and of width times run by width; ``hours``, arrivals by hour of day
        over their mean; ``mean_busy`` and ``peak_busy`` width in use by recorded starts, or submissions where none are
        recorded; ``statuses`` and ``tenants``.
    """
    kept: dict[str, list[Floats]] = {name: [] for name in _KEPT}
    statuses, tenants = Counter[str](), Counter[str]()
    areas: dict[str, float] = {}
    rows = 0
    for found in frames:
        rows += len(found)
        found = found.assign(width=found["gpus" if gpus else "cpus"])
        statuses.update(_counts(found["status"]))
        tenants.update(_counts(found["tenant"]))
        used = found[found["width"] > 0]
        area = (used["width"] * used["run_s"]).groupby(used["tenant"].astype("str")).sum()
        for name, value in area.items():
            areas[str(name)] = areas.get(str(name), 0.0) + float(value)
        for name in _KEPT:
            kept[name].append(used[name].to_numpy(dtype=float))
    # One column at a time, so that a trace of millions of rows is in memory once.
    columns = {name: np.concatenate(kept.pop(name) or [np.empty(0)]) for name in _KEPT}
    return {"jobs": rows, **_figures(columns, rows), "statuses": dict(statuses), "tenants": _tenants(tenants, areas)}


def _figures(of: dict[str, Floats], rows: int) -> dict[str, Any]:
    order = np.argsort(of["submit_s"], kind="stable")
    for name in _KEPT:
        of[name] = of[name][order]
    del order
    submit_s, run_s, width = of["submit_s"], of["run_s"], of["width"]
    if not len(submit_s):
        return {"usable": 0, "without_width": rows}
    ran = np.isfinite(run_s)
    start_s = np.where(np.isfinite(of["start_s"]), of["start_s"], submit_s)
    area = np.where(ran, width * run_s, 0.0)
    first_s = float(submit_s[0])
    end_s = float(max((start_s + np.where(ran, run_s, 0.0)).max(), first_s + 1.0))
    span_s = float(submit_s[-1]) - first_s
    hour = ((submit_s % SECONDS_PER_DAY) // SECONDS_PER_HOUR).astype(np.int64)
    by_hour = np.bincount(hour, minlength=24)
    gap_s = np.diff(submit_s)
    counts = np.bincount(((submit_s - first_s) // SECONDS_PER_HOUR).astype(np.int64))
    return {
        "usable": len(submit_s),
        "without_width": rows - len(submit_s),
        "never_ran": int(np.count_nonzero(~ran)),
        "first_submit_s": first_s,
        "span_days": span_s / SECONDS_PER_DAY,
        "width_hours": float(area.sum()) / SECONDS_PER_HOUR,
        "mean_busy": float(area.sum()) / (end_s - first_s),
        "peak_busy": _peak(start_s[ran], run_s[ran], width[ran]),
        "width": summary(width),
        "run_s": summary(run_s),
        "wait_s": summary(of["start_s"] - submit_s),
        "limit_over_run": summary(of["limit_s"] / np.where(run_s > 0, run_s, np.nan)),
        "gap_s": summary(gap_s),
        "gap_variation": float(gap_s.std() / gap_s.mean()) if len(gap_s) and gap_s.mean() > 0 else None,
        "hourly_dispersion": float(counts.var() / counts.mean()),
        "width_run_rank_correlation": rank_correlation(width, run_s),
        "sizes": _sizes(width, area),
        "hours": (by_hour / by_hour.mean()).tolist(),
    }


def _peak(start_s: Floats, run_s: Floats, width: Floats) -> float:
    """Most width in use at once; a job that ends as another starts has ended. [1]"""
    by_start, by_end = np.argsort(start_s, kind="stable"), np.argsort(start_s + run_s, kind="stable")
    ended = np.concatenate([[0.0], np.cumsum(width[by_end])])
    before = np.searchsorted((start_s + run_s)[by_end], start_s[by_start], "right")
    # A job of no length ends where it starts: it has started too, so counts never fall below nothing.
    return float((np.cumsum(width[by_start]) - ended[before]).max(initial=0.0))


def summary(values: Floats) -> dict[str, float] | None:
    """Mean, quantiles and maximum of the known values; None where none is."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    points = np.quantile(known, QUANTILES)
    named = {f"p{round(100 * q)}": float(value) for q, value in zip(QUANTILES, points, strict=True)}
    return {"known": len(known), "mean": float(known.mean()), **named, "max": float(known.max())}


def rank_correlation(one: Floats, other: Floats) -> float | None:
    """Spearman's rank correlation of what is known of both; None where a column does not vary.

    Of more than a million rows, every k-th is taken so that at most a million are: the error of that is below 0.001.
    """
    every = -(-len(one) // 1_000_000)
    one, other = one[:: max(every, 1)], other[:: max(every, 1)]
    known = np.isfinite(one) & np.isfinite(other)
    if np.count_nonzero(known) < 3 or np.ptp(one[known]) == 0 or np.ptp(other[known]) == 0:
        return None
    return float(spearmanr(one[known], other[known]).statistic)


def _sizes(width: Floats, area: Floats) -> list[dict[str, float]]:
    """Shares of jobs and of width times run time, by widths up to each power of two; parts of one first."""
    bins = np.where(width < 1, -1, np.ceil(np.log2(np.maximum(width, 1.0)) - 1e-9)).astype(np.int64)
    found = []
    total = max(float(area.sum()), 1e-300)
    for one in np.unique(bins):
        members = bins == one
        found.append(
            {
                "up_to": float(2.0**one) if one >= 0 else 0.999,
                "jobs": float(members.mean()),
                "width_hours": float(area[members].sum()) / total,
            }
        )
    return found


def _counts(text: "pd.Series[Any]") -> dict[str, int]:
    return {str(name): int(count) for name, count in text.value_counts().items()}


def _tenants(jobs: "Counter[str]", area: dict[str, float]) -> list[dict[str, Any]]:
    total = max(sum(area.values()), 1e-300)
    largest = sorted((name for name in area if name), key=lambda name: -area[name])[:_TENANTS]
    return [{"name": name, "jobs": jobs[name], "share": area[name] / total} for name in largest]
