"""What jobs take from each other where leaves have less bandwidth up than down: max-min fair shares of the up-links.

A job over several leaves sends, of what each of its nodes sends, the share for nodes elsewhere up: n (1 - n / N) nodes'
worth over the up-links of a leaf where n of its N nodes are, as evenly spread traffic does; rings send less. Its step
has a part that waits for the network, which grows as its share of the up-links falls below what it would have alone.
Where leaves have as much up as down, no share ever falls, and nothing changes.
"""

from dataclasses import dataclass

import numpy as np

from dcsim.errors import RangeError
from dcsim.physics.flows import max_min_rates
from dcsim.sim.placement import Gang
from dcsim.workload.jobs import Floats


@dataclass(frozen=True)
class Uplinks:
    """Up-links of leaves.

    Parameters
    ----------
    nodes : float
        Nodes whose ports the up-links of a leaf can carry at full rate; the nodes of a leaf over the
        oversubscription. [1]
    wait_frac : ndarray, shape (n_classes, max_span + 1)
        Share of its time for which a class waits for the network, alone, by leaves spanned. [1]

    Raises
    ------
    RangeError
        If a value is outside its range.
    """

    nodes: float
    wait_frac: Floats

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.nodes > 0:
            raise RangeError(f"up-links carry {self.nodes} nodes; give more than 0")
        if not np.all((self.wait_frac >= 0) & (self.wait_frac < 1)):
            raise RangeError("wait_frac has a value outside 0 to below 1")


class Sharing:
    """Jobs that cross leaves now, and how much slower each is for the others.

    Parameters
    ----------
    uplinks : Uplinks
        Capacity of a leaf's up-links, and what of a step waits for them.
    """

    by_node = False

    def __init__(self, uplinks: Uplinks) -> None:
        self._uplinks = uplinks
        self._loads: dict[int, dict[int, float]] = {}
        self._alone: dict[int, float] = {}
        self._wait: dict[int, float] = {}
        self._slower: dict[int, float] = {}

    def add(self, job: int, gang: Gang, class_index: int) -> None:
        """Have *job* use the up-links of the leaves that it is on; at least two."""
        counts = {leaf: mask.bit_count() for leaf, mask in gang}
        total = sum(counts.values())
        loads = {leaf: n * (1.0 - n / total) for leaf, n in counts.items()}
        self._loads[job] = loads
        self._alone[job] = min(1.0, self._uplinks.nodes / max(loads.values()))
        table = self._uplinks.wait_frac
        self._wait[job] = float(table[class_index, min(len(gang), table.shape[1] - 1)])
        self._slower[job] = 1.0

    def remove(self, job: int) -> None:
        """Have *job*, which ends or fails, leave."""
        for of in (self._loads, self._alone, self._wait, self._slower):
            del of[job]

    def changed(self) -> dict[int, float]:
        """Work out shares anew: the jobs whose time a step changed, over their time alone, at least 1."""
        jobs = list(self._loads)
        if not jobs:
            return {}
        leaves = {leaf: row for row, leaf in enumerate(sorted({leaf for of in self._loads.values() for leaf in of}))}
        use = np.zeros((len(leaves), len(jobs)))
        for column, job in enumerate(jobs):
            for leaf, load in self._loads[job].items():
                use[leaves[leaf], column] = load
        alone = np.array([self._alone[job] for job in jobs])
        share = max_min_rates(np.full(len(leaves), self._uplinks.nodes), use, alone) / alone
        wait = np.array([self._wait[job] for job in jobs])
        slower = 1.0 - wait + wait / np.minimum(share, 1.0)
        found = {}
        for job, factor in zip(jobs, slower.tolist(), strict=True):
            if factor != self._slower[job]:
                self._slower[job] = found[job] = factor
        return found
