"""Key figures: one function each, with its unit and the standard or rule that defines it."""

from collections.abc import Collection
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dcsim.finance.levelised import usd_per_million_tokens
from dcsim.kpi_money import MONEY, cost_usd_per_gpu_h
from dcsim.results import Kpi, Results, Undefined, ratio
from dcsim.units import J_PER_KWH, m3_from_kg_water, mw_from_w, mwh_from_j

Floats = NDArray[np.float64]


def full_after_months(r: Results) -> float:
    """Months until demand stays above what stands."""
    if not r.has_path:
        raise Undefined("demand has no path of its own: state workload.jobs of kind demand")
    if r.full_month is None:
        raise Undefined("demand does not stay above what is energised")
    return float(r.full_month)


def effective_time_frac(r: Results) -> float:
    """Effective training time ratio of the completed jobs."""
    done = r.jobs[r.jobs["status"] == "completed"]
    gpus = done["gpus"].to_numpy(dtype=float)
    spent = float(gpus @ (done["end_s"] - done["start_s"]).to_numpy())
    return ratio(float(gpus @ done["useful_s"].to_numpy()), spent, "time of completed jobs")


def deadlines_met_frac(r: Results) -> float:
    """Share of the jobs with a deadline that ended in time."""
    of = r.jobs[r.jobs["deadline_s"].notna()]
    if of.empty:
        raise Undefined("no job has a deadline: state workload.deadlines")
    # A job that goes on at the end of the plan has not missed a deadline behind it.
    plan_s = float(r.intervals["duration_s"].sum())
    decided = of["end_s"].notna() | (of["status"] == "timed out") | (of["deadline_s"] <= plan_s)
    met = of["end_s"] <= of["deadline_s"]
    return ratio(float(met.sum()), float(decided.sum()), "jobs whose deadline is met or missed")


def pue(r: Results) -> float:
    """Power usage effectiveness."""
    return ratio(r.energy_j("facility_power_w"), r.energy_j("it_power_w"), "IT energy")


def ere(r: Results) -> float:
    """Energy reuse effectiveness."""
    given = r.energy_j("facility_power_w") - r.energy_j("heat_reused_w")
    return ratio(given, r.energy_j("it_power_w"), "IT energy")


def tue(r: Results) -> float:
    """Total-power usage effectiveness."""
    return ratio(r.energy_j("facility_power_w"), r.energy_j("compute_power_w"), "energy that reaches boards")


def clean_matched_frac(r: Results) -> float:
    """Share of the facility's energy that contracts meet within the interval."""
    met_w = np.minimum(r.intervals["clean_power_w"].to_numpy(), r.intervals["grid_power_w"].to_numpy())
    met_j = float(met_w @ r.intervals["duration_s"].to_numpy())
    return ratio(met_j, r.energy_j("facility_power_w"), "facility energy")


def wue_l_per_kwh(r: Results) -> float:
    """Water usage effectiveness; a kilogram of water is a litre."""
    return ratio(float(r.intervals["water_kg"].sum()), r.energy_j("it_power_w") / J_PER_KWH, "IT energy")


def cue_kg_per_kwh(r: Results) -> float:
    """Carbon usage effectiveness."""
    return ratio(float(r.intervals["carbon_kg"].sum()), r.energy_j("it_power_w") / J_PER_KWH, "IT energy")


def _gpu_seconds(r: Results, column: str) -> float:
    return r.energy_j(column)  # the same sum of value times duration, of a count instead of a power


def gpu_goodput_frac(r: Results) -> float:
    """Useful share of the energised GPU time."""
    useful = float((r.jobs["useful_s"] * r.jobs["gpus_held"]).sum())
    return ratio(useful, _gpu_seconds(r, "gpus_energised"), "energised GPU time")


def _started_waits_s(r: Results) -> Floats:
    started = r.jobs[r.jobs["start_s"].notna()]
    if started.empty:
        raise Undefined("no job started within the plan")
    return (started["start_s"] - started["ready_s"]).to_numpy()


