"""Step time of training a recommendation model: embedding tables split over GPUs, dense layers replicated."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.physics.collectives import Fabric, collective_s
from dcsim.physics.kernels import gemm_s
from dcsim.physics.parallel import Gpu
from dcsim.physics.transformer import Rows


@dataclass(frozen=True)
class Recommender:
    """Deep learning recommendation model.

    Parameters
    ----------
    tables, rows, width : float
        Embedding tables, rows of all of them together, and numbers of a row. [1]
    lookups : float
        Rows that a sample reads, over all tables. [1]
    layers : tuple of (float, float)
        Width in and out of each dense layer, bottom and top. [1]
    cross_layers, cross_rank : float
        Low-rank cross layers over all features, and their rank; 0 where features meet by dot products. [1]
    """

    tables: float
    rows: float
    width: float
    lookups: float
    layers: tuple[tuple[float, float], ...]
    cross_layers: float = 0.0
    cross_rank: float = 0.0

    @property
    def features(self) -> float:
        """Numbers that enter the interaction: a row of each table and the bottom layers' output. [1]"""
        return (self.tables + 1.0) * self.width

    @property
    def products(self) -> tuple[tuple[float, float], ...]:
        """Width in and out of all matrix products of a sample."""
        crosses = int(self.cross_layers) * ((self.features, self.cross_rank), (self.cross_rank, self.features))
        return self.layers + crosses

    @property
    def dense_params(self) -> float:
        """Weights that every GPU holds. [1]"""
        return sum((one + 1.0) * other for one, other in self.products)

    @property
    def embedding_params(self) -> float:
        """Weights of the tables. [1]"""
        return self.rows * self.width


@dataclass(frozen=True)
class RecommenderCalibration(Rows):
    """What a software stack makes of the hardware.

    Parameters
    ----------
    gemm_eff : array_like
        Best matrix rate over peak. [1]
    gather_eff : array_like
        Achieved over peak memory bandwidth in scattered reads of rows. [1]
    step_s, layer_s : array_like
        Time that no size changes: of a step, and of a dense layer, once forward and once backward. [s]
    dp_exposed : array_like
        Share of the dense gradients' reduction that computation does not hide. [1]
    """

    gemm_eff: Any = 0.75
    gather_eff: Any = 0.5
    step_s: Any = 0.5e-3
    layer_s: Any = 30e-6
    dp_exposed: Any = 0.2


@dataclass(frozen=True)
class RecommenderStep(Rows):
    """One training step by its parts, which sum; each field an array of shape (n,). [s]"""

    step_s: Any
    gemm_s: Any
    embedding_s: Any
    all_to_all_s: Any
    dp_s: Any
    overhead_s: Any

    @property
    def duty_frac(self) -> Any:
        """Share of the step in which a GPU computes or reads memory. [1]"""
        return (self.gemm_s + self.embedding_s) / self.step_s


def recommender_step(
    model: Recommender,
    samples: Any,
    gpus: Any,
    gpu: Gpu,
    fabric: Fabric,
    fit: RecommenderCalibration,
    *,
    embedding_b: float = 4.0,
    exchanged_b: float = 2.0,
) -> RecommenderStep:
    r"""Time of a step: tables by model parallelism, dense layers by data parallelism.

    Parameters
    ----------
    model : Recommender
        The model.
    samples : array_like, shape (n,)
        Samples of a step on each GPU. [1]
    gpus : array_like, shape (n,)
        GPUs, above which tables are spread evenly. [1]
    gpu, fabric, fit
        Hardware and calibration, rows of one length or scalars.
    embedding_b, exchanged_b : float
        Bytes of a number in the tables and in exchanges. [B]

    Notes
    -----
    A row is read forward, and read and written with the state of a row-wise optimizer backward, so its bytes move three
    times. Pooled rows of all tables go to the GPU of their sample by an all-to-all forward, their gradients back by
    another. No published case was found to compare with; uneven tables and hot rows, which make some GPUs wait, are
    not modelled, so real steps are longer.

    References
    ----------
    .. [1] M. Naumov et al., "Deep learning recommendation model for personalization and recommendation systems,"
       :arxiv:`1906.00091`; D. Mudigere et al., :arxiv:`2104.05158`.
    """
    b, n = np.asarray(samples, dtype=float), np.asarray(gpus, dtype=float)
    rate = gpu.matmul16_flop_s * fit.gemm_eff
    halves = {"half_m": gpu.gemm_m0, "half_n": gpu.gemm_n0, "half_k": gpu.gemm_k0}
    products_s = 3.0 * sum(gemm_s(b, out, into, rate, **halves) for into, out in model.products)
    embedding_s = 3.0 * b * model.lookups * model.width * embedding_b / (gpu.memory_b_s * fit.gather_eff)
    ranks = np.maximum(n, 2.0)
    pooled_b = b * model.tables * model.width * exchanged_b
    exchange_s = np.where(n > 1, 2.0 * collective_s("all_to_all", pooled_b, ranks, fabric), 0.0)
    reduce_s = np.where(n > 1, collective_s("all_reduce", 2.0 * model.dense_params, ranks, fabric), 0.0)
    dp_s = fit.dp_exposed * reduce_s
    overhead_s = fit.step_s + 2.0 * len(model.products) * np.asarray(fit.layer_s) + 0.0 * dp_s
    return RecommenderStep(
        step_s=products_s + embedding_s + exchange_s + dp_s + overhead_s,
        gemm_s=products_s,
        embedding_s=embedding_s,
        all_to_all_s=exchange_s,
        dp_s=dp_s,
        overhead_s=overhead_s,
    )


def recommender_memory_b(model: Recommender, samples: Any, gpus: Any, *, embedding_b: float = 4.0) -> Any:
    """Memory of a GPU: its share of the tables with a row-wise optimizer, dense weights with Adam, activations. [B]"""
    b, n = np.asarray(samples, dtype=float), np.asarray(gpus, dtype=float)
    tables = (model.embedding_params * embedding_b + model.rows * 4.0) / n
    widths = sum(into + out for into, out in model.products) + model.features
    return tables + 16.0 * model.dense_params + b * widths * 2.0
