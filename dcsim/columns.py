"""Every column that a run folder holds: its name, unit and meaning.

One table here feeds the Parquet field metadata, the README and the report's tooltips. Kinds: ``f`` float, ``i``
integer, ``s`` text; ``f`` and ``i`` columns may be declared nullable where a value can be undefined.
"""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Column:
    """One declared output column; ``unit`` is ``1`` for pure numbers and empty for text."""

    name: str
    kind: Literal["f", "i", "s"]
    unit: str
    meaning: str
    nullable: bool = False


INTERVALS = (
    Column("start_s", "f", "s", "start of the interval, from the plan's start in local standard time"),
    Column("duration_s", "f", "s", "length of the interval"),
    Column("dry_bulb_c", "f", "degC", "outdoor dry-bulb temperature"),
    Column("wet_bulb_c", "f", "degC", "outdoor wet-bulb temperature, ASHRAE equations"),
    Column("gpus_energised", "f", "GPU", "mean number of GPUs in racks with power, failed ones included"),
    Column("gpus_down", "f", "GPU", "mean number of GPUs in failed nodes"),
    Column("gpus_allocated", "f", "GPU", "mean number of GPUs held by jobs"),
    Column("gpus_serving", "f", "GPU", "mean number of GPUs in nodes that services hold"),
    Column("jobs_queued", "f", "job", "mean number of jobs submitted and not running"),
    Column("gpus_queued", "f", "GPU", "mean number of GPUs that queued jobs ask for"),
    Column("job_power_w", "f", "W", "mean power of the nodes or parts of nodes that jobs hold, idle power included"),
    Column("service_power_w", "f", "W", "mean power of the nodes that services hold, idle power included"),
    Column("idle_power_w", "f", "W", "mean power of the nodes or parts of nodes that no job or service holds"),
    Column("fabric_power_w", "f", "W", "mean power of switches and optical transceivers"),
    Column("support_power_w", "f", "W", "mean power of storage, management and login servers"),
    Column("it_power_w", "f", "W", "mean IT power at the rack inputs: jobs + services + idle + fabric + support"),
    Column("server_fan_power_w", "f", "W", "mean power of fans inside servers, a part of job, service and idle power"),
    Column("pdu_loss_w", "f", "W", "mean loss of the power distribution units"),
    Column("ups_loss_w", "f", "W", "mean loss of the uninterruptible power supplies"),
    Column("transformer_loss_w", "f", "W", "mean loss of the utility transformers"),
    Column("electrical_loss_w", "f", "W", "mean electrical loss: PDU + UPS + transformer"),
    Column("room_fan_power_w", "f", "W", "mean power of the air handlers' fans"),
    Column("pump_power_w", "f", "W", "mean power of chilled-water, condenser-water and coolant pumps"),
    Column("chiller_power_w", "f", "W", "mean power of compressors"),
    Column("rejection_power_w", "f", "W", "mean power of cooling-tower or dry-cooler fans"),
    Column("plant_base_power_w", "f", "W", "mean power of controls, sumps and minimum-flow pumps of the plant"),
    Column("cooling_power_w", "f", "W", "mean cooling power: room fans + pumps + compressors + rejection + plant base"),
    Column("lighting_power_w", "f", "W", "mean power of lighting, offices and building services"),
    Column("other_power_w", "f", "W", "mean power of everything else: lighting and building services"),
    Column("facility_power_w", "f", "W", "mean power that the facility uses: IT + losses + cooling + other"),
    Column("solar_power_w", "f", "W", "mean power of on-site solar that the site and its battery use"),
    Column("solar_surplus_power_w", "f", "W", "mean power of on-site solar above that, sold or spilled"),
    Column("battery_power_w", "f", "W", "mean power into the battery at its terminals; below 0 where it gives"),
    Column("grid_power_w", "f", "W", "mean power drawn through the meter: facility + battery - on-site solar used"),
    Column("ppa_power_w", "f", "W", "part of grid_power_w under physical power purchase agreements, not the tariff"),
    Column("heat_rejected_w", "f", "W", "mean heat given to the outdoors by towers, coolers and outdoor equipment"),
    Column("heat_reused_w", "f", "W", "mean heat given to a user of heat, such as a district network"),
    Column(
        "compute_power_w", "f", "W", "mean power that reaches boards: IT less losses of rack supplies and server fans"
    ),
    Column("cooling_mode", "i", "1", "0 free cooling, 1 partly mechanical, 2 fully mechanical"),
    Column(
        "cooling_margin_frac",
        "f",
        "1",
        "(plant capacity at this hour - heat load) / capacity, no redundant units",
    ),
    Column("supply_air_c", "f", "degC", "air reached at the servers' inlets; 0 before the first phase"),
    Column("supply_water_c", "f", "degC", "chilled or facility water reached; 0 before the first phase"),
    Column("evaporation_kg", "f", "kg", "water evaporated"),
    Column("blowdown_kg", "f", "kg", "water drained to hold the concentration of the tower basin"),
    Column("drift_kg", "f", "kg", "water carried out of the tower as droplets"),
    Column("water_kg", "f", "kg", "make-up water: evaporation + blowdown + drift"),
    Column("carbon_intensity_kg_per_kwh", "f", "kg/kWh", "location-based average carbon intensity of the grid"),
    Column("carbon_kg", "f", "kg", "location-based operational carbon: energy through the meter times intensity"),
    Column("generator_fuel_l", "f", "L", "fuel that tests of generators burn, spread over the year"),
    Column("carbon_fuel_kg", "f", "kg", "direct carbon of that fuel, scope 1"),
    Column("clean_power_w", "f", "W", "mean carbon-free power delivered under contract, used or not"),
    Column(
        "carbon_market_kg", "f", "kg", "market-based carbon: of energy that contracts leave uncovered over the year"
    ),
    Column(
        "carbon_hourly_kg", "f", "kg", "hourly-matched carbon: of energy that contracts leave uncovered in the interval"
    ),
)

