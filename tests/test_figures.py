"""Rows of inputs have the key figures of whole runs, and nothing is simulated or computed twice."""

import numpy as np
import pandas as pd
import pytest
from plans import small
from study_engines import Here

from dcsim import costing, pipeline
from dcsim.errors import InputError, UsageError
from dcsim.study.figures import evaluate, tasks
from dcsim.study.figures.evaluate import EvaluationError, evaluator
from dcsim.study.figures.inputs import CALIBRATION, TREND, check_ends, inputs_of
from dcsim.study.figures.tasks import compute, scenario_of
from dcsim.study.figures.touched import MONEY_PARAMETERS, touches_simulation

SOLD = "economics.revenue.sold_frac={distribution: beta, mean: 0.8, sd: 0.1}"
PATH = "economics.revenue.monthly_price_factors={distribution: price_path}"
MARGIN = "site.design_margin_k={distribution: discrete, values: [0, 3]}"
LOW = "workload.jobs.offered_load_frac=0.1"
NAMES = ("npv_usd", "cost_usd_per_gpu_h", "pue", "irr_after_tax_frac")


@pytest.fixture
def counted(monkeypatch):
    """Number of simulations so far."""
    found = []
    whole = costing.happened
    monkeypatch.setattr(costing, "happened", lambda ready: found.append(ready) or whole(ready))
    monkeypatch.setattr(tasks, "_last", {})
    return found


def of(loaded, folder, n=8, engine=None):
    return evaluator(loaded, inputs_of(loaded, n), NAMES, engine or Here(), folder)


def columns(found, n=8):
    rng = np.random.default_rng(7)
    return {one.name: one.ppf(rng.uniform(size=n)) for one in found.inputs}


def test_a_row_has_the_figures_of_a_whole_run_and_each_simulation_runs_once(tmp_path, counted):
    loaded = small(SOLD, PATH, MARGIN, LOW)
    found = of(loaded, tmp_path)
    rows = columns(found)
    result = found.rows(rows)
    assert len(counted) == len(set(rows["site.design_margin_k"])) == 2
    for row in (0, 5):
        stated = scenario_of(loaded, found.inputs, [rows[one.name][row] for one in found.inputs])
        assert stated.scenario.economics.revenue.sold_frac == rows["economics.revenue.sold_frac"][row]
        kpis, tables = pipeline.answered(pipeline.prepare(stated))
        for name in NAMES[:3]:
            assert result.figures[name][row] == pytest.approx(kpis[name]["value"], rel=1e-12)
        ledger = tables["ledger"]
        cash = ledger.loc[~ledger["category"].isin(("tax", "debt")), "amount_usd"].sum()
        assert result.flows_usd[row].sum() == pytest.approx(cash)
    assert np.isnan(result.figures["irr_after_tax_frac"]).all()
    assert "states no income tax" in result.reasons["irr_after_tax_frac"]


def test_what_is_finished_is_not_computed_again_and_a_failure_keeps_the_rest(tmp_path):
    loaded = small(SOLD, MARGIN, LOW)
    bad = of(loaded, tmp_path, engine=Here(compute, 1))
    rows = columns(bad)
    with pytest.raises(EvaluationError, match=r"1 of 2 tasks failed, the others are finished and kept:\n  its worker"):
        bad.rows(rows)
    engine = Here()
    whole = of(loaded, tmp_path, engine=engine).rows(rows)
    assert len(engine.keys) == 1
    again = of(loaded, tmp_path, engine=engine).rows(rows)
    assert len(engine.keys) == 1
    np.testing.assert_array_equal(whole.figures["npv_usd"], again.figures["npv_usd"])


