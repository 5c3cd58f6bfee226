"""What services did over a plan: a row an interval, and figures of each."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.build import Facility
from dcsim.catalog.fitted import Z90
from dcsim.columns import SERVICES
from dcsim.model.services import Limits
from dcsim.serving.latency import METRICS
from dcsim.serving.plan import Outcome
from dcsim.units import SECONDS_PER_HOUR
from dcsim.workload.jobs import Floats

# Standard deviation of the logarithm of a day's p95 by the hourly model over that by simulation: -14, -3, 1.6 and 2.7 %
# over days of two logs by three tables each, as `dcsim validate serving` prints; a table alone is luck of as much more.
HOURS_LOG_SD = 0.1


def service_table(facility: Facility, services: Sequence[Outcome]) -> pd.DataFrame:
    """Table of the services by interval, one after the other."""
    n = len(facility.edges_s) - 1
    one = [_service_columns(facility, of) for of in services]
    table = {
        column.name: np.concatenate([of[column.name] for of in one])
        if one
        else np.array([], dtype=object if column.kind == "s" else float)
        for column in SERVICES
    }
    assert all(len(values) == n * len(one) for values in table.values())
    return pd.DataFrame(table, copy=False)


def _service_columns(facility: Facility, of: Outcome) -> dict[str, NDArray[Any]]:
    hours, edges_s = of.hours, facility.edges_s
    latencies = {
        f"{metric}_p{p}_s": hours.percentile_s(metric, p) for metric in ("ttft", "tpot", "e2e") for p in (50, 95)
    }
    return {
        "service": np.full(len(edges_s) - 1, of.planned.stated.name, dtype=object),
        "start_s": edges_s[:-1],
        "duration_s": np.diff(edges_s),
        "requests_per_s": hours.per_s,
        "answered_per_s": of.answered_per_s,
        "refused_per_s": hours.served_per_s - of.answered_per_s,
        "lost_per_s": hours.lost_per_s,
        "requests_waiting": hours.waiting,
        "replicas_wanted": of.planned.wanted.astype(float),
        "replicas": hours.replicas,
        "gpus": of.nodes * of.planned.of.node.gpus,
        "load_frac": np.where(np.isfinite(hours.load_frac), hours.load_frac, np.nan),
        "batch": hours.batch,
        **latencies,
        "power_w": of.power_w,
        "prompt_tokens_per_s": of.prompt_tokens_per_s,
        "output_tokens_per_s": of.output_tokens_per_s,
    }


def service_findings(
    services: Sequence[Outcome], table: pd.DataFrame, usd_per_gpu_h: float | None
) -> list[dict[str, Any]]:
    """What each service did over the plan, and what a million tokens of its answers cost and earn.

    Percentiles are over the requests whose latency is known; their bounds hold the error of the step times on a sweep
    that the fit never saw, and that of the hourly model.
    """
    found = []
    for outcome in services:
        of = outcome.planned
        rows = table[table["service"] == of.stated.name]
        seconds = rows["duration_s"].to_numpy()

        def total(column: str, rows: pd.DataFrame = rows, seconds: Floats = seconds) -> float:
            return float(rows[column].to_numpy() @ seconds)

        came, answers = total("requests_per_s"), total("output_tokens_per_s")
        gpu_h, energy_j = total("gpus") / SECONDS_PER_HOUR, total("power_w")
        known = rows["ttft_p95_s"].notna().to_numpy()
        kept = known & _within(rows, of.stated.limits)
        weight = (rows["requests_per_s"] * rows["duration_s"]).to_numpy()
        found.append(
            {
                "service": of.stated.name,
                "model": of.stated.model,
                "gpus_per_replica": of.of.gpus,
                "requests": came,
                "answered_frac": total("answered_per_s") / came if came else None,
                "known_frac": float(weight[known].sum() / weight.sum()) if came else None,
                "within_limits_frac": float(weight[kept].sum() / weight.sum()) if came else None,
                **{f"{metric}_p95_s": _bounds(outcome, metric) for metric in METRICS},
                "peak_gpus": float(rows["gpus"].max()),
                "mean_gpus": total("gpus") / float(seconds.sum()),
                "short_intervals": int((of.claimed < of.wanted).sum()),
                "output_million_tokens": answers / 1e6,
                "limits": of.stated.limits.model_dump(),
                "j_per_token": energy_j / answers if answers else None,
                "cost_usd_per_million_tokens": usd_per_gpu_h * gpu_h / (answers / 1e6)
                if answers and usd_per_gpu_h is not None
                else None,
                "income_usd_per_million_tokens": (
                    of.stated.usd_per_million_output_tokens
                    + of.stated.usd_per_million_prompt_tokens * total("prompt_tokens_per_s") / answers
                )
                if answers
                else None,
            }
        )
    return found


def _bounds(of: Outcome, metric: str) -> dict[str, float | None]:
    """The p95 of a latency over the plan with what eight of ten outcomes lie between; null where none is known. [s]"""
    value = of.hours.overall_s(metric, 95.0)
    if math.isnan(value):
        return {"value": None, "p10": None, "p90": None}
    factor = math.exp(Z90 * math.hypot(of.planned.of.step_log_sd, HOURS_LOG_SD))
    return {"value": value, "p10": value / factor, "p90": value * factor}


def _within(rows: pd.DataFrame, limits: Limits) -> "NDArray[np.bool_]":
    """Whether each interval keeps the limits that are stated."""
    kept = np.ones(len(rows), dtype=bool)
    for metric in ("ttft", "tpot", "e2e"):
        most_s = getattr(limits, f"{metric}_p95_s")
        if most_s is not None:
            kept &= ~(rows[f"{metric}_p95_s"].to_numpy() > most_s)
    return kept
