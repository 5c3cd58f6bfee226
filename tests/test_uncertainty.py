"""An uncertainty study: its statistics by hand, and a whole study of the small plan, here, cut off and on a cluster."""

import json
import subprocess

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from plans import SMALL
from scipy import stats
from study_engines import DCSIM, PATIENCE_S, Here, cluster, files
from test_cli import refused

from dcsim import runs
from dcsim.catalog.load import catalog
from dcsim.cli import cli
from dcsim.errors import RangeError, UsageError
from dcsim.kpi import BETTER, KPIS
from dcsim.study.uncertainty import statistics
from dcsim.study.uncertainty.asked import asked
from dcsim.units import percent

STATED = """
extends: baseline-10mw-h100
uncertainty:
  seeds: 2
  correlations:
    - {between: [economics.revenue.sold_frac, economics.revenue.monthly_price_factors], r: 0.6}
economics:
  revenue:
    sold_frac: {distribution: beta, mean: 0.8, sd: 0.1}
    monthly_price_factors: {distribution: price_path}
  discount_rate: {distribution: triangular, low: 0.08, mode: 0.1, high: 0.14}
"""
SOLD = "economics.revenue.sold_frac={distribution: beta, mean: 0.8, sd: 0.1}"
SETS = [f"--set={of}" for of in (*SMALL, "workload.jobs.offered_load_frac=0.1")]
ALT = "--alt=fixed price: economics.revenue.monthly_price_factors=[1.0]"


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "plan.yaml").write_text(STATED)
    return "plan.yaml"


def test_percentiles_of_a_known_sample_and_their_intervals_hold_as_often_as_they_say():
    of = statistics.summary(np.append(np.arange(101.0), np.nan))
    assert (of.n, of.n_undefined, of.mean) == (101, 1, 50.0)
    assert of.percentiles == {"p5": 5.0, "p10": 10.0, "p50": 50.0, "p90": 90.0, "p95": 95.0}
    assert of.se == pytest.approx(np.arange(101.0).std(ddof=1) / 101**0.5)
    rng = np.random.default_rng(3)
    inside = dict.fromkeys(of.bounds, 0)
    for _ in range(400):
        bounds = statistics.summary(rng.lognormal(size=200)).bounds
        for name, (low, high) in bounds.items():
            true = stats.lognorm.ppf(statistics.PERCENTILES[name], 1.0)
            inside[name] += low <= true <= high
    # At least the stated level: order statistics are a step apart.
    assert min(inside.values()) >= 0.95 * 400 - 3 * (400 * 0.95 * 0.05) ** 0.5
    few = statistics.summary(np.arange(16.0)).bounds
    assert np.isnan(few["p5"][0])
    assert np.isnan(few["p95"][1])
    assert not np.isnan(few["p50"]).any()
    with pytest.raises(RangeError, match="1 of 2 draws have a value"):
        statistics.summary(np.array([1.0, np.nan]))


def test_the_mean_of_the_worst_counts_a_part_of_the_draw_at_its_edge():
    values = np.array([5.0, -10.0, 0.0, 20.0, np.nan])
    assert statistics.tail_mean(values, 0.25) == -10.0
    # Half of four draws and a half: -10, 0 and half of 5 over 2.5.
    assert statistics.tail_mean(values, 0.625) == pytest.approx((-10.0 + 0.0 + 2.5) / 2.5)
    assert statistics.tail_mean(values, 0.25, worst="high") == 20.0
    normal = stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    assert statistics.tail_mean(normal) == pytest.approx(-stats.norm.pdf(stats.norm.ppf(0.05)) / 0.05, rel=1e-3)


def test_the_chance_of_a_loss_has_wilsons_interval():
    values = np.where(np.arange(200) < 10, -1.0, 1.0)
    assert statistics.loss_frac(values) == 0.05
    low, high = stats.binomtest(10, 200).proportion_ci(method="wilson")
    assert statistics.loss_bounds_frac(values) == pytest.approx((low, high))
    high = stats.binomtest(0, 1000).proportion_ci(method="wilson").high
    assert statistics.loss_bounds_frac(np.ones(1000)) == pytest.approx((0.0, high))


