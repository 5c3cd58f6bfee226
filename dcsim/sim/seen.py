"""What a scheduling policy sees of the cluster, and what it may do to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from dcsim.sim.placement import Placement
from dcsim.sim.queue import JobQueue, SizeQueue
from dcsim.sim.reservations import Reservations
from dcsim.sim.service import Service
from dcsim.workload.jobs import Jobs


class Cluster(Protocol):
    """The cluster as a policy has it."""

    notes: dict[str, Any]
    """What the policy remembers from pass to pass."""

    @property
    def queue(self) -> JobQueue:
        """Jobs that wait."""

    @property
    def placement(self) -> Placement:
        """Free capacity."""

    @property
    def reservations(self) -> Reservations:
        """Expected releases."""

    @property
    def service(self) -> Service:
        """Which nodes are in service, and the switches of those that are free."""

    @property
    def jobs(self) -> Jobs:
        """All jobs, for their tenants and priorities."""

    @property
    def running(self) -> dict[int, None]:
        """Running jobs, as keys, in the order of their starts."""

    @property
    def elastic(self) -> dict[int, tuple[int, int, int]]:
        """Running elastic jobs: nodes held, fewest and most."""

    def release_s(self, job: int) -> float:
        """When a running job is expected to end. [s]"""

    def mask(self, job: int) -> int:
        """Nodes of a running job as one bitset; of a job that shares a node, that node."""

    def work_s(self, job: int, now_s: float) -> float:
        """Work that a job has done. [s]"""

    def start(self, job: int, now_s: float, mask: int = 0, nodes: int = 0) -> None:
        """Start a queued job, which must fit, where it fits best or on the nodes of *mask*; a share on one of them.

        An elastic job may get another number of *nodes*.
        """

    def preempt(self, job: int, now_s: float) -> None:
        """Stop a running job and queue it again."""

    def least_and_most(self, job: int) -> tuple[int, int]:
        """Fewest and most nodes on which a job may run."""

    def age_s(self, job: int, now_s: float) -> float:
        """Time for which a running job works since its last start. [s]"""

    def resize(self, job: int, now_s: float, nodes: int) -> None:
        """Stop an elastic job and start it again on another number of nodes."""

    def wake(self, at_s: float) -> None:
        """Have a pass at a time, even if nothing happens then."""


Pass = Callable[[Cluster, float, list[int] | None], None]
"""One scheduling pass: (cluster, present time [s], newcomers).

``newcomers`` are the jobs that arrived at this moment, in order, if nothing but arrivals happened since the pass
before; None if nodes were freed, failed or added.
"""


@dataclass(frozen=True)
class Policy:
    """One scheduling policy: its meaning for a reader of the report and its pass.

    ``preempts`` says that it stops running jobs; ``always`` that it has passes while nobody waits, too; ``plans`` that
    it has a time for each job in line.
    """

    meaning: str
    start_jobs: Pass
    preempts: bool = False
    always: bool = False
    plans: bool = False


def fits(placement: Placement, size: SizeQueue) -> bool:
    """Tell whether a job of *size* can start now."""
    return size.nodes <= placement.free_nodes or (size.share_gpus > 0 and placement.share_levels >> size.share_gpus > 0)
