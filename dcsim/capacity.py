"""What stands at a site: from a number of servers to network, plant, feeds and the power at the meter."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.physics.cooling import plant, size
from dcsim.physics.electrical import ChainLosses, PowerChain, chain_losses, indoor_losses_w
from dcsim.physics.fabric import Fabric, FabricCounts
from dcsim.physics.plant import CoolingPart, HeatLoad, Outdoor, PlantHour, PlantRating
from dcsim.physics.servers import ServerPower

Floats = NDArray[np.float64]

# Where a part of the plant hangs on the UPS, its power and the UPS's heat depend on each other: each pass leaves a few
# thousandths of the error before.
UPS_PASSES = 5


@dataclass(frozen=True)
class Capacity:
    """What stands from ``start_s`` on, all phases energised by then together; powers in W.

    ``pool_servers`` and ``fabrics`` are by pool.
    """

    start_s: float
    pool_servers: tuple[int, ...]
    fabrics: tuple[FabricCounts, ...]
    it_design_w: float
    heat_design_w: float
    fabric_power_w: float
    support_power_w: float
    lighting_power_w: float
    critical_rating_w: float
    utility_rating_w: float
    plant: PlantRating
    plant_design_w: float
    facility_design_w: float

    @property
    def servers(self) -> int:
        """Servers of all pools."""
        return sum(self.pool_servers)

    @property
    def switches(self) -> int:
        """Switches of all compute networks."""
        return sum(fabric.switches for fabric in self.fabrics)

    @property
    def design_pue(self) -> float:
        """Facility power over IT power at full design load in the design hour. [1]"""
        return self.facility_design_w / self.it_design_w


@dataclass(frozen=True)
class PoolDesign:
    """A server of a pool and the compute network that connects them."""

    name: str
    server: ServerPower
    server_design_w: float
    ports_per_server: int
    radix: int
    fabric: Fabric
    oversubscription: float
    optical_hosts: bool
    switch_power_w: float
    optic_power_w: float

    def counts(self, servers: int) -> FabricCounts:
        """Network of so many servers.

        Raises
        ------
        CapacityError
            If it cannot connect them.
        """
        return self.fabric.counts(servers * self.ports_per_server, self.radix, self.oversubscription)

    def fabric_w(self, counts: FabricCounts) -> float:
        """Power of a network. [W]"""
        return counts.switches * self.switch_power_w + counts.optics(self.optical_hosts) * self.optic_power_w


@dataclass(frozen=True)
class SiteDesign:
    """The parts and rules that turn numbers of servers into a site."""

    chain: PowerChain
    cooling: CoolingPart
    outdoor: Outdoor
    pools: tuple[PoolDesign, ...]
    support_frac: float
    lighting_frac: float
    power_oversubscription: float = 1.0

    @property
    def _passes(self) -> int:
        return UPS_PASSES if self.chain.mechanical_ups_frac > 0 else 1

    def capacity(self, servers: tuple[int, ...], start_s: float, utility_w: float, critical_w: float) -> Capacity:
        """Site with so many servers.

        Parameters
        ----------
        servers : tuple of int
            By pool, from 0.
        start_s : float
            When it stands. [s]
        utility_w : float
            Utility power of its phases; infinite where only the load is asked for. [W]
        critical_w : float
            IT power that its UPS must carry; below the design load, the design load is taken. [W]

        Raises
        ------
        CapacityError
            If the design load exceeds the utility power, or the network cannot connect so many servers.
        """
        fabrics = tuple(pool.counts(n) for pool, n in zip(self.pools, servers, strict=True))
        fabric_w = sum(pool.fabric_w(counts) for pool, counts in zip(self.pools, fabrics, strict=True))
        servers_w = sum(n * pool.server_design_w for pool, n in zip(self.pools, servers, strict=True))
        at_once_w = servers_w / self.power_oversubscription
        it_w = at_once_w + servers_w * self.support_frac + fabric_w
        lighting_w = self.lighting_frac * it_w
        critical_w = max(critical_w, it_w)
        # Cold plates take their share of the electronics at most; what they leave, fans included, the air must take.
        # With fewer than all at their design power the fans may turn fast or slow, so each path is sized for its worst.
        liquid_w = least_w = 0.0
        for pool, n in zip(self.pools, servers, strict=True):
            pool_w, fans_w = n * pool.server_design_w, n * pool.server.fan_max_w
            pool_at_once_w = pool_w / self.power_oversubscription
            liquid_w += pool.server.liquid_frac * min(max(pool_w - fans_w, 0.0), pool_at_once_w)
            least_w += pool.server.liquid_frac * max(pool_at_once_w - fans_w, 0.0)
        plant_w = 0.0
        for _ in range(self._passes):
            pdu_w, ups_w = indoor_losses_w(
                self.chain,
                it_w,
                critical_rating_w=critical_w,
                mechanical_w=plant_w,
                mechanical_rating_w=plant_w,
            )
            heat = HeatLoad(it_w - least_w + float(pdu_w) + float(ups_w) + lighting_w, liquid_w)
            rating = size(self.cooling, heat, self.outdoor)
            plant_w = float(np.max(plant(self.cooling, heat, self.outdoor, rating).power_w))
        behind_w = it_w + float(pdu_w) + float(ups_w) + plant_w + lighting_w
        losses = chain_losses(
            self.chain,
            it_w,
            plant_w,
            lighting_w,
            critical_rating_w=critical_w,
            utility_rating_w=utility_w if np.isfinite(utility_w) else 2.0 * behind_w,
            mechanical_rating_w=plant_w,
        )
        return Capacity(
            start_s=start_s,
            pool_servers=servers,
            fabrics=fabrics,
            it_design_w=it_w,
            heat_design_w=rating.heat_w,
            fabric_power_w=fabric_w,
            support_power_w=servers_w * self.support_frac,
            lighting_power_w=lighting_w,
            critical_rating_w=critical_w,
            utility_rating_w=utility_w,
            plant=rating,
            plant_design_w=plant_w,
            facility_design_w=it_w + plant_w + lighting_w + float(losses.total_w),
        )

    def power(
        self, capacity: Capacity, it_w: Floats, liquid_w: Floats, outdoor: Outdoor
    ) -> tuple[ChainLosses, PlantHour]:
        """Losses and plant around an IT load.

        Parameters
        ----------
        capacity : Capacity
            What stands.
        it_w, liquid_w : ndarray, shape (n,)
            IT power, and the part of it that cold plates take. [W]
        outdoor : Outdoor
            Air of each hour, shape (n,).

        Raises
        ------
        CapacityError
            If a load exceeds its rating.
        """
        plant_w: Floats = np.zeros_like(it_w)
        for _ in range(self._passes):
            pdu_w, ups_w = indoor_losses_w(
                self.chain,
                it_w,
                critical_rating_w=capacity.critical_rating_w,
                mechanical_w=plant_w,
                mechanical_rating_w=capacity.plant_design_w,
            )
            heat = HeatLoad(it_w - liquid_w + pdu_w + ups_w + capacity.lighting_power_w, liquid_w)
            hours = plant(self.cooling, heat, outdoor, capacity.plant)
            plant_w = hours.power_w
        losses = chain_losses(
            self.chain,
            it_w,
            plant_w,
            capacity.lighting_power_w,
            critical_rating_w=capacity.critical_rating_w,
            utility_rating_w=capacity.utility_rating_w,
            mechanical_rating_w=capacity.plant_design_w,
        )
        return losses, hours
