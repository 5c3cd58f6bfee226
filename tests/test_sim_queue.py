"""The job queue against a plain list."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.sim.queue import JobQueue, SizeQueue

LIMITS = st.one_of(st.integers(0, 5).map(float), st.floats(0, 1e9))


@given(
    limits=st.lists(LIMITS, min_size=1, max_size=40),
    moves=st.lists(st.tuples(st.integers(0, 39), st.one_of(LIMITS, st.just(inf))), max_size=80),
)
def test_segment_tree_answers_like_a_scan(limits, moves):
    tree = SizeQueue(1, 0, 1.0, [10 * place for place in range(len(limits))])
    queued: dict[int, float] = {}
    for move, threshold in moves:
        place = move % len(limits)
        if place in queued:
            tree.drop(place)
            del queued[place]
        else:
            tree.put(place, limits[place])
            queued[place] = limits[place]
        within = [other for other in sorted(queued) if queued[other] <= threshold]
        assert tree.n_queued == len(queued)
        assert tree.least_limit_s == min(queued.values(), default=inf)
        assert tree.first_within(threshold) == (10 * within[0] if within else -1)
        if queued:
            assert tree.first() == 10 * min(queued)


@given(
    gpus=st.lists(st.sampled_from([1, 2, 4, 8, 12, 16, 64]), min_size=1, max_size=30),
    moves=st.lists(st.integers(0, 29), max_size=80),
)
def test_head_is_the_earliest_submission_however_often_jobs_come_back(gpus, moves):
    queue = JobQueue(np.array(gpus), np.ones(len(gpus)), gpus_per_node=8)
    queued = set()
    for move in moves:
        job = move % len(gpus)
        if job in queued:
            queue.drop(job)
        else:
            queue.put(job)
        queued ^= {job}
        assert (job in queue) == (job in queued)
        assert queue.head() == min(queued, default=-1)
        assert queue.n_queued == len(queued)


def test_sizes_rise_from_shares_to_whole_nodes():
    queue = JobQueue(np.array([16, 3, 8, 12, 1]), np.ones(5), gpus_per_node=8)
    assert [(size.nodes, size.share_gpus, list(size.jobs)) for size in queue.sizes] == [
        (1, 1, [4]),
        (1, 3, [1]),
        (1, 0, [2]),
        (2, 0, [0, 3]),  # 12 GPUs take two whole nodes, as 16 do
    ]


@pytest.mark.parametrize("gpus_per_node", [1, 8])
def test_an_empty_trace_makes_an_empty_queue(gpus_per_node):
    queue = JobQueue(np.zeros(0, dtype=np.int64), np.zeros(0), gpus_per_node)
    assert queue.head() == -1
    assert queue.sizes == []
