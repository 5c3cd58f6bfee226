"""Shadow time and extra nodes against the definition, computed anew from a plain list of releases."""

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.sim.reservations import ROUNDING_S, Reservations

TIMES = st.integers(0, 12).map(float)


def by_definition(releases, need, free, now_s):
    """Earliest time with enough nodes, and what is left over at that time."""
    known = [(max(time_s, now_s), n) for time_s, n in releases]
    for time_s, _ in sorted(known):
        available = free + sum(n for other_s, n in known if other_s <= time_s + ROUNDING_S)
        if available >= need:
            return time_s, available - need
    return inf, free + sum(n for _, n in known) - need


@given(
    releases=st.lists(st.tuples(TIMES, st.integers(1, 5)), max_size=12),
    need=st.integers(1, 30),
    free=st.integers(0, 5),
    now_s=TIMES,
)
def test_shadow_and_extra_follow_the_definition(releases, need, free, now_s):
    reservations = Reservations()
    for time_s, n in releases:
        reservations.expect(time_s, n)
    if free < need:
        reservations.reserve(0, need, free, now_s)
        assert (reservations.shadow_s, reservations.extra_nodes) == by_definition(releases, need, free, now_s)


@settings(max_examples=300)
@given(
    releases=st.lists(st.tuples(TIMES, st.integers(1, 3)), min_size=1, max_size=12),
    need=st.integers(4, 16),
    order=st.lists(st.integers(0, 11), max_size=12),
)
def test_early_ends_never_leave_a_stale_reservation(releases, need, order):
    """Whatever ends early, a reservation that claims to hold equals the definition."""
    reservations, running, free = Reservations(), list(releases), 0
    for time_s, n in releases:
        reservations.expect(time_s, n)
    for pick in order:
        reservations.reserve(7, need, free, 0.0)
        assert (reservations.shadow_s, reservations.extra_nodes) == by_definition(running, need, free, 0.0)
        if not running:
            break
        time_s, n = running.pop(pick % len(running))
        reservations.settle(time_s, n)
        free += n
        if free >= need:
            break


def test_a_shared_node_is_released_by_its_last_limit():
    reservations = Reservations()
    reservations.join(node=3, job=0, release_s=50.0)
    reservations.join(node=3, job=1, release_s=80.0)
    reservations.join(node=3, job=2, release_s=60.0)
    reservations.reserve(9, 1, 0, 0.0)
    assert reservations.shadow_s == 80.0
    reservations.leave(3, 1)
    reservations.reserve(9, 1, 0, 0.0)
    assert reservations.shadow_s == 60.0
    reservations.leave(3, 0)
    reservations.leave(3, 2)
    reservations.reserve(9, 1, 0, 0.0)
    assert reservations.shadow_s == inf


def test_the_reservation_of_one_head_is_not_that_of_another():
    reservations = Reservations()
    reservations.expect(10.0, 1)
    reservations.expect(20.0, 1)
    reservations.reserve(0, 2, 0, 0.0)
    assert reservations.holds_for(0, 20.0)
    assert not reservations.holds_for(0, 20.5)
    assert not reservations.holds_for(1, 0.0)
    reservations.reserve(1, 1, 0, 0.0)
    assert (reservations.shadow_s, reservations.recomputes) == (10.0, 2)
