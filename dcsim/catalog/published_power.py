"""Published power of nodes in training, and of capped GPUs, as what physics takes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcsim.catalog.hardware import default_server, gpu, transformer
from dcsim.catalog.load import catalog
from dcsim.catalog.profiles import Profile, nearest, profiles
from dcsim.errors import RangeError, UnknownNameError
from dcsim.physics.gpu import capped_rate
from dcsim.physics.parallel import Plan
from dcsim.physics.servers import ServerPower, electronics_w, fan_w
from dcsim.physics.training import step

# Columns that describe a row; powers and energies are its answers.
COLUMNS = ("system", "benchmark", "measurement", "accelerator", "nodes", "gpus", "time_to_train_min_median")
CAP_COLUMNS = ("gpu", "subset", "cap_frac")
# Benchmarks that train a large language model from the start and never ran on one node: duty by the step model.
LARGE_MODELS = {"gpt3": "gpt3-175b", "llama31_405b": "llama3.1-405b"}
# Scaling efficiency is nodes to this power where no time on one node is known. Assumption: 0.69 over 8 nodes, as in the
# rows that are known.
UNKNOWN_SCALING = -0.18
# Air at a node's inlet. [degC]
INLET_C = 25.0


def system_family(system: str) -> str:
    """Name of a published system without its count of nodes, as SMC-H100-SXM-80GB of 8xSMC-H100-SXM-80GB."""
    return re.sub(r"^\d+x", "", system)


@dataclass(frozen=True)
class Node:
    """A node of a published run, and how well the run scales."""

    benchmark: str
    server: ServerPower
    fans: bool
    direct_current: bool
    nodes: float
    minutes: float
    relative_speed: float
    gpu: str
    gpus: float
    known: tuple[Profile, ...]

    def duty_frac(self, values: Mapping[str, float]) -> float:
        """Share of the time in which its GPUs compute, by its time and that on one node. [1]"""
        if self.benchmark in LARGE_MODELS:
            return large_model_duty(LARGE_MODELS[self.benchmark], self.gpu, self.gpus, self.known)
        alone = values.get(f"minutes.{self.benchmark}")
        if self.nodes <= 1:
            return 1.0
        if alone is None:
            return float(self.nodes**UNKNOWN_SCALING)
        return min(1.0, alone / self.relative_speed / (self.nodes * self.minutes))

    def power_w(self, values: Mapping[str, float]) -> float:
        """Mean power of a node under fitted values. [W]"""
        intensity = values.get(f"intensity.{self.benchmark}", values["intensity"])
        watts = node_power_w(self.server, self.fans, self.duty_frac(values), {**values, "intensity": intensity})
        return watts * (values["dc_frac"] if self.direct_current else 1.0)


def node_power_w(server: ServerPower, fans: bool, duty_frac: float, values: Mapping[str, float]) -> float:
    """Mean power of a node whose GPUs compute for a share of the time and wait else, under fitted values. [W]"""
    electronics = electronics_w(
        server, values["intensity"], 1.0 - duty_frac, stall_power_frac=values["stall_power_frac"]
    )
    return float(electronics + (fan_w(server, electronics, INLET_C) if fans else 0.0))


def large_model_duty(model: str, gpu_key: str, gpus: float, known: Sequence[Profile]) -> float:
    """Duty of a language model on the plan that it was first published with, by the step model. [1]"""
    key = catalog().resolve("gpus", gpu_key)
    network = "ib-ndr400"
    gpus = max(32.0, 32.0 * round(gpus / 32.0))
    plan = Plan(
        gpus=gpus,
        tp=4.0,
        pp=8.0,
        vp=4.0,
        cp=1.0,
        ep=1.0,
        expert_tp=1.0,
        micro_batch=1.0,
        global_batch=gpus * 4,
        seq=2048.0,
    )
    profile = nearest(known, gpu=key, dtype="fp8", stack="mlperf", network=network, moe=False)
    part = gpu(key, "fp8", network)
    return float(step(transformer(model), plan, part, profile.calibration("fp8")).duty_frac)


def node(row: Mapping[str, str], known: Sequence[Profile] | None = None) -> Node:
    """Read a row of published node power; duty of large models by the shipped profiles of training where not given.

    Raises
    ------
    RangeError
        If a figure cannot be read.
    UnknownNameError
        If no server of the catalog carries the accelerator.
    """
    try:
        nodes, gpus, minutes = (float(row[name]) for name in ("nodes", "gpus", "time_to_train_min_median"))
    except ValueError:
        raise RangeError("nodes, gpus and time_to_train_min_median must be numbers") from None
    text = f"{row['accelerator']} {row['system']}"
    found = re.search(r"GB300|GB200|B300|B200|H200|H100|A100", text)
    if not found:
        raise UnknownNameError(f"no server of the catalog carries '{row['accelerator']}'")
    key = catalog().resolve("gpus", found[0])
    server = default_server(key)
    part = {name: value.value for name, value in catalog().part("servers", server).items()}
    # Immersed and liquid-cooled nodes lose their fans. A published air-cooled one is of the maker whose highest reading
    # the catalog's peak is; the catalog's own fans, which a plan uses, lie between makers.
    fans = not re.search(r"immers|liquid|dlc", text, re.IGNORECASE)
    fan_max = part["peak_power_w"] - part["electronics_max_w"] if fans else 0.0
    reference = catalog().row("gpus", "h100-sxm-80gb", "bf16_dense_flop_s").value
    return Node(
        benchmark=row["benchmark"],
        server=ServerPower(part["electronics_idle_w"], part["electronics_max_w"], fan_max, part["liquid_frac"]),
        fans=fans,
        direct_current=row["measurement"].upper() == "DC",
        nodes=nodes,
        minutes=minutes,
        relative_speed=catalog().row("gpus", key, "bf16_dense_flop_s").value / reference * gpus / nodes / 8.0,
        gpu=key,
        gpus=gpus,
        known=tuple(profiles() if known is None else known),
    )


def cap_rate(row: Mapping[str, str], values: Mapping[str, float]) -> float:
    """Throughput of power-bound jobs under a cap of a published row, over that without it. [1]"""
    try:
        cap = float(row["cap_frac"])
    except ValueError:
        raise RangeError(f"cap_frac must be a number, got '{row['cap_frac']}'") from None
    return float(
        capped_rate(
            cap,
            idle_frac=values.get(f"idle_frac.{row['gpu']}", values["idle_frac"]),
            need_frac=values["need_frac"],
            clock_exponent=values["clock_exponent"],
        )
    )
