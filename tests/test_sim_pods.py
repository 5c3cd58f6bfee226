"""Pods on unlike nodes: a trace's own demand, no node over its capacity, best fit, and who waits."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.errors import CapacityError, InputError, RangeError
from dcsim.sim.pods import WHOLE, Nodes, Pods, place
from dcsim.steps import StepSeries
from dcsim.study import cli
from dcsim.study.pods import placed, pods_of
from dcsim.workload.traces.pods import read_nodes, read_pods

OPENB = ("openb_pod_list_default.csv", "openb_node_list_all_node.csv")


@pytest.fixture
def openb(reference):
    return [reference(f"traces/alibaba_openb_2023/{name}") for name in OPENB]


def nodes(*rows):
    cpu, memory, gpus, model = zip(*rows, strict=True)
    return Nodes(np.array(cpu), np.array(memory), np.array(gpus), model)


def pods(*rows):
    """Pods from (submit, run, cpu, memory, gpus, milli, models)."""
    columns = list(zip(*rows, strict=True))
    times, whole = [np.array(c, dtype=float) for c in columns[:2]], [np.array(c) for c in columns[2:6]]
    return Pods(*times, *whole, tuple(frozenset(one) for one in columns[6]))


def overfull(of):
    """Nodes on which the parts in use ever add up to more than the node has."""
    found = []
    for node in range(len(of.nodes)):
        here = of.node == node
        for asked, has in (
            (of.pods.cpu_milli, of.nodes.cpu_milli),
            (of.pods.memory_mib, of.nodes.memory_mib),
            (of.pods.asked_milli, of.nodes.gpus * WHOLE),
        ):
            end_s = of.start_s[here] + of.pods.run_s[here]
            times = np.concatenate([of.start_s[here], end_s[np.isfinite(end_s)]])
            deltas = np.concatenate([asked[here], -asked[here][np.isfinite(end_s)]])
            if StepSeries.from_changes(times, deltas).values.max(initial=0) > has[node]:
                found.append(node)
    return found


def test_recorded_pods_add_up_to_the_traces_own_demand(openb):
    of = placed(*openb, recorded=True)
    found = pd.read_csv(openb[0])
    ran = found[found["scheduled_time"].notna()]
    asked = (ran["num_gpu"] * ran["gpu_milli"]).to_numpy()
    ends = ran["deletion_time"].notna().to_numpy()
    times = np.concatenate([ran["scheduled_time"].to_numpy(), ran["deletion_time"].to_numpy()[ends]])
    own = StepSeries.from_changes(times, np.concatenate([asked, -asked[ends]]))
    ours = of.used_milli()
    at = np.unique(np.concatenate([own.times, ours.times]))
    np.testing.assert_array_equal(ours.at(at), own.at(at))
    assert np.count_nonzero(of.node >= 0) == len(ran) == 7255
    assert overfull(of) == []


def test_freely_placed_pods_start_in_their_order_and_on_their_kinds(openb):
    of = placed(*openb, recorded=False)
    assert np.all(of.node >= 0)
    assert np.all(of.wait_s >= 0)
    for models, node in zip(of.pods.models, of.node, strict=True):
        assert not models or of.nodes.model[node] in models


def test_a_part_goes_to_the_fullest_gpu_and_whole_ones_to_the_fewest():
    machines = nodes((8000, 100, 4, "A"), (8000, 100, 2, "A"))
    of = place(
        machines,
        pods(
            (0, 100, 1, 1, 1, 600, ()),  # both nodes' GPUs are whole: the lowest node
            (1, 100, 1, 1, 1, 300, ()),  # beside it, where least is left
            (2, 100, 1, 1, 2, 1000, ()),  # the node with two whole ones, not that with three
            (3, 100, 1, 1, 1, 1000, ()),
        ),
    )
    assert of.node.tolist() == [0, 0, 1, 0]


def test_a_pod_without_gpus_spares_nodes_that_have_them():
    of = place(
        nodes((8, 8, 4, "A"), (8, 8, 0, "")),
        pods((0, 9, 4, 4, 0, 0, ()), (1, 9, 4, 4, 0, 0, ()), (2, 9, 4, 4, 0, 0, ())),
    )
    assert of.node.tolist() == [1, 1, 0]


def test_who_does_not_fit_waits_and_the_others_pass():
    of = place(
        nodes((8, 8, 2, "A")),
        pods((0, 100, 1, 1, 1, 1000, ()), (1, 50, 1, 1, 2, 1000, ()), (2, 10, 1, 1, 1, 500, ())),
    )
    assert of.start_s.tolist() == [0.0, 100.0, 2.0]


def test_what_no_node_has_is_refused():
    with pytest.raises(CapacityError, match="1 pods ask for more than any node has: 0"):
        place(nodes((8, 8, 2, "A")), pods((0, 1, 1, 1, 3, 1000, ())))
    with pytest.raises(CapacityError, match="more than any node has"):
        place(nodes((8, 8, 2, "A")), pods((0, 1, 1, 1, 1, 1000, ("B",))))
    with pytest.raises(RangeError, match="a part is of one"):
        place(nodes((8, 8, 2, "A")), pods((0, 1, 1, 1, 2, 500, ())))
    with pytest.raises(CapacityError, match="no node with room at its recorded start"):
        place(
            nodes((8, 8, 1, "A")),
            pods((0, 10, 1, 1, 1, 1000, ()), (1, 10, 1, 1, 1, 1000, ())),
            start_s=np.array([0.0, 5.0]),
        )


ASKS = st.tuples(
    st.integers(0, 4),
    st.integers(0, 4),
    st.sampled_from([(0, 0), (1, 250), (1, 500), (1, 700), (1, 1000), (2, 1000)]),
    st.sampled_from([(), ("A",), ("A", "B")]),
    st.integers(1, 50),
)


@settings(max_examples=60)
@given(st.lists(ASKS, min_size=1, max_size=40))
def test_no_node_is_ever_over_its_capacity_and_everybody_starts(asks):
    rows = [(k, run, cpu, memory, *gpu, models) for k, (cpu, memory, gpu, models, run) in enumerate(asks)]
    of = place(nodes((4, 6, 2, "A"), (8, 4, 1, "B"), (6, 6, 0, ""), (4, 4, 2, "A")), pods(*rows))
    assert np.all(of.node >= 0)
    assert overfull(of) == []


def test_the_verb_places_pods(openb):
    words = [str(openb[0]), "--nodes", str(openb[1]), "--json"]
    found = json.loads(CliRunner().invoke(cli.schedule, words, catch_exceptions=False).output)
    assert found["started"] == found["pods"] == 7255
    assert found["gpus"] == 6212
    told = CliRunner().invoke(cli.schedule, [*words[:-1], "--starts", "recorded"], catch_exceptions=False).output
    assert "7,255 of 8,152 started, at their recorded starts" in told
    assert CliRunner().invoke(cli.schedule, [*words, "--processors", "8"]).exit_code == 2
    assert CliRunner().invoke(cli.schedule, words[:1]).exit_code == 2


def test_a_list_of_another_form_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="are not there"):
        read_pods(tmp_path / "x.csv")
    with pytest.raises(InputError, match="are not there"):
        read_nodes(tmp_path / "x.csv")


def test_free_placement_leaves_out_pods_that_never_ran(openb):
    trace = read_pods(openb[0])
    free, none = pods_of(trace, recorded=False)
    assert none is None
    assert len(free) == 7255 < len(trace.name) == 8152
