"""Power purchase agreements over a plan: what each generates, what the site uses of it, and what its hub pays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dcsim.hourly_profiles import PRICE, Hours, year_of_hours
from dcsim.model.load import Loaded
from dcsim.model.power import PhysicalPpa, VirtualPpa
from dcsim.model.tree import Place

Floats = NDArray[np.float64]

LOWEST, HIGHEST = -5000.0, 20_000.0


@dataclass(frozen=True)
class Contracted:
    """A contract and what its plant generates in each interval, shape (n,). [W]

    ``hub_usd_per_mwh`` is the hub's price in each interval in the dollars of the plan's first year, of virtual ones
    alone; ``inputs`` are sha256 of files by what they hold.
    """

    contract: PhysicalPpa | VirtualPpa
    power_w: Floats
    hub_usd_per_mwh: Floats | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)

    def certified_w(self, used_w: Floats) -> Floats:
        """Power whose certificates are the site's, of which it uses *used_w*. [W]

        They come with all that is paid for: of a physical contract without take-or-pay, what the site uses.
        """
        if not self.contract.certificates:
            return np.zeros_like(self.power_w)
        paid_as_used = isinstance(self.contract, PhysicalPpa) and not self.contract.take_or_pay
        return used_w if paid_as_used else self.power_w


def contracted(
    loaded: Loaded, n_intervals: int, interval_s: int, solar: Callable[[Place], Floats]
) -> tuple[Contracted, ...]:
    """Contracts of a scenario laid over the intervals of its plan.

    Parameters
    ----------
    loaded : Loaded
    n_intervals, interval_s : int
        Intervals of the plan and the length of one. [s]
    solar : callable
        Gives the year of a solar plant in the site's weather, as output over capacity; a fault names the place given.

    Raises
    ------
    InputError
        If a profile or a hub's prices are no year of hours, with every fault of it; or a file does not exist.
    """
    hours = Hours(loaded, n_intervals, interval_s)
    found = []
    for index, contract in enumerate(loaded.scenario.site.ppas):
        place: Place = ("site", "ppas", index)
        power_w, sha = hours.output_w(contract, (*place, "profile"), solar)
        inputs = {} if sha is None else {f"power contract {contract.name}": sha}
        hub = None
        if isinstance(contract, VirtualPpa):
            year, prices_sha = _hub_year(loaded, contract, (*place, "hub_prices"))
            inputs |= {} if prices_sha is None else {f"hub of {contract.name}": prices_sha}
            hub = hours.laid(year)
        found.append(Contracted(contract, power_w, hub, inputs))
    return tuple(found)


def _hub_year(loaded: Loaded, contract: VirtualPpa, place: Place) -> tuple[Floats, str | None]:
    """Prices of a hub in the hours of a year, and the sha256 of the file that holds them. [USD/MWh]

    Raises
    ------
    InputError
        Also if prices whose mean is not above 0 should be scaled to one that is stated.
    """
    if contract.hub_prices is None:
        return np.full(8760, contract.hub_usd_per_mwh), None
    year, sha = year_of_hours(loaded, place, PRICE, LOWEST, HIGHEST, f"price from {LOWEST:g} to {HIGHEST:g} USD/MWh")
    if contract.hub_usd_per_mwh is not None:
        mean = float(year.mean())
        if mean <= 0:
            raise loaded.fault(
                place, f"the mean of its prices is {mean:.2f}, which cannot be scaled; leave out hub_usd_per_mwh"
            )
        year = year * (contract.hub_usd_per_mwh / mean)
    return year, sha


def used_w(contracts: Sequence[Contracted], grid_power_w: Floats) -> list[Floats]:
    """What the site uses of each contract in each interval, shape (n,); virtual ones deliver nothing. [W]

    Physical ones are used in the order stated, each up to what the ones before leave of the power at the meter.
    """
    left_w = grid_power_w
    used = []
    for one in contracts:
        taken = np.minimum(one.power_w, left_w) if isinstance(one.contract, PhysicalPpa) else np.zeros_like(left_w)
        left_w = left_w - taken
        used.append(taken)
    return used
