"""Levelised costs and values against identities and public calculators, whose inputs are typed from their pages."""

import datetime
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import RangeError
from dcsim.finance.cashflow import annuity_usd, npv_usd
from dcsim.finance.ledger import Entry, ledger, monthly_flows
from dcsim.finance.levelised import (
    capital_usd_per_year,
    effective_pflop_days,
    gpus_per_utility_mw,
    idle_capital_usd,
    levelised_usd,
    lost_value_usd_per_h,
    market_value_usd,
    owner_cost_usd_per_gpu_h,
    usd_per_million_tokens,
    usd_per_training_run,
    wacc_frac,
    year_factors,
)
from dcsim.finance.training_cost import TrainingRun, by_item_usd, training_costs
from dcsim.units import HOURS_PER_YEAR

EXACT = 1e-12
GALLONS_PER_KGAL = 1000.0


def entry(quantity, price_usd, item="x", month=0, category="opex"):
    return Entry(
        month=month,
        category=category,
        item=item,
        phase="site",
        quantity=quantity,
        unit="1",
        price_usd=price_usd,
        source="test",
    )


def total_usd(*entries):
    return -ledger(entries)["amount_usd"].sum()


# Identities.


def owner_of_a_server():
    """Eight GPUs for 300,000 USD over 5 years to 20 %, at 10 %; 10.2 kW, of which 0.8 is drawn; rent by kilowatt."""
    return owner_cost_usd_per_gpu_h(
        {
            "servers": capital_usd_per_year(300_000.0, 5, 0.10, residual_frac=0.2),
            "rent": 130.0 * 12 * 10.2,
            "energy": 10.2 * 0.8 * 1.2 * HOURS_PER_YEAR * 0.08,
            "upkeep": 0.05 * 300_000.0,
        },
        8,
        sold_frac=0.85,
        available_frac=0.98,
    )


def test_an_owners_gpu_hour_is_the_worked_example():
    cost = owner_of_a_server()
    assert cost.usd_per_gpu_h == pytest.approx(1.834391787378288, rel=EXACT)
    assert math.fsum(cost.components.values()) == cost.usd_per_gpu_h
    assert set(cost.components) == {"servers", "rent", "energy", "upkeep"}


def test_tokens_cost_what_their_gpu_hour_costs():
    assert usd_per_million_tokens(2.0, 2500.0) == pytest.approx(0.2222222222222222, rel=EXACT)
    assert usd_per_million_tokens([2.0, 4.0], 2500.0) == pytest.approx([2 / 9, 4 / 9])


def test_idle_gpus_lose_their_first_year_undiscounted():
    assert idle_capital_usd(20_000, 2.40, 2.0, 0.07) == pytest.approx(813451962.6168225, rel=EXACT)


def test_gpus_that_a_feed_carries_are_whole():
    assert gpus_per_utility_mw(100.0, 2.17) == 46082
    # Public figures of power a GPU, and what they make of 100 MW.
    for kw, gpus in ((1.73, 57803), (2.10, 47619), (1.79, 55865), (2.18, 45871), (2.65, 37735)):
        assert gpus_per_utility_mw(100.0, kw) == gpus
    assert gpus_per_utility_mw(3.0, 0.1) == 30_000
    assert list(gpus_per_utility_mw([1.0, 2.0], 1.5)) == [666, 1333]


def test_cost_of_capital_is_after_the_tax_that_interest_saves():
    assert wacc_frac(0.4, 0.14, 0.09, 0.21) == pytest.approx(0.09866, rel=EXACT)
    with pytest.raises(RangeError):
        wacc_frac(1.4, 0.14, 0.09, 0.21)


def test_a_capital_recovery_factor():
    assert capital_usd_per_year(1.0, 15, 0.08) == pytest.approx(0.11682954493601999, rel=EXACT)


def test_one_time_charges_of_water_and_sewer():
    assert total_usd(entry(100_000, 14.27), entry(20_000, 34.61)) == pytest.approx(2_119_200.0, rel=EXACT)


def test_what_reclaimed_water_saves():
    kgal = 50_000 * 365 / GALLONS_PER_KGAL
    assert total_usd(entry(kgal, 3.86)) - total_usd(entry(kgal, 1.80)) == pytest.approx(37_595.0, rel=EXACT)


# Public calculators, within 1 %.

FIVE_YEARS_H = 5 * HOURS_PER_YEAR


