from dataclasses import fields
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import small

from dcsim import pipeline, runs
from dcsim.catalog.load import catalog
from dcsim.errors import CapacityError, RangeError
from dcsim.physics import electrical as el
from dcsim.physics import rack_supplies

MW = 1e6
CHAINS = st.builds(
    el.PowerChain,
    redundancy=st.sampled_from(sorted(el.REDUNDANCY)),
    ups=st.sampled_from(sorted(el.UPS)),
    pdu=st.sampled_from(sorted(el.PDU)),
)


def losses(chain, it_w, mechanical_w=0.0, other_w=0.0, **ratings):
    given = {"critical_rating_w": MW, "utility_rating_w": 3 * MW, **ratings}
    return el.chain_losses(chain, it_w, mechanical_w, other_w, **given)


@pytest.mark.parametrize(
    ("ups", "published"),
    [("legacy", [0.905, 0.936, 0.940, 0.939]), ("delta", [0.941, 0.963, 0.969, 0.970])],
)
def test_white_paper_108_points(ups, published):
    # APC White Paper 108 at 25/50/75/100 %. Both are in sample: the legacy curve was fitted to these points, the delta
    # points follow from the coefficients that the paper gives.
    np.testing.assert_allclose(el.UPS[ups].efficiency([0.25, 0.50, 0.75, 1.00]), published, atol=0.002)


@pytest.mark.parametrize(
    ("ups", "redundancy", "percent"),
    [
        ("legacy", "2N", [86.2, 90.5, 92.4, 93.3]),
        ("legacy", "4N/3", [89.8, 92.6, 93.6, 94.0]),
        ("legacy", "N", [91.6, 93.5, 94.0, 94.0]),
        ("delta", "2N", [91.2, 94.1, 95.4, 96.1]),
        ("delta", "4N/3", [93.6, 95.6, 96.4, 96.8]),
        ("delta", "N", [94.9, 96.3, 96.8, 97.0]),
        ("modern", "2N", [93.1, 95.5, 96.4, 96.8]),
        ("modern", "4N/3", [95.1, 96.5, 96.9, 97.0]),
        ("modern", "N", [96.0, 96.9, 97.0, 96.8]),
    ],
)
def test_redundancy_moves_a_ups_down_its_curve(ups, redundancy, percent):
    # Worked by hand from the curves at 30, 50, 70 and 90 % of the critical load; loads of a module in the first test.
    module = np.array([0.3, 0.5, 0.7, 0.9]) * el.REDUNDANCY[redundancy].load_factor
    np.testing.assert_allclose(100 * el.UPS[ups].efficiency(module), percent, atol=0.1)


@pytest.mark.parametrize(("key", "installed"), [("N", 1.0), ("N+1", 1.25), ("2N", 2.0), ("4N/3", 4 / 3), ("3N/2", 1.5)])
def test_installed_over_required_is_that_of_the_topology(key, installed):
    assert el.REDUNDANCY[key].installed_over_required == pytest.approx(installed)
    assert el.REDUNDANCY[key].load_factor == pytest.approx(1 / installed)


@pytest.mark.parametrize("key", el.REDUNDANCY)
def test_one_block_out_at_full_design_load_overloads_no_other(key):
    redundancy = el.REDUNDANCY[key]
    if redundancy.blocks == 1:
        with pytest.raises(RangeError, match="leaves none"):
            redundancy.surviving_load_frac(1.0)
        return
    assert float(redundancy.surviving_load_frac(1.0)) == pytest.approx(1.0)
    assert float(redundancy.surviving_load_frac(1.0, 0)) == pytest.approx(redundancy.load_factor)


def test_every_choice_of_the_chain_is_registered_and_none_is_missing():
    choices = {field.name: set(get_args(field.type)) for field in fields(el.PowerChain)}
    assert choices["ups"] == {*el.UPS, "custom"}
    assert choices["pdu"] == set(el.PDU)
    assert choices["transformer"] == set(el.TRANSFORMER)
    assert choices["substation"] == set(el.SUBSTATION)
    assert choices["rack_supply"] == set(rack_supplies.RACK_SUPPLY)
    topologies = ("redundancy", "transformer_redundancy", "substation_redundancy")
    assert all(choices[name] == set(el.REDUNDANCY) for name in topologies)


