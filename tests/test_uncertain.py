"""Distributions stated in a scenario: where they may stand, what a single run takes, what is refused."""

import math

import numpy as np
import pytest
from plans import SMALL, small

from dcsim import pipeline
from dcsim.errors import InputError
from dcsim.model.distributions import Beta, Choice, Pert
from dcsim.model.load import load
from dcsim.model.schema import editor_schema
from dcsim.model.uncertain import plain

SOLD = "economics.revenue.sold_frac={distribution: beta, mean: 0.8, sd: 0.1}"
BUILT = (
    "overrides={prices.us-average-2025.usd_per_critical_mw: "
    "{value: {distribution: pert, low: 9.3e6, mode: 11.7e6, high: 15.0e6}, source: a cost guide}}"
)


def test_any_scalar_may_be_a_distribution_and_a_single_run_takes_its_median():
    loaded = small(SOLD, BUILT, "delays.hardware_months={distribution: lognormal, median: 2.4, log_sd: 0.5}")
    by_name = {of.name: of for of in loaded.uncertain}
    assert list(by_name) == [
        "economics.revenue.sold_frac",
        "overrides.prices.us-average-2025.usd_per_critical_mw",
        "delays.hardware_months",
    ]
    sold, built, months = by_name.values()
    assert sold.distribution == Beta(mean=0.8, sd=0.1)
    assert loaded.scenario.economics.revenue.sold_frac == sold.base == pytest.approx(sold.distribution.ppf(0.5))
    price = loaded.scenario.overrides["prices.us-average-2025.usd_per_critical_mw"].value
    assert price == built.base == pytest.approx(Pert(low=9.3e6, mode=11.7e6, high=15e6).ppf(0.5))
    # The field is a whole number of months, so draws are rounded to one.
    assert months.whole
    assert loaded.scenario.delays.hardware_months == months.base == 2


def test_a_stated_base_is_what_a_single_run_takes():
    loaded = small("economics.revenue.sold_frac={distribution: beta, mean: 0.8, sd: 0.1, base: 0.7}")
    assert loaded.scenario.economics.revenue.sold_frac == 0.7


def test_a_plan_with_distributions_runs_as_the_plan_with_their_single_values():
    stated = small("economics.revenue.sold_frac={distribution: uniform, low: 0.6, high: 0.8, base: 0.7}")
    assert stated.scenario == small("economics.revenue.sold_frac=0.7").scenario
    assert any(note.startswith("distributions: 1, of which") for note in pipeline._notes(pipeline.prepare(stated)))
    seeds = small("uncertainty.seeds=4").scenario
    assert seeds.uncertainty.seeds == 4
    assert "uncertainty" not in seeds.model_dump(mode="json")


def test_names_and_price_paths_may_be_drawn_too():
    loaded = small(
        "economics.revenue.monthly_price_factors={distribution: price_path}",
        "site.tariff={distribution: choice, values: [pge-b20-2026, aep-ohio-gs4]}",
    )
    assert loaded.scenario.economics.revenue.monthly_price_factors == ()
    assert loaded.scenario.site.tariff == "pge-b20-2026"
    assert len(loaded.uncertain) == 2


def test_a_choice_has_its_values_by_weight_in_the_order_stated():
    of = Choice(values=("b", "a", 3), weights=(1, 2, 1))
    assert of.ppf(np.array([0.2, 0.25, 0.5, 0.8])).tolist() == ["b", "b", "a", 3]


def test_a_file_that_extends_another_replaces_its_distribution_whole(tmp_path):
    below = tmp_path / "below.yaml"
    below.write_text(
        "extends: baseline-10mw-h100\n"
        "economics: {revenue: {sold_frac: {distribution: beta, mean: 0.8, sd: 0.1}},\n"
        "  discount_rate: {distribution: uniform, low: 0.08, high: 0.12}}\n"
    )
    above = tmp_path / "above.yaml"
    above.write_text(
        "extends: below.yaml\neconomics: {discount_rate: 0.1, revenue: {sold_frac: {distribution: pert, low: 0.5, "
        "mode: 0.8, high: 0.9}}}\n"
    )
    (only,) = load(above).uncertain
    assert only.distribution == Pert(low=0.5, mode=0.8, high=0.9)


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ("{distribution: betaa, mean: 0.8}", r"sold_frac\.distribution: 'betaa' is not .*did you mean 'beta'"),
        ("{distribution: beta, mean: 0.8}", r"sold_frac\.sd: field required"),
        ("{distribution: uniform, low: 2, high: 1}", "sold_frac: low 2 must be below high 1"),
        ("{distribution: uniform, low: 0, high: 1, top: 3}", r"sold_frac\.top: extra inputs"),
        ("{distribution: normal, mean: 1.8, sd: 0.1}", "sold_frac: 1.8 is above the maximum 1"),
        ("{distribution: choice, values: [a, b], weights: [1]}", "sold_frac: 1 weights for 2 values"),
        ("{distribution: choice, values: [0.5, null]}", r"1 problem\n.*values\[1\]: is no number, name, date"),
        ("{distribution: price_path}", "sold_frac: a price_path is one number a month, which fits a list"),
    ],
)
def test_what_is_no_distribution_is_refused_at_its_place(stated, said):
    with pytest.raises(InputError, match=said):
        small(f"economics.revenue.sold_frac={stated}")


