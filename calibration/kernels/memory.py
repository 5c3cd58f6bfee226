"""Copies and triads through memory, larger than any cache."""

import torch

from ..protocol import Point
from .common import Bench

MIB = 2**20
SIZES_B = {
    ("cpu", True): (48 * MIB, 96 * MIB),
    ("cpu", False): (64 * MIB, 128 * MIB, 256 * MIB),
    ("cuda", True): (256 * MIB, 1024 * MIB),
    ("cuda", False): (256 * MIB, 1024 * MIB, 4096 * MIB),
}


def run(bench: Bench) -> list[Point]:
    """Time a copy and a triad of every size; power at the largest copy."""
    sizes = [size for size in SIZES_B[bench.device.kind, bench.quick] if 4 * size < bench.device.free_b()]
    points = []
    for name, size_b in bench.shuffled([(name, size) for name in ("copy", "triad") for size in sizes]):
        source, other = bench.random(size_b // 4), bench.random(size_b // 4)
        target = torch.empty_like(source)

        def copy(target: torch.Tensor = target, source: torch.Tensor = source) -> None:
            target.copy_(source)

        def triad(target: torch.Tensor = target, source: torch.Tensor = source, other: torch.Tensor = other) -> None:
            torch.add(source, other, alpha=3.0, out=target)

        power = name == "copy" and size_b == sizes[-1]
        points.append(bench.alone(name, {"size_b": size_b}, copy if name == "copy" else triad, power=power))
    return points
