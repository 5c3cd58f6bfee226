"""Sweeps of collectives by message size and level, each size checked for the right result; and links one by one."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import torch
import torch.distributed as dist

from dcsim.errors import DcsimError

from ..protocol import Point, sample
from .common import Bench
from .levels import Level

KIB, MIB = 2**10, 2**20
SIZES_B = {
    ("cpu", True): [KIB * 4**k for k in range(8)],
    ("cpu", False): [KIB * 2**k for k in range(16)],
    ("cuda", True): [KIB * 8**k for k in range(7)],
    ("cuda", False): [KIB * 2**k for k in range(21)],
}
# Message between two ranks when each link is looked at alone, and most ranks whose links are.
LINK_B, MOST_RANKS = {"cpu": 4 * MIB, "cuda": 64 * MIB}, 8

Made = tuple[Callable[[], None], Callable[[], bool]]


class WrongSumError(DcsimError):
    """A collective gave a wrong result: no time of it means anything."""


def _filled(bench: Bench, count: int, value: float) -> torch.Tensor:
    return torch.full((count,), value, device=bench.device.torch)


def _all_reduce(bench: Bench, level: Level, size_b: int) -> Made:
    own = float(bench.rank + 1)
    data = _filled(bench, size_b // 4, own)

    def work() -> None:
        data.fill_(own)  # or the values grow with every run
        dist.all_reduce(data, group=level.group)

    total = float(sum(rank + 1 for rank in level.ranks))
    return work, lambda: bool((data == total).all())


def _reduce_scatter(bench: Bench, level: Level, size_b: int) -> Made:
    each = max(size_b // 4 // len(level.ranks), 1)
    # The part for each rank holds its number besides, so that a part in the wrong place is seen.
    parts = [_filled(bench, each, float(bench.rank + 1 + 100 * rank)) for rank in level.ranks]
    data = torch.empty(each, device=bench.device.torch)
    total = float(sum(rank + 1 for rank in level.ranks) + 100 * bench.rank * len(level.ranks))
    return (
        lambda: dist.reduce_scatter(data, parts, group=level.group),
        lambda: bool((data == total).all()),
    )


def _all_gather(bench: Bench, level: Level, size_b: int) -> Made:
    each = max(size_b // 4 // len(level.ranks), 1)
    own = _filled(bench, each, float(bench.rank + 1))
    data = [torch.empty(each, device=bench.device.torch) for _ in level.ranks]
    return (
        lambda: dist.all_gather(data, own, group=level.group),
        lambda: all(bool((part == rank + 1).all()) for rank, part in zip(level.ranks, data, strict=True)),
    )


def _send_recv(bench: Bench, level: Level, size_b: int) -> Made:
    own, data = _filled(bench, size_b // 4, float(bench.rank + 1)), torch.empty(size_b // 4, device=bench.device.torch)
    place, count = level.ranks.index(bench.rank), len(level.ranks)
    following, before = level.ranks[(place + 1) % count], level.ranks[(place - 1) % count]

    def work() -> None:
        operations = [dist.P2POp(dist.isend, own, following), dist.P2POp(dist.irecv, data, before)]
        for one in dist.batch_isend_irecv(operations):
            one.wait()

    return work, lambda: bool((data == before + 1).all())


OPERATIONS = {
    "all_reduce": _all_reduce,
    "reduce_scatter": _reduce_scatter,
    "all_gather": _all_gather,
    "send_recv": _send_recv,
}


def run(bench: Bench) -> list[Point]:
    """Time every level, operation and size; a time is that of the slowest rank. Power at the largest all-reduce.

    Raises
    ------
    WrongSumError
        If any result is wrong.
    """
    if not bench.levels:
        return [point for name in OPERATIONS for point in bench.absent(name, "one rank alone has no collective")]
    sizes = SIZES_B[bench.device.kind, bench.quick]
    wanted = [("all_reduce", place, size) for place in range(len(bench.levels)) for size in sizes]
    others = sizes if not bench.quick else [*sizes[::2], sizes[-1]]
    wanted += [
        (name, place, size)
        for name in OPERATIONS
        if name != "all_reduce"
        for place in range(len(bench.levels))
        for size in others
    ]
    points = []
    for name, place, size_b in bench.shuffled(wanted):
        level = bench.levels[place]
        work, right = OPERATIONS[name](bench, level, size_b)
        size = {"size_b": size_b, "ranks": len(level.ranks), "level": level.name}
        power = name == "all_reduce" and size_b == sizes[-1] and place == len(bench.levels) - 1
        points.append(bench.in_step(name, size, work, power=power))
        if bench.largest(float(not right())) > 0.0:
            raise WrongSumError(f"{name} of {size_b} bytes over {len(level.ranks)} ranks gave a wrong result")
    return points + _links(bench)


def _links(bench: Bench) -> list[Point]:
    """Each pair of ranks alone, while the others wait: a slow link is named, not averaged away."""
    points = []
    size_b = LINK_B[bench.device.kind]
    data = _filled(bench, size_b // 4, float(bench.rank))
    for first, second in combinations(range(min(bench.world, MOST_RANKS)), 2):

        def exchange(first: int = first, second: int = second) -> None:
            if bench.rank == first:
                dist.send(data, second)
            elif bench.rank == second:
                dist.recv(data, first)

        def seconds(runs: int, exchange: Callable[[], None] = exchange) -> float:
            bench.together()
            return bench.device.seconds(exchange, runs)

        found = sample(seconds, budget_s=bench.budget_s / 2.0, inner=False, agree=bench.largest)
        found.waited_frac = [0.0] * len(found.times_s)
        size = {"size_b": size_b, "first": first, "second": second}
        points.append(bench.point("link", size, found, by_rank_s=[float(np.median(found.times_s))]))
    return points
