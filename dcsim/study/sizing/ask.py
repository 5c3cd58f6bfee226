"""What is asked of a sizing of a service: its demand by hour or as a log, its limits, its replicas."""

import datetime
import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dcsim.errors import InputError, Problem, RangeError, UsageError
from dcsim.serving.capacity import Options
from dcsim.serving.demand import Asked, recorded
from dcsim.serving.latency import Limit
from dcsim.units import SECONDS_PER_HOUR
from dcsim.workload.jobs import Floats
from dcsim.workload.requests.arrivals import Bursty, Poisson
from dcsim.workload.requests.lengths import Stated
from dcsim.workload.requests.requests import Requests

# Hour of the day at which a demand of which only the peak is stated has it. Assumption.
PEAK_HOUR = 15


@dataclass(frozen=True)
class Ask:
    """What is asked; see `dcsim size serving --help`."""

    model: str
    gpu: str
    limits: tuple[Limit, ...]
    rate: float | None = None
    requests: Requests | None = None
    hourly: tuple[float, ...] | None = None
    peak_to_mean: float = 1.0
    prompt: float = 1155.0
    prompt_cv: float = 0.96
    output: float = 211.0
    output_cv: float = 0.77
    length_correlation: float = 0.07
    gap_cv: float = 1.0
    burst_s: float = 10.0
    poisson: bool = False
    prefix_hit: float = 0.0
    weights: str = "bf16"
    gpus_per_replica: int | None = None
    options: Options = field(default_factory=Options)
    gpus: int | None = None
    growth_per_month: float = 0.0
    start: datetime.date | None = None
    pue: float | None = None
    usd_per_kwh: float | None = None
    usd_per_gpu_h: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        stated = [self.rate is not None, self.requests is not None, self.hourly is not None]
        if sum(stated) > 1 or (not any(stated) and self.gpus is None):
            raise UsageError("say one of --rate, --rates and --trace; with --gpus none is needed")
        if self.requests is not None and not self.requests.span_s > 0:
            raise RangeError("the log has no time between its first request and its last; give a longer one, or --rate")
        if not self.limits:
            raise UsageError("say at least one limit: --ttft-p95, --tpot-p95, --e2e-p95 or --limit")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise RangeError(f"--rate must be above 0 requests a second, not {self.rate:g}")
        if not 1 <= self.peak_to_mean <= 20:
            raise RangeError(f"--peak-to-mean is from 1 to 20, not {self.peak_to_mean:g}")

    def asked(self) -> Asked:
        """What comes, before how much."""
        if self.requests is not None:
            of = recorded(self.requests, self.prefix_hit)
            return Asked(Poisson(), of.lengths, self.prefix_hit) if self.poisson else of
        lengths = Stated(self.prompt, self.prompt_cv, self.output, self.output_cv, self.length_correlation)
        return Asked(Bursty(self.gap_cv, self.burst_s), lengths, self.prefix_hit)

    def rates(self) -> Floats:
        """Requests a second by hour: of the log, of the hours that were stated, or of a day. [1/s]"""
        if self.requests is not None:
            return np.array([window.per_s for window in windows_of(self.requests)])
        if self.hourly is not None:
            return np.array(self.hourly)
        return np.asarray((self.rate or 0.0) * day_profile(self.peak_to_mean), dtype=float)


def day_profile(peak_to_mean: float) -> Floats:
    """Factors of the hours of a day, of mean 1, with a peak of so many times it at :data:`PEAK_HOUR`, shape (24,). [1]

    The exponential of a cosine, as von Mises's distribution has it: never 0, and the higher the narrower its peak. An
    assumption where only the peak is known.
    """
    if peak_to_mean == 1.0:
        return np.ones(24)
    swing = np.cos(2.0 * np.pi * (np.arange(24) - PEAK_HOUR) / 24.0) - 1.0

    def above(sharpness: float) -> float:
        return float(1.0 / np.exp(sharpness * swing).mean() - peak_to_mean)

    low, high = 0.0, 200.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if above(middle) < 0 else (low, middle)
    profile = np.exp(low * swing)
    return np.asarray(profile / profile.mean(), dtype=float)


def read_rates(path: Path) -> tuple[float, ...]:
    """Requests a second by hour, a row an hour under the header ``requests_per_s``.

    Raises
    ------
    UsageError
        If there is no such file.
    InputError
        If the header is another, a row is no rate, or there is none; all faults are listed.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    if not lines or lines[0].strip() != "requests_per_s":
        given = lines[0].strip() if lines else "nothing"
        raise InputError(str(path), [Problem(1, "", f"the header must be requests_per_s, not '{given}'")])
    found, faults = [], []
    for number, line in enumerate(lines[1:], start=2):
        try:
            value = float(line)
        except ValueError:
            value = math.nan
        if 0 <= value < math.inf:
            found.append(value)
        else:
            faults.append(Problem(number, "", f"'{line.strip()}' is no rate; give requests a second from 0"))
    if faults:
        raise InputError(str(path), faults[:20])
    if not found or max(found) == 0:
        raise InputError(str(path), [Problem(0, "", "no hour has any request; give a rate above 0 in at least one")])
    return tuple(found)


@dataclass(frozen=True)
class Window:
    """Requests of a log in some time, on a clock of their own; there may be none. [s]"""

    requests: Requests
    span_s: float

    @property
    def per_s(self) -> float:
        """Mean rate. [1/s]"""
        return len(self.requests) / self.span_s


def windows_of(requests: Requests) -> list[Window]:
    """A log by hour; the whole of it where it is no longer than two hours. A last hour that is short joins another."""
    if requests.span_s <= 2 * SECONDS_PER_HOUR:
        return [Window(requests, max(requests.span_s, 1.0))]
    since_s = requests.arrival_s - requests.arrival_s[0]
    n_hours = max(int(requests.span_s / SECONDS_PER_HOUR + 0.75), 1)
    hour = np.minimum((since_s // SECONDS_PER_HOUR).astype(int), n_hours - 1)
    clock = replace(requests, arrival_s=since_s)
    found = []
    for one in range(n_hours):
        part, start_s = clock.select(hour == one), one * SECONDS_PER_HOUR
        span_s = SECONDS_PER_HOUR if one < n_hours - 1 else max(requests.span_s - start_s, 1.0)
        found.append(Window(replace(part, arrival_s=part.arrival_s - start_s), span_s))
    return found
