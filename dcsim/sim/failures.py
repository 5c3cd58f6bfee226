"""Node failures and repairs as SimPy processes, and what a failure costs the jobs that it stops."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal, Protocol

import numpy as np
import simpy

from dcsim.errors import RangeError
from dcsim.rng import stream
from dcsim.units import SECONDS_PER_DAY
from dcsim.workload.jobs import Floats

Scope = Literal["node", "rack", "leaf"]
"""What one fault takes out at once."""


@dataclass(frozen=True)
class Mode:
    """One way to fail.

    Parameters
    ----------
    name : str
        Component class or event.
    per_day : float
        Rate of one node, rack or leaf switch. [1/day]
    repair_mean_s : float
        Mean of the exponential time until what failed is back. [s]
    scope : str
        ``node``, ``rack`` for events of its power or cooling, ``leaf`` for a leaf switch.

    Raises
    ------
    RangeError
        If a value is outside its range.
    """

    name: str
    per_day: float
    repair_mean_s: float
    scope: Scope = "node"

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.per_day < np.inf:
            raise RangeError(f"{self.name}: per_day is {self.per_day}; give a finite rate from 0")
        if not 0 < self.repair_mean_s < np.inf:
            raise RangeError(f"{self.name}: repair_mean_s is {self.repair_mean_s} s; give a finite time above 0")


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
        Time from a fault to work again when a stopped job has its nodes: detection, start, loading of the state. [s]
    modes : tuple of Mode
        Ways to fail; one of ``failures_per_node_day`` and ``repair_mean_s`` if there are none.
    lemon_shape : float
        Gamma shape of the rates over nodes, whose mean stays; infinite where all nodes are alike. [1]
    crews : int or None
        Repairs that go on at once; a fault beyond waits for a crew. None for as many as there are faults.
    spare_frac : float
        Share of the nodes of each phase that are kept aside, rounded up, and take the place of failed ones. [1]
    interruptions_per_job_h : float
        Rate at which a running job is stopped by what is no hardware. [1/h]
    detection_s : float
        Time from a fault until somebody knows: so long the jobs on it hold their nodes and work no more, and the node
        counts as in service. 0 where ``restart_s`` holds it. [s]

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
    modes: tuple[Mode, ...] = ()
    lemon_shape: float = np.inf
    crews: int | None = None
    spare_frac: float = 0.0
    interruptions_per_job_h: float = 0.0
    detection_s: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.failures_per_node_day < np.inf:
            raise RangeError(f"failures_per_node_day is {self.failures_per_node_day}; give a finite rate from 0")
        if not 0 < self.repair_mean_s < np.inf:
            raise RangeError(f"repair_mean_s is {self.repair_mean_s} s; give a finite time above 0")
        if not self.lemon_shape > 0:
            raise RangeError(f"lemon_shape is {self.lemon_shape}; give a shape above 0, infinite for none")
        if self.crews is not None and self.crews < 1:
            raise RangeError(f"crews is {self.crews}; give at least 1, or none for no limit")
        if not 0 <= self.spare_frac < 1:
            raise RangeError(f"spare_frac is {self.spare_frac}; give a share from 0 to below 1")
        if not 0 <= self.interruptions_per_job_h < np.inf:
            raise RangeError(f"interruptions_per_job_h is {self.interruptions_per_job_h}; give a finite rate from 0")
        if not 0 <= self.detection_s < np.inf:
            raise RangeError(f"detection_s is {self.detection_s} s; give a finite time from 0")
        if not np.all(self.checkpoint_interval_s > 0):
            raise RangeError("checkpoint_interval_s has a value that is not above 0; give infinity for no checkpoints")
        for name in ("checkpoint_write_s", "restart_s"):
            if not np.all((getattr(self, name) >= 0) & np.isfinite(getattr(self, name))):
                raise RangeError(f"{name} has a value that is negative or not finite; give seconds from 0")

    def spares(self, n_nodes: int) -> int:
        """Nodes of a phase that are kept aside. [1]"""
        return ceil(self.spare_frac * n_nodes - 1e-9)

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

    def hang_node(self, node: int) -> None:
        """Let the jobs that are or come on *node* work no more."""

    def detect_node(self, node: int) -> bool:
        """Know of *node* that it hangs; tell whether it is still in service."""

    def fail_node(self, node: int, expected_return_s: float, cause: str = "node") -> None:
        """Take *node* out of service and stop the jobs on it; a spare takes its place where there is one."""

    def return_node(self, node: int, expected_return_s: float) -> None:
        """Put *node* back into service."""


def node_failures(
    env: simpy.Environment,
    cluster: Nodes,
    n_nodes: int,
    reliability: Reliability,
    seed: int,
    crews: simpy.Resource | None = None,
    name: str = "",
) -> Generator[simpy.Event, Any, None]:
    """Fail nodes at random: the process for the whole cluster; *name* ends the names of its streams of draws.

    Failures of all *n_nodes*, in service or not, are drawn as one superposed Poisson process, and those that hit a node
    out of service are passed over. The failures of the nodes in service are then exactly a Poisson process of the rate
    per node times their number (thinning); and because no draw depends on the state of the cluster, alternatives of
    one seed and size see the same failures at the same times.
    """
    if reliability.failures_per_node_day == 0 or reliability.modes:
        return
    failures, repairs = stream(seed, f"failures{name}"), stream(seed, f"repairs{name}")
    mean_gap_s = SECONDS_PER_DAY / (reliability.failures_per_node_day * n_nodes)
    share = rate_shares(reliability.lemon_shape, n_nodes, seed, name)
    while True:
        yield env.timeout(failures.exponential(mean_gap_s))
        node = int(failures.integers(n_nodes)) if share is None else _pick(share, failures)
        repair_s = repairs.exponential(reliability.repair_mean_s)
        if cluster.in_service(node):
            # The scheduler knows the mean, not the draw.
            fault = Fault([node], "node", reliability.repair_mean_s, repair_s)
            _strike(env, cluster, fault, reliability.detection_s, crews)


def mode_failures(
    env: simpy.Environment,
    cluster: Nodes,
    mode: Mode,
    groups: tuple[range, ...],
    reliability: Reliability,
    seed: int,
    crews: simpy.Resource | None,
    name: str = "",
) -> Generator[simpy.Event, Any, None]:
    """Fail what a mode fails, at random: the process of one mode for the whole cluster.

    *groups* are the nodes of each unit that can fail: of each node, rack or leaf. As for :func:`node_failures`, no draw
    depends on the state of the cluster; each mode has streams of its own, whose names end with *name*.
    """
    if mode.per_day == 0:
        return
    failures, repairs = (stream(seed, f"{what}/{mode.name}{name}") for what in ("failures", "repairs"))
    mean_gap_s = SECONDS_PER_DAY / (mode.per_day * len(groups))
    share = rate_shares(reliability.lemon_shape, len(groups), seed, name) if mode.scope == "node" else None
    while True:
        yield env.timeout(failures.exponential(mean_gap_s))
        unit = int(failures.integers(len(groups))) if share is None else _pick(share, failures)
        repair_s = repairs.exponential(mode.repair_mean_s)
        hit = [node for node in groups[unit] if cluster.in_service(node)]
        if hit:
            fault = Fault(hit, mode.name, mode.repair_mean_s, repair_s)
            _strike(env, cluster, fault, reliability.detection_s, crews)


def rate_shares(shape: float, n_nodes: int, seed: int, name: str = "") -> Floats | None:
    """Cumulative shares of the failures that each node has, of gamma-distributed rates; None where all are alike. [1]

    References
    ----------
    .. [1] A. Kokolis et al., arXiv 2410.21680: few "lemon" nodes have most failures.
    """
    if np.isinf(shape):
        return None
    rates = stream(seed, f"lemons{name}").gamma(shape, 1.0, n_nodes)
    cumulative = np.cumsum(rates)
    return np.asarray(cumulative / cumulative[-1])


def _pick(share: Floats, draws: np.random.Generator) -> int:
    return int(np.searchsorted(share, draws.random(), side="right"))


@dataclass(frozen=True)
class Fault:
    """Nodes that fail at once, why, and the mean and the drawn time until they are back. [s]"""

    nodes: list[int]
    cause: str
    repair_mean_s: float
    repair_s: float


def _strike(
    env: simpy.Environment, cluster: Nodes, fault: Fault, detection_s: float, crews: simpy.Resource | None
) -> None:
    """Let a fault happen now, and be known at once or later in a process of its own."""
    if detection_s == 0:
        _take_out(env, cluster, fault, crews)
        return
    for node in fault.nodes:
        cluster.hang_node(node)
    env.process(_detected(env, cluster, fault, detection_s, crews))


def _detected(
    env: simpy.Environment, cluster: Nodes, fault: Fault, detection_s: float, crews: simpy.Resource | None
) -> Generator[simpy.Event, Any, None]:
    yield env.timeout(detection_s)
    # Nodes that left for another reason in the meantime are repaired with that.
    still = [node for node in fault.nodes if cluster.detect_node(node)]
    if still:
        _take_out(env, cluster, replace(fault, nodes=still), crews)


def _take_out(env: simpy.Environment, cluster: Nodes, fault: Fault, crews: simpy.Resource | None) -> None:
    expected_return_s = env.now + fault.repair_mean_s
    for node in fault.nodes:
        cluster.fail_node(node, expected_return_s, fault.cause)
    env.process(_repair(env, cluster, fault.nodes, fault.repair_s, expected_return_s, crews))


def _repair(
    env: simpy.Environment,
    cluster: Nodes,
    nodes: list[int],
    repair_s: float,
    expected_return_s: float,
    crews: simpy.Resource | None,
) -> Generator[simpy.Event, Any, None]:
    if crews is None:
        yield env.timeout(repair_s)
    else:
        with crews.request() as crew:
            yield crew
            yield env.timeout(repair_s)
    for node in nodes:
        cluster.return_node(node, expected_return_s)
