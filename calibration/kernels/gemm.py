"""Matrix products by data type: cubes, and those of a model's layers."""

from collections.abc import Callable

import torch

from dcsim.catalog.hardware import transformer

from ..protocol import Point
from .common import DTYPES, Bench
from .models import trained

SIZES = {
    ("cpu", True): (64, 128, 256, 512),
    ("cpu", False): (64, 128, 256, 512, 1024, 2048),
    ("cuda", True): (512, 1024, 2048, 4096, 8192),
    ("cuda", False): (256, 512, 1024, 2048, 4096, 8192, 16384),
}
# Tokens that a model's products are measured at, and operations beyond which a product is left out. [1], [FLOP]
MODEL_TOKENS = {"cpu": 256, "cuda": 4096}
MOST_FLOP = {"cpu": 5e10, "cuda": 1e15}

Size = tuple[int, int, int]


def layer_products(tokens: int, hidden: int, qkv: int, inner: int, up: int, down: int, vocab: int) -> dict[str, Size]:
    """Products of a layer and of the output layer: rows, columns, and the inner size that is summed over."""
    return {
        "qkv": (tokens, qkv, hidden),
        "projection": (tokens, hidden, inner),
        "up": (tokens, up, hidden),
        "down": (tokens, hidden, down),
        "output": (tokens, vocab, hidden),
    }


def products(bench: Bench, dtype: str) -> dict[str, Size]:
    """Products of the model that was asked for, else of the GPT whose training step is measured."""
    if not bench.model:
        shape = trained(bench.device.kind, bench.quick, dtype)
        h = shape.hidden
        return layer_products(shape.batch * shape.seq, h, 3 * h, h, 4 * h, 4 * h, shape.vocab)
    model = transformer(bench.model)
    h, heads, d = int(model.hidden), int(model.heads), int(model.head_dim)
    ffn = int(model.ffn_hidden or model.moe_ffn_hidden)
    qkv = (heads + 2 * int(model.kv_heads or model.heads)) * d
    up = (1 + int(model.gated)) * ffn
    return layer_products(MODEL_TOKENS[bench.device.kind], h, qkv, heads * d, up, ffn, int(model.vocab))


def _linear(bench: Bench, size: Size, dtype: torch.dtype) -> Callable[[], None]:
    """A product as a layer of a network does it: weights of 32 bit, bias, and both products of its backward pass."""
    m, n, k = size
    layer = torch.nn.Linear(k, n).to(bench.device.torch)
    x, slope = bench.random(m, k, dtype=dtype).requires_grad_(), bench.random(m, n, dtype=dtype)

    def work() -> None:
        with torch.autocast(bench.device.kind, dtype, enabled=dtype != torch.float32):
            y = layer(x)
        y.backward(slope)
        layer.zero_grad(set_to_none=True)
        x.grad = None

    return work


def run(bench: Bench) -> list[Point]:
    """Time every size and data type, and a model's products with their backward pass; power at the largest cube."""
    kind = bench.device.kind
    cubes = SIZES[kind, bench.quick]
    wanted: list[tuple[str, str, Size]] = [(name, "cube", (n, n, n)) for name in DTYPES for n in cubes]
    wanted += [(name, label, size) for name in DTYPES for label, size in products(bench, name).items()]
    points = []
    for name, label, (m, n, k) in bench.shuffled(wanted):
        size = {"dtype": name, "shape": label, "m": m, "n": n, "k": k}
        if 2.0 * m * n * k > MOST_FLOP[kind]:
            points.append(Point("gemm", size, bench.session, reason="too large to repeat on this device"))
            continue
        dtype = DTYPES[name]
        a, b = bench.random(m, k, dtype=dtype), bench.random(k, n, dtype=dtype)
        out = torch.empty(m, n, dtype=dtype, device=bench.device.torch)
        power = label == "cube" and n == cubes[-1]
        points.append(bench.alone("gemm", size, lambda a=a, b=b, out=out: torch.mm(a, b, out=out), power=power))  # type: ignore[misc]
        if label != "cube":
            points.append(bench.alone("linear", dict(size), _linear(bench, (m, n, k), dtype)))
    return points
