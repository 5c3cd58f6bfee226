"""Dispatch of a battery: the lowest peak of a month that it can hold, by water-filling, or between two prices."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# Halvings of a level: past the last bit of a double from any power of a site.
HALVINGS = 60
# Share of its energy by which a battery may seem short of it through rounding of sums.
ROUNDING_FRAC = 1e-9


@dataclass(frozen=True)
class Battery:
    """What a battery holds, gives and takes at its terminals, and what it gives back of what it took."""

    energy_j: float
    power_w: float
    round_trip_frac: float

    @property
    def one_way_frac(self) -> float:
        """Efficiency of charging, and of discharging: the loss is split evenly. [1]"""
        return float(np.sqrt(self.round_trip_frac))

    def missing_j(self, give_w: Floats, take_w: Floats, step_s: float, before_j: Floats | float) -> Floats:
        r"""Energy that is missing to full after each step of one that takes until it is full.

        Parameters
        ----------
        give_w, take_w : ndarray, shape (..., n)
            Given, and taken where there is room, at its terminals. [W]
        step_s : float
            Length of a step. [s]
        before_j : float or ndarray, shape (..., 1)
            Missing before the first step. [J]

        Notes
        -----
        With :math:`S_k` the sum of what is stored less what is drawn, if full were no limit, and :math:`M_0` missing
        before, :math:`M_k = \max(M_0, \max_{j \le k} S_j) - S_k`: a queue's recursion, without a loop over steps.
        """
        stored = np.cumsum((take_w * self.one_way_frac - give_w / self.one_way_frac) * step_s, axis=-1)
        return np.asarray(np.maximum(before_j, np.maximum.accumulate(stored, axis=-1)) - stored)

    def power_into_w(self, give_w: Floats, take_w: Floats, step_s: float, before_j: Floats | float) -> Floats:
        """Power into it in each step, shape (..., n), of which it takes no more than there is room for. [W]"""
        after = self.missing_j(give_w, take_w, step_s, before_j)
        before = np.concatenate([np.broadcast_to(before_j, (*after.shape[:-1], 1)), after[..., :-1]], axis=-1)
        return np.minimum(take_w, before / (step_s * self.one_way_frac)) - give_w


def shaving_w(net_w: Floats, step_s: float, battery: Battery, month: Ints, day: Ints) -> Floats:
    r"""Power into a battery that holds each month's peak as low as it can.

    Parameters
    ----------
    net_w : ndarray, shape (n,)
        What the site draws without the battery, below 0 where it makes more. [W]
    step_s : float
        Length of a step. [s]
    battery : Battery
        Full before the first step.
    month, day : ndarray of int, shape (n,)
        Month and day of each step, non-decreasing.

    Returns
    -------
    ndarray, shape (n,)
        Positive where it charges. [W]

    Notes
    -----
    Within a month it gives :math:`d = \min(\max(L - T, 0), P)` and takes :math:`c = \min(\max(V - L, 0), P)` until it
    is full. :math:`T` is the least for which its energy never runs out while it recharges up to :math:`T`; then
    :math:`V \le T` is the least that still does and leaves no less for the next month. It never charges above the
    highest draw of the day, so no day's peak rises. The load of the whole month is known beforehand: an upper bound of
    what a controller reaches.
    """
    power_w = np.zeros(len(net_w))
    missing_j = 0.0
    first_of_day = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
    top = np.maximum.reduceat(net_w, first_of_day)
    top_of_day = np.repeat(top, np.diff(first_of_day, append=len(net_w)))
    firsts = np.flatnonzero(np.diff(month, prepend=month[0] - 1))
    for first, last in zip(firsts, [*firsts[1:], len(net_w)], strict=True):
        rows = slice(first, last)
        power_w[rows], missing_j = _month(net_w[rows], top_of_day[rows], step_s, battery, missing_j)
    return power_w


def _month(net_w: Floats, most_w: Floats, step_s: float, battery: Battery, missing_j: float) -> tuple[Floats, float]:
    """One month of :func:`shaving_w`: power into it, charging up to *most_w*, and what is missing at its end."""

    def flows(level: float, valley: float) -> tuple[Floats, Floats]:
        give = np.clip(net_w - level, 0.0, battery.power_w)
        return give, np.clip(np.minimum(valley, most_w) - net_w, 0.0, battery.power_w)

    def missing(level: float, valley: float) -> Floats:
        return battery.missing_j(*flows(level, valley), step_s, missing_j)

    short = battery.energy_j * (1.0 + ROUNDING_FRAC)
    top = max(float(net_w.max()), 0.0)
    level = _least(lambda one: bool(missing(one, one).max() <= short), 0.0, top)
    left = float(missing(level, level)[-1]) + battery.energy_j * ROUNDING_FRAC

    def refills(valley: float) -> bool:
        of = missing(level, valley)
        return bool(of.max() <= short and of[-1] <= left)

    # What the site makes beyond its draw is always taken.
    valley = _least(refills, min(max(float(net_w.min()), 0.0), level), level)
    return battery.power_into_w(*flows(level, valley), step_s, missing_j), float(missing(level, valley)[-1])


def _least(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Least level that holds between *low* and *high*, which does."""
    if holds(low):
        return low
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def arbitrage_w(net_w: Floats, step_s: float, battery: Battery, price: Floats, most_w: Floats) -> Floats:
    """Power into a battery that buys in the cheapest steps of each day and gives in the dearest.

    Parameters
    ----------
    net_w : ndarray, shape (n_days, n_steps)
        What the site draws without the battery. [W]
    step_s : float
        Length of a step. [s]
    battery : Battery
    price : ndarray, shape (n_days, n_steps)
        Of energy, in any unit.
    most_w : ndarray, shape (n_days, n_steps)
        Draw up to which it may charge in each step: the month's peak, which a bill counts. [W]

    Returns
    -------
    ndarray, shape (n_days, n_steps)
        Positive where it charges. [W]

    Notes
    -----
    Each day begins and ends full, and idles where the dearest price does not pay for the loss on the cheapest. Of the
    dearest steps the highest draw is cut first, down to the least level that the energy holds and the cheap steps
    refill; of the cheapest the lowest draw is raised first. Steps of prices in between are left alone: one cycle a day.
    """
    dearest, cheapest = price.max(axis=1, keepdims=True), price.min(axis=1, keepdims=True)
    pays = dearest * battery.round_trip_frac > cheapest
    dear, cheap = (price >= dearest) & pays, (price <= cheapest) & pays

    def flows(level: Floats, valley: Floats) -> tuple[Floats, Floats]:
        give = np.where(dear, np.clip(net_w - level[:, None], 0.0, battery.power_w), 0.0)
        return give, np.where(cheap, np.clip(np.minimum(valley[:, None], most_w) - net_w, 0.0, battery.power_w), 0.0)

    def runs(level: Floats, valley: Floats) -> Bools:
        missing = battery.missing_j(*flows(level, valley), step_s, 0.0)
        enough = missing.max(axis=1) <= battery.energy_j * (1.0 + ROUNDING_FRAC)
        return np.asarray(enough & (missing[:, -1] <= battery.energy_j * ROUNDING_FRAC))

    highest = np.maximum(most_w.max(axis=1), net_w.max(axis=1))
    low, level = np.zeros(len(net_w)), np.maximum(net_w.max(axis=1), 0.0)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + level)
        good = runs(middle, highest)
        low, level = np.where(good, low, middle), np.where(good, middle, level)
    low, valley = net_w.min(axis=1), highest
    for _ in range(HALVINGS):
        middle = 0.5 * (low + valley)
        good = runs(level, middle)
        low, valley = np.where(good, low, middle), np.where(good, middle, valley)
    return battery.power_into_w(*flows(level, valley), step_s, 0.0)
