"""Break-even: of functions with known answers, and of scenarios whose simulation is kept."""

import json

import pytest
from plans import SMALL
from test_cli import refused

from dcsim import costing, pipeline
from dcsim.cli import cli
from dcsim.errors import RangeError, UsageError
from dcsim.model.load import load
from dcsim.study.figures.touched import touches_simulation
from dcsim.study.solve.break_even import NoRootError, break_even, two_way
from dcsim.study.solve.evaluate import figure_by, override, place_of

BASE = "baseline-10mw-h100"
PRICE = "overrides.servers.hgx-h100-8.price_usd"
RENT = "overrides.prices.h100-contract.2026-03"
WORDS = ("solve", BASE, *(f"--set={of}" for of in SMALL))


def test_the_break_even_of_a_function_is_its_root():
    found = break_even(lambda x: x**3 - 2.0, 6.0, 0.0, 10.0)
    assert found.value == pytest.approx(2.0, rel=1e-12)
    assert (found.at_low, found.at_high) == (-2.0, 998.0)
    assert found.figure == pytest.approx(6.0, rel=1e-12)
    assert break_even(lambda x: 5.0 - x, 5.0, 0.0, 1.0).value == 0.0


def test_a_bracket_without_a_root_is_refused_with_the_values_at_both_ends():
    with pytest.raises(NoRootError, match=r"above 0 at both ends: 1 at 0, 101 at 10"):
        break_even(lambda x: x * x + 1.0, 0.0, 0.0, 10.0)
    with pytest.raises(RangeError, match="low end below"):
        break_even(lambda x: x, 0.0, 1.0, 1.0)


def test_a_figure_that_jumps_over_its_target_has_no_break_even():
    with pytest.raises(RangeError, match=r"jumps over 0\.5 at 3.*, from 0 to 1"):
        break_even(lambda x: float(x > 3.0), 0.5, 0.0, 10.0)


def test_a_two_way_table_holds_the_break_even_of_each_value_or_why_there_is_none():
    rows = two_way(lambda a: lambda x: a * x, [1.0, 4.0, 0.1], 2.0, 0.0, 10.0)
    assert [row.found and row.found.value for row in rows] == [pytest.approx(2.0), pytest.approx(0.5), None]
    assert "0 at 0, 1 at 10" in rows[2].reason


@pytest.fixture(scope="module")
def kept():
    """The small plan as it was simulated once."""
    ready = pipeline.prepare(load(BASE, SMALL))
    return [(ready, costing.metered(ready, costing.happened(ready)))]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("economics.discount_rate", 0.2),
        ("economics.revenue.sold_frac", 0.5),
        ("economics.contingency_frac", 0.3),
        (PRICE, 123456.0),
        ("overrides.prices.us-average-2025.usd_per_critical_mw", 2e7),
        ("overrides.operations.us-10mw.usd_per_fte_year", 3e5),
    ],
)
def test_an_input_of_money_has_the_same_figure_on_a_kept_simulation(kept, path, value):
    name = "npv_usd"
    assert not touches_simulation(load(BASE, SMALL).scenario, place_of(path))
    whole = figure_by(BASE, SMALL, path, name)(value)
    assert figure_by(BASE, SMALL, path, name, kept)(value) == pytest.approx(whole, rel=1e-12)
    assert whole != costing.some_figures(*kept[0], (name,))[name]["value"]


def test_inputs_of_the_plant_and_prices_under_a_budget_are_simulated():
    free = load(BASE, SMALL).scenario
    for path in ("site.utility_mw", "overrides.servers.hgx-h100-8.gpus"):
        assert touches_simulation(free, place_of(path))
    limited = load(BASE, (*SMALL, "facility.phases[0].budget_usd=1e8")).scenario
    assert touches_simulation(limited, place_of(PRICE))


def test_an_input_of_the_plant_is_simulated_though_a_simulation_is_kept(kept):
    path = "facility.cooling.chilled_water_supply_c"
    before = costing.some_figures(*kept[0], ("pue",))["pue"]["value"]
    found = figure_by(BASE, SMALL, path, "pue", kept)(16.0)
    assert found == figure_by(BASE, SMALL, path, "pue")(16.0) != before
    assert len(kept) == 1


