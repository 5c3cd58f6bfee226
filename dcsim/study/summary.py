"""What `dcsim run` prints of a run: the answer first, then every key figure."""

from collections.abc import Mapping
from typing import Any

from dcsim import runs


def summary(result: runs.Run) -> list[str]:
    """Lines that answer first: what binds in each phase, then every key figure with its unit."""
    lines = [f"{result.scenario['name']}: {result.scenario['description'].strip()}", ""]
    pools = result.findings["pools"]
    for phase in result.findings["phases"]:
        servers = f"{phase['servers']} {phase['server'] if len(pools) > 1 else 'servers'}"
        limits = ", ".join(f"{limit['name']} {limit['servers']}" for limit in phase["limits"])
        lines.append(
            f"{phase['name']} from {phase['energised']}: {servers}, {phase['gpus']:,} GPUs in all; "
            f"{phase['binding']} binds (servers in all that each limit allows: {limits})"
        )
    if len(pools) > 1:
        for one in pools:
            held = "nothing" if one["allocated_frac"] is None else f"{one['allocated_frac']:.0%}"
            wait = "" if one["mean_wait_h"] is None else f", mean wait {number(one['mean_wait_h'])} h"
            lines.append(f"pool {one['pool']}: {number(one['gpus'])} GPUs, {held} of them held by jobs{wait}")
    lines += [service_line(one) for one in result.findings["services"]]
    lines += [training_line(one) for one in result.findings["training_runs"]]
    left = ", ".join(f"{one['name']} {one['left_frac']:.0%}" for one in result.findings["headroom"])
    lines.append(f"left at the peaks, scarcest first: {left}")
    if (kept := result.findings["storage"]) is not None and kept["full"]:
        lines.append(f"storage of {number(kept['capacity_tb'][-1])} TB is full in {kept['full'][:7]}")
    if (path := result.findings["demand"]) is not None:
        if not path["full"]:
            lines.append("demand stays within what is energised")
        for one in path["full"]:
            end = "" if one["until"] is None else f" until {one['until']}"
            lines.append(f"demand is above what is energised from {one['from']}{end}: {one['binding']} binds")
        if (more := path["one_more_phase"]) is not None:
            again = "to the end of the plan" if more["full_again"] is None else f"until {more['full_again']}"
            lines.append(
                f"another phase of {more['gpus']:,} GPUs, energised {more['energised']}, would carry it {again}"
            )
    lines.append("")
    undefined: dict[str, list[str]] = {}
    for name, kpi in result.kpis.items():
        if kpi["value"] is None:
            undefined.setdefault(kpi["reason"], []).append(name)
            continue
        between = f"  {number(kpi['p10'])} to {number(kpi['p90'])} (P10 to P90)" if "p10" in kpi else ""
        lines.append(f"{name:30}{number(kpi['value']):>16}  {kpi['unit']}{between}")
    lines += ["", *(f"undefined: {', '.join(names)}: {reason}" for reason, names in undefined.items())]
    lines += ["", *(f"note: {note}" for note in result.findings["notes"])]
    # How money is counted comes first among the conventions; all of them are in the report.
    lines += [*(f"convention: {said}" for said in result.findings["conventions"][:3]), ""]
    return lines


def training_line(one: Mapping[str, Any]) -> str:
    """What a training run held and cost."""
    if one["goodput_frac"] is None:
        return f"run {one['name']}: {one['status']}, it never started"
    return (
        f"run {one['name']}: {one['status']}, {number(one['useful_gpu_h'])} useful GPU-hours on {number(one['gpus'])} "
        f"GPUs at a goodput of {one['goodput_frac']:.1%}, {number(one['mwh'])} MWh; costs {number(one['cost_usd'])} "
        "USD at cost_usd_per_gpu_h"
    )


def service_line(one: Mapping[str, Any]) -> str:
    """What a service did, in a line; what it did not do first."""
    if not one["requests"]:
        return f"service {one['service']}: nobody asks within the plan"
    missing = 1.0 - one["answered_frac"]
    short = f"{missing:.1%} of its requests are not answered, " if missing > 1e-6 else ""
    gpus = f"{number(one['mean_gpus'])} GPUs on average, {number(one['peak_gpus'])} at the peak"
    times = ", ".join(
        f"{metric} p95 {number(one[f'{metric}_p95_s']['value'])} s"
        + (f" of {limit:g} s" if (limit := one["limits"][f"{metric}_p95_s"]) is not None else "")
        for metric in ("ttft", "tpot", "e2e")
        if one[f"{metric}_p95_s"]["value"] is not None
    )
    kept = f"{100 * one['within_limits_frac']:.4g} % in hours that keep its limits"
    cost, income = one["cost_usd_per_million_tokens"], one["income_usd_per_million_tokens"]
    money = "" if cost is None else f"; a million tokens cost {number(cost)} USD and bring {number(income)}"
    return f"service {one['service']}: {short}{kept}; {gpus}; {times or 'latency not known'}{money}"


def number(value: float) -> str:
    """Four significant digits below 1,000, whole and grouped above."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
