"""Pods and nodes of Alibaba's cluster of 2023, with all that they ask for and have.

Columns as documented in https://github.com/alibaba/clusterdata/tree/master/cluster-trace-gpu-v2023.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcsim.errors import InputError, Problem
from dcsim.workload.jobs import Floats, Ints
from dcsim.workload.traces import tables
from dcsim.workload.traces.canonical import Reading, numbers

POD_COLUMNS = (
    "name",
    "cpu_milli",
    "memory_mib",
    "num_gpu",
    "gpu_milli",
    "gpu_spec",
    "creation_time",
    "deletion_time",
    "scheduled_time",
)
NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")


@dataclass(frozen=True)
class PodTrace:
    """Columns of a pod list, in the order of creation; ``scheduled_s`` is NaN of a pod that never ran. [s]"""

    name: tuple[str, ...]
    created_s: Floats
    scheduled_s: Floats
    deleted_s: Floats
    cpu_milli: Ints
    memory_mib: Ints
    gpus: Ints
    gpu_milli: Ints
    models: tuple[frozenset[str], ...]


def read_pods(path: Path) -> PodTrace:
    """Pods of a list; a pod of several GPUs takes whole ones.

    Raises
    ------
    InputError
        If the file cannot be read, or lacks a column.
    """
    found = _table(path, POD_COLUMNS)
    order = np.argsort(found["creation_time"], kind="stable")
    text = {name: [found[name][k] for k in order] for name in ("name", "gpu_spec")}

    def column(name: str) -> Floats:
        return np.asarray(found[name][order], dtype=float)

    gpus = column("num_gpu").astype(np.int64)
    return PodTrace(
        name=tuple(text["name"]),
        created_s=column("creation_time"),
        scheduled_s=column("scheduled_time"),
        deleted_s=column("deletion_time"),
        cpu_milli=column("cpu_milli").astype(np.int64),
        memory_mib=column("memory_mib").astype(np.int64),
        gpus=gpus,
        gpu_milli=np.where(gpus > 0, column("gpu_milli"), 0).astype(np.int64),
        models=tuple(frozenset(spec.split("|")) if spec else frozenset() for spec in text["gpu_spec"]),
    )


def read_nodes(path: Path) -> tuple[Ints, Ints, Ints, tuple[str, ...]]:
    """Processors [1/1000], memory [MiB], GPUs and GPU model of each node of a list.

    Raises
    ------
    InputError
        If the file cannot be read, or lacks a column.
    """
    found = _table(path, NODE_COLUMNS)
    cpu, memory, gpus = (found[name].astype(np.int64) for name in ("cpu_milli", "memory_mib", "gpu"))
    return cpu, memory, gpus, tuple(found["model"])


_TEXTS = ("name", "sn", "gpu_spec", "model")


def _table(path: Path, columns: tuple[str, ...]) -> dict[str, np.ndarray]:
    reading = Reading(path)
    lacking = [name for name in columns if name not in tables.header(path)]
    if lacking:
        raise InputError(str(path), [Problem(1, "", f"the columns {', '.join(lacking)} are not there")])
    parts: dict[str, list[np.ndarray]] = {name: [] for name in columns}
    for _, found in tables.frames(reading, columns):
        for name in columns:
            values = found[name].astype("str") if name in _TEXTS else numbers(found[name])
            parts[name].append(values.to_numpy(dtype=object if name in _TEXTS else float))
    reading.finish()
    if not parts[columns[0]]:
        raise InputError(str(path), [Problem(1, "", "holds no row")])
    return {name: np.concatenate(values) for name, values in parts.items()}
