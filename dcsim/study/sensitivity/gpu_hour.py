"""What an owner pays for a GPU-hour that is sold, as a function of eleven uncertain inputs."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dcsim.finance.levelised import capital_usd_per_year, owner_cost_usd_per_gpu_h
from dcsim.model.distributions import Discrete, Distribution, Uniform
from dcsim.units import HOURS_PER_YEAR

Floats = NDArray[np.float64]

# Spans of an owner's inputs, 2023 to 2026: prices of servers and sites, book lives, costs of capital, tariffs; they are
# what the order of inputs is tested on, not a forecast.
OWNER_RANGES: dict[str, Distribution] = {
    "sold_frac": Uniform(low=0.5, high=0.95),
    "it_usd_per_gpu": Uniform(low=35e3, high=55e3),
    "life_years": Discrete(values=(3, 4, 5, 6)),
    "wacc_frac": Uniform(low=0.06, high=0.15),
    "residual_frac": Uniform(low=0.0, high=0.3),
    "opex_frac": Uniform(low=0.03, high=0.08),
    "power_usd_per_kwh": Uniform(low=0.04, high=0.14),
    "usd_per_mw": Uniform(low=9e6, high=15e6),
    "kw_per_gpu": Uniform(low=1.2, high=1.6),
    "pue": Uniform(low=1.08, high=1.5),
    "available_frac": Uniform(low=0.93, high=0.99),
}


def owner_usd_per_gpu_h(of: Mapping[str, Floats], *, site_life_years: float = 20.0) -> Floats:
    r"""Cost of a sold GPU-hour by row.

    Parameters
    ----------
    of : mapping of str to ndarray, shape (n,)
        Inputs as :data:`OWNER_RANGES` names them; IT is the whole price of servers and network a GPU, ``kw_per_gpu``
        IT power, ``opex_frac`` upkeep, staff and insurance a year over that price, ``usd_per_mw`` of IT power.
    site_life_years : float
        Life of building and plant, which then are worth nothing; whole years. [year]

    Notes
    -----
    .. math:: c = \frac{A(C, L, r, \rho) + A(K, L_s, r, 0) + o C + 8760 \, p \, q \, e}{8760 \, s \, a}
    """
    rate = of["wacc_frac"]
    yearly = {
        "IT": capital_usd_per_year(of["it_usd_per_gpu"], of["life_years"], rate, residual_frac=of["residual_frac"]),
        "site": capital_usd_per_year(of["usd_per_mw"] * of["kw_per_gpu"] / 1e3, site_life_years, rate),
        "operation": of["opex_frac"] * of["it_usd_per_gpu"],
        "energy": of["kw_per_gpu"] * of["pue"] * HOURS_PER_YEAR * of["power_usd_per_kwh"],
    }
    cost = owner_cost_usd_per_gpu_h(yearly, 1.0, sold_frac=of["sold_frac"], available_frac=of["available_frac"])
    return np.asarray(cost.usd_per_gpu_h)
