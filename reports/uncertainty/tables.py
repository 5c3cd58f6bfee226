"""What the page says in cards and tables."""

import math
from collections.abc import Hashable
from typing import Any

import pandas as pd

from dcsim.kpi import KPIS, WORDS
from dcsim.units import percent

from ..page import number
from .folder import Measure, Study, measure

METHODS = {"latin": "Latin hypercube", "sobol": "Sobol points"}
LEVELS = ("p5", "p10", "p50", "p90", "p95")
# Distributions in words; what has none here is named with its parameters.
DISTRIBUTIONS = {
    "normal": "normal, mean {mean}, standard deviation {sd}",
    "lognormal": "lognormal, median {median}, standard deviation of the logarithm {log_sd}",
    "uniform": "uniform from {low} to {high}",
    "triangular": "triangular from {low} to {high}, likeliest {mode}",
    "pert": "PERT from {low} to {high}, likeliest {mode}",
    "beta": "beta from {low} to {high}, mean {mean}, standard deviation {sd}",
    "discrete": "one of {values}",
    "empirical": "as observed: {values}",
    "choice": "one of {values}",
    "price_path": "price path from {start}, {trend}, volatility {log_sd_per_year} and "
    "reversion {reversion_per_year} a year, {jumps_per_year} jumps of {jump_frac} a year",
}
MOST_VALUES = 8


def method(study: Study) -> str:
    """The sampling in words."""
    return METHODS.get(str(study.said["method"]), str(study.said["method"]))


def cards(study: Study) -> list[dict[str, str]]:
    """The plan in single figures, or a card a side where there are alternatives."""
    m, plan = study.figure, study.sides[0]
    if len(study.sides) > 1:
        return [
            {
                "value": m.text(side["mean"]),
                "unit": m.unit,
                "text": side["name"] + (_delta(study, side) if side is not plan else ", the plan"),
                "hint": ", ".join(side["sets"]),
            }
            for side in study.drawn
        ]
    found = [
        {"value": m.text(plan["mean"]), "unit": m.unit, "text": f"mean ± {m.error(2 * plan['se'])}", "hint": ""},
        *(
            {"value": m.text(plan[level]), "unit": m.unit, "text": level.upper(), "hint": _bounds(study, plan, level)}
            for level in ("p10", "p50", "p90")
        ),
    ]
    if plan["loss_frac"] is not None:
        found.append({"value": _loss(plan), "unit": "", "text": "chance of a loss", "hint": "95% interval"})
    return [*found, {"value": m.text(plan["cvar5"]), "unit": m.unit, "text": "mean of the worst twentieth", "hint": ""}]


def _delta(study: Study, side: dict[str, Any]) -> str:
    m = study.figure
    return (
        f": {m.text(side['delta_mean'], True)} ± {m.error(2 * side['delta_se'])}, better in "
        f"{percent(side['better_frac'])} of the draws"
    )


def _loss(side: dict[str, Any]) -> str:
    low, high = side["loss_bounds_frac"]
    return f"{percent(side['loss_frac'])} ({low:.1%} to {high:.1%})"


def _bounds(study: Study, side: dict[str, Any], level: str) -> str:
    return _interval(study.figure, *side["bounds"][level])


def _interval(m: Measure, low: float | None, high: float | None) -> str:
    if low is None or high is None or math.isnan(low + high):
        return "too few draws for its 95% interval"
    return f"95% interval {m.text(low)} to {m.text(high)}"


def sides(study: Study) -> list[dict[str, Any]]:
    """Figures of every side, a row each; empty where there is the plan alone."""
    plan, *others = study.sides
    m, of = study.figure, study.sides
    if not others:
        return []
    found = [
        _row("mean", [f"{m.text(side['mean'])} ± {m.error(2 * side['se'])}" for side in of], "± two standard errors")
    ]
    for level in ("p10", "p50", "p90"):
        cells = [m.text(side[level]) for side in of]
        found.append(_row(level.upper(), cells, hints=[_bounds(study, side, level) for side in of]))
    if study.breaks_even:
        found.append(_row("chance of a loss", [_loss(side) for side in of], "± half of the 95% interval"))
    found.append(_row("mean of the worst twentieth", [m.text(side["cvar5"]) for side in of]))
    deltas = [f"{m.text(side['delta_mean'], True)} ± {m.error(2 * side['delta_se'])}" for side in others]
    ends = [f"{m.text(side['delta_p10'], True)} to {m.text(side['delta_p90'], True)}" for side in others]
    better = [percent(side["better_frac"]) for side in others]
    return [
        *found,
        _row(f"difference to {plan['name']}", ["", *deltas], "mean ± two standard errors, paired"),
        _row("difference, P10 to P90", ["", *ends]),
        _row(f"better than {plan['name']}", ["", *better], "share of the draws"),
        _row("expected regret", [m.text(side["regret"]) for side in of], "mean, behind the best of the same draw"),
    ]


