"""When requests come: processes of mean 1 on a clock of their own, run at a rate that follows the calendar."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dcsim.errors import RangeError
from dcsim.rng import stream
from dcsim.units import HOURS_PER_YEAR
from dcsim.workload.jobs import Floats

if TYPE_CHECKING:
    import pandas as pd

_HOURS_PER_MONTH = HOURS_PER_YEAR / 12


class Process(Protocol):
    """A stationary process with one request per unit of its clock on average."""

    def points(self, total: float, rate_per_s: float, draws: np.random.Generator) -> Floats:
        """Draw the points before *total*, rising, at a mean rate that turns seconds into units of the clock."""

    def together(self) -> float:
        """Requests over which arrivals hang together, about: a run must hold many times as many. [1]"""


@dataclass(frozen=True)
class Poisson:
    """Requests of many users who know nothing of each other."""

    def points(self, total: float, rate_per_s: float, draws: np.random.Generator) -> Floats:
        """Points before *total*, shape (n,); the rate does not matter."""
        return np.sort(draws.random(draws.poisson(total))) * total

    def together(self) -> float:
        """One: no request knows of another."""
        return 1.0


@dataclass(frozen=True)
class Recorded:
    r"""Recorded gaps over their mean, drawn anew in blocks of neighbours so that the order inside bursts is kept.

    Parameters
    ----------
    gaps : ndarray, shape (k,)
        Gaps between requests in order, in any unit; not all 0.
    block : int, optional
        Neighbouring gaps drawn together, wrapping around at the end; :math:`k^{2/3}` rounded up if absent.

    Raises
    ------
    RangeError
        If there are no gaps, one is below 0, all are 0, or a block is not from 1 to k.

    Notes
    -----
    Circular block bootstrap, begun at a random moment of a random block: moments, not gaps, are equally likely, so that
    the expected count is right from the start. Forty resamplings each of the Azure traces of 2023 gave, in the code
    trace (gap CV 13.2, index of dispersion 13.2 in 1 s and 164 in 60 s), 13.0, 9.2 and 128 from single gaps, 12.7, 12.6
    and 132 from blocks of :math:`k^{1/2} = 94`, and 13.0, 13.0 and 149 from blocks of 500; in the conversation trace
    (1.09, 1.39, 16.1), 1.10, 1.14, 1.2 from single gaps, 1.09, 1.37, 6 from 94 and 1.10, 1.36, 13 from 500. The root
    keeps seconds but not minutes; :math:`k^{2/3}`, 427 and 721, keeps both.

    References
    ----------
    D. N. Politis and J. P. Romano, A circular block-resampling procedure for stationary data, 1992.
    """

    gaps: Floats
    block: int | None = None

    def __post_init__(self) -> None:
        """Refuse gaps that are none."""
        k = len(self.gaps)
        if not k or not (np.isfinite(self.gaps).all() and np.min(self.gaps) >= 0 and np.max(self.gaps) > 0):
            raise RangeError(f"gaps: {k} gaps; at least one is needed, none below 0 and not all 0")
        if self.block is not None and not 1 <= self.block <= k:
            raise RangeError(f"block: {self.block} is not from 1 to the {k} gaps that there are")

    def points(self, total: float, rate_per_s: float, draws: np.random.Generator) -> Floats:
        """Points before *total*, shape (n,); the rate does not matter."""
        k = len(self.gaps)
        length = math.ceil(k ** (2 / 3)) if self.block is None else self.block
        unit = self.gaps / self.gaps.mean()
        # A random moment falls into a gap in proportion to its length, and into any place of a block alike.
        at = min(int(np.searchsorted(np.cumsum(unit), draws.random() * k, side="right")), k - 1)
        rest = unit[(at + np.arange(1, length - int(draws.integers(length)))) % k]

        def more(n: int) -> Floats:
            starts = draws.integers(k, size=math.ceil(n / length))
            drawn: Floats = unit[(starts[:, None] + np.arange(length)).ravel() % k]
            return drawn

        return _before(total, np.concatenate([[draws.random() * unit[at]], rest]), more)

    def together(self) -> float:
        """Gaps of a block."""
        return float(math.ceil(len(self.gaps) ** (2 / 3)) if self.block is None else self.block)


@dataclass(frozen=True)
class Bursty:
    r"""Requests whose gaps vary as stated: an interrupted Poisson process above Poisson's, gamma gaps below it.

    Parameters
    ----------
    gap_cv : float
        Standard deviation over mean of the gaps, from 0; 1 is Poisson. [1]
    burst_s : float
        Mean length of a burst at the mean rate, where ``gap_cv`` is above 1; bursts are as much shorter as the rate of
        the moment is higher. [s]

    Raises
    ------
    RangeError
        If the variation is below 0 or the burst is not above 0.

    Notes
    -----
    Requests come at rate :math:`\lambda` while on; on turns off at :math:`w_1 = 1/b` and off turns on at :math:`w_2`:

    .. math:: m = \lambda \frac{w_2}{w_1 + w_2}, \quad c^2 = 1 + \frac{2 \lambda w_1}{(w_1 + w_2)^2}

    With m = 1 this is :math:`w_2^2 + w_1 w_2 = 2 w_1 / (c^2 - 1)`, which has one positive root for every c above 1 and
    every burst. Gaps are independent of each other, so the index of dispersion over long windows nears :math:`c^2`.

    References
    ----------
    A. Kuczura, The interrupted Poisson process as an overflow process, Bell Syst. Tech. J. 52 (1973) 437-448.
    """

    gap_cv: float
    burst_s: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what no gaps have."""
        if not (math.isfinite(self.gap_cv) and self.gap_cv >= 0):
            raise RangeError(f"gap_cv: {self.gap_cv} is below 0; give 1 for Poisson, more for bursts, less for a beat")
        if not (math.isfinite(self.burst_s) and self.burst_s > 0):
            raise RangeError(f"burst_s: {self.burst_s} s is not above 0; give the mean length of a burst")

    def points(self, total: float, rate_per_s: float, draws: np.random.Generator) -> Floats:
        """Points before *total*, shape (n,), where the mean rate turns the length of a burst into requests."""
        if self.gap_cv == 1:
            return Poisson().points(total, rate_per_s, draws)
        if self.gap_cv < 1:
            return _gamma(self.gap_cv, total, draws)
        return _interrupted(*self.rates(rate_per_s), total, draws)

    def together(self) -> float:
        """The index of dispersion of counts over long windows, which independent gaps have. [1]"""
        return max(self.gap_cv**2, 1.0)

    def rates(self, rate_per_s: float) -> tuple[float, float, float]:
        """Rates while on, from on to off, and from off to on, per request of the mean rate; needs gaps above Poisson's.

        Raises
        ------
        RangeError
            If ``gap_cv`` is not above 1, where no interruption gives it.
        """
        if self.gap_cv <= 1:
            raise RangeError(f"gap_cv: an interrupted process has more than 1, not {self.gap_cv}")
        off = 1.0 / (self.burst_s * rate_per_s)
        product = 2.0 * off / (self.gap_cv**2 - 1.0)
        # The root written so that nothing cancels.
        on = 2.0 * product / (off + math.sqrt(off**2 + 4.0 * product))
        return (off + on) / on, off, on


