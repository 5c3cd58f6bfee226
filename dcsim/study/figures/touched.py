"""Which inputs touch what is built, runs or draws power, and which its price alone."""

from collections.abc import Sequence

from dcsim.finance.tariff_rows import CHARGED
from dcsim.model.scenario import Scenario
from dcsim.model.tree import Place

OVERRIDES = "overrides"
# Tables of the catalog that hold money alone.
MONEY_TABLES = ("asset_classes", "price_indices", "prices", "taxes")
# Parameters without dollars in their name that cost lines alone look at, in the tables of parts and of operations.
MONEY_PARAMETERS = (
    "colocation_staff_fte",
    "embodied_kg",
    "energy_inflation_frac_per_year",
    "hours_per_fte_year",
    "insurance_frac",
    "life_years",
    "maintenance_frac_critical",
    "maintenance_frac_per_year",
    "opex_inflation_frac_per_year",
    "staff_fte",
    "value_decay_frac_per_year",
)
# What names a set of rows, some of which the build reads.
NAMES = ("operations",)


# Sections where another value may make something follow the price of energy.
STEERING: tuple[Place, ...] = (("site", "battery"), ("workload", "deferral"))


def touches_simulation(scenario: Scenario, place: Place, varied: Sequence[Place] = ()) -> bool:
    """Whether the input at *place* may change more than the price of what *scenario* builds and runs.

    *varied* are places whose values change beside it, which may make a price matter that does not in *scenario*.
    """
    if len(place) < 2 or any(phase.budget_usd is not None for phase in scenario.facility.phases):
        return True
    if place[0] != OVERRIDES:
        return place[0] != "economics" or place[1] in NAMES
    table, _, rest = str(place[1]).partition(".")
    parameter = rest.rpartition(".")[2]
    if table == "tariffs":
        kind = parameter.partition(":")[0]
        charged = kind in CHARGED or parameter.endswith("usd_per_kwh")
        steered = any(of[: len(section)] == section for of in varied for section in STEERING)
        return not charged or steered or follows_prices(scenario)
    return table not in MONEY_TABLES and "usd" not in parameter and parameter not in MONEY_PARAMETERS


def follows_prices(scenario: Scenario) -> bool:
    """Whether something runs by the price of energy: a battery, or jobs that wait."""
    battery, deferral = scenario.site.battery, scenario.workload.deferral
    by_battery = battery is not None and battery.dispatch == "arbitrage"
    return by_battery or (deferral is not None and deferral.signal == "price")
