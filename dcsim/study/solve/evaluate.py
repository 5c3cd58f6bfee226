"""A key figure of a scenario as a function of one of its inputs, without re-running what that input does not touch."""

import json
from collections.abc import Callable

from dcsim import costing, pipeline
from dcsim.costing import Metered
from dcsim.errors import UsageError
from dcsim.kpi import KPIS
from dcsim.model.load import Loaded, load
from dcsim.model.tree import Place, placed
from dcsim.operate import Prepared
from dcsim.registry import lookup
from dcsim.study.figures.touched import touches_simulation

OVERRIDES = "overrides."

Figure = Callable[[float], float]
# At most one plan as it was simulated.
Kept = list[tuple[Prepared, Metered]]


def override(loaded: Loaded, path: str, value: float) -> str:
    """Text of the ``--set`` that gives the input at *path* a value.

    ``overrides.table.key.parameter`` is a value of the catalog; the scenario's own overrides stay.
    """
    if not path.startswith(OVERRIDES):
        return f"{path}={value!r}"
    stated = loaded.scenario.model_dump(mode="json")["overrides"]
    stated[path.removeprefix(OVERRIDES)] = {"value": value, "source": "varied by a study"}
    return f"overrides={json.dumps(stated)}"


def place_of(path: str) -> Place:
    """Where the value of an input stands in a scenario."""
    if path.startswith(OVERRIDES):
        return ("overrides", path.removeprefix(OVERRIDES), "value")
    return placed(path)


def figure_by(source: str, sets: tuple[str, ...], path: str, name: str, kept: Kept | None = None) -> Figure:
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
    kept : list
        Holds what was simulated once there is any, for all values of an input that touches money alone; where it is
        left out, every value is simulated.

    Raises
    ------
    UsageError
        If there is no such figure; from the function, if a value is refused or the figure is undefined there.
    """
    lookup(KPIS, name, "key figure")
    base = load(source, sets)
    keeps = kept is not None and not touches_simulation(base.scenario, place_of(path))

    def figure(value: float) -> float:
        loaded = load(source, (*sets, override(base, path, value)))
        if keeps and kept:
            found = costing.some_figures(*costing.repriced(*kept[0], loaded.scenario), (name,))[name]
        else:
            ready = pipeline.prepare(loaded)
            of = costing.metered(ready, costing.happened(ready))
            if keeps and kept == []:
                kept.append((ready, of))
            found = costing.some_figures(ready, of, (name,))[name]
        if found["value"] is None:
            raise UsageError(f"{name} is undefined at {path} = {value:g}: {found['reason']}")
        return float(found["value"])

    return figure
