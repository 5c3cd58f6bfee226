"""Contracted carbon-free power over a plan, and the carbon that is left by year and by hour."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.hourly_profiles import Hours
from dcsim.model.facility import CleanPower
from dcsim.model.load import Loaded

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CleanSupply:
    """A contract and what it delivers in each interval, shape (n,). [W]"""

    contract: CleanPower
    power_w: Floats
    sha256: str | None


def supplies(loaded: Loaded, n_intervals: int, interval_s: int) -> tuple[CleanSupply, ...]:
    """Contracts of a scenario laid over the intervals of its plan.

    Raises
    ------
    InputError
        If a profile is no year of hours between 0 and 1, with every fault of it; or its file does not exist.
    """
    hours = Hours(loaded, n_intervals, interval_s)
    return tuple(
        CleanSupply(contract, *hours.output_w(contract, ("site", "clean_power", index, "profile")))
        for index, contract in enumerate(loaded.scenario.site.clean_power)
    )


def carbon_left_kg(
    energy_kwh: Floats, clean_kwh: Floats, intensity_kg_per_kwh: Floats, year: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Carbon of the energy that no contract covers, matched within each calendar year, and within each interval. [kg]

    Parameters
    ----------
    energy_kwh, clean_kwh : ndarray, shape (n,)
        Energy used and delivered under contract. [kWh]
    intensity_kg_per_kwh : ndarray, shape (n,)
        Of the energy that no contract covers: the residual mix, else the grid's. [kg/kWh]
    year : ndarray, shape (n,)
        Calendar year of each interval.

    Notes
    -----
    By the year, every interval keeps the same uncovered share :math:`\\max(0, 1 - C_y / E_y)`; by the interval what is
    left is :math:`\\max(0, e_i - c_i)`. Excess is neither sold nor carried over.

    References
    ----------
    .. [1] WRI, GHG Protocol Scope 2 Guidance, 2015: market-based method.
    """
    index = year - int(year.min())
    used, covered = (np.bincount(index, weights=values) for values in (energy_kwh, clean_kwh))
    share = np.divide(np.minimum(covered, used), used, out=np.zeros_like(used), where=used > 0)
    left = 1.0 - share
    by_year: Floats = left[index] * energy_kwh * intensity_kg_per_kwh
    by_interval: Floats = np.maximum(energy_kwh - clean_kwh, 0.0) * intensity_kg_per_kwh
    return by_year, by_interval
