"""What contracts of power delivered, left over and settled, month by month."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.finance.bill import Supplied
from dcsim.model.power import PhysicalPpa, VirtualPpa
from dcsim.ppa import Contracted, used_w
from dcsim.steps import sum_by
from dcsim.units import J_PER_MWH

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ContractMonths:
    """A contract by month, arrays of shape (n_months,).

    Of a physical one: what it generated and what the site used. [MWh] Of a virtual one: what was settled [MWh], and
    what the hub paid for it, nominal [USD].
    """

    contract: PhysicalPpa | VirtualPpa
    generated_mwh: Floats
    used_mwh: Floats
    settled_mwh: Floats
    hub_usd: Floats


def yearly_rise(frac_per_year: float, months_since: Ints) -> Floats:
    """Factor of a price that rises at each anniversary, by months since it first held; 1 before. [1]"""
    return np.asarray((1.0 + frac_per_year) ** np.maximum(months_since // 12, 0))


def contract_months(
    contracts: Sequence[Contracted], grid_power_w: Floats, duration_s: Floats, month: Ints
) -> tuple[ContractMonths, ...]:
    """Sum contracts into months.

    Parameters
    ----------
    contracts : sequence of Contracted
    grid_power_w, duration_s : ndarray, shape (n,)
        Mean power at the meter and length of the interval. [W], [s]
    month : ndarray of int, shape (n,)
        Month of each interval, from 0, non-decreasing.
    """
    n_months = int(month[-1]) + 1

    def total_mwh(power_w: Floats) -> Floats:
        return sum_by(month, power_w * duration_s / J_PER_MWH, n_months)

    found = []
    for one, taken_w in zip(contracts, used_w(contracts, grid_power_w), strict=True):
        settled = hub_usd = np.zeros(n_months)
        if isinstance(one.contract, VirtualPpa) and one.hub_usd_per_mwh is not None:
            price = one.hub_usd_per_mwh * yearly_rise(one.contract.hub_rise_frac_per_year, month)
            power_w = one.power_w
            if one.contract.floor_usd_per_mwh is not None:
                power_w = np.where(price >= one.contract.floor_usd_per_mwh, power_w, 0.0)
            settled, hub_usd = total_mwh(power_w), total_mwh(power_w * price)
        found.append(ContractMonths(one.contract, total_mwh(one.power_w), total_mwh(taken_w), settled, hub_usd))
    return tuple(found)


def supplied(contracts: Sequence[Contracted], grid_power_w: Floats) -> list[Supplied]:
    """What physical contracts take off the energy that the tariff sells."""
    return [
        Supplied(taken_w, one.contract.still_billed)
        for one, taken_w in zip(contracts, used_w(contracts, grid_power_w), strict=True)
        if isinstance(one.contract, PhysicalPpa)
    ]
