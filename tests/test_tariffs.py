"""Tariffs: tiers, ratchets, minimums, coincident demand and periods by hand, and rows that are no tariff."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import small

from dcsim import pipeline, runs
from dcsim.catalog.load import Assumptions, Catalog, Row, catalog
from dcsim.errors import InputError, UnknownNameError
from dcsim.finance.bill import Supplied, bill, ratchet_kw
from dcsim.finance.books import contract_kw
from dcsim.finance.periods import Window
from dcsim.finance.tariff import Ratchet, energy_usd_per_kwh
from dcsim.finance.tariff_rows import read_tariff


def tariff_of(**rows):
    """A tariff of rows, whose names have _ for a colon and - for a slash."""
    return read_tariff(used_of(rows), "t")


def used_of(rows):
    named = {name.replace("__", ":").replace("_of_", "/"): value for name, value in rows.items()}
    table = {
        ("tariffs", "t", name): Row("tariffs", "t", name, value, "1", 2026, None, None, "assumption", "a test")
        for name, value in named.items()
    }
    return Assumptions(Catalog([*catalog().rows, *table.values()], catalog().aliases))


def year_of(power_w, start="2027-01-01"):
    """Arguments of a bill for power by the hour."""
    when = pd.date_range(start, periods=len(power_w), freq="h")
    month = (when.year * 12 + when.month - 1).to_numpy()
    return when, np.asarray(power_w, dtype=float), np.full(len(power_w), 3600.0), (month - month[0]).astype(np.int64)


def months_of(peaks_kw, base_kw=0.0, start="2027-01-01"):
    """Power with one hour of a peak in each month, over a base."""
    when = pd.date_range(start, periods=len(peaks_kw), freq="MS")
    hours = pd.date_range(start, when[-1] + pd.offsets.MonthBegin(1), freq="h", inclusive="left")
    power = np.full(len(hours), base_kw * 1e3)
    power[hours.get_indexer(when) + 30] = np.array(peaks_kw) * 1e3
    return year_of(power, start)


def lines(tariff, args, **others):
    """Quantities by kind, line and tier."""
    return {
        (of.charge.kind, of.charge.line, of.charge.tier): of.quantity.tolist() for of in bill(tariff, *args, **others)
    }


def total_usd(tariff, args, **others):
    return sum(float(of.quantity.sum()) * of.charge.price_usd for of in bill(tariff, *args, **others))


def test_the_minimum_demand_of_a_published_case_is_billed_to_the_cent(reference):
    with reference("cases/tco_finance_identities.csv").open(newline="") as file:
        case = next(row for row in csv.DictReader(file) if row["case_id"] == "ratchet_bill")
    # Contract 100 MW, peak 60 MW in the month, 85 % minimum, 12 USD/kW, 40 GWh at 0.045 USD.
    tariff = tariff_of(demand__d__all=12.0, minimum__d__frac=0.85, energy__e__all=0.045)
    hours = 24 * 31
    base_w = (40e9 - 60e6) / (hours - 1)  # Wh of the month less the hour of the peak
    power = np.full(hours, base_w)
    power[100] = 60e6
    args = year_of(power)
    assert total_usd(tariff, args, contract_kw=100e3) == pytest.approx(float(case["expected"]), abs=0.005)
    found = lines(tariff, args, contract_kw=100e3)
    assert found["demand", "d", 0] == [60_000.0]
    assert found["minimum demand", "d", 0] == [25_000.0]
    assert found["energy", "e", 0] == [pytest.approx(40e6)]


def test_a_minimum_below_the_peak_bills_nothing():
    tariff = tariff_of(demand__d__all=1.0, minimum__d__frac=0.5)
    assert lines(tariff, months_of([60, 40]), contract_kw=100.0)["minimum demand", "d", 0] == [0.0, 10.0]


def test_a_ratchet_remembers_so_many_months_and_not_those_before_the_plan():
    # 80 % of the highest of three months before: 100 holds 80 for three months.
    tariff = tariff_of(demand__d__all=1.0, ratchet__d__frac=0.8, ratchet__d__months=3)
    found = lines(tariff, months_of([50, 100, 60, 70, 90, 60, 60]))
    assert found["demand", "d", 0] == [50, 100, 60, 70, 90, 60, 60]
    # Billed: 50, 100, 80, 80, 90, max(60, 0.8 * 90), max(60, 0.8 * 90).
    assert found["demand ratchet", "d", 0] == pytest.approx([0, 0, 20, 10, 0, 12, 12])


def test_a_seasonal_ratchet_counts_the_demands_of_its_months():
    summer = Ratchet(0.95, 11, 6, 9)
    measured = np.array([100.0, 50.0, 80.0, 60.0, 60.0, 60.0])  # from May to October
    floor = ratchet_kw(summer, measured, np.array([5, 6, 7, 8, 9, 10]))
    np.testing.assert_allclose(floor, [0, 0, 47.5, 76, 76, 76])
    winter = Ratchet(0.6, 11, 10, 5)
    floor = ratchet_kw(winter, measured, np.array([5, 6, 7, 8, 9, 10]))
    np.testing.assert_allclose(floor, [0, 60, 60, 60, 60, 60])


def test_a_ratchet_and_a_minimum_bill_each_what_they_add():
    tariff = tariff_of(
        demand__d__all=1.0,
        ratchet__d_of_summer__frac=0.9,
        ratchet__d_of_summer__months=11,
        ratchet__d_of_winter__frac=0.5,
        ratchet__d_of_winter__months=11,
        minimum__d__frac=0.7,
    )
    found = lines(tariff, months_of([100, 40, 75]), contract_kw=100.0)
    assert found["demand ratchet", "d", 0] == [0, 50, 15]
    assert found["minimum demand", "d", 0] == [0, 0, 0]
    found = lines(tariff, months_of([50, 40, 75]), contract_kw=100.0)
    assert found["demand ratchet", "d", 0] == [0, 5, 0]
    assert found["minimum demand", "d", 0] == pytest.approx([20, 25, 0])


@given(
    st.lists(st.floats(1, 1e4), min_size=2, max_size=14),
    st.floats(0, 1),
    st.integers(1, 12),
    st.floats(0, 1),
)
def test_a_ratchet_or_a_minimum_never_lowers_a_bill(peaks, frac, n, minimum):
    args = months_of(peaks)
    plain = total_usd(tariff_of(demand__d__all=3.0), args)
    with_ratchet = {"demand__d__all": 3.0, "ratchet__d__frac": frac, "ratchet__d__months": n}
    ratchet = total_usd(tariff_of(**with_ratchet), args)
    both = total_usd(tariff_of(**with_ratchet, minimum__d__frac=minimum), args, contract_kw=max(peaks))
    assert plain <= ratchet * (1 + 1e-12)
    assert ratchet <= both * (1 + 1e-12)
    # None bills more than the highest demand in every month.
    assert both <= 3.0 * len(peaks) * max(peaks) * (1 + 1e-12)


def test_tiers_are_billed_by_hand():
    # 1,000 kW in January 2027: 744 MWh. First 3 MWh, then to 200 h of demand, then to 3 MWh + 400 h, then the rest.
    tariff = tariff_of(
        energy__b_of_1__all=0.10,
        energy__b_of_2__all=0.05,
        energy__b_of_3__all=0.03,
        energy__b_of_4__all=0.01,
        tier__b_of_1__kwh=3000.0,
        tier__b_of_2__h=200.0,
        tier__b_of_3__kwh=3000.0,
        tier__b_of_3__h=400.0,
        demand__d__all=1.0,
    )
    args = year_of(np.full(744, 1e6))
    found = lines(tariff, args)
    tiers = [found["energy", "b", n][0] for n in (1, 2, 3, 4)]
    assert tiers == pytest.approx([3_000, 197_000, 203_000, 341_000])
    # A minimum demand of 1,500 kW widens the blocks of hours' use.
    widened = tariff_of(
        energy__b_of_1__all=0.10,
        energy__b_of_2__all=0.05,
        tier__b_of_1__h=200.0,
        demand__d__all=1.0,
        minimum__d__frac=1.0,
    )
    assert lines(widened, args, contract_kw=1500.0)["energy", "b", 1] == [pytest.approx(300_000)]
    # One more kWh is of the last tier.
    np.testing.assert_array_equal(energy_usd_per_kwh(tariff, args[0][:3]), 0.01)


@given(st.lists(st.floats(0, 1e4), min_size=24, max_size=60), st.floats(0, 1e5), st.floats(0, 300), st.floats(0, 1e5))
def test_tiers_sum_to_energy(power_kw, first_kwh, hours, third_kwh):
    tariff = tariff_of(
        energy__b_of_1__all=1.0,
        energy__b_of_2__all=1.0,
        energy__b_of_3__all=1.0,
        tier__b_of_1__kwh=first_kwh,
        tier__b_of_1__h=hours,
        tier__b_of_2__kwh=third_kwh,
        energy__plain__all=1.0,
    )
    found = lines(tariff, year_of(np.array(power_kw) * 1e3))
    tiers = [found["energy", "b", n][0] for n in (1, 2, 3)]
    assert min(tiers) >= 0
    assert sum(tiers) == pytest.approx(found["energy", "plain", 0][0], rel=1e-9, abs=1e-6)


def test_windows_wrap_over_midnight_and_the_new_year():
    when = pd.date_range("2027-01-01", periods=8760, freq="h")
    night = Window(from_h=22, to_h=6).holds(when)
    assert night.sum() == 8 * 365
    assert night[[0, 5, 22]].all()
    assert not night[[6, 21]].any()
    winter = Window(11, 2).holds(when)
    assert sorted(set(when.month[winter])) == [1, 2, 11, 12]
    weekend = Window(days=2).holds(when)
    assert set(when.day_of_week[weekend]) == {5, 6}
    assert (weekend ^ Window(days=1).holds(when)).all()


def test_periods_of_a_line_and_the_rest_are_all_energy():
    tariff = tariff_of(
        energy__e__peak=0.3,
        energy__e__shoulder=0.2,
        energy__e__rest=0.1,
        energy__all__all=1.0,
        period__peak__first_month=6,
        period__peak__last_month=9,
        period__peak__from_h=16,
        period__peak__to_h=21,
        period__shoulder_of_day__from_h=9,
        period__shoulder_of_day__to_h=16,
        period__shoulder_of_late__from_h=21,
        period__shoulder_of_late__to_h=24,
        period__shoulder_of_late__days=1,
        coincident__c__peak=5.0,
    )
    power = np.random.default_rng(1).uniform(1e6, 2e6, 8760)
    args = year_of(power)
    of = {line.charge.period: line.quantity for line in bill(tariff, *args) if line.charge.kind == "energy"}
    np.testing.assert_allclose(of["peak"] + of["shoulder"] + of["rest"], of["all"], rtol=1e-12)
    assert of["peak"][:5].sum() == 0
    price = energy_usd_per_kwh(tariff, args[0])
    assert set(np.round(price, 9)) == {1.1, 1.2, 1.3}


def test_coincident_demand_is_that_of_its_window():
    tariff = tariff_of(
        coincident__c__cp=2.0,
        coincident_carried__t__cp=3.0,
        period__cp__first_month=6,
        period__cp__last_month=9,
        period__cp__from_h=15,
        period__cp__to_h=18,
        period__cp__days=1,
    )
    power = np.full(2 * 8760, 1e6)  # 2027 and 2028 but its last day
    when = pd.date_range("2027-01-01", periods=len(power), freq="h")
    power[when == "2027-06-01 16:00"] = 4e6  # a Tuesday within the window
    power[when == "2027-07-01 19:00"] = 9e6  # after it
    power[when == "2027-08-01 16:00"] = 9e6  # a Sunday
    found = lines(tariff, year_of(power))
    assert found["coincident demand", "c", 0][:12] == [0, 0, 0, 0, 0, 4000, 1000, 1000, 1000, 0, 0, 0]
    carried = found["coincident demand of last year", "t", 0]
    assert carried == [0.0] * 12 + [pytest.approx((4000 + 3 * 1000) / 4)] * 12


def test_energy_below_the_minimum_take_is_billed():
    # 1,000 kW of contract, 80 % of 744 h: 595.2 MWh; 500 kW took 372 MWh.
    tariff = tariff_of(energy__e__all=0.05, take__shortfall__frac=0.8, take__shortfall__usd_per_kwh=0.02)
    args = year_of(np.full(744, 5e5))
    assert lines(tariff, args, contract_kw=1000.0)["minimum take", "shortfall", 0] == [pytest.approx(223_200)]
    assert lines(tariff, args, contract_kw=600.0)["minimum take", "shortfall", 0] == [0.0]


def test_energy_that_others_supply_is_not_billed_but_counts_for_demand():
    tariff = tariff_of(energy__g__all=0.05, energy__wires__all=0.01, demand__d__all=1.0)
    args = year_of(np.full(744, 1e6))
    supplied = [Supplied(np.full(744, 4e5), ("wires",)), Supplied(np.full(744, 1e5))]
    found = lines(tariff, args, supplied=supplied)
    assert found["energy", "g", 0] == [pytest.approx(500 * 744)]
    assert found["energy", "wires", 0] == [pytest.approx(900 * 744)]
    assert found["demand", "d", 0] == [1000.0]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"enrgy__e__all": 1.0}, "'enrgy' is not one of energy, demand"),
        ({"energy__e__night": 1.0}, "'night' is not one of all, on_peak, off_peak, rest"),
        ({"demand__d__all": 1.0, "ratchet__d__frac": 1.5, "ratchet__d__months": 11}, "1.5 is not from 0 to 1"),
        ({"demand__d__all": 1.0, "ratchet__d__frac": 0.5}, "has no months"),
        ({"demand__d__all": 1.0, "ratchet__d__frac": 0.5, "ratchet__d__months": 2.5}, "not a whole number from 1"),
        ({"demand__d__all": 1.0, "ratchet__x__frac": 0.5, "ratchet__x__months": 11}, "name one of d"),
        ({"demand__d__all": 1.0, "minimum__d__share": 0.5}, "'share' is not one of frac"),
        ({"energy__e_of_1__all": 1.0, "energy__e_of_3__all": 1.0}, "numbered from 1 without a gap"),
        ({"energy__e_of_1__all": 1.0, "energy__e_of_2__all": 1.0}, "the ends needed are those of e/1"),
        ({"energy__e__all": 1.0, "tier__e_of_1__kwh": 5.0}, "no energy charge has such a tier"),
        ({"demand__d_of_1__all": 1.0}, "energy alone has them"),
        ({"take__e__frac": 0.5}, "has no usd_per_kwh"),
        ({"energy__e__all": 1.0, "period__p__from_hour": 5.0}, "'from_hour' is not one of"),
    ],
)
def test_rows_that_are_no_tariff_are_refused_with_the_rule(rows, says):
    with pytest.raises(InputError, match=says):
        tariff_of(**rows)


def test_every_fault_of_a_tariff_is_listed_at_once():
    with pytest.raises(InputError) as caught:
        tariff_of(enrgy__e__all=1.0, energy__e__night=1.0, take__e__frac=0.5)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("key", catalog().keys("tariffs"))
def test_a_shipped_tariff_is_read_whole(key):
    used = Assumptions(catalog())
    tariff = read_tariff(used, key)
    assert {charge.kind for charge in tariff.charges} >= {"energy", "demand", "fixed"}
    assert set(catalog().part("tariffs", key)) <= set(used.frame()["parameter"])


def test_an_unknown_tariff_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'dominion-va-gs3'"):
        read_tariff(Assumptions(catalog()), "dominion-va-gs2")


def test_a_contract_is_the_connection_or_what_is_stated_in_steps():
    site = small().scenario.site
    first = 2027 * 12
    np.testing.assert_array_equal(contract_kw(site, first, 3), [1000.0] * 3)
    ramped = small("site.contract=[{mw: 0.25}, {mw: 0.5, start: 2027-02-01}, {mw: 1.0, start: 2027-04-01}]")
    np.testing.assert_array_equal(contract_kw(ramped.scenario.site, first, 5), [250, 500, 500, 1000, 1000])
    late = small("site.contract=[{mw: 0.5, start: 2027-02-01}]").scenario.site
    np.testing.assert_array_equal(contract_kw(late, first, 2), [0, 500])


@pytest.mark.parametrize(
    ("contract", "says"),
    [
        ("[{mw: 1, start: 2027-02-15}]", "first day of a month"),
        ("[{mw: 1, start: 2027-02-01}, {mw: 2}]", "needs a start"),
        ("[{mw: 1, start: 2027-02-01}, {mw: 2, start: 2027-01-01}]", "in the order of their starts"),
    ],
)
def test_contracts_out_of_order_are_refused(contract, says):
    with pytest.raises(InputError, match=says):
        small(f"site.contract={contract}")


def test_a_plan_under_a_large_load_tariff_pays_for_what_it_does_not_draw(tmp_path):
    run = runs.read(pipeline.run(small("site.tariff=aep-ohio-data-center"), tmp_path))
    rows = run.ledger[run.ledger["category"] == "opex"].set_index("item")
    measured = rows.loc["electricity demand: transmission", "quantity"].to_numpy()
    added = rows.loc["electricity minimum demand: transmission", "quantity"].to_numpy()
    # 85 % of the 1 MW connection, from the first month, although half of it stands.
    np.testing.assert_allclose(measured + added, 850.0)
    peak = run.intervals["facility_power_w"].max() / 1e3
    assert measured.max() == pytest.approx(peak)
    used = run.assumptions.set_index("parameter")
    assert used.loc["minimum:transmission:frac", "value"] == 0.85


def test_a_factor_on_energy_moves_energy_alone(tmp_path):
    plain, dear = (
        runs.read(pipeline.run(small("workload.jobs.offered_load_frac=0.1", *sets), tmp_path))
        for sets in ((), ("economics.energy_price_factor=1.5",))
    )
    for run, factor in ((plain, 1.0), (dear, 1.5)):
        of = run.ledger[run.ledger["item"].str.startswith("electricity energy")]
        assert len(of)
        base = plain.ledger[plain.ledger["item"].str.startswith("electricity energy")]
        np.testing.assert_allclose(of["amount_usd"].to_numpy(), factor * base["amount_usd"].to_numpy())
    rest = [run.ledger[~run.ledger["item"].str.startswith("electricity energy")] for run in (plain, dear)]
    assert rest[0]["amount_usd"].sum() == pytest.approx(rest[1]["amount_usd"].sum())
