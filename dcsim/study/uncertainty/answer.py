"""The answer of an uncertainty study: what to expect, how sure that is, and what it rests on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dcsim.errors import UsageError
from dcsim.kpi import BETTER, KPIS, WORDS
from dcsim.study.figures.inputs import Floats
from dcsim.study.uncertainty import statistics
from dcsim.study.uncertainty.study import Found
from dcsim.study.uncertainty.tables import tables
from dcsim.units import percent

# Draws that a mean and its error need.
FEWEST = 2
# An error of a percentile above this share of the spread from P10 to P90 calls for more draws.
COARSE = 0.1


@dataclass(frozen=True)
class Answer:
    """A study in plain values, and its tidy tables."""

    said: dict[str, Any]
    tables: dict[str, pd.DataFrame]


def answer(found: Found) -> Answer:
    """Describe every figure of every side, and what the one that decides rests on."""
    asked = found.asked
    figure, unit = asked.figure, KPIS[asked.figure].unit
    sides = [_side(found, index) for index in range(len(asked.sides))]
    best = _best(found)
    said = {
        "recommendation": _recommendation(found, sides, best),
        "figure": {
            "name": figure,
            "meaning": KPIS[figure].definition,
            "unit": unit,
            "better": "less" if less_is_better(figure) else "more",
        },
        "plan": asked.base.name,
        "draws": asked.draws,
        "method": asked.method,
        "seed": asked.base.loaded.scenario.plan.seed,
        "valued": None if asked.valued is None else asked.valued.isoformat(),
        "best": sides[best]["name"],
        "sides": sides,
        "inputs": _inputs(found),
        "correlations": [
            {"between": list(of.between), "r": of.r} for of in asked.base.loaded.scenario.uncertainty.correlations
        ],
        "heat": None if found.heat is None else {"first": found.heat.first, "second": found.heat.second},
        "undefined": [
            {"side": side.name, "kpi": name, "draws": int(np.isnan(values).sum()), "reason": of.reasons[name]}
            for side, of in zip(asked.sides, found.draws, strict=True)
            for name, values in of.figures.items()
            if np.isnan(values).any()
        ],
        "notes": _notes(found, sides),
    }
    return Answer(said, tables(found))


def less_is_better(figure: str) -> bool:
    """Whether a lower value of a key figure is the better one."""
    return BETTER[figure] == "less"


def _good(figure: str, values: Floats) -> Floats:
    return -values if less_is_better(figure) else values


def _side(found: Found, index: int) -> dict[str, Any]:
    """The figure that decides of one side, and its difference to the plan draw by draw."""
    asked = found.asked
    side, values = asked.sides[index], found.draws[index].figures[asked.figure]
    if (n := int((~np.isnan(values)).sum())) < FEWEST:
        reason = found.draws[index].reasons.get(asked.figure, "")
        raise UsageError(f"{asked.figure} is defined in {n} of {len(values)} draws of {side.name}: {reason}")
    of = statistics.summary(values)
    worst = "high" if less_is_better(asked.figure) else "low"
    stated: dict[str, Any] = {
        "name": side.name,
        "sets": list(side.sets),
        "mean": of.mean,
        "sd": of.sd,
        "se": of.se,
        "n": of.n,
        "n_undefined": of.n_undefined,
        **of.percentiles,
        "bounds": {name: [None if np.isnan(end) else end for end in ends] for name, ends in of.bounds.items()},
        "cvar5": statistics.tail_mean(values, worst=worst),
        "loss_frac": None,
        "loss_bounds_frac": None,
        "regret": None,
    }
    if "npv" in asked.figure:
        stated["loss_frac"] = statistics.loss_frac(values)
        stated["loss_bounds_frac"] = list(statistics.loss_bounds_frac(values))
    if len(asked.sides) > 1:
        stated["regret"] = float(statistics.regret(list(_common(found)))[index])
    if index:
        delta = values - found.draws[0].figures[asked.figure]
        known = delta[~np.isnan(delta)]
        stated["delta_mean"] = float(known.mean())
        stated["delta_se"] = float(known.std(ddof=1) / len(known) ** 0.5)
        stated["delta_p10"], stated["delta_p90"] = map(float, np.quantile(known, (0.1, 0.9)))
        stated["better_frac"] = float((_good(asked.figure, known) > 0).mean())
    return stated


def _common(found: Found) -> Floats:
    """How good each side is in the draws in which all are defined, shape (n_sides, n); more is better.

    Raises
    ------
    UsageError
        If there are hardly any.
    """
    figure = found.asked.figure
    table = np.vstack([_good(figure, one.figures[figure]) for one in found.draws])
    whole = ~np.isnan(table).any(axis=0)
    if whole.sum() < FEWEST:
        raise UsageError(
            f"{figure} is defined of all alternatives in {whole.sum()} of {found.asked.draws} draws; name another "
            "--figure"
        )
    return table[:, whole]


def _best(found: Found) -> int:
    """Side that is undefined least often and, of these, has the best mean over the draws in which all are defined."""
    figure = found.asked.figure
    undefined = np.array([np.isnan(one.figures[figure]).sum() for one in found.draws])
    means = _common(found).mean(axis=1)
    return int(np.where(undefined == undefined.min(), means, -np.inf).argmax())


def _inputs(found: Found) -> list[dict[str, Any]]:
    """What is uncertain, the widest swing first: its distribution, what of it was drawn, and how the figure follows."""
    asked = found.asked
    base = asked.base
    ranks = statistics.rank_correlations(base.columns, found.draws[0].figures[asked.figure])
    stated = {of.name: of.distribution.model_dump(mode="json") for of in base.loaded.uncertain}
    shares = {} if found.sobol is None else found.sobol.set_index("input").to_dict("index")
    rows = []
    for of in base.inputs:
        drawn = np.quantile(base.columns[of.name], (0.1, 0.5, 0.9), method="nearest")
        p10, p50, p90 = (of.label(float(number)) for number in drawn)
        rows.append(
            {
                "name": of.name,
                "distribution": stated.get(of.name, {"distribution": "choice", "values": [str(v) for v in of.values]}),
                "single": of.label(of.base),
                "p10": p10,
                "p50": p50,
                "p90": p90,
                "simulated": of.simulated,
                "kind": "path" if of.is_path else "number" if of.is_number else "choice",
                "rank_correlation": ranks[of.name],
                "sobol": shares.get(of.name),
            }
        )
    main = found.tornado.get(asked.figure)
    order = [of["name"] for of in rows] if main is None else main.rows["input"].tolist()
    return sorted(rows, key=lambda row: order.index(row["name"]))


def _recommendation(found: Found, sides: list[dict[str, Any]], best: int) -> list[str]:
    """Sentences, the one to act on first."""
    asked = found.asked
    take, base = sides[best], sides[0]
    what, unit = WORDS.get(asked.figure, asked.figure), KPIS[asked.figure].unit
    said = []
    size = max(abs(take[name]) for name in ("p10", "p50", "p90"))
    p10, p50, p90 = (amount(take[name], unit, size) for name in ("p10", "p50", "p90"))
    spread = f"{what} is {p50} in the middle, {p10} at P10 and {p90} at P90"
    if len(sides) == 1:
        if base["loss_frac"] is None:
            said.append(f"{spread[0].upper()}{spread[1:]}.")
        elif base["mean"] < 0:
            said.append(f"Do not build this as it stands: it loses money in {percent(base['loss_frac'])} of the draws.")
        elif base["loss_frac"] > 0.1:
            said.append(f"Worth it on average, at a risk: it loses money in {percent(base['loss_frac'])} of the draws.")
        else:
            said.append(f"Worth it: it loses money in {percent(base['loss_frac'])} of the draws.")
    elif best == 0:
        nearest = max(sides[1:], key=lambda side: _good(asked.figure, np.array(side["mean"])).item())
        said.append(
            f"Keep {base['name']}: no alternative has a better mean; {nearest['name']} is better in "
            f"{percent(nearest['better_frac'])} of the draws."
        )
    else:
        said.append(
            f"Take {take['name']}: better than {base['name']} in {percent(take['better_frac'])} of the draws, by "
            f"{amount(abs(take['delta_mean']), unit)} on average (standard error {amount(take['delta_se'], unit)})."
        )
    if base["loss_frac"] is not None or len(sides) > 1:
        said.append(f"{spread[0].upper()}{spread[1:]}.")
    if len(sides) > 1 and take["loss_frac"] is not None:
        said.append(f"It loses money in {percent(take['loss_frac'])} of the draws.")
    if take["loss_frac"] is not None and take["mean"] < 0 and len(sides) > 1:
        said.append("Even that one loses money on average: building nothing is worth 0.")
    if take["loss_frac"] is not None:
        said.append(f"Mean of the worst twentieth: {amount(take['cvar5'], unit)}.")
    ranked = sorted(_inputs(found), key=lambda of: -abs(of["rank_correlation"]))
    ends = [of["name"].rpartition(".")[2] for of in ranked]
    first = [
        f"{of['name'] if ends.count(end) > 1 else end} ({of['rank_correlation']:+.2f})"
        for of, end in zip(ranked[:2], ends, strict=False)
    ]
    said.append(f"Over the draws it follows {' and '.join(first)} most, by rank correlation.")
    return said


def amount(value: float, unit: str, size: float | None = None) -> str:
    """A value of a key figure for a sentence: dollars in thousands or millions where *size*, or else it, is large."""
    size = abs(value) if size is None else size
    if unit.startswith("USD") and size >= 1e4:
        scale, name = (1e6, "M") if size >= 1e6 else (1e3, "k")
        return f"{value / scale:,.2f} {name} {unit}"
    return f"{value:,.4g}{'' if unit == '1' else f' {unit}'}"


def _notes(found: Found, sides: list[dict[str, Any]]) -> list[str]:
    """What the reader should know before relying on the figures."""
    asked = found.asked
    notes = []
    of = sides[0]
    spread = of["p90"] - of["p10"]
    ends = [of["bounds"]["p10"], of["bounds"]["p90"]]
    if any(None in of for of in ends):
        notes.append(f"{asked.draws} draws are too few for an interval of P10 and P90; draw at least 64")
    elif spread > 0 and (wide := max(high - low for low, high in ends) / 2.0) > COARSE * spread:
        notes.append(
            f"P10 and P90 are known to half of {2 * wide / spread:.0%} of the distance between them only; draw more "
            f"than {asked.draws}"
        )
    for side, one in zip(sides, found.draws, strict=True):
        if side["n_undefined"]:
            notes.append(
                f"{asked.figure} of {side['name']} is undefined in {side['n_undefined']} draws, which are left out: "
                f"{one.reasons[asked.figure]}"
            )
    if any(of.is_path for of in asked.base.inputs):
        notes.append("A price path is shown by the mean of its factors; quantiles and correlations rank paths by it")
    if asked.base.loaded.scenario.uncertainty.correlations and found.sobol is not None:
        notes.append("Sobol indices take the inputs as independent; correlations have no place in them")
    if found.no_sobol:
        notes.append(f"There are no Sobol indices of {asked.figure}: {found.no_sobol}")
    if asked.valued is not None:
        notes.append(f"All plans are valued at {asked.valued:%Y-%m}, so that they can be subtracted")
    if asked.figure not in found.tornado:
        notes.append(f"{asked.figure} is undefined at an end of some input, so there is neither tornado nor spider")
    elif found.spider is None and any(of.is_number and of.base for of in asked.base.inputs):
        notes.append(f"{asked.figure} is undefined within 30 % of some single value, so there is no spider")
    return notes
