"""A plan as an investment: tax, debt, tenure, revenue, delay, and the identities that tie every table to the ledger."""

import numpy as np
import pandas as pd
import pytest
from dcsim.reports.run_report import html
from plans import investment_rows as rows
from plans import small, value

from dcsim import pipeline
from dcsim.errors import InputError, RangeError
from dcsim.finance import cashflow
from dcsim.finance.ledger import OPERATING, month_numbers, monthly_flows
from dcsim.stated_assets import HARDWARE

EARNS = "economics.revenue={kind: internal, usd_per_gpu_h: 6.0}"
TAX = "economics.tax={bonus_frac: 0.0}"
DEBT = "economics.debt={ltv_frac: 0.6, rate_frac: 0.08, term_years: 3}"
TWO_YEARS = "plan.years=2"
FLAT_PPA = "site.clean_power=[{name: hydro, capacity_mw: 0.3, certificate_usd_per_mwh: 4.0}]"


FINANCED = [
    (EARNS, TAX, DEBT, TWO_YEARS),
    (EARNS, TAX, DEBT.replace("term_years: 3", "term_years: 1, repayment: sculpted"), TWO_YEARS),
    (EARNS, TAX, DEBT.replace("ltv_frac: 0.6", "ltv_frac: 0.9, draws: equity_first"), TWO_YEARS),
    (EARNS, "economics.tax={losses: used_at_once}", DEBT, TWO_YEARS),
    (TAX, DEBT),
]


@pytest.mark.parametrize("sets", FINANCED, ids=range(len(FINANCED)))
def test_every_table_is_tied_to_the_ledger(ran, sets):
    run = ran(*sets)
    table, ledger = run.statement, run.ledger
    first = month_numbers(table["month"][:1])[0]
    whole = monthly_flows(ledger, first, len(table))
    np.testing.assert_allclose(table["cash_to_equity_usd"], whole, rtol=1e-12, atol=1e-6)
    before = sum(monthly_flows(ledger, first, len(table), of) for of in OPERATING)
    np.testing.assert_allclose(table["cash_before_tax_usd"], before, rtol=1e-12, atol=1e-6)
    assert run.register["paid_usd"].sum() == pytest.approx(value(run, "capex_usd"), rel=1e-12)
    # Over its life all capital is worn out or sold and every loan repaid, so profit is cash.
    assert table["net_income_usd"].sum() == pytest.approx(table["cash_to_equity_usd"].sum(), rel=1e-9)
    debt = ledger[ledger["category"] == "debt"]
    lent = debt.loc[debt["item"].str.startswith("loan drawn"), "amount_usd"].sum()
    repaid = debt.loc[debt["item"].isin(["principal", "balance repaid at the end"]), "amount_usd"].sum()
    assert lent == pytest.approx(-repaid, rel=1e-9)


def test_sources_are_uses(ran):
    run = ran(*FINANCED[0])
    assert value(run, "loan_usd") == pytest.approx(0.6 * value(run, "capex_usd"), rel=1e-12)
    assert run.findings["finance"]["loan"]["drawn_usd"] == pytest.approx(value(run, "loan_usd"))


def test_tax_is_that_of_the_return_worked_out_again(ran):
    run = ran(*FINANCED[0])
    table = run.statement.assign(year=run.statement["month"].str[:4])
    income = (
        table.groupby("year")[["ebitda_usd", "interest_usd", "finance_costs_usd"]].sum().sum(axis=1).to_numpy().copy()
    )
    years = sorted(set(table["year"]))
    # Every purchase goes into service in 2027 and is sold with the plan in 2028: two years of MACRS, then the rest.
    shares = {0: (0, 0), 5: (0.2, 0.32), 15: (0.05, 0.095)}
    for one in run.register.to_dict("records"):
        service = years.index(one["in_service"][:4])
        month = int(one["in_service"][5:])
        two = shares.get(one["macrs_years"], ((12.5 - month) / 12 / 39, 1 / 39))
        income[service] -= two[0] * one["paid_usd"]
        income[service + 1] -= two[1] * one["paid_usd"]
        income[service + 1] += one["sold_usd"] - (1 - sum(two)) * one["paid_usd"]
    losses, paid = 0.0, []
    for of in income:
        used = min(losses, 0.8 * max(of, 0.0))
        losses += max(-of, 0.0) - used
        paid.append(0.21 * (max(of, 0.0) - used))
    found = -table.groupby("year")["tax_usd"].sum().to_numpy()
    np.testing.assert_allclose(found, paid, rtol=1e-9, atol=1e-3)
    assert sum(paid) > 0


