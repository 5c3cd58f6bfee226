"""Radiation and wind of a weather year, where its file holds them: what photovoltaics need."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# More than the sun gives outside the atmosphere, and more missing hours than may be taken as dark.
MAX_W_M2, MAX_MISSING_FRAC = 1500.0, 0.02
# Where the wind is not known. [m/s]
CALM_M_S = 1.0


@dataclass(frozen=True)
class Radiation:
    """Mean radiation and wind of each hour of a weather year, row i from hour i to i + 1, and where they were taken."""

    latitude_deg: float
    longitude_deg: float
    global_w_m2: Floats
    direct_w_m2: Floats
    diffuse_w_m2: Floats
    wind_m_s: Floats


def radiation(
    latitude_deg: float, longitude_deg: float, horizontal: Any, direct: Any, diffuse: Any, wind: Any
) -> Radiation | None:
    """Radiation of a file, None where it holds no plausible year of it.

    Parameters
    ----------
    latitude_deg, longitude_deg : float
        North and east. [deg]
    horizontal, direct, diffuse : array_like, shape (n,)
        Global on the horizontal, direct on a plane to the sun, diffuse on the horizontal, means of the hour. [W/m2]
    wind : array_like, shape (n,)
        Wind speed. [m/s]

    Notes
    -----
    Up to 2 % of hours without a value are taken as dark; an hour without wind as nearly calm.
    """
    parts = []
    for values in (horizontal, direct, diffuse):
        known = np.array(values, dtype=float)
        missing = ~((known >= 0.0) & (known <= MAX_W_M2))
        if missing.mean() > MAX_MISSING_FRAC or not (known[~missing] > 0).any():
            return None
        known[missing] = 0.0
        parts.append(known)
    speed = np.array(wind, dtype=float)
    speed[~((speed >= 0.0) & (speed <= 60.0))] = CALM_M_S
    return Radiation(latitude_deg, longitude_deg, parts[0], parts[1], parts[2], speed)
