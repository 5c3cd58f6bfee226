"""How many replicas a service has: fixed, by schedule, or after its rate, queue or batch; how long a new one takes."""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from math import ceil, inf
from typing import Any

import numpy as np
import simpy

from dcsim.errors import RangeError
from dcsim.sim.serving.fleet import Fleet, Loading
from dcsim.steps import StepSeries

SIGNALS = ("rate", "queue", "running", "schedule")


@dataclass(frozen=True)
class Scaling:
    """What decides the number of replicas.

    Parameters
    ----------
    signal : str
        ``rate``: requests a second over the window, over the target of a replica. ``queue``: as ``running``, with
        those that wait counted too. ``running``: requests that run, over the target of a replica. ``schedule``: the
        counts that ``schedule`` says.
    target : float
        Of each replica: requests a second, or requests. [1/s] or [1]
    least, most : int
        Bounds; with a least of 0 a service without requests has no replica.
    every_s : float
        Time from one decision to the next; Kubernetes' autoscaler looks every 15 s unless told otherwise. [s]
    window_s : float
        Time over which the rate is counted. [s]
    ready_s : float
        From the decision to a replica that serves: a node, its image and the weights. [s]
    down_s : float
        Time for which fewer replicas must have been enough before any is taken away: the largest count that was wanted
        in it stands, as with the stabilisation window of Kubernetes' autoscaler. [s]
    schedule : tuple of (time_s, replicas)
        Counts from each time on, in order of time; replicas are ordered so early that they serve by then. [s]
    within : StepSeries or None
        Replicas that there is room for, which others leave; no limit if None.

    Raises
    ------
    RangeError
        If a value is outside its range.

    References
    ----------
    Kubernetes, Horizontal Pod Autoscaling, https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
    """

    signal: str
    target: float = 1.0
    least: int = 1
    most: int = 1_000_000
    every_s: float = 15.0
    window_s: float = 60.0
    ready_s: float = 60.0
    down_s: float = 300.0
    schedule: tuple[tuple[float, int], ...] = ()
    within: StepSeries | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.signal not in SIGNALS:
            raise RangeError(f"a service is scaled by {', '.join(SIGNALS)}, not by '{self.signal}'")
        if not 0 < self.target < inf or not 0 <= self.least <= self.most or self.most < 1:
            raise RangeError("scaling needs a target above 0, and bounds with 0 <= least <= most, most at least 1")
        if not (0 < self.every_s < inf and 0 < self.window_s < inf):
            raise RangeError("scaling needs times every_s and window_s above 0")
        if not (0 <= self.ready_s < inf and 0 <= self.down_s < inf):
            raise RangeError("scaling needs times ready_s and down_s from 0")
        times_s = [time_s for time_s, _ in self.schedule]
        if (self.signal == "schedule") != bool(self.schedule) or times_s != sorted(times_s):
            raise RangeError("a schedule has times in order, and goes with the signal 'schedule'")

    def wanted(self, fleet: Fleet, role: str, now_s: float, per_s: float) -> int:
        """Replicas that the signal asks for now, when *per_s* requests a second came in the window."""
        if self.signal == "schedule":
            due = [count for time_s, count in self.schedule if time_s <= now_s + self.ready_s]
            count = due[-1] if due else self.schedule[0][1]
        elif self.signal == "rate":
            count = ceil(per_s / self.target - 1e-9)
        else:
            load = fleet.running(role) + (fleet.waiting(role) if self.signal == "queue" else 0)
            count = ceil(load / self.target - 1e-9)
        if fleet.waiting(role):
            count = max(count, 1)
        return min(max(count, self.least), self.most)


def scale(
    env: simpy.Environment, fleet: Fleet, role: str, of: Scaling, begin: int
) -> Generator[simpy.Event, Any, None]:
    """Add and drain replicas of a role for ever, from *begin* that are there at the start.

    A replica holds its GPUs from the decision on. Of those that load the one that was ordered last is cancelled first.
    """
    loading: list[Loading] = []
    recent: deque[tuple[float, int]] = deque()
    counted: deque[tuple[float, int]] = deque([(env.now, 0)])

    def arrive(order: Loading) -> Generator[simpy.Event, Any, None]:
        yield env.timeout(of.ready_s)
        if order in loading:
            loading.remove(order)
            order.end(env.now)
            fleet.add(env.now, role)

    while True:
        now_s = env.now
        counted.append((now_s, fleet.came))
        while len(counted) > 1 and counted[1][0] <= now_s - of.window_s:
            counted.popleft()
        came, seen_s = counted[-1][1] - counted[0][1], now_s - counted[0][0]
        wanted = of.wanted(fleet, role, now_s, came / seen_s if seen_s else 0.0)
        if seen_s == 0 and of.signal != "schedule":
            wanted = max(wanted, min(begin, of.most))
        recent.append((now_s, wanted))
        while recent[0][0] < now_s - of.down_s:
            recent.popleft()
        room = inf if of.within is None else float(of.within.at(np.array([now_s]))[0]) - fleet.draining(role)
        have = len(fleet.ready(role)) + len(loading)
        goal = wanted if wanted >= have else min(have, max(count for _, count in recent))
        goal = int(max(min(goal, room), 0))
        for _ in range(goal - have):
            if of.ready_s == 0:
                fleet.add(now_s, role)
            else:
                loading.append(fleet.load(now_s))
                env.process(arrive(loading[-1]))
        for _ in range(have - goal):
            if loading:
                loading.pop().end(now_s)
            else:
                ready = fleet.ready(role)
                fleet.drain(min(ready, key=lambda index: (fleet.replicas[index].load, -index)), now_s)
        yield env.timeout(of.every_s)
