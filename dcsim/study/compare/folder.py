"""The folder of a comparison: tidy tables as Parquet and CSV, the answer as JSON, written whole or not at all."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from dcsim import __version__
from dcsim.columns import Column
from dcsim.parquet import declared, encoding
from dcsim.runs import Writer, placed
from dcsim.study.compare.answer import Answer

_WHO = (
    Column("world", "s", "", "state of the world, 'as stated' or one of --world"),
    Column("alternative", "s", "", "alternative that is set against the base"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "kpis": (
        *_WHO,
        Column("kpi", "s", "", "key figure, as in kpis.json of a run"),
        Column("unit", "s", "", "its unit, which the values of this row have"),
        Column("base", "f", "see unit", "value of the base, mean of the seeds; null where undefined", True),
        Column("value", "f", "see unit", "value of the alternative, mean of the seeds; null where undefined", True),
        Column("delta", "f", "see unit", "alternative less base; null where either is undefined", True),
        Column("n_seeds", "i", "1", "paired runs behind it"),
        Column("se_paired", "f", "see unit", "standard error of delta over the paired seeds; null of one seed", True),
        Column("se_independent", "f", "see unit", "the standard error that independent runs would have", True),
        Column("se_ratio", "f", "1", "paired over independent standard error; null where that is zero", True),
        Column("reason", "s", "", "why delta is undefined; empty where it is not"),
    ),
    "lines": (
        *_WHO,
        Column("category", "s", "", "category of the ledger"),
        Column("line", "s", "", "line of the ledger, the item up to its colon"),
        Column("base_usd", "f", "USD", "undiscounted dollars of the base, mean of the seeds, costs negative"),
        Column("value_usd", "f", "USD", "the same of the alternative"),
        Column("delta_usd", "f", "USD", "alternative less base"),
        Column("base_worth_usd", "f", "USD", "worth of the base's line at the valuation month, at its discount_rate"),
        Column("worth_usd", "f", "USD", "the same of the alternative"),
        Column("delta_worth_usd", "f", "USD", "alternative less base"),
    ),
    "bridge": (
        *_WHO,
        Column("position", "i", "1", "0 is the base, then steps from the largest on, then the alternative"),
        Column("kind", "s", "", "start, step or end"),
        Column("category", "s", "", "category of the ledger; empty at the ends"),
        Column("line", "s", "", "line of the ledger; at the ends the alternative's name"),
        Column("usd", "f", "USD", "whole cents: start + steps = end"),
    ),
    "regret": (
        Column("alternative", "s", "", "the base or an alternative"),
        Column("world", "s", "", "state of the world"),
        Column("value_usd", "f", "USD", "its figure of money in that world, mean of the seeds"),
        Column("best_usd", "f", "USD", "the best alternative's in that world"),
        Column("regret_usd", "f", "USD", "best less own"),
        Column("largest_regret_usd", "f", "USD", "largest of its regrets over the worlds"),
    ),
}


def write(parent: Path, found: Answer, writers: Sequence[Writer] = ()) -> Path:
    """Write ``parent/compare-<hash8>`` and return it; an existing one is replaced whole.

    hash8 is of what was asked and of every run's own hash, so the same runs give the same folder and bytes.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    identity = json.dumps({"said": found.said, "version": __version__}, sort_keys=True)
    name = f"compare-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
    with placed(parent, name, "the comparison could not be written", "its runs are kept") as aside:
        text = json.dumps(found.said, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
        (aside / "compare.json").write_text(text, encoding="utf-8")
        for table, columns in TABLES.items():
            pq.write_table(declared(found.tables[table], columns), aside / f"{table}.parquet", **encoding(columns))
            found.tables[table].to_csv(aside / f"{table}.csv", index=False, lineterminator="\n")
        for writer in writers:
            writer(aside)
    return parent / name
