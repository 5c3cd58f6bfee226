"""Planned work on nodes: windows for all of them, or rolling through the cluster a batch at a time."""

from collections.abc import Generator
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

import simpy

from dcsim.errors import RangeError


@dataclass(frozen=True)
class Maintenance:
    """When nodes are worked on.

    Parameters
    ----------
    first_s : float
        When the first round begins. [s]
    every_s : float
        From the beginning of one round to that of the next; infinite for one round. [s]
    duration_s : float
        Time for which each node is out. [s]
    share_at_once : float
        Nodes of a batch over all: 1 for a window of the whole cluster, less for a rolling upgrade. [1]

    Raises
    ------
    RangeError
        If a value is outside its range, or a round is not over when the next begins.
    """

    first_s: float
    every_s: float
    duration_s: float
    share_at_once: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.first_s < float("inf") or not 0 < self.duration_s < float("inf"):
            raise RangeError("maintenance begins at a finite time from 0 and lasts a finite time above 0")
        if not 0 < self.share_at_once <= 1:
            raise RangeError(f"share_at_once is {self.share_at_once}; give a share above 0, at most 1")
        if self.every_s < ceil(1 / self.share_at_once) * self.duration_s:
            raise RangeError("a round of maintenance is not over when the next begins; space them or widen the batches")


class Worked(Protocol):
    """What maintenance needs of the cluster."""

    def in_service(self, node: int) -> bool:
        """Tell whether *node* is energised and not out."""

    def take_out(self, node: int, return_s: float) -> None:
        """Take *node* out of service; jobs on it write a checkpoint and queue again."""

    def return_node(self, node: int, expected_return_s: float) -> None:
        """Put *node* back into service."""


def rounds(env: simpy.Environment, cluster: Worked, n_nodes: int, of: Maintenance) -> Generator[simpy.Event, Any, None]:
    """Work on all nodes, round after round; nodes that are out when their batch is due are passed over."""
    batch = max(1, ceil(of.share_at_once * n_nodes - 1e-9))
    begin_s = of.first_s
    while begin_s < float("inf"):
        yield env.timeout(begin_s - env.now)
        for first in range(0, n_nodes, batch):
            nodes = [node for node in range(first, min(first + batch, n_nodes)) if cluster.in_service(node)]
            return_s = env.now + of.duration_s
            for node in nodes:
                cluster.take_out(node, return_s)
            yield env.timeout(of.duration_s)
            for node in nodes:
                cluster.return_node(node, return_s)
        begin_s += of.every_s