def test_a_loan_of_nothing_and_a_tax_of_nothing_change_nothing(ran):
    plain = ran(EARNS)
    run = ran(EARNS, "economics.tax={rate_frac: 0.0}", DEBT.replace("0.6", "0.0"))
    for name in ("npv_after_tax_usd", "npv_equity_usd"):
        assert value(run, name) == pytest.approx(value(plain, "npv_usd"), rel=1e-12)
    assert value(run, "irr_equity_frac") == pytest.approx(value(plain, "irr_frac"), rel=1e-9)


def test_cheap_debt_raises_equity_returns_and_dear_debt_lowers_them(ran):
    cheap, dear = (ran(EARNS, TWO_YEARS, DEBT.replace("0.08", rate)) for rate in ("0.01", "0.90"))
    assert value(cheap, "irr_equity_frac") > value(cheap, "irr_frac") > value(dear, "irr_equity_frac")


def test_a_sculpted_loan_is_as_large_as_its_cover_allows(ran):
    run = ran(*FINANCED[1])
    loan = run.findings["finance"]["loan"]
    assert "debt service cover of 1.3" in loan["limited_by"]
    assert value(run, "dscr_min") == pytest.approx(1.3, rel=1e-9)
    assert value(run, "llcr") == pytest.approx(1.3, rel=1e-9)


def test_cover_and_loan_life_cover_are_by_hand(ran):
    run = ran(*FINANCED[0])
    table, loan = run.statement, run.findings["finance"]["loan"]
    paying = table[table["month"] >= loan["first_payment"]]
    by_year = paying.groupby(paying["month"].str[:4])[["cash_for_debt_usd", "debt_service_usd"]].sum()
    cover = -by_year["cash_for_debt_usd"] / by_year["debt_service_usd"]
    assert value(run, "dscr_min") == pytest.approx(cover.min())
    assert value(run, "dscr_mean") == pytest.approx(cover.mean())
    cash = paying["cash_for_debt_usd"].to_numpy()
    owed = table.loc[table["month"] < loan["first_payment"], "debt_balance_usd"].iloc[-1]
    worth = sum(one / (1 + 0.08 / 12) ** (k + 1) for k, one in enumerate(cash))
    assert value(run, "llcr") == pytest.approx(worth / owed)


def test_a_loan_that_cash_cannot_repay_is_refused_with_the_way_out():
    with pytest.raises(RangeError, match="no cash is left after operating costs"):
        loaded = small("economics.revenue={kind: internal, usd_per_gpu_h: 0.01}", DEBT[:-1] + ", repayment: sculpted}")
        pipeline.answered(pipeline.prepare(loaded))


def test_real_and_nominal_rates_give_one_value(ran):
    nominal = ran(EARNS, "economics.opex_inflation_frac=0.03", "economics.discount_rate=0.1124")
    real = ran(EARNS, "economics.opex_inflation_frac=0.03", "economics.discount_rate=0.08", "economics.dollars=real")
    assert value(real, "npv_usd") == pytest.approx(value(nominal, "npv_usd"), rel=1e-9)
    assert value(real, "cost_usd_per_gpu_h") < value(nominal, "cost_usd_per_gpu_h")
    assert any("real" in said for said in real.findings["conventions"])


