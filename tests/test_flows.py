"""Flows that share links: the oracle of another simulator, and the laws of max-min fairness."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import RangeError
from dcsim.physics.flows import finish_times_s, max_min_rates


def test_finish_times_are_those_of_simgrid(reference):
    # SimGrid 3.32, CM02 without TCP: three links, five flows from three moments.
    oracle = json.loads(reference("traces/simgrid/flows_oracle.json").read_text())
    links = list(oracle["bandwidth_Bps"])
    flows = oracle["flows"]
    found = finish_times_s(
        np.array(list(oracle["bandwidth_Bps"].values())),
        [[links.index(link) for link in flow["links"]] for flow in flows],
        np.array([flow["bytes"] for flow in flows]),
        np.array([flow["start_s"] for flow in flows]),
    )
    np.testing.assert_allclose(found, [flow["finish_s"] for flow in flows], rtol=1e-6)


def test_a_worked_share():
    # Bertsekas and Gallager's rule by hand: link B of 6 carries two flows, so each gets 3; A has 10 - 3 for the other.
    rates = max_min_rates(np.array([10.0, 6.0]), np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]))
    np.testing.assert_allclose(rates, [3.0, 3.0, 7.0])


def test_a_limit_frees_room_for_the_others():
    rates = max_min_rates(np.array([9.0]), np.ones((1, 3)), np.array([1.0, np.inf, 3.0]))
    np.testing.assert_allclose(rates, [1.0, 5.0, 3.0])


def test_a_flow_of_several_parts_counts_as_each_of_them():
    rates = max_min_rates(np.array([8.0]), np.array([[3.0, 1.0]]))
    np.testing.assert_allclose(rates, [2.0, 2.0])


NETWORKS = st.integers(1, 6).flatmap(
    lambda links: st.tuples(
        st.lists(st.floats(1, 100), min_size=links, max_size=links),
        st.lists(st.sets(st.integers(0, links - 1), min_size=1), min_size=1, max_size=10),
    )
)


@given(NETWORKS)
def test_every_flow_has_a_full_link_on_which_none_is_faster(network):
    capacity, routes = np.array(network[0]), network[1]
    use = np.array([[float(link in route) for route in routes] for link in range(len(capacity))])
    rates = max_min_rates(capacity, use)
    carried = use @ rates
    assert np.all(carried <= capacity * (1 + 1e-9))
    for flow, route in enumerate(routes):
        assert any(
            carried[link] >= capacity[link] * (1 - 1e-9) and rates[flow] >= (rates * use[link]).max() * (1 - 1e-9)
            for link in route
        )


@given(NETWORKS)
def test_bytes_are_conserved(network):
    capacity, routes = np.array(network[0]), network[1]
    size = np.linspace(1.0, 50.0, len(routes))
    start = np.linspace(0.0, 2.0, len(routes))
    end = finish_times_s(capacity, routes, size, start)
    assert np.all(end >= start + size / capacity.max() - 1e-9)
    # No link carries more than its capacity while any of its flows is there.
    for link in range(len(capacity)):
        here = [flow for flow, route in enumerate(routes) if link in route]
        if here:
            assert size[here].sum() <= capacity[link] * (end[here].max() - start[here].min()) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("capacity", "use", "limit"),
    [([0.0], [[1.0]], None), ([1.0], [[-1.0]], None), ([1.0], [[0.0]], None), ([1.0], [[1.0]], [-1.0])],
)
def test_what_bounds_nothing_is_refused(capacity, use, limit):
    with pytest.raises(RangeError):
        max_min_rates(np.array(capacity), np.array(use), None if limit is None else np.array(limit))


def test_a_flow_of_nothing_is_refused():
    with pytest.raises(RangeError, match="above 0"):
        finish_times_s(np.array([1.0]), [[0]], np.array([0.0]), np.array([0.0]))