def test_a_sizer_of_clusters():
    gpus = gpus_per_utility_mw(50.0, 1.0 * 1.3 * 1.2)
    assert gpus == pytest.approx(32051, rel=0.01)
    assert total_usd(entry(gpus, 40_000.0, category="capex")) == pytest.approx(1.28e9, rel=0.01)
    # The page leaves its own factor of 1.3 for servers out of the energy.
    assert total_usd(entry(gpus * 1.0 * 0.7 * 1.2 * FIVE_YEARS_H, 0.08)) == pytest.approx(94.34e6, rel=0.01)


def test_a_calculator_of_power():
    assert gpus_per_utility_mw(11.83, 0.7 * 1.3 * 1.3) == pytest.approx(10_000, rel=0.01)


@pytest.mark.parametrize(
    ("price_usd", "watts", "peak_flop_s", "total", "per_pflop_year"),
    [(30_000.0, 700.0, 989e12, 32.83e6, 9.3e3), (40_000.0, 1000.0, 2250e12, 43.97e6, 5.5e3)],
)
def test_a_calculator_of_five_years(price_usd, watts, peak_flop_s, total, per_pflop_year):
    gpus = 1024
    energy_kwh = gpus * watts / 1e3 * 0.7 * 1.2 * FIVE_YEARS_H
    cost = total_usd(entry(gpus, price_usd, category="capex"), entry(energy_kwh, 0.08))
    assert cost == pytest.approx(total, rel=0.01)
    per_day = cost / effective_pflop_days(gpus * FIVE_YEARS_H, peak_flop_s, 0.7)
    assert per_day * 365 == pytest.approx(per_pflop_year, rel=0.01)


@pytest.mark.parametrize(
    ("usd_per_gpu_h", "monthly", "setup", "published_month", "published_term"),
    [
        (1.840, (1408, 111_349), 0, 5_539_138, 199_408_973),
        (2.178, (1856, 82, 3318, 321_422, 131_804, 16_667), 3_278_258, 6_989_395, 251_618_208),
        (2.000, (202_015, 16_667), 3_015_787, 6_200_693, 223_224_957),
    ],
)
def test_a_calculator_of_clusters_by_the_month(usd_per_gpu_h, monthly, setup, published_month, published_term):
    """4,096 GPUs over 36 months of 720 hours; the setup is paid once and spread."""
    rows = [
        entry(quantity, price, month=month)
        for month in range(36)
        for quantity, price in ((4096 * 720, usd_per_gpu_h), *((1, usd) for usd in monthly), (1 / 36, setup))
    ]
    flows = -monthly_flows(ledger(rows), 0, 36)
    assert flows[0] == pytest.approx(published_month, abs=1.0)
    assert flows.sum() == pytest.approx(published_term, rel=1e-6)


# Laws.


def test_value_falls_by_the_rate_that_an_hour_takes():
    assert market_value_usd(1.0, 1.0) == pytest.approx(0.724, abs=5e-4)
    hour = 1 / HOURS_PER_YEAR
    fall = market_value_usd(30_000.0, 2.0 - hour / 2) - market_value_usd(30_000.0, 2.0 + hour / 2)
    assert lost_value_usd_per_h(market_value_usd(30_000.0, 2.0)) == pytest.approx(fall, rel=1e-6)
    assert market_value_usd([1.0, 2.0], 0.0) == pytest.approx([1.0, 2.0])


def test_land_bears_interest_alone_and_a_life_is_of_whole_years():
    assert capital_usd_per_year(100.0, math.inf, 0.08) == 8.0
    assert capital_usd_per_year(100.0, 400, 0.08) == pytest.approx(8.0)
    with pytest.raises(RangeError, match="whole years"):
        capital_usd_per_year(100.0, 5.5, 0.08)


@given(st.floats(0.0, 1.0), st.integers(1, 30), st.just(0.0) | st.floats(1e-9, 0.3))
def test_yearly_payments_and_what_is_left_are_worth_the_price(residual_frac, years, rate_frac):
    yearly = capital_usd_per_year(1000.0, years, rate_frac, residual_frac=residual_frac)
    flows = [0.0, *[yearly] * years]
    flows[-1] += residual_frac * 1000.0
    assert npv_usd(flows, rate_frac, 1) == pytest.approx(1000.0)


