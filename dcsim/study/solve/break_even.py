"""The value at which a function of one number is what is asked, and a table of such values over a second number."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.optimize import brentq

from dcsim.errors import RangeError
from dcsim.study.solve.evaluate import Figure

# A figure within this of the target, over the target or else over the figure at the ends, is on target.
TOLERANCE = 1e-6


class NoRootError(RangeError):
    """The figure is on one side of the target at both ends of a bracket."""


@dataclass(frozen=True)
class BreakEven:
    """Where a figure is on target, what it is there, what it is at both ends, and how often it was worked out."""

    value: float
    figure: float
    at_low: float
    at_high: float
    evaluations: int


@dataclass(frozen=True)
class Row:
    """One row of a two-way table: the break-even at a value of the second input, or why there is none."""

    value2: float
    found: BreakEven | None
    reason: str = ""


def break_even(figure: Figure, target: float, low: float, high: float) -> BreakEven:
    """Value between *low* and *high* at which *figure* is *target*.

    Parameters
    ----------
    figure : callable
        Figure by value of the input.
    target : float
        What it should be, in its unit.
    low, high : float
        Ends of the bracket.

    Raises
    ------
    NoRootError
        If the figure is above the target at both ends, or below it.
    RangeError
        If the ends are not in order, or the figure jumps over the target.

    References
    ----------
    .. [1] R. Brent, Algorithms for Minimization Without Derivatives, 1973, chapter 4.
    """
    if not low < high:
        raise RangeError(f"a bracket needs a low end below its high end, got {low:g} and {high:g}")
    known: dict[float, float] = {}

    def off(value: float) -> float:
        if value not in known:
            known[value] = figure(value)
        return known[value] - target

    ends = off(low), off(high)
    if ends[0] * ends[1] > 0:
        side = "above" if ends[0] > 0 else "below"
        raise NoRootError(
            f"the figure is {side} {target:g} at both ends: {known[low]:.6g} at {low:g}, {known[high]:.6g} at "
            f"{high:g}; widen the bracket, or choose another input"
        )
    value = float(brentq(off, low, high, xtol=1e-14 * max(abs(low), abs(high)), rtol=1e-14))
    scale = abs(target) or max(abs(of) for of in ends) or 1.0
    if math.isnan(off(value)) or abs(off(value)) > TOLERANCE * scale:
        below, above = (
            (max if wanted < 0 else min)((of for of in known.values() if (of - target) * wanted > 0), default=math.nan)
            for wanted in (-1, 1)
        )
        raise RangeError(
            f"the figure jumps over {target:g} at {value:.9g}, from {below:.6g} to {above:.6g}: it goes in steps, and "
            "none of them is on target; choose an input that moves it smoothly"
        )
    return BreakEven(value, known[value], known[low], known[high], len(known))


def two_way(
    figure_at: Callable[[float], Figure], values2: Sequence[float], target: float, low: float, high: float
) -> list[Row]:
    """Break-even at each value of a second input; one without says what the figure is at both ends."""
    rows = []
    for value2 in values2:
        try:
            rows.append(Row(value2, break_even(figure_at(value2), target, low, high)))
        except NoRootError as error:
            rows.append(Row(value2, None, str(error)))
    return rows
