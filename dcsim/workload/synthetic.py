"""A seeded mix of jobs whose sizes, run times, limits and arrivals follow published distributions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.rng import stream
from dcsim.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from dcsim.workload.jobs import Floats, Jobs


@dataclass(frozen=True)
class ClassMix:
    """Distribution of one workload class.

    Parameters
    ----------
    name : str
    gpu_hours_share : float
        Share of the offered GPU-hours; the mix is normalised. [1]
    sizes : ndarray of int, shape (k,)
        GPUs a job may ask for.
    weights : ndarray, shape (k,)
        Their shares of the jobs; normalised. [1]
    run_median_s, run_mean_s : float
        Median and mean of the lognormal run time before it is cut. [s]
    run_max_s : float
        Longest run time; longer draws are cut to it. [s]
    limit_factor_mean : float
        Mean of the user's estimate over the run time, at least 1: 1 + an exponential draw. [1]
    """

    name: str
    gpu_hours_share: float
    sizes: NDArray[np.int64]
    weights: Floats
    run_median_s: float
    run_mean_s: float
    run_max_s: float
    limit_factor_mean: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm, from mean = median exp(sigma^2 / 2)."""
        return math.sqrt(2.0 * math.log(self.run_mean_s / self.run_median_s))

    def mean_gpus(self) -> float:
        """Expected size of a job. [GPU]"""
        return float(self.sizes @ self.weights / self.weights.sum())

    def mean_run_s(self) -> float:
        """Expected run time of the cut lognormal. [s]"""
        mu, sigma = math.log(self.run_median_s), self.sigma
        if sigma == 0:
            return min(self.run_median_s, self.run_max_s)
        cut = (math.log(self.run_max_s) - mu) / sigma
        return self.run_mean_s * _normal_cdf(cut - sigma) + self.run_max_s * _normal_cdf(-cut)


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def synthetic(
    mix: tuple[ClassMix, ...],
    *,
    capacity_gpus: tuple[tuple[float, int], ...],
    offered_load_frac: float,
    hour_profile: Floats,
    horizon_s: float,
    seed: int,
    of_class: Mapping[str, tuple[tuple[float, float], ...]] | None = None,
    speed: Mapping[str, float] | None = None,
) -> Jobs:
    """Draw the jobs of a plan.

    Parameters
    ----------
    mix : tuple of ClassMix
    capacity_gpus : tuple of (time_s, gpus)
        Energised GPUs from each time on; demand follows capacity.
    offered_load_frac : float
        Expected GPU-seconds asked for over GPU-seconds energised. [1]
    hour_profile : ndarray, shape (24,)
        Relative arrival rate by hour of day; normalised.
    horizon_s : float
        End of the plan. [s]
    seed : int
        Streams are keyed by class, so a new class leaves the draws of the others alone.
    of_class : mapping of str to tuple of (time_s, gpus), optional
        What arrivals of each class follow, the GPUs that it may use by their speed; ``capacity_gpus`` if absent.
    speed : mapping of str to float, optional
        Mean speed of those; jobs are as many more as they are faster done. [1]

    Returns
    -------
    Jobs
        Sorted by submit time, numbered from 1.

    Notes
    -----
    Arrivals of a class are a Poisson process whose rate follows the hour of day and the capacity:
    the cumulative rate is inverted at sorted uniform draws, which is exact and needs no loop.
    """
    edges, cumulative = _cumulative_capacity(capacity_gpus, hour_profile, horizon_s)
    total_share = sum(part.gpu_hours_share for part in mix)
    parts = []
    for part in mix:
        gpu_s = offered_load_frac * part.gpu_hours_share / total_share * float(cumulative[-1])
        gpu_s *= 1.0 if speed is None else speed[part.name]
        when = edges, cumulative
        if of_class is not None and of_class[part.name] != capacity_gpus:
            when = _cumulative_capacity(of_class[part.name], hour_profile, horizon_s)
        parts.append(OfClass(part, gpu_s, *when))
    return drawn(parts, seed)


@dataclass(frozen=True)
class OfClass:
    """What a class asks for: its mix, GPU-seconds in all, and when: a rising figure at edges of time. [GPU s], [s]"""

    mix: ClassMix
    gpu_s: float
    edges_s: Floats
    rising: Floats


def drawn(parts: Sequence[OfClass], seed: int) -> Jobs:
    """Draw the jobs of classes; see :func:`synthetic`.

    Parameters
    ----------
    parts : sequence of OfClass
    seed : int
        Streams are keyed by class.
    """
    columns: list[tuple[Floats, Floats, Floats, NDArray[np.int64], NDArray[np.int64]]] = []
    for index, one in enumerate(parts):
        part, edges, cumulative = one.mix, one.edges_s, one.rising
        expected = one.gpu_s / (part.mean_gpus() * part.mean_run_s())
        draws = stream(seed, f"arrivals/{part.name}")
        n = int(draws.poisson(expected))
        submit_s = np.interp(np.sort(draws.random(n)) * cumulative[-1], cumulative, edges)
        run_s = np.minimum(
            stream(seed, f"run-times/{part.name}").lognormal(math.log(part.run_median_s), part.sigma, n), part.run_max_s
        )
        gpus = stream(seed, f"sizes/{part.name}").choice(part.sizes, n, p=part.weights / part.weights.sum())
        factor = 1.0 + stream(seed, f"limits/{part.name}").exponential(part.limit_factor_mean - 1.0, n)
        columns.append((submit_s, run_s, run_s * factor, gpus, np.full(n, index)))
    submit_s, run_s, limit_s, gpus, class_index = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(submit_s, kind="stable")
    return Jobs(
        job_id=np.arange(1, len(order) + 1),
        submit_s=submit_s[order],
        run_s=run_s[order],
        limit_s=limit_s[order],
        gpus=gpus[order],
        class_index=class_index[order],
        class_names=tuple(one.mix.name for one in parts),
    )


def _cumulative_capacity(
    capacity_gpus: tuple[tuple[float, float], ...], hour_profile: Floats, horizon_s: float
) -> tuple[Floats, Floats]:
    """Energised GPU-seconds up to each hour, shaped by the hour of day."""
    changes = [time_s for time_s, _ in capacity_gpus]
    hours = np.arange(0.0, horizon_s, SECONDS_PER_HOUR)
    edges = np.unique(np.concatenate([hours, changes, [horizon_s]]))
    edges = edges[(edges >= 0) & (edges <= horizon_s)]
    starts = edges[:-1]
    index = np.searchsorted(changes, starts, side="right") - 1
    gpus = np.where(index >= 0, np.array([gpus for _, gpus in capacity_gpus])[np.maximum(index, 0)], 0)
    shape = hour_profile / hour_profile.mean()
    hour = (starts % SECONDS_PER_DAY / SECONDS_PER_HOUR).astype(int)
    return edges, np.concatenate([[0.0], np.cumsum(np.diff(edges) * gpus * shape[hour])])
