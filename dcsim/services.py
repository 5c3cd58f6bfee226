"""What a job of a class gets and draws where it landed, tabulated once: ``service(job_class, span)``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dcsim.capacity import PoolDesign
from dcsim.catalog.fitted import fitted
from dcsim.catalog.gpu_profile import Machine
from dcsim.catalog.hardware import server_gpu, server_has_gpus
from dcsim.catalog.load import Assumptions
from dcsim.model.facility import PoolParts
from dcsim.model.load import Loaded
from dcsim.model.tree import Place
from dcsim.physics.servers import ServerPower, electronics_w, fan_w
from dcsim.registry import lookup, unknown
from dcsim.workload.demand import allowed_pools
from dcsim.workload.model_runs import SPANS, Modelled, class_step_s

Floats = NDArray[np.float64]


# Parts into which a GPU is split; an instance has one or several.
MIG_SEVENTHS = 7


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


def services(
    used: Assumptions,
    class_names: tuple[str, ...],
    power: ServerPower,
    gpus_per_node: int,
    inlet_c: float,
    runs: tuple[Modelled, ...] = (),
    class_rates: Mapping[str, float] | None = None,
) -> Services:
    """Tabulate the services of the classes of a plan.

    Parameters
    ----------
    used : Assumptions
        Catalog of workload classes.
    class_names : tuple of str
        Classes of jobs in the order that jobs index them, those of model runs left out.
    power : ServerPower
        The server.
    gpus_per_node : int
        GPUs in it.
    inlet_c : float
        Air temperature at its inlet. [degC]
    runs : tuple of Modelled
        Runs of known models, each a class after the others.
    class_rates : mapping of float
        Speed over several groups of leaves of classes that a model stands for, by that model's step times. [1]

    Notes
    -----
    A job that spans several groups of leaves runs at the ratio of its class's step times, else at ``multi_leaf_rate``
    of its speed (1 where the catalog has none), because its GPUs wait for the network longer; the wait is added to its
    stall share and its power falls with it. A model run computes for its duty at the mean intensity of published runs,
    and draws the fitted share of that while it waits; both are those of a profile where it measured power by phase.
    """

    def column(parameter: str) -> Floats:
        return np.array(
            [used.use(f"{name} jobs", "workload_classes", name, parameter) for name in class_names], dtype=float
        )

    rates = class_rates or {}
    duty, stall = column("duty_frac"), column("stall_frac")
    multi = np.array(
        [
            rates.get(name) or used.maybe(f"{name} jobs", "workload_classes", name, "multi_leaf_rate", 1.0)
            for name in class_names
        ],
        dtype=float,
    )
    work_rate = np.column_stack([np.ones_like(multi), np.ones_like(multi), multi])
    stall_frac = 1.0 - (1.0 - stall)[:, None] * work_rate
    waiting = np.zeros((len(class_names), 1))
    if runs:
        fit = fitted("node-power")["all"].parameters
        of_runs = np.array([[run.step_s[0] / one for one in (run.step_s[0], *run.step_s)] for run in runs])
        duties = np.array([[run.duty_frac[0], *run.duty_frac] for run in runs])
        work_rate = np.concatenate([work_rate, of_runs])
        stall_frac = np.concatenate([stall_frac, 1.0 - duties])
        powers = np.array([run.power or (fit["intensity"], fit["stall_power_frac"]) for run in runs])
        duty = np.concatenate([duty, powers[:, 0]])
        waiting = np.concatenate([waiting, powers[:, 1:]])
    electronics = electronics_w(power, duty[:, None], stall_frac, stall_power_frac=waiting)
    fans = fan_w(power, electronics, inlet_c)
    idle = electronics_w(power, 0.0)
    idle_fans = fan_w(power, idle, inlet_c)
    return Services(
        class_names=(*class_names, *(run.name for run in runs)),
        gpus_per_node=gpus_per_node,
        duty_frac=duty,
        work_rate=work_rate,
        stall_frac=stall_frac,
        gpu_power_w=(electronics + fans) / gpus_per_node,
        gpu_fan_w=fans / gpus_per_node,
        idle_gpu_power_w=float(idle + idle_fans) / gpus_per_node,
        idle_gpu_fan_w=float(idle_fans) / gpus_per_node,
    )


@dataclass(frozen=True)
class PoolServices:
    """Services of the classes on one pool, their speed over that of their stated run times [1], and what to know.

    ``need_frac`` is the share of a GPU's time that each class uses, where GPUs are used in turns. [1]
    """

    services: Services
    speed: Floats
    need_frac: Floats
    notes: tuple[str, ...]


def built_services(
    loaded: Loaded,
    used: Assumptions,
    class_names: tuple[str, ...],
    runs: tuple[Modelled, ...],
    machines: Mapping[str, Machine],
    parts: Sequence[PoolParts],
    designs: Sequence[PoolDesign],
) -> list[PoolServices]:
    """Services on each pool of a scenario.

    Parameters
    ----------
    loaded, used
        Scenario and catalog.
    class_names, runs
        As for :func:`services`.
    machines : mapping of Machine
        What is known of the GPUs of a pool beyond the catalog.
    parts : sequence of PoolParts
        The pools.
    designs : sequence of PoolDesign
        Their servers.

    Raises
    ------
    InputError
        If the speed of a class is stated that no job has.

    Notes
    -----
    Run times of a class are those on the first pool. On another one jobs are faster by the stated speed, else by the
    step times of the model that stands for the class, both on 512 GPUs within one group of leaves, else as fast.
    """
    workload = loaded.scenario.workload
    inlet_c = loaded.scenario.facility.cooling.supply_air_temp_c
    found: list[PoolServices] = []
    first_s: dict[str, tuple[float, ...]] = {}
    for name in workload.gpu_time_frac:
        if name not in class_names:
            place: Place = ("workload", "gpu_time_frac", name)
            raise loaded.fault(place, unknown(name, class_names, "class of the jobs"))
    for part, design in zip(parts, designs, strict=True):
        step_s = {
            name: class_step_s(name, model, loaded, used, machines.get(part.name, Machine()), part)
            for name, model in workload.class_models.items()
            if server_has_gpus(part.server)
        }
        first_s = first_s or step_s
        server = used.catalog.resolve("servers", part.server)
        for name in part.speed:
            if name not in class_names:
                raise loaded.fault(part.place("speed", name), unknown(name, class_names, "class of the jobs"))
        served = services(
            used,
            class_names,
            design.server,
            max(1, part.mig_instances * int(used.use("servers", "servers", server, "gpus"))),
            inlet_c,
            runs,
            {name: one[0] / one[1] for name, one in step_s.items()},
        )
        share, notes = instance_share(loaded, used, part)
        faster = {name: first_s[name][0] / one[0] for name, one in step_s.items()}
        speed, whys = _class_speeds(part, class_names, share, faster, workload.class_models)
        notes += [
            f"{name} jobs are {one:.3g} times as fast on {part.name} as on whole GPUs of {parts[0].name}: {why}"
            for name, one, why in zip(class_names, speed.tolist(), whys, strict=True)
            if part is not parts[0] and part.name in allowed_pools(loaded, name)
        ]
        speed = np.append(speed, np.full(len(runs), share))
        need = np.array([workload.gpu_time_frac.get(name, 1.0) for name in class_names] + [1.0] * len(runs))
        if part.time_slices > 1:
            served = _in_turns(served, part.time_slices, need)
        found.append(PoolServices(served, speed, need, tuple(notes)))
    return found


def _class_speeds(
    part: PoolParts, class_names: tuple[str, ...], share: float, faster: Mapping[str, float], models: Mapping[str, str]
) -> tuple[Floats, list[str]]:
    """Speed of each class on a pool over that of its stated run times [1], and where it is from."""
    speed, whys = np.full(len(class_names), share), []
    for index, name in enumerate(class_names):
        if name in part.speed:
            speed[index] = part.speed[name]
            whys.append("stated")
        elif name in faster:
            speed[index] *= faster[name]
            whys.append(f"step times of {models[name]}")
        else:
            whys.append(f"assumed; state facility.pools.{part.name}.speed or workload.class_models")
    return speed, whys


def _in_turns(of: Services, slices: int, need_frac: Floats) -> Services:
    """Services of one of so many turns on each GPU.

    A turn has its part of the idle power, and of the power above it the share of the time that its job needs, at most
    its part of that too: what the node draws where its jobs need no more than its GPUs have, or hold every turn. Jobs
    that need more than their part while others are away draw more than is counted.
    """
    idle_w, idle_fan_w = of.idle_gpu_power_w, of.idle_gpu_fan_w
    need = need_frac[:, None]
    return replace(
        of,
        gpus_per_node=of.gpus_per_node * slices,
        gpu_power_w=idle_w / slices + np.minimum(need, 1.0 / slices) * (of.gpu_power_w - idle_w),
        gpu_fan_w=idle_fan_w / slices + np.minimum(need, 1.0 / slices) * (of.gpu_fan_w - idle_fan_w),
        idle_gpu_power_w=idle_w / slices,
        idle_gpu_fan_w=idle_fan_w / slices,
    )


def instance_share(loaded: Loaded, used: Assumptions, part: PoolParts) -> tuple[float, list[str]]:
    """Speed of an instance of a GPU over the whole one, that of what jobs run in counted, and what to know of it. [1]

    An instance has as many sevenths as the number of instances leaves it, each with a share of the multiprocessors;
    those that no seventh has are lost.

    Raises
    ------
    InputError
        If the catalog does not know how the GPU can be split.
    """
    share, notes = 1.0, []
    if part.mig_instances > 1:
        gpu = server_gpu(part.server)
        if "mig_seventh_frac" not in used.catalog.part("gpus", gpu):
            message = f"the catalog does not know how {gpu} is split; leave it whole"
            raise loaded.fault(part.place("mig_instances"), message)
        seventh = used.use("instances of GPUs", "gpus", gpu, "mig_seventh_frac")
        share = MIG_SEVENTHS // part.mig_instances * seventh
        notes.append(
            f"pool {part.name}: a job of one GPU gets one of {part.mig_instances} instances of it, {share:.3f} of its "
            "speed where it would use all of it; state speed where it would not"
        )
    if part.runs_in != "servers":
        kind = part.runs_in.replace("_", "-")
        share *= used.use(f"speed in {kind}", "operations", kind, "speed_frac")
    return share, notes
