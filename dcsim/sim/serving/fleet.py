"""A service at request level: arrivals, routing, replicas that come and go, failures; one SimPy process runs it all.

As in :mod:`dcsim.sim.clock`, the process handles what is due from its own heap and hands the time to SimPy only when a
foreign process (scaling, a failure, a repair) is due first. Order at one moment: foreign events, then ends of leaps,
then arrivals.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Any

import simpy

from dcsim.registry import lookup
from dcsim.sim.serving.replica import Asked, Replica, ReplicaSpec, Tally
from dcsim.sim.serving.routing import ROUTING


@dataclass
class Loading:
    """Time for which a replica holds its GPUs before it serves. [s]"""

    start_s: float
    end_s: float = inf

    def end(self, now_s: float) -> None:
        """Let it serve, or be cancelled."""
        self.end_s = now_s


_HANDED = -1  # in the heap of ends, in place of a replica: a request whose keys and values have been moved


class Fleet:
    """Replicas and the requests on them.

    Parameters
    ----------
    env : simpy.Environment
        Clock shared with the foreign processes.
    arrival_s : list of float
        In order. [s]
    asked : Asked
        The requests.
    specs : dict of str to ReplicaSpec
        By role: ``both``, or ``prefill`` and ``decode``.
    routing : str
        Key of :data:`dcsim.sim.serving.routing.ROUTING`.
    horizon_s : float
        Where the simulation stops; infinite to serve all. [s]
    tally : Tally
        What steps did.
    most_waiting : float
        Requests that may wait for each replica; one that comes to more is refused. [1]
    transfer_s : sequence of float or None
        Time to move the keys and values of each request from prefill to decode. [s]
    """

    def __init__(
        self,
        env: simpy.Environment,
        arrival_s: list[float],
        asked: Asked,
        specs: dict[str, ReplicaSpec],
        *,
        routing: str,
        horizon_s: float,
        tally: Tally,
        most_waiting: float = inf,
        transfer_s: Sequence[float] | None = None,
    ) -> None:
        self.env = env
        self.asked = asked
        self.replicas: list[Replica] = []
        self.spans: list[list[float]] = []
        self.loads: list[Loading] = []
        self.refused: list[int] = []
        self.restarts = [0] * len(arrival_s)
        self.came = 0
        self._arrival_s = arrival_s
        self._specs = specs
        self._entry = "prefill" if "prefill" in specs else "both"
        self._exit = "decode" if "decode" in specs else "both"
        self._horizon_s = horizon_s
        self._tally = tally
        self._most_waiting = most_waiting
        self._transfer_s = transfer_s
        self._too_long = {
            request
            for spec in specs.values()
            for request, need in enumerate(asked.needs(spec))
            if need > spec.room_tokens
        }
        self._events: list[tuple[float, int, int]] = []
        self._ready: dict[str, list[int]] = {role: [] for role in specs}
        self._held_back: dict[str, deque[int]] = {role: deque() for role in specs}
        self._draining: set[int] = set()
        self._shares_queue = routing == "shared_queue"
        self._routes = {role: lookup(ROUTING, routing, "routing").make(self.replicas) for role in specs}
        self.on_add: Callable[[int], None] | None = None

    # Replicas that come and go: called by the foreign processes at env.now.

    def add(self, now_s: float, role: str = "") -> int:
        """Let a replica begin to serve; its number."""
        role = role or self._entry
        index = len(self.replicas)
        held_back = self._held_back[role]
        waiting = held_back if self._shares_queue else deque[int]()
        self.replicas.append(Replica(self._specs[role], self.asked, self._tally, waiting))
        self.spans.append([now_s, inf])
        self._enter(index, now_s)
        if self.on_add is not None:
            self.on_add(index)
        return index

    def load(self, now_s: float) -> Loading:
        """Let a replica hold its GPUs while it starts."""
        self.loads.append(Loading(now_s))
        return self.loads[-1]

    def _enter(self, index: int, now_s: float) -> None:
        replica = self.replicas[index]
        role = replica.spec.role
        self._ready[role].append(index)
        self._routes[role].entered(index)
        held_back = self._held_back[role]
        if self._shares_queue:
            replica.plan(now_s)
            self._due(index)
            return
        # What came while no replica was there.
        for _ in range(len(held_back)):
            self._route(held_back.popleft(), role, now_s, again=True)

    def drain(self, index: int, now_s: float) -> None:
        """Give no more requests to a replica, those that wait for it to others; it leaves when the rest are done."""
        self._leave_routes(index)
        replica = self.replicas[index]
        if not self._shares_queue:
            for _ in range(len(replica.waiting)):
                self._route(replica.waiting.popleft(), replica.spec.role, now_s, again=True)
        else:
            replica.waiting = deque()
        if replica.running:
            self._draining.add(index)
        else:
            self._gone(index, now_s)

    def fail(self, index: int, now_s: float) -> None:
        """Lose a replica: its requests start again elsewhere."""
        if index in self._draining:
            self._draining.discard(index)
        elif index in self._ready[self.replicas[index].spec.role]:
            self._leave_routes(index)
        else:
            return
        replica = self.replicas[index]
        role = replica.spec.role
        lost = replica.evict(now_s)
        waited = [] if self._shares_queue else [replica.waiting.popleft() for _ in range(len(replica.waiting))]
        self._gone(index, now_s)
        for request in lost:
            self.restarts[request] += 1
            self.asked.left[request] = 0
            self._route(request, self._entry, now_s, again=True)
        for request in waited:
            self._route(request, role, now_s, again=True)

    def _leave_routes(self, index: int) -> None:
        role = self.replicas[index].spec.role
        self._ready[role].remove(index)
        self._routes[role].left(index)

    def _gone(self, index: int, now_s: float) -> None:
        self.spans[index][1] = now_s

    def close(self, now_s: float) -> None:
        """Count what leaps did until the end of the simulation."""
        for replica in self.replicas:
            replica.stop(now_s)

    # What scaling looks at.

    def ready(self, role: str = "") -> list[int]:
        """Replicas that take requests."""
        return self._ready[role or self._entry]

    def draining(self, role: str = "") -> int:
        """Replicas that finish what they have."""
        role = role or self._entry
        return sum(self.replicas[index].spec.role == role for index in self._draining)

    def waiting(self, role: str = "") -> int:
        """Requests that no replica has admitted."""
        role = role or self._entry
        held_back = len(self._held_back[role])
        if self._shares_queue:
            return held_back
        return held_back + sum(len(self.replicas[index].waiting) for index in self._ready[role])

    def running(self, role: str = "") -> int:
        """Requests that run on replicas."""
        return sum(self.replicas[index].running for index in self._ready[role or self._entry])

    # The process.

    def run(self) -> Generator[simpy.Event, Any, None]:
        """Run to the horizon, or until all requests are done: the SimPy process."""
        env, events, arrival_s, replicas = self.env, self._events, self._arrival_s, self.replicas
        horizon_s, n, peek = self._horizon_s, len(arrival_s), env.peek
        transfers, entry = self._transfer_s is not None, self._entry
        route, settle = self._route, self._settle
        came = 0
        next_s = arrival_s[0] if n else inf
        while True:
            due_s = events[0][0] if events else inf
            foreign_s = peek()
            if due_s <= next_s:
                if due_s == horizon_s == inf and (foreign_s == inf or self._served()):
                    return
                if due_s >= horizon_s and foreign_s >= horizon_s:
                    return
                if due_s >= foreign_s:
                    yield env.timeout(foreign_s - env.now)
                    continue
                _, index, request = heappop(events)
                if index != _HANDED:
                    if replicas[index].end_s == due_s:
                        settle(index, due_s)
                elif transfers:
                    route(request, "decode", due_s)
            else:
                if next_s >= horizon_s and foreign_s >= horizon_s:
                    return
                if next_s >= foreign_s:
                    yield env.timeout(foreign_s - env.now)
                    continue
                route(came, entry, next_s)
                came += 1
                self.came = came
                next_s = arrival_s[came] if came < n else inf

    def _served(self) -> bool:
        """Whether all that came is done, so that only scaling would go on for ever."""
        return self.came == len(self._arrival_s) and not any(self._held_back.values())

    def _settle(self, index: int, now_s: float) -> None:
        replica = self.replicas[index]
        done = replica.settle()
        if done:
            role = replica.spec.role
            if role == "prefill":
                transfer_s = self._transfer_s
                for request in done:
                    if self.asked.left[request]:
                        moved_s = 0.0 if transfer_s is None else transfer_s[request]
                        heappush(self._events, (now_s + moved_s, _HANDED, request))
            if index in self._draining:
                if not replica.running:
                    self._draining.discard(index)
                    replica.end_s = inf
                    self._gone(index, now_s)
                    return
            else:
                self._routes[role].changed(index)
        replica.plan(now_s)
        if replica.end_s < inf:
            heappush(self._events, (replica.end_s, index, 0))

    def _route(self, request: int, role: str, now_s: float, *, again: bool = False) -> None:
        """Give a request to a replica, hold it back, or refuse it; one that was accepted before comes *again*."""
        if request in self._too_long:
            self.refused.append(request)
            return
        ready = self._ready[role]
        chosen = self._routes[role].choose(request) if ready else None
        if chosen is None:
            held_back = self._held_back[role]
            if not again and len(held_back) >= self._most_waiting * max(len(ready), 1):
                self.refused.append(request)
            else:
                held_back.append(request)
            return
        replica = self.replicas[chosen]
        if not again and len(replica.waiting) >= self._most_waiting and not replica.has_room(request):
            self.refused.append(request)
            return
        if replica.offer(request, now_s):
            heappush(self._events, (replica.end_s, chosen, 0))
        self._routes[role].changed(chosen)

    def _due(self, index: int) -> None:
        end_s = self.replicas[index].end_s
        if end_s < inf:
            heappush(self._events, (end_s, index, 0))
