"""The dispatcher of a pool of nodes: its queue, its running jobs with their ends, and its scheduler.

Jobs are rows, not processes. :mod:`dcsim.sim.clock` brings the jobs and tells the dispatcher when something is due;
what each job has done and when it ends is in :mod:`dcsim.sim.work`. Failures, repairs and phases are SimPy processes
that call the dispatcher's methods at ``env.now``; the dispatcher itself must not start processes.
"""

from array import array
from collections import Counter
from heapq import heappop, heappush
from math import inf, nan
from typing import Any

import numpy as np
import simpy

from dcsim.rng import stream
from dcsim.sim.failures import Reliability
from dcsim.sim.lending import Lending
from dcsim.sim.limits import Elasticity, Walltime
from dcsim.sim.placement import Gang, Placement
from dcsim.sim.queue import JobQueue
from dcsim.sim.recorder import COMPLETED, FAILED, HORIZON, LIMITED, PREEMPTED, RESIZED, TIMED_OUT, Recorder
from dcsim.sim.reservations import Reservations
from dcsim.sim.seen import Policy, fits
from dcsim.sim.service import Service, Shutdown
from dcsim.sim.sharing import Sharing
from dcsim.sim.turns import Turns
from dcsim.sim.work import Work
from dcsim.units import SECONDS_PER_HOUR
from dcsim.workload.jobs import Floats, Jobs


