"""Scheduling policies: which queued jobs start now. Add one as a function and a line in ``POLICIES``.

Those by order of submission are in :mod:`dcsim.sim.easy`, those by another order in :mod:`dcsim.sim.ordered`, those
that plan ahead in :mod:`dcsim.sim.planned`.

A policy is called once for every moment at which something changed, after all ends and arrivals of that moment.
"""

from dcsim.sim.easy import easy, fifo
from dcsim.sim.elastic import elastic
from dcsim.sim.ordered import earliest_deadline, fair_share, least_attained_service, power_aware, priority, shortest_job
from dcsim.sim.planned import conservative, easy_nodes
from dcsim.sim.seen import Policy
from dcsim.sim.shutdown import easy_shutdown

POLICIES: dict[str, Policy] = {
    "fifo": Policy("first come, first served: nobody passes a job that does not fit", fifo),
    "easy": Policy("first come, first served, and later jobs start early where the first in line is not delayed", easy),
    "easy_nodes": Policy("EASY that names the nodes which the first in line will get, the lowest ones", easy_nodes),
    "conservative": Policy("later jobs start early only where no job before them is delayed", conservative, plans=True),
    "elastic": Policy("EASY, and elastic jobs shrink while others wait, else grow", elastic, True, True),
    "sjf": Policy("the job of the shortest limit first: nobody passes it", shortest_job),
    "las": Policy("jobs that had least GPU time first, in levels; others are preempted", least_attained_service, True),
    "edf": Policy("the job of the earliest deadline first, with backfill", earliest_deadline),
    "fair_share": Policy("tenants that used least of their share first, within quotas, with backfill", fair_share),
    "power_aware": Policy("EASY, and no job starts that would lift the power of jobs above a limit", power_aware),
    "easy_shutdown": Policy("EASY, with idle nodes switched off until jobs lack them", easy_shutdown, always=True),
    "priority": Policy("higher priorities first, preempting lower ones, with backfill", priority, True),
}