# What pools have each, and the facility as their sum.
OF_POOLS = (
    "gpus_energised",
    "gpus_down",
    "gpus_allocated",
    "gpus_serving",
    "jobs_queued",
    "gpus_queued",
    "job_power_w",
    "service_power_w",
    "idle_power_w",
    "server_fan_power_w",
)
POOLS = (
    Column("pool", "s", "", "pool of nodes"),
    *(column for column in INTERVALS if column.name in ("start_s", "duration_s", *OF_POOLS)),
)

_KNOWN = "null where the load is above 0.8, requests wait from before, or none come"
SERVICES = (
    Column("service", "s", "", "service"),
    Column("start_s", "f", "s", "start of the interval, from the plan's start in local standard time"),
    Column("duration_s", "f", "s", "length of the interval"),
    Column("requests_per_s", "f", "1/s", "requests that come"),
    Column("answered_per_s", "f", "1/s", "requests that are answered"),
    Column("refused_per_s", "f", "1/s", "requests that are refused, too long for a replica"),
    Column("lost_per_s", "f", "1/s", "requests that are given up because the replicas cannot keep up"),
    Column("requests_waiting", "f", "1", "requests that wait at the end instead, where overload is queued"),
    Column("replicas_wanted", "f", "1", "replicas that the service wants"),
    Column("replicas", "f", "1", "mean replicas that it has"),
    Column("gpus", "f", "GPU", "mean GPUs in the nodes that it holds"),
    Column("load_frac", "f", "1", "requests over the most that its replicas can do; null without any", True),
    Column("batch", "f", "1", "mean batch of a replica while it works"),
    Column("ttft_p50_s", "f", "s", f"median time to first token; {_KNOWN}", True),
    Column("ttft_p95_s", "f", "s", f"95th percentile of it; {_KNOWN}", True),
    Column("tpot_p50_s", "f", "s", f"median time per output token after the first; {_KNOWN}", True),
    Column("tpot_p95_s", "f", "s", f"95th percentile of it; {_KNOWN}", True),
    Column("e2e_p50_s", "f", "s", f"median time from arrival to the last token; {_KNOWN}", True),
    Column("e2e_p95_s", "f", "s", f"95th percentile of it; {_KNOWN}", True),
    Column("power_w", "f", "W", "mean power of the nodes that it holds, fans and idle power included"),
    Column("prompt_tokens_per_s", "f", "1/s", "tokens of the prompts of answered requests"),
    Column("output_tokens_per_s", "f", "1/s", "tokens of answers"),
)