class Dispatcher:
    """Nodes of a pool, queue and running jobs.

    Parameters
    ----------
    env : simpy.Environment
        Clock shared with the foreign processes.
    jobs : Jobs
        Jobs that may come to this pool, in the order of submission.
    placement : Placement
        Empty placement; nodes come with :meth:`add_nodes`.
    policy : Policy
        Decides which queued jobs start.
    work_rate : ndarray, shape (n_classes, max_span + 1)
        Speed of each class by leaves spanned; column 0 is unused. [any]
    gpus_per_node, nodes_per_leaf : int
        Shape of the cluster.
    horizon_s : float
        Where the simulation stops. [s]
    reliability : Reliability or None
        What a failure costs a job; needed if :meth:`fail_node` is ever called.
    sharing : Sharing, Turns or None
        What jobs over several leaves, or on one node, take from each other; None where nothing that they share binds.
    shutdown : Shutdown or None
        Times of switching nodes off and starting them; at once if None.
    walltime : Walltime or None
        Longest time at a stretch; jobs run beyond their limits if None.
    elasticity : Elasticity or None
        What jobs may run on other numbers of nodes; none if None.
    seed : int
        Of interruptions that are no hardware's.
    name : str
        End of the name of their stream of draws.

    Attributes
    ----------
    queue, placement, reservations : JobQueue, Placement, Reservations
        What the policy sees.
    jobs : Jobs
        The jobs as given: their tenants and priorities.
    running : dict of int
        Running jobs, as keys, in the order of their starts.
    elastic : dict of int to (int, int, int)
        Running jobs that may run on other numbers of nodes: those held, the fewest and the most.
    lending : Lending
        Nodes that services hold.
    notes : dict
        What a policy remembers from pass to pass.
    service : Service
        Which nodes are in service.
    interruptions : Counter of str
        How often a job was stopped, by cause.
    recorder : Recorder
        The change log.
    ended : list of int or None
        Jobs that ended, where somebody waits for that; whoever reads them empties it.
    n_events, n_passes, max_waiting : int
        See :class:`dcsim.sim.recorder.Counters`.
    """

    def __init__(
        self,
        env: simpy.Environment,
        jobs: Jobs,
        placement: Placement,
        policy: Policy,
        work_rate: Floats,
        *,
        gpus_per_node: int,
        nodes_per_leaf: int,
        horizon_s: float,
        reliability: Reliability | None = None,
        sharing: Sharing | Turns | None = None,
        shutdown: Shutdown | None = None,
        walltime: Walltime | None = None,
        elasticity: Elasticity | None = None,
        seed: int = 0,
        name: str = "",
    ) -> None:
        limit_s = jobs.limit_s if walltime is None else walltime.limit_s(jobs)
        self.queue = JobQueue(np.maximum(jobs.gpus, 1), limit_s, gpus_per_node)
        self.placement = placement
        self.reservations = Reservations()
        self.recorder = Recorder()
        self.service = Service(placement, self.reservations, self.recorder, shutdown or Shutdown(0.0, 0.0, 0.0))
        self.jobs = jobs
        self.running: dict[int, None] = {}
        self.elastic: dict[int, tuple[int, int, int]] = {}
        self.lending = Lending(self, env)
        self.notes: dict[str, Any] = {}
        self.interruptions: Counter[str] = Counter()
        # Limits, and interruptions that are no hardware's: when, of which job, in which of its attempts, which of both.
        self._stops: list[tuple[float, int, float, bool]] = []
        self._interrupting = None
        if reliability is not None and reliability.interruptions_per_job_h > 0:
            self._interrupting = stream(seed, f"interruptions{name}")
            self._mean_stop_s = SECONDS_PER_HOUR / reliability.interruptions_per_job_h
        self.n_events = 0
        self.n_passes = 0
        self.max_waiting = 0
        self._env = env
        self._policy = policy
        self._reliability = reliability
        self._sharing = sharing
        self._by_node = sharing is not None and sharing.by_node
        self._walltime = walltime
        self._elasticity = elasticity
        self._gpus_per_node = gpus_per_node
        self._horizon_s = horizon_s
        self.ended: list[int] | None = None
        # Jobs that came in the order of submission since the last pass, and whether anything else happened.
        self._newcomers: list[int] = []
        self._changed = False
        self._in_order = jobs.release_s is None and jobs.known_s is None
        self._elsewhere = bytearray(np.asarray(jobs.gpus == 0).astype(np.uint8).tobytes())
        self._foreign_s = inf
        self._wake_s = inf
        self._held_back: list[int] = []
        self._nodes_per_leaf = nodes_per_leaf
        # Nodes that failed without anybody's knowing, as one bitset.
        self._hung_nodes = 0
        self._work = Work(jobs, reliability, sharing)
        self._node_of = array("q", [-1]) * len(jobs)
        self._gang_of: dict[int, Gang] = {}
        self._margin_s = array("d", jobs.limit_s - jobs.run_s)
        self._class_index = array("q", jobs.class_index)
        self._work_rate: list[list[float]] = work_rate.tolist()
        self._fewest_leaves = array("q", np.maximum(1, -(-jobs.gpus // (gpus_per_node * nodes_per_leaf))))

    def due_s(self) -> float:
        """When something is due here next; infinite if nothing is. [s]"""
        due_s = self._work.next_end_s
        if self._foreign_s < due_s:
            due_s = self._foreign_s
        if self._wake_s < due_s:
            due_s = self._wake_s
        if self._stops and self._stops[0][0] < due_s:
            due_s = self._stops[0][0]
        if self.service.next_ready_s < due_s:
            due_s = self.service.next_ready_s
        return due_s

    def wake(self, at_s: float) -> None:
        """Have the policy called at *at_s*, even if nothing happens then."""
        self._wake_s = min(self._wake_s, at_s)

    def release_s(self, job: int) -> float:
        """When a running job is expected to end, by its limit. [s]"""
        return self._work.start_s[job] + self.queue.limit_s[job]

    def mask(self, job: int) -> int:
        """Nodes of a running job as one bitset, node ``k`` at bit ``k``; of a job that shares a node, that node."""
        if self.queue.size_of[job].share_gpus:
            return 1 << self._node_of[job]
        return sum(part << leaf * self._nodes_per_leaf for leaf, part in self._gang_of[job])

    def work_s(self, job: int, now_s: float) -> float:
        """Work that a job has done, what no checkpoint holds yet included, at the reference placement. [s]"""
        return self._work.done_s(job, now_s, running=job in self.running)

    def least_and_most(self, job: int) -> tuple[int, int]:
        """Fewest and most nodes on which a job may run; those that it asks for where it is not elastic."""
        size = self.queue.size_of[job]
        if self._elasticity is None or size.share_gpus:
            return size.nodes, size.nodes
        return self._elasticity.nodes(self._class_index[job], size.nodes)

    def age_s(self, job: int, now_s: float) -> float:
        """Time for which a running job works since its last start, its reload over. [s]"""
        return self._work.age_s(job, now_s)

    def resize(self, job: int, now_s: float, nodes: int) -> None:
        """Stop an elastic job after one more checkpoint and start it again on another number of nodes, at least one.

        Free nodes and its own must be as many.
        """
        self.preempt(job, now_s, RESIZED)
        self.start(job, now_s, nodes=nodes)

    def preempt(self, job: int, now_s: float, reason: int = PREEMPTED) -> None:
        """Stop a running job and queue it again; it keeps its work but for the time of one more checkpoint's write."""
        self._release(job, now_s)
        self.recorder.stop(now_s, job, reason)
        self._work.save(job, now_s)
        self._requeue(job)

    def start(self, job: int, now_s: float, mask: int = 0, nodes: int = 0) -> None:
        """Start a queued job, which must fit, at its best placement, or on the nodes of *mask*.

        All of those are free; a job smaller than a node gets a part of one of them, which may be in use by others. An
        elastic job may get another number of *nodes* than it asks for; its limit then scales with its speed.
        """
        queue = self.queue
        queue.drop(job)
        size = queue.size_of[job]
        speed = 1.0
        if nodes and nodes != size.nodes:
            assert self._elasticity is not None
            speed = self._elasticity.speed(self._class_index[job], nodes / size.nodes)
            queue.limit_s[job] /= speed
        release_s = now_s + queue.limit_s[job]
        if size.share_gpus:
            node = self.placement.take_share(job, size.share_gpus, mask)
            self.reservations.join(node, job, release_s)
            self._node_of[job] = node
            gang: Gang = ((node, 1),)
            gpus, span = size.share_gpus, 1
        else:
            nodes = nodes or size.nodes
            gang = self.placement.take_nodes(job, mask) if mask else self.placement.take_gang(job, nodes)
            self.reservations.expect(release_s, nodes)
            self._gang_of[job] = gang
            gpus, span = nodes * self._gpus_per_node, len(gang)
            if self._elasticity is not None:
                least, most = self.least_and_most(job)
                if least < most:
                    self.elastic[job] = (nodes, least, most)
        fewest = self._fewest_leaves[job]
        if span == fewest:
            slowdown = 1.0
        else:
            rates = self._work_rate[self._class_index[job]]
            slowdown = rates[min(fewest, len(rates) - 1)] / rates[min(span, len(rates) - 1)]
        end_s = self._work.begin(job, now_s, slowdown / speed)
        if self._interrupting is not None:
            stop_s = now_s + self._interrupting.exponential(self._mean_stop_s)
            if stop_s < end_s:
                heappush(self._stops, (stop_s, job, now_s, False))
        if self._is_limited(job) and (release_s < end_s or self._sharing is not None):
            heappush(self._stops, (release_s, job, now_s, True))
        self.running[job] = None
        self.recorder.start(now_s, job, span, gpus)
        if self._hung_nodes and self.mask(job) & self._hung_nodes:
            self._work.hang(job, now_s)
        if span > 1 or self._by_node:
            self._work.share(job, now_s, gang)

    def expect_nodes(self, time_s: float, n_nodes: int) -> None:
        """Let the scheduler know of a phase: *n_nodes* that will be energised at *time_s*."""
        self.reservations.expect(time_s, n_nodes)

    def add_nodes(self, time_s: float, n_nodes: int, spares: int = 0) -> None:
        """Energise the nodes of a phase that is due now, the last as spares; jobs that waited for its size queue."""
        self.foreign_event(time_s)
        self.service.add(time_s, n_nodes, spares)
        held_back, self._held_back = self._held_back, []
        for job in held_back:
            self._enqueue(job)
        self.lending.top_up()

    def in_service(self, node: int) -> bool:
        """Tell whether *node* is energised and not failed, be it with jobs or lent."""
        return self.service.is_in(node) or self.service.is_lent(node)

    def hang_node(self, node: int) -> None:
        """Let every job that is or comes on *node*, which must be in service, hold its nodes and work no more."""
        self._hung_nodes |= 1 << node
        for job in self.placement.jobs_on(node):
            self._work.hang(job, self._env.now)

    def detect_node(self, node: int) -> bool:
        """Know of *node* that it hangs; tell whether it is still in service."""
        self._hung_nodes &= ~(1 << node)
        return self.in_service(node)

    def fail_node(self, node: int, expected_return_s: float, cause: str = "node") -> None:
        """Take *node*, which must be in service, out of it now; every job on it stops and returns to the queue.

        A spare, where one is left, takes its place.
        """
        now_s = self._env.now
        self.foreign_event(now_s)
        held = self.lending.recall(node)
        for job in self.placement.jobs_on(node):
            self.interruptions[cause] += 1
            self._fail_job(job, now_s)
        self.service.take(node, now_s, expected_return_s)
        self.service.replace()
        self.lending.replace(held)

    def take_out(self, node: int, return_s: float) -> None:
        """Take *node*, which must be in service, out of it now; jobs on it write a checkpoint and queue again."""
        now_s = self._env.now
        self.foreign_event(now_s)
        held = self.lending.recall(node)
        for job in self.placement.jobs_on(node):
            self.interruptions["maintenance"] += 1
            self.preempt(job, now_s)
        self.service.take(node, now_s, return_s)
        self.lending.replace(held)

    def return_node(self, node: int, expected_return_s: float) -> None:
        """Put a repaired *node* back into service now, or aside where spares lack.

        *expected_return_s* is what :meth:`fail_node` was told.
        """
        now_s = self._env.now
        self.foreign_event(now_s)
        self.service.put_back(node, now_s, expected_return_s)
        self.lending.top_up()

    def progress_s(self) -> Floats:
        """Work that each job has done and not lost, as run time at the reference placement, shape (n_jobs,). [s]"""
        return self._work.progress_s()

    def settle(self, now_s: float) -> None:
        """Handle all that is due by *now_s* but arrivals: nodes that are ready, limits, interruptions, ends."""
        if self._foreign_s <= now_s:
            self._foreign_s = inf
            self._changed = True
        if self._wake_s <= now_s:
            self._wake_s = inf
            self._changed = True
        if self.service.next_ready_s <= now_s:
            self.service.put_started(now_s)
            self._changed = True
        while self._stops and self._stops[0][0] <= now_s:
            _, job, began_s, at_limit = heappop(self._stops)
            # An attempt that has ended leaves its entry behind; one that ends at its limit is done.
            started_s, end_s = self._work.start_s[job], self._work.end_s[job]
            if job not in self.running or started_s != began_s or (at_limit and end_s <= now_s):
                continue
            self.n_events += 1
            self._changed = True
            if at_limit:
                self._reach_limit(job, now_s)
            else:
                self.interruptions["not hardware"] += 1
                self._fail_job(job, now_s)
        while (job := self._work.ended(now_s)) >= 0:
            self._complete(job, now_s)
            self._changed = True

    def admit(self, job: int, now_s: float, *, late: bool = False) -> None:
        """Queue a job that waits for no other; what runs elsewhere begins at once. *late* if others held it back."""
        if self._elsewhere[job]:
            self._work.begin(job, now_s, 1.0)
            self.recorder.start(now_s, job, 0, 0)
            return
        self._enqueue(job)
        if late:
            self._changed = True
        else:
            self.n_events += 1
            self._newcomers.append(job)

    def schedule(self, now_s: float) -> None:
        """Have the policy start jobs, if anything happened since it last did."""
        newcomers = self._newcomers
        if not newcomers and not self._changed:
            return
        n_queued = self.queue.n_queued
        if n_queued + len(self._held_back) > self.max_waiting:
            self.max_waiting = n_queued + len(self._held_back)
        if n_queued or self._policy.always:
            self.n_passes += 1
            # A job that was held back comes ahead of later submissions, so nothing is known of those before it.
            self._policy.start_jobs(self, now_s, newcomers if self._in_order and not self._changed else None)
        if newcomers:
            self._newcomers = []
        self._changed = False

    def expected_end_s(self, job: int, now_s: float) -> float:
        """When a job that is not queued would end if it were, by limits; infinite while nodes are too few for it. [s]

        It waits for nothing where it can start at once, and else for the node-seconds of all that wait, its own
        included, over the nodes.
        """
        size = self.queue.size_of[job]
        limit_s: float = self.queue.limit_s[job]
        if size.nodes > self.service.n_usable:
            return inf
        if not self.queue.n_queued and fits(self.placement, size):
            return now_s + limit_s
        wait_s: float = (self.queue.node_s + size.node_share * limit_s) / self.service.n_usable
        return now_s + wait_s + limit_s

    def _enqueue(self, job: int) -> None:
        """Queue *job*, or hold it back while the nodes energised so far are too few for it."""
        if self.queue.size_of[job].nodes <= self.service.n_usable:
            self.queue.put(job)
        else:
            self._held_back.append(job)

    def foreign_event(self, now_s: float) -> None:
        """Have the dispatcher make a pass at *now_s*."""
        self.n_events += 1
        self._foreign_s = min(self._foreign_s, now_s)

    def _complete(self, job: int, now_s: float) -> None:
        self.n_events += 1
        self._release(job, now_s)
        self._work.finish(job)
        self.recorder.stop(now_s, job, COMPLETED)
        if self.ended is not None:
            self.ended.append(job)

    def _fail_job(self, job: int, now_s: float) -> None:
        if self._reliability is None:
            raise ValueError("a node failed, but no reliability says what that costs a job")
        self._release(job, now_s)
        self.recorder.stop(now_s, job, FAILED)
        self._work.fall_back(job, now_s)
        self._requeue(job)

    def _reach_limit(self, job: int, now_s: float) -> None:
        """Stop a job at its limit, and queue it again if something of this attempt is saved."""
        assert self._walltime is not None
        at_limit, left_s = self._walltime.at_limit, self._work.left_s[job]
        self._release(job, now_s)
        if at_limit == "checkpoint":
            self._work.save(job, now_s)
        else:
            self._work.fall_back(job, now_s)
        if at_limit == "stop":
            self._work.lose(job)
        elif self._work.left_s[job] < left_s:
            self.recorder.stop(now_s, job, LIMITED)
            self._requeue(job)
            return
        self.recorder.stop(now_s, job, TIMED_OUT)

    def _is_limited(self, job: int) -> bool:
        return self._walltime is not None and self._walltime.stops[self._class_index[job]]

    def _requeue(self, job: int) -> None:
        """Queue a job that was stopped, with its state to be loaded again first."""
        reload_s = self._work.reload(job)
        # The limit shrinks with the work: what the user added to the run time stays, so it never cuts the run short.
        # Where limits stop jobs, each attempt has the first one's instead.
        if not self._is_limited(job):
            self.queue.limit_s[job] = reload_s + self._work.left_s[job] + self._margin_s[job]
        self.queue.put(job)

    def _release(self, job: int, now_s: float) -> None:
        size = self.queue.size_of[job]
        self._work.end_s[job] = nan
        if self._elsewhere[job]:
            return
        del self.running[job]
        if size.share_gpus:
            node = self._node_of[job]
            self.placement.return_share(job, node)
            self.reservations.leave(node, job)
            if self._by_node:
                self._work.unshare(job, now_s)
        else:
            nodes, gang = size.nodes, self._gang_of.pop(job)
            if job in self.elastic:
                nodes, _, _ = self.elastic.pop(job)
            self.placement.return_gang(job, gang)
            self.reservations.settle(self.release_s(job), nodes)
            if len(gang) > 1 or self._by_node:
                self._work.unshare(job, now_s)

    def close(self) -> None:
        """Complete what ends at the horizon and cut what runs beyond it."""
        for end_s, job in self._work.close():
            if end_s <= self._horizon_s:
                self._complete(job, end_s)
            else:
                self._work.cut(job, self._horizon_s)
                self.recorder.stop(self._horizon_s, job, HORIZON)
            self._work.end_s[job] = nan
