"""Periods of a tariff: the hours that a charge applies in, each a union of windows of months, days and hours."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

EVERY_DAY, MONDAY_TO_FRIDAY, WEEKEND = 0, 1, 2


@dataclass(frozen=True)
class Window:
    """Hours from ``from_h`` to ``to_h`` of some days in the months from the first to the last.

    Months and hours may wrap: from November to February, from 22 to 6 h, whose day is that of the hour itself.
    """

    first_month: int = 1
    last_month: int = 12
    from_h: float = 0.0
    to_h: float = 24.0
    days: int = EVERY_DAY

    def holds(self, when: pd.DatetimeIndex) -> Bools:
        """Tell which moments are inside, shape (n,)."""
        hour = when.hour.to_numpy() + when.minute.to_numpy() / 60.0
        weekday = when.day_of_week.to_numpy() < 5
        day = {EVERY_DAY: np.ones(len(when), dtype=bool), MONDAY_TO_FRIDAY: weekday, WEEKEND: ~weekday}[self.days]
        inside = in_season(when.month.to_numpy().astype(np.int64), self.first_month, self.last_month)
        late, early = hour >= self.from_h, hour < self.to_h
        return np.asarray(day & inside & (late & early if self.from_h <= self.to_h else late | early))


def in_season(month: NDArray[np.int64], first: int, last: int) -> Bools:
    """Tell which months of the year, from 1 to 12, lie from *first* to *last*, over the new year where it is later."""
    from_first, to_last = month >= first, month <= last
    return np.asarray(from_first & to_last if first <= last else from_first | to_last)


def holds(windows: tuple[Window, ...], when: pd.DatetimeIndex) -> Bools:
    """Tell which moments are in any of the windows, shape (n,)."""
    found = np.zeros(len(when), dtype=bool)
    for window in windows:
        found |= window.holds(when)
    return found