JOBS = (
    Column("job_id", "i", "", "the trace's own number, or the order of submission"),
    Column("job_class", "s", "", "workload class"),
    Column("pool", "s", "", "pool of nodes that it went to, or would have; empty for a skipped job"),
    Column("submit_s", "f", "s", "when the job was submitted, from the plan's start"),
    Column(
        "ready_s",
        "f",
        "s",
        "when it could queue: its submission, or the end of what it comes after; null if that did not end",
        True,
    ),
    Column("deadline_s", "f", "s", "when it should have ended; null if it has no deadline", True),
    Column("start_s", "f", "s", "when it first started; null if it never did", True),
    Column("end_s", "f", "s", "when it completed; null if it did not within the plan", True),
    Column("gpus", "i", "GPU", "GPUs that the job asks for, or instances of one where its pool splits them"),
    Column("gpus_held", "f", "GPU", "GPUs that it holds: a job wider than a node holds whole nodes; elastic, others"),
    Column("nodes", "i", "node", "nodes on which those GPUs are"),
    Column("leaves", "i", "1", "leaf switches that its last placement spans; 0 if it never started"),
    Column("restarts", "i", "1", "how often a node failure stopped it"),
    Column("run_s", "f", "s", "time for which it held GPUs, all attempts"),
    Column("useful_s", "f", "s", "part of run_s that became lasting work at the reference speed"),
    Column("energy_j", "f", "J", "energy of the nodes or parts of nodes that it held, idle power included"),
    Column("status", "s", "", "completed, running, queued, timed out, not submitted or skipped"),
)

LEDGER = (
    Column("month", "s", "", "calendar month of the cash flow, YYYY-MM"),
    Column("category", "s", "", "capex, opex, revenue or residual; tax and debt come after them"),
    Column("item", "s", "", "asset class or cost line"),
    Column("phase", "s", "", "build phase, or 'site' for what belongs to no phase"),
    Column("quantity", "f", "", "how many units"),
    Column("unit", "s", "", "unit of the quantity"),
    Column("price_usd", "f", "USD", "price of a unit in the dollars of index_year; nominal where there is no index"),
    Column("index", "s", "", "which yearly growth the price follows from index_year on; empty for none"),
    Column("index_year", "f", "year", "moment from which it is indexed, 2025.5 being mid-2025; null for none", True),
    Column("unit_price_usd", "f", "USD", "price of a unit in the dollars of the month"),
    Column("amount_usd", "f", "USD", "cash flow: costs negative, income positive"),
    Column("source", "s", "", "where the price comes from"),
)

STATEMENT = (
    Column("month", "s", "", "calendar month, YYYY-MM, from the first payment to the end of the plan"),
    Column("gpus_energised", "f", "GPU", "mean GPUs in powered racks"),
    Column("revenue_usd", "f", "USD", "income of the month"),
    Column("opex_usd", "f", "USD", "operating costs, negative"),
    Column("ebitda_usd", "f", "USD", "income less operating costs"),
    Column("book_depreciation_usd", "f", "USD", "straight line over book lives, negative"),
    Column("interest_usd", "f", "USD", "interest paid, negative"),
    Column("finance_costs_usd", "f", "USD", "interest during construction and fee, spread over the loan, negative"),
    Column("gain_on_sale_usd", "f", "USD", "price of what is sold less what the books still hold of it"),
    Column("tax_usd", "f", "USD", "income tax paid, what interest saves included; negative"),
    Column("net_income_usd", "f", "USD", "what the books call profit, before deferred taxes"),
    Column("capex_usd", "f", "USD", "payments for capital, negative"),
    Column(
        "residual_usd", "f", "USD", "price of what is sold: hardware that is replaced, and everything on the last day"
    ),
    Column("cash_before_tax_usd", "f", "USD", "project cash flow before tax and financing"),
    Column("tax_unlevered_usd", "f", "USD", "income tax as if there were no debt, negative"),
    Column("cash_after_tax_usd", "f", "USD", "project cash flow after that tax, before financing"),
    Column("debt_drawn_usd", "f", "USD", "loan drawn for capital and for interest during construction"),
    Column("debt_service_usd", "f", "USD", "scheduled interest and principal, negative"),
    Column("debt_balance_usd", "f", "USD", "loan owed at the end of the month"),
    Column(
        "cash_for_debt_usd",
        "f",
        "USD",
        "income less operating costs and tax without debt, which is spread over its year",
    ),
    Column("cash_to_equity_usd", "f", "USD", "what is left to equity after tax and debt: the sum of all ledger rows"),
    Column("book_value_usd", "f", "USD", "what the books hold of capital at the end of the month, after the sale"),
)

