"""Switches, links and transceivers of the compute network, by formula: fat trees, dragonflies, tori.

A folded Clos of radix R with d ports down and u ports up on each leaf, d + u = R. Rail-optimised networks connect GPU i
of every node to leaf group i; counts are the same, traffic is not.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from dcsim.errors import CapacityError, RangeError


@dataclass(frozen=True)
class FabricCounts:
    """Parts of a network: switches by tier, links to hosts and between switches, ``copper_links`` of these copper."""

    leaves: int
    spines: int
    cores: int
    host_links: int
    switch_links: int
    endpoints_per_leaf: int
    copper_links: int = 0

    @classmethod
    def none(cls) -> "FabricCounts":
        """No network."""
        return cls(0, 0, 0, 0, 0, 0)

    @property
    def switches(self) -> int:
        """All switches."""
        return self.leaves + self.spines + self.cores

    def optics(self, optical_hosts: bool) -> int:
        """Transceivers: two a link between switches that is not copper, and two a host link unless those are copper."""
        return 2 * (self.switch_links - self.copper_links + (self.host_links if optical_hosts else 0))

    def minus(self, other: "FabricCounts") -> "FabricCounts":
        """What must be added to *other* to get this network."""
        return FabricCounts(
            self.leaves - other.leaves,
            self.spines - other.spines,
            self.cores - other.cores,
            self.host_links - other.host_links,
            self.switch_links - other.switch_links,
            self.endpoints_per_leaf,
            self.copper_links - other.copper_links,
        )


def down_ports(radix: int, oversubscription: float) -> int:
    """Ports of a leaf that go down to hosts, so that down over up is at most the oversubscription. [1]

    Raises
    ------
    RangeError
        If the radix is odd or below 4, or the oversubscription below 1.
    """
    if radix < 4 or radix % 2 or oversubscription < 1:
        raise RangeError(
            f"a fat tree needs an even radix >= 4 and oversubscription >= 1, got {radix} and {oversubscription:g}"
        )
    return int(radix * oversubscription / (1 + oversubscription) + 1e-9)


def max_endpoints(radix: int, oversubscription: float = 1.0, *, tiers: int = 3) -> int:
    """Host ports that one, two or three tiers hold: R, d R and d R^2 / 2; errors as for :func:`down_ports`. [1]

    Raises
    ------
    RangeError
        If there are not one to three tiers.
    """
    down = down_ports(radix, oversubscription)
    if tiers not in (1, 2, 3):
        raise RangeError(f"a fat tree has 1 to 3 tiers, got {tiers}")
    return {1: radix, 2: down * radix, 3: down * radix * radix // 2}[tiers]


def fat_tree(endpoints: int, radix: int, oversubscription: float = 1.0) -> FabricCounts:
    """Smallest fat tree that connects *endpoints* ports.

    Parameters
    ----------
    endpoints : int
        Host ports, at least 0.
    radix : int
        Ports of a switch, even, at least 4.
    oversubscription : float
        Ports down over ports up on a leaf, at least 1. Tiers above the leaves are not oversubscribed.

    Raises
    ------
    RangeError
        If an argument is outside its range.
    CapacityError
        If three tiers cannot hold that many endpoints.

    Notes
    -----
    One switch holds R endpoints, two tiers d R and three tiers d R^2 / 2, with d = R s / (1 + s) ports down a leaf.
    Links up from the leaves are leaves times u, and in three tiers the spines send as many on to the cores. The
    non-blocking case gives 3N/R switches and 2N links in two tiers, 5N/R and 3N in three; 1,024 endpoints at radix 64
    need 32 + 16 switches. These are the fewest switches that have the ports; makers round spines up so that every leaf
    reaches each by as many links.

    References
    ----------
    .. [1] M. Al-Fares, A. Loukissas, A. Vahdat, "A scalable, commodity data center network architecture," SIGCOMM 2008,
       :doi:`10.1145/1402958.1402967`.
    """
    if endpoints < 0:
        raise RangeError(f"a fat tree needs endpoints >= 0, got {endpoints}")
    down = down_ports(radix, oversubscription)
    if endpoints == 0:
        return FabricCounts.none()
    if endpoints <= radix:
        return FabricCounts(1, 0, 0, endpoints, 0, radix)
    leaves = math.ceil(endpoints / down)
    links_up = leaves * (radix - down)
    if endpoints <= max_endpoints(radix, oversubscription, tiers=2):
        return FabricCounts(leaves, math.ceil(links_up / radix), 0, endpoints, links_up, down)
    largest = max_endpoints(radix, oversubscription)
    if endpoints > largest:
        raise CapacityError(
            f"{endpoints:,} ports are more than the {largest:,} that three tiers of radix-{radix} switches hold; "
            "choose a switch of larger radix or raise facility.fabric.oversubscription"
        )
    spines = math.ceil(links_up / (radix // 2))
    return FabricCounts(leaves, spines, math.ceil(links_up / radix), endpoints, 2 * links_up, down)


def dragonfly(endpoints: int, radix: int, oversubscription: float = 1.0) -> FabricCounts:
    """Balanced dragonfly that connects *endpoints* ports.

    Parameters
    ----------
    endpoints : int
        Host ports, at least 0.
    radix : int
        Ports of a switch, at least 7: p to hosts, 2p - 1 to the other switches of its group, p to other groups.
    oversubscription : float
        1; a dragonfly has no leaves to oversubscribe.

    Raises
    ------
    RangeError
        If an argument is outside its range.
    CapacityError
        If the largest dragonfly of such switches cannot hold that many endpoints.

    Notes
    -----
    With a = 2p = 2h switches in a group, at most g = a h + 1 groups hold N = p a g endpoints: 262,656 at radix 63. Two
    switches of a group have one link, in copper; all ports to other groups are cabled, so that at full size each pair
    of groups has one optical link and smaller networks have several.

    References
    ----------
    .. [1] J. Kim, W. J. Dally, S. Scott, D. Abts, "Technology-driven, highly-scalable dragonfly topology," ISCA 2008,
       :doi:`10.1109/ISCA.2008.19`.
    """
    if endpoints < 0 or radix < 7 or oversubscription != 1:
        raise RangeError(
            f"a dragonfly needs endpoints >= 0, radix >= 7 and oversubscription 1, got {endpoints}, {radix} and "
            f"{oversubscription:g}"
        )
    if endpoints == 0:
        return FabricCounts.none()
    hosts = (radix + 1) // 4
    group = 2 * hosts
    largest = hosts * group * (group * hosts + 1)
    if endpoints > largest:
        raise CapacityError(
            f"{endpoints:,} ports are more than the {largest:,} that a dragonfly of radix-{radix} switches holds; "
            "choose a switch of larger radix"
        )
    switches = math.ceil(endpoints / hosts)
    groups, rest = divmod(switches, group)
    local = groups * group * (group - 1) // 2 + rest * (rest - 1) // 2
    between = switches * hosts // 2 if switches > group else 0
    return FabricCounts(switches, 0, 0, endpoints, local + between, hosts, local)


def torus(endpoints: int, radix: int = 0, oversubscription: float = 1.0, *, dimensions: int = 3) -> FabricCounts:
    """Torus of *endpoints* that switch for each other: no switch of its own, one link an endpoint and dimension.

    Parameters
    ----------
    endpoints : int
        Accelerators, at least 0, each with two links a dimension.
    radix, oversubscription
        Of no effect: there are no switches.
    dimensions : int
        At least 1; 3 as in TPU v4.

    Raises
    ------
    RangeError
        If an argument is outside its range.

    References
    ----------
    .. [1] N. Jouppi et al., "TPU v4: an optically reconfigurable supercomputer for machine learning," ISCA 2023,
       arXiv 2304.01433.
    """
    if endpoints < 0 or dimensions < 1:
        raise RangeError(f"a torus needs endpoints >= 0 and dimensions >= 1, got {endpoints} and {dimensions}")
    return FabricCounts(0, 0, 0, dimensions * endpoints, 0, 0)


# Accelerators of a torus that reach each other at full speed: the cube of 4 x 4 x 4 that TPU v4 is built of.
TORUS_CUBE = 64


def nodes_per_cube(counts: FabricCounts, nics_per_node: int) -> int:
    """Nodes of one cube of a torus, at least 1."""
    return max(1, TORUS_CUBE // nics_per_node)


def nodes_per_leaf(counts: FabricCounts, nics_per_node: int) -> int:
    """Nodes whose ports all end on one leaf of a plain fat tree, at least 1."""
    return max(1, counts.endpoints_per_leaf // nics_per_node)


def nodes_per_rail_group(counts: FabricCounts, nics_per_node: int) -> int:
    """Nodes that reach each other over one switch a rail: leaf i of the group takes port i of each node."""
    return max(1, counts.endpoints_per_leaf)


@dataclass(frozen=True)
class Fabric:
    """A registered network: how many parts it needs, and how many nodes are one hop apart."""

    counts: Callable[[int, int, float], FabricCounts]
    nodes_per_group: Callable[[FabricCounts, int], int]
    meaning: str


FABRICS: dict[str, Fabric] = {
    "fat_tree": Fabric(fat_tree, nodes_per_leaf, "all ports of a node end on one leaf"),
    "rail_optimised": Fabric(fat_tree, nodes_per_rail_group, "port i of each node ends on leaf i of its group"),
    "dragonfly": Fabric(dragonfly, nodes_per_leaf, "groups of fully connected switches, each pair of groups linked"),
    "torus": Fabric(torus, nodes_per_cube, "accelerators switch for each other along three rings; no switches"),
}
