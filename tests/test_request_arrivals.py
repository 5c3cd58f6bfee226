"""When requests come: counts follow the rate, gaps vary as stated, and the calendar shapes the rate."""

import math
from datetime import date

import numpy as np
import pytest
from scipy.stats import kstest

from dcsim.errors import RangeError
from dcsim.rng import stream
from dcsim.workload.requests.arrivals import Bursty, Poisson, Recorded, arrivals, hourly_rate_per_s
from dcsim.workload.requests.files import read
from dcsim.workload.requests.requests import dispersion, statistics

GAPS = np.random.default_rng(5).pareto(1.5, 5000)
PROCESSES = {
    "poisson": Poisson(),
    "recorded": Recorded(GAPS),
    "bursty": Bursty(5.0, 10.0),
    "long bursts": Bursty(13.0, 300.0),
    "short bursts": Bursty(1.2, 0.01),
    "gamma": Bursty(0.4),
    "beat": Bursty(0.0),
}


def cv(times_s):
    gaps = np.diff(times_s)
    return gaps.std() / gaps.mean()


def mean_and_error(values):
    return float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))


@pytest.mark.parametrize("name", PROCESSES)
def test_as_many_come_as_the_rate_says(name):
    counts = [len(arrivals(PROCESSES[name], [0.0, 300.0], [2.0], seed, "chat")) for seed in range(600)]
    mean, error = mean_and_error(counts)
    assert mean == pytest.approx(600.0, abs=4 * error + 1e-9)


@pytest.mark.parametrize("name", PROCESSES)
def test_no_hour_is_favoured(name):
    # Processes begin in a random state, so that the first interval gets its share too.
    edges_s, rates = np.array([0.0, 10.0, 20.0, 300.0]), np.array([3.0, 0.0, 1.0])
    times = [arrivals(PROCESSES[name], edges_s, rates, seed, "chat") for seed in range(600)]
    for k, rate in enumerate(rates):
        counts = [np.sum((of >= edges_s[k]) & (of < edges_s[k + 1])) for of in times]
        mean, error = mean_and_error(counts)
        assert mean == pytest.approx(rate * (edges_s[k + 1] - edges_s[k]), abs=4 * error + 1e-9)


@pytest.mark.parametrize("name", PROCESSES)
def test_times_rise_within_the_edges(name):
    times_s = arrivals(PROCESSES[name], [100.0, 200.0, 400.0], [1.0, 5.0], 0, "chat")
    assert (np.diff(times_s) >= 0).all()
    assert times_s[0] >= 100.0
    assert times_s[-1] <= 400.0


@pytest.mark.parametrize("name", PROCESSES)
def test_draws_follow_seed_and_name(name):
    base = arrivals(PROCESSES[name], [0.0, 300.0], [2.0], 0, "chat")
    assert np.array_equal(base, arrivals(PROCESSES[name], [0.0, 300.0], [2.0], 0, "chat"))
    assert not np.array_equal(base, arrivals(PROCESSES[name], [0.0, 300.0], [2.0], 1, "chat"))
    assert not np.array_equal(base, arrivals(PROCESSES[name], [0.0, 300.0], [2.0], 0, "code"))


def test_poisson_gaps_are_exponential():
    gaps = np.diff(arrivals(Poisson(), [0.0, 10_000.0], [2.0], 0, "chat"))
    assert kstest(gaps, "expon", args=(0, 0.5)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("gap_cv", "burst_s"), [(1.5, 1.0), (3.0, 10.0), (3.0, 0.1), (13.0, 5.0), (0.4, 1.0), (1.0, 1.0)]
)
def test_bursty_gaps_vary_as_stated(gap_cv, burst_s):
    # The variance of gaps is a ratio of sums over many runs, which has no bias worth the name at this length.
    squares = []
    for seed in range(40):
        gaps = np.diff(arrivals(Bursty(gap_cv, burst_s), [0.0, 20_000.0], [2.0], seed, "chat"))
        squares.append(((2.0 * gaps) ** 2).sum() / 40_000)
    mean, error = mean_and_error(squares)
    assert mean - 1.0 == pytest.approx(gap_cv**2, abs=4 * error)


def test_interrupted_process_has_the_moments_of_its_rates():
    on_rate, off, on = Bursty(6.0, 20.0).rates(2.0)
    assert on_rate * on / (off + on) == pytest.approx(1.0)
    assert 1.0 + 2.0 * on_rate * off / (off + on) ** 2 == pytest.approx(36.0)
    assert off == pytest.approx(1 / 40)
    with pytest.raises(RangeError, match="more than 1"):
        Bursty(0.5).rates(2.0)


def test_bursts_last_as_long_as_stated():
    # Gaps while off are far longer than while on here, so a burst ends at the first gap of more than 5 s.
    of = Bursty(20.0, 30.0)
    on_rate, _, _ = of.rates(1.0)
    times_s = arrivals(of, [0.0, 400_000.0], [1.0], 0, "chat")
    cut = np.flatnonzero(np.diff(times_s) > 5.0)
    lengths_s = times_s[cut[1:]] - times_s[cut[:-1] + 1]
    mean_s, error_s = mean_and_error(lengths_s)
    # The first and last request of a burst lie inside it, by one gap between requests in all.
    assert mean_s == pytest.approx(30.0 - 1 / on_rate, abs=4 * error_s + 1.0)


