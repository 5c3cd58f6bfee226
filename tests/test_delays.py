"""Delay and time to power: which dates move, what waiting hardware costs, and what is refused."""

import pandas as pd
import pytest
from plans import investment_rows as rows
from plans import small, value

from dcsim import pipeline
from dcsim.errors import InputError
from dcsim.finance.ledger import month_numbers
from dcsim.stated_assets import HARDWARE

EARNS = "economics.revenue={kind: internal, usd_per_gpu_h: 6.0}"
TWO_YEARS = "plan.years=2"


def test_hardware_that_waits_for_power_is_charged_for_it(ran):
    plain, late = ran(EARNS, TWO_YEARS), ran(EARNS, TWO_YEARS, "delays.connection=2027-10-01")
    phase = late.findings["schedule"]["phases"][0]
    assert phase["energised"] == "2027-10-01" and phase["energised_stated"] == "2027-01-01"
    assert phase["hardware_delivered"] == "2026-12-01"
    assert phase["waits_for"] == "the connection"
    assert value(late, "npv_usd") < value(plain, "npv_usd")
    assert value(late, "idle_hardware_usd") > 5 * value(plain, "idle_hardware_usd")
    assert value(late, "lost_contribution_usd") > value(plain, "lost_contribution_usd") > 0
    assert late.statement.set_index("month")["gpus_energised"]["2027-09"] == 0
    # It is insured and kept up from the same month in both.
    months = [rows(run, "maintenance: GPUs")["month"].min() for run in (plain, late)]
    assert months == ["2026-12", "2026-12"]


def test_idle_hardware_is_interest_and_lost_value_by_hand(ran):
    late = ran(EARNS, TWO_YEARS, "delays.connection=2027-10-01")
    expected = 0.0
    for one in late.register.to_dict("records"):
        if one["asset_class"] in HARDWARE:
            years = (month_numbers([one["in_service"]])[0] - month_numbers([one["delivered"]])[0]) / 12
            expected += one["paid_usd"] * (1.1**years - 0.724**years)
    assert value(late, "idle_hardware_usd") == pytest.approx(expected)


def test_delays_that_bind_nothing_change_nothing(ran):
    plain, early = ran(), ran("delays={connection: 2026-06-01, connection_months: 3}")
    pd.testing.assert_frame_equal(plain.ledger, early.ledger)


def test_a_wait_is_that_of_the_market_and_a_slip_moves_deliveries(ran):
    run = ran(TWO_YEARS, "delays={connection_requested: 2023-06-01, construction_months: 2, hardware_months: 1}")
    schedule = run.findings["schedule"]
    assert schedule["connection"] == "2027-06-01"  # 48 months
    first = schedule["phases"][0]
    assert (first["construction_delivered"], first["hardware_delivered"]) == ("2027-01-01", "2027-01-01")
    assert first["energised"] == "2027-06-01"


def test_phases_that_a_delay_swaps_are_told():
    # The second phase is delivered early, its hardware slips past the first's.
    second = "facility.phases[1].hardware={order: 2026-01-01, delivery: 2026-06-01}"
    later = "facility.phases[0].hardware={order: 2026-01-01, delivery: 2026-12-01}"
    sets = (second, later, "facility.phases[1].energised=2027-02-01", "facility.phases[0].energised=2027-01-01")
    built = "facility.phases[1].construction={order: 2026-01-01, delivery: 2026-12-01}"
    with pytest.raises(InputError, match="list the phases in the order in which they come"):
        pipeline.prepare(small(*sets, built, TWO_YEARS, "delays.hardware_months=4"))


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (("delays.connection=2030-01-01",), "not before the plan ends"),
        (("delays={connection: 2027-01-01, connection_requested: 2024-01-01}",), "not both"),
        (("delays.connection_months=3",), "a day that is not stated"),
    ],
)
def test_delays_that_cannot_be_are_refused(sets, said):
    with pytest.raises(InputError, match=said):
        pipeline.prepare(small(*sets))
