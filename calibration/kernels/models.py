"""Networks whose training steps are measured: a GPT, a ResNet and a recommender, real but small."""

from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional


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
# A quick step in 16 bit on a processor: one without instructions for it took 80 times as long as in 32.
EMULATED = {"batch": 1, "layers": 2}


def trained(kind: str, quick: bool, dtype: str) -> Shape:
    """The GPT whose training step is measured in a data type, and whose products are."""
    shape = SHAPES[kind, quick]
    return replace(shape, **EMULATED) if quick and kind == "cpu" and dtype != "fp32" else shape


class Block(nn.Module):
    """Attention and MLP with their norms."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.qkv, self.projection = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.up, self.down = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(
        self, x: torch.Tensor, cache: tuple[torch.Tensor, torch.Tensor] | None = None, start: int = 0
    ) -> torch.Tensor:
        """Tokens to tokens; with a cache their keys and values are kept from *start* on, and all before are seen."""
        batch, seq, hidden = x.shape
        qkv = self.qkv(self.before_attention(x)).view(batch, seq, 3, self.heads, hidden // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        if cache is not None:
            cache[0][:, :, start : start + seq], cache[1][:, :, start : start + seq] = key, value
            key, value = cache[0][:, :, : start + seq], cache[1][:, :, : start + seq]
        core = functional.scaled_dot_product_attention(query, key, value, is_causal=seq > 1)
        x = x + self.projection(core.transpose(1, 2).reshape(batch, seq, hidden))
        mlp: torch.Tensor = self.down(functional.gelu(self.up(self.before_mlp(x))))
        return x + mlp


class Gpt(nn.Module):
    """Embedding, blocks, output layer; its loss in training, its logits with a cache."""

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

    def extend(self, tokens: torch.Tensor, caches: list[tuple[torch.Tensor, torch.Tensor]], start: int) -> torch.Tensor:
        """Logits after tokens that follow *start* others: a prompt from 0 on, then a token at a time."""
        x = self.tokens(tokens) + self.places.weight[start : start + tokens.shape[1]]
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block(x, cache, start)
        logits: torch.Tensor = self.output(self.norm(x[:, -1:]))
        return logits


class Bottleneck(nn.Module):
    """Residual block of three convolutions, as in ResNet-50."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(before, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        same = stride == 1 and before == after
        self.aside = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to images."""
        return functional.relu(self.body(x) + self.aside(x))


class ResNet(nn.Module):
    """Residual network of bottleneck blocks, (3, 4, 6, 3) for ResNet-50; its loss."""

    def __init__(self, blocks: tuple[int, ...], width: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        ]
        before = width
        for stage, count in enumerate(blocks):
            for block in range(count):
                layers.append(Bottleneck(before, width * 2**stage, 2 if stage and not block else 1))
                before = 4 * width * 2**stage
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Loss of naming the images."""
        return functional.cross_entropy(self.body(images), labels)


class Recommender(nn.Module):
    """Embedding tables, a bottom and a top network, features that meet by dot products; its loss, as in DLRM."""

    def __init__(self, tables: int, rows: int, width: int, dense: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.EmbeddingBag(rows, width, mode="sum") for _ in range(tables))
        self.bottom = nn.Sequential(nn.Linear(dense, 4 * width), nn.ReLU(), nn.Linear(4 * width, width), nn.ReLU())
        met = (tables + 1) * tables // 2 + width
        self.top = nn.Sequential(nn.Linear(met, 8 * width), nn.ReLU(), nn.Linear(8 * width, 1))

    def forward(self, numbers: torch.Tensor, rows: torch.Tensor, clicked: torch.Tensor) -> torch.Tensor:
        """Loss of predicting clicks from numbers (batch, dense) and rows (tables, batch, lookups)."""
        bottom = self.bottom(numbers)
        features = torch.stack([bottom, *(table(of) for table, of in zip(self.tables, rows, strict=True))], dim=1)
        products = torch.bmm(features, features.transpose(1, 2))
        low, high = torch.tril_indices(features.shape[1], features.shape[1], -1, device=features.device)
        logits = self.top(torch.cat([bottom, products[:, low, high]], dim=1)).squeeze(1)
        return functional.binary_cross_entropy_with_logits(logits, clicked)
