"""The change log of a simulation, and what it means: everything is derived from it afterwards, vectorised.

Columns grow only when something changes; times are exact, so integrals over them are.
"""

from array import array
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from dcsim.steps import StepSeries, sum_by
from dcsim.workload.jobs import Floats, Ints, Jobs

STOP_REASONS = ("completed", "failed", "horizon", "preempted", "limited", "timed out", "resized")
"""Why a segment ended, by ``segment_reason``."""
COMPLETED, FAILED, HORIZON, PREEMPTED, LIMITED, TIMED_OUT, RESIZED = range(7)

QUEUED_AGAIN = (FAILED, PREEMPTED, LIMITED, RESIZED)
"""Reasons after which a job queues again."""

POWER_STATES = ("off", "switching off", "booting")
"""States of nodes that no job can have, by column of :meth:`SimResult.nodes_by_power_state`."""
OFF, SWITCHING_OFF, BOOTING = range(3)

STATUSES = ("completed", "running", "queued", "not submitted", "timed out")
"""State of a job at the horizon, by ``status``; *not submitted* is a submission at or after the horizon, *timed out* is
over at its limit without a result."""


class Recorder:
    """Change-only log: one compact array a column."""

    __slots__ = (
        "added_nodes",
        "added_time_s",
        "lent_change",
        "lent_time_s",
        "node",
        "node_change",
        "node_time_s",
        "power_change",
        "power_state",
        "power_time_s",
        "start_gpus",
        "start_job",
        "start_span",
        "start_time_s",
        "stop_job",
        "stop_reason",
        "stop_time_s",
    )

    def __init__(self) -> None:
        self.start_time_s = array("d")
        self.start_job = array("q")
        self.start_span = array("q")
        self.start_gpus = array("q")
        self.stop_time_s = array("d")
        self.stop_job = array("q")
        self.stop_reason = array("q")
        self.node_time_s = array("d")
        self.node = array("q")
        self.node_change = array("q")
        self.power_time_s = array("d")
        self.power_change = array("q")
        self.power_state = array("q")
        self.added_time_s = array("d")
        self.added_nodes = array("q")
        self.lent_time_s = array("d")
        self.lent_change = array("q")

    def start(self, now_s: float, job: int, span: int, gpus: int) -> None:
        """Record that *job* started on *gpus* GPUs over *span* leaves."""
        self.start_time_s.append(now_s)
        self.start_job.append(job)
        self.start_span.append(span)
        self.start_gpus.append(gpus)

    def stop(self, now_s: float, job: int, reason: int) -> None:
        """Record that *job* stopped; *reason* is an index into ``STOP_REASONS``."""
        self.stop_time_s.append(now_s)
        self.stop_job.append(job)
        self.stop_reason.append(reason)

    def node_changed(self, now_s: float, node: int, change: int) -> None:
        """Record that *node* went down (*change* -1) or came up again (+1)."""
        self.node_time_s.append(now_s)
        self.node.append(node)
        self.node_change.append(change)

    def power_changed(self, time_s: float, change: int, state: int) -> None:
        """Record that so many nodes more are in a state, an index into ``POWER_STATES``, from a time on."""
        self.power_time_s.append(time_s)
        self.power_change.append(change)
        self.power_state.append(state)

    def nodes_lent(self, now_s: float, change: int) -> None:
        """Record that so many nodes more are lent to services."""
        self.lent_time_s.append(now_s)
        self.lent_change.append(change)

    def nodes_added(self, now_s: float, n_nodes: int) -> None:
        """Record that *n_nodes* new nodes were energised."""
        self.added_time_s.append(now_s)
        self.added_nodes.append(n_nodes)


@dataclass(frozen=True)
class Counters:
    """How much work the simulation was: the same for the same input on any computer.

    Parameters
    ----------
    events : int
        Arrivals, ends, failures, repairs and phases.
    passes : int
        Calls of the policy.
    shadow_recomputes : int
        Reservations computed anew.
    max_waiting : int
        Most jobs submitted and not running at once.
    """

    events: int
    passes: int
    shadow_recomputes: int
    max_waiting: int


