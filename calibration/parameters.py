"""A fitted parameter with its interval over sessions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

# Standard deviation of the logarithm between sessions by class of kernel, where fewer than three were run. Seen between
# quiet sessions on a processor; not measured on a GPU.
BETWEEN_SESSIONS = {
    "gemm": 0.05,
    "copy": 0.06,
    "collective": 0.30,
    "training": 0.15,
    "checkpoint": 0.20,
    "power": 0.02,
}
LEAST_SESSIONS = 3
# A fitted curve that misses a point by more than this is not identified.
MOST_MISS = 0.5


@dataclass(frozen=True)
class Parameter:
    """A fitted parameter.

    Parameters
    ----------
    value, unit
        Geometric mean over sessions, null where it was not measured.
    low, high : float or None
        95 % interval.
    log_sd, prior_log_sd, sessions
        Standard deviation of the logarithm between sessions, measured or the prior; the prior of the kernel's class;
        and how many sessions there were.
    basis : str
        ``sessions``, ``gpus`` or ``prior``: where the interval comes from.
    higher_is_better : bool
        Whether a larger value is a faster machine.
    max_rel_err : float or None
        Largest miss of a point by the fitted curve. [1]
    identified : bool
        Whether the samples tell it.
    reason : str
        Why it is null or not identified.
    """

    value: float | None
    unit: str
    low: float | None
    high: float | None
    log_sd: float
    prior_log_sd: float
    sessions: int
    basis: str
    higher_is_better: bool
    max_rel_err: float | None
    identified: bool
    reason: str = ""


def absent(unit: str, reason: str, *, higher_is_better: bool = True) -> Parameter:
    """A parameter that was not measured, and why."""
    return Parameter(None, unit, None, None, 0.0, 0.0, 0, "none", higher_is_better, None, False, reason)


def over_sessions(
    values: Sequence[float],
    unit: str,
    kind: str,
    *,
    higher_is_better: bool = True,
    max_rel_err: float | None = None,
    systematic: float = 0.0,
    basis: str = "sessions",
    reason: str = "",
) -> Parameter:
    """Mean and interval of a parameter that every session, or every GPU of a fleet, gave once.

    Parameters
    ----------
    values : sequence of float
        One a session, above 0.
    unit, kind : str
        Its unit, and its class in :data:`BETWEEN_SESSIONS`.
    higher_is_better, max_rel_err
        As of :class:`Parameter`.
    systematic : float
        Error that all sessions share, such as a power sensor's gain: standard deviation of the logarithm. [1]
    basis : str
        What the values are of.
    reason : str
        Why it is not identified, if it is not.

    Notes
    -----
    With three values or more a t interval on their logarithms; a bootstrap over pooled samples would cover 25 to 67 %
    where it claims 95, since sessions differ more than samples do. With fewer, the class's prior.
    """
    logs = np.log(values)
    n = len(logs)
    prior = BETWEEN_SESSIONS[kind]
    if n >= LEAST_SESSIONS:
        log_sd, reach = float(np.std(logs, ddof=1)), float(student.ppf(0.975, n - 1))
    else:
        log_sd, basis, reach = prior, "prior", 1.96
    half = math.hypot(reach * log_sd / math.sqrt(n), 1.96 * systematic)
    value = float(np.exp(logs.mean()))
    if max_rel_err is not None and max_rel_err > MOST_MISS:
        reason = f"the fitted curve misses a point by {100 * max_rel_err:.0f} %"
    return Parameter(
        value,
        unit,
        value * math.exp(-half),
        value * math.exp(half),
        log_sd,
        prior,
        n,
        basis,
        higher_is_better,
        max_rel_err,
        not reason,
        reason,
    )
