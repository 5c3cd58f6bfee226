"""Every price of the catalog that a plan rests on, as an uncertain input between its published low and high."""

from dataclasses import replace

from dcsim import costing, pipeline
from dcsim.catalog.load import Row
from dcsim.model.distributions import Pert
from dcsim.model.load import Loaded
from dcsim.model.scenario import Scenario
from dcsim.model.tree import Place, Tree
from dcsim.model.uncertain import Uncertain
from dcsim.study.figures.inputs import stated_values, with_values
from dcsim.study.figures.touched import OVERRIDES, touches_simulation

REASON = "value of the catalog, drawn within its range"


def with_ranges(loaded: Loaded) -> Loaded:
    """The plan with a PERT distribution on each catalog value of money that it uses and does not state itself.

    Low and high are those of the row, the likeliest value is the row's. Rows without a range, and those that decide
    what is built or run, stay as they are.

    Raises
    ------
    InputError
        If the plan cannot be built.
    """
    ready = pipeline.prepare(loaded)
    # Cost lines note what they use, so they are run.
    costing.results(ready, costing.metered(ready, costing.happened(ready)))
    rows = [row for row in ready.used.rows if _may_be_drawn(loaded, row)]
    stated = stated_values(loaded)
    places: list[Place] = [(OVERRIDES, _name(row)) for row in rows]
    values = with_values(stated, places, [{"value": row.value, "source": REASON} for row in rows])
    inputs = tuple(
        Uncertain((*place, "value"), Pert(low=row.low, mode=row.value, high=row.high), row.value)
        for place, row in zip(places, rows, strict=True)
        if row.low is not None and row.high is not None
    )
    return replace(
        loaded,
        scenario=Scenario.model_validate(values),
        tree=Tree(values, loaded.tree.origins),
        uncertain=(*loaded.uncertain, *inputs),
    )


def _name(row: Row) -> str:
    return f"{row.table}.{row.key}.{row.parameter}"


def _may_be_drawn(loaded: Loaded, row: Row) -> bool:
    if row.low is None or row.high is None or not row.low <= row.value <= row.high or row.low == row.high:
        return False
    is_shipped = row.source != "scenario"
    return is_shipped and not touches_simulation(loaded.scenario, (OVERRIDES, _name(row), "value"))
