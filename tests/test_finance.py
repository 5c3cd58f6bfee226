"""Money: identities of finance, tariffs by hand, the ledger's sums."""

import csv

import numpy as np
import pandas as pd
import pytest
import pyxirr
from hypothesis import given
from hypothesis import strategies as st

from dcsim.catalog.load import Assumptions, catalog
from dcsim.errors import RangeError
from dcsim.finance import cashflow
from dcsim.finance.bill import bill
from dcsim.finance.ledger import Entry, Index, ledger, month_name, month_number, month_numbers, monthly_flows, rows
from dcsim.finance.tariff import Charge, Tariff
from dcsim.finance.tariff_rows import read_tariff


@pytest.fixture
def identities(reference):
    with reference("cases/tco_finance_identities.csv").open(newline="") as file:
        return {row["case_id"]: row for row in csv.DictReader(file)}


def test_payment_npv_and_irr_equal_the_hand_worked_figures(identities):
    flows = [-100, 39, 59, 55, 20]
    assert cashflow.annuity_usd(66.7e6, 0.05 / 12, 36) == pytest.approx(float(identities["pmt_servers"]["expected"]))
    assert cashflow.npv_usd(flows, 0.08, 1) == pytest.approx(float(identities["npv_t0"]["expected"]), rel=1e-12)
    assert cashflow.irr(flows, 1).rate_frac == pytest.approx(float(identities["irr_simple"]["expected"]), rel=1e-9)
    negative = [-10_000] + [327.24625] * 16
    assert cashflow.irr(negative, 1).rate_frac == pytest.approx(float(identities["irr_negative"]["expected"]), rel=1e-9)
    assert cashflow.annuity_usd(1.0, 0.08, 15) == pytest.approx(float(identities["crf"]["expected"]), rel=1e-12)


def test_two_rates_are_both_named_and_neither_is_chosen():
    # Excel answers 185 %, numpy-financial -77 %; both make the NPV zero.
    result = cashflow.irr([-50, -100, 600, 300, -100], 1)
    assert result.rate_frac is None
    assert result.roots == pytest.approx((-0.7688955, 1.8544178), abs=1e-6)
    assert "2 rates" in result.reason


def test_flows_of_one_sign_have_no_rate():
    assert cashflow.irr([-1, -2, -3]).roots == ()
    assert "never change sign" in cashflow.irr([-1, -2, -3]).reason


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=40), st.floats(1, 1e7))
def test_one_investment_and_incomes_have_at_most_one_rate_and_pyxirr_agrees(incomes, outlay):
    result = cashflow.irr([-outlay, *incomes], 1)
    assert len(result.roots) <= 1
    if result.rate_frac is not None:
        assert abs(cashflow.npv_usd([-outlay, *incomes], result.rate_frac, 1)) < 1e-6 * (outlay + sum(incomes))
        theirs = pyxirr.irr([-outlay, *incomes])
        if theirs is not None and -0.99 < theirs < 100:
            assert result.rate_frac == pytest.approx(theirs, rel=1e-5, abs=1e-7)


@given(st.floats(-0.5, 1.0), st.integers(1, 360))
def test_an_annuity_repays_its_principal(rate, n):
    payment = cashflow.annuity_usd(1000.0, rate, n)
    assert sum(payment * (1 + rate) ** -k for k in range(1, n + 1)) == pytest.approx(1000.0, rel=1e-6)


def test_an_annuity_without_periods_is_refused():
    with pytest.raises(RangeError, match="n_periods >= 1"):
        cashflow.annuity_usd(1, 0.1, 0)


def test_payback_needs_the_balance_to_stay_above_zero():
    assert cashflow.payback_months([-10, 20, -15, 10]) == 3
    assert cashflow.payback_months([-10, 5]) is None
    assert cashflow.payback_months([5, 5]) == 0


def test_monthly_discounting_is_the_annual_rate_after_twelve_months():
    assert cashflow.discount_factors(13, 0.10)[12] == pytest.approx(1 / 1.1, rel=1e-15)


def entry(month="2027-01", category="opex", quantity=2.0, price=3.0):
    number = month_numbers([month])[0]
    return Entry(int(number), category, "water", "site", quantity, "m3", price, "test")


def test_ledger_amounts_are_quantity_times_price_with_the_sign_of_the_category():
    table = ledger([entry(category="revenue"), entry(category="capex"), entry(quantity=0.0)])
    assert table["amount_usd"].tolist() == [-6.0, 6.0]
    assert table["category"].tolist() == ["capex", "revenue"]


