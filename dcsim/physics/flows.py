"""Flows that share links: max-min fair rates, and when flows end that start at different times."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dcsim.errors import RangeError

Floats = NDArray[np.float64]

# Rates that differ by less than this share of a link's capacity are equal.
TOLERANCE = 1e-12


def max_min_rates(capacity_b_s: Floats, use: Floats, limit_b_s: Floats | None = None) -> Floats:
    r"""Rates at which no flow can be faster unless one that is no faster is slowed down.

    Parameters
    ----------
    capacity_b_s : ndarray, shape (n_links,)
        Capacity of each link, above 0. [B/s]
    use : ndarray, shape (n_links, n_flows)
        Bytes over a link for each byte of a flow: 1 where a flow crosses it, 0 where it does not, shares and multiples
        where a flow stands for many. [1]
    limit_b_s : ndarray, shape (n_flows,), optional
        Most that each flow can take; infinite if absent, and then each flow must use a link. [B/s]

    Returns
    -------
    ndarray, shape (n_flows,)
        [B/s]

    Raises
    ------
    RangeError
        If a capacity is not above 0, a use is negative, or a flow is bounded by nothing.

    Notes
    -----
    Progressive filling: all rates rise together until a link is full or a flow at its limit; the flows that this holds
    are fixed, and the others rise on. At most as many rounds as links and flows; each is vectorised.

    References
    ----------
    .. [1] D. Bertsekas, R. Gallager, "Data Networks," 2nd ed., 1992, section 6.5.2.
    """
    capacity, use = np.asarray(capacity_b_s, dtype=float), np.asarray(use, dtype=float)
    n_flows = use.shape[1]
    limit = np.full(n_flows, np.inf) if limit_b_s is None else np.asarray(limit_b_s, dtype=float)
    if np.any(capacity <= 0) or np.any(use < 0) or np.any(limit < 0):
        raise RangeError("links need a capacity above 0, and flows uses and limits of at least 0")
    if np.any(np.isinf(limit) & (use.sum(axis=0) == 0)):
        raise RangeError("a flow that uses no link needs a limit")
    rates, free, left = np.zeros(n_flows), np.ones(n_flows, dtype=bool), capacity.copy()
    level = 0.0
    while free.any():
        load = use @ free
        # How far the common level can rise until a link is full or a flow is at its limit.
        room = np.divide(left, load, out=np.full(len(left), np.inf), where=load > 0)
        rise = min(room.min(initial=np.inf), float((limit[free] - level).min()))
        rise = max(rise, 0.0)
        level += rise
        left = left - rise * load
        full = (left <= TOLERANCE * capacity) & (load > 0)
        held = free & ((use[full] > 0).any(axis=0) | (limit <= level * (1.0 + TOLERANCE)))
        rates[held] = np.minimum(level, limit[held])
        free &= ~held
    return rates


def finish_times_s(capacity_b_s: Floats, routes: Sequence[Sequence[int]], size_b: Floats, start_s: Floats) -> Floats:
    """When flows end that share links fairly, each from its own start.

    Parameters
    ----------
    capacity_b_s : ndarray, shape (n_links,)
        [B/s]
    routes : sequence of sequences of int
        Links that each flow crosses, at least one.
    size_b : ndarray, shape (n_flows,)
        Bytes of each flow, above 0. [B]
    start_s : ndarray, shape (n_flows,)
        [s]

    Returns
    -------
    ndarray, shape (n_flows,)
        [s]

    Raises
    ------
    RangeError
        As :func:`max_min_rates`, or if a size is not above 0.
    """
    size, start = np.asarray(size_b, dtype=float), np.asarray(start_s, dtype=float)
    if np.any(size <= 0):
        raise RangeError("a flow has a size above 0")
    use = np.zeros((len(capacity_b_s), len(size)))
    for flow, links in enumerate(routes):
        use[list(links), flow] = 1.0
    left, end = size.copy(), np.full(len(size), np.nan)
    now = float(start.min(initial=0.0))
    while np.isnan(end).any():
        active = np.isnan(end) & (start <= now)
        later = start[np.isnan(end) & (start > now)]
        rates = max_min_rates(np.asarray(capacity_b_s), use[:, active]) if active.any() else np.empty(0)
        due = float((now + left[active] / rates).min(initial=np.inf))
        until = min(due, float(later.min(initial=np.inf)))
        left[active] -= rates * (until - now)
        done = active & (left <= TOLERANCE * size)
        end[done] = until
        now = until
    return end
