"""The answer of an optimisation in plain values: the front, its knee, what binds there, and which ranges end there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dcsim.study.optimise.design import Choice, short_names
from dcsim.study.optimise.front import KNEE_RULE, dominated_by, hypervolume, knee
from dcsim.study.optimise.goals import Limit
from dcsim.study.optimise.judge import Judge, Judged
from dcsim.study.optimise.tables import reason
from dcsim.study.optimise.tasks import binding, binds
from dcsim.study.optimise.tried import Tried
from dcsim.study.summary import number


def said(
    choices: Sequence[Choice], judge: Judge, tried: Sequence[Tried], found: Judged, search: Mapping[str, Any]
) -> dict[str, Any]:
    """The answer as ``optimise.json`` says it, its sentences apart."""
    front = tuple(sorted(found.front, key=lambda i: (-found.gains_of((i,))[0, 0], i)))
    gains = found.gains_of(front)
    short = short_names([one.path for one in choices])
    names = [goal.name for goal in judge.goals]
    answer: dict[str, Any] = {
        "search": dict(search),
        "design": [
            {
                "path": one.path,
                "short": short[one.path],
                "values": list(one.values),
                "continuous": one.continuous,
                **_at_ends(k, one, tried, front),
            }
            for k, one in enumerate(choices)
        ],
        "objectives": _objectives(judge, tried, found),
        "limits": [_of_limit(limit, judge, tried, found) for limit in judge.limits],
        "points": {
            "tried": len(tried),
            **{status: sum(of.status == status for of in tried) for status in ("built", "refused", "failed")},
            "feasible": len(found.feasible),
            "dominated": sum(bool(above) for above in found.above.values()),
            "front": len(front),
            "alike": sum(len(found.alike(i)) for i in front),
        },
        "front": [_of_front(i, judge, tried[i], found) for i in front],
        "best": [{"objective": name, "point": front[int(gains[:, k].argmax())] + 1} for k, name in enumerate(names)]
        if front
        else [],
        "knee": {"point": front[knee(gains)] + 1, "rule": KNEE_RULE} if front else None,
        "binding": _binding(tried, front),
        "hypervolume": _volume(judge, found, gains) if front else None,
        "not_feasible": _not_feasible(judge, tried, found),
    }
    return answer


def _of_front(i: int, judge: Judge, of: Tried, found: Judged) -> dict[str, Any]:
    """A design of the front, with what binds its build and the stated limit that is nearest."""
    assert of.result is not None
    nearest = next(iter(judge.slacks(of).items()), None)
    return {
        "point": i + 1,
        "alike": [k + 1 for k in found.alike(i)],
        "design": list(of.point),
        "objectives": {goal.name: judge.value(of, goal.name) for goal in judge.goals},
        "binding": binding(of.result["phases"]),
        "tightest_limit": None if nearest is None else {"limit": nearest[0].text, "slack_frac": nearest[1]},
    }


def _of_limit(limit: Limit, judge: Judge, tried: Sequence[Tried], found: Judged) -> dict[str, Any]:
    """A limit with what it costs: designs that break it, and those that it alone keeps off the front."""
    alone = [gains for of in tried if judge.broken(of) == (limit,) and (gains := judge.gains(of)) is not None]
    table = np.array([*found.gains_of(found.front), *alone], float).reshape(-1, len(judge.goals))
    return {
        "limit": limit.text,
        "figure": limit.name,
        "broken_by": sum(limit in judge.broken(of) for of in tried),
        "keeps_off_front": sum(not above for above in dominated_by(table)[len(found.front) :]),
        "least_slack_on_front_frac": min((judge.slacks(tried[i])[limit] for i in found.front), default=None),
    }


def _at_ends(k: int, of: Choice, tried: Sequence[Tried], front: Sequence[int]) -> dict[str, Any]:
    """How many points of the front stand at each end of a range; nothing for what is no range."""
    if of.numbers is None or len(of.numbers) < 2:
        return {"front_at_low_end": None, "front_at_high_end": None}
    stated = [float(tried[i].point[k].partition("=")[2]) for i in front]
    return {
        "front_at_low_end": sum(value == min(of.numbers) for value in stated),
        "front_at_high_end": sum(value == max(of.numbers) for value in stated),
    }


def _objectives(judge: Judge, tried: Sequence[Tried], found: Judged) -> list[dict[str, Any]]:
    """Each objective with its range over the designs that keep all limits; one that is the same everywhere says so."""
    rows = []
    for k, goal in enumerate(judge.goals):
        values = [goal.gain(float(of)) for of in found.gains[:, k]]
        rows.append(
            {
                "name": goal.name,
                "better": goal.better,
                "unit": goal.unit,
                "meaning": goal.meaning,
                "worst": goal.gain(float(found.gains[:, k].min())) if values else None,
                "best": goal.gain(float(found.gains[:, k].max())) if values else None,
                "varies": len(set(values)) > 1,
            }
        )
    return rows


def _binding(tried: Sequence[Tried], front: Sequence[int]) -> list[dict[str, Any]]:
    """What limits some phase on the front, and in how many of its designs, the most frequent first."""
    counts: Counter[str] = Counter()
    for i in front:
        if (result := tried[i].result) is not None:
            counts.update(set(binds(result["phases"]).values()))
    return [{"binding": what, "points": n} for what, n in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]


def _volume(judge: Judge, found: Judged, gains: Any) -> dict[str, Any]:
    worst, best = found.gains.min(axis=0), found.gains.max(axis=0)
    volume = hypervolume(gains, worst, best)
    corners = {
        name: {goal.name: goal.gain(float(corner[k])) for k, goal in enumerate(judge.goals)}
        for name, corner in (("reference", worst), ("ideal", best))
    }
    return {"frac": volume.frac, "exact": volume.exact, **corners}


def _not_feasible(judge: Judge, tried: Sequence[Tried], found: Judged) -> list[dict[str, Any]]:
    """Designs that are not feasible by their reasons, the most frequent first."""
    feasible = set(found.feasible)
    by_reason: dict[str, list[int]] = {}
    for i, of in enumerate(tried):
        if i not in feasible:
            by_reason.setdefault(reason(of, judge), []).append(i + 1)
    return [
        {"reason": why, "points": numbers}
        for why, numbers in sorted(by_reason.items(), key=lambda one: (-len(one[1]), one[1]))
    ]


def sentences(answer: Mapping[str, Any]) -> list[str]:
    """The answer in sentences, the one to act on first."""
    points, front = answer["points"], answer["front"]
    if not front:
        why = answer["not_feasible"][0]
        return [
            f"None of the {points['tried']} designs is feasible.",
            f"The most frequent reason, of {len(why['points'])}: {why['reason']}.",
        ]
    first = answer["objectives"][0]
    top = next(one for one in front if one["point"] == answer["best"][0]["point"])
    value = _value(top, first)
    told = [f"{label(answer, top)} has the best {first['name']}, {value}; what binds there: {top['binding']}."]
    if len(front) > 1:
        bend = next(one for one in front if one["point"] == answer["knee"]["point"])
        values = ", ".join(f"{of['name']} {_value(bend, of)}" for of in answer["objectives"] if of["varies"])
        more = f" ({points['alike']} more equal one of them)" if points["alike"] else ""
        told.append(
            f"{len(front)} of {points['feasible']} feasible designs are on the front{more}; its knee is "
            f"{label(answer, bend)}: {values}."
        )
        counts = ", ".join(f"{one['binding']} in {one['points']}" for one in answer["binding"])
        told.append(f"What binds in the {len(front)} designs of the front: {counts}.")
    elif points["feasible"] > 1:
        told.append(f"None of the {points['feasible']} feasible designs is better by any objective.")
    told += [
        f"{one['limit']} binds: it alone keeps {_designs(one['keeps_off_front'])} off the front."
        for one in answer["limits"]
        if one["keeps_off_front"]
    ]
    return told + ends(answer)


def label(answer: Mapping[str, Any], of: Mapping[str, Any]) -> str:
    """A design of the front as a sentence names it."""
    values = [text.partition("=")[2] for text in of["design"]]
    return ", ".join(f"{one['short']}={value}" for one, value in zip(answer["design"], values, strict=True))


def ends(answer: Mapping[str, Any]) -> list[str]:
    """Choices that stand at one end of their range in half of the front and never at the other."""
    told = []
    for one in answer["design"]:
        for end, other, outermost in (("low", "high", min), ("high", "low", max)):
            n = one[f"front_at_{end}_end"]
            if n and 2 * n >= len(answer["front"]) and not one[f"front_at_{other}_end"]:
                value = outermost(one["values"], key=float)
                told.append(
                    f"{one['path']} stands at the {end} end of its range, {value}, in {n} of {len(answer['front'])} "
                    "designs of the front: a wider range may hold better ones."
                )
    return told


def _designs(n: int) -> str:
    return f"{n} design{'s' if n > 1 else ''}"


def _value(of: Mapping[str, Any], objective: Mapping[str, Any]) -> str:
    unit = "" if objective["unit"] == "1" else f" {objective['unit']}"
    return f"{number(of['objectives'][objective['name']])}{unit}"
