"""The answer of a comparison: what to take, and the tables that show why."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dcsim.runs import Run
from dcsim.study.compare import choice
from dcsim.study.compare.asked import AS_STATED
from dcsim.study.compare.deltas import Money, bridge, capacity_months, kpi_rows, line_rows, line_tables, money, values
from dcsim.study.compare.paired import Difference, Paired, difference


@dataclass(frozen=True)
class Answer:
    """A comparison in plain values, and its tidy tables."""

    said: dict[str, Any]
    tables: dict[str, pd.DataFrame]


def answer(found: Paired, by: str) -> Answer:
    """Compare by a figure of money, by every key figure, by every ledger line, and over the worlds."""
    of = money(found, by)
    worth = values(found, of)
    names, worlds, base = found.names, found.worlds, found.base
    others = names[1:]
    table = np.array([[worth[name, world].mean() for world in worlds] for name in names])
    kept = choice.regret(table)
    deltas = {name: difference(worth[base, AS_STATED], worth[name, AS_STATED]) for name in others}
    objectives, left_out, columns = _objectives(found, of, table[:, 0])
    above = choice.dominators(columns, [one["better"] == "more" for one in objectives])
    best = int(table[:, 0].argmax())
    tables = line_tables(found, of)
    pairs = [(name, world) for world in worlds for name in others]
    frames = {
        "kpis": pd.DataFrame([row for key in pairs for row in kpi_rows(found, *key)]),
        "lines": pd.concat([line_rows(found, tables, *key) for key in pairs], ignore_index=True),
        "bridge": pd.concat([bridge(found, of, tables, *key) for key in pairs], ignore_index=True),
        "regret": pd.DataFrame(
            {
                "alternative": np.repeat(names, len(worlds)),
                "world": np.tile(worlds, len(names)),
                "value_usd": table.ravel(),
                "best_usd": np.tile(table.max(axis=0), len(names)),
                "regret_usd": kept.by_world.ravel(),
                "largest_regret_usd": np.repeat(kept.largest, len(worlds)),
            }
        ),
    }
    said = {
        "recommendation": _recommendation(names, of, table, best, deltas, kept, worlds, found.asked.seeds),
        "best": names[best],
        "figure": {
            "name": of.name,
            "short": of.short,
            "meaning": of.meaning,
            "unit": "USD",
            "reason": of.reason,
            "valued": found.valued,
        },
        "base": base,
        "seeds": list(found.asked.seeds),
        "worlds": [{"name": world.name, "sets": list(world.sets)} for world in found.asked.worlds],
        "alternatives": [
            {
                "name": side.name,
                "source": side.source,
                "sets": list(side.sets),
                "value_usd": float(table[i, 0]),
                "delta_usd": None if i == 0 else deltas[side.name].mean,
                "se_paired_usd": None if i == 0 else deltas[side.name].se_paired,
                "se_independent_usd": None if i == 0 else deltas[side.name].se_independent,
                "se_ratio": None if i == 0 else deltas[side.name].ratio,
                "objectives": {one["name"]: float(columns[i, k]) for k, one in enumerate(objectives)},
                "dominated_by": [names[k] for k in above[i]],
                "largest_regret_usd": float(kept.largest[i]),
                "runs": {world: [run.folder.name for run in found.cells[side.name, world]] for world in worlds},
            }
            for i, side in enumerate(found.asked.sides)
        ],
        "objectives": objectives,
        "objectives_left_out": left_out,
        "trade_off": trade_off(names, objectives, columns),
        "minimax_regret": {"choice": names[kept.choice], "largest_regret_usd": float(kept.largest[kept.choice])},
        "undefined": _undefined(found),
        "notes": _notes(found),
    }
    return Answer(said, frames)


def _objectives(
    found: Paired, of: Money, worth: choice.Floats
) -> tuple[list[dict[str, str]], list[dict[str, str]], choice.Floats]:
    """Objectives that every alternative has, those that some lack with the reason, and the table of values."""
    kept = [{"name": of.name, "better": "more", "unit": "USD", "meaning": of.meaning}]
    columns, left_out = [worth], []
    for name, objective in choice.OBJECTIVES.items():
        cells = {side: found.cells[side, AS_STATED] for side in found.names}
        if name == "capacity_months":
            columns.append(np.array([capacity_months(found, (side, AS_STATED)) for side in cells]))
        else:
            lacking = [run.kpis[name]["reason"] for cell in cells.values() for run in cell if not _has(run, name)]
            if lacking:
                left_out.append({"name": name, "reason": lacking[0]})
                continue
            columns.append(np.array([np.mean([run.kpis[name]["value"] for run in cell]) for cell in cells.values()]))
        kept.append({"name": name, "better": objective.better, "unit": objective.unit, "meaning": objective.meaning})
    return kept, left_out, np.column_stack(columns)


def trade_off(names: list[str], objectives: list[dict[str, str]], columns: choice.Floats) -> dict[str, Any] | None:
    """Who beats whom by the figure of money and one other objective, both of which differ; None where none does.

    Of the other objectives that is the one which leaves most plans unbeaten, and of equals the one that differs most.
    The front is in order of the figure of money, from the highest on.
    """
    spread = np.ptp(columns, axis=0) / np.maximum(np.abs(columns).max(axis=0), np.finfo(float).tiny)
    found = []
    for other in range(1, len(objectives)):
        if len(names) > 2 and spread[0] > 0 and spread[other] > 0:
            pair = [objectives[0], objectives[other]]
            above = choice.dominators(columns[:, [0, other]], [one["better"] == "more" for one in pair])
            front = [i for i in np.argsort(-columns[:, 0], kind="stable").tolist() if not above[i]]
            said = {
                "objectives": [one["name"] for one in pair],
                "front": [names[i] for i in front],
                "dominated_by": {names[i]: [names[k] for k in by] for i, by in enumerate(above) if by},
            }
            found.append((len(front), float(spread[other]), said))
    return max(found, key=lambda one: one[:2], default=(0, 0.0, None))[2]


def _undefined(found: Paired) -> list[dict[str, Any]]:
    """Key figures that some alternative lacks in the world as stated, by reason and by who lacks them."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for kpi in found.cells[found.base, AS_STATED][0].kpis:
        who: dict[str, list[str]] = {}
        for name in found.names:
            for reason in {run.kpis[kpi]["reason"] for run in found.cells[name, AS_STATED] if not _has(run, kpi)}:
                who.setdefault(reason, []).append(name)
        for reason, lacking in who.items():
            groups.setdefault((reason, tuple(lacking)), []).append(kpi)
    return [{"reason": reason, "lacking": list(who), "kpis": kpis} for (reason, who), kpis in groups.items()]


