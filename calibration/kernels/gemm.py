"""Matrix products of cubes, by data type."""

import torch

from ..protocol import Point, sample
from .common import Bench

SIZES = {("cpu", True): (64, 128, 256, 512, 768), ("cpu", False): (64, 128, 256, 512, 1024, 2048)}
CUDA_SIZES = {True: (512, 1024, 2048, 4096, 8192), False: (256, 512, 1024, 2048, 4096, 8192, 16384)}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def run(bench: Bench) -> list[Point]:
    """Time every size and data type; each rank alone, the first one's samples count."""
    kind = bench.device.kind
    sizes = CUDA_SIZES[bench.quick] if kind == "cuda" else SIZES[kind, bench.quick]
    points = []
    for name, n in bench.shuffled([(name, n) for name in DTYPES for n in sizes]):
        a, b = bench.random(n, n, dtype=DTYPES[name]), bench.random(n, n, dtype=DTYPES[name])
        out = torch.empty(n, n, dtype=DTYPES[name], device=bench.device.torch)

        def product(a: torch.Tensor = a, b: torch.Tensor = b, out: torch.Tensor = out) -> None:
            torch.mm(a, b, out=out)

        times, waits, stop = sample(
            lambda runs, work=product: bench.device.seconds(work, runs),  # type: ignore[misc]
            budget_s=bench.budget_s,
        )
        points.append(Point("gemm", {"dtype": name, "m": n, "n": n, "k": n}, bench.session, times, waits, stop))
    return points
