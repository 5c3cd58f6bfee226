"""Replicas of a service by interval, and the tables of what so many do: sized to its limits, or after its rate."""

import math

import numpy as np

from dcsim.catalog.load import Assumptions
from dcsim.model.services import ByRate, Service, Sized
from dcsim.serving.capacity import KNOTS, MOST_SIMULATED, Options, carries, needed
from dcsim.serving.demand import Asked
from dcsim.serving.latency import METRICS, Limit
from dcsim.serving.replicas import Replica
from dcsim.serving.surface import KNOWN_LOAD, Surface, fixed, loads_about, scaled
from dcsim.sim.serving.scaling import Scaling
from dcsim.workload.jobs import Floats, Ints

# Rates at which a service that scales itself is simulated, at the most.
_RATES = 6


def sized(
    stated: Service, of: Replica, asked: Asked, options: Options, seed: int, per_s: Floats, scaling: Sized
) -> Ints:
    """As many replicas as requests need under the limits."""
    given = stated.limits.ttft_p95_s, stated.limits.tpot_p95_s, stated.limits.e2e_p95_s
    limits = [Limit(name, 95.0, most_s) for name, most_s in zip(METRICS, given, strict=True) if most_s is not None]
    peak = float(per_s.max())
    knots: list[int] = []
    each: list[float] = []
    for count in KNOTS if options.prefill_per_decode is None else KNOTS[1:]:
        # Above this load the hourly model says no latency.
        known = (0.0, KNOWN_LOAD)
        each.append(carries(of, asked, limits, replicas=count, options=options, seed=seed, within=known).per_s)
        knots.append(count)
        if count * each[-1] >= peak:
            break
    # A larger fleet carries no less each; more than this are stood for by it.
    each = np.maximum.accumulate(each).tolist()
    most = max(int(np.ceil(peak / each[-1])) + 1, knots[-1])
    counts = needed(per_s, knots, each, most)
    wanted = np.ceil(counts * (1.0 + scaling.spare_frac) - 1e-9).astype(np.int64)
    least = scaling.least if options.prefill_per_decode is None else max(scaling.least, 2)
    return np.asarray(np.clip(wanted, least, scaling.most), dtype=np.int64)


def counted(
    of: Replica, asked: Asked, options: Options, seed: int, per_s: Floats, claimed: Ints, most_per_s: float
) -> Surface:
    """Table of what the replicas do that are there, at the loads that occur."""
    some = claimed > 0
    if not some.any():
        return fixed(of, asked, [2], options, seed, loads=loads_about(0.5, 0.5))
    load = per_s[some] / (claimed[some] * most_per_s)
    least = 1 if options.prefill_per_decode is None else 2
    ends = np.clip([claimed[some].min(), claimed.max()], least, MOST_SIMULATED)
    counts = np.unique(np.round(np.geomspace(ends[0], ends[1], 3)).astype(int)).tolist()
    return fixed(of, asked, counts, options, seed, loads=loads_about(float(load.min()), float(load.max())))


def _ready_s(used: Assumptions, of: Replica) -> float:
    """From the decision to a replica that serves: start of its image, and loading its weights. [s]"""
    image_s, load_b_s = (
        used.use("start of a replica", "operations", "replica-start", name) for name in ("image_s", "load_b_s_per_gpu")
    )
    return float(image_s + (of.rates.weights_b + of.rates.experts_b) / (load_b_s * of.gpus))


def follows(scaling: ByRate, of: Replica, most_per_s: float, used: Assumptions) -> Scaling:
    """How a service that follows its rate does so."""
    return Scaling(
        "rate",
        target=scaling.load_frac * most_per_s,
        least=scaling.least,
        most=scaling.most or 1_000_000,
        window_s=scaling.window_s,
        ready_s=_ready_s(used, of) if scaling.ready_s is None else scaling.ready_s,
        down_s=scaling.down_s,
    )


def by_rate(
    of: Replica, asked: Asked, options: Options, seed: int, per_s: Floats, how: Scaling
) -> tuple[Surface, Ints]:
    """Table of a service that follows its rate, and the replicas that it then has."""
    # Where nobody asks within the plan any rate will do.
    some = per_s[per_s > 0] if np.any(per_s > 0) else np.array([how.target])
    low, high = max(float(some.min()), 1e-3 * float(some.max())), float(some.max()) * (1 + 1e-9)
    # A rate for each doubling, and both ends.
    rates = np.geomspace(low, high, min(2 + math.ceil(math.log2(high / low) - 1e-6), _RATES))
    surface = scaled(of, asked, rates, how, options, seed)
    have = np.where(per_s > 0, surface.at("replicas", np.ones(len(per_s)), per_s), 0.0)
    # Whole nodes are held for the mean; what goes beyond it for minutes is not taken from the jobs.
    return surface, np.maximum(np.ceil(have - 1e-9).astype(np.int64), how.least)