def _has(run: Run, name: str) -> bool:
    return run.kpis[name]["value"] is not None


def usd(value: float, sign: bool = False) -> str:
    """Write dollars in thousands or millions for a sentence."""
    plus = "+" if sign else ""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:{plus},.2f} M USD"
    return f"{value / 1e3:{plus},.1f} k USD" if size >= 1e4 else f"{value:{plus},.0f} USD"


def _recommendation(
    names: list[str],
    of: Money,
    table: choice.Floats,
    best: int,
    deltas: dict[str, Difference],
    kept: choice.Regret,
    worlds: list[str],
    seeds: tuple[int, ...],
) -> list[str]:
    """Sentences, the one to act on first."""
    what = of.short
    worth = table[:, 0]
    if best == 0:
        ranked = np.argsort(-worth[1:], kind="stable") + 1
        nearest, gap = names[ranked[0]], worth[0] - worth[ranked[0]]
        least = f"{usd(gap)} above the next best, {nearest}" if gap else f"as is that of {nearest}"
        said = [f"Keep {names[0]}: its {what} is {usd(worth[0])}, {least}."]
        compared = nearest
    else:
        said = [
            f"Take {names[best]}: its {what} is {usd(worth[best])}, {usd(worth[best] - worth[0])} above "
            f"{names[0]} ({usd(worth[0])})."
        ]
        compared = names[best]
    error = deltas[compared].se_paired
    if error is not None:
        told = "" if abs(deltas[compared].mean) > 2 * error else ": the seeds do not tell them apart"
        said.append(f"That difference is a mean over {len(seeds)} paired seeds, standard error {usd(error)}{told}.")
    if of.name.startswith("npv") and worth[best] < 0:
        said.append("Even that one loses money: building nothing is worth 0.")
    if len(worlds) > 1:
        chosen = kept.choice
        regrets = usd(kept.largest[chosen])
        if chosen == best and not kept.largest[best]:
            said.append(f"It is the best in all {len(worlds)} worlds.")
        elif chosen == best:
            said.append(f"It is also regretted least over {len(worlds)} worlds: at worst {regrets} behind the best.")
        else:
            said.append(
                f"Over {len(worlds)} worlds {names[chosen]} is regretted least: at worst {regrets} behind the best, "
                f"{names[best]} {usd(kept.largest[best])}."
            )
    return said


def _notes(found: Paired) -> list[str]:
    """What the reader should know before subtracting."""
    base = found.cells[found.base, AS_STATED][0]
    notes = []
    for name in found.names[1:]:
        other = found.cells[name, AS_STATED][0]
        for section, key in (
            ("plan", "start"),
            ("plan", "years"),
            ("economics", "discount_rate"),
            ("economics", "dollars"),
        ):
            first, second = base.scenario[section][key], other.scenario[section][key]
            if first != second:
                notes.append(f"{name} has another {section}.{key} than {found.base}: {second}, not {first}")
        if other.findings["finance"]["first_month"] != base.findings["finance"]["first_month"]:
            notes.append(
                f"{name} pays first in {other.findings['finance']['first_month']}, {found.base} in "
                f"{base.findings['finance']['first_month']}; all are valued at {found.valued}"
            )
    return notes
