"""Collectives: nccl-tests' bandwidths, the laws of each algorithm, and what NCCL would choose."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import RangeError, UnknownNameError
from dcsim.physics.collectives import (
    ALGORITHMS,
    BUS_FACTOR,
    Fabric,
    algorithm_bandwidth_b_s,
    bus_bandwidth_b_s,
    collective_s,
    ramp_s,
    tree_factor,
)

H100 = Fabric(domain_gpus=8, domain_b_s=370e9, nvls_b_s=480e9, network_b_s=45e9)
PAIRS = [(name, operation) for name, (_, operations) in ALGORITHMS.items() for operation in operations]


@pytest.mark.parametrize(
    ("operation", "factor"),
    [
        ("all_reduce", 2 * 7 / 8),
        ("reduce_scatter", 7 / 8),
        ("all_gather", 7 / 8),
        ("all_to_all", 7 / 8),
        ("broadcast", 1.0),
        ("send_recv", 1.0),
    ],
)
def test_bus_bandwidth_is_that_of_nccl_tests(operation, factor):
    assert algorithm_bandwidth_b_s(8e9, 0.02) == pytest.approx(8e9 / 0.02)
    assert bus_bandwidth_b_s(operation, 8e9, 0.02, 8) == pytest.approx(factor * 8e9 / 0.02)


@pytest.mark.parametrize("ranks", [8, 16, 64])
@pytest.mark.parametrize(("algorithm", "operation"), PAIRS)
def test_time_grows_with_size_and_never_beats_the_wire(algorithm, operation, ranks):
    size = np.logspace(3, 10, 30)
    time = collective_s(operation, size, ranks, H100, algorithm=algorithm)
    assert np.all(np.diff(time) > 0)
    # Two domains of a tree may use their links twice; nothing is faster than the switches.
    assert np.all(bus_bandwidth_b_s(operation, size, time, ranks) < 480e9)


def test_endless_messages_reach_the_bus_bandwidth():
    for operation in ("all_reduce", "all_gather", "reduce_scatter"):
        time = ALGORITHMS["ring"][0](operation, 1e13, 8, H100)
        assert bus_bandwidth_b_s(operation, 1e13, time, 8) == pytest.approx(370e9, rel=1e-3)
    assert bus_bandwidth_b_s("all_reduce", 1e13, collective_s("all_reduce", 1e13, 8, H100), 8) == pytest.approx(
        480e9, rel=1e-3
    )


def test_latency_counts_nccls_hops():
    # Ring LL over 8 GPUs of one domain: 6.6 us and 14 hops of 0.6 us; measured 13 to 17 us on an H100 node.
    assert float(collective_s("all_reduce", 8, 8, H100, algorithm="ring")) == pytest.approx(15.0e-6, rel=1e-3)
    # Tree LL over two nodes: 6.8 us, 2 x 7 hops of 0.6 us inside and 2 of 5 us outside.
    assert float(collective_s("all_reduce", 8, 16, H100, algorithm="tree")) == pytest.approx(25.2e-6, rel=1e-3)


def test_two_nodes_flatter_a_fabric():
    assert list(tree_factor([2, 3, 4, 64])) == pytest.approx([2.0, 4 / 3, 1.0, 1.0])
    two, four = (bus_bandwidth_b_s("all_reduce", 1e12, collective_s("all_reduce", 1e12, n, H100), n) for n in (16, 32))
    assert two == pytest.approx(480e9, rel=0.01)
    assert four == pytest.approx(8 * 45e9, rel=0.01)


def test_small_messages_take_the_tree_and_large_ones_the_switches():
    ranks = 256
    small = {name: float(ALGORITHMS[name][0]("all_reduce", 8, ranks, H100)) for name in ("ring", "tree", "nvls")}
    assert min(small, key=small.__getitem__) == "tree"
    large = {name: float(ALGORITHMS[name][0]("all_reduce", 1e9, 8, H100)) for name in ("ring", "tree", "nvls")}
    assert min(large, key=large.__getitem__) == "nvls"


def test_without_reducing_switches_a_ring_is_taken():
    plain = replace(H100, nvls_b_s=0.0)
    assert float(collective_s("all_reduce", 1e9, 8, plain)) == float(
        collective_s("all_reduce", 1e9, 8, plain, algorithm="ring")
    )


def test_hierarchical_moves_a_shard_over_each_rail():
    # 8 GPUs a node, 4 nodes: 2 x 7/8 inside at 370 GB/s, then 2 x 3/4 of an eighth over each 45 GB/s rail.
    size = 1e12
    expected = 2 * 7 / 8 * size / 370e9 + 2 * 3 / 4 * size / 8 / 45e9
    assert float(collective_s("all_reduce", size, 32, H100, algorithm="hierarchical")) == pytest.approx(
        expected, rel=1e-3
    )


def test_a_parameter_server_is_bound_by_its_own_link():
    slow = float(collective_s("all_reduce", 1e9, 64, H100, algorithm="parameter_server"))
    assert slow == pytest.approx(2 * 1e9 * 64 / 45e9, rel=0.01)
    assert slow > 20 * float(collective_s("all_reduce", 1e9, 64, H100, algorithm="ring"))


@given(st.floats(1.0, 16.0))
def test_oversubscription_slows_what_leaves_the_domain_in_proportion(factor):
    thin = replace(H100, oversubscription=factor)
    inside, outside = ("all_to_all", 1e11, 8), ("all_to_all", 1e11, 128)
    assert float(collective_s(*inside, thin)) == float(collective_s(*inside, H100))
    assert float(collective_s(*outside, thin) / collective_s(*outside, H100)) == pytest.approx(factor, rel=0.01)


def test_a_ramp_has_its_latency_and_bandwidth_as_limits():
    values = {"alpha_s": 15e-6, "bus_b_s": 504e9, "ramp_b": 1e7, "exponent": 0.5}
    assert float(ramp_s(8.0, 1.75, **values)) == pytest.approx(15e-6, rel=0.01)
    assert 1.75e13 / float(ramp_s(1e13, 1.75, **values)) == pytest.approx(504e9, rel=0.01)
    assert 1.75e7 / (float(ramp_s(1e7, 1.75, **values)) - 15e-6) == pytest.approx(504e9 / 2)


def test_rows_are_computed_together():
    sizes, ranks = np.array([1e3, 1e6, 1e9]), np.array([8, 16, 512])
    together = collective_s("all_reduce", sizes, ranks, H100)
    assert list(together) == [float(collective_s("all_reduce", s, n, H100)) for s, n in zip(sizes, ranks, strict=True)]


def test_what_is_not_known_is_refused():
    with pytest.raises(UnknownNameError, match="all_reduce"):
        collective_s("all_reduc", 1e6, 8, H100)
    with pytest.raises(UnknownNameError, match="ring"):
        collective_s("all_reduce", 1e6, 8, H100, algorithm="rings")
    with pytest.raises(RangeError, match="tree does all_reduce, broadcast"):
        collective_s("all_gather", 1e6, 8, H100, algorithm="tree")
    with pytest.raises(RangeError, match="2 ranks"):
        collective_s("all_reduce", 1e6, 1, H100)
    assert set(BUS_FACTOR) == {operation for _, operation in PAIRS}
