"""From air to liquid within a plan: the parts before and after the day, what is paid, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from plans import small

from dcsim import pipeline, runs
from dcsim.errors import InputError

BUILT = "facility.phases[1].energised=2027-06-01"
CONVERSION = (
    "facility.conversion={on: 2027-10-01, server: hgx-h100-8-dlc, cooling: {kind: direct_liquid_dry_cooler}, "
    "outage_days: 0.0, construction: {order: 2027-01-01, delivery: 2027-09-01}, "
    "hardware: {order: 2027-03-01, delivery: 2027-09-01}}"
)
OUT = CONVERSION.replace("outage_days: 0.0", "outage_days: 14.0")
DATES = (
    BUILT,
    "facility.phases[1].construction={order: 2026-07-01, delivery: 2027-05-01}",
    "facility.phases[1].hardware={order: 2026-12-01, delivery: 2027-06-01}",
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: runs.read(pipeline.run(small(*DATES, "economics.tax={}", *sets), folder / name))
        for name, sets in (("plain", ()), ("converted", (CONVERSION,)), ("out", (OUT,)))
    }


def test_before_the_day_nothing_changes_and_after_it_water_and_power_fall(ran):
    plain, converted = (ran[name].intervals for name in ("plain", "converted"))
    late = plain["start_s"].to_numpy() >= 273 * 86400.0  # 1 October
    pd.testing.assert_frame_equal(plain[~late], converted[~late])
    # The same GPUs are held hour by hour; nodes with few fans draw less, and dry coolers evaporate nothing.
    np.testing.assert_array_equal(plain["gpus_allocated"], converted["gpus_allocated"])
    assert (converted["it_power_w"][late] < plain["it_power_w"][late]).all()
    assert converted["water_kg"][late].sum() == 0.0
    power = converted[["it_power_w", "electrical_loss_w", "cooling_power_w", "other_power_w"]].sum(axis=1)
    np.testing.assert_allclose(converted["facility_power_w"], power, rtol=1e-12)


def test_old_nodes_are_sold_old_plant_is_scrapped_and_new_ones_are_paid(ran):
    run = ran["converted"]
    register = run.register.set_index(["phase", "item"])
    old = register.loc[("hall-1", "GPUs of hgx-h100-8")]
    price = old["quantity"] * old["unit_price_usd"]
    assert old["retired"] == "2027-10"
    # Delivered in December 2026: ten months.
    assert old["sold_usd"] == pytest.approx(price * 0.724 ** (10 / 12))
    plant = register.loc[("hall-1", "cooling plant")]
    assert (plant["retired"], plant["sold_usd"]) == ("2027-10", 0.0)
    assert register.loc[("hall-1", "critical power")]["retired"] == "2028-01"
    new = register.loc[("hall-1", "GPUs of hgx-h100-8-dlc")]
    assert (new["in_service"], new["quantity"]) == ("2027-10", old["quantity"])
    retrofit = register.xs("conversion to liquid", level="item")
    critical_kw = 1e3 * run.findings["phases"][-1]["critical_mw"]
    assert retrofit["quantity"].sum() == pytest.approx(critical_kw)
    assert retrofit["unit_price_usd"].iloc[0] == 3000.0
    removed = run.ledger[run.ledger["item"] == "decommissioning: MEP, cooling plant"]
    assert removed["month"].tolist() == ["2027-10", "2027-10"]
    upkeep = run.ledger[run.ledger["item"].str.startswith("maintenance: MEP, cooling plant")]
    assert upkeep["month"].max() == "2027-09"


def test_books_close_and_profit_is_cash(ran):
    table = ran["converted"].statement
    assert table["book_value_usd"].iloc[-1] == pytest.approx(0.0, abs=1e-3)
    assert table["net_income_usd"].sum() == pytest.approx(table["cash_to_equity_usd"].sum(), rel=1e-9)


def test_its_outage_takes_every_node_out(ran):
    intervals = ran["out"].intervals
    during = (intervals["start_s"] >= 273 * 86400.0) & (intervals["start_s"] < 287 * 86400.0)
    assert intervals["gpus_allocated"][during].iloc[1:].max() == 0.0
    assert intervals["gpus_allocated"][~during].max() > 0.0


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ((CONVERSION.replace("2027-10-01", "2027-10-02"),), "first day of a month"),
        ((CONVERSION.replace("2027-10-01", "2027-08-01"),), "before the delivery"),
        ((CONVERSION.replace("2027-10-01", "2029-10-01"),), "outside the plan"),
        ((CONVERSION.replace("hgx-h100-8-dlc", "hgx-b200-8"),), "holds other GPUs"),
        ((CONVERSION.replace("hgx-h100-8-dlc", "hgx-h100-8"),), "has no cold plates"),
        ((CONVERSION, "workload.maintenance={}"), "takes the place of workload.maintenance"),
        ((CONVERSION, "facility.phases[1].energised=2027-11-01"), "is energised after it"),
    ],
)
def test_what_cannot_be_converted_is_refused(sets, said):
    with pytest.raises(InputError, match=said):
        pipeline.prepare(small(*DATES, *sets))
