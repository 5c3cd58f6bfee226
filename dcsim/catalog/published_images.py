"""Published training of image models as what physics takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dcsim.catalog.fitted import fitted
from dcsim.catalog.hardware import gpu
from dcsim.catalog.load import catalog
from dcsim.catalog.published_sweeps import links
from dcsim.errors import RangeError, UnknownNameError
from dcsim.physics.collectives import Fabric
from dcsim.physics.convnet import ConvCalibration, ConvNet, ConvStep, convnet_step, resnet
from dcsim.physics.parallel import Gpu

# Columns that describe a row; throughput and times are its answers.
COLUMNS = ("round", "benchmark", "accelerator", "accelerators", "nodes", "global_batch")
# Networks by benchmark name, by their bottleneck blocks a stage.
NETWORKS = {"resnet": (3, 4, 6, 3)}
# Cards that the catalog does not hold, and the one of the same chip that stands for them.
STANDS_FOR = {"NVIDIA A100-PCIE-80GB": "a100-sxm-80gb"}
# Network of each published system, a port a GPU: by the generation of its GPUs. Assumption.
PORTS = {"a100-sxm-80gb": "ib-hdr200"}
OTHER_PORTS = "ib-ndr400"


@dataclass(frozen=True)
class ImageRun:
    """A published run."""

    model: ConvNet
    images: float
    gpus: float
    gpu: Gpu
    fabric: Fabric

    def step(self, values: Mapping[str, float]) -> ConvStep:
        """Step under fitted values."""
        return convnet_step(self.model, self.images, self.gpus, self.gpu, self.fabric, ConvCalibration(**values))

    def images_s(self, values: Mapping[str, float]) -> Any:
        """Throughput of all GPUs. [1/s]"""
        return self.images * self.gpus / self.step(values).step_s


def image_run(row: Mapping[str, str], link_values: Mapping[str, float] | None = None) -> ImageRun:
    """Read a row of published image training; links as the shipped fit of sweeps has them where not given.

    Raises
    ------
    UnknownNameError
        If the benchmark or the GPU is not known.
    RangeError
        If a figure cannot be read.
    """
    if row["benchmark"] not in NETWORKS:
        raise UnknownNameError(f"'{row['benchmark']}' is not an image benchmark; known: {', '.join(NETWORKS)}")
    try:
        gpus, nodes, batch = (float(row[name]) for name in ("accelerators", "nodes", "global_batch"))
    except ValueError:
        raise RangeError("accelerators, nodes and global_batch must be numbers") from None
    name = row["accelerator"]
    key = STANDS_FOR.get(name) or catalog().resolve("gpus", name)
    network = PORTS.get(key, OTHER_PORTS)
    found = links({"gpu": key, "gpus": gpus, "nodes": nodes, "network": network})
    return ImageRun(
        resnet(NETWORKS[row["benchmark"]]),
        batch / gpus,
        gpus,
        gpu(key, "bf16", network, gpus / nodes),
        found.fabric(link_values or fitted("collectives")["all"].parameters),
    )
