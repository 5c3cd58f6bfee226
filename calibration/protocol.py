"""How a kernel is timed: warm-up until steady, samples until sure or out of budget, and which samples count."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

# Form of a file of one session.
SESSION_SCHEMA = "dcsim.session/1"
# Warm-up: at least so many runs, until the median of five is within this share of the five before, for at most this
# share of the point's budget.
WARM_RUNS, WARM_WITHIN, WARM_SHARE = 3, 0.03, 0.5
# A sample is an inner loop of at least this long. [s]
SAMPLE_S = 0.02
# Enough samples: so many, with the half-width of the 95 % interval of their median within this share.
ENOUGH, WITHIN = 8, 0.05
# A sample is contaminated if its threads waited for a processor longer than this share of it.
WAITED_FRAC = 0.02
# Fewer clean samples than this share or this many: the point is contended, and all samples are kept.
CLEAN_FRAC, CLEAN_LEAST = 0.3, 5
# Samples further from the median than so many robust standard deviations are flagged.
FAR = 5.0


@dataclass(frozen=True)
class Point:
    """Samples of one kernel at one size.

    Parameters
    ----------
    kernel : str
        Its name, such as ``gemm``.
    size : dict
        What was run: dtype, sizes, ranks.
    session : int
        Which session of fresh processes.
    times_s : list of float
        Seconds of one run, a value a sample; of a collective the slowest rank's.
    waited_frac : list of float
        Share of each sample in which its threads waited for a processor.
    stop : str
        ``sure``, ``budget`` or ``failed``.
    reason : str
        Why there are no samples, else empty.
    mean_w : float or None
        Power while it ran on and on, null where no meter was there.
    power_reason : str
        Why the power is null, or what to know of it.
    temperature_c, clock_mhz, clock_reasons : list
        State of the device at each sample, null where it does not say. [degC], [MHz], NVML's bits
    by_rank_s : list of float
        Median of each rank where ranks work alone, which names a slow device. [s]
    """

    kernel: str
    size: dict[str, Any]
    session: int
    times_s: list[float] = field(default_factory=list)
    waited_frac: list[float] = field(default_factory=list)
    stop: str = "failed"
    reason: str = ""
    mean_w: float | None = None
    power_reason: str = ""
    temperature_c: list[float | None] = field(default_factory=list)
    clock_mhz: list[float | None] = field(default_factory=list)
    clock_reasons: list[int | None] = field(default_factory=list)
    by_rank_s: list[float] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Form in a file of measurements."""
        return asdict(self)

    def clean(self) -> list[float]:
        """Samples that count: those whose threads did not wait, unless too few are left."""
        kept = [t for t, waited in zip(self.times_s, self.waited_frac, strict=True) if waited <= WAITED_FRAC]
        enough = len(kept) >= max(CLEAN_LEAST, CLEAN_FRAC * len(self.times_s))
        return without_far(kept if enough else self.times_s)

    @property
    def contended(self) -> bool:
        """Whether too few samples were clean."""
        kept = sum(waited <= WAITED_FRAC for waited in self.waited_frac)
        return kept < len(self.waited_frac) and kept < max(CLEAN_LEAST, CLEAN_FRAC * len(self.times_s))

    @property
    def median_s(self) -> float:
        """Typical time of one run. [s]"""
        return float(np.median(self.clean()))


def without_far(times_s: Sequence[float]) -> list[float]:
    """Samples without those far from the median, unless they are more than a tenth: then there are two modes."""
    values = np.asarray(times_s, dtype=float)
    if len(values) < ENOUGH:
        return list(map(float, values))
    centre = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - centre))
    near = np.abs(values - centre) <= FAR * max(spread, 1e-12)
    return list(map(float, values[near] if near.mean() >= 0.9 else values))