@pytest.mark.parametrize("curves", [el.UPS, el.PDU, el.TRANSFORMER, el.SUBSTATION])
def test_every_curve_loses_at_least_nothing_and_says_where_it_is_from(curves):
    for curve in curves.values():
        loss = curve.loss_w(np.linspace(0, MW, 101), MW, "part")
        assert (loss >= 0).all()
        if loss[-1] > 0:
            assert float(curve.efficiency(1.0)) == pytest.approx(MW / (MW + loss[-1]))
        assert curve.meaning
        assert curve.source


@given(CHAINS, st.floats(1e3, MW), st.floats(0, 0.5 * MW))
def test_meter_reads_the_loads_and_their_losses(chain, it_w, mechanical_w):
    loss = losses(chain, it_w, mechanical_w, 5e3)
    # The transformers lose what their curve says of everything behind them, at 5/4 of the utility rating installed.
    behind_w = it_w + mechanical_w + 5e3 + float(loss.indoor_w)
    curve = el.TRANSFORMER[chain.transformer]
    assert float(loss.transformer_loss_w) == pytest.approx(float(curve.loss_w(behind_w, 3 * MW * 5 / 4, "transformer")))
    assert float(loss.total_w) == pytest.approx(float(loss.indoor_w + loss.transformer_loss_w))


@given(CHAINS, st.floats(0.05, 0.5))
def test_loss_over_load_falls_as_load_rises_to_half(chain, load):
    low, high = (float(losses(chain, u * MW).total_w) / (u * MW) for u in (load / 2, load))
    assert low >= high


def test_at_low_load_a_redundant_old_chain_loses_a_quarter_of_the_it_power():
    # 2N with the double conversion of the 2000s at 20 % of the critical load: overhead above 0.25.
    chain = el.PowerChain(redundancy="2N", ups="legacy", pdu="transformer")
    assert float(losses(chain, 0.2 * MW, utility_rating_w=1.6 * MW).total_w) / (0.2 * MW) > 0.25


@given(CHAINS)
def test_arrays_give_what_single_values_give(chain):
    loads = np.array([0.0, 1e5, 6e5, 1e6])
    together = losses(chain, loads, 0.1 * loads, 1e3)
    for i, load in enumerate(loads):
        assert together.total_w[i] == losses(chain, load, 0.1 * load, 1e3).total_w
    assert together.transformer_loss_w.shape == together.pdu_loss_w.shape == (4,)


def test_it_above_what_survives_one_block_out_is_refused_with_numbers_and_way_out():
    message = (
        r"IT power would be 1,100.0 kW, above what a 4N/3 chain carries .* of 1,000.0 kW; raise the critical rating"
    )
    with pytest.raises(CapacityError, match=message):
        losses(el.PowerChain(), [0.5 * MW, 1.1 * MW])


def test_a_meter_above_the_utility_rating_is_refused():
    with pytest.raises(CapacityError, match="transformers would carry"):
        losses(el.PowerChain(), 0.9 * MW, 0.2 * MW, utility_rating_w=MW)
    # Here the load fits and its losses in the transformers do not.
    behind_w = 0.9 * MW + float(losses(el.PowerChain(), 0.9 * MW).indoor_w)
    with pytest.raises(CapacityError, match="meter would read"):
        losses(el.PowerChain(), 0.9 * MW, utility_rating_w=behind_w + 100.0)


def test_the_plant_is_fed_past_the_ups_unless_a_share_is_on_it():
    share = el.PowerChain(mechanical_ups_frac=0.5)
    past = losses(el.PowerChain(), 0.5 * MW, 0.1 * MW)
    through = losses(share, 0.5 * MW, 0.1 * MW, mechanical_rating_w=0.1 * MW)
    assert float(past.ups_loss_w) == float(losses(el.PowerChain(), 0.5 * MW).ups_loss_w)
    assert float(through.ups_loss_w) > float(past.ups_loss_w)
    with pytest.raises(CapacityError, match=r"UPS would carry 1,2.* with one block out"):
        losses(share, MW, 0.4 * MW, mechanical_rating_w=0.2 * MW)


