"""One clock for all pools of a cluster: what is due when, in which order, and which pool a job goes to.

Each pool has a dispatcher with a queue of its own. Dispatchers handle what is due without SimPy; the clock is the one
SimPy process that runs them, and it hands the time to SimPy only when another process (a failure, a repair, a phase)
is due first; until then it runs ahead of ``env.now``. When a foreign event is due, everything before it has been
handled and nothing after it, so the event's process may call a dispatcher's methods at ``env.now``.

Order at one moment: foreign events, then all ends, then all arrivals, then one scheduling pass a pool.
"""

from collections.abc import Callable, Generator, Sequence
from math import inf
from typing import Any

import simpy

from dcsim.sim.arrivals import Arrivals
from dcsim.sim.dispatcher import Dispatcher
from dcsim.sim.routing import Routes

_REPORTS = 200
"""How often progress is told at most."""


class Clock:
    """The process that runs the dispatchers.

    Parameters
    ----------
    env : simpy.Environment
        Clock shared with the foreign processes.
    arrivals : Arrivals
        Jobs of all pools.
    pools : sequence of Dispatcher
        One a pool.
    horizon_s : float
        Where the simulation stops. [s]
    routes : Routes or None
        Which pool a job goes to; None where there is one, whose jobs are all jobs.
    progress : callable or None
        Called with the fraction of the horizon done.
    """

    def __init__(
        self,
        env: simpy.Environment,
        arrivals: Arrivals,
        pools: Sequence[Dispatcher],
        *,
        horizon_s: float,
        routes: Routes | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self._env = env
        self._arrivals = arrivals
        self._pools = pools
        self._routes = routes
        self._horizon_s = horizon_s
        if arrivals.have_parents:
            for pool in pools:
                pool.ended = []
        self._progress = progress
        self._report_s = 0.0 if progress else inf

    def run(self) -> Generator[simpy.Event, Any, None]:
        """Run to the horizon: the SimPy process."""
        env, arrivals, pools, horizon_s = self._env, self._arrivals, self._pools, self._horizon_s
        while True:
            due_s = arrivals.next_s
            for pool in pools:
                pool_s = pool.due_s()
                if pool_s < due_s:
                    due_s = pool_s
            foreign_due_s = env.peek()
            if due_s < foreign_due_s and due_s < horizon_s:
                self._advance(due_s)
            elif foreign_due_s < horizon_s:
                # Queued behind the foreign event, this returns right after it. Where the sum rounds to a time just
                # before it, the loop comes here once more.
                yield env.timeout(foreign_due_s - env.now)
            else:
                self._close()
                return

    def _advance(self, now_s: float) -> None:
        """Handle everything due at *now_s*, which is before the next foreign event."""
        pools, arrivals = self._pools, self._arrivals
        for pool in pools:
            pool.settle(now_s)
        if arrivals.have_parents:
            self._admit_children(now_s)
        if arrivals.next_s <= now_s:
            for job in arrivals.take(now_s):
                self._admit(job, now_s)
        for pool in pools:
            pool.schedule(now_s)
        if now_s >= self._report_s and self._progress is not None:
            self._progress(now_s / self._horizon_s)
            self._report_s = now_s + self._horizon_s / _REPORTS

    def _admit(self, job: int, now_s: float, *, late: bool = False) -> None:
        if self._routes is None:
            self._pools[0].admit(job, now_s, late=late)
        else:
            index = self._routes.choose(job, self._pools, now_s)
            self._pools[index].admit(self._routes.place[index][job], now_s, late=late)

    def _admit_children(self, now_s: float) -> None:
        """Queue the jobs that waited for those that ended."""
        for job in self._ended():
            for child in self._arrivals.after(job, now_s):
                self._admit(child, now_s, late=True)

    def _ended(self) -> list[int]:
        """Jobs that ended in any pool and were not told before."""
        found: list[int] = []
        for index, pool in enumerate(self._pools):
            ended, pool.ended = pool.ended or [], []
            found += ended if self._routes is None else self._routes.rows[index][ended].tolist()
        return found

    def _close(self) -> None:
        """Complete what ends at the horizon and cut what runs beyond it; nobody begins any more."""
        for pool in self._pools:
            pool.close()
        if self._arrivals.have_parents:
            for job in self._ended():
                self._arrivals.after(job, self._horizon_s)
        if self._progress is not None:
            self._progress(1.0)
