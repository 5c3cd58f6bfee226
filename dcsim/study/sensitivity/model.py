"""What is studied: a function from columns of named inputs to a column of results."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcsim.errors import RangeError

Floats = NDArray[np.float64]
Model = Callable[[Mapping[str, Floats]], Floats]


class Quantiles(Protocol):
    """What an input must be to be drawn, varied and ranked."""

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantiles, for shares from 0 to 1."""
        ...


def evaluated(model: Model, columns: Mapping[str, Floats]) -> Floats:
    """Result of each row of *columns*, shape (n,).

    Raises
    ------
    RangeError
        If a result is no finite number; the message has the inputs that gave it.
    """
    n = len(next(iter(columns.values())))
    found = np.broadcast_to(np.asarray(model(columns), dtype=float), (n,))
    broken = ~np.isfinite(found)
    if broken.any():
        row = int(np.argmax(broken))
        given = ", ".join(f"{name} = {column[row]:g}" for name, column in columns.items())
        raise RangeError(
            f"{broken.sum()} of {n} results are no finite number, the first at {given}; narrow the range of an input"
        )
    return found
