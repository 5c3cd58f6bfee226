"""Memory that a GPU needs to train a transformer under a plan."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.physics.parallel import Gpu, Plan, stage_weights
from dcsim.physics.transformer import Rows, Transformer

# Bytes a weight of a 16-bit working copy, and of Adam's 32-bit weight and two moments.
WEIGHT_B, OPTIMIZER_B = 2.0, 12.0
# Bytes a logit held between output layer and loss: 16-bit logits and their 32-bit copy.
LOGIT_B = 6.0
# Context, communication buffers and libraries. Assumption: 2 to 6 GB are seen in practice.
RESERVED_B = 3e9


@dataclass(frozen=True)
class Memory(Rows):
    """Memory of the fullest GPU by use; each field an array of shape (n,). [B]"""

    states_b: Any
    activations_b: Any
    logits_b: Any
    gathered_b: Any
    reserved_b: Any

    @property
    def total_b(self) -> Any:
        """All of it. [B]"""
        return self.states_b + self.activations_b + self.logits_b + self.gathered_b + self.reserved_b


def states_b(model: Transformer, plan: Plan, *, embedding: bool = True) -> Any:
    """Weights, gradients and optimizer of a GPU. [B]

    With *embedding* the first or last pipeline stage is meant, which holds the embedding or the output layer, as in
    :func:`stage_weights`; without it the layers alone.
    """
    dense, experts = stage_weights(model, plan)
    if not embedding:
        dense = dense - model.embedding_params() * np.where(np.asarray(plan.pp) == 1, 2.0, 1.0) / plan.tp
    zero = np.asarray(plan.zero)
    total: Any = 0.0
    for weights, ranks in ((dense, plan.replicas), (experts, plan.expert_replicas)):
        split_optimizer = np.where(zero > 0, ranks, 1.0)
        split_weights = np.where(zero >= 3, ranks, 1.0)
        held = WEIGHT_B + plan.trained_frac * plan.gradient_b
        total = total + weights * (held / split_weights + plan.trained_frac * OPTIMIZER_B / split_optimizer)
    return total


def layer_activations_b(
    model: Transformer, plan: Plan, *, input_b: Any = 2.0, dropout: bool = False, scores: bool = False
) -> Any:
    r"""Activations that one layer keeps for its backward pass, for one micro-batch on one GPU. [B]

    Parameters
    ----------
    model, plan
        Rows of one length, or scalars. The plan's full recomputation is not looked at.
    input_b : array_like
        Bytes of a number that a matrix product keeps of its input: 2, or 1 in 8-bit and 4-bit runs. [B]
    dropout : bool
        Whether masks of dropout are kept, as in models before 2022.
    scores : bool
        Whether the attention scores are kept: an unfused core that is not computed again.

    Notes
    -----
    A token keeps, with h the hidden size, a heads, k key-value heads, d their size, f the MLP's and e = *input_b*: both
    norms' inputs 4h and outputs 2eh, queries, keys and values 2(a + 2k)d, the projection's input ead, the products of
    the MLP 2(1 + gated)f and activation ef; dropout adds two masks 2h, scores add 5as. With h = ad, f = 4h, e = 2 and
    no gate this is 34h + 5as, as published. Tensor parallelism splits all but norms and masks; sequence parallelism
    splits these too. A routed token is kept for every expert that it visits. Cheap recomputation drops norms,
    activations and the up-projections of latent attention.

    References
    ----------
    .. [1] V. Korthikanti et al., :arxiv:`2205.05198`, section 4.
    """
    h, d, tp = model.hidden, model.head_dim, plan.tp
    keep = 1.0 - np.asarray(plan.other_recompute)
    norms = 4.0 * h + 2.0 * input_b * h * keep + (2.0 * h if dropout else 0.0)
    grouped = 2.0 * (model.heads + 2 * model.kv_heads) * d
    latent = 2.0 * (model.q_rank + model.kv_rank + model.rope_dim) + keep * 2.0 * model.heads * (2 * model.qk_dim + d)
    heads = np.where(model.latent, latent, grouped) + input_b * model.heads * d
    width = 2.0 * (1 + model.gated) + input_b * keep
    visited = (model.top_k + model.shared_experts) * width * model.moe_ffn_hidden + model.top_k * input_b * h
    share = model.moe_layers / model.all_layers
    split = heads + width * model.ffn_hidden * (1 - share) + visited * share
    if scores:
        split = split + 5.0 * model.heads * plan.seq
    sequence_parallel = np.asarray(plan.sequence_parallel) > 0
    return plan.tokens * (np.where(sequence_parallel, norms / tp, norms) + split / tp)


def held_layers(model: Transformer, plan: Plan) -> Any:
    r"""Layers times micro-batches whose activations the first pipeline stage holds at its peak. [1]

    Notes
    -----
    One forward, one backward: p micro-batches, with chunks :math:`p \, (1 + (p - 1) / (p v))`, or all where there are
    fewer. Where embedding and loss take the slots of layers the first stage has a layer less.
    """
    pp, chunks = plan.pp, np.maximum(plan.vp, 1.0)
    interleaved = np.where(chunks > 1, 1.0 + (pp - 1.0) / (pp * chunks), 1.0)
    in_flight = np.minimum(plan.micro_batches, pp * interleaved)
    slotted = (np.mod(model.layers, pp * chunks) != 0) & (np.mod(model.layers + 2, pp * chunks) == 0) & (pp > 1)
    layers = np.where(slotted, (model.layers + 2) / pp - 1.0, np.ceil(model.all_layers / pp))
    return layers * np.maximum(in_flight, 1.0)


def memory(model: Transformer, plan: Plan, gpu: Gpu, *, fused: bool = True, dropout: bool = False) -> Memory:
    """Memory of the fullest GPU.

    Parameters
    ----------
    model, plan, gpu
        Rows of one length, or scalars.
    fused : bool
        Whether attention scores never reach memory.
    dropout : bool
        Whether the model uses dropout.

    Notes
    -----
    Valid for Adam in 16-bit or 8-bit training. CPU offload, 8-bit optimizers and fragmentation are not modelled.
    """
    bare = layer_activations_b(model, plan, input_b=gpu.weight_b, dropout=dropout)
    whole = bare if fused else layer_activations_b(model, plan, input_b=gpu.weight_b, dropout=dropout, scores=True)
    kept = np.where(np.asarray(plan.core_recompute) > 0, bare, whole)
    # Full recomputation keeps the input of each layer and, while it runs, all of one layer.
    tp_split = np.where(np.asarray(plan.sequence_parallel) > 0, plan.tp, 1.0)
    inputs = 2.0 * plan.tokens * model.hidden / tp_split
    held = held_layers(model, plan)
    activations = np.where(np.asarray(plan.full_recompute) > 0, held * inputs + whole, held * kept)

    dense, experts = stage_weights(model, plan)
    a_layer = (dense + experts) * plan.pp / model.all_layers
    a_weight_b = WEIGHT_B + plan.trained_frac * plan.gradient_b
    logits = LOGIT_B * plan.tokens * model.vocab / plan.tp
    return Memory(
        states_b=states_b(model, plan),
        activations_b=activations,
        logits_b=np.where(np.asarray(plan.pp) == 1, logits, 0.0),
        # ZeRO-3 gathers two layers at a time, their gradients with them.
        gathered_b=np.where(np.asarray(plan.zero) >= 3, 2.0 * a_layer * a_weight_b, 0.0),
        reserved_b=np.full(np.shape(activations), RESERVED_B),
    )