def test_a_custom_ups_has_its_own_coefficients_and_no_other_takes_them():
    custom = el.PowerChain(ups="custom", ups_fixed_frac=0.01, ups_square_frac=0.02)
    assert float(el.ups_curve(custom).efficiency(1.0)) == pytest.approx(1 / 1.03)
    with pytest.raises(RangeError, match="ups: custom"):
        el.ups_curve(el.PowerChain(ups="delta", ups_fixed_frac=0.01))


def test_nothing_installed_loses_nothing():
    assert float(losses(el.PowerChain(), 0.0, critical_rating_w=0.0, utility_rating_w=0.0).total_w) == 0.0


@pytest.mark.parametrize("name", rack_supplies.RACK_SUPPLY)
def test_rack_supplies_lose_by_their_curve_and_their_rows_are_the_catalogs(name):
    supply = rack_supplies.RACK_SUPPLY[name]
    at_design = float(supply.curve.efficiency(supply.load_at_design))
    assert 0.94 < at_design < 0.99
    it_w = np.array([0.1, 0.5, 1.0]) * 1e6
    compute_w = rack_supplies.compute_power_w(name, it_w, 0.05 * it_w, 1e6)
    assert (compute_w < 0.95 * it_w).all()
    assert compute_w[-1] == pytest.approx((at_design - 0.05) * 1e6)
    rows = catalog().part("electrical", f"rack_supply-{name}")
    assert {n: row.value for n, row in rows.items()} == pytest.approx(
        {n: getattr(supply.curve, n) for n in ("fixed_frac", "linear_frac", "square_frac")}
    )


def test_titanium_supplies_meet_the_points_that_they_were_fitted_on():
    # 80 PLUS Titanium at 230 V: 90, 94, 96 and 91 % at 10, 20, 50 and 100 %.
    curve = rack_supplies.RACK_SUPPLY["psu_titanium"].curve
    np.testing.assert_allclose(curve.efficiency([0.1, 0.2, 0.5, 1.0]), [0.90, 0.94, 0.96, 0.91], atol=0.013)


def test_direct_current_moves_total_and_not_power_usage_effectiveness(tmp_path):
    found = {
        name: runs.read(pipeline.run(small(f"facility.power.rack_supply={name}"), tmp_path / name)).kpis
        for name in ("psu_titanium", "shelf_800v")
    }
    supplies, direct = found["psu_titanium"], found["shelf_800v"]
    assert supplies["pue"]["value"] == direct["pue"]["value"]
    assert supplies["tue"]["value"] > direct["tue"]["value"] > direct["pue"]["value"]


def test_a_substation_is_at_its_best_where_core_and_copper_lose_alike():
    curve = el.SUBSTATION["liquid-25mva"]
    loads = np.linspace(0.05, 1.0, 96)
    best = loads[np.argmin(curve.loss_w(loads, 1.0, "substation") / loads)]
    assert best == pytest.approx(0.4)
    assert float(curve.loss_w(0.4, 1.0, "substation")) / 0.4 == pytest.approx(0.003)
    rows = catalog().part("electrical", "substation-liquid-25mva")
    assert {name: row.value for name, row in rows.items()} == {n: getattr(curve, n) for n in rows}


def test_a_substation_loses_what_its_curve_says_and_counts_at_the_meter():
    plain, own = el.PowerChain(), el.PowerChain(substation="liquid-25mva")
    without, whole = losses(plain, 0.8 * MW, 0.2 * MW), losses(own, 0.8 * MW, 0.2 * MW)
    stepped_w = MW + float(without.total_w)
    more_w = el.SUBSTATION["liquid-25mva"].loss_w(stepped_w, 2 * 3 * MW, "substation")
    assert float(whole.total_w - without.total_w) == pytest.approx(float(more_w))
    assert float(whole.indoor_w) == float(without.indoor_w)
    meter_w = MW + float(without.total_w) + 1.0
    with pytest.raises(CapacityError, match="utility rating"):
        losses(own, 0.8 * MW, 0.2 * MW, utility_rating_w=meter_w)


def test_servers_fit_a_site_with_a_substation_of_its_own(tmp_path):
    found = runs.read(pipeline.run(small("facility.power.substation=liquid-25mva"), tmp_path)).kpis
    plain = runs.read(pipeline.run(small(), tmp_path / "plain")).kpis
    assert 1e-3 < found["pue"]["value"] - plain["pue"]["value"] < 1e-2