def test_an_override_of_the_catalog_keeps_the_others():
    stated = load(BASE, ('overrides={prices.diesel.usd_per_l: {value: 2, source: "offer"}}',))
    both = load(BASE, (override(stated, PRICE, 1.0),)).scenario.overrides
    assert both["prices.diesel.usd_per_l"].value == 2
    assert both[PRICE.removeprefix("overrides.")].value == 1


def solved(capsys, *words):
    cli([*WORDS, *words], standalone_mode=False)
    return capsys.readouterr().out


def test_a_break_even_run_again_gives_the_target(capsys):
    words = ("--target", "npv_usd=0", "--by", RENT, "--between", "1", "20")
    found = json.loads(solved(capsys, *words, "--json"))
    assert found["simulated_once"]
    loaded = load(BASE, SMALL)
    again = load(BASE, (*SMALL, override(loaded, RENT, found["value"])))
    npv_usd = pipeline.answered(pipeline.prepare(again))[0]["npv_usd"]["value"]
    assert abs(npv_usd) <= 1e-6 * max(abs(found["at_low"]), abs(found["at_high"]))
    assert found["at_low"] < 0 < found["at_high"]


def test_a_target_that_is_not_zero_is_met_relative_to_itself_and_the_text_says_so(capsys):
    words = ("--target", "npv_usd=-8e6", "--by", "economics.discount_rate", "--between", "0", "0.5")
    text = solved(capsys, *words)
    assert text.startswith("economics.discount_rate = 0.0")
    found = json.loads(solved(capsys, *words, "--json"))
    assert found["run_again"] == pytest.approx(-8e6, rel=1e-6)
    assert found["value"] == pytest.approx(float(text.split()[2]), rel=1e-8)


def test_a_second_input_makes_a_table(capsys):
    words = ("--target", "npv_usd=0", "--by", RENT, "--between", "1", "20")
    words = (*words, "--by2", "economics.revenue.sold_frac", "--values2", "0,0.9")
    none, some = json.loads(solved(capsys, *words, "--json"))["rows"]
    assert none["value"] is None
    assert "below 0 at both ends" in none["reason"]
    assert some["value2"] == 0.9
    assert 1 < some["value"] < 20


def test_what_cannot_be_solved_is_refused(tmp_path):
    rate = ("--by", "economics.discount_rate", "--between", "0", "0.5")
    message = refused(tmp_path, *WORDS, "--target", "npv_usd=1e12", *rate)
    assert "below 1e+12 at both ends: -6.58" in message
    assert "did you mean 'npv_usd'" in refused(tmp_path, *WORDS, "--target", "npv_us=0", *rate)
    assert "figure=value" in refused(tmp_path, *WORDS, "--target", "npv_usd", *rate)
    near = ("--by", "economics.discount_rat", "--between", "0", "0.5")
    assert "did you mean 'discount_rate'" in refused(tmp_path, *WORDS, "--target", "npv_usd=0", *near)
    near = ("--by", "overrides.servers.hgx-h100-9.price_usd", "--between", "0", "1")
    assert "did you mean" in refused(tmp_path, *WORDS, "--target", "npv_usd=0", *near)
    assert "belong together" in refused(tmp_path, *WORDS, "--target", "npv_usd=0", *rate, "--by2", "plan.years")
    assert "commas" in refused(
        tmp_path, *WORDS, "--target", "npv_usd=0", *rate, "--by2", "economics.revenue.sold_frac", "--values2", "a"
    )
    undefined = ("--target", "irr_after_tax_frac=0", *rate)
    assert "is undefined at economics.discount_rate = 0" in refused(tmp_path, *WORDS, *undefined)


def test_an_unknown_figure_is_refused_before_anything_runs():
    with pytest.raises(UsageError, match="did you mean 'pue'"):
        figure_by(BASE, SMALL, "economics.discount_rate", "puee")