def test_rates_of_return_are_those_of_the_statement(ran):
    run = ran(EARNS)
    flows = run.statement["cash_before_tax_usd"].to_numpy()
    assert value(run, "irr_frac") == pytest.approx(cashflow.irr(flows).rate_frac)
    assert value(run, "moic") == pytest.approx(flows[flows > 0].sum() / -flows[flows < 0].sum())
    assert value(run, "peak_outlay_usd") == pytest.approx(-np.cumsum(flows).min())
    assert value(run, "discounted_payback_years") >= value(run, "payback_years")
    # Months of 28 to 31 days against twelfths of a year of 365 days.
    assert value(run, "xirr_frac") == pytest.approx(value(run, "irr_frac"), rel=0.01)


def test_a_tenant_builds_nothing_and_pays_by_the_kilowatt(ran):
    run = ran("economics.tenure={kind: colocation}")
    assert set(run.register["asset_class"]) == set(HARDWARE)
    rent = rows(run, "colocation rent")
    # CBRE's 194.95 USD of 2025 grows by 3 % a year to the middle of each month.
    months = month_numbers(rent["month"])
    np.testing.assert_allclose(rent["unit_price_usd"], 194.95 * 1.03 ** (months / 12 - 2025.5), rtol=1e-12)
    final_kw = 1e3 * run.findings["phases"][-1]["critical_mw"]
    assert rent["quantity"].iloc[-1] == pytest.approx(final_kw)
    assert rows(run, "electricity").shape[0] and rows(run, "water").empty


def test_a_cloud_is_rented_by_the_hour_and_nothing_else_is_paid(ran):
    run = ran("economics.tenure={kind: cloud}")
    assert run.register.empty
    assert set(run.ledger["category"]) == {"opex", "revenue"}
    rent = rows(run, "cloud rent")
    assert set(run.ledger.loc[run.ledger["category"] == "opex", "item"]) == set(rent["item"])
    intervals = run.intervals
    assert rent["quantity"].sum() == pytest.approx((intervals["gpus_energised"] * intervals["duration_s"]).sum() / 3600)
    assert "chart-capex" not in html(run)
    on_demand = ran("economics.tenure={kind: cloud, commitment: on_demand, price_factors: {main: 2.0}}")
    held = (intervals["gpus_allocated"] * intervals["duration_s"]).sum() / 3600
    assert rows(on_demand, "cloud rent")["quantity"].sum() == pytest.approx(held)
    prices = [of.set_index("month")["unit_price_usd"] for of in (rent, rows(on_demand, "cloud rent"))]
    np.testing.assert_allclose(prices[1] / prices[0], 2.0)


def test_contract_spot_ramp_and_take_or_pay_share_the_hours(ran):
    run = ran(
        "economics.revenue={kind: rental, sold_frac: 0.5, take_or_pay_frac: 0.9, ramp: {months: 6, from_frac: 0.5}, "
        "spot: {share_frac: 0.2, sold_frac: 0.4}}"
    )
    sold, idle, spot = (
        rows(run, start).set_index("month")["quantity"]
        for start in ("GPU rental: h100-contract", "take or pay", "GPU rental at spot")
    )
    plain = ran().ledger
    held = plain[plain["item"].str.startswith("GPU rental")].set_index("month")["quantity"] / 0.9
    x = np.clip((np.arange(12) + 0.5) / 6, 0, 1)
    ramp = 0.5 + 0.5 * x * x * (3 - 2 * x)
    np.testing.assert_allclose(sold, held * 0.8 * 0.5 * ramp, rtol=1e-12)
    np.testing.assert_allclose(spot, held * 0.2 * 0.4 * ramp, rtol=1e-12)
    energised = run.statement.set_index("month")["gpus_energised"][sold.index] * [
        pd.Period(month).days_in_month * 24 for month in sold.index
    ]
    # Contracts pay for nine tenths of the energised hours under contract, used or not.
    np.testing.assert_allclose(sold + idle, 0.9 * 0.8 * ramp * energised, rtol=1e-9)


