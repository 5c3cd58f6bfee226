"""Compression chillers: efficiency as a fraction of Carnot's, part load, staging.

The DOE-2 curves that many tools carry hold for chilled water of 5 to 10 degC and condenser water of 24 to 35 degC. Data
centers run warmer water, where those curves give half of the efficiency that thermodynamics allows (COP 4.7 instead of
11 at 18 and 25 degC), so a fraction of Carnot's efficiency is the default, and the curves refuse warmer water.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcsim.errors import RangeError
from dcsim.units import KELVIN_AT_0_C

Floats = NDArray[np.float64]

# How a chiller's full-load efficiency follows its temperatures.
ChillerCurve = Literal["carnot", "doe2"]
# Where the DOE-2 curves hold: leaving chilled water, entering condenser water, and the point that they are scaled at.
DOE2_CHILLED_C = (5.0, 10.0)
DOE2_CONDENSER_C = (24.0, 35.0)
DOE2_REFERENCE_C = (6.67, 29.44)


def carnot_cop(
    evaporating_c: ArrayLike,
    condensing_c: ArrayLike,
    *,
    carnot_frac: float,
    min_lift_k: float = 8.0,
    max_cop: float = 14.0,
) -> Floats:
    r"""Coefficient of performance at full load.

    Parameters
    ----------
    evaporating_c, condensing_c : array_like, shape (n,)
        Refrigerant temperatures. [degC]
    carnot_frac : float
        Share of Carnot's efficiency: 0.58 old, 0.62 centrifugal, 0.70 magnetic bearings; 0.47 to 0.50 air-cooled with
        its condenser fans. [1]
    min_lift_k : float
        Lift below which the machine gains nothing, since oil and refrigerant must keep moving; assumption, 6 to 12. [K]
    max_cop : float
        Cap; assumption, 12 to 20. [1]

    Notes
    -----
    .. math:: COP = \min\left(COP_{max}, \epsilon \frac{T_e}{\max(T_c - T_e, \Delta T_{min})}\right)

    0.63 meets the DOE-2 reference chiller, COP 5.5 at 6.7 degC chilled and 29.4 degC condenser water.

    References
    ----------
    .. [1] EnergyPlus Engineering Reference, Chiller:Electric:EIR, reference centrifugal chiller (anchor).
    """
    evaporating_k = np.asarray(evaporating_c, dtype=float) + KELVIN_AT_0_C
    lift_k = np.maximum(np.asarray(condensing_c, dtype=float) + KELVIN_AT_0_C - evaporating_k, min_lift_k)
    return np.minimum(carnot_frac * evaporating_k / lift_k, max_cop)


def doe2_cop(chilled_c: float, condenser_c: ArrayLike, *, reference_cop: ArrayLike) -> Floats:
    r"""Coefficient of performance at full load by the DOE-2 curve of a centrifugal chiller.

    Parameters
    ----------
    chilled_c : float
        Leaving chilled water, 5 to 10. [degC]
    condenser_c : array_like, shape (n,)
        Entering condenser water, at most 35; below 24 the curve is held at 24, so colder towers gain nothing. [degC]
    reference_cop : float
        Efficiency at 6.67 degC chilled and 29.44 degC entering condenser water; 5.5 in the data set. [1]

    Raises
    ------
    RangeError
        If chilled water lies outside 5 to 10 degC or condenser water above 35 degC: the polynomial turns down there.

    Notes
    -----
    .. math:: EIRFT = 0.933884 - 0.058212 T_e + 0.00450036 T_e^2 + 0.00243 T_c + 0.000486 T_c^2 - 0.001215 T_e T_c

    References
    ----------
    .. [1] EnergyPlus Engineering Reference, Chiller:Electric:EIR; DOE-2 centrifugal data set.
    """
    low, high = DOE2_CHILLED_C
    if not low <= chilled_c <= high:
        raise RangeError(
            f"DOE-2 curves hold for chilled water of {low:g} to {high:g} degC, got {chilled_c:g} degC: "
            "take chiller_curve: carnot for warmer water"
        )
    entering = np.asarray(condenser_c, dtype=float)
    held, hottest = DOE2_CONDENSER_C
    if entering.size and float(np.max(entering)) > hottest:
        raise RangeError(
            f"DOE-2 curves hold for condenser water up to {hottest:g} degC, got {float(np.max(entering)):.1f} degC: "
            "take chiller_curve: carnot for this climate"
        )
    te, tc = chilled_c, np.maximum(entering, held)
    eirft = 0.933884 + te * (0.00450036 * te - 0.058212) + tc * (0.00243 + 0.000486 * tc - 0.001215 * te)
    cop: Floats = np.asarray(reference_cop, dtype=float) / eirft
    return cop


def part_load_power_factor(load_frac: ArrayLike) -> Floats:
    r"""Power over full-load power of one machine at part load, 0 to 1 (to 1.2 extrapolated). [1]

    Notes
    -----
    .. math:: EIRFPLR = 0.222903 + 0.313387 x + 0.46371 x^2

    References
    ----------
    .. [1] EnergyPlus Engineering Reference, Chiller:Electric:EIR; DOE-2 centrifugal data set.
    """
    x = np.asarray(load_frac, dtype=float)
    return 0.222903 + x * (0.313387 + 0.46371 * x)


def running_units(load_units: ArrayLike, *, installed: float) -> Floats:
    """Machines that run: the fewest that carry the load, at least 1 and at most those installed. [1]

    Parameters
    ----------
    load_units : array_like, shape (n,)
        Load over the rating of one machine, 0 or more. [1]
    installed : float
        Machines installed, redundant ones included. [1]
    """
    return np.clip(np.ceil(np.asarray(load_units, dtype=float) - 1e-9), 1.0, installed)


def compressor_w(
    load_w: ArrayLike,
    cop: ArrayLike,
    rating_w: ArrayLike,
    *,
    units: float,
    redundant_units: float = 0.0,
    min_load_frac: float = 0.15,
) -> Floats:
    r"""Power of a plant of equal chillers.

    Parameters
    ----------
    load_w : array_like, shape (n,)
        Heat taken from the chilled water, 0 or more; above what is installed, machines are taken as overloaded. [W]
    cop : array_like, shape (n,)
        Efficiency at full load and these temperatures. [1]
    rating_w : array_like, shape (n,)
        Heat that ``units`` machines take; 0 where there are none. [W]
    units, redundant_units : float
        Machines that carry the rating, at least 1, and more that start above it. [1]
    min_load_frac : float
        Load below which one machine cycles and its power is proportional; 0.1 to 0.2. [1]

    Raises
    ------
    RangeError
        If ``units`` is below 1.

    Notes
    -----
    .. math:: P = \frac{Q}{COP} \, \frac{EIRFPLR(x)}{x}, \quad x = \max\left(x_{min}, \frac{Q}{k Q_1}\right)

    with k machines of rating :math:`Q_1` running.
    """
    if units < 1:
        raise RangeError(f"a chiller plant needs at least one unit, got {units}")
    load, rating = np.asarray(load_w, dtype=float), np.asarray(rating_w, dtype=float)
    load_units = load * np.divide(units, rating, out=np.zeros(rating.shape), where=rating > 0)
    x = load_units / running_units(load_units, installed=units + redundant_units)
    steady = np.maximum(x, min_load_frac)
    power_w: Floats = load / np.asarray(cop) * (part_load_power_factor(steady) / steady)
    return power_w


def capacity_frac(hotter_k: ArrayLike, *, loss_per_k: float = 0.016) -> Floats:
    """Capacity over rating where the condenser is hotter than at the design hour, 0.1 to 1. [1]

    Parameters
    ----------
    hotter_k : array_like, shape (n,)
        Condenser water, or air of an air-cooled machine, above that of the design hour. [K]
    loss_per_k : float
        Capacity lost a kelvin; slope of DOE-2's CAPFT from 29.4 to 35 degC at 6.67 degC, assumed for air-cooled too.
        [1/K]
    """
    return 1.0 - np.clip(loss_per_k * np.asarray(hotter_k, dtype=float), 0.0, 0.9)


def supply_rise_k(load_frac: ArrayLike, hotter_k: ArrayLike, *, gain_per_k: float = 0.026) -> Floats:
    """Kelvin by which chilled water gets too warm where all machines together cannot carry the load; else 0. [K]

    Parameters
    ----------
    load_frac : array_like, shape (n,)
        Load over the rating of all machines installed. [1]
    hotter_k : array_like, shape (n,)
        As for :func:`capacity_frac`.
    gain_per_k : float
        Capacity gained a kelvin of warmer chilled water; slope of DOE-2's CAPFT at 6.67 degC and 29.4 degC. [1/K]
    """
    return np.maximum(np.asarray(load_frac, dtype=float) / capacity_frac(hotter_k) - 1.0, 0.0) / gain_per_k
