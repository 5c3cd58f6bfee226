"""Which nodes are in service: energised, kept aside as spares, switched off, being started or out for repair."""

from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from dcsim.errors import RangeError
from dcsim.sim.placement import Placement
from dcsim.sim.recorder import BOOTING, OFF, SWITCHING_OFF, Recorder
from dcsim.sim.reservations import Reservations

OUT, IN_SERVICE, SPARE, ASLEEP, LENT = range(5)


@dataclass(frozen=True)
class Shutdown:
    """How long nodes idle before they are switched off, and how long that and starting take.

    Parameters
    ----------
    idle_s : float
        Time for which a node is free before it is switched off; 0 for at once. [s]
    off_s, boot_s : float
        Time from the order to off, and from the order to ready. [s]

    Raises
    ------
    RangeError
        If a time is negative or not finite.
    """

    idle_s: float
    off_s: float
    boot_s: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("idle_s", "off_s", "boot_s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise RangeError(f"{name} is {getattr(self, name)} s; give a finite time from 0")


class Service:
    """The nodes, and their way into the placement and out of it.

    Jobs are the dispatcher's: nodes leave with none on them.

    Parameters
    ----------
    placement : Placement
        Holds the nodes in service.
    reservations : Reservations
        Is told when nodes that are out will be back.
    recorder : Recorder
        The change log.
    shutdown : Shutdown
        Times of switching nodes off and starting them.

    Attributes
    ----------
    state : bytearray
        By node: ``OUT``, ``IN_SERVICE``, ``SPARE``, ``ASLEEP`` or ``LENT``.
    asleep : int
        Nodes that are switched off or on the way there, as one bitset.
    booting : int
        Nodes that are being started.
    next_ready_s : float
        When the next of them will be ready; infinite if there is none. [s]
    changed : int
        How often nodes came or went.
    """

    __slots__ = (
        "_boots",
        "_n_spares",
        "_off_s",
        "_placement",
        "_recorder",
        "_reservations",
        "_spares",
        "asleep",
        "booting",
        "changed",
        "next_ready_s",
        "shutdown",
        "state",
    )

    def __init__(
        self, placement: Placement, reservations: Reservations, recorder: Recorder, shutdown: Shutdown
    ) -> None:
        self.shutdown = shutdown
        self.state = bytearray()
        self.asleep = 0
        self.booting = 0
        self.next_ready_s = inf
        self.changed = 0
        self._placement = placement
        self._reservations = reservations
        self._recorder = recorder
        self._off_s: dict[int, float] = {}
        self._boots: list[tuple[float, int]] = []
        self._spares: list[int] = []
        self._n_spares = 0

    @property
    def n_usable(self) -> int:
        """Nodes that jobs can count on, whatever their state: all energised but for the spares."""
        return len(self.state) - self._n_spares

    def is_in(self, node: int) -> bool:
        """Tell whether *node* is energised and in service for jobs."""
        return node < len(self.state) and self.state[node] == IN_SERVICE

    def is_lent(self, node: int) -> bool:
        """Tell whether *node* is lent to services."""
        return node < len(self.state) and self.state[node] == LENT

    def add(self, time_s: float, n_nodes: int, spares: int) -> None:
        """Energise the nodes of a phase, the last as spares."""
        self._came_or_went()
        self._reservations.settle(time_s, n_nodes - spares)
        first = len(self.state)
        for node in range(first, first + n_nodes - spares):
            self._placement.add_node(node)
        self._spares += range(first + n_nodes - 1, first + n_nodes - spares - 1, -1)
        self._n_spares += spares
        self.state += bytes([IN_SERVICE]) * (n_nodes - spares) + bytes([SPARE]) * spares
        self._recorder.nodes_added(time_s, n_nodes)

    def take(self, node: int, now_s: float, return_s: float) -> None:
        """Take *node* out; it is expected back at *return_s*."""
        self._came_or_went()
        self._placement.remove_node(node)
        self.state[node] = OUT
        self._reservations.expect(return_s, 1)
        self._recorder.node_changed(now_s, node, -1)

    def lend(self, node: int, now_s: float, return_s: float) -> None:
        """Give a free *node* to services; it is expected back at *return_s*."""
        self._came_or_went()
        self._placement.remove_node(node)
        self.state[node] = LENT
        self._reservations.expect(return_s, 1)
        self._recorder.nodes_lent(now_s, +1)

    def take_back(self, node: int, now_s: float, expected_return_s: float) -> None:
        """Have a lent *node* again; *expected_return_s* is what :meth:`lend` was told."""
        self._came_or_went()
        self._reservations.settle(expected_return_s, 1)
        self._put(node)
        self._recorder.nodes_lent(now_s, -1)

    def replace(self) -> None:
        """Let a spare, where one is left, take the place of a node that failed."""
        if self._spares:
            self._put(self._spares.pop())

    def put_back(self, node: int, now_s: float, expected_return_s: float) -> None:
        """Put *node* back, or aside where spares lack; *expected_return_s* is what :meth:`take` was told."""
        self._came_or_went()
        self._reservations.settle(expected_return_s, 1)
        if len(self._spares) < self._n_spares:
            self._spares.append(node)
            self.state[node] = SPARE
        else:
            self._put(node)
        self._recorder.node_changed(now_s, node, +1)

    def sleep(self, mask: int, now_s: float) -> None:
        """Switch off the free nodes of a bitset."""
        off_s = now_s + self.shutdown.off_s
        self.asleep |= mask
        self._came_or_went()
        self._recorder.power_changed(now_s, mask.bit_count(), SWITCHING_OFF)
        self._recorder.power_changed(off_s, -mask.bit_count(), SWITCHING_OFF)
        self._recorder.power_changed(off_s, mask.bit_count(), OFF)
        while mask:
            node = (mask & -mask).bit_length() - 1
            mask &= mask - 1
            self._placement.remove_node(node)
            self.state[node] = ASLEEP
            self._off_s[node] = off_s

    def boot(self, mask: int, now_s: float) -> None:
        """Start the nodes of a bitset that are switched off, each once it is off."""
        self.asleep &= ~mask
        while mask:
            node = (mask & -mask).bit_length() - 1
            mask &= mask - 1
            from_s = max(now_s, self._off_s.pop(node))
            ready_s = from_s + self.shutdown.boot_s
            self.booting += 1
            heappush(self._boots, (ready_s, node))
            self._reservations.expect(ready_s, 1)
            self._recorder.power_changed(from_s, -1, OFF)
            self._recorder.power_changed(from_s, 1, BOOTING)
            self._recorder.power_changed(ready_s, -1, BOOTING)
        self.next_ready_s = self._boots[0][0] if self._boots else inf
        self._reservations.invalidate()

    def put_started(self, now_s: float) -> None:
        """Put the nodes that are ready into service."""
        while self._boots and self._boots[0][0] <= now_s:
            ready_s, node = heappop(self._boots)
            self._reservations.settle(ready_s, 1)
            self._put(node)
            self.booting -= 1
            self.changed += 1
        self.next_ready_s = self._boots[0][0] if self._boots else inf

    def _put(self, node: int) -> None:
        self._placement.add_node(node)
        self.state[node] = IN_SERVICE

    def _came_or_went(self) -> None:
        self.changed += 1
        self._reservations.invalidate()
