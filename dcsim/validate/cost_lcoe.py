"""Published levelised costs of electricity with the value of GPUs that wait for it."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from dcsim.finance.cashflow import MONTHS_PER_YEAR
from dcsim.finance.ledger import Entry, ledger, monthly_flows
from dcsim.finance.levelised import MONTH_OF_YEAR, Floats, idle_capital_usd, levelised_usd
from dcsim.units import HOURS_PER_YEAR
from dcsim.validate.common import Case, Figure, Kind, NotPredicted, Part, Prediction, compared, finite, number

TOTAL, BASE, IDLE = "pub_total_lcoe_usd_per_kwh", "pub_base_lcoe_usd_per_kwh", "idling_npv_usd"
GRID, GAS = "grid", "natural_gas"
MID_YEAR = "mid-year, from the year in which the wait ends by its share"
IDLE_START = "idle GPUs at the start of each year, the first undiscounted"
UPTIME_TWICE = "uptime {times:g} times in the energy"


def _first_year(case: Case) -> tuple[int, float]:
    """Year of the start of operation from 0, and the share of it that is left."""
    wait = number(case, "construction_years")
    stated = case.get("ops_start_year", "")
    if stated.startswith("ceil"):
        return math.ceil(wait), 1.0
    year = finite(stated)
    start = math.floor(wait) if year is None else int(year)
    return start, 1.0 - (wait - start) if start <= wait < start + 1 else 1.0


def _energy_kwh(case: Case) -> Floats:
    """Energy at the meter by year, uptime once, shape (n_years,). [kWh]"""
    nodes = number(case, "gpus") // number(case, "gpus_per_node")
    power_kw = nodes * number(case, "node_power_avg_kw") * number(case, "annual_pue")
    share = np.zeros(int(number(case, "eval_years")))
    start, left = _first_year(case)
    if start >= len(share):
        raise NotPredicted(f"operation would start in year {start} of {len(share)}")
    share[start], share[start + 1 :] = left, 1.0
    return np.asarray(power_kw * number(case, "uptime") * HOURS_PER_YEAR * share)


def _entries(case: Case, energy_kwh: Floats) -> list[Entry]:
    """What the energy costs: the grid's price year by year, or present values of a plant's costs."""

    def entry(month: int, category: str, item: str, quantity: float, unit: str, price_usd: float) -> Entry:
        return Entry(
            month=month,
            category=category,
            item=item,
            phase="site",
            quantity=quantity,
            unit=unit,
            price_usd=price_usd,
            source="case",
        )

    if case["kind"] == GRID:
        price = number(case, "electricity_usd_per_kwh")
        return [
            entry(MONTHS_PER_YEAR * year + MONTH_OF_YEAR["middle"], "opex", "electricity", float(kwh), "kWh", price)
            for year, kwh in enumerate(energy_kwh)
        ]
    if case["kind"].startswith(GAS):
        return [
            entry(0, category, "gas plant", 1.0, "present value", number(case, f"{category}_npv_usd"))
            for category in ("capex", "opex")
        ]
    raise NotPredicted(f"the costs of kind '{case['kind']}' are not given; known: {GRID}, {GAS}")


def _idle_usd(case: Case) -> float:
    return idle_capital_usd(
        number(case, "gpus"),
        number(case, "gpu_idle_usd_per_gpu_hour"),
        number(case, "construction_years"),
        number(case, "discount_rate"),
    )


def _levelised(case: Case) -> Mapping[str, Prediction]:
    energy_kwh = _energy_kwh(case)
    rate_frac = number(case, "discount_rate")
    costs = -monthly_flows(ledger(_entries(case, energy_kwh)), 0, MONTHS_PER_YEAR * len(energy_kwh))
    # Costs of a year stand in its middle, present values in the first month.
    upfront_usd = float(costs[0])
    yearly_usd = costs.reshape(-1, MONTHS_PER_YEAR)[:, MONTH_OF_YEAR["middle"]]
    times = number(case, COUNTS) if case.get(COUNTS) else 2.0 if case["kind"] == GRID else 1.0
    fewer = number(case, "uptime") ** (times - 1.0)

    def levelised(idle_usd: float, output_kwh: Floats) -> float:
        return levelised_usd(yearly_usd, output_kwh, rate_frac, upfront_usd=upfront_usd + idle_usd)

    right = levelised(_idle_usd(case), energy_kwh)
    named = [MID_YEAR, IDLE_START, UPTIME_TWICE.format(times=times)] if times != 1.0 else [MID_YEAR, IDLE_START]
    corrected = right if times != 1.0 else None
    return {
        BASE: Figure(levelised(0.0, energy_kwh), MID_YEAR),
        TOTAL: Figure(levelised(_idle_usd(case), energy_kwh * fewer), "; ".join(named), corrected),
    }


def predict(case: Case) -> Mapping[str, Prediction]:
    """Cost of a kilowatt-hour without and with idle GPUs, and the value of these. [USD/kWh], [USD]"""
    found: dict[str, Prediction] = {}
    try:
        found[IDLE] = Figure(_idle_usd(case), IDLE_START)
    except NotPredicted as error:
        found[IDLE] = error
    try:
        return {**found, **_levelised(case)}
    except NotPredicted as error:
        return {**found, BASE: error, TOTAL: error}


def counts(case: Case, column: str) -> bool:
    """The value of idle GPUs is published only where a text states it; in other rows it is a step of the total."""
    return column != IDLE or "readme" in case.get("case_id", "") or finite(case["annual_pue"]) is None


def findings(cases: Sequence[Case]) -> list[str]:
    """The conventions that reproduce published figures, and what their correction changes."""
    of = [case for case in cases if "gpu_idle_usd_per_gpu_hour" in case]
    totals = [row for case in of for row in compared(LCOE, case, "") if row["column"] == TOTAL]
    if not totals:
        return []
    known = sum(row["predicted"] is not None for row in totals)
    text = f"electricity with idle GPUs: {MID_YEAR}; {IDLE_START}; {known} of {len(totals)} totals recomputed"
    changes = [100.0 * (row["corrected"] / row["predicted"] - 1.0) for row in totals if "corrected" in row]
    if changes:
        text += (
            f"; {len(changes)} count uptime twice in the energy, which is needed to match and wrong: counted once they "
            f"change by {min(changes):+.2f} to {max(changes):+.2f} %"
        )
    return [text]


COUNTS = "uptime_applied_in_energy_denominator"
LCOE = Kind(
    (
        "kind",
        "gpus",
        "gpus_per_node",
        "node_power_avg_kw",
        "annual_pue",
        "uptime",
        "gpu_idle_usd_per_gpu_hour",
        "discount_rate",
        "eval_years",
        "construction_years",
    ),
    {TOTAL: "USD/kWh", BASE: "USD/kWh", IDLE: "USD"},
    predict,
    lambda case: False,
    "levelised cost of electricity with the value of GPUs that wait for it",
    optional=("ops_start_year", COUNTS, "electricity_usd_per_kwh", "capex_npv_usd", "opex_npv_usd"),
    counts=counts,
)
PARTS = (
    Part(
        "electricity with idle GPUs",
        "levelised, by the conventions of its publisher",
        lambda case: "gpu_idle_usd_per_gpu_hour" in case,
    ),
)
