"""Which replica a request goes to: add a way as a class and a line in ``ROUTING``."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from math import inf

from dcsim.sim.serving.replica import Replica


class InTurn:
    """Replicas in turn, and what the other routings share: which replicas take requests."""

    def __init__(self, replicas: list[Replica]) -> None:
        self._replicas = replicas
        self._members: deque[int] = deque()

    def entered(self, index: int) -> None:
        """Know a replica that takes requests."""
        self._members.append(index)

    def left(self, index: int) -> None:
        """Forget a replica."""
        self._members.remove(index)

    def changed(self, index: int) -> None:
        """See the load of a replica change."""

    def choose(self, request: int) -> int | None:
        """Replica of a request, of which there is one at least; None to hold it back."""
        chosen = self._members[0]
        self._members.rotate(-1)
        return chosen


class LeastLoaded(InTurn):
    """The replica with the fewest requests, waiting ones included; of several the one that was chosen longest ago."""

    def __init__(self, replicas: list[Replica]) -> None:
        super().__init__(replicas)
        self._heap: list[tuple[int, int, int]] = []
        self._turn: dict[int, int] = {}
        self._turns = 0

    def entered(self, index: int) -> None:
        """Know a replica that takes requests."""
        self._turn[index] = self._turns
        self.changed(index)

    def left(self, index: int) -> None:
        """Forget a replica."""
        del self._turn[index]

    def changed(self, index: int) -> None:
        """See the load of a replica change."""
        replicas, heap, turn = self._replicas, self._heap, self._turn
        heappush(heap, (replicas[index].load, turn[index], index))
        if len(heap) > 64 + 8 * len(turn):
            heap[:] = [(replicas[member].load, turn[member], member) for member in turn]
            heapify(heap)

    def choose(self, request: int) -> int | None:
        """Replica of a request, of which there is one at least; None to hold it back."""
        heap, replicas, turn = self._heap, self._replicas, self._turn
        while True:
            load, chosen_at, index = heap[0]
            if turn.get(index) == chosen_at and replicas[index].load == load:
                self._turns += 1
                turn[index] = self._turns
                heapreplace(heap, (load, self._turns, index))
                return index
            heappop(heap)


class CacheAware(InTurn):
    """The replica with most of the prompt in its prefix cache, unless it is far busier than the least loaded."""

    # A replica is passed over that has so many more requests, both in parts of the least load and in number: what the
    # documentation of the router that came from SGLang recommends, https://github.com/lightseekorg/smg, load balancing.
    MORE_FRAC = 0.5
    MORE = 64

    def choose(self, request: int) -> int | None:
        """Replica of a request, of which there is one at least; None to hold it back."""
        replicas = self._replicas
        least = min(self._members, key=lambda index: replicas[index].load)
        most = max(replicas[least].load * (1.0 + self.MORE_FRAC), replicas[least].load + self.MORE)
        matches = [
            (replicas[index].match(request), -replicas[index].load, -index)
            for index in self._members
            if replicas[index].load <= most
        ]
        blocks, _, best = max(matches)
        return -best if blocks else least


class SharedQueue(InTurn):
    """One queue for all; a replica takes the next request when it has room, the least busy one first."""

    def choose(self, request: int) -> int | None:
        """Replica of a request, of which there is one at least; None to hold it back."""
        replicas = self._replicas
        best, fewest = None, inf
        for index in self._members:
            replica = replicas[index]
            if replica.waiting:
                return None
            if replica.running < fewest and replica.has_room(request):
                best, fewest = index, replica.running
        return best


@dataclass(frozen=True)
class Routing:
    """A way to choose replicas."""

    make: Callable[[list[Replica]], InTurn]
    meaning: str


ROUTING: dict[str, Routing] = {
    "round_robin": Routing(InTurn, "replicas in turn"),
    "least_loaded": Routing(LeastLoaded, "the replica with the fewest requests, waiting ones included"),
    "cache_aware": Routing(CacheAware, "the replica with most of the prompt cached, unless it is far busier"),
    "shared_queue": Routing(SharedQueue, "one queue, from which a replica takes when it has room"),
}
