"""Planned work on nodes: windows, rolling upgrades, and that no work is lost to them."""

import numpy as np
import pytest
from plans import small

from dcsim import pipeline, runs
from dcsim.errors import InputError, RangeError
from dcsim.sim.engine import ClusterSpec, Maintenance, Reliability, simulate
from dcsim.workload.jobs import Jobs

SIXTEEN = ClusterSpec(1, 16, 4, ((0.0, 16),))
RATES = np.ones((1, 2))


def jobs(*rows):
    submit_s, run_s, gpus = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    times = submit_s.astype(float), run_s.astype(float), run_s.astype(float)
    return Jobs(np.arange(n), *times, gpus.astype(np.int64), np.zeros(n, np.int64), ("training",))


def run(of, maintenance, **options):
    options = {"policy": "easy", "horizon_s": 1e5, "seed": 0} | options
    return simulate(SIXTEEN, of, RATES, maintenance=maintenance, **options)


def test_a_window_stops_everybody_and_nobody_loses_work():
    result = run(jobs((0, 1000, 16), (0, 500, 8)), Maintenance(300.0, np.inf, 200.0, 1.0))
    # 300 s of the first, a window of 200 s, its other 700 s; then the second.
    assert result.end_s.tolist() == [1200.0, 1700.0]
    assert result.interruptions == {"maintenance": 1}
    assert result.gpus_down().at([299.0, 301.0, 499.0, 501.0]).tolist() == [0, 16, 16, 0]


def test_a_rolling_upgrade_has_one_batch_out_at_a_time_and_visits_every_node_once():
    result = run(jobs((0, 10, 1)), Maintenance(100.0, np.inf, 50.0, 0.25))
    down = result.gpus_down()
    assert down.values.max() == 4
    out = result.node[result.node_change < 0]
    assert sorted(out.tolist()) == list(range(16))
    assert down.integral([0.0, 1e5])[0] == pytest.approx(16 * 50.0)


def test_rounds_come_again():
    result = run(jobs((0, 10, 1)), Maintenance(0.0, 1000.0, 10.0, 1.0), horizon_s=5500.0)
    assert np.count_nonzero(result.node_change < 0) == 16 * 6


def test_a_node_that_has_failed_is_passed_over():
    cost = Reliability(40.0, 5000.0, np.array([100.0]), np.array([0.0]), np.array([0.0]))
    result = run(jobs((0, 2000, 2)), Maintenance(1000.0, 4000.0, 100.0, 0.5), reliability=cost)
    # A node goes down and comes up in turn.
    for node in range(16):
        assert set(np.cumsum(result.node_change[result.node == node])) <= {-1, 0}


@pytest.mark.parametrize(
    "stated", [(-1.0, 1e9, 10.0, 1.0), (0.0, 1e9, 0.0, 1.0), (0.0, 1e9, 10.0, 0.0), (0.0, 15.0, 10.0, 0.5)]
)
def test_rounds_that_make_no_sense_are_refused(stated):
    with pytest.raises(RangeError):
        Maintenance(*stated)


def test_a_plan_with_rolling_upgrades_completes_its_jobs(tmp_path):
    stated = "workload.maintenance={every_days: 60.0, duration_h: 8.0, share_at_once: 0.1}"
    plain, kept = (runs.read(pipeline.run(small(*more), tmp_path / str(len(more)))).kpis for more in ((), (stated,)))
    assert kept["jobs_completed"]["value"] == pytest.approx(plain["jobs_completed"]["value"], rel=0.02)
    assert kept["queue_wait_mean_s"]["value"] > plain["queue_wait_mean_s"]["value"]
    with pytest.raises(InputError, match="is not over when the next begins"):
        pipeline.run(small("workload.maintenance={every_days: 1.0, duration_h: 8.0, share_at_once: 0.1}"), tmp_path)
