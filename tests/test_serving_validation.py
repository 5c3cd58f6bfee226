"""The simulation of services against theory and published sweeps, and the fluid model against the simulation."""

import numpy as np
import pytest

from dcsim.catalog.published_serving import COLUMNS
from dcsim.serving.capacity import Options
from dcsim.serving.demand import Asked, recorded
from dcsim.serving.hours import Hours, backlog, hours
from dcsim.serving.replicas import replica
from dcsim.serving.surface import CHANCES, KNOWN_LOAD, Point, Surface, fixed
from dcsim.validate.common import read as read_cases
from dcsim.validate.inference import ANSWERS, serve
from dcsim.validate.serving import LOGS, day, sweep
from dcsim.workload.requests.arrivals import Poisson
from dcsim.workload.requests.files import read
from dcsim.workload.requests.lengths import Stated

SEVENTY = replica("llama3.1-70b", "h100-sxm-80gb", gpus=2, weights="fp8")
EIGHT = replica("llama3.1-8b", "h100-sxm-80gb")
CHAT = Asked(Poisson(), Stated(1155, 0.96, 211, 0.77, 0.07))


def test_a_service_at_a_fixed_batch_is_as_near_to_the_sweeps_as_the_formula(reference):
    """Every seventh row; `dcsim validate serving` has them all."""
    cases = read_cases(reference("traces/gpu_power/mlenergy_v3_lm-arena-chat.json"))[::7]
    errors = {"ours": [], "formula": []}
    for case in cases:
        given = {name: value for name, value in case.items() if name in COLUMNS}
        ours, formula = sweep(given), serve(given)
        for answer in ANSWERS:
            # Whole batches and whole tokens against their fractions.
            assert ours[answer].value == pytest.approx(formula[answer].value, rel=0.1)
            errors["ours"].append(abs(ours[answer].value / float(case[answer]) - 1))
            errors["formula"].append(abs(formula[answer].value / float(case[answer]) - 1))
    assert len(errors["ours"]) > 80
    assert np.mean(errors["ours"]) < np.mean(errors["formula"]) + 0.005


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "scaled"])
@pytest.mark.parametrize("name", list(LOGS))
def test_a_day_of_a_log_by_the_fluid_is_that_of_the_simulation(reference, name, counted):
    log, _ = read(reference(LOGS[name]))
    n_days, n_tables = (1, 1) if name == "conv" else (3, 1) if counted else (6, 2)
    fluid, simulated, known = day(
        SEVENTY, recorded(log), len(log) / log.span_s, counted=counted, n_days=n_days, n_tables=n_tables
    )
    assert known > 0
    assert fluid["gpu_h"] == pytest.approx(simulated["gpu_h"], rel=0.05)
    assert fluid["ttft_p95_s"] == pytest.approx(simulated["ttft_p95_s"], rel=0.15)
    assert fluid["energy_kwh"] == pytest.approx(simulated["energy_kwh"], rel=0.10)


def flat(seconds, gpus_w=500.0):
    """A table that says the same at every load."""
    one = Point(2.0, 10.0, 0.5, gpus_w, np.full((3, len(CHANCES)), seconds))
    return Surface(np.array([1.0, 8.0]), np.array([0.1, 0.95]), ((one, one), (one, one)), scaled=False)


def test_above_the_known_load_latency_is_not_said():
    most = 10.0
    per_s = np.array([0.0, 5.0, 10.0 * KNOWN_LOAD * 0.999, 10.0 * KNOWN_LOAD * 1.01, 15.0, 5.0, 5.0])
    found = hours(EIGHT, flat(0.3), per_s, np.ones(7), most, 3600.0, queued=True)
    # The sixth hour still works off what the fifth left.
    assert found.known.tolist() == [False, True, True, False, False, False, True]
    assert found.waiting[4] == pytest.approx(5.0 * 3600)
    assert found.waiting[5] == 0.0
    assert found.served_per_s[5] == pytest.approx(10.0)
    assert found.overall_s("ttft", 95.0) == pytest.approx(0.3)


def test_a_service_that_gets_fewer_replicas_than_it_asks_for_says_no_latency():
    one = Point(4.0, 10.0, 0.5, 500.0, np.full((3, len(CHANCES)), 0.3))
    surface = Surface(np.ones(1), np.array([1.0, 50.0]), ((one, one),), scaled=True)
    found = hours(EIGHT, surface, np.array([20.0, 20.0]), np.array([4.0, 3.0]), 10.0, 3600.0)
    assert found.known.tolist() == [True, False]
    assert found.replicas.tolist() == [4.0, 3.0]


def test_work_and_power_follow_what_is_answered():
    """Nobody comes in the third hour, and the replicas work off what waits; in the fourth they idle."""
    most = EIGHT.most_per_s(CHAT.mean, 1024)
    surface = fixed(EIGHT, CHAT, [4], Options(), seed=0)
    per_s = 4 * most * np.array([0.6, 1.6, 0.0, 0.0, 0.6])
    found = hours(EIGHT, surface, per_s, np.full(5, 4.0), most, 3600.0, queued=True)
    assert found.gpus_w[2] > 0.9 * found.gpus_w[0]
    assert found.busy_frac[3] == found.batch[3] == 0.0
    assert found.gpus_w[3] == pytest.approx(4 * EIGHT.idle_w)


def test_requests_that_wait_are_served_later_and_none_is_lost():
    rng = np.random.default_rng(0)
    per_s, most = rng.uniform(0, 10, 1000), rng.uniform(4, 8, 1000)
    waiting, served = backlog(per_s, most, 3600.0)
    assert np.all(waiting >= 0)
    assert np.all(served <= most * (1 + 1e-9))
    assert served.sum() * 3600 + waiting[-1] == pytest.approx(per_s.sum() * 3600, rel=1e-9)


def test_a_percentile_over_hours_is_that_of_their_requests():
    """Two hours, one with three times the requests: the mixture's percentiles, found by drawing from both."""
    rng = np.random.default_rng(1)
    draws = [rng.lognormal(-1, 0.5, 30_000), rng.lognormal(0, 0.7, 10_000)]
    curves = np.array([[np.quantile(d, CHANCES)] * 3 for d in draws])
    each = np.array([3.0, 1.0])
    ones = np.ones(2)
    found = Hours(each, each, 0 * each, 0 * each, ones, 0.5 * ones, ones, ones, ones, curves)
    both = np.concatenate(draws)
    for percentile in (50, 95, 99):
        assert found.overall_s("ttft", percentile) == pytest.approx(np.percentile(both, percentile), rel=0.05)
    assert found.percentile_s("ttft", 95.0) == pytest.approx([np.percentile(d, 95) for d in draws], rel=0.02)


def test_a_year_of_hours_is_read_off_the_table_at_once():
    surface = fixed(EIGHT, CHAT, [2, 6], Options(), seed=0)
    most = EIGHT.most_per_s(CHAT.mean, 1024)
    replicas = np.tile([2.0, 3.0, 6.0], 2920)
    found = hours(EIGHT, surface, 0.6 * most * replicas, replicas, most, 3600.0)
    assert len(found.gpus_w) == 8760
    p95 = found.percentile_s("ttft", 95.0)
    # More replicas at one load wait no longer.
    assert p95[0] >= p95[1] >= p95[2]
    assert np.all(found.load_frac == pytest.approx(0.6))
