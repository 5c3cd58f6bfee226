"""Fits of published node power in training, and of throughput under power caps."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from dcsim.catalog.fitted import Fitted, to_json
from dcsim.catalog.published_power import cap_rate, node, system_family

from ..fit import Prior
from .common import fit, measurements
from .training import shipped

NODES, CAPS = "published-node-power.csv", "published-power-cap.csv"
# Medians by hand. Intensity is power above idle over the most that was ever read.
INTENSITY = Prior(0.93, 0.05, 1.0)
STALL, DIRECT = Prior(0.35, 0.5, 1.0), Prior(0.975, 0.02, 1.0)
IDLE, NEED, EXPONENT = Prior(0.25, 0.3, 0.36), Prior(0.95, 0.1, 1.0), Prior(2.5, 0.3)
NODE_NOISE, CAP_NOISE = 0.03, 0.03
# Between systems of other makers: fans, CPUs and memory of nodes with the same GPUs. Assumption: half of the range
# between the highest readings of two makers' air-cooled H100 nodes, 8.48 and 9.48 kW.
BETWEEN_SYSTEMS = 0.06


@cache
def nodes() -> Fitted:
    """One stall share for all benchmarks, an intensity for each, and direct over alternating current."""
    records = measurements(NODES)
    rows = [node(record, shipped()) for record in records]
    alone = {row.benchmark: row.minutes for row in rows if row.nodes == 1}
    minutes = {f"minutes.{benchmark}": value for benchmark, value in sorted(alone.items())}
    priors = {"stall_power_frac": STALL, "dc_frac": DIRECT} | {
        f"intensity.{benchmark}": INTENSITY for benchmark in sorted(alone)
    }
    found = fit(
        "all",
        lambda values: np.array([row.power_w(values) for row in rows]),
        [float(record["mean_node_W"]) for record in records],
        priors,
        noise=NODE_NOISE,
        cases=[record["case_id"] for record in records],
        source=NODES,
        families=[system_family(record["system"]) for record in records],
        base={"intensity": INTENSITY.median, **minutes},
    )
    mean = float(np.mean([value for name, value in found.parameters.items() if name.startswith("intensity.")]))
    extra = {"intensity": mean, "between_systems_sd": BETWEEN_SYSTEMS}
    return replace(found, parameters={**found.parameters, **extra})


@cache
def caps() -> Fitted:
    """How power follows the clock, from means over power-bound jobs under caps."""
    records = measurements(CAPS)
    kinds = sorted({record["gpu"] for record in records})
    found = fit(
        "all",
        lambda values: np.array([cap_rate(record, values) for record in records]),
        [float(record["throughput_mean"]) for record in records],
        {"clock_exponent": EXPONENT, "need_frac": NEED, **{f"idle_frac.{kind}": IDLE for kind in kinds}},
        noise=CAP_NOISE,
        cases=[record["case_id"] for record in records],
        source=CAPS,
        families=kinds,
        base={"idle_frac": IDLE.median},
    )
    mean = float(np.mean([value for name, value in found.parameters.items() if name.startswith("idle_frac.")]))
    return replace(found, parameters={**found.parameters, "idle_frac": mean})


def files() -> dict[Path, str]:
    """Text of the fitted files, by path under the catalog's profiles."""
    return {Path("node-power.json"): to_json([nodes()]), Path("power-cap.json"): to_json([caps()])}