def median_half_width(times_s: Sequence[float]) -> float:
    """Half-width of the 95 % interval of a median, by order statistics, over it; infinite below six samples. [1]"""
    values = np.sort(np.asarray(times_s, dtype=float))
    n = len(values)
    if n < 6:
        return math.inf
    reach = 0.98 * math.sqrt(n)
    low, high = math.floor((n - 1) / 2.0 - reach), math.ceil((n - 1) / 2.0 + reach)
    if low < 0 or high > n - 1:
        low, high = 0, n - 1
    return float((values[high] - values[low]) / 2.0 / np.median(values))


def waited_s() -> float:
    """Time that the threads of this process have waited for a processor, of all that live. [s]"""
    total = 0
    for path in Path("/proc/self/task").glob("*/schedstat"):
        try:
            total += int(path.read_text().split()[1])
        except (OSError, IndexError, ValueError):
            continue  # the thread has ended
    return total / 1e9


@dataclass
class Samples:
    """Samples of one point as they come: seconds of a run, share waited, state of the device, and why it stopped."""

    times_s: list[float] = field(default_factory=list)
    waited_frac: list[float] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)
    stop: str = "budget"
    runs: int = 1

    @property
    def sure(self) -> bool:
        """Whether there are enough, and they agree."""
        return len(self.times_s) >= ENOUGH and median_half_width(self.times_s) <= WITHIN


def sample(
    seconds: Callable[[int], float],
    *,
    budget_s: float,
    inner: bool = True,
    agree: Callable[[float], float] = float,
    state: Callable[[], Any] = lambda: None,
) -> Samples:
    """Time a kernel.

    Parameters
    ----------
    seconds : callable
        Runs of the kernel to their time. [s]
    budget_s : float
        Most time to spend, warm-up aside. [s]
    inner : bool
        Whether a sample may hold several runs, so that it lasts long enough.
    agree : callable
        Makes one figure of those of all ranks, the largest; each rank then decides alike.
    state : callable
        State of the device, asked before each sample.
    """
    found = Samples(runs=_warm(seconds, agree, WARM_SHARE * budget_s) if inner else 1)
    if not inner:
        for _ in range(WARM_RUNS):
            agree(seconds(1))
    spent = 0.0
    while True:
        spent += _once(found, seconds, agree, state)
        if found.sure:
            found.stop = "sure"
            return found
        if spent >= budget_s and len(found.times_s) >= ENOUGH:
            return found


def in_turn(
    kinds: Mapping[str, Callable[[int], float]],
    turns: int,
    *,
    agree: Callable[[float], float] = float,
    state: Callable[[], Any] = lambda: None,
) -> dict[str, Samples]:
    """Time kernels that are compared with each other: in turn, forth and back, so that drift touches all alike."""
    found = {name: Samples() for name in kinds}
    for seconds in kinds.values():
        for _ in range(WARM_RUNS):
            agree(seconds(1))
    for turn in range(turns):
        for name in list(kinds) if turn % 2 == 0 else list(kinds)[::-1]:
            _once(found[name], kinds[name], agree, state)
    for samples in found.values():
        samples.stop = "sure" if samples.sure else "budget"
    return found


def _once(
    found: Samples, seconds: Callable[[int], float], agree: Callable[[float], float], state: Callable[[], Any]
) -> float:
    """Take one sample, and say how long it took for the slowest rank. [s]"""
    found.states.append(state())
    before = waited_s()
    took = seconds(found.runs)
    found.waited_frac.append(min((waited_s() - before) / max(took, 1e-9), 1.0))
    took = agree(took)
    found.times_s.append(took / found.runs)
    return took


def _warm(seconds: Callable[[int], float], agree: Callable[[float], float], most_s: float) -> int:
    """Run until steady or for so long, and say how many runs fill a sample."""
    start, seen = time.perf_counter(), []
    while True:
        seen.append(agree(seconds(1)))
        steady = len(seen) >= 10 and abs(np.median(seen[-5:]) / np.median(seen[-10:-5]) - 1.0) <= WARM_WITHIN
        late = agree(time.perf_counter() - start) > most_s
        if len(seen) >= WARM_RUNS and (steady or late):
            return max(1, math.ceil(SAMPLE_S / float(np.median(seen[-5:]))))
