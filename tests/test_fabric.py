import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import CapacityError, RangeError
from dcsim.physics import fabric

RADIXES, RATIOS = st.sampled_from([16, 32, 64, 128]), st.sampled_from([1.0, 1.5, 2.0, 3.0, 7.0])
CLOS = pytest.mark.parametrize("kind", ["fat_tree", "rail_optimised"])


@CLOS
@pytest.mark.parametrize(
    ("endpoints", "switches"),
    # Radix 64: SuperPOD of 1,024 ports, and 3N/R, 5N/R of two- and three-tier folded Clos networks.
    [
        (64, (1, 0, 0)),
        (1024, (32, 16, 0)),
        (2048, (64, 32, 0)),
        (16_384, (512, 512, 256)),
        (65_536, (2048, 2048, 1024)),
    ],
)
def test_non_blocking_counts_are_the_published_ones(kind, endpoints, switches):
    counts = fabric.FABRICS[kind].counts(endpoints, 64, 1.0)
    assert (counts.leaves, counts.spines, counts.cores) == switches
    tiers = sum(n > 0 for n in switches)
    # Two transceivers an optical link and one link an endpoint and tier; copper spares the hosts' tier.
    assert counts.optics(optical_hosts=True) == 2 * tiers * endpoints
    assert counts.optics(optical_hosts=False) == 2 * (tiers - 1) * endpoints


def test_an_oversubscribed_leaf_has_fewer_links_up():
    # Radix 64 at 3:1 has 48 ports down and 16 up: 960 endpoints need 20 leaves and 5 spines.
    counts = fabric.fat_tree(960, 64, 3.0)
    assert (counts.leaves, counts.spines, counts.cores, counts.switch_links) == (20, 5, 0, 320)


@pytest.mark.parametrize(("tiers", "most"), [(1, 64), (2, 2048), (3, 65_536)])
def test_most_endpoints_of_each_tier(tiers, most):
    # R, R^2/2 and R^3/4 without oversubscription.
    assert fabric.max_endpoints(64, tiers=tiers) == most
    counts = fabric.fat_tree(most, 64)
    assert sum(n > 0 for n in (counts.leaves, counts.spines, counts.cores)) == tiers


@given(st.integers(1, 60_000), RADIXES, RATIOS)
def test_a_fabric_has_a_port_for_every_link(endpoints, radix, ratio):
    if endpoints > fabric.max_endpoints(radix, ratio):
        with pytest.raises(CapacityError, match="larger radix"):
            fabric.fat_tree(endpoints, radix, ratio)
        return
    counts = fabric.fat_tree(endpoints, radix, ratio)
    assert counts.host_links == endpoints <= counts.leaves * counts.endpoints_per_leaf
    assert counts.host_links + 2 * counts.switch_links <= counts.switches * radix
    if counts.spines:
        up = radix - counts.endpoints_per_leaf
        assert counts.endpoints_per_leaf / up <= ratio + 1e-9


@given(st.integers(0, 30_000), st.integers(1, 5_000))
def test_a_larger_network_has_the_smaller_one_and_what_is_added(endpoints, more):
    small, large = fabric.fat_tree(endpoints, 64), fabric.fat_tree(endpoints + more, 64)
    added = large.minus(small)
    assert added.switches == large.switches - small.switches >= 0
    assert added.host_links == more


def test_wrong_arguments_are_refused():
    for arguments in ((10, 7), (10, 2), (-1, 64), (10, 64, 0.5)):
        with pytest.raises(RangeError, match="a fat tree needs"):
            fabric.fat_tree(*arguments)
    with pytest.raises(RangeError, match="1 to 3 tiers"):
        fabric.max_endpoints(64, tiers=4)


def test_a_rail_group_holds_as_many_nodes_as_a_leaf_has_ports():
    counts = fabric.fat_tree(8192, 64)
    assert fabric.FABRICS["rail_optimised"].nodes_per_group(counts, 8) == 32
    assert fabric.FABRICS["fat_tree"].nodes_per_group(counts, 8) == 4


def test_no_endpoints_need_no_parts():
    assert fabric.fat_tree(0, 64) == fabric.FabricCounts.none()
    assert fabric.FabricCounts.none().optics(optical_hosts=True) == 0


@pytest.mark.parametrize(("radix", "most"), [(63, 262_656), (31, 8 * 16 * 129), (7, 2 * 4 * 9)])
def test_the_largest_dragonfly_has_one_link_a_pair_of_groups(radix, most):
    # Kim and others 2008: a = 2p = 2h, g = a h + 1, N = p a g; radix 63 holds 262,656.
    p = (radix + 1) // 4
    a, g = 2 * p, 2 * p * p + 1
    counts = fabric.dragonfly(most, radix)
    assert counts.switches == most // p == a * g
    assert counts.copper_links == g * a * (a - 1) // 2
    assert counts.switch_links - counts.copper_links == g * (g - 1) // 2
    assert counts.optics(optical_hosts=False) == g * (g - 1)
    with pytest.raises(CapacityError, match="larger radix"):
        fabric.dragonfly(most + 1, radix)


@given(st.integers(1, 8 * 16 * 129))
def test_a_dragonfly_has_a_port_for_every_link(endpoints):
    counts = fabric.dragonfly(endpoints, 31)
    assert counts.host_links == endpoints <= counts.switches * counts.endpoints_per_leaf
    assert counts.host_links + 2 * counts.switch_links <= counts.switches * 31


@given(st.integers(0, 100_000), st.integers(1, 6))
def test_a_torus_has_a_link_an_endpoint_and_dimension_and_no_switch(endpoints, dimensions):
    counts = fabric.torus(endpoints, dimensions=dimensions)
    assert counts.switches == 0
    assert counts.optics(optical_hosts=True) == 2 * dimensions * endpoints
    assert counts.optics(optical_hosts=False) == 0


@pytest.mark.parametrize("kind", fabric.FABRICS)
def test_every_fabric_grows_and_groups_its_nodes(kind):
    of = fabric.FABRICS[kind]
    small, large = of.counts(512, 64, 1.0), of.counts(8192, 64, 1.0)
    assert large.switches >= small.switches
    assert large.optics(True) > small.optics(True)
    added = large.minus(small)
    assert added.optics(True) == large.optics(True) - small.optics(True)
    assert of.nodes_per_group(large, 8) >= 1
    with pytest.raises(RangeError):
        of.counts(-1, 64, 1.0)


def test_a_dragonfly_refuses_oversubscription():
    with pytest.raises(RangeError, match="oversubscription 1"):
        fabric.dragonfly(512, 64, 2.0)
