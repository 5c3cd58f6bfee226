"""The fitter finds what made the data, says how sure it is, and refuses what it cannot know."""

import numpy as np
import pytest
from dcsim.calibration.fit import Prior, log_fit

from dcsim.errors import RangeError

X = np.linspace(1.0, 10.0, 40)


def line(values):
    return values["a"] + values["b"] * X


def test_it_recovers_parameters_from_noisy_data():
    noise = np.random.default_rng(0).normal(0, 0.02, len(X))
    priors = {"a": Prior(1.0, 2.0), "b": Prior(1.0, 2.0)}
    found = log_fit(line, line({"a": 3.0, "b": 0.5}) * np.exp(noise), priors, noise=0.02)
    assert found.values == pytest.approx({"a": 3.0, "b": 0.5}, rel=0.05)
    assert found.scatter == pytest.approx(0.02, rel=0.3)


def test_the_covariance_covers_the_truth():
    # Of 200 fits to other noise, the 80 % interval of b holds the truth in 80 % within the binomial's 3 sigma.
    priors, truth = {"a": Prior(1.0, 2.0), "b": Prior(1.0, 2.0)}, {"a": 3.0, "b": 0.5}
    random, inside = np.random.default_rng(1), 0
    for _ in range(200):
        found = log_fit(line, line(truth) * np.exp(random.normal(0, 0.02, len(X))), priors, noise=0.02)
        inside += abs(np.log(found.values["b"] / 0.5)) < 1.2816 * np.sqrt(found.covariance[1, 1])
    assert abs(inside / 200 - 0.8) < 3 * np.sqrt(0.8 * 0.2 / 200)


def test_an_outlier_moves_little():
    data = line({"a": 3.0, "b": 0.5})
    data[7] *= 3.0
    found = log_fit(line, data, {"a": Prior(1.0, 2.0), "b": Prior(1.0, 2.0)}, noise=0.02)
    assert found.values["a"] == pytest.approx(3.0, rel=0.02)


def test_the_prior_decides_where_data_do_not():
    def flat(values):
        return np.full(4, values["a"] + 0 * values["b"])

    found = log_fit(flat, np.full(4, 2.0), {"a": Prior(1.0, 5.0), "b": Prior(7.0, 0.1)}, noise=0.01)
    assert found.values["b"] == pytest.approx(7.0)
    assert np.sqrt(found.covariance[1, 1]) == pytest.approx(0.1, rel=1e-3)


def test_a_cap_is_kept_and_named():
    found = log_fit(line, line({"a": 3.0, "b": 0.5}), {"a": Prior(1.0, 2.0, 2.0)} | {"b": Prior(1.0, 2.0)}, noise=0.02)
    assert found.values["a"] <= 2.0
    assert found.at_cap == ("a",)


def test_more_parameters_than_half_the_rows_are_refused():
    with pytest.raises(RangeError, match="2 free parameters need 4 measurements, got 3"):
        log_fit(lambda v: np.full(3, v["a"] * v["b"]), np.ones(3), {"a": Prior(1, 1), "b": Prior(1, 1)}, noise=0.1)
