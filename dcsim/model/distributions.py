"""Distributions that any scalar of a scenario may have, each by its quantiles.

A draw is a quantile of a uniform number, so one sampler serves all of them and a correlation needs no further formula.
"""

import datetime
from typing import Annotated, Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator
from scipy import special

from dcsim.model.base import NonNegative, Positive, Stated

Floats = NDArray[np.float64]
Number: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Scalar: TypeAlias = bool | int | float | datetime.date | str


class Normal(Stated):
    """The normal distribution."""

    distribution: Literal["normal"] = "normal"
    mean: Number = Field(description="mean")
    sd: Positive = Field(description="standard deviation")

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantiles, for shares from 0 to 1; infinite at the ends."""
        return np.asarray(self.mean + self.sd * special.ndtri(u))


class Lognormal(Stated):
    """A factor whose logarithm is normal."""

    distribution: Literal["lognormal"] = "lognormal"
    median: Positive = Field(description="median")
    log_sd: Positive = Field(description="standard deviation of the natural logarithm")

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantiles, for shares from 0 to 1; 0 and infinite at the ends."""
        return np.asarray(self.median * np.exp(self.log_sd * special.ndtri(u)))


class _Ranged(Stated):
    """A distribution between two ends."""

    low: Number = Field(description="least value")
    high: Number = Field(description="greatest value")

    @model_validator(mode="after")
    def _ends_are_in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        return self

    def _between(self, share: Any) -> Floats:
        return np.asarray(self.low + (self.high - self.low) * share)


class _Peaked(_Ranged):
    """A distribution between two ends with a likeliest value."""

    mode: Number = Field(description="likeliest value")

    @model_validator(mode="after")
    def _mode_is_within(self) -> Self:
        if not self.low <= self.mode <= self.high:
            raise ValueError(f"mode {self.mode:g} must be from low {self.low:g} to high {self.high:g}")
        return self

    @property
    def _mode_frac(self) -> float:
        return (self.mode - self.low) / (self.high - self.low)


class Uniform(_Ranged):
    """Any value between two ends alike."""

    distribution: Literal["uniform"] = "uniform"

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantiles, for shares from 0 to 1."""
        return self._between(np.asarray(u))


class Triangular(_Peaked):
    """A density that rises to the likeliest value and falls, both straight."""

    distribution: Literal["triangular"] = "triangular"

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantiles, for shares from 0 to 1."""
        u, m = np.asarray(u, dtype=float), self._mode_frac
        return self._between(np.where(u < m, np.sqrt(u * m), 1.0 - np.sqrt((1.0 - u) * (1.0 - m))))


class Pert(_Peaked):
    r"""A beta distribution of three estimates.

    Notes
    -----
    .. math:: \mu = \frac{low + \lambda \, mode + high}{\lambda + 2}, \quad
        X \sim Beta(1 + \lambda m, 1 + \lambda (1 - m)), \quad m = \frac{mode - low}{high - low}

    References
    ----------
    .. [1] D. Malcolm et al., "Application of a technique for research and development program evaluation,"
       Operations Research 7 (1959) 646-669: a weight of 4.
    """

    distribution: Literal["pert"] = "pert"
    weight: Positive = Field(default=4.0, description="weight of the likeliest value against one of each end")

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantiles, for shares from 0 to 1."""
        m = self._mode_frac
        return self._between(special.betaincinv(1.0 + self.weight * m, 1.0 + self.weight * (1.0 - m), u))


class Beta(_Ranged):
    """A beta distribution by its mean and standard deviation, between 0 and 1 if no ends are stated."""

    distribution: Literal["beta"] = "beta"
    mean: Number = Field(description="mean")
    sd: Positive = Field(description="standard deviation")
    low: Number = Field(default=0.0, description="least value")
    high: Number = Field(default=1.0, description="greatest value")

    @model_validator(mode="after")
    def _moments_can_be(self) -> Self:
        if not self.low < self.mean < self.high:
            raise ValueError(f"mean {self.mean:g} must be above low {self.low:g} and below high {self.high:g}")
        most = ((self.mean - self.low) * (self.high - self.mean)) ** 0.5
        if self.sd >= most:
            raise ValueError(f"sd {self.sd:g} must be below {most:g}, which all weight at the two ends would give")
        return self

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantiles, for shares from 0 to 1."""
        width = self.high - self.low
        mean, variance = (self.mean - self.low) / width, (self.sd / width) ** 2
        weight = mean * (1.0 - mean) / variance - 1.0
        return self._between(special.betaincinv(mean * weight, (1.0 - mean) * weight, u))


class Discrete(Stated):
    """Some values, each with its weight, alike if none are stated."""

    distribution: Literal["discrete"] = "discrete"
    values: Annotated[tuple[Number, ...], Field(min_length=1)] = Field(description="values, ascending")
    weights: tuple[NonNegative, ...] = Field(default=(), description="weight of each; alike if absent")

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        if any(b <= a for a, b in zip(self.values, self.values[1:], strict=False)):
            raise ValueError("values must ascend, each once")
        _check_weights(self.weights, len(self.values))
        return self

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantiles: the first value up to which the weights reach a share."""
        return np.asarray(np.array(self.values)[_weighted_index(self.weights, len(self.values), u)])


class Empirical(Stated):
    """Observed values, with straight lines between them."""

    distribution: Literal["empirical"] = "empirical"
    values: Annotated[tuple[Number, ...], Field(min_length=2)] = Field(description="observations, in any order")

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantiles, for shares from 0 to 1: the k-th of n observations is that of (k - 1) / (n - 1)."""
        return np.asarray(np.quantile(np.array(self.values), np.asarray(u, dtype=float)))


class Choice(Stated):
    """Some values of any kind, numbers or names, in the order in which they are stated, each with its weight."""

    distribution: Literal["choice"] = "choice"
    values: Annotated[tuple[Scalar, ...], Field(min_length=1)] = Field(description="values, the worst first if any is")
    weights: tuple[NonNegative, ...] = Field(default=(), description="weight of each; alike if absent")

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        _check_weights(self.weights, len(self.values))
        return self

    def ppf(self, u: ArrayLike) -> NDArray[np.object_]:
        """Quantiles: the first value up to which the weights reach a share."""
        values = np.empty(len(self.values), dtype=object)
        values[:] = self.values
        return np.asarray(values[_weighted_index(self.weights, len(values), u)])


def _check_weights(weights: tuple[float, ...], n: int) -> None:
    if weights and len(weights) != n:
        raise ValueError(f"{len(weights)} weights for {n} values; state one for each")
    if weights and sum(weights) <= 0:
        raise ValueError("one of the weights must be above 0")


def _weighted_index(weights: tuple[float, ...], n: int, u: ArrayLike) -> NDArray[np.int64]:
    reached = np.cumsum(weights or np.ones(n))
    # The last value ends at exactly 1, whatever the weights sum to in floating point.
    return np.asarray(np.searchsorted(reached[:-1] / reached[-1], u, side="left"))


Distribution = Annotated[
    Normal | Lognormal | Triangular | Pert | Beta | Uniform | Discrete | Empirical,
    Field(discriminator="distribution"),
]
