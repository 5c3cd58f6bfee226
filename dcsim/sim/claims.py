"""Nodes that services take from the jobs and give back, as their requests come and go."""

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import inf
from typing import Any

import simpy

from dcsim.errors import RangeError
from dcsim.sim.lending import Lending


@dataclass(frozen=True)
class Claims:
    """Nodes that services hold, from each time on.

    Parameters
    ----------
    nodes_from : tuple of (time_s, nodes)
        In order of time. [s], [node]

    Raises
    ------
    RangeError
        If a time is out of order or a count below 0.
    """

    nodes_from: tuple[tuple[float, int], ...]

    def __post_init__(self) -> None:
        """Check the ranges."""
        if any(later_s <= earlier_s for (earlier_s, _), (later_s, _) in pairwise(self.nodes_from)):
            raise RangeError("claims must be in order of time, each time once")
        if any(not 0 <= time_s < inf or nodes < 0 for time_s, nodes in self.nodes_from):
            raise RangeError("claims are at finite times from 0, of no fewer than 0 nodes")


def claim(env: simpy.Environment, cluster: Lending, claims: Claims) -> Generator[simpy.Event, Any, None]:
    """Hold as many nodes as are claimed, or as can be had; the node that was claimed last goes back first.

    The cluster lends another node for one that fails. Nodes that are missing, because none was left or a phase is not
    there yet, are asked for again when nodes come.
    """
    counts = claims.nodes_from
    held = cluster.lent

    def fill(index: int) -> None:
        """Take what is missing of the count at *index*; the highest counts are due back first."""
        later = index + 1
        due: list[list[float]] = []
        for count in range(counts[index][1], len(held), -1):
            while later < len(counts) and counts[later][1] >= count:
                later += 1
            return_s = counts[later][0] if later < len(counts) else inf
            if due and due[-1][0] == return_s:
                due[-1][1] += 1
            else:
                due.append([return_s, 1])
        for return_s, n_nodes in reversed(due):
            if cluster.lend(int(n_nodes), return_s) < n_nodes:
                break

    for index, (time_s, wanted) in enumerate(counts):
        yield env.timeout(time_s - env.now)
        while len(held) > wanted:
            cluster.take_back()
        cluster.fill = partial(fill, index)
        fill(index)
