"""Standby generators: what is installed, and the fuel that their tests burn."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from dcsim.physics.electrical import REDUNDANCY
from dcsim.registry import lookup
from dcsim.units import HOURS_PER_YEAR, SECONDS_PER_HOUR


@dataclass(frozen=True)
class Generators:
    """Standby generators of a site and their tests on load banks.

    Parameters
    ----------
    kind : str
        ``diesel``, or ``none`` where the site stops with the grid.
    redundancy : str
        Topology of the sets, key of ``REDUNDANCY``; assumption N+1.
    test_h_per_year : float
        Hours that each set runs for tests; NFPA 110 asks for half an hour a month at least, sites run 12 to 50;
        assumption 24. [h]
    test_load_frac : float
        Load of a test over the rating; NFPA 110 asks for 0.3 at least. [1]
    """

    kind: Literal["diesel", "none"] = "diesel"
    redundancy: Literal["N", "N+1", "2N", "4N/3", "3N/2"] = "N+1"
    test_h_per_year: Annotated[float, Ge(0.0), Le(500.0)] = 24.0
    test_load_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.3


def installed_w(part: Generators, facility_design_w: float) -> float:
    """Ratings of all sets, which carry the facility in its design hour with one block out. [W]"""
    if part.kind == "none":
        return 0.0
    return facility_design_w * lookup(REDUNDANCY, part.redundancy, "redundancy").installed_over_required


def fuel_l_per_h(rating_w: float, load_frac: float, *, fixed_l_per_kwh: float, linear_l_per_kwh: float) -> float:
    r"""Fuel of sets that run at a share of their rating, linear in the load as Willans found of steam engines. [L/h]

    Parameters
    ----------
    rating_w : float
        Rating. [W]
    load_frac : float
        Load over rating, 0 to 1. [1]
    fixed_l_per_kwh, linear_l_per_kwh : float
        Fuel over the rating at no load, and over the energy delivered above it. [L/kWh]

    Notes
    -----
    .. math:: \dot V = P_r \, (f_0 + f_1 u)
    """
    return rating_w / 1e3 * (fixed_l_per_kwh + linear_l_per_kwh * load_frac)


def fuel_of_tests_l_per_s(
    part: Generators, facility_design_w: float, *, fixed_l_per_kwh: float, linear_l_per_kwh: float
) -> float:
    """Fuel of tests, spread evenly over the year since sets are tested in turn. [L/s]"""
    rating_w = installed_w(part, facility_design_w)
    burnt = fuel_l_per_h(
        rating_w, part.test_load_frac, fixed_l_per_kwh=fixed_l_per_kwh, linear_l_per_kwh=linear_l_per_kwh
    )
    return burnt * part.test_h_per_year / HOURS_PER_YEAR / SECONDS_PER_HOUR
