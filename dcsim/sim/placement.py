"""Which nodes a job gets: Python integers as bitsets, by leaf switch and by rack inside the leaf.

Node ``k`` is in leaf ``k // nodes_per_leaf``. A job of at least a node's GPUs holds whole nodes (a *gang*); a smaller
one holds a *share* of one node. Every choice is the best fit, and the lowest number among equals, so that equal calls
give equal placements.
"""

from dcsim.registry import lookup

STRATEGIES = {
    "topology": "one leaf where one can hold the job, else the fewest leaves; shares on the fullest node that suffices",
    "packed": "the free nodes of the lowest numbers, whatever leaves they are on; shares as above",
    "spread": "a node from each leaf in turn, those with most free first; shares on the emptiest node",
}
"""Ways to choose nodes, and what each means."""

Gang = tuple[tuple[int, int], ...]
"""Whole nodes: (leaf, bitset of nodes inside that leaf) by leaf, each leaf once."""


def lowest_bits(mask: int, n: int) -> int:
    """Return the *n* lowest set bits of *mask*, which has at least *n* (and n at least 1)."""
    low, high = n, mask.bit_length()
    while low < high:
        middle = (low + high) >> 1
        if (mask & ((1 << middle) - 1)).bit_count() < n:
            low = middle + 1
        else:
            high = middle
    return mask & ((1 << low) - 1)


