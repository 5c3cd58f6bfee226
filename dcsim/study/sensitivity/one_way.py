"""One input at a time: tornado and spider."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dcsim.errors import RangeError
from dcsim.study.sensitivity.model import Floats, Model, Quantiles, evaluated

SPIDER_CHANGES = (-0.3, -0.2, -0.1, 0.1, 0.2, 0.3)


@dataclass(frozen=True)
class OneWay:
    """The result with every input at its base, and the rows of what changes it."""

    base: float
    rows: pd.DataFrame


def _one_at_a_time(model: Model, base: Mapping[str, float], moved: Sequence[tuple[str, float]]) -> Floats:
    """Result at the base, then of each move of one input, shape (1 + len(moved),)."""
    columns = {name: np.full(1 + len(moved), value, dtype=float) for name, value in base.items()}
    for row, (name, value) in enumerate(moved, start=1):
        columns[name][row] = value
    return evaluated(model, columns)


def tornado(
    model: Model,
    inputs: Mapping[str, Quantiles],
    *,
    base: Mapping[str, float] | None = None,
    low_frac: float = 0.1,
    high_frac: float = 0.9,
) -> OneWay:
    """What each input does between two of its quantiles while all others stay, widest first.

    Parameters
    ----------
    model : callable
        From columns by input to results.
    inputs : mapping of str to Quantiles
        Uncertain inputs.
    base : mapping of str to float
        Values of the others; the median of each that is left out.
    low_frac, high_frac : float
        The quantiles, P10 and P90 if left out. [1]

    Returns
    -------
    OneWay
        Rows with the columns ``input, low_value, high_value, at_low, at_high, swing``.

    Raises
    ------
    RangeError
        If the quantiles are not in order between 0 and 1, or a result is not finite.
    """
    if not 0.0 < low_frac < high_frac < 1.0:
        raise RangeError(f"a tornado needs two quantiles in order between 0 and 1, got {low_frac:g} and {high_frac:g}")
    middle = {name: float(of.ppf(0.5)) for name, of in inputs.items()} | dict(base or {})
    ends = [(name, float(of.ppf(share))) for share in (low_frac, high_frac) for name, of in inputs.items()]
    found = _one_at_a_time(model, middle, ends)
    at_low, at_high = np.split(found[1:], 2)
    values = np.array([value for _, value in ends])
    table = pd.DataFrame(
        {
            "input": list(inputs),
            "low_value": values[: len(inputs)],
            "high_value": values[len(inputs) :],
            "at_low": at_low,
            "at_high": at_high,
            "swing": np.abs(at_high - at_low),
        }
    )
    return OneWay(float(found[0]), table.sort_values("swing", ascending=False, kind="stable", ignore_index=True))


def spider(
    model: Model,
    base: Mapping[str, float],
    *,
    changes: Sequence[float] = SPIDER_CHANGES,
    allowed: Callable[[str, float], bool] = lambda name, value: True,
) -> OneWay:
    """What the same relative change of each input does while all others stay at *base*.

    Parameters
    ----------
    model : callable
        From columns by input to results.
    base : mapping of str to float
        Inputs to move, with their values.
    changes : sequence of float
        Relative changes. [1]
    allowed : callable
        Whether an input may have a value; changes to others are left out.

    Returns
    -------
    OneWay
        Rows with the columns ``input, change_frac, value, result``.

    Raises
    ------
    RangeError
        If a base is 0, which no share changes, or a result is not finite.
    """
    if still := [name for name, value in base.items() if value == 0]:
        raise RangeError(f"a share of 0 is 0: a spider cannot move {', '.join(still)}; leave it out or use a tornado")
    moved = [
        (name, change, value * (1.0 + change))
        for name, value in base.items()
        for change in changes
        if allowed(name, value * (1.0 + change))
    ]
    found = _one_at_a_time(model, base, [(name, value) for name, _, value in moved])
    table = pd.DataFrame(moved, columns=["input", "change_frac", "value"])
    table["result"] = found[1:]
    return OneWay(float(found[0]), table)
