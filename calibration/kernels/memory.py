"""Copies through memory, larger than any cache."""

import torch

from ..protocol import Point, sample
from .common import Bench

MIB = 2**20
SIZES_B = {("cpu", True): (64 * MIB, 128 * MIB), ("cpu", False): (64 * MIB, 128 * MIB, 256 * MIB)}
CUDA_SIZES_B = {True: (256 * MIB, 1024 * MIB), False: (256 * MIB, 1024 * MIB, 4096 * MIB)}


def run(bench: Bench) -> list[Point]:
    """Time a copy of every size: each byte is read once and written once."""
    kind = bench.device.kind
    sizes = CUDA_SIZES_B[bench.quick] if kind == "cuda" else SIZES_B[kind, bench.quick]
    points = []
    for size_b in bench.shuffled([size for size in sizes if 3 * size < bench.device.free_b()]):
        source = bench.random(size_b // 4)
        target = torch.empty_like(source)

        def copy(source: torch.Tensor = source, target: torch.Tensor = target) -> None:
            target.copy_(source)

        times, waits, stop = sample(
            lambda runs, work=copy: bench.device.seconds(work, runs),  # type: ignore[misc]
            budget_s=bench.budget_s,
        )
        points.append(Point("copy", {"size_b": size_b}, bench.session, times, waits, stop))
    return points
