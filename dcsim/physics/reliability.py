"""Checkpoints and failures of a training run: how often to write, and what of the time remains effective."""

from typing import Any

import numpy as np
from scipy.special import gammainc, gammaincinv

from dcsim.errors import RangeError
from dcsim.units import SECONDS_PER_DAY

# Bytes of a weight in a checkpoint: the 16-bit weight, and the 32-bit weight and two moments of Adam.
CHECKPOINT_B_PER_WEIGHT = 14.0


def checkpoint_b(params: Any, *, b_per_weight: Any = CHECKPOINT_B_PER_WEIGHT) -> Any:
    """Size of a checkpoint of *params* weights. [B]

    BLOOM's 176 billion weights were saved in 2.3 TB, 13 bytes a weight.
    """
    return np.asarray(params, dtype=float) * b_per_weight


def checkpoint_write_s(size_b: Any, gpus: Any, *, storage_b_s: Any, host_b_s: Any) -> Any:
    """Time to write a checkpoint through to storage: by the host links of all GPUs, or by the storage. [s]

    Parameters
    ----------
    size_b : array_like, shape (n,)
        The checkpoint. [B]
    gpus : array_like, shape (n,)
        GPUs that each write their share. [1]
    storage_b_s, host_b_s : array_like
        Bandwidth of the storage for all of them, and from a GPU to its host. [B/s]
    """
    return np.asarray(size_b, dtype=float) / np.minimum(storage_b_s, np.asarray(gpus, dtype=float) * host_b_s)


def checkpoint_stall_s(size_b: Any, gpus: Any, *, storage_b_s: Any, host_b_s: Any, asynchronous: Any = True) -> Any:
    """Time for which a checkpoint stops the run: the copy to the hosts if the rest is asynchronous, else all. [s]"""
    copy_s = np.asarray(size_b, dtype=float) / (np.asarray(gpus, dtype=float) * host_b_s)
    return np.where(asynchronous, copy_s, checkpoint_write_s(size_b, gpus, storage_b_s=storage_b_s, host_b_s=host_b_s))


def time_to_failure_s(nodes: Any, failures_per_node_day: Any) -> Any:
    """Mean time to failure of a run that any failure of its nodes stops. [s]

    Parameters
    ----------
    nodes : array_like, shape (n,)
        Nodes, above 0. [1]
    failures_per_node_day : array_like, shape (n,)
        Rate of each. [1/day]

    Raises
    ------
    RangeError
        If there are no nodes.
    """
    nodes = np.asarray(nodes, dtype=float)
    if np.any(nodes <= 0):
        raise RangeError("a run needs a node")
    with np.errstate(divide="ignore"):
        return SECONDS_PER_DAY / (nodes * np.asarray(failures_per_node_day, dtype=float))


def young_interval_s(stall_s: Any, failure_s: Any) -> Any:
    r"""Checkpoint interval that loses least time, to first order.

    Parameters
    ----------
    stall_s, failure_s : array_like, shape (n,)
        Stall for a checkpoint and mean time to failure. [s]

    Notes
    -----
    .. math:: \tau = \sqrt{2 w \mu}

    References
    ----------
    .. [1] J. W. Young, "A first order approximation to the optimum checkpoint interval," CACM 17(9), 1974,
       :doi:`10.1145/361147.361115`.
    """
    return np.sqrt(2.0 * np.asarray(stall_s, dtype=float) * failure_s)


def daly_interval_s(stall_s: Any, failure_s: Any) -> Any:
    r"""Checkpoint interval that loses least time, to higher order.

    Notes
    -----
    With :math:`x = w / 2 \mu`, and the mean time to failure itself where the stall is at least twice that:

    .. math:: \tau = \sqrt{2 w \mu} \left(1 + \tfrac{1}{3} \sqrt{x} + \tfrac{1}{9} x\right) - w

    References
    ----------
    .. [1] J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps," FGCS 22(3), 2006,
       :doi:`10.1016/j.future.2004.11.016`.
    """
    stall, failure = np.asarray(stall_s, dtype=float), np.asarray(failure_s, dtype=float)
    x = stall / (2.0 * failure)
    interval = np.sqrt(2.0 * stall * failure) * (1.0 + np.sqrt(x) / 3.0 + x / 9.0) - stall
    return np.where(stall < 2.0 * failure, interval, failure)


def effective_time_frac(interval_s: Any, stall_s: Any, restart_s: Any, failure_s: Any) -> Any:
    r"""Share of a run's time that trains: effective training time ratio.

    Parameters
    ----------
    interval_s : array_like, shape (n,)
        Training between two checkpoints. [s]
    stall_s, restart_s : array_like, shape (n,)
        Stall for a checkpoint; detection, rescheduling, start and load after a failure. [s]
    failure_s : array_like, shape (n,)
        Mean time to failure. [s]

    Raises
    ------
    RangeError
        If an interval is not above 0.

    Notes
    -----
    Half an interval of work is lost with each failure, 0 where failures leave no time:

    .. math:: E = \frac{1 - (u_0 + \tau / 2) / \mu}{1 + w / \tau}

    References
    ----------
    .. [1] A. Kokolis et al., "Revisiting reliability in large-scale machine learning research clusters," HPCA 2025,
       :arxiv:`2410.21680`.
    """
    interval = np.asarray(interval_s, dtype=float)
    if np.any(interval <= 0):
        raise RangeError("a checkpoint interval must be above 0")
    left = 1.0 - (np.asarray(restart_s, dtype=float) + interval / 2.0) / failure_s
    return np.maximum(left, 0.0) / (1.0 + np.asarray(stall_s, dtype=float) / interval)


def rate_without_worst(rate: Any, removed_frac: Any, *, shape: Any) -> Any:
    r"""Mean failure rate of the nodes that stay when the worst are taken out.

    Parameters
    ----------
    rate : array_like, shape (n,)
        Mean rate of all nodes. [1/day]
    removed_frac : array_like, shape (n,)
        Share of nodes taken out, those of highest rate, 0 to below 1. [1]
    shape : array_like
        Shape k of the gamma distribution of rates over nodes; small where a few "lemons" fail most. [1]

    Notes
    -----
    With P the regularised lower incomplete gamma function and x its quantile at :math:`1 - q`:

    .. math:: \bar r' = \bar r \, \frac{P(k + 1, x)}{1 - q}
    """
    removed, k = np.asarray(removed_frac, dtype=float), np.asarray(shape, dtype=float)
    if np.any((removed < 0) | (removed >= 1)):
        raise RangeError("the share taken out must be 0 to below 1")
    kept = gammainc(k + 1.0, gammaincinv(k, 1.0 - removed))
    return np.asarray(rate, dtype=float) * np.where(removed > 0, kept, 1.0) / (1.0 - removed)
