"""What a job of a class gets and draws where it landed, tabulated once: ``service(job_class, span)``."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.catalog.load import Assumptions
from dcsim.physics.servers import ServerPower, electronics_w, fan_w
from dcsim.registry import lookup

Floats = NDArray[np.float64]

# Spans that the catalog tells apart: column 1 is a job within one group of leaves, column 2 one that spans several.
SPANS = 2


@dataclass(frozen=True)
class Service:
    """One entry: speed relative to one leaf [1], duty and stall [1], and the power of a whole node [W]."""

    work_rate: float
    duty_frac: float
    stall_frac: float
    node_power_w: float


@dataclass(frozen=True)
class Services:
    """Services of every class by span.

    ``work_rate``, ``stall_frac``, ``gpu_power_w`` and ``gpu_fan_w`` have the shape (n_classes, SPANS + 1), column 0
    unused; powers are a node's divided by its GPUs, server fans included, so that jobs that share a node share its
    power.
    """

    class_names: tuple[str, ...]
    gpus_per_node: int
    duty_frac: Floats
    work_rate: Floats
    stall_frac: Floats
    gpu_power_w: Floats
    gpu_fan_w: Floats
    idle_gpu_power_w: float
    idle_gpu_fan_w: float

    def service(self, job_class: str, span: int) -> Service:
        """What a job of *job_class* gets on *span* leaves.

        Raises
        ------
        UnknownNameError
            If the class is not of this plan.
        """
        row = lookup({name: i for i, name in enumerate(self.class_names)}, job_class, "workload class")
        column = min(span, SPANS)
        return Service(
            float(self.work_rate[row, column]),
            float(self.duty_frac[row]),
            float(self.stall_frac[row, column]),
            float(self.gpu_power_w[row, column] * self.gpus_per_node),
        )


def server_power(used: Assumptions, server: str) -> ServerPower:
    """Power parameters of a server of the catalog."""
    names = ("electronics_idle_w", "electronics_max_w", "fan_max_w", "liquid_frac")
    return ServerPower(*(used.use("power of servers", "servers", server, name) for name in names))


def services(
    used: Assumptions, class_names: tuple[str, ...], power: ServerPower, gpus_per_node: int, inlet_c: float
) -> Services:
    """Tabulate the services of the classes of a plan.

    Parameters
    ----------
    used : Assumptions
        Catalog of workload classes.
    class_names : tuple of str
        Classes, in the order that jobs index them.
    power : ServerPower
        The server.
    gpus_per_node : int
        GPUs in it.
    inlet_c : float
        Air temperature at its inlet. [degC]

    Notes
    -----
    A job that spans several groups of leaves runs at ``multi_leaf_rate`` of its speed because its GPUs wait for the
    network longer, so the wait is added to its stall share and its power falls with it.
    """

    def column(parameter: str) -> Floats:
        return np.array(
            [used.use(f"{name} jobs", "workload_classes", name, parameter) for name in class_names], dtype=float
        )

    duty, stall, multi = column("duty_frac"), column("stall_frac"), column("multi_leaf_rate")
    work_rate = np.column_stack([np.ones_like(multi), np.ones_like(multi), multi])
    stall_frac = 1.0 - (1.0 - stall)[:, None] * work_rate
    electronics = electronics_w(power, duty[:, None], stall_frac)
    fans = fan_w(power, electronics, inlet_c)
    idle = electronics_w(power, 0.0)
    idle_fans = fan_w(power, idle, inlet_c)
    return Services(
        class_names=class_names,
        gpus_per_node=gpus_per_node,
        duty_frac=duty,
        work_rate=work_rate,
        stall_frac=stall_frac,
        gpu_power_w=(electronics + fans) / gpus_per_node,
        gpu_fan_w=fans / gpus_per_node,
        idle_gpu_power_w=float(idle + idle_fans) / gpus_per_node,
        idle_gpu_fan_w=float(idle_fans) / gpus_per_node,
    )
