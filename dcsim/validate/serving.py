"""The request-level simulation against queueing theory and published sweeps, and the fluid model against it."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dcsim.catalog.fitted import Z90
from dcsim.catalog.published_serving import COLUMNS, FILE, PROMPT_TOKENS, Point, point, serving_calibration
from dcsim.catalog.reference import at_hand
from dcsim.errors import RangeError
from dcsim.physics.inference import DecodeStep, step_rates
from dcsim.physics.queueing import ggc_wait_s
from dcsim.rng import stream
from dcsim.serving.capacity import Options, carries, fewest, service
from dcsim.serving.demand import Asked, recorded
from dcsim.serving.hours import hours
from dcsim.serving.latency import Limit
from dcsim.serving.replicas import Replica, replica, spec_of, used_of_windows
from dcsim.serving.surface import fixed, scaled
from dcsim.sim.serving.engine import ServiceSpec, serve
from dcsim.sim.serving.replica import ReplicaSpec
from dcsim.sim.serving.scaling import Scaling
from dcsim.units import SECONDS_PER_HOUR
from dcsim.validate.common import Case, Interval, Kind, Prediction, Suite
from dcsim.validate.inference import ANSWERS, in_sample, of_fits
from dcsim.workload.jobs import Floats
from dcsim.workload.requests.arrivals import Poisson
from dcsim.workload.requests.files import read
from dcsim.workload.requests.requests import Requests

# A queue's mean wait is that of so many runs of so many requests, the first fifth of each left out.
_RUNS, _REQUESTS = 40, 6_000
# A server of the theory: one request at a time, for as many milliseconds as its prompt has tokens.
_SERVER = ReplicaSpec(step_s=0.0, request_s=0.0, context_s=0.0, token_s=1e-3, most_requests=1, chunk_tokens=10**9)
LOGS = {name: f"traces/llm_serving/AzureLLMInferenceTrace_{name}.csv.gz" for name in ("code", "conv")}
# What the logs are sized for: the 70b in 8 bit on pairs of H100, percentiles of the time to first token.
_MODEL, _GPU, _WEIGHTS, _SPLIT = "llama3.1-70b", "h100-sxm-80gb", "fp8", 2
_TTFT_P95_S = (1.5, 2.0, 5.0)
_DRAWS, _FLEET = 6, 4
# Days that are simulated, and tables whose answers are averaged: both are luck where bursts are heavy.
_DAYS, _TABLES = 4, 3


def waits(servers: int, load: float, service_law: str, gap_cv: float) -> Floats:
    """Mean waits of independent runs, in mean service times, through the code path of services; shape (runs,). [1]"""
    found = []
    for run in range(_RUNS):
        draws = stream(run, f"queue {servers} {load} {service_law} {gap_cv}")
        rate = load * servers
        shape = 1.0 / gap_cv**2
        gaps_s = draws.gamma(shape, 1.0 / (rate * shape), _REQUESTS)
        if service_law == "exponential":
            service_s = draws.exponential(1.0, _REQUESTS)
        elif service_law == "constant":
            service_s = np.ones(_REQUESTS)
        elif service_law == "lognormal":
            service_s = draws.lognormal(-0.5, 1.0, _REQUESTS)
        else:
            raise RangeError(f"service '{service_law}' is none of exponential, constant, lognormal")
        tokens = np.maximum(np.round(1e3 * service_s), 1.0).astype(np.int64)
        asked = Requests(np.cumsum(gaps_s), tokens, np.ones(_REQUESTS, dtype=np.int64))
        done = serve(asked, ServiceSpec({"both": _SERVER}, {"both": servers}, routing="shared_queue"))
        found.append(float((done.ttft_s - 1e-3 * tokens)[_REQUESTS // 5 :].mean()))
    return np.array(found)


def queue(case: Case) -> Mapping[str, Prediction]:
    """Mean wait over mean service of a queue, simulated as a service whose replicas take one request at a time."""
    found = waits(int(case["servers"]), float(case["load_frac"]), case["service"], float(case["gap_cv"]))
    mean, reach = float(found.mean()), Z90 * float(found.std(ddof=1)) / math.sqrt(len(found))
    return {"mean_wait_over_service": Interval(mean, mean - reach, mean + reach)}


def at_fixed_batch(one: Point, values: Mapping[str, float]) -> DecodeStep:
    """Mean step of a replica whose batch never changes, request by request."""
    fit = serving_calibration(values)
    # As in the fit, which knows only the short prompts of the sweeps.
    rates = step_rates(one.model, gpu=one.gpu, gpus=one.gpus, fit=fit)
    batch, output = max(round(one.batch), 1), max(round(one.output), 1)
    # Requests start one after the other through an answer, so that their contexts are mixed, as in a long run.
    n = 4 * batch
    lengths = np.full(n, output)
    lengths[:batch] = np.maximum(output * (np.arange(batch) + 1) // batch, 1)
    asked = Requests(np.zeros(n), np.full(n, round(PROMPT_TOKENS)), lengths.astype(np.int64))
    done = serve(asked, ServiceSpec({"both": spec_of(rates, most_requests=batch)}, {"both": 1}), window_s=1.0)
    # From the first answer of full length to when the last request begins, the batch is full.
    full = (done.did[:, 2] >= 0.98 * batch * done.did[:, 1]) & (done.did[:, 1] > 0)
    did = done.did[full].sum(axis=0, keepdims=True) if full.any() else done.did.sum(axis=0, keepdims=True)
    memory_frac, compute_frac = used_of_windows(rates, did)
    of = rates.step(one.batch, one.batch * (PROMPT_TOKENS + one.output / 2.0))
    # Throughput counts a token a request and step; prompts' first tokens come with their prefill.
    tokens = did[0, 2] + did[0, 4] / PROMPT_TOKENS
    return replace(
        of, step_s=np.array([did[0, 0] / tokens * one.batch]), memory_frac=memory_frac, compute_frac=compute_frac
    )


def sweep(case: Case) -> Mapping[str, Prediction]:
    """Throughput and power of a published sweep, by a service run at its batch."""
    return of_fits(point(case), stepped=at_fixed_batch)


def _log(name: str) -> Requests | None:
    path = at_hand(LOGS[name])
    return None if path is None else read(path)[0]


def checks() -> list[str]:
    """What the simulation says of an approximation, of bursts, and of the fluid model."""
    said = []
    for gap_cv in (1.5, 2.0, 4.0):
        found = waits(4, 0.8, "lognormal", gap_cv)
        approximate = float(ggc_wait_s(3.2, 1.0, 4, gap_cv, math.sqrt(math.e - 1.0)))
        said.append(
            f"G/G/4 at 0.8, gaps varying by {gap_cv:g}, service by 1.31: {found.mean():.3g} service times "
            f"(+- {2 * found.std(ddof=1) / math.sqrt(len(found)):.2g}); Allen and Cunneen {approximate:.3g}"
        )
    for name in LOGS:
        log = _log(name)
        if log is not None:
            said += [*bursts(name, log), *days(name, log)]
    return said


def bursts(name: str, log: Requests) -> list[str]:
    """How many more GPUs a log's bursts need than its rate, at three limits, by what a small fleet carries."""
    of = replica(_MODEL, _GPU, gpus=_SPLIT, weights=_WEIGHTS)
    asked = recorded(log)
    smooth = replace(asked, process=Poisson())
    said = []
    for limit_s in _TTFT_P95_S:
        limits = (Limit("ttft", 95.0, limit_s),)
        carried = np.array(
            [
                [
                    carries(of, one, limits, replicas=_FLEET, options=Options(), seed=seed).per_s
                    for one in (asked, smooth)
                ]
                for seed in range(_DRAWS)
            ]
        )
        low, middle, high = np.quantile(carried[:, 1] / carried[:, 0], (0.1, 0.5, 0.9))
        said.append(
            f"{name} log, first token of 95 in 100 within {limit_s:g} s: each of {_FLEET} replicas carries "
            f"{np.median(carried[:, 0]):.3g} requests a second, {np.median(carried[:, 1]):.3g} without bursts: "
            f"{middle:.2f} times as many GPUs ({low:.2f} to {high:.2f} over {_DRAWS} draws)"
        )
    return said