class Placement:
    """Free capacity of the nodes in service, and who holds the rest.

    Parameters
    ----------
    gpus_per_node : int
        GPUs in every node.
    nodes_per_leaf : int
        Nodes under a leaf switch.
    nodes_per_rack : int
        Nodes in a rack; racks do not cross leaves.
    strategy : str
        Key of ``STRATEGIES``.

    Attributes
    ----------
    free_nodes : int
        Nodes in service that nobody uses.
    share_levels : int
        Bit ``k`` is set where some shared node has exactly ``k`` free GPUs, k from 1.
    """

    __slots__ = (
        "_free_counts",
        "_free_gpus",
        "_free_masks",
        "_gangs_by_leaf",
        "_gpus_per_node",
        "_leaves_with",
        "_nodes_per_leaf",
        "_nodes_with",
        "_rack_masks",
        "_sharers",
        "_strategy",
        "free_nodes",
        "share_levels",
    )

    def __init__(
        self, gpus_per_node: int, nodes_per_leaf: int, nodes_per_rack: int, strategy: str = "topology"
    ) -> None:
        lookup(STRATEGIES, strategy, "placement strategy")
        self._strategy = strategy
        self.free_nodes = 0
        self.share_levels = 0
        self._gpus_per_node = gpus_per_node
        self._nodes_per_leaf = nodes_per_leaf
        whole_leaf = (1 << nodes_per_leaf) - 1
        self._rack_masks = [
            ((1 << nodes_per_rack) - 1) << first & whole_leaf for first in range(0, nodes_per_leaf, nodes_per_rack)
        ]
        self._free_masks: list[int] = []
        self._gangs_by_leaf: list[dict[int, int]] = []
        # _leaves_with[k] is the set of leaves with k free nodes; bit k of _free_counts says that it is not empty.
        self._leaves_with = [0] * (nodes_per_leaf + 1)
        self._free_counts = 0
        self._nodes_with = [0] * gpus_per_node
        self._free_gpus: dict[int, int] = {}
        self._sharers: dict[int, dict[int, int]] = {}

    @property
    def free_gpus(self) -> int:
        """GPUs in service that no job holds, those of shared nodes included."""
        return self.free_nodes * self._gpus_per_node + sum(self._free_gpus.values())

    @property
    def held_gpus(self) -> int:
        """GPUs that jobs hold, counted from the allocations themselves."""
        gang_nodes = sum(mask.bit_count() for gangs in self._gangs_by_leaf for mask in gangs.values())
        return gang_nodes * self._gpus_per_node + sum(sum(sharers.values()) for sharers in self._sharers.values())

    def add_node(self, node: int) -> None:
        """Put *node*, new or repaired, into service."""
        leaf, place = divmod(node, self._nodes_per_leaf)
        while len(self._free_masks) <= leaf:
            self._leaves_with[0] |= 1 << len(self._free_masks)
            self._free_counts |= 1
            self._free_masks.append(0)
            self._gangs_by_leaf.append({})
        self._set_free(leaf, self._free_masks[leaf] | 1 << place)
        self.free_nodes += 1

    def remove_node(self, node: int) -> None:
        """Take *node*, which nobody may be using, out of service."""
        leaf, place = divmod(node, self._nodes_per_leaf)
        if not self._free_masks[leaf] >> place & 1:
            raise ValueError(f"node {node} is in use or not in service; only a free node can leave")
        self._set_free(leaf, self._free_masks[leaf] ^ 1 << place)
        self.free_nodes -= 1

    def highest_free(self, n_nodes: int) -> list[int]:
        """Up to *n_nodes* free nodes, those of the highest numbers, which jobs get last."""
        found: list[int] = []
        for leaf in range(len(self._free_masks) - 1, -1, -1):
            mask = self._free_masks[leaf]
            while mask and len(found) < n_nodes:
                place = mask.bit_length() - 1
                mask ^= 1 << place
                found.append(leaf * self._nodes_per_leaf + place)
            if len(found) == n_nodes:
                break
        return found

    def jobs_on(self, node: int) -> list[int]:
        """List the jobs that hold any part of *node*."""
        if node in self._sharers:
            return list(self._sharers[node])
        leaf, place = divmod(node, self._nodes_per_leaf)
        return [job for job, mask in self._gangs_by_leaf[leaf].items() if mask >> place & 1]

    def take_gang(self, job: int, n_nodes: int) -> Gang:
        """Give *job* whole nodes, of which at least *n_nodes* must be free.

        One leaf where one can hold them all: the one with the fewest free nodes that suffice. Else the leaves with the
        most free nodes first, which is the fewest leaves possible, and the rest by best fit.
        """
        if self._strategy == "packed":
            return self.take_nodes(job, lowest_bits(self.free_mask, n_nodes))
        if self._strategy == "spread":
            return self.take_nodes(job, self._scattered(n_nodes))
        gang = []
        wanted = n_nodes
        while wanted:
            enough = self._free_counts >> wanted
            free = wanted + (enough & -enough).bit_length() - 1 if enough else self._free_counts.bit_length() - 1
            leaves = self._leaves_with[free]
            leaf = (leaves & -leaves).bit_length() - 1
            mask = self._free_masks[leaf] if free <= wanted else self._choose(leaf, wanted)
            self._set_free(leaf, self._free_masks[leaf] ^ mask)
            self._gangs_by_leaf[leaf][job] = mask
            gang.append((leaf, mask))
            wanted -= min(free, wanted)
        self.free_nodes -= n_nodes
        return tuple(gang)

    @property
    def free_mask(self) -> int:
        """Free nodes as one bitset, node ``k`` at bit ``k``."""
        mask = 0
        for leaf in range(len(self._free_masks) - 1, -1, -1):
            mask = mask << self._nodes_per_leaf | self._free_masks[leaf]
        return mask

    def take_nodes(self, job: int, mask: int) -> Gang:
        """Give *job* the nodes of a bitset, node ``k`` at bit ``k``, all of which must be free."""
        gang = []
        whole, leaf = (1 << self._nodes_per_leaf) - 1, 0
        self.free_nodes -= mask.bit_count()
        while mask:
            if part := mask & whole:
                self._set_free(leaf, self._free_masks[leaf] ^ part)
                self._gangs_by_leaf[leaf][job] = part
                gang.append((leaf, part))
            mask >>= self._nodes_per_leaf
            leaf += 1
        return tuple(gang)

    def return_gang(self, job: int, gang: Gang) -> None:
        """Free the whole nodes that *job* held."""
        for leaf, mask in gang:
            del self._gangs_by_leaf[leaf][job]
            self._set_free(leaf, self._free_masks[leaf] | mask)
            self.free_nodes += mask.bit_count()

    def fits_share(self, gpus: int) -> bool:
        """Tell whether some node has *gpus* free GPUs, fewer than a node has."""
        return self.free_nodes > 0 or self.share_levels >> gpus > 0

    def shared_with(self, gpus: int, on: int) -> int:
        """Nodes of the bitset *on* that are shared and have the fewest free GPUs that suffice, as one; 0 if none."""
        enough = self.share_levels >> gpus << gpus
        while enough:
            nodes = self._nodes_with[(enough & -enough).bit_length() - 1] & on
            if nodes:
                return nodes
            enough &= enough - 1
        return 0

    def take_share(self, job: int, gpus: int, on: int = 0) -> int:
        """Give *job* part of one node, which must fit, and return the node.

        The shared node with the fewest free GPUs that suffice; a free node is opened only where none suffices. Where
        *on* is given, a bitset, one of its nodes, whatever the strategy.
        """
        enough = self.share_levels >> gpus
        if self._strategy == "spread":
            enough = 0 if self.free_nodes else 1 << enough.bit_length() - 1
        nodes = self.shared_with(gpus, on) if on else 0
        if on and not nodes:
            free = self._gpus_per_node
            node = self._open_node(self.free_mask & on)
        elif on or enough:
            nodes = nodes or self._nodes_with[gpus + (enough & -enough).bit_length() - 1]
            node = (nodes & -nodes).bit_length() - 1
            free = self._free_gpus[node]
        else:
            free = self._gpus_per_node
            node = self._open_node()
        self._set_free_gpus(node, free - gpus)
        self._sharers[node][job] = gpus
        return node

    def return_share(self, job: int, node: int) -> None:
        """Free the GPUs that *job* held in *node*; the node becomes free with its last job."""
        sharers = self._sharers[node]
        gpus = sharers.pop(job)
        if sharers:
            self._set_free_gpus(node, self._free_gpus[node] + gpus)
            return
        self._set_free_gpus(node, 0)
        del self._sharers[node], self._free_gpus[node]
        leaf, place = divmod(node, self._nodes_per_leaf)
        self._set_free(leaf, self._free_masks[leaf] | 1 << place)
        self.free_nodes += 1

    def _scattered(self, n_nodes: int) -> int:
        """Nodes of a job, one from each leaf in turn, those with most free first, as one bitset."""
        left = sorted(
            ((mask.bit_count(), -leaf, mask) for leaf, mask in enumerate(self._free_masks) if mask), reverse=True
        )
        chosen = 0
        while n_nodes:
            again = []
            for count, leaf, mask in left:
                if not n_nodes:
                    break
                low = mask & -mask
                chosen |= low << -leaf * self._nodes_per_leaf
                n_nodes -= 1
                if count > 1:
                    again.append((count - 1, leaf, mask ^ low))
            left = sorted(again, reverse=True)
        return chosen

    def _open_node(self, on: int = 0) -> int:
        """Take a free node to be shared: that of the best fit, or the lowest of a bitset of free nodes."""
        if on:
            node = (on & -on).bit_length() - 1
            leaf, place = divmod(node, self._nodes_per_leaf)
            self._set_free(leaf, self._free_masks[leaf] ^ 1 << place)
            self.free_nodes -= 1
            self._sharers[node] = {}
            self._free_gpus[node] = 0
            return node
        some = self._free_counts >> 1
        leaves = self._leaves_with[(some & -some).bit_length()]
        leaf = (leaves & -leaves).bit_length() - 1
        mask = self._choose(leaf, 1)
        self._set_free(leaf, self._free_masks[leaf] ^ mask)
        self.free_nodes -= 1
        node = leaf * self._nodes_per_leaf + mask.bit_length() - 1
        self._sharers[node] = {}
        self._free_gpus[node] = 0
        return node

    def _choose(self, leaf: int, n_nodes: int) -> int:
        """Pick free nodes of one leaf in the fewest racks, by best fit among racks."""
        free = self._free_masks[leaf]
        racks = [free & rack for rack in self._rack_masks]
        chosen = 0
        while True:
            wanted = n_nodes - chosen.bit_count()
            enough = [rack for rack in racks if rack.bit_count() >= wanted]
            if enough:
                return chosen | lowest_bits(min(enough, key=int.bit_count), wanted)
            fullest = max(racks, key=int.bit_count)
            racks.remove(fullest)
            chosen |= fullest

    def _set_free(self, leaf: int, mask: int) -> None:
        leaves_with = self._leaves_with
        before = self._free_masks[leaf].bit_count()
        after = mask.bit_count()
        self._free_masks[leaf] = mask
        leaves_with[before] ^= 1 << leaf
        if not leaves_with[before]:
            self._free_counts ^= 1 << before
        leaves_with[after] |= 1 << leaf
        self._free_counts |= 1 << after

    def _set_free_gpus(self, node: int, gpus: int) -> None:
        """Move a shared node between the sets of nodes by free GPUs; 0 is in none of them."""
        nodes_with = self._nodes_with
        before = self._free_gpus[node]
        if before:
            nodes_with[before] ^= 1 << node
            if not nodes_with[before]:
                self.share_levels ^= 1 << before
        if gpus:
            nodes_with[gpus] |= 1 << node
            self.share_levels |= 1 << gpus
        self._free_gpus[node] = gpus