@dataclass(frozen=True)
class SimResult:
    """What happened, as arrays.

    A *segment* is one attempt of a job, from a start to the next stop. A job has as many as it was started; segments
    are in the order of their starts.

    Parameters
    ----------
    jobs : Jobs
        The jobs as given.
    horizon_s : float
        End of the simulation. [s]
    gpus_per_node : int
        GPUs in every node.
    gpus_held : ndarray of int, shape (n_jobs,)
        GPUs that a running job holds: those that it asks for if fewer than a node has, else whole nodes; an elastic job
        may hold others.
    segment_job, segment_span, segment_gpus, segment_reason : ndarray of int, shape (n_segments,)
        Index of the job, leaves spanned, GPUs held, index into ``STOP_REASONS``.
    segment_start_s, segment_end_s : ndarray, shape (n_segments,)
        [s]
    ready_s : ndarray, shape (n_jobs,)
        When it could queue: its submission, or the end of the last job that it comes after; NaN if that did not. [s]
    first_start_s, end_s : ndarray, shape (n_jobs,)
        First start and completion; NaN where there was none. [s]
    status : ndarray of int, shape (n_jobs,)
        Index into ``STATUSES``.
    restarts : ndarray of int, shape (n_jobs,)
        How often a node failure stopped the job.
    held_s : ndarray, shape (n_jobs,)
        Time for which it held its GPUs, all segments. [s]
    useful_s : ndarray, shape (n_jobs,)
        Work done and not lost, as run time at the reference placement without checkpoint writes. [s]
    span : ndarray of int, shape (n_jobs,)
        Leaves of the last placement; 0 if never started.
    node_time_s, node, node_change : ndarray, shape (n_changes,)
        Which node went down (-1) or came up again (+1) when. [s]
    added_time_s, added_nodes : ndarray, shape (n_phases,)
        How many nodes were energised when. [s]
    power_time_s, power_change, power_state : ndarray, shape (n_power_changes,)
        How many nodes more are in which of ``POWER_STATES`` from when on; times may lie behind the horizon. [s]
    counters : Counters
        How much work the simulation was.
    interruptions : dict of int
        How often a running job was stopped by a fault, by cause.
    lent_time_s, lent_change : ndarray, shape (n_lent,)
        How many nodes more are lent to services from when on. [s]
    """

    jobs: Jobs
    horizon_s: float
    gpus_per_node: int
    gpus_held: Ints
    segment_job: Ints
    segment_start_s: Floats
    segment_end_s: Floats
    segment_span: Ints
    segment_gpus: Ints
    segment_reason: Ints
    ready_s: Floats
    first_start_s: Floats
    end_s: Floats
    status: Ints
    restarts: Ints
    held_s: Floats
    useful_s: Floats
    span: Ints
    node_time_s: Floats
    node: Ints
    node_change: Ints
    added_time_s: Floats
    added_nodes: Ints
    power_time_s: Floats
    power_change: Ints
    power_state: Ints
    counters: Counters
    interruptions: dict[str, int] = field(default_factory=dict)
    lent_time_s: Floats = field(default_factory=lambda: np.zeros(0))
    lent_change: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def of(self, rows: Ints) -> "SimResult":
        """The same for some of the jobs, ascending, which are all that have segments; nodes stay as they are."""
        place = np.full(len(self.jobs), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        by_job = ("gpus_held", "ready_s", "first_start_s", "end_s", "status", "restarts", "held_s", "useful_s", "span")
        columns = {name: getattr(self, name)[rows] for name in by_job}
        return replace(self, jobs=self.jobs.select(rows), segment_job=place[self.segment_job], **columns)

    def gpus_energised(self) -> StepSeries:
        """GPUs in nodes with power, failed ones included."""
        return StepSeries.from_changes(self.added_time_s, self.added_nodes * self.gpus_per_node)

    def nodes_by_power_state(self) -> StepSeries:
        """Nodes that are off, being switched off and being started, as columns."""
        changes = np.zeros((len(self.power_time_s), len(POWER_STATES)), dtype=np.int64)
        changes[np.arange(len(changes)), self.power_state] = self.power_change
        return StepSeries.from_changes(self.power_time_s, changes)

    def gpus_down(self) -> StepSeries:
        """GPUs in failed nodes."""
        return StepSeries.from_changes(self.node_time_s, -self.node_change * self.gpus_per_node)

    def nodes_lent(self) -> StepSeries:
        """Nodes lent to services."""
        return StepSeries.from_changes(self.lent_time_s, self.lent_change)

    def gpus_allocated(self) -> StepSeries:
        """GPUs held by jobs."""
        return self._over_segments(np.arange(len(self.segment_job)))

    def running_gpus(self) -> dict[tuple[int, int], StepSeries]:
        """GPUs held by jobs, by (class index, leaves spanned), for the pairs that occur."""
        job_class = self.jobs.class_index[self.segment_job]
        base = int(self.segment_span.max(initial=0)) + 1
        pairs, members = np.unique(job_class * base + self.segment_span, return_inverse=True)
        order = np.argsort(members, kind="stable")
        groups = np.split(order, np.cumsum(np.bincount(members, minlength=len(pairs)))[:-1])
        return {
            divmod(pair, base): self._over_segments(group) for pair, group in zip(pairs.tolist(), groups, strict=False)
        }

    def jobs_queued(self) -> StepSeries:
        """Jobs submitted and not running: to the start, and from a stop after which they queue again to the restart."""
        return self._waiting(np.ones(len(self.jobs), dtype=np.int64))

    def gpus_queued(self) -> StepSeries:
        """GPUs that the queued jobs ask for."""
        return self._waiting(self.jobs.gpus)

    def _over_segments(self, segments: Ints) -> StepSeries:
        gpus = self.segment_gpus[segments]
        times_s = np.concatenate([self.segment_start_s[segments], self.segment_end_s[segments]])
        return StepSeries.from_changes(times_s, np.concatenate([gpus, -gpus]))

    def _waiting(self, amount: Ints) -> StepSeries:
        submitted = self.ready_s < self.horizon_s
        again = np.isin(self.segment_reason, QUEUED_AGAIN)
        times_s = np.concatenate([self.ready_s[submitted], self.segment_start_s, self.segment_end_s[again]])
        started = amount[self.segment_job]
        return StepSeries.from_changes(times_s, np.concatenate([amount[submitted], -started, started[again]]))


def result(
    log: Recorder,
    jobs: Jobs,
    progress_s: ArrayLike,
    counters: Counters,
    *,
    gpus_per_node: int,
    horizon_s: float,
    ready_s: Floats | None = None,
    interruptions: dict[str, int] | None = None,
) -> SimResult:
    """Turn a finished log into arrays.

    Parameters
    ----------
    log : Recorder
        Log in which every start has its stop.
    jobs : Jobs
        The jobs that were simulated.
    progress_s : array_like, shape (n_jobs,)
        Useful work of each job, as in ``SimResult.useful_s``. [s]
    counters : Counters
        How much work the simulation was.
    gpus_per_node : int
        GPUs in every node.
    horizon_s : float
        End of the simulation. [s]
    ready_s : ndarray, shape (n_jobs,), optional
        As in ``SimResult.ready_s``; the submission if absent. [s]
    interruptions : dict of int, optional
        How often jobs were stopped, by cause.
    """
    n_jobs = len(jobs)
    segment_job = np.array(log.start_job, dtype=np.int64)
    start_s = np.array(log.start_time_s, dtype=float)
    span = np.array(log.start_span, dtype=np.int64)
    stop_job = np.array(log.stop_job, dtype=np.int64)
    # A job stops between two of its starts, so its k-th stop belongs to its k-th start.
    by_start, by_stop = np.argsort(segment_job, kind="stable"), np.argsort(stop_job, kind="stable")
    end_s = np.empty(len(segment_job))
    end_s[by_start] = np.array(log.stop_time_s, dtype=float)[by_stop]
    reason = np.empty(len(segment_job), dtype=np.int64)
    reason[by_start] = np.array(log.stop_reason, dtype=np.int64)[by_stop]

    first_start_s, completed_s = np.full(n_jobs, np.nan), np.full(n_jobs, np.nan)
    last_span = np.zeros(n_jobs, dtype=np.int64)
    # Segments are in the order of starts: reversed, the first start is assigned last; forwards, the last span is.
    first_start_s[segment_job[::-1]] = start_s[::-1]
    last_span[segment_job] = span
    completed = reason == COMPLETED
    completed_s[segment_job[completed]] = end_s[completed]

    status = np.where(jobs.submit_s < horizon_s, STATUSES.index("queued"), STATUSES.index("not submitted"))
    status[segment_job[completed]] = STATUSES.index("completed")
    status[segment_job[reason == HORIZON]] = STATUSES.index("running")
    status[segment_job[reason == TIMED_OUT]] = STATUSES.index("timed out")
    whole_nodes = -(-jobs.gpus // gpus_per_node) * gpus_per_node
    return SimResult(
        jobs=jobs,
        horizon_s=horizon_s,
        gpus_per_node=gpus_per_node,
        gpus_held=np.where(jobs.gpus < gpus_per_node, jobs.gpus, whole_nodes),
        segment_job=segment_job,
        segment_start_s=start_s,
        segment_end_s=end_s,
        segment_span=span,
        segment_gpus=np.array(log.start_gpus, dtype=np.int64),
        segment_reason=reason,
        ready_s=jobs.submit_s if ready_s is None else ready_s,
        first_start_s=first_start_s,
        end_s=completed_s,
        status=status,
        restarts=np.bincount(segment_job[reason == FAILED], minlength=n_jobs),
        held_s=sum_by(segment_job, end_s - start_s, n_jobs),
        useful_s=np.asarray(progress_s, dtype=float),
        span=last_span,
        node_time_s=np.array(log.node_time_s, dtype=float),
        node=np.array(log.node, dtype=np.int64),
        node_change=np.array(log.node_change, dtype=np.int64),
        added_time_s=np.array(log.added_time_s, dtype=float),
        added_nodes=np.array(log.added_nodes, dtype=np.int64),
        power_time_s=np.array(log.power_time_s, dtype=float),
        power_change=np.array(log.power_change, dtype=np.int64),
        power_state=np.array(log.power_state, dtype=np.int64),
        counters=counters,
        interruptions=interruptions or {},
        lent_time_s=np.array(log.lent_time_s, dtype=float),
        lent_change=np.array(log.lent_change, dtype=np.int64),
    )
