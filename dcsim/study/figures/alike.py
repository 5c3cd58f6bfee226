"""Which plans are simulated as one: those that differ in prices alone, which are only billed and costed anew."""

from dataclasses import replace

from dcsim.costing import Happened, happened
from dcsim.model.economics import Economics, Nothing
from dcsim.model.load import Loaded
from dcsim.model.scenario import Scenario
from dcsim.operate import Prepared
from dcsim.pipeline import content_key
from dcsim.study.figures.touched import OVERRIDES, follows_prices, touches_simulation


def alike(loaded: Loaded, ready: Prepared) -> str:
    """Key of what is simulated of a plan, but for its seed."""
    return content_key(replace(loaded, scenario=_simulated(loaded.scenario)), ready)


def _simulated(scenario: Scenario) -> Scenario:
    """What a simulation rests on; of money only what a budget is spent on."""
    plan = scenario.plan.model_copy(update={"seed": 0})
    if any(phase.budget_usd is not None for phase in scenario.facility.phases):
        economics = scenario.economics.model_copy(update={"valuation_date": None})
        return scenario.model_copy(update={"plan": plan, "economics": economics})
    # A tariff that nothing follows, of whatever shape, bills the same energy.
    billed = not follows_prices(scenario)
    overrides = {
        name: value
        for name, value in scenario.overrides.items()
        if touches_simulation(scenario, (OVERRIDES, name)) and not (billed and name.startswith("tariffs."))
    }
    site = scenario.site.model_copy(update={"tariff": "" if billed else scenario.site.tariff, "proxies": {}})
    # The rates of operations hold shares of power and a margin of design beside money.
    economics = Economics(revenue=Nothing(), operations=scenario.economics.operations)
    changed = {"plan": plan, "site": site, "economics": economics, "overrides": overrides}
    return scenario.model_copy(update={**changed, "name": "", "description": ""})


# What the last plan of this process did: plans that differ in prices alone follow each other.
_last: dict[str, Happened] = {}


def happened_once(loaded: Loaded, ready: Prepared) -> Happened:
    """Simulate a plan, unless the last one of this process did the same."""
    key = f"{alike(loaded, ready)}-{loaded.scenario.plan.seed}"
    if key not in _last:
        _last.clear()
        _last[key] = happened(ready)
    return _last[key]
