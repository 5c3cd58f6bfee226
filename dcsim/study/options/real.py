"""Rights that a plan may hold - defer, expand, switch, abandon - on paths of the price that it sells at.

Monthly flows of a run are split into what moves with the price and what does not. They are discounted at the plan's own
rate, which is not risk-neutral: the value is the owner's, not a market's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.errors import RangeError
from dcsim.finance.cashflow import discount_factors
from dcsim.model.price_path import Paths
from dcsim.study.options.least_squares import NEVER, exercised

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Flows:
    """Monthly flows of a plan: what moves with the price, positive, and the rest; shape (n_months,). [USD]"""

    revenue_usd: Floats
    other_usd: Floats

    def on(self, factors: Floats) -> Floats:
        """Flows on paths of the price over the plan's own, shape (n_paths, n_months). [USD]"""
        return np.asarray(self.revenue_usd * factors[:, : len(self.revenue_usd)] + self.other_usd)

    def times(self, share: float) -> "Flows":
        """So many times these flows."""
        return Flows(share * self.revenue_usd, share * self.other_usd)


@dataclass(frozen=True)
class OptionValue:
    """A right beside the static NPV: means over paths, at the month of the first flow. [USD]

    ``static_npv_usd`` is the plan without the right, on the same paths; ``option_usd`` what the right adds and
    ``error_usd`` its standard error; ``exercised_frac`` the share of paths that use it, ``month`` the median month of
    those, None if none does.
    """

    name: str
    static_npv_usd: float
    option_usd: float
    error_usd: float
    exercised_frac: float
    month: int | None

    @property
    def npv_usd(self) -> float:
        """Net present value with the right. [USD]"""
        return self.static_npv_usd + self.option_usd


def to_come_usd(flows_usd: Floats, rate_frac: float) -> Floats:
    """Value at the end of each month of the flows after it, shape as *flows_usd*. [USD]"""
    factor = float(discount_factors(2, rate_frac)[1])
    found = np.zeros_like(flows_usd)
    for k in range(flows_usd.shape[1] - 2, -1, -1):
        found[:, k] = factor * (found[:, k + 1] + flows_usd[:, k + 1])
    return found


def abandon(flows: Flows, paths: Paths, salvage_usd: Floats, rate_frac: float) -> OptionValue:
    """The right to stop at the end of a month for what is left then, shape (n_months,), and forgo all flows after."""
    run = flows.on(paths.price)
    return _valued("abandon", run, salvage_usd - to_come_usd(run, rate_frac), paths, rate_frac)


def expand(flows: Flows, paths: Paths, added: Flows, cost_usd: Floats, rate_frac: float) -> OptionValue:
    """The right to pay, at the end of a month, a cost of shape (n_months,) for further flows after it."""
    gains = to_come_usd(added.on(paths.price), rate_frac) - cost_usd
    return _valued("expand", flows.on(paths.price), gains, paths, rate_frac)


def switch(flows: Flows, paths: Paths, to: Flows, cost_usd: Floats, rate_frac: float) -> OptionValue:
    """The right to go over to other flows after the end of a month, at a cost of shape (n_months,)."""
    run, other = flows.on(paths.price), to.on(paths.price)
    gains = to_come_usd(other - run, rate_frac) - cost_usd
    return _valued("switch", run, gains, paths, rate_frac)


def defer(flows: Flows, paths: Paths, months: int, rate_frac: float, *, trend: Floats | None = None) -> OptionValue:
    """The right to start in any of the next *months*, or never, instead of now.

    Parameters
    ----------
    flows : Flows
        The plan that starts now. Later it has the same flows by age, at the price of its own months.
    paths : Paths
        Price over that of the plan, of at least as many dates as the plan has and *months* more.
    months : int
        Latest start, 0 or more.
    rate_frac : float
        Annual discount rate. [1]
    trend : ndarray, shape (months + 1,)
        What waiting alone makes of revenue: the fall of the plan's own price path, which one that starts later meets
        further on; none if left out. [1]
    """
    n = len(flows.revenue_usd)
    if months < 0 or paths.price.shape[1] < n + months:
        raise RangeError(
            f"a start up to {months} months on needs a price for {n + months} months, got {paths.price.shape[1]}"
        )
    factors = discount_factors(n, rate_frac)
    falls = np.ones(months + 1) if trend is None else trend
    gains = np.stack(
        [
            (flows.revenue_usd * falls[k] * paths.price[:, k : k + n] + flows.other_usd) @ factors
            for k in range(months + 1)
        ],
        axis=1,
    )
    now = float(gains[:, 0].mean())
    found = exercised(gains, paths.states[:, : months + 1], float(discount_factors(2, rate_frac)[1]), known=False)
    return OptionValue("defer", now, found.value - now, found.error, found.exercised_frac, _median(found.date))


def _valued(name: str, run: Floats, gains: Floats, paths: Paths, rate_frac: float) -> OptionValue:
    """A right to change a plan that runs."""
    n = run.shape[1]
    found = exercised(gains, paths.states[:, :n], float(discount_factors(2, rate_frac)[1]), known=False)
    static = float((run @ discount_factors(n, rate_frac)).mean())
    return OptionValue(name, static, found.value, found.error, found.exercised_frac, _median(found.date))


def _median(date: NDArray[np.int64]) -> int | None:
    acted = date[date != NEVER]
    return int(np.median(acted)) if len(acted) else None
