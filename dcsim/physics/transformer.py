"""Shape of a transformer: parameters, floating-point operations and bytes of one layer, by kind of layer."""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Fields that are scalars or arrays of one length, so that a record holds one case or a million."""

    def take(self, index: Any) -> Self:
        """Rows *index* of every field; scalars stay."""
        return type(self)(**{f.name: v[index] if np.ndim(v := getattr(self, f.name)) else v for f in fields(self)})


@dataclass(frozen=True)
class Transformer(Rows):
    """Decoder-only transformer, dense or mixture of experts; each field an array_like of shape (n,).

    Parameters
    ----------
    layers, hidden, heads, kv_heads, head_dim : array_like
        Depth, width, query heads, key-value heads and width of a head. [1]
    ffn_hidden, gated : array_like
        Width of the dense MLP, 0 where there is none; 1 if it has a gate. [1]
    vocab : array_like
        Tokens that the embedding and the output layer know. [1]
    experts, top_k, moe_ffn_hidden, shared_experts : array_like
        Routed experts a layer, those that a token visits, their width, and experts that every token visits. [1]
    dense_layers : array_like
        Layers with a dense MLP: all of a dense model. [1]
    q_rank, kv_rank, rope_dim : array_like
        Ranks of multi-head latent attention and the width of its positional part; 0 for other attention. [1]
    window, window_frac : array_like
        Tokens that a windowed layer attends to, and the share of such layers. [1]
    mtp_layers : array_like
        Layers that predict a further token, each with a pass through the output layer. [1]
    """

    layers: Any
    hidden: Any
    heads: Any
    kv_heads: Any
    head_dim: Any
    ffn_hidden: Any
    gated: Any
    vocab: Any
    experts: Any = 0.0
    top_k: Any = 0.0
    moe_ffn_hidden: Any = 0.0
    shared_experts: Any = 0.0
    dense_layers: Any = None
    q_rank: Any = 0.0
    kv_rank: Any = 0.0
    rope_dim: Any = 0.0
    window: Any = 0.0
    window_frac: Any = 0.0
    mtp_layers: Any = 0.0

    def __post_init__(self) -> None:
        if self.dense_layers is None:
            object.__setattr__(self, "dense_layers", self.layers)

    @property
    def latent(self) -> Any:
        """Whether attention is multi-head latent attention. [bool]"""
        return np.asarray(self.kv_rank) > 0

    @property
    def moe_layers(self) -> Any:
        """Layers with experts, those that predict a further token included. [1]"""
        return self.layers - self.dense_layers + self.mtp_layers * (np.asarray(self.experts) > 0)

    @property
    def all_layers(self) -> Any:
        """Layers, those that predict a further token included. [1]"""
        return self.layers + self.mtp_layers

    @property
    def qk_dim(self) -> Any:
        """Width of a head in the query-key product. [1]"""
        return self.head_dim + self.rope_dim

    def attention_params(self) -> Any:
        """Weights of the attention block of a layer. [1]"""
        inner = self.heads * self.head_dim
        grouped = self.hidden * (self.heads + 2 * self.kv_heads) * self.head_dim
        latent = (
            self.hidden * self.q_rank
            + self.q_rank * self.heads * self.qk_dim
            + self.hidden * (self.kv_rank + self.rope_dim)
            + self.kv_rank * self.heads * 2 * self.head_dim
        )
        return np.where(self.latent, latent, grouped) + inner * self.hidden

    def mlp_params(self) -> Any:
        """Weights of a dense MLP. [1]"""
        return (2 + self.gated) * self.hidden * self.ffn_hidden

    def expert_params(self) -> Any:
        """Weights of one expert. [1]"""
        return (2 + self.gated) * self.hidden * self.moe_ffn_hidden

    def embedding_params(self) -> Any:
        """Weights of the embedding, and again of the output layer. [1]"""
        return self.vocab * self.hidden

    def params(self) -> Any:
        """All weights but norms and biases. [1]"""
        experts = self.experts + self.shared_experts
        return (
            self.all_layers * self.attention_params()
            + self.dense_layers * self.mlp_params()
            + self.moe_layers * (experts * self.expert_params() + self.hidden * self.experts)
            + 2 * self.embedding_params()
        )

    def active_params(self) -> Any:
        """Weights that one token meets, the embedding apart. [1]"""
        visited = self.top_k + self.shared_experts
        return (
            self.all_layers * self.attention_params()
            + self.dense_layers * self.mlp_params()
            + self.moe_layers * (visited * self.expert_params() + self.hidden * self.experts)
            + (1 + self.mtp_layers) * self.embedding_params()
        )

    def context(self, seq: Any) -> Any:
        """Tokens that a query meets on average over layers, before the causal half. [1]"""
        return seq * (1 - self.window_frac) + np.minimum(2 * self.window, seq) * self.window_frac

    def attention_flop(self, seq: Any) -> Any:
        """Operations of the attention core, forward, of one layer and one sequence, not causal. [FLOP]"""
        return 2 * seq * self.context(seq) * self.heads * (self.qk_dim + self.head_dim)

    def adapter_passes(self) -> Any:
        """Times that low-rank adapters on the attention projections move the activations of a layer, forward. [1]

        On the way into queries, keys and values, w times as wide as the layer, and into the output, dropout reads and
        writes, the inner product reads, the outer one writes, and the sum reads twice and writes.
        """
        width = (self.heads + 2 * self.kv_heads) * self.head_dim / self.hidden
        return (2 + 1 + 4 * width) + (2 + 1 + 4)

    def train_flop(self, seq: Any) -> Any:
        r"""Model operations of one sequence, forward and backward, without recomputation. [FLOP]

        Notes
        -----
        .. math:: F = 6 N_{active} s + 3 L \, F_{attention} / 2

        Half of the attention core lies above the diagonal of a causal model and is not counted. Papers differ in this:
        Megatron counts it whole.
        """
        return 6 * self.active_params() * seq + 3 * self.all_layers * self.attention_flop(seq) / 2