def _of_services(r: Results, column: str) -> float:
    """Sum over services and intervals of a rate times time."""
    if r.services.empty:
        raise Undefined("the scenario has no services: state workload.services")
    return float(r.services[column].to_numpy() @ r.services["duration_s"].to_numpy())


def requests_known_frac(r: Results) -> float:
    """Share of the requests that come when latency is known."""
    came = _of_services(r, "requests_per_s")
    some = r.services["ttft_p95_s"].notna().to_numpy()
    weight = (r.services["requests_per_s"] * r.services["duration_s"]).to_numpy()
    return ratio(float(weight[some].sum()), came, "requests")


def cost_usd_per_million_tokens(r: Results) -> float:
    """Levelised cost of a million tokens of answers, by the GPU-hours that services hold."""
    gpu_s, tokens = _of_services(r, "gpus"), _of_services(r, "output_tokens_per_s")
    if tokens <= 0 or gpu_s <= 0:
        raise Undefined("tokens of answers is zero over the plan")
    return float(usd_per_million_tokens(cost_usd_per_gpu_h(r), tokens / gpu_s))


KPIS: dict[str, Kpi] = {
    "pue": Kpi(pue, "1", "facility energy over IT energy at the rack inputs, ISO/IEC 30134-2 category 3"),
    "pue_design_hour": Kpi(
        lambda r: r.design_pue,
        "1",
        "facility power over IT power at full design load in the design hour; sizes the feed",
    ),
    "tue": Kpi(
        tue,
        "1",
        "facility energy over energy that reaches boards, rack supplies and server fans being overhead; Patterson 2013",
    ),
    "ere": Kpi(ere, "1", "facility energy less heat given to a user over IT energy, as The Green Grid defines it"),
    "wue_l_per_kwh": Kpi(wue_l_per_kwh, "L/kWh", "site make-up water over IT energy, ISO/IEC 30134-9 category 1"),
    "cue_kg_per_kwh": Kpi(
        cue_kg_per_kwh, "kg/kWh", "location-based carbon of energy through the meter over IT energy, ISO/IEC 30134-8"
    ),
    "it_energy_mwh": Kpi(lambda r: mwh_from_j(r.energy_j("it_power_w")), "MWh", "IT energy at the rack inputs"),
    "facility_energy_mwh": Kpi(
        lambda r: mwh_from_j(r.energy_j("facility_power_w")), "MWh", "energy that the facility uses"
    ),
    "peak_facility_power_mw": Kpi(
        lambda r: mw_from_w(float(r.intervals["facility_power_w"].max())),
        "MW",
        "highest interval mean of what the facility uses",
    ),
    "peak_grid_power_mw": Kpi(
        lambda r: mw_from_w(float(r.intervals["grid_power_w"].max())),
        "MW",
        "highest interval mean at the utility meter, after on-site solar and battery",
    ),
    "it_peak_frac": Kpi(
        lambda r: r.it_peak_frac,
        "1",
        "highest interval mean of IT power over what the UPS may carry; its inverse bounds oversubscription",
    ),
    "gpus_installed": Kpi(
        lambda r: float(r.intervals["gpus_energised"].iloc[-1]), "GPU", "GPUs in powered racks at the end of the plan"
    ),
    "gpu_allocated_frac": Kpi(
        lambda r: ratio(
            _gpu_seconds(r, "gpus_allocated") + _gpu_seconds(r, "gpus_serving"),
            _gpu_seconds(r, "gpus_energised"),
            "energised GPU time",
        ),
        "1",
        "GPU-hours held by jobs and services over GPU-hours energised",
    ),
    "gpu_goodput_frac": Kpi(
        gpu_goodput_frac,
        "1",
        "GPU-hours of jobs that became lasting work at the reference speed over GPU-hours energised",
    ),
    "full_after_months": Kpi(
        full_after_months,
        "month",
        "months from the plan's start to that from which demand stays above the GPUs energised",
    ),
    "stranded_power_mw": Kpi(
        lambda r: (
            sum(phase.utility_mw for phase in r.scenario.facility.phases)
            - mw_from_w(float(r.intervals["grid_power_w"].max()))
        ),
        "MW",
        "utility power of all phases less the highest interval mean at the meter: paid for and never drawn",
    ),
    "jobs_completed": Kpi(
        lambda r: float((r.jobs["status"] == "completed").sum()), "job", "jobs that ended within the plan"
    ),
    "jobs_timed_out": Kpi(
        lambda r: float((r.jobs["status"] == "timed out").sum()), "job", "jobs that were over at their limit, not done"
    ),
    "job_interruptions": Kpi(
        lambda r: float(r.jobs["restarts"].sum()), "1", "how often a fault stopped a running job within the plan"
    ),
    "effective_time_frac": Kpi(
        effective_time_frac,
        "1",
        "effective training time ratio: lasting work over the time from first start to end, completed jobs by GPU",
    ),
    "deadlines_met_frac": Kpi(
        deadlines_met_frac, "1", "jobs that ended by their deadline over those that did or missed it within the plan"
    ),
    "jobs_unstarted": Kpi(
        lambda r: float((r.jobs["start_s"].isna() & (r.jobs["status"] != "skipped")).sum()),
        "job",
        "jobs submitted within the plan that never started",
    ),
    "queue_wait_mean_s": Kpi(
        lambda r: float(_started_waits_s(r).mean()),
        "s",
        "mean time to the first start, from submission or the end of what the job comes after",
    ),
    "queue_wait_p95_s": Kpi(
        lambda r: float(np.percentile(_started_waits_s(r), 95)), "s", "95th percentile of that wait"
    ),
    **MONEY,
    "requests_answered_frac": Kpi(
        lambda r: ratio(_of_services(r, "answered_per_s"), _of_services(r, "requests_per_s"), "requests"),
        "1",
        "requests that services answered within the plan over those that came",
    ),
    "requests_known_frac": Kpi(
        requests_known_frac, "1", "requests that came when latency is known: at a load of at most 0.8, over all"
    ),
    "output_tokens_per_j": Kpi(
        lambda r: ratio(_of_services(r, "output_tokens_per_s"), _of_services(r, "power_w"), "energy of services"),
        "1/J",
        "tokens of answers over the energy of the nodes that services hold",
    ),
    "cost_usd_per_million_tokens": Kpi(
        cost_usd_per_million_tokens,
        "USD",
        "cost_usd_per_gpu_h times the GPU-hours that services hold, over a million tokens of their answers",
    ),
    "carbon_t": Kpi(
        lambda r: float(r.intervals["carbon_kg"].sum()) / 1e3, "t", "location-based operational carbon of the plan"
    ),
    "carbon_fuel_t": Kpi(
        lambda r: float(r.intervals["carbon_fuel_kg"].sum()) / 1e3,
        "t",
        "direct carbon of generators' tests, scope 1; in no other figure of carbon",
    ),
    "embodied_servers_t": Kpi(
        lambda r: r.embodied_kg.get("servers", 0.0) / 1e3,
        "t",
        "carbon of making the GPU servers bought within the plan; networks and storage are not counted",
    ),
    "embodied_construction_t": Kpi(
        lambda r: r.embodied_kg.get("construction", 0.0) / 1e3,
        "t",
        "carbon of building halls, power and cooling within the plan, replacements included",
    ),
    "carbon_market_t": Kpi(
        lambda r: float(r.intervals["carbon_market_kg"].sum()) / 1e3,
        "t",
        "market-based operational carbon, contracts matched by calendar year; GHG Protocol Scope 2",
    ),
    "carbon_hourly_t": Kpi(
        lambda r: float(r.intervals["carbon_hourly_kg"].sum()) / 1e3,
        "t",
        "operational carbon with contracts matched within each interval",
    ),
    "clean_matched_frac": Kpi(
        clean_matched_frac, "1", "energy that contracted carbon-free power meets in its interval over facility energy"
    ),
    "water_m3": Kpi(
        lambda r: m3_from_kg_water(float(r.intervals["water_kg"].sum())), "m3", "make-up water of the plan"
    ),
}


