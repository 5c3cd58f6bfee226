"""What ``dcsim sweep`` prints: how many runs, their spread, the runs themselves, and which failed."""

from collections.abc import Iterator

import pandas as pd

from dcsim.study.sweep.study import RANKED_BY, Study

SHOWN = 24


def lines(study: Study) -> Iterator[str]:
    """The spread first, then a line a run, then where the rest is."""
    planned = study.planned
    n_new = len(study.kpis) - study.n_before
    yield (
        f"{planned.name}: {len(planned.variants)} runs: {study.n_before} were there, {n_new} computed, "
        f"{len(study.failed)} failed"
    )
    for name, one in study.chosen.items():
        label = planned.variants[one["run"]].label
        yield f"{name.upper():4}{RANKED_BY} {one[RANKED_BY]:>16,.0f}  run {one['run']} ({label})  {one['folder']}"
    yield ""
    for row in study.kpis.head(SHOWN).to_dict("records"):
        npv, cost = row[RANKED_BY], row["cost_usd_per_gpu_h"]
        money = f"{npv:>16,.0f} USD NPV" if pd.notna(npv) else f"{'no':>20} NPV"
        each = f"{cost:>10.3f} USD/GPU-h" if pd.notna(cost) else " " * 20
        yield f"{row['run']:>5}{money}{each}  {planned.variants[int(row['run'])].label}"
    if len(study.kpis) > SHOWN:
        yield f"      and {len(study.kpis) - SHOWN} more in kpis.csv"
    yield f"study folder  {study.folder}"


def failures(study: Study) -> str:
    """Message that names the runs that failed, what sets them apart and why."""
    n_runs = len(study.planned.variants)
    told = [
        f"  run {number} ({study.planned.variants[number].label}): {reason}" for number, reason in study.failed.items()
    ]
    return "\n".join(
        [
            f"{study.folder}: {len(told)} of {n_runs} runs failed; the others are finished and kept",
            *told,
            "Mend the cause and give the same command again; or leave these values out, with another --out",
        ]
    )
