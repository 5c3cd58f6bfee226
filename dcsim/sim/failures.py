"""Node failures and repairs as SimPy processes, and what a failure costs the jobs that it stops."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import simpy

from dcsim.errors import RangeError
from dcsim.rng import stream
from dcsim.units import SECONDS_PER_DAY
from dcsim.workload.jobs import Floats


@dataclass(frozen=True)
class Reliability:
    """How often nodes fail, how long repair takes, and how jobs protect their work.

    Parameters
    ----------
    failures_per_node_day : float
        Failure rate of a node in service. [1/day]
    repair_mean_s : float
        Mean of the exponential time from a failure to the node's return. [s]
    checkpoint_interval_s : ndarray, shape (n_classes,)
        Time for which a job holds its nodes between two checkpoints; infinite for a class that writes none. [s]
    checkpoint_write_s : ndarray, shape (n_classes,)
        Time that a job stalls for one checkpoint. [s]
    restart_s : ndarray, shape (n_classes,)
        Time to load the state again when a stopped job restarts. [s]

    Raises
    ------
    RangeError
        If a value is outside its range.
    """

    failures_per_node_day: float
    repair_mean_s: float
    checkpoint_interval_s: Floats
    checkpoint_write_s: Floats
    restart_s: Floats

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.failures_per_node_day < np.inf:
            raise RangeError(f"failures_per_node_day is {self.failures_per_node_day}; give a finite rate from 0")
        if not 0 < self.repair_mean_s < np.inf:
            raise RangeError(f"repair_mean_s is {self.repair_mean_s} s; give a finite time above 0")
        if not np.all(self.checkpoint_interval_s > 0):
            raise RangeError("checkpoint_interval_s has a value that is not above 0; give infinity for no checkpoints")
        for name in ("checkpoint_write_s", "restart_s"):
            if not np.all((getattr(self, name) >= 0) & np.isfinite(getattr(self, name))):
                raise RangeError(f"{name} has a value that is negative or not finite; give seconds from 0")

    @property
    def useful_share(self) -> Floats:
        """Share of each class's run time that is not spent on checkpoint writes. [1]"""
        return np.asarray(1.0 / (1.0 + self.checkpoint_write_s / self.checkpoint_interval_s))

    def saved_s(self, class_index: int, worked_s: float) -> float:
        """Part of *worked_s*, counted from the start or the end of a reload, that the last checkpoint holds. [s]"""
        interval_s = float(self.checkpoint_interval_s[class_index])
        return 0.0 if interval_s > worked_s else worked_s // interval_s * interval_s


class Nodes(Protocol):
    """What failures need of the cluster."""

    def in_service(self, node: int) -> bool:
        """Tell whether *node* is energised and not failed."""

    def fail_node(self, node: int, expected_return_s: float) -> None:
        """Take *node* out of service and stop the jobs on it."""

    def return_node(self, node: int, expected_return_s: float) -> None:
        """Put *node* back into service."""


def node_failures(
    env: simpy.Environment, cluster: Nodes, n_nodes: int, reliability: Reliability, seed: int
) -> Generator[simpy.Event, Any, None]:
    """Fail nodes at random: the process for the whole cluster.

    Failures of all *n_nodes*, in service or not, are drawn as one superposed Poisson process, and those that hit a node
    out of service are passed over. The failures of the nodes in service are then exactly a Poisson process of the rate
    per node times their number (thinning); and because no draw depends on the state of the cluster, alternatives of
    one seed and size see the same failures at the same times.
    """
    if reliability.failures_per_node_day == 0:
        return
    failures, repairs = stream(seed, "failures"), stream(seed, "repairs")
    mean_gap_s = SECONDS_PER_DAY / (reliability.failures_per_node_day * n_nodes)
    while True:
        yield env.timeout(failures.exponential(mean_gap_s))
        node = int(failures.integers(n_nodes))
        repair_s = repairs.exponential(reliability.repair_mean_s)
        if cluster.in_service(node):
            # The scheduler knows the mean, not the draw.
            expected_return_s = env.now + reliability.repair_mean_s
            cluster.fail_node(node, expected_return_s)
            env.process(_repair(env, cluster, node, repair_s, expected_return_s))


def _repair(
    env: simpy.Environment, cluster: Nodes, node: int, repair_s: float, expected_return_s: float
) -> Generator[simpy.Event, Any, None]:
    yield env.timeout(repair_s)
    cluster.return_node(node, expected_return_s)