def _row(name: str, cells: list[str], note: str = "", hints: list[str] | None = None) -> dict[str, Any]:
    return {"name": name, "note": note, "cells": cells, "hints": hints or []}


def regret(study: Study) -> str:
    """Whose expected regret is least, as a title."""
    least = min(study.sides, key=lambda side: side["regret"])
    most = max(study.sides, key=lambda side: side["regret"])
    m = study.figure
    if least["regret"] == 0:
        said = f"{least['name']} is the best in every draw"
    else:
        said = f"{least['name']} is regretted least: {m.full(least['regret'])} behind the best of the same draw"
    return (
        f"{said}; {most['name']} is regretted most, {m.full(most['regret'])} on average" if most is not least else said
    )


def inputs(study: Study) -> list[dict[str, Any]]:
    """What is uncertain, in the order of the swing."""
    return [
        {
            **of,
            "short": study.short[of["name"]],
            "words": in_words(of["distribution"]),
            "changes": "the simulation" if of["simulated"] else "prices alone",
        }
        for of in study.said["inputs"]
    ]


def in_words(stated: dict[str, Any]) -> str:
    """A distribution as a sentence would say it."""
    kind, parameters = stated["distribution"], {k: _word(v) for k, v in stated.items() if k != "distribution"}
    if kind == "price_path":
        parameters["trend"] = f"falling {_word(fall)} a year" if (fall := stated["decline_frac_per_year"]) else "level"
    if kind in DISTRIBUTIONS:
        words = DISTRIBUTIONS[kind].format_map(parameters)
        weights = stated.get("weights")
        return f"{words}, weights {_word(weights)}" if weights else words
    named = [f"{key.replace('_', ' ')} {value}" for key, value in parameters.items()]
    return ", ".join([str(kind).replace("_", " "), *named])


def _word(value: Any) -> str:
    if isinstance(value, list):
        more = f" and {len(value) - MOST_VALUES} more" if len(value) > MOST_VALUES else ""
        return ", ".join(_word(one) for one in value[:MOST_VALUES]) + more
    return str(value) if isinstance(value, bool) else number(value)


def followed(study: Study) -> str:
    """Which input the figure follows most over the draws, as a title."""
    of = study.said["inputs"]
    first = max(of, key=lambda one: abs(one["rank_correlation"]))
    n = sum(one["simulated"] for one in of)
    what = "all change prices alone" if n == 0 else f"{n} change{'s' if n == 1 else ''} the simulation"
    name = study.short[first["name"]]
    follows = f"{study.figure.words} follows {name} most (rank correlation {first['rank_correlation']:+.2f})"
    if first["rank_correlation"] == 0:
        follows = f"{study.figure.words} follows none of them"
    return f"{len(of)} uncertain input{'' if len(of) == 1 else 's'}, {what}; {follows}"


def percentiles(study: Study) -> list[dict[str, Any]]:
    """All key figures in the units shown, a block each with a row a side."""
    found = []
    for name, rows in study.tables["percentiles"].groupby("kpi", sort=False):
        unit = str(rows["unit"].iloc[0])
        m = measure(str(name), unit, rows[["single", "p5", "p95"]].to_numpy())
        found.append(
            {
                "name": name,
                "words": WORDS.get(str(name), ""),
                "unit": m.unit,
                "meaning": KPIS[str(name)].definition if str(name) in KPIS else "",
                "rows": [_percentile_row(m, row) for row in rows.to_dict("records")],
            }
        )
    return found


def _percentile_row(m: Measure, row: dict[Hashable, Any]) -> dict[str, Any]:
    bounds = [(row[f"{level}_low"], row[f"{level}_high"]) for level in LEVELS]
    return {
        "side": row["side"],
        "single": m.text(row["single"]),
        "mean": m.text(row["mean"]),
        "levels": [
            {"value": m.text(row[level]), "hint": _interval(m, low, high)}
            for level, (low, high) in zip(LEVELS, bounds, strict=True)
        ],
        "draws": f"{row['draws']:,}",
        "undefined": row["undefined"],
        "reason": row["reason"] if row["undefined"] else "",
    }


def undefined(study: Study) -> dict[str, str]:
    """Key figures that fewer than two draws of any side define, which have no percentiles, and why."""
    draws: pd.DataFrame = study.tables["draws"]
    shown = set(study.tables["percentiles"]["kpi"])
    reasons = {of["kpi"]: of["reason"] for of in reversed(study.said["undefined"])}
    return {str(name): reasons[name] for name in draws.columns if name in KPIS and name not in shown}


def runs(study: Study) -> list[dict[str, str]]:
    """Run folders at percentiles of the plan, with a link to what is there."""
    found = []
    for level, of in study.said["percentile_runs"].items():
        report = f"{of['folder']}/report.html"
        found.append(
            {
                "level": level.upper(),
                "draw": f"{of['draw']:,}",
                "value": study.figure.full(of[study.figure.name]),
                "folder": of["folder"],
                "link": report if (study.folder / report).exists() else f"{of['folder']}/",
            }
        )
    return found
