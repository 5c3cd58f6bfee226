"""What a training step does besides matrix products and attention: norms and activations, loss, optimizer."""

import torch
from torch import nn
from torch.nn import functional

from ..protocol import Point
from .common import DTYPES, Bench

# Tokens, width of a layer, vocabulary, and weights that an optimizer steps.
SIZES = {
    ("cpu", True): ((512, 256, 2048, 2**20),),
    ("cpu", False): ((256, 512, 4096, 2**20), (512, 256, 2048, 2**22), (1024, 512, 8192, 2**23)),
    ("cuda", True): ((8192, 4096, 50304, 2**26),),
    ("cuda", False): ((4096, 2048, 50304, 2**26), (8192, 4096, 50304, 2**27), (8192, 8192, 128256, 2**28)),
}


class LayerPasses(nn.Module):
    """Two norms, an activation of four times the width, and two residuals: a layer without its products."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(hidden), nn.LayerNorm(hidden)

    def forward(self, x: torch.Tensor, wide: torch.Tensor) -> torch.Tensor:
        """Tokens to tokens; *wide* stands for the product that the activation follows."""
        x = x + self.first(x)
        x = x + self.second(x)
        return x.sum() + functional.gelu(wide).sum()


def run(bench: Bench) -> list[Point]:
    """Time each with its backward pass."""
    points = []
    sizes = [(name, size) for name in DTYPES for size in SIZES[bench.device.kind, bench.quick]]
    for name, (tokens, hidden, vocab, weights) in bench.shuffled(sizes):
        dtype = DTYPES[name]
        narrow = torch.autocast(bench.device.kind, dtype, enabled=name != "fp32")
        layer = LayerPasses(hidden).to(bench.device.torch)
        # Residuals stay in 32 bit under autocast; what a product gave is of its data type.
        x = bench.random(tokens, hidden).requires_grad_()
        wide = bench.random(tokens, 4 * hidden, dtype=dtype).requires_grad_()
        size = {"dtype": name, "tokens": tokens, "hidden": hidden}

        def passes(
            layer: nn.Module = layer,
            x: torch.Tensor = x,
            wide: torch.Tensor = wide,
            narrow: torch.autocast = narrow,
        ) -> None:
            with narrow:
                y = layer(x, wide)
            torch.autograd.backward(y)
            x.grad = wide.grad = None
            layer.zero_grad(set_to_none=True)

        points.append(bench.alone("layer_passes", size, passes))
        logits = bench.random(tokens, vocab, dtype=dtype).requires_grad_()
        following = bench.tokens(vocab, tokens, 1).flatten()

        def loss(
            logits: torch.Tensor = logits, following: torch.Tensor = following, narrow: torch.autocast = narrow
        ) -> None:
            with narrow:
                value = functional.cross_entropy(logits, following)
            torch.autograd.backward(value)
            logits.grad = None

        points.append(bench.alone("loss", {"dtype": name, "tokens": tokens, "vocab": vocab}, loss))
        if name == "fp32":  # weights and moments are kept in 32 bit whatever the products use
            held = [nn.Parameter(bench.random(weights // 8)) for _ in range(8)]
            for one in held:
                one.grad = bench.random(weights // 8)
            adam = torch.optim.AdamW(held, lr=1e-6)
            points.append(bench.alone("optimizer", {"weights": weights}, adam.step))
    return points