def test_an_entry_of_many_months_is_an_entry_for_each():
    months = month_numbers([f"2027-{m:02d}" for m in range(1, 13)])
    quantity, price = np.arange(12.0), np.linspace(1.0, 2.0, 12)
    grows = Index("opex", 0.03, 2025.5)
    whole = Entry(months, "opex", "water", "site", quantity, "m3", price, "test", grows)
    single = [
        Entry(int(month), "opex", "water", "site", float(volume), "m3", float(usd), "test", grows)
        for month, volume, usd in zip(months, quantity, price, strict=True)
    ]
    table = ledger([whole])
    pd.testing.assert_frame_equal(table, ledger(single), check_exact=True)
    # The first month has no quantity. December 2027 is 2 5/12 years after the middle of 2025.
    assert len(table) == 11
    assert table["amount_usd"].iloc[-1] == pytest.approx(-11.0 * 2.0 * 1.03 ** (2 + 5 / 12))


def test_rows_sum_to_the_same_by_month_and_by_entry():
    months = np.arange(24324, 24330)
    entries = [
        Entry(months, "opex", "water", "site", np.arange(6.0), "m3", 2.0, "test"),
        Entry(months[:3], "capex", "shell", "one", 1.0, "MW", 5.0, "test"),
        Entry(24329, "residual", "shell", "one", 0.0, "MW", 5.0, "test"),
    ]
    laid = rows(entries)
    by_month = laid.by_month_usd(24324, 6)
    for category in ("opex", "capex", "residual", "revenue"):
        assert sum(laid.by_entry_usd(category)) == by_month[category].sum()
    assert laid.by_entry_usd("residual") == [0.0]
    assert by_month["capex"].tolist() == [-5.0, -5.0, -5.0, 0.0, 0.0, 0.0]


def test_monthly_flows_sum_to_the_ledger():
    table = ledger([entry(month=f"2027-{m:02d}", quantity=m) for m in range(1, 13)])
    flows = monthly_flows(table, int(month_numbers(["2026-11"])[0]), 14)
    assert flows.sum() == pytest.approx(table["amount_usd"].sum())
    assert flows[:2].tolist() == [0.0, 0.0]


def test_month_names_and_numbers_are_inverse():
    dates = pd.date_range("1999-12-01", "2031-01-01", freq="MS")
    numbers = [month_number(date) for date in dates]
    assert month_numbers([month_name(n) for n in numbers]).tolist() == numbers
    assert np.all(np.diff(numbers) == 1)


def tariff(*charges):
    return Tariff("t", tuple(Charge(*charge, "test", 2026) for charge in charges), (6, 9), (10, 22), (7, 22))


def hours(start, n):
    when = pd.date_range(start, periods=n, freq="h")
    month = (when.year * 12 + when.month - 1).to_numpy()
    return when, np.full(n, 3600.0), (month - month[0]).astype(np.int64)


def test_a_flat_load_is_billed_by_hand():
    # 1 MW over January 2027: 744 MWh; demand 1,000 kW; weekdays 21 of 31 days with 15 on-peak hours each.
    when, duration, month = hours("2027-01-01", 744)
    lines = bill(
        tariff(
            ("energy", "e", "all", 0.05),
            ("energy", "p", "on_peak", 0.01),
            ("demand", "d", "all", 10.0),
            ("fixed", "f", "all", 100.0),
        ),
        when,
        np.full(744, 1e6),
        duration,
        month,
    )
    assert [line.quantity.tolist() for line in lines] == [
        [pytest.approx(744_000)],
        [pytest.approx(21 * 15 * 1000)],
        [1000.0],
        [1.0],
    ]


def test_a_peak_at_night_costs_no_on_peak_demand():
    when, duration, month = hours("2027-07-05", 48)  # a Monday in summer: on-peak from 10 to 22 h
    power = np.full(48, 1e6)
    power[2] = 5e6
    lines = bill(tariff(("demand", "g", "on_peak", 1.0), ("demand", "d", "all", 1.0)), when, power, duration, month)
    assert [line.quantity[0] for line in lines] == [1000.0, 5000.0]


def test_on_peak_and_off_peak_energy_are_all_energy():
    when, duration, month = hours("2027-01-01", 8760)
    power = np.linspace(1e6, 2e6, 8760)
    lines = bill(
        tariff(("energy", "a", "all", 1.0), ("energy", "n", "on_peak", 1.0), ("energy", "f", "off_peak", 1.0)),
        when,
        power,
        duration,
        month,
    )
    assert np.allclose(lines[0].quantity, lines[1].quantity + lines[2].quantity, rtol=1e-12)
    assert lines[0].quantity.shape == (12,)


def test_the_shipped_tariff_is_read_whole_and_every_charge_is_noted_as_used():
    used = Assumptions(catalog())
    gs3 = read_tariff(used, "dominion-va-gs3")
    assert {charge.kind for charge in gs3.charges} == {"energy", "demand", "fixed"}
    assert set(used.frame()["parameter"]) == set(catalog().part("tariffs", "dominion-va-gs3"))
    # On-peak hours hold 42 % of the year (summer 12 h, winter 15 h on weekdays).
    share = gs3.on_peak(pd.date_range("2027-01-01", periods=8760, freq="h")).mean()
    assert share == pytest.approx(0.416, abs=0.005)
