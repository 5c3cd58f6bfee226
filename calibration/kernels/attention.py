"""Fused causal attention cores by head size, length and data type: forward, and with their backward pass."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from ..protocol import Point
from .common import DTYPES, Bench

# Batch, heads, tokens, head size.
SIZES = {
    ("cpu", True): ((1, 4, 128, 64), (1, 4, 256, 64), (1, 4, 512, 64), (1, 4, 256, 128), (1, 8, 256, 32)),
    ("cpu", False): (
        (1, 4, 128, 64),
        (1, 4, 256, 64),
        (1, 4, 512, 64),
        (1, 4, 1024, 64),
        (1, 4, 512, 128),
        (1, 8, 512, 32),
    ),
    ("cuda", True): ((2, 32, 2048, 128), (2, 32, 4096, 128), (2, 32, 8192, 128), (2, 32, 4096, 64), (8, 32, 1024, 128)),
    ("cuda", False): (
        (8, 32, 1024, 128),
        (4, 32, 2048, 128),
        (2, 32, 4096, 128),
        (2, 32, 8192, 128),
        (1, 32, 16384, 128),
        (2, 32, 4096, 64),
        (2, 32, 8192, 64),
    ),
}


@dataclass
class Trained:
    """A core with its backward pass."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    slope: torch.Tensor

    def __call__(self) -> None:
        """Run it once."""
        query, key, value = (x.detach().requires_grad_() for x in (self.query, self.key, self.value))
        out = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        torch.autograd.backward(out, self.slope)


def run(bench: Bench) -> list[Point]:
    """Time the core alone; power at the longest."""
    sizes = SIZES[bench.device.kind, bench.quick]
    names = list(DTYPES) if bench.device.kind == "cpu" else ["bf16"]
    longest = max(sizes, key=lambda size: size[2])
    points = []
    for name, (batch, heads, seq, d) in bench.shuffled([(name, size) for name in names for size in sizes]):
        query, key, value = (bench.random(batch, heads, seq, d, dtype=DTYPES[name]) for _ in range(3))

        def core(query: torch.Tensor = query, key: torch.Tensor = key, value: torch.Tensor = value) -> torch.Tensor:
            return functional.scaled_dot_product_attention(query, key, value, is_causal=True)

        size = {"dtype": name, "batch": batch, "heads": heads, "seq": seq, "head_dim": d}
        points.append(bench.alone("attention", size, core, power=(batch, heads, seq, d) == longest))
        if d == sizes[0][3] and (batch, heads, seq, d) != longest:
            slope = bench.random(batch, heads, seq, d, dtype=DTYPES[name])
            trained = Trained(query, key, value, slope)
            points.append(bench.alone("attention_trained", dict(size), trained))
    return points
