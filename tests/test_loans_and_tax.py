"""Depreciation, loans, tax, rates of return: worked numbers and identities, without a plan."""

import csv
import datetime
import json

import numpy as np
import pytest
import pyxirr
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import RangeError
from dcsim.finance import cashflow
from dcsim.finance.debt import capacity_usd, idc_usd, loan, present_value_usd
from dcsim.finance.depreciation import TAX_LIVES, macrs_frac, straight_line_usd, tax_depreciation_usd
from dcsim.finance.tax import taxed_income_usd

FLOWS = [-100, 39, 59, 55, 20]


@pytest.fixture
def identities(reference):
    with reference("cases/tco_finance_identities.csv").open(newline="") as file:
        return {
            row["case_id"]: json.loads(row["expected"]) for row in csv.DictReader(file) if " or " not in row["expected"]
        }


def test_schedules_are_those_of_the_tax_office(identities):
    assert macrs_frac(5).tolist() == identities["macrs5"]
    assert macrs_frac(7).tolist() == identities["macrs7"]


@pytest.mark.parametrize("life", [life for life in TAX_LIVES if life])
@pytest.mark.parametrize("month", [1, 6, 12])
def test_every_schedule_deducts_the_whole_basis(life, month):
    # Table A-1 is rounded to a hundredth of a per cent.
    assert macrs_frac(life, month).sum() == pytest.approx(1.0, abs=1e-4)
    assert tax_depreciation_usd(1e6, life, 2027 * 12 + month - 1, 0.4).sum() == pytest.approx(1e6, rel=1e-4)


def test_real_property_starts_in_the_middle_of_its_month():
    # Table A-7a: 2.461 % in the first year for January, rounded so that all years sum to 1; 0.107 % for December.
    assert macrs_frac(39, 1)[0] == pytest.approx(0.02461, abs=5e-5)
    assert macrs_frac(39, 12)[0] == pytest.approx(0.00107, abs=1e-5)
    assert len(macrs_frac(39)) == 40


def test_land_is_never_deducted_and_other_lives_are_refused():
    assert tax_depreciation_usd(1e6, 0, 2027 * 12, 1.0).tolist() == [0.0]
    with pytest.raises(RangeError, match="no recovery period of 10 years"):
        macrs_frac(10)


def test_bonus_is_for_short_lives_alone():
    assert tax_depreciation_usd(100.0, 5, 2027 * 12, 1.0).tolist() == [100.0, 0, 0, 0, 0, 0]
    assert tax_depreciation_usd(100.0, 39, 2027 * 12, 1.0)[0] == pytest.approx(100 * 11.5 / 12 / 39)


def test_tax_shields_are_the_worked_ones(identities):
    def shield(deductions):
        years = np.arange(1, len(deductions) + 1)
        return float(0.21 * deductions @ 1.1**-years)

    basis = 100e6
    assert shield(tax_depreciation_usd(basis, 5, 2027 * 12, 0.0)) == pytest.approx(
        identities["macrs5_shield"], rel=1e-12
    )
    assert shield(tax_depreciation_usd(basis, 5, 2027 * 12, 1.0)[:1]) == pytest.approx(
        identities["bonus100_shield"], rel=1e-12
    )
    yearly = straight_line_usd(basis, 5, 60).reshape(5, 12).sum(axis=1)
    assert shield(yearly) == pytest.approx(identities["sl5_shield"], rel=1e-12)


@given(st.floats(1, 1e9), st.floats(0.5, 40), st.integers(1, 500))
def test_books_never_write_off_more_than_was_paid(basis, life, months):
    worn = straight_line_usd(basis, life, months)
    assert (worn >= -1e-9 * basis).all()
    assert worn.sum() == pytest.approx(basis * min(1.0, months / 12 / life), rel=1e-9)


def test_interest_during_construction_is_the_worked_one(identities):
    assert idc_usd(np.full(24, 1e9 / 24), 0.09) == pytest.approx(identities["idc"], rel=1e-12)


def test_a_loan_adds_the_interest_of_draws_at_month_ends():
    draws, lent = run_loan(interest_from=12)
    assert lent.capitalised_usd.sum() == pytest.approx(idc_usd(draws[:12], 0.08, drawn_at=1.0), rel=1e-12)


def test_mirr_is_that_of_spreadsheets(identities):
    assert cashflow.mirr_frac(FLOWS, 0.10, 0.12, 1) == pytest.approx(identities["mirr"], rel=1e-12)
    assert cashflow.mirr_frac([1, 2], 0.1, 0.1) is None