def test_gaps_resampled_in_blocks_keep_their_variation(reference):
    # Real trace with gap CV 13.2 and an index of dispersion of 13.2 in a second: single gaps would lose the latter.
    requests, _ = read(reference("traces/llm_serving/AzureLLMInferenceTrace_code.csv.gz"))
    real = statistics(requests)
    gaps = np.diff(requests.arrival_s)
    edges_s, rate = [0.0, requests.span_s], [real["rate_per_s"]]
    drawn = [arrivals(Recorded(gaps), edges_s, rate, seed, "code") for seed in range(40)]
    for found, key in ((cv, "gap_cv"), (lambda of: dispersion(of, 1.0), "dispersion_1s")):
        values = [found(of) for of in drawn]
        # One hour differs from another by this much; the real one is one of them.
        assert real[key] == pytest.approx(np.mean(values), abs=2 * np.std(values))
        assert np.mean(values) == pytest.approx(real[key], rel=0.1)
    singly = [dispersion(arrivals(Recorded(gaps, 1), edges_s, rate, seed, "code"), 1.0) for seed in range(10)]
    assert np.mean(singly) < 0.8 * real["dispersion_1s"]


def test_recorded_gaps_come_in_recorded_order():
    # Gaps that rise by one each: neighbours in a block differ by one of 999 steps of the mean.
    gaps = np.arange(1.0, 1000.0)
    found = np.diff(Recorded(gaps, 50).points(5000.0, 1.0, stream(0, "test"))) * gaps.mean()
    assert np.mean(np.isclose(np.diff(found), 1.0)) > 0.97


@pytest.mark.parametrize(
    "make",
    [
        lambda: Bursty(-0.1),
        lambda: Bursty(math.nan),
        lambda: Bursty(2.0, 0.0),
        lambda: Recorded(np.array([])),
        lambda: Recorded(np.zeros(3)),
        lambda: Recorded(np.array([1.0, -1.0])),
        lambda: Recorded(np.ones(3), 4),
        lambda: arrivals(Poisson(), [0.0, 1.0], [1.0, 2.0], 0, "chat"),
        lambda: arrivals(Poisson(), [0.0, 0.0], [1.0], 0, "chat"),
        lambda: arrivals(Poisson(), [0.0, 1.0], [-1.0], 0, "chat"),
        lambda: hourly_rate_per_s("2027-01-01", 1, -1.0),
        lambda: hourly_rate_per_s("2027-01-01", -1, 1.0),
        lambda: hourly_rate_per_s("soon", 1, 1.0),
        lambda: hourly_rate_per_s("2027-01-01T00:00Z", 1, 1.0),
        lambda: hourly_rate_per_s("2027-01-01", 1, 1.0, hour_profile=[1.0] * 23),
        lambda: hourly_rate_per_s("2027-01-01", 1, 1.0, day_profile=[0.0] * 7),
        lambda: hourly_rate_per_s("2027-01-01", 1, 1.0, seasons=[-1.0] + [1.0] * 11),
        lambda: hourly_rate_per_s("2027-01-01", 1, 1.0, growth_frac_per_month=-1.0),
        lambda: hourly_rate_per_s("2027-01-01", 1, 1.0, steps=[("2027-02-01", -2.0)]),
    ],
)
def test_figures_outside_their_range_are_refused(make):
    with pytest.raises(RangeError):
        make()


def test_no_rate_brings_no_requests():
    assert len(arrivals(Bursty(5.0), [0.0, 10.0], [0.0], 0, "chat")) == 0


def test_profiles_shape_the_rate_and_leave_its_mean():
    # 2027 begins on a Friday and has 52 weeks and a day.
    rate = hourly_rate_per_s(
        date(2027, 1, 1),
        8736,
        10.0,
        hour_profile=range(24),
        day_profile=[2, 2, 2, 2, 2, 1, 1],
        seasons=[3] * 6 + [3] * 6,
    )
    assert rate.mean() == pytest.approx(10.0)
    assert rate[24 * 2 + 23] == pytest.approx(10 * 23 / 11.5 * 7 / 12)  # Sunday at 23 h
    assert rate[24 * 3 + 23] == pytest.approx(10 * 23 / 11.5 * 14 / 12)  # Monday at 23 h


def test_seasons_follow_the_month():
    rate = hourly_rate_per_s("2027-01-31", 48, 1.0, seasons=[2.0, 1.0] + [0.9] * 10)
    assert rate[0] == rate[23] == pytest.approx(2.0)
    assert rate[24] == pytest.approx(1.0)


def test_growth_compounds_over_a_year():
    rate = hourly_rate_per_s("2027-01-01", 8761, 1.0, growth_frac_per_month=0.05)
    assert rate[8760] / rate[0] == pytest.approx(1.05**12)
    assert rate[730] == pytest.approx(1.05)


def test_steps_last_and_multiply():
    rate = hourly_rate_per_s("2027-01-01", 72, 1.0, steps=[("2027-01-02 12:00", 2.0), (date(2027, 1, 3), 1.5)])
    assert rate[35] == 1.0
    assert rate[36] == rate[47] == 2.0
    assert rate[48] == rate[71] == 3.0