def test_tasks_are_cut_by_rows_where_few_simulations_share_many(tmp_path, monkeypatch, counted):
    monkeypatch.setattr(evaluate, "ROWS_A_TASK", 3)
    engine = Here()
    loaded = small(SOLD, LOW)
    found = of(loaded, tmp_path, engine=engine)
    rows = columns(found)
    cut = found.rows(rows)
    assert len(engine.keys) == 4  # one that simulates and three that cost
    assert len(counted) == 1
    monkeypatch.setattr(evaluate, "ROWS_A_TASK", 8)
    np.testing.assert_array_equal(of(loaded, tmp_path / "whole").rows(rows).figures["npv_usd"], cut.figures["npv_usd"])


def test_draws_of_the_calibration_are_those_of_a_run(tmp_path):
    loaded = small(
        'workload.runs=[{"name": "pretrain", "model": "llama3.1-8b", "gpus": 64, "tokens": 1.0e10}]',
        "workload.class_models={training: llama3.1-8b}",
        "uncertainty.calibration=2",
    )
    found = of(loaded, tmp_path)
    (one,) = found.inputs
    assert one.name == CALIBRATION
    # No draw is the middle, and the middle is no draw.
    assert one.ppf(np.array([0.01, 0.4, 0.6, 0.99])).tolist() == [1.0, 1.0, 2.0, 2.0]
    assert [one.value(number) for number in (0.0, 1.0, 2.0)] == [None, 0, 1]
    found = found.rows({CALIBRATION: np.array([0.0, 2.0])}).figures["cost_usd_per_gpu_h"]
    whole = [pipeline.answered(pipeline.prepare(loaded, draw))[0] for draw in (None, 1)]
    assert found[0] != found[1]
    np.testing.assert_allclose(found, [of["cost_usd_per_gpu_h"]["value"] for of in whole], rtol=1e-12)


def test_price_paths_ascend_by_their_mean_and_names_stand_for_themselves():
    loaded = small(PATH, "site.tariff={distribution: choice, values: [pge-b20-2026, aep-ohio-gs4], weights: [3, 1]}")
    tariff, path = inputs_of(loaded, 101)
    means = [path.label(number) for number in path.ppf((np.arange(102) + 0.5) / 102)]
    assert means == sorted(means)
    assert len(set(means)) == 102
    assert len(path.value(0.0)) == 12
    assert path.value(TREND) == ()
    assert path.label(path.base) == 1.0
    falls = small(
        "economics.revenue.monthly_price_factors={distribution: price_path, start: 2, decline_frac_per_year: 0.2}"
    )
    (path,) = inputs_of(falls, 8)
    assert path.value(TREND) == pytest.approx([2 * 0.8 ** (month / 12) for month in range(12)])
    assert falls.scenario.economics.revenue.monthly_price_factors == path.value(TREND)
    assert [tariff.value(number) for number in tariff.ppf(np.array([0.7, 0.8]))] == ["pge-b20-2026", "aep-ohio-gs4"]
    assert tariff.simulated
    assert not path.simulated


def test_seeds_are_an_input_and_whole_numbers_stay_whole():
    (seed,) = inputs_of(small("plan.seed=5", "uncertainty.seeds=3"), 8)
    assert (seed.name, seed.values, seed.base) == ("plan.seed", (5, 6, 7), 0.0)
    (months,) = inputs_of(small("delays.hardware_months={distribution: uniform, low: 0, high: 3}"), 8)
    assert isinstance(months.value(float(months.ppf(0.3))), int)


def test_draws_that_no_plan_may_have_are_refused_before_anything_runs():
    loaded = small("economics.revenue.sold_frac={distribution: normal, mean: 0.9, sd: 0.1}")
    inputs = inputs_of(loaded, 8)
    with pytest.raises(InputError, match=r"economics\.revenue\.sold_frac: draws reach 1\.1: input should be less"):
        check_ends(loaded, inputs, {"economics.revenue.sold_frac": np.array([0.8, 1.1])})
    with pytest.raises(UsageError, match=r"at economics\.revenue\.sold_frac = 1\.1"):
        scenario_of(loaded, inputs, [1.1])


