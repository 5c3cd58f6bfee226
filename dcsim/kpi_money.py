"""Key figures of money: returns before and after tax and debt, covenants, levelised costs, what a megawatt is worth."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsim.finance import cashflow
from dcsim.finance.ledger import OPERATING
from dcsim.finance.levelised import effective_pflop_days, usd_per_training_run
from dcsim.model.economics import Nothing
from dcsim.results import Kpi, Results, Undefined, ratio
from dcsim.units import SECONDS_PER_HOUR, mwh_from_j

Floats = NDArray[np.float64]

COSTS = ("capex", "opex", "residual")
AFTER_TAX = (*OPERATING, "tax")
EQUITY = (*AFTER_TAX, "debt")


def _needs_revenue(r: Results) -> None:
    if isinstance(r.scenario.economics.revenue, Nothing):
        raise Undefined("the scenario states no revenue (economics.revenue.kind: none)")


def _needs_tax(r: Results) -> None:
    _needs_revenue(r)
    if r.scenario.economics.tax is None:
        raise Undefined("the scenario states no income tax (economics.tax)")


def _needs_debt(r: Results) -> None:
    if r.costed.financed.loan is None:
        raise Undefined("the scenario states no debt (economics.debt), or nothing that it could pay for")


def _nominal_equity_flows(r: Results) -> Floats:
    _needs_revenue(r)
    if r.scenario.economics.tax is None and r.scenario.economics.debt is None:
        raise Undefined("equity has the project's own flows: state economics.tax or economics.debt")
    return r.flows_usd(*EQUITY)


def _equity_flows(r: Results) -> Floats:
    return r.counted(_nominal_equity_flows(r))


def _project_flows(r: Results) -> Floats:
    _needs_revenue(r)
    return r.counted(r.flows_usd())


def _rate(found: cashflow.Irr) -> float:
    if found.rate_frac is None:
        raise Undefined(found.reason)
    return found.rate_frac


def npv_usd(r: Results) -> float:
    """Net present value before tax and financing."""
    _needs_revenue(r)
    return r.present_value(r.flows_usd())


def mirr_frac(r: Results) -> float:
    """Modified internal rate of return, financed and reinvested at the discount rate."""
    rate = r.scenario.economics.discount_rate
    found = cashflow.mirr_frac(_project_flows(r), rate, rate)
    if found is None:
        raise Undefined("the flows never change sign")
    return found


def _years(months: int | None) -> float:
    if months is None:
        raise Undefined("the cumulative cash flow is still negative at the end of the plan")
    return months / 12


def _multiple(flows: Floats) -> float:
    found = cashflow.moic(flows)
    if found is None:
        raise Undefined("nothing is paid in")
    return found


def npv_after_tax_usd(r: Results) -> float:
    """Net present value after income tax, before financing."""
    _needs_tax(r)
    return r.present_value(r.flows_usd(*AFTER_TAX))


def irr_after_tax_frac(r: Results) -> float:
    """Internal rate of return after income tax."""
    _needs_tax(r)
    return _rate(cashflow.irr(r.counted(r.flows_usd(*AFTER_TAX))))


def npv_equity_usd(r: Results) -> float:
    """Net present value of what is left to equity."""
    rate = r.scenario.economics.equity_rate
    return float(r.discounted(_equity_flows(r), rate).sum())


def _cover(r: Results) -> Floats:
    """Debt service cover of each calendar year with scheduled payments of principal."""
    _needs_debt(r)
    found = r.costed.financed
    table = r.costed.statement
    months = np.arange(len(table)) + found.first_month
    kept = (months >= found.repaid_from) & (months < found.repaid_from + found.n_payments)
    years = months[kept] // 12
    if not len(years):
        raise Undefined("no payment falls within the plan")
    cash, service = (
        np.bincount(years - years[0], weights=table[column].to_numpy()[kept])
        for column in ("cash_for_debt_usd", "debt_service_usd")
    )
    if not (service < 0).any():
        raise Undefined("nothing is lent")
    return np.asarray(cash[service < 0] / -service[service < 0])


def llcr(r: Results) -> float:
    """Loan life cover ratio at the first payment, over the payments within the plan."""
    _needs_debt(r)
    found, terms = r.costed.financed, r.scenario.economics.debt
    assert terms is not None
    start = found.repaid_from - found.first_month
    cash = r.costed.statement["cash_for_debt_usd"].to_numpy()[start : start + found.n_payments]
    owed = float(r.costed.statement["debt_balance_usd"].iloc[start - 1])
    worth = cash @ (1.0 + terms.rate_frac / 12) ** -(np.arange(len(cash)) + 1.0)
    return ratio(float(worth), owed, "the loan")


def _loan_usd(r: Results, column: str) -> float:
    _needs_debt(r)
    assert r.costed.financed.loan is not None
    return float(getattr(r.costed.financed.loan, column).sum())


def costs_usd(r: Results) -> Floats:
    """Capital and operating cost less residual value, by month from the first one on, positive. [USD]"""
    return -r.flows_usd(*COSTS)


def cost_usd_per_gpu_h(r: Results) -> float:
    """Levelised cost of an allocated GPU-hour."""
    return ratio(r.present_value(costs_usd(r)), float(r.discounted(r.allocated_gpu_h()).sum()), "allocated GPU time")


def cost_usd_per_pflop_day(r: Results) -> float:
    """Levelised cost of a day of an effective PFLOP/s: what GPUs do at the share of their peak that runs reach."""
    pflop_days = np.zeros(r.n_months)
    for name, hours in r.held_gpu_h().items():
        pflop_days += effective_pflop_days(hours, r.value.peak_flop_s.get(name, 0.0), r.value.mfu_frac)
    return ratio(r.present_value(costs_usd(r)), float(r.discounted(pflop_days).sum()), "work of GPUs")


def training_runs(r: Results) -> list[dict[str, Any]]:
    """What each training run of a known model held, and cost at the levelised cost of a GPU-hour."""
    try:
        usd_per_gpu_h = cost_usd_per_gpu_h(r)
    except Undefined:
        return []
    names = [run.name for run in r.scenario.workload.runs]
    found = []
    for one in r.jobs[r.jobs["job_class"].isin(names)].to_dict("records"):
        useful_gpu_h = one["useful_s"] * one["gpus_held"] / SECONDS_PER_HOUR
        goodput = one["useful_s"] / one["run_s"] if one["run_s"] else None
        found.append(
            {
                "name": one["job_class"],
                "status": one["status"],
                "gpus": float(one["gpus_held"]),
                "useful_gpu_h": useful_gpu_h,
                "goodput_frac": goodput,
                "mwh": mwh_from_j(one["energy_j"]),
                "cost_usd": float(usd_per_training_run(useful_gpu_h, usd_per_gpu_h, goodput)) if goodput else None,
            }
        )
    return found


def utility_mw(r: Results) -> float:
    """Utility power of all phases. [MW]"""
    return sum(phase.utility_mw for phase in r.scenario.facility.phases)


def _gpus(r: Results) -> float:
    return float(r.intervals["gpus_energised"].iloc[-1])


def overhead_energy_usd_per_year(r: Results) -> float:
    """What the energy of cooling and losses costs."""
    energy = r.ledger["item"].str.startswith("electricity") & (r.ledger["category"] == "opex")
    bill = -float(r.ledger.loc[energy, "amount_usd"].sum())
    share = 1.0 - ratio(r.energy_j("it_power_w"), r.energy_j("facility_power_w"), "facility energy")
    return bill * share / r.scenario.plan.years


def idle_hardware_usd(r: Results) -> float:
    """Cost of hardware that waits for power: interest on it and market value lost."""
    rate, cost = r.scenario.economics.discount_rate, 0.0
    for one in r.costed.financed.register:
        of = one.purchase
        if not of.asset.hardware or of.renewal:
            continue
        years = (of.in_service - of.delivered) / 12
        kept = (1.0 if of.asset.value_decay_frac is None else of.asset.value_decay_frac) ** years
        cost += one.basis_usd * ((1.0 + rate) ** years - kept)
    return cost


def lost_contribution_usd(r: Results) -> float:
    """What delivered GPUs would have earned over operating cost until they were energised."""
    _needs_revenue(r)
    table = r.costed.statement
    stands = table["gpus_energised"].to_numpy()
    first = np.flatnonzero(stands > 0)[:12]
    if not len(first):
        raise Undefined("no GPU is energised within the plan")
    earned = float(table["ebitda_usd"].to_numpy()[first].sum()) / float(stands[first].sum())
    gpus = [one.purchase for one in r.costed.financed.register if one.purchase.asset.asset_class == "GPUs"]
    # What takes the place of GPUs that still earn keeps nobody waiting.
    taken = {(of.asset.phase, of.retired) for of in gpus}
    waited: float = sum(
        of.asset.quantity * (of.in_service - of.delivered)
        for of in gpus
        if of.renewal == 0 and (of.asset.phase, of.in_service) not in taken
    )
    return waited * earned


MONEY: dict[str, Kpi] = {
    "capex_usd": Kpi(lambda r: -r.sum_usd("capex"), "USD", "undiscounted capital spending, replacements included"),
    "opex_usd_per_year": Kpi(
        lambda r: -r.sum_usd("opex") / r.scenario.plan.years,
        "USD/year",
        "undiscounted operating cost, mean of the plan",
    ),
    "npv_usd": Kpi(npv_usd, "USD", "net present value before tax and financing, residual value included"),
    "irr_frac": Kpi(
        lambda r: _rate(cashflow.irr(_project_flows(r))),
        "1/year",
        "annual effective rate at which that NPV is zero, where it is the only one",
    ),
    "irr_roots": Kpi(
        lambda r: len(cashflow.irr(_project_flows(r)).roots), "1", "number of rates at which that NPV is zero"
    ),
    "xirr_frac": Kpi(
        lambda r: _rate(cashflow.xirr(_project_flows(r), r.last_days)),
        "1/year",
        "the same rate with flows on the last day of their month and years of 365 days, as spreadsheets count",
    ),
    "mirr_frac": Kpi(
        mirr_frac, "1/year", "modified internal rate of return: outlays financed, incomes reinvested at discount_rate"
    ),
    "payback_years": Kpi(
        lambda r: _years(cashflow.payback_months(_project_flows(r))),
        "year",
        "from the first cash flow until the cumulative flow stays positive, in the dollars that are discounted",
    ),
    "discounted_payback_years": Kpi(
        lambda r: _years(cashflow.payback_months(r.discounted(_project_flows(r)))),
        "year",
        "the same of the flow discounted at discount_rate",
    ),
    "moic": Kpi(
        lambda r: _multiple(_project_flows(r)),
        "1",
        "multiple on invested capital: months that pay back over months that pay in, undiscounted",
    ),
    "peak_outlay_usd": Kpi(
        lambda r: cashflow.peak_outlay_usd(r.flows_usd()),
        "USD",
        "deepest point of the cumulative project cash flow, nominal: the money that must be there",
    ),
    "npv_after_tax_usd": Kpi(npv_after_tax_usd, "USD", "net present value after income tax, before financing"),
    "irr_after_tax_frac": Kpi(irr_after_tax_frac, "1/year", "rate at which that NPV is zero, where it is the only one"),
    "npv_equity_usd": Kpi(
        npv_equity_usd, "USD", "net present value of what is left to equity after tax and debt, at equity_rate"
    ),
    "irr_equity_frac": Kpi(
        lambda r: _rate(cashflow.irr(_equity_flows(r))), "1/year", "rate at which that NPV is zero, if the only one"
    ),
    "moic_equity": Kpi(lambda r: _multiple(_equity_flows(r)), "1", "multiple on equity after tax and debt"),
    "peak_equity_usd": Kpi(
        lambda r: cashflow.peak_outlay_usd(_nominal_equity_flows(r)),
        "USD",
        "deepest point of the cumulative flow to equity, nominal",
    ),
    "loan_usd": Kpi(lambda r: _loan_usd(r, "drawn_usd"), "USD", "loan drawn for capital"),
    "idc_usd": Kpi(lambda r: _loan_usd(r, "capitalised_usd"), "USD", "interest during construction, added to the loan"),
    "dscr_min": Kpi(
        lambda r: float(_cover(r).min()),
        "1",
        "least debt service cover of a calendar year: cash_for_debt_usd over scheduled interest and principal",
    ),
    "dscr_mean": Kpi(lambda r: float(_cover(r).mean()), "1", "mean debt service cover of the calendar years"),
    "llcr": Kpi(
        llcr, "1", "loan life cover: worth at the loan's rate of that cash over the loan's payments, over the loan"
    ),
    "cost_usd_per_gpu_h": Kpi(
        cost_usd_per_gpu_h,
        "USD/GPU-h",
        "present value of capital and operating cost less residual value over that of GPU-hours of jobs and services",
    ),
    "cost_usd_per_pflop_day": Kpi(
        cost_usd_per_pflop_day,
        "USD",
        "the same costs over days of effective PFLOP/s: allocated GPUs at their dense 16-bit peak times MFU",
    ),
    "capex_usd_per_mw": Kpi(
        lambda r: -r.sum_usd("capex") / utility_mw(r), "USD/MW", "capital, replacements included, over utility power"
    ),
    "npv_usd_per_mw": Kpi(lambda r: npv_usd(r) / utility_mw(r), "USD/MW", "npv_usd over utility power"),
    "gpus_per_utility_mw": Kpi(
        lambda r: _gpus(r) / utility_mw(r), "GPU/MW", "GPUs installed over the utility power of all phases"
    ),
    "gpus_lost_to_overhead": Kpi(
        lambda r: _gpus(r) * (r.design_pue - 1.0),
        "GPU",
        "further GPUs that the same utility power would feed at a PUE of 1 in the design hour",
    ),
    "overhead_energy_usd_per_year": Kpi(
        overhead_energy_usd_per_year,
        "USD/year",
        "electricity bill times the share of energy that is not IT: what PUE costs as energy",
    ),
    "idle_hardware_usd": Kpi(
        idle_hardware_usd,
        "USD",
        "discount_rate on, and market value lost by, hardware between delivery and energisation; part of npv_usd",
    ),
    "lost_contribution_usd": Kpi(
        lost_contribution_usd,
        "USD",
        "GPU-months between delivery and energisation at the EBITDA a GPU-month of the first year; in no cash flow",
    ),
}
