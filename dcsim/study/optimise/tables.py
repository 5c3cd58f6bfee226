"""The table of all designs that were tried, a row a design, in the order in which they were asked for."""

from collections.abc import Sequence

import pandas as pd

from dcsim.columns import Column
from dcsim.study.optimise.design import Choice
from dcsim.study.optimise.goals import FIGURES
from dcsim.study.optimise.judge import Judge, Judged
from dcsim.study.optimise.tasks import binding
from dcsim.study.optimise.tried import Tried


def points_table(
    choices: Sequence[Choice], judge: Judge, tried: Sequence[Tried], found: Judged
) -> tuple[pd.DataFrame, list[Column]]:
    """All designs and what the columns are."""
    columns = [
        Column("point", "i", "1", "number of the design, from 1"),
        Column("generation", "i", "1", "generation of the search that asked for it, 0 being the first"),
    ]
    data: dict[str, list[object]] = {
        "point": list(range(1, len(tried) + 1)),
        "generation": [of.generation for of in tried],
    }
    for k, one in enumerate(choices):
        stated = [of.point[k].partition("=")[2] for of in tried]
        columns.append(Column(one.path, "s" if one.numbers is None else "f", "", "value that the design gives it"))
        data[one.path] = [*stated] if one.numbers is None else [float(text) for text in stated]
    for name in judge.figures:
        unit, meaning = FIGURES[name]
        columns.append(Column(name, "f", unit, f"{meaning}; null where the design has none", True))
        data[name] = [judge.value(of, name) for of in tried]
    columns += [
        Column("status", "s", "", "built, refused (it cannot be built) or failed (it could not be computed)"),
        Column("feasible", "i", "1", "1 if it was built, has every figure and keeps all limits"),
        Column("on_front", "i", "1", "1 if it is feasible and no other design dominates it"),
        Column("same_as", "i", "1", "the first design with the same objectives; null where that is itself", True),
        Column("dominated", "i", "1", "1 if some design is as good by every objective and better by one", True),
        Column("dominated_by", "i", "1", "the first design of the front that dominates it", True),
        Column("binding", "s", "", "what limits the build, by phase; empty where it was not built"),
        Column("tightest_limit", "s", "", "stated limit with the least slack; empty where none is stated"),
        Column("slack_frac", "f", "1", "that slack over the limit, below 0 where it is broken", True),
        Column("reason", "s", "", "why it is not feasible; empty where it is"),
        Column("key", "s", "", "content key: scenario, inputs and version of dcsim; empty where it has none"),
    ]
    rows = [_row(i, of, judge, found) for i, of in enumerate(tried)]
    for column in columns[len(data) :]:
        data[column.name] = [row[column.name] for row in rows]
    frame = pd.DataFrame(data)
    kinds = {"f": "float64", "i": "Int64", "s": "object"}
    return frame.astype({column.name: kinds[column.kind] for column in columns}), columns


def reason(of: Tried, judge: Judge) -> str:
    """Why a design is not feasible; empty if it is."""
    if of.result is None:
        return "; ".join(of.reasons)
    broken = [f"breaks {limit.text}" for limit in judge.broken(of)]
    return "; ".join([*judge.undefined(of), *broken])


def _row(i: int, of: Tried, judge: Judge, found: Judged) -> dict[str, object]:
    above = found.above.get(i)
    tightest, slack = next(iter(judge.slacks(of).items()), (None, None))
    return {
        "status": of.status,
        "feasible": int(above is not None),
        "on_front": int(above == ()),
        "same_as": None if found.same_as.get(i, i) == i else found.same_as[i] + 1,
        "dominated": None if above is None else int(bool(above)),
        "dominated_by": next((k + 1 for k in above or () if not found.above[k]), None),
        "binding": "" if of.result is None else binding(of.result["phases"]),
        "tightest_limit": "" if tightest is None else tightest.text,
        "slack_frac": slack,
        "reason": reason(of, judge),
        "key": of.key,
    }
