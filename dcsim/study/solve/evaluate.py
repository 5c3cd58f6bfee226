"""A key figure of a scenario as a function of one of its inputs, without re-running what that input does not touch."""

import json
from collections.abc import Callable

from dcsim import pipeline
from dcsim.costing import Happened, happened
from dcsim.errors import UsageError
from dcsim.kpi import KPIS
from dcsim.model.load import Loaded, load
from dcsim.model.scenario import Scenario
from dcsim.registry import lookup

OVERRIDES = "overrides."
# Tables of the catalog that hold money alone. Tariffs do not: jobs may wait for a price, and a battery follows it.
MONEY_TABLES = ("price_indices", "prices", "taxes")

Figure = Callable[[float], float]


def override(loaded: Loaded, path: str, value: float) -> str:
    """Text of the ``--set`` that gives the input at *path* a value.

    ``overrides.table.key.parameter`` is a value of the catalog; the scenario's own overrides stay.
    """
    if not path.startswith(OVERRIDES):
        return f"{path}={value!r}"
    stated = loaded.scenario.model_dump(mode="json")["overrides"]
    stated[path.removeprefix(OVERRIDES)] = {"value": value, "source": "varied by a study"}
    return f"overrides={json.dumps(stated)}"


def touches_simulation(scenario: Scenario, path: str) -> bool:
    """Whether the input at *path* may change what is built, runs or draws power, and not its price alone."""
    if any(phase.budget_usd is not None for phase in scenario.facility.phases):
        return True
    if not path.startswith(OVERRIDES):
        return not path.startswith("economics.")
    table, _, rest = path.removeprefix(OVERRIDES).partition(".")
    return table not in MONEY_TABLES and (table == "tariffs" or "usd" not in rest.rpartition(".")[2])


def figure_by(source: str, sets: tuple[str, ...], path: str, name: str, kept: list[Happened] | None = None) -> Figure:
    """Key figure *name* of a scenario as a function of the input at *path*.

    Parameters
    ----------
    source : str
        Path of a scenario, or the name of a shipped one.
    sets : tuple of str
        Overrides of all runs, as ``--set`` takes them.
    path : str
        Input, as ``--set`` names it, or ``overrides.table.key.parameter``.
    name : str
        Key figure.
    kept : list of Happened
        Holds what was simulated once there is any, for all values of an input that touches money alone; where it is
        left out, every value is simulated.

    Raises
    ------
    UsageError
        If there is no such figure; from the function, if a value is refused or the figure is undefined there.
    """
    lookup(KPIS, name, "key figure")
    base = load(source, sets)
    keeps = kept is not None and not touches_simulation(base.scenario, path)

    def figure(value: float) -> float:
        ready = pipeline.prepare(load(source, (*sets, override(base, path, value))))
        done = kept[0] if keeps and kept else happened(ready)
        if keeps and kept == []:
            kept.append(done)
        kpis, _ = pipeline.answered(ready, done)
        found = kpis[name]
        if found["value"] is None:
            raise UsageError(f"{name} is undefined at {path} = {value:g}: {found['reason']}")
        return float(found["value"])

    return figure
