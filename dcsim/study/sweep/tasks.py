"""What the workers of a sweep do: check a variant, or compute it."""

from dataclasses import dataclass

from dcsim import pipeline
from dcsim.columns import INTERVALS, STATEMENT
from dcsim.errors import UsageError
from dcsim.model.load import Loaded
from dcsim.study.figures.alike import alike, happened_once
from dcsim.study.sweep.design import fault_lines
from dcsim.study.sweep.tables import kpi_metadata, parquet


@dataclass(frozen=True)
class Checked:
    """Content key of a variant and that of what it simulates but for the seed, or what is wrong with it."""

    key: str
    simulated: str = ""
    faults: tuple[str, ...] = ()


def check(loaded: Loaded) -> Checked:
    """Do all that can refuse a variant before its first event."""
    try:
        ready = pipeline.prepare(loaded)
        return Checked(pipeline.content_key(loaded, ready), alike(loaded, ready))
    except UsageError as error:
        return Checked("", faults=tuple(fault_lines(error)))


def compute(loaded: Loaded) -> tuple[bytes, bytes]:
    """Run a variant: its interval table, and its monthly statement with the key figures, both as Parquet."""
    ready = pipeline.prepare(loaded)
    kpis, tables = pipeline.answered(ready, happened_once(loaded, ready))
    return (
        parquet(tables["intervals"], INTERVALS),
        parquet(tables["statement"], STATEMENT, kpi_metadata(kpis)),
    )
