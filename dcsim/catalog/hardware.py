"""Parts of the catalog as the records that physics takes: GPUs with their links, models."""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import TypeVar

import numpy as np

from dcsim.catalog.load import _read, catalog, models
from dcsim.errors import RangeError, UnknownNameError
from dcsim.physics.parallel import Gpu
from dcsim.physics.transformer import Rows, Transformer
from dcsim.registry import lookup

Record = TypeVar("Record", bound=Rows)

# Data types by the catalog's peak that they run at and the bytes of a weight as gathered. Those of 8 bit with a scale
# for each tensor and those with a scale for each block share a peak and are told apart by their presets.
DTYPES = {
    "fp16": ("bf16_dense_flop_s", 2.0),
    "bf16": ("bf16_dense_flop_s", 2.0),
    "fp8": ("fp8_dense_flop_s", 1.0),
    "mxfp8": ("fp8_dense_flop_s", 1.0),
    "nvfp4": ("fp4_dense_flop_s", 1.0),
}


@cache
def architecture(gpu: str) -> str:
    """Architecture of a GPU, such as ``hopper``."""
    known = {record["key"]: record["architecture"] for record in _read("gpu_families.csv")}
    return lookup(known, catalog().resolve("gpus", gpu), "GPU")


@cache
def default_server(gpu: str) -> str:
    """Server of the catalog that carries a GPU.

    Raises
    ------
    UnknownNameError
        If the GPU is not known or no server of the catalog carries it.
    """
    key = catalog().resolve("gpus", gpu)
    known = {record["key"]: record["server"] for record in _read("gpu_families.csv")}
    if not lookup(known, key, "GPU"):
        raise UnknownNameError(f"no server of the catalog carries {key}; add its rows to servers.csv")
    return known[key]


@cache
def server_has_gpus(server: str) -> bool:
    """Whether a server of the catalog carries GPUs."""
    return catalog().row("servers", catalog().resolve("servers", server), "gpus").value > 0


def server_usable_tb(server: str) -> float:
    """Usable capacity of a storage server of the catalog; 0 of any other. [TB]"""
    part = catalog().part("servers", catalog().resolve("servers", server))
    return part["usable_tb"].value if "usable_tb" in part else 0.0


@cache
def server_gpu(server: str) -> str:
    """GPU that a server of the catalog carries, by the server's name or the one that it is a variant of.

    Raises
    ------
    UnknownNameError
        If the catalog does not say.
    """
    key = catalog().resolve("servers", server)
    carried = {record["server"]: record["key"] for record in reversed(_read("gpu_families.csv")) if record["server"]}
    known = [name for name in carried if key == name or key.startswith(f"{name}-")]
    if not known:
        raise UnknownNameError(f"the catalog does not say which GPU {key} carries; known: {', '.join(sorted(carried))}")
    return carried[max(known, key=len)]


@cache
def gpu(key: str, dtype: str, network: str, domain_gpus: float = 0.0) -> Gpu:
    """A GPU at its data sheet rates.

    Parameters
    ----------
    key : str
        GPU of the catalog or a published spelling of it.
    dtype : str
        Data type of the matrix products, one of :data:`DTYPES`.
    network : str
        Network of the catalog.
    domain_gpus : float
        GPUs of the scale-up domain, the catalog's where 0. [1]

    Raises
    ------
    UnknownNameError
        If a name is not known.
    RangeError
        If the GPU has no unit for the data type.
    """
    part = {name: row.value for name, row in catalog().part("gpus", key).items()}
    peak, weight_b = lookup(DTYPES, dtype, "data type")
    if peak not in part:
        raise RangeError(
            f"{key} has no {dtype} units; it has {', '.join(n for n in part if n.endswith('dense_flop_s'))}"
        )
    return Gpu(
        matmul_flop_s=part[peak],
        matmul16_flop_s=part["bf16_dense_flop_s"],
        exp_per_s=part["exponentials_per_s"],
        memory_b_s=part["memory_bandwidth_b_s"],
        memory_b=part["memory_b"],
        domain_gpus=domain_gpus or part["domain_gpus"],
        domain_b_s=part["domain_b_s"],
        network_b_s=catalog().row("networks", network, "gpu_b_s").value,
        weight_b=weight_b,
        gemm_m0=part["gemm_half_m"],
        gemm_n0=part["gemm_half_n"],
        gemm_k0=part["gemm_half_k"],
    )


@cache
def transformer(key: str) -> Transformer:
    """Shape of a model of the catalog.

    Raises
    ------
    UnknownNameError
        If there is no such model.
    """
    numbers = dict(lookup(models(), catalog().resolve("models", key), "model").numbers)
    renamed = {"gated_mlp": "gated", "experts_top_k": "top_k"}
    values = {renamed.get(name, name): value for name, value in numbers.items()}
    return Transformer(**{"ffn_hidden": 0.0, "kv_heads": 0.0, **values})


def stack(records: Sequence[Record]) -> Record:
    """Records of scalars as one record of arrays, a row each."""
    first = type(records[0])
    return first(**{f.name: np.array([getattr(r, f.name) for r in records], dtype=float) for f in fields(first)})