REGISTER = (
    Column("phase", "s", "", "build phase, or 'site'"),
    Column("asset_class", "s", "", "class of asset"),
    Column("item", "s", "", "what it is"),
    Column("ledger_item", "s", "", "name of its rows in the ledger"),
    Column("renewal", "i", "1", "0 when bought at first, then 1, 2, ..."),
    Column("quantity", "f", "", "how many units"),
    Column("unit", "s", "", "unit of the quantity"),
    Column("unit_price_usd", "f", "USD", "price of a unit, in dollars of price_year"),
    Column("price_year", "i", "", "year of that price; null if nominal", True),
    Column("ordered", "s", "", "month of the first payment, YYYY-MM"),
    Column("delivered", "s", "", "month of delivery"),
    Column("in_service", "s", "", "month from which it works"),
    Column("retired", "s", "", "month in which it is replaced, or the month after the plan"),
    Column("paid_usd", "f", "USD", "sum of its payments: the basis of depreciation"),
    Column("sold_usd", "f", "USD", "price for which it is sold when it is retired"),
    Column("life_years", "f", "year", "economic life; null if it never ends", True),
    Column("book_life_years", "f", "year", "life in the books; null if never depreciated", True),
    Column("macrs_years", "i", "year", "recovery period in the tax return; 0 is never deducted"),
    Column(
        "value_kept_frac_per_year",
        "f",
        "1/year",
        "share of its market value that hardware keeps a year; null for what is not hardware",
        True,
    ),
    Column("source", "s", "", "where the price comes from"),
)

ASSUMPTIONS = (
    Column("used_for", "s", "", "what the value decides"),
    Column("table", "s", "", "catalog table"),
    Column("key", "s", "", "name of the part"),
    Column("parameter", "s", "", "which of its parameters"),
    Column("value", "f", "", "value used"),
    Column("unit", "s", "", "its unit"),
    Column("price_year", "i", "", "year of the price or figure", True),
    Column("low", "f", "", "low end of the range that sources support", True),
    Column("high", "f", "", "high end", True),
    Column("source", "s", "", "key in sources.csv, 'assumption', or 'scenario' where the scenario states the value"),
    Column("note", "s", "", "what a skeptic should know"),
)

# The canonical form of a job trace: what every reader of dcsim.workload.traces yields and `dcsim trace convert` writes.
TRACE = (
    Column("job_id", "s", "", "the trace's own name or number of the job"),
    Column("submit_s", "f", "s", "when it was submitted, on the trace's own clock"),
    Column("start_s", "f", "s", "when it started on the recorded system; null if unknown or never", True),
    Column("run_s", "f", "s", "time for which it ran; null if unknown or never", True),
    Column("limit_s", "f", "s", "the user's estimate or limit of that time; null if there is none", True),
    Column("gpus", "f", "GPU", "GPUs that it asked for, parts of one included; null where unknown", True),
    Column("cpus", "f", "1", "processors or cores that it asked for; null if unknown", True),
    Column("nodes", "f", "node", "nodes that it asked for; null if unknown", True),
    Column("tenant", "s", "", "user, group or virtual cluster that submitted it; empty if unknown"),
    Column("status", "s", "", "completed, failed, cancelled, timeout, running, queued or unknown"),
)

# What `dcsim schedule` writes: no power is known there.
SCHEDULE = (
    *(replace(column, nullable=True) if column.name == "energy_j" else column for column in JOBS),
    Column("procs", "i", "1", "processors that the job asks for"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "intervals": INTERVALS,
    "pools": POOLS,
    "jobs": JOBS,
    "services": SERVICES,
    "ledger": LEDGER,
    "statement": STATEMENT,
    "register": REGISTER,
    "assumptions": ASSUMPTIONS,
}
