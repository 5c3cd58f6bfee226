"""Copies between pinned memory of the host and the device."""

import torch

from ..protocol import Point
from .common import Bench

MIB = 2**20
SIZES_B = {True: (64 * MIB,), False: (4 * MIB, 64 * MIB, 512 * MIB)}


def run(bench: Bench) -> list[Point]:
    """Time copies to the device and back; a processor has no memory of its own to copy to."""
    if bench.device.kind != "cuda":
        reason = "a processor has no device memory apart from the host's"
        return [point for name in ("host_to_device", "device_to_host") for point in bench.absent(name, reason)]
    points = []
    for size_b in bench.shuffled(list(SIZES_B[bench.quick])):
        host, own = bench.random(size_b // 4).cpu().pin_memory(), bench.random(size_b // 4)
        for name, target, source in (("host_to_device", own, host), ("device_to_host", host, own)):

            def copy(target: torch.Tensor = target, source: torch.Tensor = source) -> None:
                target.copy_(source, non_blocking=True)

            points.append(bench.alone(name, {"size_b": size_b}, copy))
        torch.cuda.empty_cache()
    return points
