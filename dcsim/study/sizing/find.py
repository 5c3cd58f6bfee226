"""The search behind a sizing: splits of the model, replicas at the peak, requests that some replicas carry."""

import math
from dataclasses import dataclass

import numpy as np

from dcsim.errors import RangeError
from dcsim.physics.request_means import mean_request
from dcsim.serving.capacity import Fewest, carries, fewest, highest, searched, service
from dcsim.serving.demand import Asked
from dcsim.serving.fluid import steady
from dcsim.serving.replicas import Replica, replica, splits
from dcsim.sim.serving.engine import ServiceResult, serve
from dcsim.study.sizing.ask import Ask, Window, windows_of
from dcsim.workload.requests.requests import scaled

# Requests of an hour of a log whose percentiles are looked at, where there is a choice.
_ENOUGH = 200


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
        return [_fitting(ask, asked, replica(ask.model, ask.gpu, gpus=ask.gpus_per_replica, weights=ask.weights))]
    first = replica(ask.model, ask.gpu, weights=ask.weights)
    limit_s = min((one.most_s for one in ask.limits if one.metric == "tpot"), default=math.inf)
    found: list[tuple[float, Replica]] = []
    for gpus in (split for split in splits(ask.gpu) if split >= first.gpus):
        try:
            of = _fitting(ask, asked, replica(ask.model, ask.gpu, gpus=gpus, weights=ask.weights))
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


def _fitting(ask: Ask, asked: Asked, of: Replica) -> Replica:
    """A replica on which nearly all requests fit, of a log all."""
    if ask.requests is not None:
        longest = int((ask.requests.prompt + ask.requests.output).max())
        if longest > of.room_tokens:
            raise RangeError(
                f"a request of {longest:,} tokens is in the log, and {of.gpus} x {of.gpu} hold {of.room_tokens:,.0f} "
                f"beside {of.model} in {of.weights}; say more --gpus-per-replica or lighter --weights"
            )
    asked.check_fits(of.model, of.room_tokens - of.request_tokens, f"{of.gpus} x {of.gpu}")
    return of


def at_peak(ask: Ask, asked: Asked, of: Replica, start: int | None = None) -> Found:
    """The fewest replicas for the peak."""
    if ask.requests is None or ask.poisson:
        peak = float(ask.rates().max())
        found = fewest(of, asked, peak, ask.limits, options=ask.options, seed=ask.seed, start=start)
        return Found(of, found.replicas, peak, found.served, found.since_s, found.binding)
    windows = windows_of(ask.requests)
    of_hours = [_of_window(ask, of, window, start) if len(window.requests) else None for window in windows]
    counts = [one.replicas if one else 0 for one in of_hours]
    at = int(np.argmax(counts))
    most = of_hours[at]
    assert most is not None
    return Found(of, most.replicas, windows[at].per_s, most.served, most.since_s, most.binding, counts)


def _of_window(ask: Ask, of: Replica, window: Window, start: int | None) -> Fewest:
    """The fewest replicas for the requests of a log as they came."""
    mean = mean_request(window.requests.prompt, window.requests.output, hit_frac=ask.prefix_hit)
    guess = math.ceil(window.per_s / (0.6 * of.most_per_s(mean, ask.options.most_requests)))
    least = 2 if ask.options.prefill_per_decode else 1
    return searched(
        lambda replicas: serve(window.requests, service(of, replicas, ask.options, ask.prefix_hit)),
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
    # Percentiles of few requests say little: the busiest hour with enough of them, else the whole log.
    some = [window for window in windows_of(ask.requests) if len(window.requests) >= _ENOUGH]
    window = max(some, key=lambda one: one.per_s, default=Window(ask.requests, max(ask.requests.span_s, 1.0)))
    fleet = service(of, replicas, ask.options, ask.prefix_hit)
    mean = mean_request(window.requests.prompt, window.requests.output, hit_frac=ask.prefix_hit)
    most = replicas * of.most_per_s(mean, ask.options.most_requests)

    def run(load: float) -> ServiceResult:
        return serve(scaled(window.requests, rate=load * most / window.per_s), fleet)

    load, served, binding = highest(run, ask.limits, warm_frac=0.0, of=of)
    return Found(of, replicas, load * most, served, 0.0, binding)
