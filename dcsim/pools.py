"""Pools of servers: what each is made of, and what a plan asks of it that it cannot do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.capacity import PoolDesign
from dcsim.catalog.load import Assumptions
from dcsim.model.facility import Fabric, PoolParts
from dcsim.model.load import Loaded
from dcsim.nodes import server_power
from dcsim.physics.cooling import COOLING
from dcsim.physics.fabric import FABRICS
from dcsim.registry import lookup
from dcsim.services import PoolServices, Services
from dcsim.units import kw_from_w, w_from_kw

Floats = NDArray[np.float64]

# Scheduling policies that switch idle nodes off.
SWITCHING = ("easy_shutdown",)


@dataclass(frozen=True)
class Turns:
    """Jobs that use GPUs in turns: share of a GPU's time that each class needs, and time that turns cost. [1]"""

    need_frac: Floats
    overhead_frac: float


@dataclass(frozen=True)
class BuiltPool:
    """Servers of one kind: what jobs get and draw there, and how they stand under their leaves and in racks.

    Services are those of an instance, where each GPU is split into several, and of a node, where servers have none.
    """

    name: str
    server: str
    has_gpus: bool
    services: Services
    instances: int
    turns: Turns | None
    speed: Floats
    nodes_per_leaf: int
    nodes_per_rack: int
    node_off_w: float
    oversubscription: float

    @property
    def gpus_per_server(self) -> int:
        """GPUs in a server."""
        return self.services.gpus_per_node // self.instances if self.has_gpus else 0

    @property
    def used_frac(self) -> Floats:
        """Share of what jobs are given that those of each class can use at once, all turns taken. [1]"""
        if self.turns is None:
            return np.ones(len(self.speed))
        return np.asarray(np.minimum(1.0, 1.0 / (self.instances * self.turns.need_frac)))

    @property
    def gpus_per_slot(self) -> float:
        """GPUs of what jobs are given: a GPU, an instance of one, or a node without any."""
        return 1.0 / self.instances if self.has_gpus else 0.0


def pool_design(used: Assumptions, part: PoolParts) -> PoolDesign:
    """The server of a pool and its network, by the catalog."""
    server = used.catalog.resolve("servers", part.server)
    if part.server_design_kw is None:
        server_w = used.use("sizing of feeds and plant", "servers", server, "peak_power_w")
    else:
        server_w = w_from_kw(part.server_design_kw)
        used.state("sizing of feeds and plant", "servers", server, "peak_power_w", server_w, "W")
    radix, switch_w, optic_w = _network_parts(used, part.fabric)
    return PoolDesign(
        name=part.name,
        server=server_power(used, server),
        server_design_w=server_w,
        ports_per_server=int(used.use("network", "servers", server, "nics")),
        radix=radix,
        fabric=lookup(FABRICS, part.fabric.kind, "fabric"),
        oversubscription=part.fabric.oversubscription,
        optical_hosts=part.fabric.host_links == "optical",
        switch_power_w=switch_w,
        optic_power_w=optic_w,
    )


def turns(used: Assumptions, part: PoolParts, served: PoolServices) -> Turns | None:
    """Turns of a pool whose GPUs are used so."""
    if part.time_slices == 1:
        return None
    return Turns(served.need_frac, used.use("GPUs used in turns", "operations", "time-slices", "overhead_frac"))


def node_off_w(used: Assumptions, policy: str, part: PoolParts) -> float:
    """Power of a server that is switched off, where the policy does that. [W]"""
    if policy not in SWITCHING:
        return 0.0
    return used.use("idle nodes", "servers", used.catalog.resolve("servers", part.server), "off_power_w")


def check_plates(loaded: Loaded, parts: Sequence[PoolParts], designs: Sequence[PoolDesign]) -> None:
    """Refuse cold plates without coolant, and coolant where no server has cold plates.

    Raises
    ------
    InputError
        If servers and cooling do not go together.
    """
    kind = loaded.scenario.facility.cooling.kind
    takes_liquid = COOLING[kind].takes_liquid
    have = [of.server.liquid_frac > 0 for of in designs]
    if any(have) if takes_liquid else not any(have):
        return
    part = parts[have.index(True)] if any(have) else parts[0]
    has = "has cold plates" if any(have) else "has no cold plates"
    serves = "serves cold plates" if takes_liquid else "serves air only"
    raise loaded.fault(
        part.place("server"),
        f"'{part.server}' {has}, but facility.cooling.kind '{kind}' {serves}; change one of them",
    )


def check_server_design(loaded: Loaded, part: PoolParts, served: Services, server_w: float) -> None:
    """Refuse feeds sized below what a class draws: nothing here would cap it.

    Raises
    ------
    InputError
        If a class draws more.
    """
    highest = served.gpu_power_w[:, 1:].max(axis=1) * served.gpus_per_node
    worst = int(highest.argmax())
    if highest[worst] > server_w:
        raise loaded.fault(
            part.place("server_design_kw"),
            f"feeds sized for {kw_from_w(server_w):.2f} kW a server are below the {kw_from_w(highest[worst]):.2f} kW "
            f"that {served.class_names[worst]} jobs draw, and nothing would cap them; raise it",
        )


def _network_parts(used: Assumptions, fabric: Fabric) -> tuple[int, float, float]:
    """Ports of a switch, and power of a switch and of a transceiver. [1], [W], [W]"""
    switch = used.catalog.resolve("switches", fabric.switch)
    optic = used.catalog.resolve("optics", fabric.optic)
    return (
        int(used.use("network", "switches", switch, "ports")),
        used.use("network", "switches", switch, "power_w"),
        used.use("network", "optics", optic, "power_w"),
    )


def servers_per_rack(loaded: Loaded, used: Assumptions, part: PoolParts, server_w: float) -> int:
    """How many servers a rack's feed and height hold.

    Raises
    ------
    InputError
        If it holds none, or not the density that is stated.
    """
    racks = part.racks
    height_u = int(used.use("rack density", "servers", used.catalog.resolve("servers", part.server), "rack_units"))
    usable_w = w_from_kw(racks.feed_kw) * racks.continuous_frac
    by_feed, by_height = int(usable_w // server_w), racks.height_u // height_u
    density = racks.servers_per_rack
    if by_feed < 1 or (density is not None and density * server_w > usable_w):
        wanted = density or 1
        raise loaded.fault(
            part.place("racks", "feed_kw"),
            f"{wanted} server{'s' if wanted > 1 else ''} of {kw_from_w(server_w):.2f} kW need "
            f"{wanted * kw_from_w(server_w):.1f} kW in a rack whose feed of {racks.feed_kw:g} kW gives "
            f"{kw_from_w(usable_w):.1f} kW continuously; "
            "raise the feed or lower servers_per_rack",
        )
    if by_height < 1 or (density is not None and density > by_height):
        raise loaded.fault(
            part.place("racks", "height_u"),
            f"{density or 1} servers of {height_u} U do not fit a rack of {racks.height_u} U; "
            "raise the height or lower servers_per_rack",
        )
    return density if density is not None else min(by_feed, by_height)