def test_convergence_ends_at_the_whole_sample_and_correlations_are_of_ranks():
    values = np.random.default_rng(1).normal(size=160)
    table = statistics.convergence(values)
    assert table["draws"].tolist() == [10, 20, 40, 80, 160]
    assert table["p50"].iloc[-1] == pytest.approx(np.median(values))
    found = statistics.rank_correlations({"same": np.exp(values), "none": np.ones(160)}, values)
    assert found == {"same": pytest.approx(1.0), "none": 0.0}


def test_regret_is_what_a_brute_force_count_gives():
    table = np.random.default_rng(2).normal(size=(3, 50))
    brute = [np.mean([max(table[:, k]) - table[i, k] for k in range(50)]) for i in range(3)]
    np.testing.assert_allclose(statistics.regret(list(table)), brute)


def test_sides_share_the_draws_of_an_input_whatever_else_they_lack():
    for method in ("latin", "sobol"):
        ask = asked(
            "baseline-10mw-h100",
            (
                *SMALL,
                "economics.revenue.monthly_price_factors={distribution: price_path}",
                "economics.discount_rate={distribution: uniform, low: 0.08, high: 0.14}",
            ),
            ("fixed: economics.revenue.monthly_price_factors=[1.0]",),
            16,
            method,
            None,
            (),
        )
        base, fixed = ask.sides
        assert [of.name for of in fixed.inputs] == ["economics.discount_rate"]
        np.testing.assert_array_equal(base.columns["economics.discount_rate"], fixed.columns["economics.discount_rate"])
        assert ask.valued.isoformat() == "2025-07-01"


