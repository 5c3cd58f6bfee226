"""Least-squares Monte Carlo against published and closed values, price paths, and rights on flows."""

import json
import math

import numpy as np
import pytest
from plans import small
from scipy import stats
from test_cli import refused

from dcsim import pipeline, runs
from dcsim.cli import cli
from dcsim.errors import RangeError
from dcsim.finance.cashflow import discount_factors, npv_usd
from dcsim.model.price_path import PricePath
from dcsim.study.options.least_squares import exercised
from dcsim.study.options.of_run import of_run
from dcsim.study.options.real import Flows, abandon, defer, expand, switch, to_come_usd

# F. Longstaff, E. Schwartz (2001), table 1: American puts by finite differences; strike 40, rate 6 %, by price,
# volatility and years.
PUTS = {
    36: (4.478, 4.840, 7.101, 8.508),
    38: (3.250, 3.745, 6.148, 7.670),
    40: (2.314, 2.885, 5.312, 6.920),
    42: (1.617, 2.212, 4.582, 6.248),
    44: (1.110, 1.690, 3.948, 5.647),
}
TERMS = ((0.2, 1), (0.2, 2), (0.4, 1), (0.4, 2))


def american_put(price, volatility, years, n_paths=8000, seed=0):
    growth = math.exp(0.06 - volatility**2 / 2)
    path = PricePath(
        start=price,
        decline_frac_per_year=1 - growth,
        log_sd_per_year=volatility,
        reversion_per_year=0,
        jumps_per_year=0,
    )
    prices = path.sample(n_paths, 50 * years + 1, 1 / 50, seed).price
    return exercised(np.maximum(40 - prices, 0), prices[:, :, None], math.exp(-0.06 / 50), known=True)


def test_american_puts_have_the_published_values():
    gaps = []
    for price, row in PUTS.items():
        for terms, published in zip(TERMS, row, strict=True):
            found = american_put(price, *terms)
            gaps.append(found.value / published - 1)
            assert abs(found.value - published) <= 2.6 * found.error + 0.01 * published, (price, terms, found)
    assert np.mean(np.abs(gaps)) < 0.01
    assert abs(np.mean(gaps)) < 0.005


def test_the_error_is_that_of_repeated_estimates():
    found = [american_put(40, 0.2, 1, n_paths=1000, seed=seed) for seed in range(40)]
    assert np.std([of.value for of in found], ddof=1) == pytest.approx(np.mean([of.error for of in found]), rel=0.35)


def test_paths_that_cannot_be_halved_are_refused():
    with pytest.raises(RangeError, match="multiple of four"):
        exercised(np.ones((6, 3)), np.ones((6, 3, 1)), 1.0, known=True)
    with pytest.raises(RangeError, match="pairs"):
        PricePath().sample(5, 3, 0.1, 0)


def test_a_price_path_has_its_trend_and_the_variance_of_its_swings():
    path = PricePath(
        start=2.0, decline_frac_per_year=0.2, log_sd_per_year=0.3, reversion_per_year=1.5, jumps_per_year=0
    )
    found = path.sample(40_000, 37, 1 / 12, 1)
    years = np.arange(37) / 12
    np.testing.assert_allclose(np.exp(np.log(found.price).mean(axis=0)), 2.0 * 0.8**years)
    variance = 0.09 * -np.expm1(-3.0 * years) / 3.0
    np.testing.assert_allclose(found.swing.var(axis=0), variance, rtol=0.05, atol=1e-12)
    lag = np.corrcoef(found.swing[:, 24], found.swing[:, 36])[0, 1]
    assert lag == pytest.approx(math.exp(-1.5) * math.sqrt(variance[24] / variance[36]), abs=0.02)


def test_jumps_come_at_their_rate_and_leave_the_expected_price():
    found = PricePath(log_sd_per_year=0, jumps_per_year=0.3, jump_frac=0.4).sample(100_000, 61, 1 / 12, 2)
    assert found.price[:, -1].mean() == pytest.approx(1.0, abs=4 * found.price[:, -1].std() / math.sqrt(1e5))
    assert (found.jumps[:, -1] == 0).mean() > math.exp(-0.3 * 5)
    months = (np.diff(found.jumps, axis=1) != 0).mean()
    assert months == pytest.approx(-math.expm1(-0.3 / 12), rel=0.03)