@given(st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_hours_that_nobody_pays_for_raise_the_cost_of_the_others(sold_frac, available_frac):
    yearly = {"a": 100.0, "b": 20.0}
    whole = owner_cost_usd_per_gpu_h(yearly, 8).usd_per_gpu_h
    part = owner_cost_usd_per_gpu_h(yearly, 8, sold_frac=sold_frac, available_frac=available_frac)
    assert part.usd_per_gpu_h * sold_frac * available_frac == pytest.approx(whole)


@pytest.mark.parametrize("frac", [0.0, 1.1, -0.5])
def test_shares_of_hours_outside_their_range_are_refused(frac):
    with pytest.raises(RangeError):
        owner_cost_usd_per_gpu_h({"a": 1.0}, 8, sold_frac=frac)
    with pytest.raises(RangeError):
        owner_cost_usd_per_gpu_h({"a": 1.0}, 8, available_frac=frac)


def test_a_run_costs_its_hours_over_its_goodput():
    assert usd_per_training_run(1e6, 2.0, 0.8) == pytest.approx(2.5e6)


def test_years_are_discounted_from_their_start_middle_or_end():
    years = np.arange(3)
    for convention, shift in (("start", 0.0), ("middle", 0.5), ("end", 1.0)):
        assert year_factors(3, 0.07, convention) == pytest.approx(1.07 ** -(years + shift), rel=EXACT)
    assert len(year_factors(0, 0.07, "end")) == 0


def test_a_levelised_cost_recovers_its_costs():
    output = np.array([0.0, 50.0, 100.0, 90.0])
    costs = np.array([0.0, 10.0, 12.0, 15.0])
    price = levelised_usd(costs, output, 0.08, upfront_usd=200.0)
    factors = year_factors(4, 0.08, "middle")
    assert (price * output - costs) @ factors == pytest.approx(200.0)
    # With equal output and no upfront cost it is the plain price, whatever the rate or convention.
    assert levelised_usd(3.0 * output, output, 0.2, convention="end") == pytest.approx(3.0)
    with pytest.raises(RangeError):
        levelised_usd(costs, np.zeros(4), 0.08)


def test_a_levelised_cost_of_constant_output_is_an_annuity():
    price = levelised_usd(np.zeros(10), np.ones(10), 0.08, convention="end", upfront_usd=1000.0)
    assert price == pytest.approx(annuity_usd(1000.0, 0.08, 10), rel=EXACT)


def test_part_of_a_year_idles_in_part():
    whole, more = (idle_capital_usd(10, 1.0, years, 0.1) for years in (2.0, 2.25))
    assert more - whole == pytest.approx(0.25 * 10 * HOURS_PER_YEAR / 1.1**2)
    assert idle_capital_usd(10, 1.0, 0.0, 0.1) == 0.0
    ends = [idle_capital_usd(10, 1.0, 3.0, 0.1, convention=of) for of in ("start", "middle", "end")]
    assert ends == sorted(ends, reverse=True)
    with pytest.raises(RangeError):
        idle_capital_usd(10, 1.0, -1.0, 0.1)


def run_of(**changes):
    of = {
        "acquired": datetime.date(2022, 1, 1),
        "started": datetime.date(2023, 1, 1),
        "chip_h": 1e6,
        "usd_per_chip": 40_000.0,
        "server_overhead": 1.6,
        "interconnect_frac": 0.2,
        "chip_power_w": 900.0,
        "pue": 1.2,
        "usd_per_kwh": 0.08,
        "decay_ooms_per_year": 0.14,
        "hours_per_year": 8766.0,
    }
    return TrainingRun(**{**of, **changes})


def test_a_training_run_is_split_as_its_shares_say():
    run = run_of()
    costs = by_item_usd(ledger(training_costs(run)))
    hardware = costs["chips"] + costs["servers"]
    assert hardware / costs["chips"] == pytest.approx(1.6)
    assert costs["interconnect"] / (hardware + costs["interconnect"]) == pytest.approx(0.2)
    assert costs["energy"] == pytest.approx(1e6 * 0.9 * 1.2 * 0.08)
    assert run.usd_per_chip_at_start == pytest.approx(40_000.0 * 0.724, rel=1e-3)


@pytest.mark.parametrize("change", [{"interconnect_frac": 1.0}, {"interconnect_frac": -0.1}, {"server_overhead": 0.5}])
def test_a_training_run_outside_its_range_is_refused(change):
    with pytest.raises(RangeError):
        list(training_costs(run_of(**change)))
