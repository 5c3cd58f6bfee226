"""A simulated plan at other prices has the key figures of a run from the beginning."""

import numpy as np
import pytest
from plans import small

from dcsim import costing, pipeline

OVERRIDE = "overrides={{{}: {{value: {}, source: a quotation}}}}"
PRICES = {
    "discount rate": "economics.discount_rate=0.13",
    "servers": OVERRIDE.format("servers.hgx-h100-8.price_usd", 300e3),
    "construction": OVERRIDE.format("prices.us-average-2025.usd_per_critical_mw", 9.3e6),
    "rent": "economics.revenue.monthly_price_factors=[0.9, 1.1, 1.2]",
    "spot": "economics.revenue.spot={share_frac: 0.3, monthly_price_factors: [0.8, 1.3]}",
    "cloud": "economics.tenure={kind: cloud, monthly_price_factors: [0.5, 0.6]}",
    "tax": "economics.tax={regime: us-federal}",
    "tenure": "economics.tenure.kind=colocation",
    "inflation": "economics.energy_inflation_frac=0.05",
}
CONVERTED = (
    "facility.phases[1].energised=2027-06-01",
    "facility.phases[1].construction={order: 2026-07-01, delivery: 2027-05-01}",
    "facility.phases[1].hardware={order: 2026-12-01, delivery: 2027-05-01}",
    "facility.conversion={on: 2027-10-01, server: hgx-h100-8-dlc, cooling: {kind: direct_liquid_dry_cooler}, "
    "outage_days: 14.0, construction: {order: 2027-01-01, delivery: 2027-09-01}, "
    "hardware: {order: 2027-03-01, delivery: 2027-09-01}}",
)


@pytest.fixture(scope="module")
def kept():
    ready = pipeline.prepare(small())
    return ready, costing.metered(ready, costing.happened(ready))


def _same(found, expected, other):
    """The figures are those of a whole run, and not those that stood before the price changed."""
    assert any(found[name]["value"] != other[name]["value"] for name in found)
    for name, figure in expected.items():
        assert found[name].get("reason") == figure.get("reason"), name
        if figure["value"] is not None:
            assert found[name]["value"] == pytest.approx(figure["value"], rel=1e-12, abs=1e-9), name


@pytest.mark.parametrize("changed", PRICES.values(), ids=PRICES)
def test_a_plan_at_other_prices_has_the_figures_of_a_whole_run(kept, changed):
    loaded = small(changed)
    found = costing.figures(*costing.repriced(*kept, loaded.scenario)).kpis
    _same(found, pipeline.answered(pipeline.prepare(loaded))[0], costing.figures(*kept).kpis)


def test_the_price_of_energy_is_billed_anew_on_the_same_quantities(kept):
    ready, of = kept
    row = next(name for name in ready.used.catalog.part("tariffs", ready.tariff.key) if name.startswith("energy:"))
    loaded = small(OVERRIDE.format(f"tariffs.{ready.tariff.key}.{row}", 0.123))
    found = costing.figures(*costing.repriced(ready, of, loaded.scenario)).kpis
    _same(found, pipeline.answered(pipeline.prepare(loaded))[0], costing.figures(ready, of).kpis)


def test_a_conversion_keeps_its_parts_at_other_prices():
    ready = pipeline.prepare(small(*CONVERTED))
    of = costing.metered(ready, costing.happened(ready))
    other = small(*CONVERTED, OVERRIDE.format("servers.hgx-h100-8-dlc.price_usd", 310e3))
    _same(
        costing.figures(*costing.repriced(ready, of, other.scenario)).kpis,
        pipeline.answered(pipeline.prepare(other))[0],
        costing.figures(ready, of).kpis,
    )


def test_some_figures_are_those_of_all(kept):
    names = ("npv_usd", "cost_usd_per_gpu_h", "irr_frac")
    some = costing.some_figures(*kept, names)
    every = costing.figures(*kept).kpis
    assert list(some) == list(names)
    assert np.array_equal([some[name]["value"] for name in names], [every[name]["value"] for name in names])


def test_factors_by_month_move_what_they_stand_at_and_the_last_holds_on(kept):
    def sold(*sets):
        ledger = costing.figures(*costing.repriced(*kept, small(*sets).scenario)).tables["ledger"]
        rows = ledger[ledger["item"].str.startswith("GPU rental")]
        return rows.groupby(["item", "month"])["amount_usd"].sum()

    spot = "economics.revenue.spot={share_frac: 0.3%s}"
    plain, moved = sold(spot % ""), sold(spot % ", monthly_price_factors: [0.8, 1.3]")
    ratio = (moved / plain).unstack("month")
    (at_spot,) = [item for item in ratio.index if "spot" in item]
    assert ratio.loc[at_spot].to_numpy() == pytest.approx([0.8] + [1.3] * 11)
    assert ratio.drop(at_spot).to_numpy() == pytest.approx(np.ones((1, 12)))