def test_xirr_is_that_of_pyxirr_and_counts_its_roots():
    dates = [datetime.date(2027, 1, 31) + datetime.timedelta(days=90 * k) for k in range(5)]
    assert cashflow.xirr(FLOWS, dates).rate_frac == pytest.approx(pyxirr.xirr(dates, FLOWS), rel=1e-9)
    yearly = [datetime.date(2027, 1, 1) + datetime.timedelta(days=365 * k) for k in range(5)]
    assert len(cashflow.xirr([-50, -100, 600, 300, -100], yearly).roots) == 2


def test_multiples_and_the_deepest_point_are_by_hand():
    assert cashflow.moic([-100, 40, -20, 200]) == pytest.approx(2.0)
    assert cashflow.peak_outlay_usd([-100, 40, -80, 200]) == 140.0
    assert cashflow.peak_outlay_usd([5, 5]) == 0.0
    assert cashflow.moic([1, 2]) is None


def run_loan(n=60, **terms):
    draws = np.zeros(n)
    draws[:12] = 1e6
    given = {"rate_frac": 0.08, "fee_frac": 0.01, "interest_from": 6, "repaid_from": 12, "n_payments": 48} | terms
    return draws, loan(draws, **given)


def test_a_loan_ends_at_zero_and_pays_the_annuity():
    _, lent = run_loan()
    owed = lent.balance_usd[11]
    assert lent.balloon_usd == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(lent.service_usd[12:], cashflow.annuity_usd(owed, 0.08 / 12, 48), rtol=1e-12)
    assert lent.fee_usd.tolist() == [0.12e6, *[0.0] * 59]


@given(st.floats(0, 0.3), st.integers(1, 80), st.integers(0, 12))
def test_what_is_lent_and_added_is_repaid(rate, payments, interest_from):
    draws, lent = run_loan(rate_frac=rate, n_payments=payments, interest_from=interest_from)
    repaid = lent.principal_usd.sum() + lent.balloon_usd
    assert repaid == pytest.approx(draws.sum() + lent.capitalised_usd.sum(), rel=1e-9)
    # A lender who gets every dollar back with interest has a present value of zero at the loan's rate.
    flows = lent.interest_usd + lent.principal_usd - draws
    flows[-1] += lent.balloon_usd
    assert flows @ (1 + rate / 12) ** -np.arange(60.0) == pytest.approx(0.0, abs=1e-3)


def test_a_term_beyond_the_plan_falls_due_at_its_end():
    _, lent = run_loan(n_payments=96)
    assert lent.balloon_usd > 4e6
    assert lent.balance_usd[-1] == pytest.approx(lent.balloon_usd)


def test_a_sculpted_loan_follows_the_cash_and_is_repaid():
    cash = np.concatenate([np.zeros(12), np.linspace(2e5, 6e5, 48)])
    _, lent = run_loan(shape_usd=cash)
    cover = cash[12:] / lent.service_usd[12:]
    np.testing.assert_allclose(cover, cover[0], rtol=1e-9)
    assert lent.balloon_usd == pytest.approx(0.0, abs=1e-5)
    # The loan that this cash carries at that cover is the loan.
    assert capacity_usd(cash[12:], 0.08, float(cover[0])) == pytest.approx(lent.balance_usd[11], rel=1e-9)


def test_a_loan_that_nothing_can_repay_is_refused():
    with pytest.raises(RangeError, match="none is left"):
        run_loan(shape_usd=np.zeros(60))
    with pytest.raises(RangeError, match="after its last draw"):
        run_loan(repaid_from=8)


def test_present_value_of_an_annuity_is_its_principal():
    assert present_value_usd(np.full(36, cashflow.annuity_usd(1e6, 0.01, 36)), 0.01) == pytest.approx(1e6)


def test_losses_offset_four_fifths_of_later_income():
    taxed = taxed_income_usd(np.array([-100.0, 50.0, 50.0, 100.0]), loss_limit_frac=0.8)
    # 40 and 40 of the loss are used, then the last 20.
    assert taxed.tolist() == pytest.approx([0.0, 10.0, 10.0, 80.0])


def test_an_owner_with_other_income_uses_losses_at_once():
    income = np.array([-100.0, 50.0])
    assert taxed_income_usd(income, loss_limit_frac=0.8, carry_forward=False).tolist() == [-100.0, 50.0]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0, 1))
def test_carried_losses_never_make_tax_larger_or_negative(income, limit):
    taxed = taxed_income_usd(np.array(income), loss_limit_frac=limit)
    assert (taxed >= 0).all()
    assert (taxed <= np.maximum(income, 0) + 1e-9).all()