def test_no_jumps_or_no_swings_keep_the_draws_of_the_other():
    both, still, calm = (
        PricePath(**of).sample(100, 13, 1 / 12, 3) for of in ({}, {"jumps_per_year": 0}, {"log_sd_per_year": 0})
    )
    np.testing.assert_array_equal(both.swing, still.swing)
    np.testing.assert_array_equal(both.jumps, calm.jumps)


N = 36
RUN = Flows(np.r_[0.0, np.full(N - 1, 10.0)], np.r_[-250.0, np.full(N - 1, -2.0)])
SURE = PricePath(log_sd_per_year=0, jumps_per_year=0)
RATE = 0.1
D = 1.1 ** (-1 / 12)


def test_flows_to_come_are_what_is_left_of_the_npv():
    run = RUN.on(np.ones((4, N)))
    assert run[0, 0] + to_come_usd(run, RATE)[0, 0] == pytest.approx(npv_usd(run[0], RATE))
    assert (to_come_usd(run, RATE)[:, -1] == 0).all()


@pytest.mark.parametrize("level", [0.0, 100.0, 400.0])
def test_without_uncertainty_rights_are_worth_their_best_month(level):
    paths = SURE.sample(8, N + 12, 1 / 12, 0)
    flows = RUN.revenue_usd + RUN.other_usd
    after = np.array([flows[k + 1 :] @ discount_factors(N + 1, RATE)[1 : N - k] for k in range(N)])
    salvage = level * 0.5 ** (np.arange(N) / 12)
    best = max(0.0, *(D ** np.arange(N) * (salvage - after)))
    stopped = abandon(RUN, paths, salvage, RATE)
    assert stopped.static_npv_usd == pytest.approx(npv_usd(flows, RATE))
    assert stopped.option_usd == pytest.approx(best, abs=1e-9)
    grown = expand(RUN, paths, Flows(RUN.revenue_usd / 2, RUN.other_usd * 0), np.full(N, level), RATE)
    added = np.array([5.0 * discount_factors(N + 1, RATE)[1 : N - k].sum() for k in range(N)])
    assert grown.option_usd == pytest.approx(max(0.0, *(D ** np.arange(N) * (added - level))), abs=1e-9)
    waited = defer(RUN, paths, 12, RATE)
    assert waited.npv_usd == pytest.approx(max(0.0, waited.static_npv_usd), abs=1e-9)
    falling = defer(RUN, paths, 12, RATE, trend=0.5 ** (np.arange(13) / 12))
    assert falling.npv_usd == pytest.approx(waited.npv_usd, abs=1e-9)


def test_stopping_is_switching_to_nothing_for_its_salvage():
    paths = PricePath().sample(400, N, 1 / 12, 0)
    salvage = np.full(N, 120.0)
    nothing = Flows(np.zeros(N), np.zeros(N))
    stopped, switched = abandon(RUN, paths, salvage, RATE), switch(RUN, paths, nothing, -salvage, RATE)
    assert switched.option_usd == pytest.approx(stopped.option_usd, rel=1e-12)
    assert switched.month == stopped.month


def test_growing_at_one_date_is_a_call_on_the_price():
    # One unit sold in month 24, the right to buy it in month 12 alone: Black's formula on the expected price.
    walk = PricePath(log_sd_per_year=0.3, reversion_per_year=0, jumps_per_year=0)
    paths = walk.sample(40_000, 25, 1 / 12, 4)
    unit = Flows(np.r_[np.zeros(24), 1.0], np.zeros(25))
    cost = np.where(np.arange(25) == 12, 0.95, 1e3)
    found = expand(Flows(np.zeros(25), np.zeros(25)), paths, unit, cost, RATE)
    # At month 12 the unit is worth exp(0.09/2 + 0.3 z + 0.09/2) / 1.1.
    mean, strike = math.exp(0.09) / 1.1, 0.95
    d1 = (math.log(mean / strike) + 0.045) / 0.3
    call = (mean * stats.norm.cdf(d1) - strike * stats.norm.cdf(d1 - 0.3)) / 1.1
    assert abs(found.option_usd - call) <= 3 * found.error_usd + 0.002 * call
    assert found.exercised_frac == pytest.approx(stats.norm.cdf(d1 - 0.3), abs=0.03)
    assert found.month == 12


