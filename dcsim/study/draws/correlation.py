"""How uncertain inputs hang together: a Gaussian copula."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from dcsim.errors import RangeError, UsageError
from dcsim.registry import unknown

Floats = NDArray[np.float64]
Pairs = Mapping[tuple[str, str], float]

# A matrix whose least eigenvalue is below zero by rounding alone counts as positive semi-definite.
ROUNDING = 1e-10


def correlation_matrix(names: Sequence[str], pairs: Pairs) -> Floats:
    """Correlations of pairs of inputs as a matrix, 0 where none is stated, shape (n, n).

    Parameters
    ----------
    names : sequence of str
        Inputs, in the order of rows and columns.
    pairs : mapping of (str, str) to float
        Correlation of the normal scores of two inputs, -1 to 1. [1]

    Raises
    ------
    UsageError
        If a pair names no input, an input twice, or is stated both ways.
    RangeError
        If a correlation is outside -1 to 1, or no inputs can have all of them at once.
    """
    index = {name: i for i, name in enumerate(names)}
    found = np.eye(len(names))
    for (a, b), value in pairs.items():
        for name in (a, b):
            if name not in index:
                raise UsageError(f"correlation of '{a}' and '{b}': {unknown(name, names, 'uncertain input')}")
        if a == b:
            raise UsageError(f"correlation of '{a}' with itself: it is 1; leave it out")
        if (b, a) in pairs:
            raise UsageError(f"correlation of '{a}' and '{b}' is stated both ways; leave one out")
        if not -1.0 <= value <= 1.0:
            raise RangeError(f"correlation of '{a}' and '{b}': {value:g} must be -1 to 1")
        found[index[a], index[b]] = found[index[b], index[a]] = value
    least = float(np.linalg.eigvalsh(found)[0]) if len(names) else 0.0
    if least < -ROUNDING:
        # (1 - s) I + s C has 1 - s (1 - least) as its least eigenvalue.
        raise RangeError(
            f"the correlations contradict each other: their matrix has the eigenvalue {least:.3g}, below 0; "
            f"multiply all of them by at most {np.floor(1e3 / (1.0 - least)) / 1e3:g}, or drop one of those that "
            "cannot hold together"
        )
    return found


def factor(matrix: Floats) -> Floats:
    """Lower triangular matrix whose product with its transpose is *matrix*, which may be singular.

    The row of an input rests on those before it alone, and that of an uncorrelated one is a unit vector.
    """
    n = len(matrix)
    found = np.zeros((n, n))
    for j in range(n):
        left = matrix[j:, j] - found[j:, :j] @ found[j, :j]
        if left[0] > ROUNDING:
            found[j:, j] = left / np.sqrt(left[0])
    return found


def correlated(shares: Mapping[str, Floats], pairs: Pairs) -> dict[str, Floats]:
    """Uniform shares of inputs that hang together as *pairs* says, from independent ones.

    An input without a correlation keeps its shares to the bit. One with some keeps its distribution; its sample is
    then no longer stratified exactly.

    Notes
    -----
    Correlations are those of the normal scores; the rank correlation is 6/pi asin(r/2), for r = 0.5 about 0.483.
    """
    names = list(shares)
    matrix = correlation_matrix(names, pairs)
    rows = factor(matrix)
    scores = {name: special.ndtri(shares[name]) for name in {name for pair in pairs for name in pair}}
    found = {}
    for i, name in enumerate(names):
        before = np.flatnonzero(rows[i, :i])
        if not len(before):
            found[name] = shares[name]
            continue
        mixed = rows[i, i] * scores[name] + sum(rows[i, k] * scores[names[k]] for k in before)
        # The normal distribution reaches 0 and 1 in floating point; a quantile there may be infinite.
        found[name] = np.clip(special.ndtr(mixed), np.finfo(float).tiny, 1.0 - np.finfo(float).epsneg)
    return found