def _before(total: float, first: Floats, more: Callable[[int], Floats]) -> Floats:
    """Sums of gaps before *total*: the first ones, then as many more as it takes."""
    parts, reached = [first], float(first.sum())
    while reached < total:
        parts.append(more(1000 + math.ceil(1.05 * (total - reached))))
        reached += float(parts[-1].sum())
    points = np.cumsum(np.concatenate(parts))
    return points[: np.searchsorted(points, total)]


def _gamma(cv: float, total: float, draws: np.random.Generator) -> Floats:
    if cv**2 == 0.0:
        return np.arange(draws.random(), total)
    shape = 1.0 / cv**2
    # The gap at a random moment is drawn by its length, which adds one to the shape, and the moment is anywhere in it.
    first = draws.gamma(shape + 1.0, 1.0 / shape, 1) * draws.random()
    return _before(total, first, lambda n: draws.gamma(shape, 1.0 / shape, n))


def _interrupted(rate: float, off: float, on: float, total: float, draws: np.random.Generator) -> Floats:
    reached = 0.0 if draws.random() < on / (off + on) else float(draws.exponential(1.0 / on))
    starts, lengths = [np.empty(0)], [np.empty(0)]
    while reached < total:
        n = 1000 + math.ceil(1.05 * (total - reached) * off * on / (off + on))
        length = draws.exponential(1.0 / off, n)
        ends = reached + np.cumsum(length + draws.exponential(1.0 / on, n))
        starts.append(np.concatenate([[reached], ends[:-1]]))
        lengths.append(length)
        reached = float(ends[-1])
    start, length = np.concatenate(starts), np.concatenate(lengths)
    length = np.clip(total - start, 0.0, length)
    # Poisson on a clock that stands still while off, then put back where that clock ran.
    before = np.cumsum(length) - length
    clock = Poisson().points(rate * float(length.sum()), 1.0, draws) / rate
    at = np.searchsorted(before, clock, side="right") - 1
    placed: Floats = start[at] + (clock - before[at])
    return placed


