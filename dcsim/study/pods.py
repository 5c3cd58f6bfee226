"""Pods of a trace on unlike nodes, at their recorded starts or freely placed."""

from pathlib import Path
from typing import Any

import numpy as np

from dcsim.sim.pods import WHOLE, Nodes, Placed, Pods, place
from dcsim.workload.traces.pods import PodTrace, read_nodes, read_pods


def pods_of(trace: PodTrace, *, recorded: bool) -> tuple[Pods, Any]:
    """Pods of a trace, and their recorded starts; freely placed ones are those that ran, for as long as they did.

    Returns
    -------
    Pods, ndarray or None
        In the order of creation; starts are None where placement is free. [s]
    """
    began_s = np.where(np.isfinite(trace.scheduled_s), trace.scheduled_s, trace.created_s)
    run_s = np.where(np.isfinite(trace.deleted_s), trace.deleted_s, np.inf) - began_s
    keep = np.flatnonzero(np.ones(len(run_s), dtype=bool) if recorded else np.isfinite(trace.scheduled_s))
    pods = Pods(
        trace.created_s[keep],
        run_s[keep],
        trace.cpu_milli[keep],
        trace.memory_mib[keep],
        trace.gpus[keep],
        trace.gpu_milli[keep],
        tuple(trace.models[k] for k in keep),
    )
    return pods, trace.scheduled_s if recorded else None


def placed(pods_path: Path, nodes_path: Path, *, recorded: bool) -> Placed:
    """Place a list of pods on a list of nodes.

    Raises
    ------
    InputError
        If a file cannot be read.
    CapacityError
        If a pod can have no node, or none at its recorded start.
    """
    pods, start_s = pods_of(read_pods(pods_path), recorded=recorded)
    return place(Nodes(*read_nodes(nodes_path)), pods, start_s=start_s)


def figures(of: Placed) -> dict[str, Any]:
    """Pods, waits, and GPUs in use at the peak: in all, and of each model over what there is."""
    wait_s, nodes = of.wait_s, of.nodes
    models = np.array([nodes.model[k] if k >= 0 else "" for k in of.node])
    by_model = {}
    for model in sorted(set(nodes.model) - {""}):
        have = int(nodes.gpus[np.array(nodes.model) == model].sum())
        peak = float(of.used_milli(models == model).values.max(initial=0.0)) / WHOLE
        by_model[model] = {"gpus": have, "peak_used": peak}
    return {
        "pods": len(of.pods),
        "started": int(np.count_nonzero(of.node >= 0)),
        "mean_wait_s": float(wait_s.mean()) if len(wait_s) else None,
        "p99_wait_s": float(np.quantile(wait_s, 0.99)) if len(wait_s) else None,
        "gpus": int(nodes.gpus.sum()),
        "peak_used_gpus": float(of.used_milli().values.max(initial=0.0)) / WHOLE,
        "models": by_model,
    }


def lines(found: dict[str, Any], *, recorded: bool) -> list[str]:
    """Figures for a terminal."""
    how = "at their recorded starts" if recorded else "freely placed"
    rows = [
        f"pods         {found['started']:,} of {found['pods']:,} started, {how}; no node over its capacity",
        f"wait         mean {found['mean_wait_s']:,.4g} s, p99 {found['p99_wait_s']:,.4g} s",
        f"GPUs         {found['peak_used_gpus']:,.4g} of {found['gpus']:,} in use at the peak",
    ]
    for model, of in found["models"].items():
        rows.append(f"  {model:10} {of['peak_used']:>10,.4g} of {of['gpus']:,}")
    return rows
