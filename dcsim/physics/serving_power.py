"""Power of a GPU that serves, by what its steps use of memory bandwidth and matrix units."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.physics.transformer import Rows


@dataclass(frozen=True)
class ServingPower(Rows):
    """Power of a GPU that serves, in shares of its rated power; each field a scalar or array_like of shape (n,).

    Parameters
    ----------
    base, memory, compute : array_like
        Power while a model is loaded and running, and what full use of memory and of the matrix units adds. [1]
    exponent : array_like
        How power follows the use of the matrix units. [1]
    experts : array_like
        Power of a model with experts over that of one without, at the same use. [1]
    cap : array_like
        Share of the rated power that no work exceeds. [1]
    scale : array_like
        Power of the architecture over that of the one that the others were fitted on, at the same use. [1]
    """

    base: Any
    memory: Any
    compute: Any
    exponent: Any
    experts: Any
    cap: Any
    scale: Any = 1.0


def serving_power_frac(memory_frac: Any, compute_frac: Any, moe: Any, fit: ServingPower) -> Any:
    r"""Mean power of a GPU that serves, over its rated power. [1]

    Parameters
    ----------
    memory_frac, compute_frac : array_like, shape (n,)
        Share of peak memory bandwidth and of the peak matrix rate that steps use. [1]
    moe : array_like, shape (n,)
        Whether the model has experts. [bool]
    fit : ServingPower
        Calibration.

    Notes
    -----
    .. math:: p = z \left(c^{-4} + q^{-4}\right)^{-1/4}, \quad q = (p_0 + a u_m + b u_c^{\gamma}) \, x

    Power saturates smoothly at the cap, as its control loop makes it.
    """
    asked = fit.base + fit.memory * memory_frac + fit.compute * compute_frac**fit.exponent
    asked = asked * np.where(moe, fit.experts, 1.0)
    return fit.scale * (np.asarray(fit.cap, dtype=float) ** -4.0 + asked**-4.0) ** -0.25
