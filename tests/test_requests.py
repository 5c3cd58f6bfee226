"""Requests as columns: what is refused, kept, scaled and counted."""

import math

import numpy as np
import pytest

from dcsim.errors import RangeError
from dcsim.workload.requests.requests import Requests, dispersion, scaled, statistics


def ints(*of):
    return np.array(of, dtype=np.int64)


def requests(**other):
    columns = {
        "arrival_s": np.array([0.0, 1.0, 1.0, 4.0]),
        "prompt": ints(1024, 600, 512, 1100),
        "output": ints(5, 1, 9, 2),
        "blocks": ints(0, 1, 0, 2, 7, 0, 1, 3),
        "block_starts": ints(0, 2, 4, 5, 8),
    }
    return Requests(**{**columns, **other})


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"arrival_s": np.array([0.0, 2.0, 1.0, 4.0])}, r"arrival_s\[2\]: 1.0 s comes after 2.0 s"),
        ({"arrival_s": np.array([-1.0, 2.0, 3.0, 4.0])}, "from 0 on"),
        ({"arrival_s": np.array([0.0, 1.0, 2.0, np.nan])}, "finite"),
        ({"prompt": ints(1, 2, 3)}, "prompt: shape"),
        ({"output": ints(1, 0, 3, 4)}, r"output\[1\]: 0 tokens is below 1"),
        ({"output": np.array([1.0, 2.0, 3.0, 4.0])}, "whole number"),
        ({"blocks": None}, "belong together"),
        ({"block_starts": ints(0, 2, 4, 8)}, "need 5 bounds"),
        ({"block_starts": ints(0, 2, 4, 5, 7)}, "rise from 0 to the 8"),
        ({"block_starts": ints(0, 5, 4, 5, 8)}, "rise from 0 to the 8"),
        ({"block_tokens": 0}, "block_tokens"),
    ],
)
def test_columns_that_are_no_requests_are_refused(other, said):
    with pytest.raises(RangeError, match=said):
        requests(**other)


@pytest.mark.parametrize("which", [np.array([True, False, True, True]), np.array([0, 2, 3]), ints(0, 2, 3)])
def test_selected_requests_keep_their_blocks(which):
    some = requests().select(which)
    assert some.arrival_s.tolist() == [0.0, 1.0, 4.0]
    assert some.prompt.tolist() == [1024, 512, 1100]
    assert some.blocks.tolist() == [0, 1, 7, 0, 1, 3]
    assert some.block_starts.tolist() == [0, 2, 3, 6]


def test_selecting_out_of_order_or_by_a_short_mask_is_refused():
    with pytest.raises(RangeError, match="sort by time"):
        requests().select(ints(3, 0))
    with pytest.raises(RangeError, match="mask"):
        requests().select(np.array([True]))


def test_none_can_be_selected():
    none = requests().select(slice(0, 0))
    assert len(none) == 0
    assert none.span_s == 0.0
    assert math.isnan(statistics(none)["rate_per_s"])


def test_scaling_the_rate_keeps_the_variation_of_gaps():
    draws = np.random.default_rng(1)
    n = 1000
    of = Requests(np.cumsum(draws.pareto(1.5, n)), draws.integers(1, 9, n), draws.integers(1, 9, n))
    fast = scaled(of, rate=3.0)
    assert statistics(fast)["rate_per_s"] == pytest.approx(3 * statistics(of)["rate_per_s"])
    assert statistics(fast)["gap_cv"] == pytest.approx(statistics(of)["gap_cv"])
    assert scaled(of, time=2.0).span_s == pytest.approx(2 * of.span_s)


def test_scaled_lengths_stay_whole_and_at_least_one():
    of = scaled(requests(), output=0.3)
    assert of.output.tolist() == [2, 1, 3, 1]
    assert of.blocks is not None
    assert scaled(requests(), prompt=2.0).prompt.tolist() == [2048, 1200, 1024, 2200]


def test_blocks_of_a_scaled_prompt_are_unknown():
    assert scaled(requests(), prompt=2.0).blocks is None


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_factors_must_be_above_zero(factor):
    with pytest.raises(RangeError, match="rate"):
        scaled(requests(), rate=factor)


def test_shareable_prefix_counts_tokens_of_blocks_seen_before():
    # Second request: block 0 again, 512 of its 600 tokens. Fourth: blocks 0 and 1 again, 1024 of its 1100.
    assert statistics(requests())["shareable_prefix_frac"] == pytest.approx((512 + 1024) / (1024 + 600 + 512 + 1100))
    assert "shareable_prefix_frac" not in statistics(requests(blocks=None, block_starts=None))


def test_a_last_block_counts_what_is_left_of_the_prompt():
    of = Requests(np.array([0.0, 1.0]), ints(600, 600), ints(1, 1), ints(0, 1, 0, 1), ints(0, 2, 4))
    assert statistics(of)["shareable_prefix_frac"] == 0.5


def test_worked_figures():
    of = statistics(requests())
    assert (of["n"], of["span_s"], of["rate_per_s"]) == (4, 4.0, 0.75)
    # Gaps 1, 0, 3: mean 4/3, variance 14/9.
    assert of["gap_cv"] == pytest.approx(math.sqrt(14 / 9) / (4 / 3))
    # Counts 1, 2, 0, 0 in the four whole seconds.
    assert of["dispersion_1s"] == pytest.approx(0.6875 / 0.75)
    assert math.isnan(of["dispersion_60s"])
    assert of["output_mean_tokens"] == 4.25
    assert of["output_p50_tokens"] == 3.5
    # Ranks 3, 2, 1, 4 and 3, 1, 4, 2: 1 - 6 (0 + 1 + 9 + 4) / (4 x 15).
    assert of["length_rank_correlation"] == pytest.approx(1 - 6 * 14 / 60)


def test_a_beat_has_no_dispersion():
    assert dispersion(np.arange(0.05, 100, 0.1), 1.0) == pytest.approx(0.0, abs=1e-9)
