"""Plan of a training run: how the model and the batch are split over GPUs, and the GPUs and links that carry it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.physics.transformer import Rows, Transformer

# What of a layer is computed again in the backward pass.
RECOMPUTE = ("none", "selective", "full", "other")


@dataclass(frozen=True)
class Plan(Rows):
    """Parallel plan; each field an array_like of shape (n,).

    Parameters
    ----------
    gpus : array_like
        All of them. [1]
    tp, pp, vp, cp : array_like
        Tensor, pipeline, virtual-pipeline (chunks a stage) and context parallel sizes. [1]
    ep, expert_tp : array_like
        Expert parallel size, which lies inside data, context and tensor parallel ranks, and tensor parallel size
        within an expert. [1]
    micro_batch, global_batch : array_like
        Sequences a micro-batch and a step. [1]
    seq : array_like
        Tokens a sequence. [1]
    full_recompute, core_recompute, other_recompute : array_like
        1 where a whole layer, the attention core, or only cheap parts such as norms are computed again. [1]
    sequence_parallel : array_like
        1 where norms are split over tensor parallel ranks too. [1]
    zero : array_like
        0 replicates the optimizer, 1 splits it over data parallel ranks, 3 splits weights and gradients too. [1]
    gradient_b : array_like
        Bytes of a gradient as kept and reduced: 2, or 4 in stacks before 2023. [B]
    trained_frac : array_like
        Share of the weights that is trained. Below 1 the others are frozen, as with low-rank adapters: they have no
        gradients and no optimizer, and the backward pass leaves their half of it out. [1]
    """

    gpus: Any
    tp: Any
    pp: Any
    vp: Any
    cp: Any
    ep: Any
    expert_tp: Any
    micro_batch: Any
    global_batch: Any
    seq: Any
    full_recompute: Any = 0.0
    core_recompute: Any = 0.0
    other_recompute: Any = 0.0
    sequence_parallel: Any = 1.0
    zero: Any = 1.0
    gradient_b: Any = 2.0
    trained_frac: Any = 1.0

    @property
    def frozen(self) -> Any:
        """1 where most weights are frozen. [1]"""
        return np.where(np.asarray(self.trained_frac) < 1, 1.0, 0.0)

    @property
    def dp(self) -> Any:
        """Data parallel size. [1]"""
        return self.gpus / (self.tp * self.pp * self.cp)

    @property
    def replicas(self) -> Any:
        """Ranks that hold the same dense weights: data and context parallel. [1]"""
        return self.dp * self.cp

    @property
    def micro_batches(self) -> Any:
        """Micro-batches of one replica in a step. [1]"""
        return self.global_batch / (self.dp * self.micro_batch)

    @property
    def expert_replicas(self) -> Any:
        """Ranks that hold the same expert weights. [1]"""
        return np.maximum(self.gpus / (self.pp * self.ep * self.expert_tp), 1.0)

    @property
    def tokens(self) -> Any:
        """Tokens of a micro-batch that a rank sees. [1]"""
        return self.micro_batch * self.seq / self.cp

    @property
    def activation_share(self) -> Any:
        """Share of the element-wise work that a tensor parallel rank does. [1]

        Without sequence parallelism the norms, about half of it, are done by every rank.
        """
        return np.where(np.asarray(self.sequence_parallel) > 0, 1 / self.tp, 0.5 + 0.5 / self.tp)


@dataclass(frozen=True)
class Gpu(Rows):
    """GPU and its links, at their data sheet rates; each field an array_like of shape (n,).

    Parameters
    ----------
    matmul_flop_s, matmul16_flop_s : array_like
        Dense peak of the run's data type, and of 16-bit numbers, which attention and the output layer use. [FLOP/s]
    exp_per_s : array_like
        Exponentials that the special-function units do. [1/s]
    memory_b_s, memory_b : array_like
        Bandwidth and size of its memory. [B/s], [B]
    domain_gpus, domain_b_s : array_like
        GPUs that one switched scale-up domain joins (NVLink, Infinity Fabric), and a GPU's bandwidth into it, one
        direction. [1], [B/s]
    network_b_s : array_like
        A GPU's share of the scale-out network, one direction. [B/s]
    weight_b : array_like
        Bytes of a weight as gathered: 2, or 1 in 8-bit and 4-bit runs. [B]
    gemm_m0, gemm_n0, gemm_k0 : array_like
        Sizes at which a matrix product runs at half of its best rate. [1]
    """

    matmul_flop_s: Any
    matmul16_flop_s: Any
    exp_per_s: Any
    memory_b_s: Any
    memory_b: Any
    domain_gpus: Any
    domain_b_s: Any
    network_b_s: Any
    weight_b: Any
    gemm_m0: Any
    gemm_n0: Any
    gemm_k0: Any


def slowest_stage(model: Transformer, plan: Plan, layer_s: Any, output_s: Any) -> tuple[Any, Any]:
    r"""Time of the slowest and of a mean pipeline stage for one micro-batch, forward and backward.

    Parameters
    ----------
    model : Transformer
        Its layers.
    plan : Plan
        Its stages.
    layer_s : array_like, shape (n,)
        One layer, forward and backward. [s]
    output_s : array_like, shape (n,)
        Output layer and loss, forward and backward. [s]

    Notes
    -----
    Where layers divide by the chunks, each stage gets as many and the last carries the output layer too. Where layers
    and two more divide by the chunks, as in the 126 layers of Llama 3 405B, embedding and loss each take the slot of a
    layer. Otherwise stages are laid out by hand, and none is shorter than the rounded-up layers or the mean.
    """
    stages, chunks = plan.pp, plan.pp * np.maximum(plan.vp, 1)
    mean = (model.all_layers * layer_s + output_s) / stages
    level = model.all_layers / stages * layer_s + output_s
    slots = (model.layers + 2) / stages
    slotted = np.maximum(slots * layer_s, (slots - 1) * layer_s + output_s)
    by_hand = np.maximum(np.ceil(model.all_layers / stages) * layer_s, mean)
    divides, two_more = np.mod(model.layers, chunks) == 0, np.mod(model.layers + 2, chunks) == 0
    slowest = np.select([np.asarray(stages) == 1, divides, two_more], [level, level, slotted], by_hand)
    return slowest, np.minimum(mean, slowest)


def stage_weights(model: Transformer, plan: Plan) -> tuple[Any, Any]:
    """Dense and expert weights that a rank of a mean stage holds before any sharding by ZeRO. [1]"""
    dense = (
        model.all_layers * model.attention_params()
        + model.dense_layers * model.mlp_params()
        + model.moe_layers * model.shared_experts * model.expert_params()
    ) / plan.pp
    # The first stage holds the embedding and the last the output layer; a run of one stage holds both.
    ends = model.embedding_params() * np.where(np.asarray(plan.pp) == 1, 2.0, 1.0)
    experts = model.moe_layers * model.experts * model.expert_params() / (plan.ep * plan.expert_tp * plan.pp)
    return (dense + ends) / plan.tp, experts
