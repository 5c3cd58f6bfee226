"""Lengths of prompts and answers: their means, variation and correlation survive the draw."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from dcsim.errors import RangeError
from dcsim.workload.requests.lengths import Recorded, Stated

N = 200_000


@pytest.mark.parametrize(
    ("mean", "cv"), [(1.0, 1.0), (2.0, 1.0), (20.5, 0.0), (25.0, 10.0), (211.0, 0.77), (2048.0, 2.0)]
)
def test_stated_means_are_kept(mean, cv):
    of = Stated(mean, cv, mean, cv)
    for tokens in of.draw(N, 0, "chat"):
        assert tokens.dtype == np.int64
        assert tokens.min() >= 1
        assert tokens.mean() == pytest.approx(mean, abs=4 * tokens.std() / math.sqrt(N) + 1e-9)
    assert (of.mean_prompt, of.mean_output) == (mean, mean)


def test_stated_variation_is_kept():
    prompt, _ = Stated(1155.0, 0.96, 211.0, 0.77).draw(N, 0, "chat")
    groups = prompt.reshape(100, -1)
    cvs = groups.std(axis=1) / groups.mean(axis=1)
    assert cvs.mean() == pytest.approx(0.96, abs=4 * cvs.std() / 10 + 0.005)


@pytest.mark.parametrize("rank", [-1.0, -0.4, 0.0, 0.07, 0.7, 1.0])
def test_stated_rank_correlation_is_kept(rank):
    found = spearmanr(*Stated(1155.0, 0.96, 211.0, 0.77, rank).draw(N, 3, "chat")).statistic
    # Standard error of Spearman's correlation is about 1.06 (1 - r^2) / sqrt(n); ties of whole tokens take 0.001.
    assert found == pytest.approx(rank, abs=4 * 1.06 * (1 - rank**2) / math.sqrt(N) + 1e-3)


def test_the_first_requests_are_the_same_however_many_are_drawn():
    of = Stated(100.0, 1.0, 50.0, 1.0, 0.5)
    few, many = of.draw(10, 0, "chat"), of.draw(1000, 0, "chat")
    for a, b in zip(few, many, strict=True):
        assert np.array_equal(a, b[:10])


def test_draws_follow_seed_and_name():
    of = Stated(100.0, 1.0, 50.0, 1.0)
    base = of.draw(100, 0, "chat")[0]
    assert np.array_equal(base, of.draw(100, 0, "chat")[0])
    assert not np.array_equal(base, of.draw(100, 1, "chat")[0])
    assert not np.array_equal(base, of.draw(100, 0, "code")[0])


def test_recorded_lengths_are_drawn_in_pairs():
    prompt = np.arange(1, 501)
    of = Recorded(prompt, 1000 - prompt)
    drawn, answer = of.draw(20_000, 0, "chat")
    assert (drawn + answer == 1000).all()
    assert drawn.mean() == pytest.approx(of.mean_prompt, abs=4 * prompt.std() / math.sqrt(20_000))
    assert of.mean_output == 1000 - of.mean_prompt


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ((0.5, 1.0, 10.0, 1.0), "prompt_mean"),
        ((10.0, -1.0, 10.0, 1.0), "prompt_cv"),
        ((10.0, 1.0, math.nan, 1.0), "output_mean"),
        ((10.0, 1.0, 10.0, math.inf), "output_cv"),
        ((10.0, 1.0, 10.0, 1.0, 1.1), "correlation"),
    ],
)
def test_stated_lengths_outside_their_range_are_refused(stated, said):
    with pytest.raises(RangeError, match=said):
        Stated(*stated)


@pytest.mark.parametrize(
    ("prompt", "output"), [(np.array([1, 2]), np.array([1])), (np.array([], int),) * 2, (np.array([1]), np.array([0]))]
)
def test_recorded_lengths_that_are_none_are_refused(prompt, output):
    with pytest.raises(RangeError):
        Recorded(prompt, output)