def test_posts_licences_and_carbon_are_by_hand(ran):
    run = ran(
        "economics.staff=[{role: operators, posts: 2, shift: 24x7}, "
        "{role: manager, posts: 1, usd_per_fte_year: 180000}]",
        "economics.software=[nvidia-ai-enterprise]",
        "economics.carbon_price={usd_per_t: 80, price_year: 2026, rise_frac_per_year: 0.05}",
    )
    people = rows(run, "staff: operators")["quantity"]
    np.testing.assert_allclose(people, 2 * 8760 / 1800)
    assert rows(run, "staff: manager")["price_usd"].iloc[0] == 15_000.0
    assert rows(run, "staff: manager")["source"].iloc[0] == "scenario"
    licences = rows(run, "software")
    np.testing.assert_allclose(licences["quantity"], run.statement["gpus_energised"][-12:], rtol=1e-12)
    carbon = rows(run, "carbon price")
    assert carbon["quantity"].sum() == pytest.approx(value(run, "carbon_t") + value(run, "carbon_fuel_t"))
    assert carbon["unit_price_usd"].iloc[0] == pytest.approx(80 * 1.05**0.5)


def test_property_is_taxed_on_what_it_is_worth(ran):
    run = ran("economics.property_tax=loudoun-2017")
    personal = rows(run, "property tax: personal").set_index("month")
    hardware = run.register[
        run.register["asset_class"].isin(["GPUs", "servers", "network", "optics", "storage", "spares"])
    ]
    first = hardware[hardware["delivered"] == "2026-12"]
    price = (first["quantity"] * first["unit_price_usd"]).sum()
    # One month after its delivery, 4.2 % a year.
    assert personal.loc["2027-01", "quantity"] == pytest.approx(price * 0.724 ** (1 / 12))
    assert -personal.loc["2027-01", "amount_usd"] == pytest.approx(price * 0.724 ** (1 / 12) * 0.042 / 12)
    assert not rows(run, "property tax: real").empty
    assert rows(ran(), "property tax").empty


def test_draws_are_paid_as_stated(ran):
    run = ran("facility.phases[0].hardware={order: 2026-06-01, delivery: 2026-12-01, draws: [0.2, 0.5, 0.3]}")
    servers = rows(run, "GPUs", "capex")
    servers = servers[servers["phase"] == "hall-1"]
    assert servers["month"].tolist() == ["2026-06", "2026-09", "2026-12"]
    np.testing.assert_allclose(servers["quantity"] / servers["quantity"].sum(), [0.2, 0.5, 0.3])


def test_an_asset_of_ones_own_is_converted_paid_and_depreciated(ran):
    run = ran(
        "economics.exchange_usd={EUR: 1.25}",
        "economics.assets=[{name: substation, asset_class: critical power, quantity: 2, unit_price: 400000, "
        "currency: EUR, price_year: 2025, order: 2026-01-01, delivery: 2026-10-01, energised: 2027-01-01, "
        "source: quote of 2025}]",
    )
    one = run.register[run.register["item"] == "substation"].iloc[0]
    assert one["unit_price_usd"] == 500_000.0
    assert one["macrs_years"] == 15
    assert "400,000 EUR" in one["source"]
    assert one["paid_usd"] > 1e6  # inflated from 2025
    # Straight line over the 20 years of its class: one is gone.
    assert one["sold_usd"] == pytest.approx(1e6 * 19 / 20)
    with pytest.raises(InputError, match="not before the plan ends"):
        small(
            "economics.assets=[{name: x, asset_class: land, unit_price: 1, order: 2026-01-01, delivery: 2026-10-01, "
            "energised: 2028-01-01}]"
        )
    with pytest.raises(InputError, match="what a GBP is worth"):
        small(
            "economics.assets=[{name: x, asset_class: land, unit_price: 1, currency: GBP, "
            "order: 2026-01-01, delivery: 2026-10-01, energised: 2027-01-01}]"
        )


