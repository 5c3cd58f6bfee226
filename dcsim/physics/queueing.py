"""Waits in queues of one line and several servers: exact, and the usual approximation where theory is not."""

from typing import Any

import numpy as np
from scipy.special import gammaln, logsumexp

from dcsim.errors import RangeError


def erlang_c(servers: int, offered: Any) -> Any:
    r"""Chance that an arrival waits in M/M/c. [1]

    Parameters
    ----------
    servers : int
        At least 1. [1]
    offered : array_like, shape (n,)
        Arrivals times mean service time, from 0 and below ``servers``. [1]

    Raises
    ------
    RangeError
        If a value is outside its range.

    Notes
    -----
    .. math:: C(c, a) = \frac{\frac{a^c}{c!} \frac{c}{c - a}}{\sum_{k<c} \frac{a^k}{k!} + \frac{a^c}{c!} \frac{c}{c-a}}

    In logarithms, so that thousands of servers do not overflow.

    References
    ----------
    A. K. Erlang, 1917; L. Kleinrock, Queueing Systems 1, 1975, section 3.5.
    """
    a = np.asarray(offered, dtype=float)
    if servers < 1 or np.any(a < 0) or np.any(a >= servers):
        raise RangeError("Erlang's C needs at least a server and a load from 0 and below the servers")
    k = np.arange(servers, dtype=float)
    log_a = np.log(np.maximum(a, 1e-300))
    terms = k * log_a[..., None] - gammaln(k + 1.0)
    last = servers * log_a - gammaln(servers + 1.0) + np.log(servers / (servers - a))
    return np.where(a > 0, np.exp(last - np.logaddexp(logsumexp(terms, axis=-1), last)), 0.0)


def mmc_wait_s(rate_per_s: Any, service_s: Any, servers: int) -> Any:
    """Mean wait in M/M/c. [s]

    Parameters
    ----------
    rate_per_s, service_s : array_like, shape (n,)
        Arrivals and mean service time. [1/s], [s]
    servers : int
        At least 1. [1]

    Raises
    ------
    RangeError
        If the load is not below the servers.
    """
    offered = np.asarray(rate_per_s, dtype=float) * service_s
    return erlang_c(servers, offered) * service_s / (servers - offered)


def mg1_wait_s(rate_per_s: Any, service_s: Any, service_cv: Any) -> Any:
    r"""Mean wait in M/G/1, M/D/1 with a variation of 0. [s]

    Parameters
    ----------
    rate_per_s, service_s, service_cv : array_like, shape (n,)
        Arrivals, mean service time and its coefficient of variation. [1/s], [s], [1]

    Raises
    ------
    RangeError
        If the load is not below 1.

    Notes
    -----
    .. math:: W = \frac{\rho}{1 - \rho} \frac{1 + c_s^2}{2} s

    References
    ----------
    F. Pollaczek, 1930; A. Khinchine, 1932; Kleinrock, section 5.6.
    """
    load = np.asarray(rate_per_s, dtype=float) * service_s
    if np.any(load >= 1) or np.any(load < 0):
        raise RangeError("a single server needs a load from 0 and below 1")
    return load / (1.0 - load) * (1.0 + np.asarray(service_cv, dtype=float) ** 2) / 2.0 * service_s


def ggc_wait_s(rate_per_s: Any, service_s: Any, servers: int, gap_cv: Any, service_cv: Any) -> Any:
    r"""Mean wait in G/G/c after Allen and Cunneen; an approximation, exact for M/M/c and M/G/1. [s]

    Parameters
    ----------
    rate_per_s, service_s : array_like, shape (n,)
        Arrivals and mean service time. [1/s], [s]
    servers : int
        At least 1. [1]
    gap_cv, service_cv : array_like, shape (n,)
        Coefficients of variation of gaps between arrivals and of service times. [1]

    Raises
    ------
    RangeError
        If the load is not below the servers.

    Notes
    -----
    .. math:: W \approx \frac{C(c, a)}{c / s - \lambda} \frac{c_a^2 + c_s^2}{2}

    Gaps are taken as independent; where bursts last longer than gaps, as in request logs, the true wait is another.

    References
    ----------
    A. O. Allen, Probability, Statistics, and Queueing Theory, 2nd ed., 1990, section 6.2.
    """
    variation = (np.asarray(gap_cv, dtype=float) ** 2 + np.asarray(service_cv, dtype=float) ** 2) / 2.0
    return mmc_wait_s(rate_per_s, service_s, servers) * variation
