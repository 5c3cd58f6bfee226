"""The synthetic mix: means as published, arrivals by hour and capacity, load as asked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.workload.synthetic import ClassMix, synthetic

DAY = 86_400.0


def mix(name="a", median=3600.0, mean=36_000.0, longest=1e6, limit=1.5, sizes=(8, 64), weights=(0.5, 0.5)):
    return ClassMix(name, 1.0, np.array(sizes), np.array(weights), median, mean, longest, limit)


def draw(*classes, load=0.8, capacity=((0.0, 1000),), profile=None, days=365, seed=1):
    profile = np.ones(24) if profile is None else profile
    return synthetic(
        classes, capacity_gpus=capacity, offered_load_frac=load, hour_profile=profile, horizon_s=days * DAY, seed=seed
    )


@given(st.floats(60, 1e5), st.floats(1, 40), st.floats(1, 50))
def test_the_mean_of_the_cut_lognormal_is_that_of_its_draws(median, ratio, cut):
    part = mix(median=median, mean=median * ratio, longest=median * cut * ratio)
    rng = np.random.default_rng(0)
    draws = np.minimum(rng.lognormal(np.log(median), part.sigma, 200_000), part.run_max_s)
    error = draws.std() / np.sqrt(len(draws))
    assert abs(draws.mean() - part.mean_run_s()) <= 5 * error + 1e-9 * median


def test_median_and_mean_are_the_published_ones():
    jobs = draw(mix(longest=1e12), days=3650)
    assert np.median(jobs.run_s) == pytest.approx(3600, rel=0.05)
    assert jobs.run_s.mean() == pytest.approx(36_000, rel=0.15)


def test_offered_load_is_what_was_asked():
    jobs = draw(mix(), mix("b", sizes=(1, 2), weights=(0.3, 0.7)), days=3650)
    offered = (jobs.gpus * jobs.run_s).sum() / (1000 * 3650 * DAY)
    assert offered == pytest.approx(0.8, rel=0.03)
    shares = [(jobs.gpus * jobs.run_s)[jobs.class_index == i].sum() for i in (0, 1)]
    assert shares[0] == pytest.approx(shares[1], rel=0.06)


def test_demand_follows_capacity():
    jobs = draw(mix(), capacity=((0.0, 1000), (100 * DAY, 3000)), days=200)
    before, after = (jobs.submit_s < 100 * DAY).sum(), (jobs.submit_s >= 100 * DAY).sum()
    assert after / before == pytest.approx(3.0, rel=0.1)
    late = draw(mix(), capacity=((50 * DAY, 1000),), days=100)
    assert late.submit_s.min() >= 50 * DAY


def test_arrivals_follow_the_hour_of_day():
    profile = np.zeros(24)
    profile[9:17] = 1.0
    jobs = draw(mix(), profile=profile)
    hours = (jobs.submit_s % DAY) // 3600
    assert hours.min() == 9
    assert hours.max() == 16
    counts = np.bincount(hours.astype(int), minlength=24)[9:17]
    assert counts.std() < 3 * np.sqrt(counts.mean())


def test_limits_are_never_below_run_times_and_have_their_mean():
    jobs = draw(mix(limit=4.5), days=3650)
    assert (jobs.limit_s >= jobs.run_s).all()
    assert (jobs.limit_s / jobs.run_s).mean() == pytest.approx(4.5, rel=0.03)
    assert (draw(mix(limit=1.0)).limit_s == draw(mix(limit=1.0)).run_s).all()


def test_jobs_are_in_the_order_of_submission_and_numbered():
    jobs = draw(mix(), mix("b"))
    assert (np.diff(jobs.submit_s) >= 0).all()
    assert jobs.job_id.tolist() == list(range(1, len(jobs) + 1))
    assert len(jobs.select(jobs.class_index == 1)) == (jobs.class_index == 1).sum()
