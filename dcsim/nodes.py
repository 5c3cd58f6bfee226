"""The node that carries a GPU where no scenario says which, and what it draws."""

from dataclasses import dataclass

from dcsim.catalog.fitted import fitted
from dcsim.catalog.hardware import default_server
from dcsim.catalog.load import Assumptions, catalog
from dcsim.catalog.published_power import node_power_w
from dcsim.errors import UnknownNameError
from dcsim.physics.servers import ServerPower


def server_power(used: Assumptions, server: str) -> ServerPower:
    """Power parameters of a server of the catalog."""
    names = ("electronics_idle_w", "electronics_max_w", "fan_max_w", "liquid_frac")
    return ServerPower(*(used.use("power of servers", "servers", server, name) for name in names))


@dataclass(frozen=True)
class NodeKind:
    """A node that carries a GPU.

    Parameters
    ----------
    name : str
        Server of the catalog, or what stands for one.
    gpus : float
        GPUs in it. [1]
    power : ServerPower
        What it draws.
    """

    name: str
    gpus: float
    power: ServerPower

    def watts(self, duty_frac: float) -> float:
        """Mean power of the node under training of some duty. [W]"""
        return node_power_w(self.power, True, duty_frac, fitted("node-power")["all"].parameters)


def node_kind(gpu: str) -> NodeKind:
    """The catalog's server of a GPU; where it holds none, eight GPUs whose rest is in proportion to rated power."""
    key = catalog().resolve("gpus", gpu)
    try:
        server = default_server(key)
    except UnknownNameError:
        rated_w = 8.0 * catalog().row("gpus", key, "tdp_w").value
        peak_w = rated_w * catalog().row("operations", "estimate", "node_peak_over_gpus").value
        fans_w = 0.12 * peak_w
        power = ServerPower(0.25 * peak_w, peak_w - fans_w, fans_w, 0.0)
        return NodeKind(f"8 x {key}, no server in the catalog: power in proportion to its GPUs", 8.0, power)
    # As a scenario has it, so that an estimate and a run of the same plan draw the same.
    power = server_power(Assumptions(catalog()), server)
    return NodeKind(server, catalog().row("servers", server, "gpus").value, power)


def idle_gpu_w(gpu: str, rated_w: float) -> float:
    """Idle power of a GPU; a tenth of its rated power where the catalog has none. [W]"""
    part = catalog().part("gpus", gpu)
    return part["idle_w"].value if "idle_w" in part else 0.1 * rated_w
