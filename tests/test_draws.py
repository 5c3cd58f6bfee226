"""Distributions, their samples, and how inputs hang together."""

import math

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from dcsim.errors import RangeError, UsageError
from dcsim.model.distributions import (
    Beta,
    Discrete,
    Distribution,
    Empirical,
    Lognormal,
    Normal,
    Pert,
    Triangular,
    Uniform,
)
from dcsim.study.draws.correlation import correlation_matrix, factor
from dcsim.study.draws.sample import sample

# kind: (distribution, mean, standard deviation, median), by the textbook's formulas.
KINDS = {
    "normal": (Normal(mean=3.0, sd=2.0), 3.0, 2.0, 3.0),
    "lognormal": (
        Lognormal(median=2.0, log_sd=0.5),
        2.0 * math.exp(0.125),
        2.0 * math.exp(0.125) * math.sqrt(math.expm1(0.25)),
        2.0,
    ),
    "triangular": (
        Triangular(low=12.0, mode=20.0, high=30.0),
        62.0 / 3.0,
        math.sqrt((144.0 + 400.0 + 900.0 - 240.0 - 360.0 - 600.0) / 18.0),
        30.0 - math.sqrt(18.0 * 10.0 / 2.0),
    ),
    # A PERT of 9.3, 11.7 and 15 is a beta of 1 + 4 x 24/57 and 1 + 4 x 33/57.
    "pert": (
        Pert(low=9.3, mode=11.7, high=15.0),
        (9.3 + 4 * 11.7 + 15.0) / 6.0,
        math.sqrt((71.1 / 6 - 9.3) * (15.0 - 71.1 / 6) / 7.0),
        9.3 + 5.7 * stats.beta.median(1 + 96 / 57, 1 + 132 / 57),
    ),
    "beta": (Beta(mean=0.8, sd=0.1), 0.8, 0.1, stats.beta.median(0.8 * 15, 0.2 * 15)),
    "uniform": (Uniform(low=-1.0, high=3.0), 1.0, 4.0 / math.sqrt(12.0), 1.0),
    "discrete": (Discrete(values=(3, 4, 5, 6), weights=(0.15, 0.3, 0.35, 0.2)), 4.6, math.sqrt(0.94), 5.0),
    # Straight lines between 0, 1 and 4 are half a uniform from 0 to 1 and half one from 1 to 4.
    "empirical": (Empirical(values=(4.0, 0.0, 1.0)), 1.5, math.sqrt(0.5 * (1 / 3 + 7.0) - 2.25), 1.0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_moments_and_median_are_the_textbooks(kind):
    of, mean, sd, median = KINDS[kind]
    values = of.ppf((np.arange(200_000) + 0.5) / 200_000)
    assert values.mean() == pytest.approx(mean, rel=1e-4)
    assert values.std() == pytest.approx(sd, rel=2e-3)
    assert of.ppf(0.5) == pytest.approx(median)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["latin", "sobol"])
def test_a_sample_has_the_quantiles_of_its_distribution(kind, method):
    of = KINDS[kind][0]
    drawn = sample({"x": of}, 4096, 7, method=method)["x"]
    ends = of.ppf(np.arange(4097) / 4096)
    assert ((np.sort(drawn) >= ends[:-1]) & (np.sort(drawn) <= ends[1:])).all()
    assert drawn.mean() == pytest.approx(KINDS[kind][1], rel=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_distribution_is_read_by_its_kind(kind):
    of = KINDS[kind][0]
    assert TypeAdapter(Distribution).validate_python(of.model_dump(mode="json")) == of


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"distribution": "normal", "mean": 0, "sd": 0}, "greater than 0"),
        ({"distribution": "uniform", "low": 2, "high": 1}, "low 2 must be below high 1"),
        ({"distribution": "triangular", "low": 0, "mode": 3, "high": 1}, "mode 3 must be from low 0 to high 1"),
        ({"distribution": "beta", "mean": 0.5, "sd": 0.5}, "sd 0.5 must be below 0.5"),
        ({"distribution": "beta", "mean": 1.5, "sd": 0.1}, "mean 1.5 must be above low 0"),
        ({"distribution": "discrete", "values": [1, 1]}, "values must ascend"),
        ({"distribution": "discrete", "values": [1, 2], "weights": [1]}, "1 weights for 2 values"),
        ({"distribution": "empirical", "values": [1]}, "at least 2 items"),
        ({"distribution": "lognormal", "median": float("nan"), "log_sd": 1}, "finite number"),
    ],
)
def test_what_is_no_distribution_is_refused(stated, said):
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(Distribution).validate_python(stated)


