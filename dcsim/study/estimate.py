"""What an estimate is made of: figures with intervals, power of a node, price of a GPU-hour, failures of a run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dcsim.catalog.fitted import Z90, fitted
from dcsim.catalog.hardware import default_server
from dcsim.catalog.load import catalog
from dcsim.errors import UnknownNameError
from dcsim.physics.reliability import (
    effective_time_frac,
    rate_without_worst,
    time_to_failure_s,
    young_interval_s,
)
from dcsim.units import HOURS_PER_YEAR, SECONDS_PER_DAY


@dataclass(frozen=True)
class Figure:
    """A figure with its unit and the bounds that eight of ten outcomes should lie between; null with a reason."""

    value: float | None
    p10: float | None
    p90: float | None
    unit: str
    reason: str = ""

    def record(self) -> dict[str, object]:
        """Form of the JSON output."""
        shown: dict[str, object] = {"value": self.value, "p10": self.p10, "p90": self.p90, "unit": self.unit}
        return shown | ({"reason": self.reason} if self.reason else {})


def spread(value: float, log_sd: float, unit: str) -> Figure:
    """A figure whose logarithm is normal about it."""
    return Figure(value, value * math.exp(-Z90 * log_sd), value * math.exp(Z90 * log_sd), unit)


def exact(value: float, unit: str) -> Figure:
    """A figure that the input or a count decides."""
    return Figure(value, value, value, unit)


def log_sd_of_range(value: float, low: float | None, high: float | None) -> float:
    """Standard deviation of a logarithm whose range of a catalog row is taken as P10 to P90. [1]"""
    if low is None or high is None or not 0 < low <= value <= high:
        return 0.0
    return math.log(high / low) / (2.0 * Z90)


def power_log_sd() -> float:
    """Standard deviation of the logarithm of a node's modelled power, makers included. [1]"""
    of = fitted("node-power")["all"]
    return math.hypot(of.scatter, of.parameters["between_systems_sd"])


def gpu_hour_usd(gpu: str, stated: float | None) -> tuple[Figure, str]:
    """Price of a GPU-hour and where it comes from.

    The planner's own; else, for H100, the latest contract price; else the server's price and upkeep over its life.
    """
    key, unit = catalog().resolve("gpus", gpu), "USD/GPU-h"
    if stated is not None:
        return exact(stated, unit), "stated"
    if key == "h100-sxm-80gb":
        rows = catalog().part("prices", "h100-contract")
        latest = max(name for name in rows if name[:2] == "20")
        row = rows[latest]
        return spread(row.value, log_sd_of_range(row.value, row.low, row.high), unit), f"contract price of {latest}"
    try:
        part = catalog().part("servers", default_server(key))
    except UnknownNameError as error:
        return Figure(None, None, None, unit, f"{error}; say --usd-per-gpu-h"), ""
    if "price_usd" not in part:
        return Figure(None, None, None, unit, f"no price of {default_server(key)} is known; say --usd-per-gpu-h"), ""
    price, life = part["price_usd"], part["life_years"].value
    a_year = price.value * (1.0 / life + part["maintenance_frac_per_year"].value)
    value = a_year / HOURS_PER_YEAR / part["gpus"].value
    return spread(value, log_sd_of_range(price.value, price.low, price.high), unit), (
        f"price and upkeep of {default_server(key)} over {life:g} years of full use, without power, space and interest"
    )


@dataclass(frozen=True)
class Failures:
    """What failures make of a run.

    Parameters
    ----------
    interval_s : float
        Training between two checkpoints, by Young. [s]
    effective_frac : float
        Share of the time that trains. [1]
    low_frac, high_frac : float
        The same at the highest and lowest failure rate of the catalog. [1]
    per_day : float
        Expected failures a day. [1/day]
    log_sd : float
        Standard deviation of the logarithm of that rate. [1]
    by_component : mapping of float
        Share of failures by component, where the catalog has it. [1]
    """

    interval_s: float
    effective_frac: float
    low_frac: float
    high_frac: float
    per_day: float
    log_sd: float
    by_component: Mapping[str, float]


def failures(nodes: float, stall_s: float, source: str, lemons_removed_frac: float = 0.0) -> Failures:
    """Failures of a run of *nodes* with checkpoints that stall it, the worst share of nodes having been taken out."""
    part = catalog().part("reliability", source)
    rate = part["failures_per_node_day"]
    shape = part["lemon_shape"].value if "lemon_shape" in part else 1.0
    kept = float(rate_without_worst(1.0, lemons_removed_frac, shape=shape))
    restart_s = part["restart_s"].value if "restart_s" in part else 600.0

    def effective(of: float) -> tuple[float, float]:
        failure_s = time_to_failure_s(nodes, of * kept)
        interval_s = young_interval_s(stall_s, failure_s)
        return float(interval_s), float(effective_time_frac(interval_s, stall_s, restart_s, failure_s))

    interval_s, frac = effective(rate.value)
    ends = [effective(end)[1] for end in (rate.high or rate.value, rate.low or rate.value)]
    prefix = "component:"
    components = {name.removeprefix(prefix): row.value for name, row in part.items() if name.startswith(prefix)}
    total = sum(components.values())
    return Failures(
        interval_s=interval_s,
        effective_frac=frac,
        low_frac=ends[0],
        high_frac=ends[1],
        per_day=float(SECONDS_PER_DAY / time_to_failure_s(nodes, rate.value * kept)),
        log_sd=log_sd_of_range(rate.value, rate.low, rate.high),
        by_component={name: value / total for name, value in sorted(components.items(), key=lambda item: -item[1])},
    )


def count_interval(mean: float, log_sd: float) -> Figure:
    """Count of a Poisson process whose rate is itself uncertain, by the sum of both variances."""
    sd = math.sqrt(mean + (mean * log_sd) ** 2)
    return Figure(mean, float(np.maximum(mean - Z90 * sd, 0.0)), mean + Z90 * sd, "1")