def test_a_published_index_moves_old_prices(ran):
    plain, moved = ran(), ran("economics.construction_index=jll-construction")
    shell = [rows(run, "shell: shell", "capex").iloc[0] for run in (plain, moved)]
    # 10.7 to 11.3 million a megawatt from 2025 to 2026; then the same yearly inflation from the middle of 2026.
    assert shell[1]["price_usd"] == pytest.approx(shell[0]["price_usd"] * 11.3 / 10.7)
    assert (shell[0]["index_year"], shell[1]["index_year"]) == (2025.5, 2026.5)


def test_a_table_of_values_by_age_replaces_the_decay(ran):
    run = ran("economics.residual_by_age=h100-residual-guide")
    gpus = run.register[run.register["asset_class"] == "GPUs"].iloc[0]
    # Delivered 13 months before the end of the plan: between 0.625 after one year and 0.425 after two.
    left = 0.625 + (0.425 - 0.625) / 12
    assert gpus["sold_usd"] == pytest.approx(gpus["quantity"] * gpus["unit_price_usd"] * left)


def test_a_site_that_closes_sells_no_building_and_clears_it(ran):
    run = ran("economics.exit=closed")
    left = set(rows(run, "", "residual")["item"].str.split(":").str[0])
    assert "land" in left and "GPUs" in left and "shell" not in left
    assert rows(run, "decommissioning: shell")["quantity"].iloc[0] == pytest.approx(0.05)
    assert rows(ran(), "decommissioning").empty


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (("facility.phases[0].hardware={order: 2026-06-01, delivery: 2026-12-01, draws: [0.2, 0.5]}",), "sum to 0.7"),
        (("economics.tenure={kind: cloud, price_path: h200-contract}",), "not a known"),
        (("economics.tax.regime=us-fedral",), "did you mean 'us-federal'"),
        (("economics.property_tax=lowdoun",), "not a known"),
        (("economics.software=[cuda]",), "not a known"),
    ],
)
def test_what_cannot_be_is_refused(sets, said):
    with pytest.raises(InputError, match=said):
        pipeline.prepare(small(*sets))


def test_what_a_gpu_is_worth_by_its_work(ran):
    run = ran()
    # 989 TFLOP/s dense at 38 %: a GPU-day is 0.3758 PFLOP-days.
    per_day = value(run, "cost_usd_per_gpu_h") * 24 / (0.989 * 0.38)
    assert value(run, "cost_usd_per_pflop_day") == pytest.approx(per_day)
    assert value(run, "gpus_per_utility_mw") == pytest.approx(value(run, "gpus_installed") / 1.0)
    assert value(run, "gpus_lost_to_overhead") == pytest.approx(
        value(run, "gpus_installed") * (value(run, "pue_design_hour") - 1)
    )
    bill = -rows(run, "electricity", "opex")["amount_usd"].sum()
    assert value(run, "overhead_energy_usd_per_year") == pytest.approx(bill * (1 - 1 / value(run, "pue")))


def test_hardware_that_is_replaced_is_sold_by_its_age(ran):
    run = ran("overrides={servers.hgx-h100-8.life_years: {value: 2.0, source: test}}", "plan.years=3", EARNS, TAX)
    gpus = run.register[(run.register["asset_class"] == "GPUs") & (run.register["phase"] == "hall-1")]
    assert gpus["renewal"].tolist() == [0, 1]
    assert gpus["retired"].tolist() == ["2029-01", "2030-01"]
    price = (gpus["quantity"] * gpus["unit_price_usd"]).to_numpy()
    # Delivered a month before service: 25 months, then 13.
    np.testing.assert_allclose(gpus["sold_usd"], price * 0.724 ** (np.array([25, 13]) / 12))
    assert "2029-01" in set(rows(run, "GPUs", "residual")["month"])
    assert run.statement["book_value_usd"].iloc[-1] == pytest.approx(0.0, abs=1e-3)
    assert run.statement["net_income_usd"].sum() == pytest.approx(run.statement["cash_to_equity_usd"].sum())
    assert not rows(run, "decommissioning").empty