THREE = {"a": Normal(mean=0, sd=1), "b": Lognormal(median=1, log_sd=0.3), "c": Uniform(low=0, high=1)}


@pytest.mark.parametrize("method", ["latin", "sobol"])
@pytest.mark.parametrize("rho", [-0.9, 0.5, 1.0])
def test_a_stated_correlation_is_found_in_the_sample(method, rho):
    drawn = sample(THREE, 8192, 3, correlations={("a", "b"): rho}, method=method)
    scores = np.corrcoef(drawn["a"], np.log(drawn["b"]))[0, 1]
    assert scores == pytest.approx(rho, abs=4 * (1 - rho**2) / math.sqrt(8192) + 1e-9)
    ranks = stats.spearmanr(drawn["a"], drawn["b"]).statistic
    assert ranks == pytest.approx(6 / math.pi * math.asin(rho / 2), abs=0.02)
    assert abs(np.corrcoef(drawn["a"], drawn["c"])[0, 1]) < 4 / math.sqrt(8192)


@pytest.mark.parametrize("method", ["latin", "sobol"])
def test_the_same_seed_gives_the_same_draws_and_another_others(method):
    first, again, other = (sample(THREE, 64, seed, method=method) for seed in (0, 0, 1))
    for name in THREE:
        np.testing.assert_array_equal(first[name], again[name])
        assert (first[name] != other[name]).all()


def test_adding_an_input_keeps_other_draws():
    correlations = {("a", "b"): 0.5}
    before = sample(THREE, 64, 5, correlations=correlations)
    grown = {"new": Normal(mean=0, sd=1), "a": THREE["a"], "later": Uniform(low=0, high=9), "b": THREE["b"]}
    after = sample({**grown, "c": THREE["c"]}, 64, 5, correlations=correlations)
    for name in THREE:
        np.testing.assert_array_equal(before[name], after[name])
    before = sample(THREE, 64, 5, method="sobol")
    after = sample({**THREE, "new": Normal(mean=0, sd=1)}, 64, 5, method="sobol")
    for name in THREE:
        np.testing.assert_array_equal(before[name], after[name])


def test_a_correlation_leaves_distributions_and_others_alone():
    free = sample(THREE, 512, 5)
    tied = sample(THREE, 512, 5, correlations={("a", "b"): 0.7})
    for name in ("a", "c"):
        np.testing.assert_array_equal(free[name], tied[name])
    assert stats.kstest(np.log(tied["b"]) / 0.3, "norm").pvalue > 0.01


def test_a_latin_hypercube_has_one_draw_in_each_stratum_and_sobol_points_are_a_net():
    shares = {name: Uniform(low=0, high=1) for name in "ab"}
    for method in ("latin", "sobol"):
        for of in sample(shares, 256, 1, method=method).values():
            assert sorted((of * 256).astype(int)) == list(range(256))
    points = sample(shares, 256, 1, method="sobol")
    cells = (points["a"] * 16).astype(int) * 16 + (points["b"] * 16).astype(int)
    assert sorted(cells) == list(range(256))


def test_correlations_that_contradict_each_other_are_refused_with_the_way_out():
    pairs = {("a", "b"): 0.9, ("b", "c"): 0.9, ("a", "c"): -0.9}
    with pytest.raises(RangeError, match=r"multiply all of them by at most 0\.555") as refusal:
        correlation_matrix("abc", pairs)
    scale = float(str(refusal.value).split("at most ")[1].split(",")[0])
    matrix = correlation_matrix("abc", {pair: scale * of for pair, of in pairs.items()})
    np.testing.assert_allclose(factor(matrix) @ factor(matrix).T, matrix, atol=1e-9)


def test_correlations_of_unknown_inputs_or_out_of_range_are_refused():
    with pytest.raises(UsageError, match="did you mean 'price'"):
        correlation_matrix(["price", "life"], {("prise", "life"): 0.5})
    with pytest.raises(UsageError, match="both ways"):
        correlation_matrix("ab", {("a", "b"): 0.5, ("b", "a"): 0.5})
    with pytest.raises(UsageError, match="itself"):
        correlation_matrix("ab", {("a", "a"): 0.5})
    with pytest.raises(RangeError, match="-1 to 1"):
        correlation_matrix("ab", {("a", "b"): 1.5})


def test_a_sample_out_of_range_is_refused():
    with pytest.raises(RangeError, match="at least one"):
        sample(THREE, 0, 1)
    with pytest.raises(RangeError, match="draw 64 or 128, not 100"):
        sample(THREE, 100, 1, method="sobol")
    assert sample({}, 8, 1, method="sobol") == {}
