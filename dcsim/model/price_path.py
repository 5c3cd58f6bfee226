"""A price as a path: a trend, swings that die away, and jumps that stay."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dcsim.errors import RangeError
from dcsim.model.base import Fraction, NonNegative, Positive, Rate, Stated
from dcsim.rng import stream

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Paths:
    """Prices, and the logarithms of swing and jumps that made them; arrays of shape (n_paths, n_dates)."""

    price: Floats
    swing: Floats
    jumps: Floats

    @property
    def states(self) -> Floats:
        """What is known at each date, shape (n_paths, n_dates, 2)."""
        return np.stack([self.swing, self.jumps], axis=2)


class PricePath(Stated):
    r"""A mean-reverting lognormal price with jumps.

    Notes
    -----
    .. math:: \ln P_t = \ln P_0 + t \ln(1 - f) + x_t + J_t, \quad dx = -\kappa x \, dt + \sigma \, dW

    J gains ln(1 + j) or ln(1 - j), each with the same chance, at the times of a Poisson process: a jump changes the
    expected price by nothing and stays. The trend is that of the median; the mean is above it by exp(var(x)/2).

    References
    ----------
    .. [1] E. Schwartz, "The stochastic behavior of commodity prices," Journal of Finance 52 (1997) 923-973.
    """

    distribution: Literal["price_path"] = "price_path"
    start: Positive = Field(default=1.0, description="price at first; 1 for a factor on a run's own prices")
    decline_frac_per_year: Rate = Field(default=0.0, description="fall of the trend a year")
    log_sd_per_year: NonNegative = Field(default=0.25, description="volatility; rental prices of GPUs 0.19 to 0.30")
    reversion_per_year: NonNegative = Field(
        default=1.0, description="speed at which a swing dies away; an assumption; 0 for a random walk"
    )
    jumps_per_year: NonNegative = Field(default=0.3, description="jumps a year, as of 1.70 to 2.35 USD in five months")
    jump_frac: Annotated[Fraction, Field(lt=1)] = Field(default=0.4, description="size of a jump, up or down")

    def trend(self, n_dates: int, step_years: float) -> Floats:
        """Price at each date without swings and jumps, shape (n_dates,)."""
        return np.asarray(self.start * np.exp(np.arange(n_dates) * step_years * np.log1p(-self.decline_frac_per_year)))

    def sample(self, n_paths: int, n_dates: int, step_years: float, seed: int, name: str = "price") -> Paths:
        """Draw paths; 2i and 2i+1 have opposite swings and jumps at the same dates the other way.

        Parameters
        ----------
        n_paths : int
            Even.
        n_dates : int
            Dates, the first now.
        step_years : float
            Time between dates. [year]
        seed : int
            Seed of the scenario.
        name : str
            Stream to draw from.

        Raises
        ------
        RangeError
            If the number of paths is odd, or there is no date.
        """
        if n_paths < 2 or n_paths % 2 or n_dates < 1:
            raise RangeError(f"paths come in pairs over at least one date, got {n_paths} over {n_dates}")
        kappa, shape = self.reversion_per_year, (n_paths // 2, n_dates - 1)
        stays = np.exp(-kappa * step_years)
        variance = step_years if kappa == 0 else -np.expm1(-2.0 * kappa * step_years) / (2.0 * kappa)
        moves = self.log_sd_per_year * np.sqrt(variance) * stream(seed, f"paths/{name}").standard_normal(shape)
        rng = stream(seed, f"paths/{name}/jumps")
        number = rng.poisson(self.jumps_per_year * step_years, shape)
        ups = rng.binomial(number, 0.5)
        up, down = np.log1p(self.jump_frac), np.log1p(-self.jump_frac)
        swing, jumps = np.zeros((n_paths, n_dates)), np.zeros((n_paths, n_dates))
        for side, sign, rises in ((0, 1.0, ups), (1, -1.0, number - ups)):
            for k in range(n_dates - 1):
                swing[side::2, k + 1] = stays * swing[side::2, k] + sign * moves[:, k]
            jumps[side::2, 1:] = np.cumsum(up * rises + down * (number - rises), axis=1)
        return Paths(self.trend(n_dates, step_years) * np.exp(swing + jumps), swing, jumps)
