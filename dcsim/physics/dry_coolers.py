"""Dry coolers and free-cooling coils: fan speed for a set point, and the temperature reached at full speed."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Assumption, 1.0 to 1.5: conductance rises with air speed to the power 1/1.1, near the air-side law of finned coils
# with little resistance on the liquid side; 1.5 suits coils with more.
SPEED_EXPONENT = 1.1
MIN_MARGIN_K = 0.1


def speed_frac_for(
    heat_frac: ArrayLike,
    set_point_c: ArrayLike,
    dry_bulb_c: ArrayLike,
    *,
    design_approach_k: float,
    exponent: float = SPEED_EXPONENT,
) -> Floats:
    r"""Fan speed over design speed that holds a leaving temperature; above 1 where full speed is not enough.

    Parameters
    ----------
    heat_frac : array_like, shape (n,)
        Heat over design heat, 0 or more. [1]
    set_point_c, dry_bulb_c : array_like, shape (n,)
        Leaving liquid wanted and air; a difference below 0.1 K is taken as 0.1 K. [degC]
    design_approach_k : float
        Leaving liquid above air at design heat and full speed. [K]
    exponent : float
        Speed goes with the conductance to this power. [1]

    Notes
    -----
    All coolers share the heat, so at part load each turns slower. Conductance needed over design
    conductance is the heat ratio times the ratio of approaches:

    .. math:: v = \left(\frac{q \, \Delta T_d}{T_{set} - T_{db}}\right)^{1.1}
    """
    margin_k = np.maximum(np.asarray(set_point_c, dtype=float) - np.asarray(dry_bulb_c, dtype=float), MIN_MARGIN_K)
    speed: Floats = (np.asarray(heat_frac, dtype=float) * design_approach_k / margin_k) ** exponent
    return speed


def leaving_c(
    heat_frac: ArrayLike, set_point_c: ArrayLike, dry_bulb_c: ArrayLike, *, design_approach_k: float
) -> Floats:
    """Liquid that leaves under control: the set point, or what full speed reaches where that is hotter. [degC]

    Parameters as for :func:`speed_frac_for`. Where the lowest fan speed would give colder liquid, a bypass holds the
    set point.
    """
    reached = np.asarray(dry_bulb_c, dtype=float) + np.asarray(heat_frac, dtype=float) * design_approach_k
    leaving: Floats = np.maximum(np.asarray(set_point_c, dtype=float), reached)
    return leaving
