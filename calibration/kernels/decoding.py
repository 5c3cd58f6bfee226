"""Serving steps of a GPT with a cache of keys and values: a prompt at once, then a token for each request."""

import torch

from ..protocol import Point
from .common import DTYPES, Bench
from .models import SHAPES, Gpt, Shape

# Requests and tokens of context.
SIZES = {
    ("cpu", True): ((1, 96), (8, 96)),
    ("cpu", False): ((1, 64), (1, 256), (8, 64), (8, 256), (32, 256)),
    ("cuda", True): ((1, 1024), (32, 1024)),
    ("cuda", False): ((1, 1024), (8, 1024), (32, 1024), (128, 1024), (1, 4096), (8, 4096), (32, 4096)),
}
ROOM = 8  # tokens of room after the context


def run(bench: Bench) -> list[Point]:
    """Time a prefill and a decode step of every batch and context; each rank serves alone."""
    sizes = SIZES[bench.device.kind, bench.quick]
    trained = SHAPES[bench.device.kind, bench.quick]
    shape = Shape(**{**vars(trained), "seq": max(context for _, context in sizes) + ROOM})
    torch.manual_seed(bench.seed)
    dtype = "bf16" if bench.device.kind == "cuda" else "fp32"
    model = Gpt(shape).to(bench.device.torch, DTYPES[dtype]).eval()
    d = shape.hidden // shape.heads
    points = []
    for batch, context in bench.shuffled(list(sizes)):
        room = (batch, shape.heads, context + ROOM, d)
        caches = [
            (
                torch.zeros(room, dtype=DTYPES[dtype], device=bench.device.torch),
                torch.zeros(room, dtype=DTYPES[dtype], device=bench.device.torch),
            )
            for _ in range(shape.layers)
        ]
        prompt, one = bench.tokens(shape.vocab, batch, context), bench.tokens(shape.vocab, batch, 1)
        size = {**vars(shape), "dtype": dtype, "batch": batch, "context": context}
        for name, tokens, start in (("prefill", prompt, 0), ("decode", one, context)):

            def extend(
                tokens: torch.Tensor = tokens,
                caches: list[tuple[torch.Tensor, torch.Tensor]] = caches,
                start: int = start,
            ) -> None:
                with torch.inference_mode():
                    model.extend(tokens, caches, start)

            with torch.inference_mode():
                points.append(bench.alone(name, dict(size), extend, power=True))
    return points
