"""Power of a GPU server: electronics by duty and stall, fans by heat and inlet temperature."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcsim.errors import RangeError
from dcsim.physics.fluids import server_fan_w

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ServerPower:
    """What a server draws.

    Parameters
    ----------
    electronics_idle_w, electronics_max_w : float
        All but the fans, idle and under the heaviest measured work. [W]
    fan_max_w : float
        Fans at full speed. [W]
    liquid_frac : float
        Share of the electronics' heat that cold plates take. [1]
    """

    electronics_idle_w: float
    electronics_max_w: float
    fan_max_w: float
    liquid_frac: float


def electronics_w(
    server: ServerPower, duty_frac: ArrayLike, stall_frac: ArrayLike = 0.0, *, stall_power_frac: ArrayLike = 0.0
) -> Floats:
    r"""Power of a server without its fans.

    Parameters
    ----------
    server : ServerPower
    duty_frac : array_like, shape (n,)
        Power above idle while computing, over the heaviest measured; 0 to 1. [1]
    stall_frac : array_like, shape (n,)
        Share of the time in which the GPUs wait for the network; 0 to 1. [1]
    stall_power_frac : array_like, shape (n,)
        Power above idle while they wait, over that while they compute. [1]

    Raises
    ------
    RangeError
        If a duty or a stall share is outside 0 to 1.

    Notes
    -----
    .. math:: P = P_{idle} + (P_{max} - P_{idle}) \, d \, (1 - s + \kappa s)

    Waiting GPUs poll, so they draw more than a bare idle one: about a third of the power above idle, fitted on
    published runs of several nodes. The stall share of the catalog's workload classes is a power proxy and holds that
    already, so it goes with a share of 0. The idle power holds CPUs, memory, network cards and switches of the node;
    what these draw more under work is part of the power above idle.
    """
    duty, stall = np.asarray(duty_frac, dtype=float), np.asarray(stall_frac, dtype=float)
    for what, share in (("duty", duty), ("stall share", stall)):
        if np.any((share < 0) | (share > 1)):
            raise RangeError(f"{what} must be 0 to 1, got {share.min():g} to {share.max():g}")
    busy = duty * (1.0 - stall + np.asarray(stall_power_frac) * stall)
    power: Floats = server.electronics_idle_w + (server.electronics_max_w - server.electronics_idle_w) * busy
    return power


def fan_w(server: ServerPower, electronics: ArrayLike, inlet_c: Any) -> Floats:
    r"""Power of a server's fans.

    Parameters
    ----------
    server : ServerPower
    electronics : array_like, shape (n,)
        Power of the electronics. [W]
    inlet_c : float
        Air temperature at the server's inlet. [degC]

    Notes
    -----
    Airflow follows the electronics' power, by :func:`dcsim.physics.fluids.server_fan_w`. The share on cold plates
    needs no air; ``fan_max_w`` of such a server is that of the fans that remain.
    """
    return server_fan_w(server.fan_max_w, np.asarray(electronics, dtype=float) / server.electronics_max_w, inlet_c)


def busy_frac(utilisation_frac: ArrayLike, *, exponent: float = 1.4) -> Floats:
    r"""Power of a processor node above idle, over that at full use.

    Parameters
    ----------
    utilisation_frac : array_like, shape (n,)
        Share of the processors' cycles that are used, 0 to 1. [1]
    exponent : float
        Calibrated on thousands of servers; 1 makes the curve a line. [1]

    Raises
    ------
    RangeError
        If a share is outside 0 to 1.

    Notes
    -----
    .. math:: f = 2 u - u^r

    Power rises fast at little use, since one busy core wakes what all share.

    References
    ----------
    .. [1] X. Fan, W.-D. Weber, L. A. Barroso, "Power provisioning for a warehouse-sized computer," ISCA 2007,
       :doi:`10.1145/1250662.1250665`.
    """
    u = np.asarray(utilisation_frac, dtype=float)
    if np.any((u < 0) | (u > 1)):
        raise RangeError("a share of the processors' cycles is between 0 and 1")
    return 2.0 * u - u**exponent
