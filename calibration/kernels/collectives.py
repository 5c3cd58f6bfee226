"""Sweeps of collectives by message size, each size checked for the right sum."""

from collections.abc import Callable

import torch
import torch.distributed as dist

from dcsim.errors import DcsimError

from ..protocol import Point, sample
from .common import Bench

KIB = 2**10
SIZES_B = {
    ("cpu", True): [KIB * 4**k for k in range(8)],
    ("cpu", False): [KIB * 2**k for k in range(16)],
    ("cuda", True): [KIB * 8**k for k in range(7)],
    ("cuda", False): [KIB * 2**k for k in range(21)],
}


class WrongSumError(DcsimError):
    """A collective gave a wrong result: no time of it means anything."""


def _all_reduce(bench: Bench, size_b: int) -> tuple[Callable[[], None], Callable[[], bool]]:
    data = torch.full((size_b // 4,), float(bench.rank + 1), device=bench.device.torch)

    def work() -> None:
        data.fill_(float(bench.rank + 1))  # or the values grow with every run
        dist.all_reduce(data)

    total = bench.world * (bench.world + 1) / 2.0
    return work, lambda: bool((data == total).all())


def _all_gather(bench: Bench, size_b: int) -> tuple[Callable[[], None], Callable[[], bool]]:
    each = max(size_b // 4 // bench.world, 1)
    own = torch.full((each,), float(bench.rank + 1), device=bench.device.torch)
    data = [torch.empty(each, device=bench.device.torch) for _ in range(bench.world)]

    def work() -> None:
        dist.all_gather(data, own)

    return work, lambda: all(bool((part == rank + 1).all()) for rank, part in enumerate(data))


def _send_recv(bench: Bench, size_b: int) -> tuple[Callable[[], None], Callable[[], bool]]:
    own = torch.full((size_b // 4,), float(bench.rank + 1), device=bench.device.torch)
    data = torch.empty(size_b // 4, device=bench.device.torch)
    following, before = (bench.rank + 1) % bench.world, (bench.rank - 1) % bench.world

    def work() -> None:
        pending = [dist.isend(own, following), dist.irecv(data, before)]
        for one in pending:
            if one is not None:
                one.wait()

    return work, lambda: bool((data == before + 1).all())


OPERATIONS = {"all_reduce": _all_reduce, "all_gather": _all_gather, "send_recv": _send_recv}


def run(bench: Bench) -> list[Point]:
    """Time every operation and size; a time is that of the slowest rank.

    Raises
    ------
    WrongSumError
        If any result is wrong.
    """
    if bench.world == 1:
        return [point for name in OPERATIONS for point in bench.absent(name, "one rank alone has no collective")]
    points = []
    sizes = SIZES_B[bench.device.kind, bench.quick]
    names = list(OPERATIONS) if not bench.quick else ["all_reduce"]
    for name, size_b in bench.shuffled([(name, size_b) for name in names for size_b in sizes]):
        work, right = OPERATIONS[name](bench, size_b)

        def seconds(runs: int, work: Callable[[], None] = work) -> float:
            bench.together()
            return bench.device.seconds(work, runs)

        times, waits, stop = sample(seconds, budget_s=bench.budget_s, inner=False, agree=bench.largest)
        if bench.largest(float(not right())) > 0.0:
            raise WrongSumError(f"{name} of {size_b} bytes over {bench.world} ranks gave a wrong result")
        size = {"size_b": size_b, "ranks": bench.world}
        # Ranks wait for each other, so waiting for a processor says nothing of other load here.
        points.append(Point(name, size, bench.session, times, [0.0] * len(waits), stop))
    return points