# What sentences and axes call a figure.
WORDS: dict[str, str] = {
    "npv_usd": "NPV",
    "npv_after_tax_usd": "NPV after tax",
    "npv_equity_usd": "NPV to equity",
    "cost_usd_per_gpu_h": "cost of a GPU-hour",
    "irr_frac": "internal rate of return",
    "irr_after_tax_frac": "internal rate of return after tax",
    "irr_equity_frac": "internal rate of return to equity",
    "capex_usd": "capital",
    "opex_usd_per_year": "operating cost",
    "peak_outlay_usd": "peak outlay",
    "payback_years": "payback",
    "dscr_min": "least debt service cover",
    "pue": "PUE",
    "facility_energy_mwh": "energy used",
    "gpu_goodput_frac": "GPU time that became work",
    "gpu_allocated_frac": "GPU time allocated",
    "carbon_t": "carbon",
    "water_m3": "water",
}

# Which way a figure is better for whoever builds and runs the plan; of those left out it depends.
BETTER: dict[str, Literal["more", "less"]] = {
    **dict.fromkeys(
        (
            "npv_usd",
            "npv_usd_per_mw",
            "npv_after_tax_usd",
            "npv_equity_usd",
            "irr_frac",
            "irr_after_tax_frac",
            "irr_equity_frac",
            "xirr_frac",
            "mirr_frac",
            "moic",
            "moic_equity",
            "dscr_min",
            "dscr_mean",
            "llcr",
            "gpu_allocated_frac",
            "gpu_goodput_frac",
            "gpus_installed",
            "gpus_per_utility_mw",
            "jobs_completed",
            "effective_time_frac",
            "deadlines_met_frac",
            "requests_answered_frac",
            "requests_known_frac",
            "output_tokens_per_j",
            "clean_matched_frac",
        ),
        "more",
    ),
    **dict.fromkeys(
        (
            "pue",
            "pue_design_hour",
            "tue",
            "ere",
            "wue_l_per_kwh",
            "cue_kg_per_kwh",
            "facility_energy_mwh",
            "peak_facility_power_mw",
            "peak_grid_power_mw",
            "stranded_power_mw",
            "jobs_timed_out",
            "jobs_unstarted",
            "job_interruptions",
            "queue_wait_mean_s",
            "queue_wait_p95_s",
            "capex_usd",
            "capex_usd_per_mw",
            "opex_usd_per_year",
            "payback_years",
            "discounted_payback_years",
            "peak_outlay_usd",
            "peak_equity_usd",
            "idc_usd",
            "cost_usd_per_gpu_h",
            "cost_usd_per_pflop_day",
            "cost_usd_per_million_tokens",
            "gpus_lost_to_overhead",
            "overhead_energy_usd_per_year",
            "idle_hardware_usd",
            "lost_contribution_usd",
            "carbon_t",
            "carbon_fuel_t",
            "carbon_market_t",
            "carbon_hourly_t",
            "embodied_servers_t",
            "embodied_construction_t",
            "water_m3",
        ),
        "less",
    ),
}


def kpis(results: Results, names: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Compute registered figures, all if none are named: ``{"pue": {"value": ..., "unit": ..., "definition": ...}}``.

    A figure that is undefined has the value None and a ``reason``; a NaN is a fault and never passes.
    """
    table: dict[str, dict[str, Any]] = {}
    for name in names or KPIS:
        kpi = KPIS[name]
        try:
            value = float(kpi.compute(results))
            assert np.isfinite(value), f"{name} is {value}"
            table[name] = {"value": value, "unit": kpi.unit, "definition": kpi.definition}
        except Undefined as reason:
            table[name] = {"value": None, "unit": kpi.unit, "definition": kpi.definition, "reason": str(reason)}
    return table
