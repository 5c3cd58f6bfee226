"""Matrix products and an all-reduce at the same time: what of communication computation hides, or slows."""

from collections.abc import Callable

import torch
import torch.distributed as dist

from ..protocol import ENOUGH, Point, in_turn
from .common import DTYPES, Bench

MIB = 2**20
# Side of the matrices, and bytes of the message.
SIZES = {
    ("cpu", True): (384, 4 * MIB),
    ("cpu", False): (768, 16 * MIB),
    ("cuda", True): (4096, 128 * MIB),
    ("cuda", False): (8192, 256 * MIB),
}
SAMPLES = {True: 10, False: 30}


def run(bench: Bench) -> list[Point]:
    """Time products alone, an all-reduce alone, and both at once, in turn; the first two take about as long."""
    if bench.world == 1:
        return bench.absent("overlap", "one rank alone has no collective")
    n, size_b = SIZES[bench.device.kind, bench.quick]
    dtype = DTYPES["bf16" if bench.device.kind == "cuda" else "fp32"]
    a, b = bench.random(n, n, dtype=dtype), bench.random(n, n, dtype=dtype)
    out = torch.empty(n, n, dtype=dtype, device=bench.device.torch)
    data = torch.ones(size_b // 4, device=bench.device.torch)

    def reduce() -> None:
        dist.all_reduce(data)

    def seconds(work: Callable[[], None]) -> Callable[[int], float]:
        def timed(runs: int) -> float:
            data.fill_(1.0)
            bench.together()
            return bench.device.seconds(work, runs)

        return timed

    def product() -> None:
        torch.mm(a, b, out=out)

    once = bench.largest(min(seconds(product)(1) for _ in range(3)))
    message = bench.largest(min(seconds(reduce)(1) for _ in range(3)))
    products = max(1, round(message / once))

    def compute() -> None:
        for _ in range(products):
            product()

    def both() -> None:
        pending = dist.all_reduce(data, async_op=True)
        compute()
        if pending is not None:
            pending.wait()

    kinds = {"overlap_compute": compute, "overlap_communicate": reduce, "overlap_both": both}
    found = in_turn(
        {name: seconds(work) for name, work in kinds.items()},
        max(SAMPLES[bench.quick], ENOUGH),
        agree=bench.largest,
        state=bench.meter.state,
    )
    points = []
    size = {"n": n, "products": products, "size_b": size_b, "ranks": bench.world}
    for name, samples in found.items():
        samples.waited_frac = [0.0] * len(samples.times_s)  # ranks wait for each other
        points.append(bench.point(name, dict(size), samples))
    return points
