"""Jobs that shrink so that others start, and grow into nodes that nobody needs."""

from math import inf

from dcsim.sim.easy import backfill
from dcsim.sim.seen import Cluster, fits

# Work between two changes of a job's size, so that checkpoints and reloads stay a small part of it. Assumption.
QUANTUM_S = 1800.0


def elastic(cluster: Cluster, now_s: float, newcomers: list[int] | None) -> None:
    """EASY; elastic jobs start on fewer nodes, shrink while others wait, and grow while nobody does.

    The first in line starts on the nodes that it asks for, else on those that are free, if it may run on so few. Else
    running elastic jobs give up what they hold beyond their fewest nodes, those that hold most of that first, if that
    is enough for the fewest nodes of the first in line. While nobody waits, those that hold least of what they ask for
    grow first, to twice their nodes at most. Between two changes a job works for half an hour.

    References
    ----------
    A. Qiao and others, "Pollux: co-adaptive cluster scheduling for goodput-optimized deep learning," OSDI 2021, decides
    by a fitted goodput; D. Gu and others, "ElasticFlow," ASPLOS 2023, by deadlines.
    """
    queue, placement = cluster.queue, cluster.placement
    head = queue.head()
    while head >= 0:
        least, _ = cluster.least_and_most(head)
        if fits(placement, queue.size_of[head]):
            cluster.start(head, now_s)
        elif least <= placement.free_nodes:
            cluster.start(head, now_s, nodes=placement.free_nodes)
        elif not _make_room(cluster, least - placement.free_nodes, now_s):
            break
        head = queue.head()
    if head < 0:
        _grow(cluster, now_s)
    elif placement.free_nodes or placement.share_levels:
        cluster.reservations.invalidate()
        backfill(cluster, head, cluster.least_and_most(head)[0], now_s)


def _make_room(cluster: Cluster, lacking: int, now_s: float) -> bool:
    """Shrink running jobs by as many nodes as are lacking, if they can give them now; whether they did."""
    spare = {}
    for job, (held, least, _) in cluster.elastic.items():
        if held > least:
            ripe_s = now_s + QUANTUM_S - cluster.age_s(job, now_s)
            if ripe_s <= now_s:
                spare[job] = held - least
            else:
                cluster.wake(ripe_s)
    if sum(spare.values()) < lacking:
        return False
    for job in sorted(spare, key=lambda job: (-spare[job], job)):
        if lacking <= 0:
            break
        given = min(spare[job], lacking)
        cluster.resize(job, now_s, cluster.elastic[job][0] - given)
        lacking -= given
    return True


def _grow(cluster: Cluster, now_s: float) -> None:
    """Let running jobs have the free nodes."""
    if not cluster.placement.free_nodes:
        return
    next_s, below = inf, []
    for job, (held, _, most) in cluster.elastic.items():
        if held < most:
            ripe_s = now_s + QUANTUM_S - cluster.age_s(job, now_s)
            if ripe_s <= now_s:
                below.append((held / cluster.queue.size_of[job].nodes, job))
            else:
                next_s = min(next_s, ripe_s)
    for _, job in sorted(below):
        free = cluster.placement.free_nodes
        if not free:
            return
        held, _, most = cluster.elastic[job]
        cluster.resize(job, now_s, min(held + free, 2 * held, most))
        next_s = min(next_s, now_s + QUANTUM_S)
    if next_s < inf:
        cluster.wake(next_s)
