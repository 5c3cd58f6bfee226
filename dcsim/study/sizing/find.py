"""The search behind a sizing: splits of the model, replicas at the peak, requests that some replicas carry."""

import math
from dataclasses import dataclass

import numpy as np

from dcsim.errors import RangeError
from dcsim.physics.inference import mean_request
from dcsim.serving.capacity import Fewest, carries, fewest, highest, searched, service
from dcsim.serving.demand import Asked
from dcsim.serving.fluid import steady
from dcsim.serving.replicas import Replica, replica, splits
from dcsim.sim.serving.engine import ServiceResult, serve
from dcsim.study.sizing.ask import Ask, rate_per_s, windows_of
from dcsim.workload.requests.requests import Requests, scaled


@dataclass(frozen=True)
class Found:
    """Replicas and what happened on those that were simulated, at the peak or at the most that they carry."""

    of: Replica
    replicas: int
    per_s: float
    served: ServiceResult
    since_s: float
    binding: str
    of_hours: list[int] | None = None


def candidates(ask: Ask, asked: Asked) -> list[Replica]:
    """Replicas worth a simulation: at most two splits, those that carry most a GPU in the mean."""
    if ask.gpus_per_replica is not None:
        return [_fitting(ask, replica(ask.model, ask.gpu, gpus=ask.gpus_per_replica, weights=ask.weights))]
    first = replica(ask.model, ask.gpu, weights=ask.weights)
    limit_s = min((one.most_s for one in ask.limits if one.metric == "tpot"), default=math.inf)
    found: list[tuple[float, Replica]] = []
    for gpus in (split for split in splits(ask.gpu) if split >= first.gpus):
        try:
            of = _fitting(ask, replica(ask.model, ask.gpu, gpus=gpus, weights=ask.weights))
        except RangeError as error:
            refusal = error
            continue
        table = steady(of, asked.mean, ask.options.most_requests)
        keeps = table.step_s <= limit_s
        found.append((float(table.per_s[keeps][-1]) / gpus if keeps.any() else 0.0, of))
    if not found:
        raise refusal
    found.sort(key=lambda one: -one[0])
    # A split that carries a fifth less a GPU in the mean is not the best under a percentile either.
    return [of for per_gpu, of in found[:2] if per_gpu >= 0.8 * found[0][0]]


def _fitting(ask: Ask, of: Replica) -> Replica:
    """A replica on which the longest request of a log fits."""
    if ask.requests is not None:
        longest = int((ask.requests.prompt + ask.requests.output).max())
        if longest > of.room_tokens:
            raise RangeError(
                f"a request of {longest:,} tokens is in the log, and {of.gpus} x {of.gpu} hold {of.room_tokens:,.0f} "
                f"beside {of.model} in {of.weights}; say more --gpus-per-replica or lighter --weights"
            )
    return of


def at_peak(ask: Ask, asked: Asked, of: Replica, start: int | None = None) -> Found:
    """The fewest replicas for the peak."""
    if ask.requests is None or ask.poisson:
        peak = float(ask.rates().max())
        found = fewest(of, asked, peak, ask.limits, options=ask.options, seed=ask.seed, start=start)
        return Found(of, found.replicas, peak, found.served, found.since_s, found.binding)
    windows = windows_of(ask.requests)
    of_hours = [_of_window(ask, of, window, start) for window in windows]
    at = int(np.argmax([one.replicas for one in of_hours]))
    peak_of = of_hours[at]
    return Found(
        of,
        peak_of.replicas,
        rate_per_s(windows[at]),
        peak_of.served,
        peak_of.since_s,
        peak_of.binding,
        [one.replicas for one in of_hours],
    )


def _of_window(ask: Ask, of: Replica, window: Requests, start: int | None) -> Fewest:
    """The fewest replicas for the requests of a log as they came."""
    mean = mean_request(window.prompt, window.output, hit_frac=ask.prefix_hit)
    guess = math.ceil(rate_per_s(window) / (0.6 * of.most_per_s(mean, ask.options.most_requests)))
    least = 2 if ask.options.prefill_per_decode else 1
    return searched(
        lambda replicas: serve(window, service(of, replicas, ask.options, ask.prefix_hit)),
        ask.limits,
        least=least,
        start=start or guess,
        of=of,
        warm_frac=0.0,
    )


def carried(ask: Ask, asked: Asked, gpus: int) -> Found:
    """The most that so many GPUs carry."""
    best: Found | None = None
    refusal: RangeError | None = None
    for of in candidates(ask, asked):
        replicas = gpus // of.gpus
        if not replicas:
            continue
        try:
            found = most_carried(ask, asked, of, replicas)
        except RangeError as error:
            refusal = error
            continue
        if best is None or found.per_s > best.per_s:
            best = found
    if best is None:
        fewest_gpus = replica(ask.model, ask.gpu, gpus=ask.gpus_per_replica, weights=ask.weights).gpus
        raise refusal or RangeError(f"{gpus} GPUs are fewer than the {fewest_gpus} of a replica; say more --gpus")
    return best


def most_carried(ask: Ask, asked: Asked, of: Replica, replicas: int) -> Found:
    """The most that so many replicas carry; a log is replayed faster or slower."""
    if ask.requests is None or ask.poisson:
        found = carries(of, asked, ask.limits, replicas=replicas, options=ask.options, seed=ask.seed)
        return Found(of, replicas, found.per_s * replicas, found.served, found.since_s, found.binding)
    window = max(windows_of(ask.requests), key=rate_per_s)
    fleet = service(of, replicas, ask.options, ask.prefix_hit)
    mean = mean_request(window.prompt, window.output, hit_frac=ask.prefix_hit)
    most = replicas * of.most_per_s(mean, ask.options.most_requests)

    def run(load: float) -> ServiceResult:
        return serve(scaled(window, rate=load * most / rate_per_s(window)), fleet)

    load, served, binding = highest(run, ask.limits, warm_frac=0.0, of=of)
    return Found(of, replicas, load * most, served, 0.0, binding)