def test_factors_by_month_are_a_price_path():
    with pytest.raises(InputError, match="monthly_price_factors: one number a month stands here: state a price_path"):
        small("economics.revenue.monthly_price_factors={distribution: uniform, low: 0.9, high: 1.1}")


def test_a_correlation_is_of_inputs_that_are_uncertain():
    pair = "[economics.revenue.sold_frac, economics.discount_rate]"
    # One of them has a single value: the correlation says nothing, and an alternative may do that.
    assert len(small(SOLD, f"uncertainty={{correlations: [{{between: {pair}, r: 0.5}}]}}").uncertain) == 1
    unstated = pair.replace("discount_rate", "discount_rat")
    with pytest.raises(InputError, match=r"'economics\.discount_rat' is not a known uncertain input"):
        small(SOLD, f"uncertainty={{correlations: [{{between: {unstated}, r: 0.5}}]}}")
    with pytest.raises(InputError, match=r"uncertainty\.correlations\[0\]\.r: 2 is above the maximum 1"):
        small(SOLD, f"uncertainty={{correlations: [{{between: {pair}, r: 2}}]}}")


def test_a_correlation_is_stated_once():
    pair = "[economics.revenue.sold_frac, economics.discount_rate]"
    back = "[economics.discount_rate, economics.revenue.sold_frac]"
    for second in (pair, back):
        with pytest.raises(InputError, match="is stated twice; keep one of them"):
            small(SOLD, f"uncertainty={{correlations: [{{between: {pair}, r: 0.9}}, {{between: {second}, r: -0.9}}]}}")


def test_draws_of_whole_numbers_are_rounded_and_others_are_not():
    assert plain(np.float64(2.6), True) == 3
    assert plain(np.float64(2.6), False) == 2.6
    assert math.isclose(plain(0.25, False), 0.25)


def test_all_faults_of_a_file_are_told_at_once(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "extends: baseline-10mw-h100\n"
        "economics:\n"
        "  discount_rate: {distribution: uniform, low: 1, high: 0}\n"
        "  revenue:\n"
        "    sold_frac: {distribution: nothing}\n"
    )
    with pytest.raises(InputError) as error:
        load(plan, SMALL)
    assert [problem.line for problem in error.value.problems] == [3, 5]


def test_editors_are_told_that_a_scalar_may_be_a_distribution():
    schema = editor_schema()
    definitions = schema["$defs"]
    reference = {"$ref": "#/$defs/Distribution"}
    sold = definitions["Rental"]["properties"]["sold_frac"]
    assert reference in sold["anyOf"]
    assert sold["anyOf"][0]["maximum"] == 1
    assert "somebody pays for" in sold["description"]
    assert reference in definitions["Rental"]["properties"]["monthly_price_factors"]["anyOf"]
    assert reference in definitions["PriceOverride"]["properties"]["value"]["anyOf"]
    assert "anyOf" not in definitions["Rental"]["properties"]["kind"]
    kinds = definitions["Distribution"]["discriminator"]["mapping"]
    assert set(kinds) >= {"normal", "beta", "choice", "price_path"}
    for place in kinds.values():
        of = definitions[place.rsplit("/", 1)[1]]
        assert "base" in of["properties"]
        assert "distribution" in of["required"]


def test_faults_of_distributions_and_of_plain_values_are_told_at_once():
    with pytest.raises(InputError) as fault:
        small(
            "economics.discount_rate={distribution: nromal, mean: 0.1, sd: 0.02}",
            "economics.contingency_frac=-1",
            "plan.years={distribution: uniform, low: 3, high: 1}",
        )
    assert [of.path for of in fault.value.problems] == [
        "economics.contingency_frac",
        "economics.discount_rate.distribution",
        "plan.years",
    ]
