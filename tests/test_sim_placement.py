"""Placement against a plain list of free GPUs by node."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.errors import UnknownNameError
from dcsim.sim.engine import ClusterSpec, simulate
from dcsim.sim.placement import STRATEGIES, Placement, lowest_bits
from dcsim.workload.jobs import Jobs

GPUS_PER_NODE = 4
MOVES = ["gang", "share", "give", "down", "up"]


def placement(n_nodes, nodes_per_leaf=8, nodes_per_rack=3):
    nodes = Placement(GPUS_PER_NODE, nodes_per_leaf, nodes_per_rack)
    for node in range(n_nodes):
        nodes.add_node(node)
    return nodes


def nodes_of(gang, nodes_per_leaf=8):
    return [
        leaf * nodes_per_leaf + place for leaf, mask in gang for place in range(nodes_per_leaf) if mask >> place & 1
    ]


def racks_of(nodes, nodes_per_leaf, nodes_per_rack):
    return {(node // nodes_per_leaf, node % nodes_per_leaf // nodes_per_rack) for node in nodes}


@given(st.integers(1, 2**40 - 1), st.data())
def test_lowest_bits_are_the_lowest(mask, data):
    n = data.draw(st.integers(1, mask.bit_count()))
    chosen = lowest_bits(mask, n)
    assert chosen.bit_count() == n
    assert chosen & ~mask == 0
    assert (mask ^ chosen) & ((1 << chosen.bit_length()) - 1) == 0


@settings(max_examples=200)
@given(
    n_nodes=st.integers(1, 30),
    nodes_per_leaf=st.integers(1, 9),
    nodes_per_rack=st.integers(1, 4),
    moves=st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 40)), max_size=60),
)
def test_nothing_overlaps_and_every_choice_is_the_best_fit(n_nodes, nodes_per_leaf, nodes_per_rack, moves):
    nodes = placement(n_nodes, nodes_per_leaf, nodes_per_rack)
    free = dict.fromkeys(range(n_nodes), GPUS_PER_NODE)  # of nodes in service
    held: dict[int, tuple] = {}
    down: list[int] = []

    def free_by_leaf():
        counts: dict[int, int] = {}
        for node, gpus in free.items():
            counts[node // nodes_per_leaf] = counts.get(node // nodes_per_leaf, 0) + (gpus == GPUS_PER_NODE)
        return counts

    for job, (move, k) in enumerate(moves):
        whole = [node for node, gpus in free.items() if gpus == GPUS_PER_NODE]
        if move == "gang" and whole:
            wanted = k % len(whole) + 1
            counts = free_by_leaf()
            gang = nodes.take_gang(job, wanted)
            taken = nodes_of(gang, nodes_per_leaf)
            assert len(taken) == wanted
            assert all(free[node] == GPUS_PER_NODE for node in taken)
            sufficient = [count for count in counts.values() if count >= wanted]
            if sufficient:
                assert len(gang) == 1
                assert counts[gang[0][0]] == min(sufficient)
            else:
                by_count, fewest = sorted(counts.values(), reverse=True), 1
                while sum(by_count[:fewest]) < wanted:
                    fewest += 1
                assert len(gang) == fewest
            for leaf, mask in gang:
                in_leaf = [node for node in whole if node // nodes_per_leaf == leaf]
                racks = [
                    sum(node % nodes_per_leaf // nodes_per_rack == rack for node in in_leaf)
                    for rack in range(-(-nodes_per_leaf // nodes_per_rack))
                ]
                used = racks_of(
                    [node for node in taken if node // nodes_per_leaf == leaf], nodes_per_leaf, nodes_per_rack
                )
                fitting = [count for count in racks if count >= mask.bit_count()]
                if fitting:
                    assert [racks[rack] for _, rack in used] == [min(fitting)]
            for node in taken:
                free[node] = 0
            held[job] = ("gang", gang, taken)
        elif move == "share":
            gpus = k % (GPUS_PER_NODE - 1) + 1
            fitting = [count for count in free.values() if count >= gpus]
            assert nodes.fits_share(gpus) == bool(fitting)
            if fitting:
                before = dict(free)
                node = nodes.take_share(job, gpus)
                assert before[node] == min(fitting)
                if before[node] < GPUS_PER_NODE:
                    assert node == min(other for other, count in before.items() if count == before[node])
                free[node] -= gpus
                held[job] = ("share", node, gpus)
        elif move == "give" and held:
            job = sorted(held)[k % len(held)]
            kind, where, what = held.pop(job)
            if kind == "gang":
                nodes.return_gang(job, where)
                free.update(dict.fromkeys(what, GPUS_PER_NODE))
            else:
                nodes.return_share(job, where)
                free[where] += what
        elif move == "down" and whole:
            down.append(whole[k % len(whole)])
            nodes.remove_node(down[-1])
            del free[down[-1]]
        elif move == "up" and down:
            free[down[-1]] = GPUS_PER_NODE
            nodes.add_node(down.pop())
        assert nodes.free_nodes == sum(gpus == GPUS_PER_NODE for gpus in free.values())
        assert nodes.free_gpus == sum(free.values())
        assert nodes.free_gpus + nodes.held_gpus + GPUS_PER_NODE * len(down) == GPUS_PER_NODE * n_nodes
        for node in range(n_nodes):
            holders = [
                j for j, (kind, where, what) in held.items() if (node in what if kind == "gang" else node == where)
            ]
            assert sorted(nodes.jobs_on(node)) == sorted(holders)


def test_a_wide_gang_spans_the_fewest_leaves():
    nodes = placement(24)
    nodes.take_gang(0, 5)  # leaf 0 keeps 3 free
    gang = nodes.take_gang(1, 17)
    assert [(leaf, mask.bit_count()) for leaf, mask in gang] == [(1, 8), (2, 8), (0, 1)]


def test_a_node_in_use_cannot_leave():
    nodes = placement(2)
    node = nodes.take_share(0, 1)
    with pytest.raises(ValueError, match="only a free node can leave"):
        nodes.remove_node(node)


def spans(strategy, *takes):
    """Leaves that each gang of so many nodes spans, on 4 empty leaves of 4 nodes, and the placement."""
    placement = Placement(8, 4, 2, strategy)
    for node in range(16):
        placement.add_node(node)
    return [len(placement.take_gang(job, n)) for job, n in enumerate(takes)], placement


def test_each_strategy_chooses_its_own_nodes():
    assert spans("topology", 1, 4, 3)[0] == [1, 1, 1]
    assert spans("packed", 1, 4, 3)[0] == [1, 2, 1]
    assert spans("spread", 4, 3)[0] == [4, 3]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_takes_what_it_was_asked_for_and_gives_it_back(strategy):
    _, placement = spans(strategy)
    gangs = {job: placement.take_gang(job, n) for job, n in enumerate((3, 5, 1, 6))}
    assert placement.free_nodes == 1
    assert placement.held_gpus == 8 * 15
    shares = [placement.take_share(10 + k, 2) for k in range(4)]
    assert set(shares) == {shares[0]}
    for job, gang in gangs.items():
        placement.return_gang(job, gang)
    assert placement.free_nodes == 15
    assert placement.free_gpus == 8 * 15


def test_spread_opens_nodes_for_shares_and_topology_fills_them():
    _, wide = spans("spread")
    _, tight = spans("topology")
    assert len({wide.take_share(job, 1) for job in range(8)}) == 8
    assert len({tight.take_share(job, 1) for job in range(8)}) == 1


def test_spread_costs_a_job_that_leaves_slow_down():
    rates = np.array([[1.0, 1.0, 0.8, 0.7, 0.6]])
    one = np.array([0])
    jobs = Jobs(one, 0.0 * one, 100.0 + one, 100.0 + one, 32 + one, one, ("training",))
    ends = {
        strategy: simulate(ClusterSpec(8, 4, 2, ((0.0, 16),), strategy), jobs, rates, horizon_s=np.inf, seed=0).end_s[0]
        for strategy in STRATEGIES
    }
    assert ends == {"topology": 100.0, "packed": 100.0, "spread": pytest.approx(100.0 / 0.6)}


def test_an_unknown_strategy_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'packed'"):
        Placement(8, 4, 2, "pakced")