def test_another_content_of_a_file_that_is_drawn_is_another_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, price in (("a.csv", 30), ("b.csv", 40)):
        (tmp_path / name).write_text("usd_per_mwh\n" + f"{price}\n" * 8760)
    virtual = (
        "site.ppas=[{kind: virtual, name: wind, capacity_mw: 0.2, strike_usd_per_mwh: 30.0, "
        "hub_prices: {distribution: choice, values: [a.csv, b.csv]}}]"
    )
    before = of(small(LOW, virtual), tmp_path).base_key
    assert of(small(LOW, virtual), tmp_path).base_key == before
    (tmp_path / "b.csv").write_text("usd_per_mwh\n" + "400\n" * 8760)
    assert of(small(LOW, virtual), tmp_path).base_key != before


def test_a_plan_without_distributions_has_no_inputs():
    with pytest.raises(UsageError, match="no input is a distribution; state one in place of a number"):
        inputs_of(small(), 8)
    with pytest.raises(InputError, match=r"site\.tariff: its base 'c' is none of its values a, b"):
        inputs_of(small("site.tariff={distribution: choice, values: [a, b], base: c}"), 8)


PARAMETERS = {
    "colocation_staff_fte": "operations.us-10mw",
    "embodied_kg": "servers.hgx-h100-8",
    "energy_inflation_frac_per_year": "operations.us-10mw",
    "hours_per_fte_year": "operations.us-10mw",
    "insurance_frac": "operations.us-10mw",
    "life_years": "servers.hgx-h100-8",
    "maintenance_frac_critical": "operations.us-10mw",
    "maintenance_frac_per_year": "servers.hgx-h100-8",
    "opex_inflation_frac_per_year": "operations.us-10mw",
    "staff_fte": "operations.us-10mw",
    "value_decay_frac_per_year": "servers.hgx-h100-8",
}


@pytest.fixture(scope="module")
def kept():
    ready = pipeline.prepare(small(LOW))
    return ready, costing.metered(ready, costing.happened(ready))


@pytest.mark.parametrize("parameter", MONEY_PARAMETERS)
def test_a_parameter_of_money_changes_nothing_that_is_simulated(kept, parameter):
    key = PARAMETERS[parameter]
    row = kept[0].used.catalog.row(*key.split("."), parameter)
    loaded = small(LOW, f"overrides={{{key}.{parameter}: {{value: {row.value * 0.9}, source: an offer}}}}")
    assert not touches_simulation(loaded.scenario, ("overrides", f"{key}.{parameter}", "value"))
    ready = pipeline.prepare(loaded)
    whole = costing.figures(ready, costing.metered(ready, costing.happened(ready)))
    found = costing.figures(*costing.repriced(*kept, loaded.scenario))
    pd.testing.assert_frame_equal(found.tables["ledger"], whole.tables["ledger"])
    pd.testing.assert_frame_equal(found.tables["intervals"], whole.tables["intervals"])
    for name, figure in whole.kpis.items():
        if figure["value"] is not None:
            assert found.kpis[name]["value"] == pytest.approx(figure["value"], rel=1e-12), name


def test_the_price_of_energy_is_simulated_where_something_follows_it():
    place = ("overrides", "tariffs.pge-b20-2026.energy:generation:all", "value")
    assert not touches_simulation(small().scenario, place)
    waits = "workload.deferral={classes: [training], signal: price, max_delay_h: 12}"
    assert touches_simulation(small(waits).scenario, place)
    # Another draw may switch that on.
    assert touches_simulation(small().scenario, place, [("site", "battery", "dispatch")])
    shape = ("overrides", "tariffs.pge-b20-2026.minimum:delivery:frac", "value")
    assert touches_simulation(small().scenario, shape)
    assert touches_simulation(small("facility.phases[0].budget_usd=1e8").scenario, ("economics", "discount_rate"))
    assert touches_simulation(small().scenario, ("economics", "operations"))
