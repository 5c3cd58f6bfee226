"""Groups of ranks over which collectives are measured: within a host, across hosts, and all."""

from dataclasses import dataclass
from typing import Any

import torch.distributed as dist


@dataclass(frozen=True)
class Level:
    """A group of ranks that this one is of.

    Parameters
    ----------
    name : str
        ``node`` within a host, ``network`` between the ranks of one place in each host, ``world`` for all.
    ranks : tuple of int
        Its ranks, in order.
    group : ProcessGroup or None
        As torch knows it; none for all ranks.
    """

    name: str
    ranks: tuple[int, ...]
    group: Any


def split(rank: int, world: int, local_world: int) -> list[tuple[str, list[tuple[int, ...]]]]:
    """Groups of each level as ranks, for hosts of *local_world* ranks each."""
    hosts = world // max(local_world, 1)
    if world < 2:
        return []
    nodes = [tuple(range(host * local_world, (host + 1) * local_world)) for host in range(hosts)]
    if hosts < 2:
        return [("node", nodes)]
    across = [tuple(range(place, world, local_world)) for place in range(local_world)]
    within = [("node", nodes)] if local_world > 1 else []
    if local_world == 1:  # then the ranks across hosts are all of them
        return [("network", across)]
    return [*within, ("network", across), ("world", [tuple(range(world))])]


def levels(rank: int, world: int, local_world: int) -> tuple[Level, ...]:
    """Levels of this rank; every rank must call it, since all take part in making each group."""
    found = []
    for name, groups in split(rank, world, local_world):
        for ranks in groups:
            group = None if len(ranks) == world else dist.new_group(list(ranks))
            if rank in ranks:
                found.append(Level(name, ranks, group))
    return tuple(found)