def test_a_study_says_what_its_draws_do_and_goes_on_where_it_was_cut_off(tmp_path, plan, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    engine = Here()
    monkeypatch.setattr("dcsim.study.uncertainty.cli.engine_of", lambda where, workers: engine)
    words = ["uncertainty", plan, *SETS, "--draws=16", ALT, "--out=study", "--sobol=2", "--also=moic", "--no-report"]
    cli([*words, "--json"], standalone_mode=False)
    said = json.loads(capsys.readouterr().out)
    folder = tmp_path / "study"
    draws = pd.read_parquet(folder / "draws.parquet")
    assert draws.groupby("side", sort=False).size().to_dict() == {"small": 16, "fixed price": 16}
    own = draws[draws["side"] == "small"].set_index("draw")
    other = draws[draws["side"] == "fixed price"].set_index("draw")
    # What is said is what the draws do.
    side, fixed = said["sides"]
    assert side["p50"] == pytest.approx(own["npv_usd"].median())
    assert side["loss_frac"] == (own["npv_usd"] < 0).mean()
    assert fixed["delta_mean"] == pytest.approx((other["npv_usd"] - own["npv_usd"]).mean())
    assert fixed["better_frac"] == (other["npv_usd"] > own["npv_usd"]).mean()
    best = np.maximum(own["npv_usd"], other["npv_usd"])
    assert side["regret"] == pytest.approx((best - own["npv_usd"]).mean())
    # The same rates in both, so the difference is that of the price alone.
    assert (own["economics.discount_rate"] == other["economics.discount_rate"]).all()
    assert other["economics.revenue.monthly_price_factors"].isna().all()
    corr = stats.spearmanr(own["economics.revenue.sold_frac"], own["economics.revenue.monthly_price_factors"])
    assert corr.statistic > 0.2
    # A draw's run folder is the whole plan of that draw.
    run = said["percentile_runs"]["p50"]
    whole = runs.read(folder / run["folder"])
    row = own.loc[run["draw"]]
    assert whole.kpis["npv_usd"]["value"] == pytest.approx(row["npv_usd"], rel=1e-12)
    assert whole.scenario["economics"]["revenue"]["sold_frac"] == row["economics.revenue.sold_frac"]
    assert whole.scenario["plan"]["seed"] == row["plan.seed"]
    # Every column has a unit and a meaning, every month a row, every file a digest.
    for path in folder.glob("*.parquet"):
        assert all(b"meaning" in field.metadata for field in pq.read_schema(path)), path.name
    monthly = pd.read_parquet(folder / "monthly.parquet")
    assert monthly.groupby(["side", "draw"]).size().nunique() == 1
    swing = pd.read_parquet(folder / "tornado.parquet").query("kpi == 'npv_usd'")["swing"]
    assert swing.is_monotonic_decreasing
    assert len(pd.read_parquet(folder / "sobol.parquet")) == 4
    before = files(folder)
    # Cut off: some results and all tables are gone; the others are not computed again.
    lost = sorted((folder / "results").glob("*.parquet"))[:2]
    for path in [*lost, *folder.glob("*.json"), *folder.glob("*.csv")]:
        path.unlink()
    engine.keys.clear()
    cli(words, standalone_mode=False)
    text = capsys.readouterr().out
    assert {f"{key}.parquet" for key in engine.keys if len(key) == 64} == {path.name for path in lost}
    assert files(folder) == before
    assert said["recommendation"][0] in text
    assert "npv_usd over 16 draws (Latin hypercube, seed 1)" in text
    assert "Sobol plan.seed" in text


def test_on_processes_and_on_a_cluster_a_study_has_the_same_bytes(tmp_path, plan):
    def study(*words):
        command = [DCSIM, "uncertainty", plan, *SETS, "--draws=8", "--no-report", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=4 * PATIENCE_S)

    done = study("--out=two", "--workers=2")
    assert (done.returncode, done.stderr) == (0, "")
    with cluster(tmp_path / "dask") as (address, _):
        done = study(f"--engine=dask://{address}", "--out=cluster")
        assert done.returncode == 0, done.stderr
    found, expected = (
        # What was simulated is kept as objects, which say the same in many ways.
        {name: data for name, data in files(tmp_path / out).items() if not name.startswith("simulated/")}
        for out in ("cluster", "two")
    )
    assert found == expected


def test_a_cost_decides_where_nothing_is_sold_and_less_of_it_is_better(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dcsim.study.uncertainty.cli.engine_of", lambda where, workers: Here())
    rate = "--set=economics.discount_rate={distribution: uniform, low: 0.08, high: 0.14}"
    none = "--set=economics.revenue={kind: none}"
    dear = "--alt=dear: economics.contingency_frac=0.5"
    cli(
        ["uncertainty", "baseline-10mw-h100", *SETS, rate, none, dear, "--draws=8", "--no-report", "--json"],
        standalone_mode=False,
    )
    said = json.loads(capsys.readouterr().out)
    assert said["figure"]["name"] == "cost_usd_per_gpu_h"
    assert said["figure"]["better"] == "less"
    assert said["best"] == "small"
    own, other = said["sides"]
    assert own["loss_frac"] is None
    assert own["cvar5"] >= own["p95"]
    assert other["better_frac"] == 0.0
    assert other["regret"] > own["regret"] == 0.0
    assert said["recommendation"][0].startswith("Keep small: no alternative has a better mean")


def test_every_price_of_the_catalog_may_be_drawn_within_its_range():
    ask = asked("baseline-10mw-h100", (*SMALL, SOLD), (), 16, "latin", None, (), catalog_ranges=True)
    names = [of.name for of in ask.base.inputs]
    assert names[0] == "economics.revenue.sold_frac"
    assert "overrides.servers.hgx-h100-8.price_usd" in names
    assert "overrides.prices.h100-contract.decline_frac_per_year" in names
    for of in ask.base.inputs[1:]:
        row = catalog().row(*of.name.split(".", 3)[1:3], of.name.split(".", 3)[3])
        assert row.low <= ask.base.columns[of.name].min() <= ask.base.columns[of.name].max() <= row.high
        assert of.base == row.value
        assert not of.simulated


def test_every_figure_has_a_better_side_or_none():
    neither = {"it_energy_mwh", "it_peak_frac", "full_after_months", "irr_roots", "loan_usd"}
    assert set(KPIS) - set(BETTER) == neither
    assert set(BETTER) <= set(KPIS)


def test_a_side_that_is_undefined_where_it_does_badly_does_not_win(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dcsim.study.uncertainty.cli.engine_of", lambda where, workers: Here())
    price = "--set=economics.revenue={kind: internal, usd_per_gpu_h: {distribution: uniform, low: 50, high: 80}}"
    dear = "--alt=dear: economics.contingency_frac=1.0"
    words = ["uncertainty", "baseline-10mw-h100", *SETS, price, dear, "--draws=16", "--no-report", "--json"]
    cli([*words, "--figure=discounted_payback_years"], standalone_mode=False)
    said = json.loads(capsys.readouterr().out)
    own, other = said["sides"]
    assert other["n_undefined"] > own["n_undefined"]
    assert said["best"] == "small"
    assert said["figure"]["better"] == "less"
    with pytest.raises(UsageError, match="dscr_min is defined in 0 of 16 draws of small: the scenario states no debt"):
        cli([*words, "--figure=dscr_min", "--out=none"], standalone_mode=False)


def test_names_are_drawn_and_stand_in_the_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dcsim.study.uncertainty.cli.engine_of", lambda where, workers: Here())
    station = "--set=site.weather={distribution: choice, values: [greensboro-nc-tmy3, us-co-denver]}"
    tariff = "--set=site.tariff={distribution: choice, values: [dominion-va-gs3, aep-ohio-data-center]}"
    cli(
        ["uncertainty", "baseline-10mw-h100", *SETS, station, tariff, "--draws=8", "--out=study"], standalone_mode=False
    )
    draws = pd.read_parquet("study/draws.parquet")
    assert set(draws["site.weather"]) == {"greensboro-nc-tmy3", "us-co-denver"}
    assert draws.groupby("site.weather")["pue"].nunique().eq(1).all()
    assert draws["pue"].nunique() == 2
    assert "aep-ohio-data-center" in (tmp_path / "study" / "uncertainty.html").read_text()


def test_what_cannot_be_studied_is_refused(tmp_path, plan):
    words = ("uncertainty", plan, *SETS)
    assert "no input is a distribution" in refused(tmp_path, "uncertainty", "baseline-10mw-h100")
    assert "draw 8 or 16, not 12" in refused(tmp_path, *words, "--draws=12", "--method=sobol")
    assert "powers of two" in refused(tmp_path, *words, "--sobol=12")
    assert "did you mean 'npv_usd'" in refused(tmp_path, *words, "--figure=npv_us")
    assert "did you mean 'moic'" in refused(tmp_path, *words, "--also=moi")
    assert "'name: path=value" in refused(tmp_path, *words, "--alt=fixed")
    assert "two alternatives are called 'a'" in refused(
        tmp_path, *words, "--alt=a: plan.seed=2", "--alt=a: plan.seed=3"
    )
    assert "neither more nor less" in refused(tmp_path, *words, "--figure=loan_usd")
    unknown = "--set=economics.revenue.price_path={distribution: choice, values: [h100-contract, h100-contrac]}"
    assert "draws reach h100-contrac: " in refused(tmp_path, *words, unknown)
    wide = "--set=economics.revenue.sold_frac={distribution: normal, mean: 0.9, sd: 0.2}"
    assert "draws reach 1." in refused(tmp_path, *words, wide)


def test_a_heat_map_is_of_two_uncertain_numbers(tmp_path, plan, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dcsim.study.uncertainty.cli.engine_of", lambda where, workers: Here())
    words = ["uncertainty", plan, *SETS, "--draws=8", "--no-report"]
    with pytest.raises(UsageError, match=r"'plan\.seed' is no uncertain number of this plan; known: economics"):
        cli([*words, "--heat", "plan.seed", "economics.discount_rate"], standalone_mode=False)
    with pytest.raises(UsageError, match="named twice"):
        cli([*words, "--heat", "economics.discount_rate", "economics.discount_rate"], standalone_mode=False)


def test_a_share_next_to_none_or_all_has_a_digit_more():
    shares = [percent(frac) for frac in (0.0, 0.004, 0.3333, 0.9994, 1.0)]
    assert shares == ["0%", "0.4%", "33%", "99.9%", "100%"]