def test_a_covenant_is_met_by_the_year_with_its_december_tax(ran):
    # Tax at once in December would leave it without cash for that month's payment.
    debt = "economics.debt={ltv_frac: 0.9, rate_frac: 0.08, term_years: 4, repayment: sculpted, dscr: 2.5}"
    run = ran(EARNS, "economics.tax={}", debt, "plan.years=5")
    assert "cover of 2.5" in run.findings["finance"]["loan"]["limited_by"]
    paying = run.statement[run.statement["month"] >= run.findings["finance"]["loan"]["first_payment"]][:48]
    tax = -paying["tax_unlevered_usd"].groupby(paying["month"].str[:4]).transform("sum")
    assert tax.max() > 0
    by_year = paying.groupby(paying["month"].str[:4])[["cash_for_debt_usd", "debt_service_usd"]].sum()
    cover = -by_year["cash_for_debt_usd"] / by_year["debt_service_usd"]
    np.testing.assert_allclose(cover, 2.5, rtol=1e-9)
    assert value(run, "dscr_min") == pytest.approx(2.5) == value(run, "llcr")
    assert rows(run, "interest added").empty


def test_a_stated_rating_is_built_and_paid_whole(ran):
    plain = ran("facility.phases[0].rack_slots=2")
    run = ran("facility.phases[0].rack_slots=2", "facility.phases[0].critical_kw=400")
    built = [
        of.register[(of.register["phase"] == "hall-1") & (of.register["item"] == "shell")]["quantity"].item()
        for of in (plain, run)
    ]
    assert built[1] == pytest.approx(0.4)
    assert built[0] < 0.1


def test_property_tax_starts_with_the_delivery_before_the_plan(ran):
    run = ran(
        "economics.property_tax=us-typical",
        "facility.phases[0].hardware={order: 2025-06-01, delivery: 2026-03-01}",
    )
    assert rows(run, "property tax: personal")["month"].min() == "2026-03"


def test_prices_older_than_an_index_grow_by_inflation_until_it_begins(ran):
    asset = (
        "economics.assets=[{name: old, asset_class: shell, unit_price: 1000000, price_year: 2015, order: 2026-06-01, "
        "delivery: 2026-06-01, energised: 2026-06-01}]"
    )
    run = ran("economics.construction_index=jll-construction", asset)
    row = rows(run, "shell: old", "capex").iloc[0]
    assert row["price_usd"] == pytest.approx(1e6 * 1.04**5 * 11.3 / 7.7)


def test_equity_at_its_peak_is_counted_in_nominal_dollars(ran):
    nominal = ran(EARNS, TAX)
    real = ran(EARNS, TAX, "economics.dollars=real", "economics.valuation_date=2028-01-01")
    assert value(real, "peak_equity_usd") == pytest.approx(value(nominal, "peak_equity_usd"))
    assert value(real, "peak_outlay_usd") == pytest.approx(value(nominal, "peak_outlay_usd"))


def test_a_cloud_has_its_power_in_the_rent():
    with pytest.raises(InputError, match="power is in the rent"):
        small("economics.tenure={kind: cloud}", FLAT_PPA)


def test_a_first_draw_of_nothing_moves_no_valuation(ran):
    run = ran("facility.phases[0].hardware={order: 2025-06-01, delivery: 2026-12-01, draws: [0.0, 0.0, 1.0]}")
    assert run.findings["finance"]["first_month"] == run.ledger["month"].min()