def test_rights_gain_with_the_uncertainty_of_the_price():
    values, added = [], Flows(RUN.revenue_usd, RUN.other_usd * 0.9)
    for sd in (0.0, 0.2, 0.4):
        paths = PricePath(log_sd_per_year=sd, reversion_per_year=0.5, jumps_per_year=0).sample(4000, N + 12, 1 / 12, 5)
        values.append(
            [
                abandon(RUN, paths, np.linspace(200.0, 20.0, N), RATE).option_usd,
                defer(RUN, paths, 12, RATE).option_usd,
                expand(RUN, paths, added, np.full(N, 250.0), RATE).option_usd,
            ]
        )
    assert (np.diff(values, axis=0) > 0).all(), values


def test_a_late_start_needs_a_price_for_its_months():
    with pytest.raises(RangeError, match="price for 48 months, got 36"):
        defer(RUN, SURE.sample(8, N, 1 / 12, 0), 12, RATE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pipeline.run(small(), tmp_path_factory.mktemp("runs"))


def valued(capsys, folder, *words):
    cli(["options", str(folder), "--paths", "400", *words], standalone_mode=False)
    return capsys.readouterr().out


def test_without_uncertainty_the_static_npv_is_the_runs(capsys, folder):
    words = ("--log-sd", "0", "--jumps", "0", "--abandon", "0.9", "--defer", "6", "--json")
    found = json.loads(valued(capsys, folder, *words))
    assert found["run_npv_usd"] == runs.read(folder).kpis["npv_usd"]["value"]
    stopped, waited = found["rights"]
    for right in (stopped, waited):
        assert right["static_npv_usd"] == pytest.approx(found["run_npv_usd"], rel=1e-9)
        assert right["npv_usd"] == pytest.approx(right["static_npv_usd"] + right["option_usd"])
    # A plan that loses money is best not begun.
    assert waited["npv_usd"] == pytest.approx(0.0, abs=1e-3)
    assert stopped["option_usd"] > 0


def test_a_valuation_date_and_real_dollars_value_rights_as_the_run_does(tmp_path):
    sets = ("economics.valuation_date=2025-01-01", "economics.dollars=real")
    run = runs.read(pipeline.run(small(*sets), tmp_path))
    found = of_run(run)
    paths = SURE.sample(4, len(found.by["revenue"]), 1 / 12, 0)
    static = defer(found.flows, paths, 0, run.scenario["economics"]["discount_rate"]).static_npv_usd
    assert static * found.worth_frac == pytest.approx(run.kpis["npv_usd"]["value"], rel=1e-9)


def test_what_was_bought_sells_for_less_every_month(folder):
    found = of_run(runs.read(folder))
    once = found.__class__(found.scenario, found.first_month, {"capex": np.r_[0.0, -100.0, np.zeros(12)]}, 1.0)
    # Epoch's fall of 0.14 powers of ten a year leaves 0.724 after one.
    left = once.salvage_usd(0.5)
    assert left[[0, 1, 13]] == pytest.approx([0.0, 50.0, 36.2], abs=0.03)


def test_rights_of_a_run_are_printed_beside_its_npv(capsys, folder):
    words = ("--abandon", "0.7", "--expand", "0.5", "3e6", "--defer", "6", "--switch", str(folder), "0")
    text = valued(capsys, folder, *words)
    for name in ("abandon", "expand", "defer", "switch", "static NPV", "not risk-neutral"):
        assert name in text
    assert text == valued(capsys, folder, *words)


def test_rights_that_cannot_be_valued_are_refused(tmp_path, folder):
    assert "state a right" in refused(tmp_path, "options", str(folder))
    assert "multiple of four" in refused(tmp_path, "options", str(folder), "--defer", "3", "--paths", "6")
    assert "--jump-frac" in refused(tmp_path, "options", str(folder), "--defer", "3", "--jump-frac", "1")
    own = pipeline.run(small("economics.revenue={kind: none}"), tmp_path)
    assert "sells nothing" in refused(tmp_path, "options", str(own), "--defer", "3")
