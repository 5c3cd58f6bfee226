"""Steps of a small GPT under DistributedDataParallel: autograd, AdamW, with and without gradient reduction."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from ..protocol import ENOUGH, Point
from .common import Bench


@dataclass(frozen=True)
class Shape:
    """A GPT: vocabulary, tokens, width, layers, heads, and sequences of a step on each rank. [1]"""

    vocab: int
    seq: int
    hidden: int
    layers: int
    heads: int
    batch: int


SHAPES = {
    ("cpu", True): Shape(2048, 128, 256, 4, 4, 4),
    ("cpu", False): Shape(2048, 128, 256, 4, 4, 4),
    ("cuda", True): Shape(32000, 1024, 1024, 8, 16, 8),
    ("cuda", False): Shape(50304, 2048, 2048, 12, 16, 8),
}
SAMPLES = {True: 12, False: 30}


class Block(nn.Module):
    """Attention and MLP with their norms."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.qkv, self.projection = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.up, self.down = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens to tokens."""
        batch, seq, hidden = x.shape
        qkv = self.qkv(self.before_attention(x)).view(batch, seq, 3, self.heads, hidden // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        core = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.projection(core.transpose(1, 2).reshape(batch, seq, hidden))
        mlp: torch.Tensor = self.down(functional.gelu(self.up(self.before_mlp(x))))
        return x + mlp


class Gpt(nn.Module):
    """Embedding, blocks, output layer and loss."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(shape.vocab, shape.hidden), nn.Embedding(shape.seq, shape.hidden)
        self.blocks = nn.ModuleList(Block(shape.hidden, shape.heads) for _ in range(shape.layers))
        self.norm, self.output = nn.LayerNorm(shape.hidden), nn.Linear(shape.hidden, shape.vocab, bias=False)

    def forward(self, tokens: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """Loss of predicting the following tokens."""
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = self.output(self.norm(x))
        return functional.cross_entropy(logits.flatten(0, 1), following.flatten())


def run(bench: Bench) -> list[Point]:
    """Time steps with gradients reduced and not, in turn; on one rank only the latter."""
    shape = SHAPES[bench.device.kind, bench.quick]
    torch.manual_seed(bench.seed)
    model: nn.Module = Gpt(shape).to(bench.device.torch)
    if bench.world > 1:
        model = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    tokens = torch.randint(shape.vocab, (shape.batch, shape.seq + 1), generator=bench.generator)
    tokens = tokens.to(bench.device.torch)

    def step(reduced: bool) -> None:
        with _reduction(model, reduced):
            model(tokens[:, :-1], tokens[:, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    kinds = (True, False) if bench.world > 1 else (False,)
    times: dict[bool, list[float]] = {kind: [] for kind in kinds}
    for _ in range(3):
        for kind in kinds:
            step(kind)
    for turn in range(max(SAMPLES[bench.quick], ENOUGH)):
        for kind in kinds if turn % 2 == 0 else tuple(reversed(kinds)):
            bench.together()
            times[kind].append(bench.largest(bench.device.seconds(lambda kind=kind: step(kind))))  # type: ignore[misc]
    size = {**vars(shape), "ranks": bench.world}
    names = {True: "training_step", False: "training_step_alone"}
    return [Point(names[kind], dict(size), bench.session, of, [0.0] * len(of), "sure") for kind, of in times.items()]


@contextlib.contextmanager
def _reduction(model: nn.Module, reduced: bool) -> Iterator[None]:
    """Whether gradients are reduced over ranks in the backward pass."""
    if isinstance(model, DistributedDataParallel) and not reduced:
        with model.no_sync():
            yield
    else:
        yield
