"""Published sweeps of collectives as the records that physics takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dcsim.catalog.hardware import architecture
from dcsim.catalog.load import catalog
from dcsim.errors import RangeError
from dcsim.physics.collectives import Fabric

# Columns of a row of a sweep that describe it; times and bandwidths are its answers.
COLUMNS = ("system", "gpu", "nodes", "gpus", "network", "size_B")
# Messages above this size are bound by bandwidth; errors between systems are kept apart below and above. [B]
LARGE_B = 1e6
# Architectures whose scale-up switches reduce.
REDUCING = ("hopper", "blackwell")


@dataclass(frozen=True)
class Links:
    """Ranks of a published sweep and the data sheet rates of their links."""

    gpus: float
    domain_gpus: float
    domain_b_s: float
    reduces: bool
    network_b_s: float

    def fabric(self, values: Mapping[str, float]) -> Fabric:
        """Links as achieved under fitted efficiencies."""
        return Fabric(
            domain_gpus=self.domain_gpus,
            domain_b_s=self.domain_b_s * values["domain_eff"],
            nvls_b_s=self.domain_b_s * values["nvls_eff"] if self.reduces else 0.0,
            network_b_s=self.network_b_s * values["network_eff"],
            launch_s=values["launch_s"],
            ramp_b=values["ramp_b"],
        )


def links(row: Mapping[str, Any]) -> Links:
    """Read a row of a sweep.

    ``network`` is NVLink or NVL72 within a domain, ``NxMG ...`` for N ports of M Gb/s a node, or a network of the
    catalog.

    Raises
    ------
    UnknownNameError, RangeError
        If a part is not known or a figure cannot be.
    """
    try:
        gpus, nodes = float(row["gpus"]), float(row["nodes"])
    except ValueError:
        raise RangeError(f"gpus and nodes must be numbers, got '{row['gpus']}' and '{row['nodes']}'") from None
    part = {name: value.value for name, value in catalog().part("gpus", row["gpu"]).items()}
    network = row["network"]
    ports = re.match(r"(\d+)x(\d+)G", network)
    one_domain = network.upper().startswith("NVL") and "+" not in network
    if one_domain:
        network_b_s, domain = part["domain_b_s"], gpus
    elif ports:
        network_b_s, domain = float(ports[1]) * float(ports[2]) * 1e9 / 8.0 * nodes / gpus, gpus / nodes
    else:
        network_b_s = catalog().row("networks", network, "gpu_b_s").value
        domain = gpus / nodes if part["domain_gpus"] * nodes <= gpus else part["domain_gpus"]
    return Links(
        gpus, domain, part["domain_b_s"], architecture(row["gpu"]) in REDUCING and part["domain_gpus"] > 4, network_b_s
    )
