"""Cooling towers: leaving water, fan speed for a set point, evaporation, drift and blowdown."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcsim.errors import RangeError
from dcsim.physics.psychrometrics import (
    enthalpy_j_kg,
    humidity_ratio_from_vapour_pressure,
    saturated_temp_c,
    saturation_pressure_pa,
)
from dcsim.units import WATER_CP_J_KG_K

Floats = NDArray[np.float64]

# Approach [K] as a polynomial in wet bulb t [degC], range r [K] and liquid-to-gas ratio l [1]: YORK_CALC[i][j][k]
# belongs to l^i r^j t^k.
YORK_CALC = (
    (
        (-0.359741205, -0.055053608, 0.0023850432),
        (0.173926877, -0.0248473764, 0.00048430224),
        (-0.005589849456, 0.0005770079712, -0.00001342427256),
    ),
    (
        (2.84765801111111, -0.121765149, 0.0014599242),
        (1.680428651, -0.0166920786, -0.0007190532),
        (-0.025485194448, 0.0000487491696, 0.00002719234152),
    ),
    (
        (-0.0653766255555556, -0.002278167, 0.0002500254),
        (-0.0910565458, 0.00318176316, 0.000038621772),
        (-0.0034285382352, 0.00000856589904, -0.000001516821552),
    ),
)
WET_BULB_LIMITS_C = (-34.4, 26.7)
RANGE_LIMITS_K = (1.1, 22.2)
LIQUID_TO_GAS_LIMITS = (0.05, 8.0)


def _in_liquid_to_gas(wet_bulb_c: ArrayLike, range_k: float) -> tuple[Floats, Floats, Floats]:
    """Coefficients of the approach as a quadratic in the liquid-to-gas ratio, constant first."""
    wet = np.clip(np.asarray(wet_bulb_c, dtype=float), *WET_BULB_LIMITS_C)
    span = min(max(range_k, RANGE_LIMITS_K[0]), RANGE_LIMITS_K[1])
    # The range is one number, so each power of the wet bulb has one coefficient and rows cost a quadratic.
    powers = [[sum(by_range[j][k] * span**j for j in range(3)) for k in range(3)] for by_range in YORK_CALC]
    constant, linear, square = (c[0] + wet * (c[1] + wet * c[2]) for c in powers)
    return constant, linear, square


def approach_k(wet_bulb_c: ArrayLike, range_k: float, liquid_to_gas: ArrayLike = 1.0) -> Floats:
    r"""Leaving water above wet bulb, of the York tower.

    Parameters
    ----------
    wet_bulb_c : array_like, shape (n,)
        Entering wet bulb, -34.4 to 26.7; clipped to it, so hotter air keeps the approach of 26.7. [degC]
    range_k : float
        Entering less leaving water, 1.1 to 22.2; clipped to it. [K]
    liquid_to_gas : array_like, shape (n,)
        Water flow over air flow, each relative to design, 0.05 to 8; clipped to it. [1]

    Notes
    -----
    .. math:: A = \sum_{ijk} c_{ijk} \, l^i r^j t^k, \quad i, j, k \in \{0, 1, 2\}

    At full fan speed and a range of 5.6 K the approach is 3.9 K at 25.6 degC, 7.8 K at 10 degC and 11.2 K at 0 degC: a
    fixed approach flatters free cooling. Fitted for 0.75 to 1.25 of the design water flow, so tower cells are staged
    with the load and each keeps its design flow. Approaches fitted were 1.1 to 40 K. At ranges above 6 K the polynomial
    turns down again beyond 3.6 times the design ratio or more, where it is no longer a tower.

    References
    ----------
    .. [1] EnergyPlus Engineering Reference, CoolingTower:VariableSpeed, YorkCalc coefficients.
    """
    constant, linear, square = _in_liquid_to_gas(wet_bulb_c, range_k)
    ratio = np.clip(np.asarray(liquid_to_gas, dtype=float), *LIQUID_TO_GAS_LIMITS)
    approach: Floats = np.maximum(constant + ratio * (linear + ratio * square), 0.0)
    return approach


def liquid_to_gas_for(approach: ArrayLike, wet_bulb_c: ArrayLike, range_k: float) -> Floats:
    r"""Water flow over air flow, each relative to design, at which the tower just reaches an approach. [1]

    Parameters
    ----------
    approach : array_like, shape (n,)
        Leaving water wanted above wet bulb. [K]
    wet_bulb_c, range_k
        As for :func:`approach_k`.

    Returns
    -------
    ndarray, shape (n,)
        0.05 to 8; its inverse is the air flow over design air flow of a cell with design water flow. Below 1 even full
        fan speed does not reach the approach. The limit of 8 gives colder water than wanted.

    Notes
    -----
    The polynomial is quadratic in l and rises with it to 3.6 at least, at ranges up to 6 K to the limit of 8; so l is
    the smaller root of :math:`c_2 l^2 + c_1 l + c_0 - A = 0`, written so that it stays exact as :math:`c_2` vanishes:

    .. math:: l = \frac{2 (A - c_0)}{c_1 + \sqrt{c_1^2 + 4 c_2 (A - c_0)}}
    """
    constant, linear, square = _in_liquid_to_gas(wet_bulb_c, range_k)
    above = np.asarray(approach, dtype=float) - constant
    ratio = 2.0 * above / (linear + np.sqrt(np.maximum(linear * linear + 4.0 * square * above, 0.0)))
    return np.clip(ratio, *LIQUID_TO_GAS_LIMITS)


def evaporation_kg_j(
    dry_bulb_c: ArrayLike,
    humidity_ratio: ArrayLike,
    pressure_pa: ArrayLike,
    entering_water_c: ArrayLike,
    range_k: float,
    liquid_to_gas: ArrayLike,
    *,
    design_liquid_to_gas: float,
) -> Floats:
    r"""Water evaporated per joule of heat rejected, with the air leaving saturated.

    Parameters
    ----------
    dry_bulb_c, humidity_ratio, pressure_pa : array_like, shape (n,)
        Entering air. [degC], [kg/kg], [Pa]
    entering_water_c : array_like, shape (n,)
        Water from the load: air cannot leave hotter, so where the flow ratio would have it so, more air is drawn.
        [degC]
    range_k : float
        Entering less leaving water. [K]
    liquid_to_gas : array_like, shape (n,)
        Water flow over air flow, each relative to design. [1]
    design_liquid_to_gas : float
        Mass of water over mass of dry air at design. [kg/kg]

    Returns
    -------
    ndarray, shape (n,)
        At least 0, since a tower does not dry the air. [kg/J]

    Notes
    -----
    .. math:: h_{out} = h_{in} + \frac{L}{G} c_w R, \quad
              \frac{m_{evap}}{Q} = \frac{W_{sat}(T_{out}) - W_{in}}{h_{out} - h_{in}}, \quad T_{out} \le T_{w,in}

    The common rule that all heat leaves as vapour gives 1.47 kg/kWh everywhere; this balance gives 1.1 in Virginia and
    1.6 in Arizona. The enthalpy of make-up water is neglected.
    """
    inlet = np.asarray(humidity_ratio, dtype=float)
    inlet_j_kg = enthalpy_j_kg(dry_bulb_c, inlet)
    ratio = np.asarray(liquid_to_gas, dtype=float) * design_liquid_to_gas
    leaving_c = saturated_temp_c(inlet_j_kg + ratio * (WATER_CP_J_KG_K * range_k), pressure_pa)
    leaving_c = np.minimum(leaving_c, np.asarray(entering_water_c))
    outlet = humidity_ratio_from_vapour_pressure(saturation_pressure_pa(leaving_c), pressure_pa)
    taken_j_kg = np.maximum(enthalpy_j_kg(leaving_c, outlet) - inlet_j_kg, 1.0)
    evaporation: Floats = np.maximum(outlet - inlet, 0.0) / taken_j_kg
    return evaporation


def latent_heat_j_kg(temp_c: ArrayLike) -> Floats:
    r"""Heat of evaporation of water, 0 to 60 degC. [J/kg]

    Notes
    -----
    .. math:: h = 2500.5 - 2.3097 \, T - 0.0013 \, T^2 \quad [kJ/kg]

    References
    ----------
    .. [1] N. Lei, E. Masanet, "Climate- and technology-specific PUE and WUE estimations for U.S. data centers using a
       hybrid statistical and thermodynamics-based approach," Resour. Conserv. Recycl. 182 (2022).
    """
    t = np.asarray(temp_c, dtype=float)
    return 1e3 * (2500.5 - t * (2.3097 + 0.0013 * t))


def make_up(
    evaporation: ArrayLike, circulation: ArrayLike, *, cycles: float, drift_frac: float
) -> tuple[Floats, Floats]:
    """Drift and blowdown that go with an evaporation, all in the same unit.

    Parameters
    ----------
    evaporation, circulation : array_like, shape (n,)
        Water evaporated and water circulated. [kg/s]
    cycles : float
        Cycles of concentration, above 1: solids in the basin over solids in the make-up. [1]
    drift_frac : float
        Droplets lost over water circulated. [1]

    Raises
    ------
    RangeError
        If ``cycles`` is not above 1.

    Notes
    -----
    Solids balance: blowdown = evaporation / (cycles - 1) - drift, at least 0.
    """
    if cycles <= 1:
        raise RangeError(f"cycles of concentration must be above 1, got {cycles}")
    drift = drift_frac * np.asarray(circulation, dtype=float)
    return drift, np.maximum(np.asarray(evaporation) / (cycles - 1.0) - drift, 0.0)