def days(name: str, log: Requests) -> list[str]:
    """The fluid model against the simulation over days of a log, replicas counted and scaled."""
    of = replica(_MODEL, _GPU, gpus=_SPLIT, weights=_WEIGHTS)
    said = []
    for meaning, counted in (("counted", True), ("scaled by rate", False)):
        fluid, simulated, known = day(of, recorded(log), len(log) / log.span_s, counted=counted)
        errors = ", ".join(
            f"{what} {fluid[what]:.4g} against {theirs:.4g} ({fluid[what] / theirs - 1.0:+.1%})"
            for what, theirs in simulated.items()
        )
        said.append(f"a day of the {name} log, replicas {meaning}, {known} of 24 hours known: fluid {errors}")
    return said


def day(
    of: Replica, asked: Asked, rate: float, *, counted: bool, n_days: int = _DAYS, n_tables: int = _TABLES
) -> tuple[dict[str, float], dict[str, float], int]:
    """A day of a log by the fluid model and by simulation; GPU-hours, p95 of the first token and energy, known hours.

    The rate swings by 0.7 about its mean. Replicas are those that a p95 of two seconds needs at the peak; scaled ones
    have a minute to start, and a target of half of what a replica can do. The simulation is of several days, the fluid
    model of several tables.
    """
    options, limits = Options(), (Limit("ttft", 95.0, 2.0),)
    rates = rate * (1.0 + 0.7 * np.cos(2.0 * np.pi * (np.arange(24) - 15) / 24.0))
    edges_s = np.arange(25.0) * SECONDS_PER_HOUR
    most = of.most_per_s(asked.mean, options.most_requests)
    most_replicas = fewest(of, asked, float(rates.max()), limits, options=options).replicas
    scaling: dict[str, Scaling] = {}
    if not counted:
        scaling = {"both": Scaling("rate", target=0.5 * most, ready_s=60.0, down_s=300.0)}
    there = np.full(24, float(most_replicas) if counted else np.inf)
    of_tables = []
    for seed in range(n_tables):
        if counted:
            surface = fixed(of, asked, [most_replicas], options, seed=seed)
        else:
            surface = scaled(of, asked, np.geomspace(rates.min(), rates.max(), 4), scaling["both"], options, seed=seed)
        found = hours(of, surface, rates, there, most, SECONDS_PER_HOUR)
        of_tables.append(
            (float(found.replicas.sum() * of.gpus), found.overall_s("ttft", 95.0), float(found.gpus_w.sum()) / 1e3)
        )
    fluid = dict(zip(("gpu_h", "ttft_p95_s", "energy_kwh"), np.mean(of_tables, axis=0).tolist(), strict=True))
    ttft, gpu_h, energy_kwh = [], [], []
    for seed in range(1, n_days + 1):
        requests = asked.requests(edges_s, rates, seed, "day")
        fleet = service(of, most_replicas if counted else 2, options, scaling=scaling)
        done = serve(requests, fleet, horizon_s=float(edges_s[-1]), window_s=SECONDS_PER_HOUR)
        known = found.known[(requests.arrival_s // SECONDS_PER_HOUR).astype(int)]
        ttft.append(done.ttft_s[known & ~np.isnan(done.ttft_s)])
        hours_there = done.replica_s / SECONDS_PER_HOUR
        busy_h = done.did[:24, 0] / SECONDS_PER_HOUR
        gpu_h.append(hours_there * of.gpus)
        busy_kwh = float((of.power_of_windows(done.did[:24]) * busy_h).sum()) / 1e3
        energy_kwh.append(busy_kwh + (hours_there - busy_h.sum()) * of.idle_w * of.gpus / 1e3)
    simulated = {
        "gpu_h": float(np.mean(gpu_h)),
        "ttft_p95_s": float(np.percentile(np.concatenate(ttft), 95)),
        "energy_kwh": float(np.mean(energy_kwh)),
    }
    return fluid, simulated, int(found.known.sum())


def _never(case: Case) -> bool:
    return False


SUITE = Suite(
    {
        "queue": Kind(
            ("servers", "load_frac", "service", "gap_cv"),
            {"mean_wait_over_service": "1"},
            queue,
            _never,
            "mean wait of a queue over its mean service, exact by theory",
        ),
        "sweep": Kind(COLUMNS, ANSWERS, sweep, in_sample, "throughput and power of a service run at a fixed batch"),
    },
    "waits by queueing theory and sweeps by batch, request by request; the fluid model against the simulation",
    files=("serving.csv",),
    data_files=(FILE,),
    needs_data=True,
    checks=checks,
)