def arrivals(process: Process, edges_s: Floats, rate_per_s: Floats, seed: int, name: str) -> Floats:
    """Times of requests at a rate that is constant between edges.

    Parameters
    ----------
    process : Process
        How they come.
    edges_s : ndarray, shape (k + 1,)
        Rising times. [s]
    rate_per_s : ndarray, shape (k,)
        Expected requests a second from each edge to the next. [1/s]
    seed : int
    name : str
        Of the stream, such as a service; a further one leaves the draws of the others alone.

    Returns
    -------
    ndarray, shape (n,)
        In order, from the first edge to the last. [s]

    Raises
    ------
    RangeError
        If edges do not rise, a rate is below 0, or there is not one rate between each two edges.

    Notes
    -----
    The points of the process are put where the cumulative rate reaches them, which is exact and needs no loop.
    """
    edges_s, rate_per_s = np.asarray(edges_s, dtype=float), np.asarray(rate_per_s, dtype=float)
    if rate_per_s.ndim != 1 or edges_s.shape != (len(rate_per_s) + 1,) or not len(rate_per_s):
        raise RangeError(f"edges_s {edges_s.shape}, rate_per_s {rate_per_s.shape}: give one edge more than rates")
    if not (np.isfinite(edges_s).all() and (np.diff(edges_s) > 0).all()):
        raise RangeError("edges_s: times must be finite and rise")
    if not (np.isfinite(rate_per_s).all() and rate_per_s.min() >= 0):
        raise RangeError(f"rate_per_s: {rate_per_s.min()} is below 0 or not finite")
    cumulative = np.concatenate([[0.0], np.cumsum(np.diff(edges_s) * rate_per_s)])
    total = float(cumulative[-1])
    if total == 0:
        return np.empty(0)
    points = process.points(total, total / float(edges_s[-1] - edges_s[0]), stream(seed, f"request-arrivals/{name}"))
    return np.interp(points, cumulative, edges_s)


def hourly_rate_per_s(
    start: date | str,
    hours: int,
    mean_rate_per_s: float,
    *,
    hour_profile: Sequence[float] = (1.0,) * 24,
    day_profile: Sequence[float] = (1.0,) * 7,
    seasons: Sequence[float] = (1.0,) * 12,
    growth_frac_per_month: float = 0.0,
    steps: Sequence[tuple[date | str, float]] = (),
) -> Floats:
    """Rate of requests in each hour of a span.

    Parameters
    ----------
    start : date, datetime or str
        First hour, in local standard time.
    hours : int
        Length of the span. [h]
    mean_rate_per_s : float
        Rate at the start, over a whole year of its profiles, before growth and steps. [1/s]
    hour_profile, day_profile, seasons : sequence of float
        Relative rate by hour of day (24), day of the week from Monday (7) and month from January (12); each is
        normalised to mean 1.
    growth_frac_per_month : float
        Growth over a month of 730 hours, compounded from hour to hour, so that no month begins with a jump. [1]
    steps : sequence of (date, factor)
        Launches and losses: from the first hour that begins at or after the date on, and for good; they multiply.

    Returns
    -------
    ndarray, shape (hours,)
        Rate of each hour. [1/s]

    Raises
    ------
    RangeError
        If a profile has another length, is below 0 or all 0, or another figure is outside its range.
    """
    if hours < 0:
        raise RangeError(f"hours: {hours} is below 0")
    if not (math.isfinite(mean_rate_per_s) and mean_rate_per_s >= 0):
        raise RangeError(f"mean_rate_per_s: {mean_rate_per_s} is below 0 or not finite")
    if not (math.isfinite(growth_frac_per_month) and growth_frac_per_month > -1):
        raise RangeError(f"growth_frac_per_month: {growth_frac_per_month} is not above -1, the loss of all")
    # Loaded on use: only the calendar needs it.
    import pandas as pd

    when = pd.date_range(_moment(start, "start"), periods=hours, freq="h")
    rate = mean_rate_per_s * (1.0 + growth_frac_per_month) ** (np.arange(hours) / _HOURS_PER_MONTH)
    rate *= _profile("hour_profile", hour_profile, 24)[when.hour]
    rate *= _profile("day_profile", day_profile, 7)[when.day_of_week]
    rate *= _profile("seasons", seasons, 12)[when.month - 1]
    for day, factor in steps:
        if not (math.isfinite(factor) and factor >= 0):
            raise RangeError(f"steps: a factor of {factor} from {day} is below 0 or not finite")
        rate[when >= _moment(day, "steps")] *= factor
    return rate


def _moment(of: date | str, name: str) -> "pd.Timestamp":
    import pandas as pd

    try:
        moment = pd.Timestamp(of)
    except ValueError:
        raise RangeError(f"{name}: '{of}' is no date; write it as 2027-01-31") from None
    if pd.isna(moment) or moment.tzinfo is not None:
        raise RangeError(f"{name}: '{of}' is no date in local standard time; write it as 2027-01-31, without a zone")
    return moment


def _profile(name: str, of: Sequence[float], n: int) -> Floats:
    values = np.asarray(of, dtype=float)
    if values.shape != (n,):
        raise RangeError(f"{name}: {values.size} factors, but there must be {n}")
    if not (np.isfinite(values).all() and values.min() >= 0 and values.sum() > 0):
        raise RangeError(f"{name}: factors must be finite, none below 0 and not all 0")
    normalised: Floats = values / values.mean()
    return normalised
