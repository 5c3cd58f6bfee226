"""Demand by month: worked paths, arrivals that follow them, and when they reach what stands."""

import datetime

import numpy as np
import pytest
from dcsim.reports.figures import demand_against_capacity
from hypothesis import given
from hypothesis import strategies as st
from plans import small

from dcsim import pipeline, runs
from dcsim.errors import InputError
from dcsim.model.workload import DemandPath, DemandStep
from dcsim.study.summary import summary
from dcsim.workload.paths import Filling, cumulative_gpu_s, filling, gpus_by_month, month_starts

START = datetime.date(2027, 1, 1)
YEAR_S = 365 * 86_400.0
PATH = "workload.jobs={kind: demand, classes: {training: {gpus: 150.0, growth_frac_per_year: 1.0}}}"


def test_months_of_a_plan():
    found = month_starts(datetime.date(2027, 11, 15), 80 * 86_400.0)
    assert [day.isoformat() for day in found] == ["2027-11-15", "2027-12-01", "2028-01-01", "2028-02-01"]
    assert len(month_starts(START, YEAR_S)) == 12


def test_a_worked_path():
    path = DemandPath(
        gpus=100.0,
        growth_frac_per_year=0.5,
        seasons=(1.0,) * 11 + (2.0,),
        steps=(DemandStep(start=datetime.date(2027, 7, 1), factor=1.2),),
    )
    found = gpus_by_month(path, month_starts(START, 2 * YEAR_S))
    assert found[0] == 100.0
    assert found[5] == pytest.approx(100 * 1.5 ** (5 / 12))
    assert found[6] == pytest.approx(100 * 1.5**0.5 * 1.2)
    assert found[11] == pytest.approx(100 * 1.5 ** (11 / 12) * 1.2 * 2)
    assert found[12] == pytest.approx(150 * 1.2)


@given(st.floats(1, 1e5), st.floats(-0.5, 3), st.integers(1, 5))
def test_what_is_asked_for_adds_up_to_the_path(gpus, growth, years):
    months = month_starts(START, years * YEAR_S)
    path = gpus_by_month(DemandPath(gpus=gpus, growth_frac_per_year=growth), months)
    profile = np.linspace(0.5, 2.0, 24)
    _, rising = cumulative_gpu_s(path, months, profile, years * YEAR_S)
    assert np.all(np.diff(rising) > 0)
    days = np.diff([*((month - START).days for month in months), years * 365])
    assert rising[-1] == pytest.approx(float(path @ days) * 86_400.0)


def test_times_in_which_demand_is_above_what_stands():
    months = tuple(month_starts(START, YEAR_S))
    gpus = np.array([1, 3, 3, 1, 1, 5, 5, 5, 5, 5, 5, 9.0])
    capacity = np.array([2.0] * 6 + [8.0] * 6)
    of = Filling(months, gpus, capacity)
    assert of.full_spans() == [(1, 3), (5, 6), (11, None)]
    assert of.full_for_good == 11
    phases = [(START, "one", "utility MW", 2), (datetime.date(2027, 7, 1), "two", "rack slots", 6)]
    found = of.findings(phases)["full"]
    assert [one["binding"] for one in found] == ["utility MW", "utility MW", "rack slots"]
    assert found[-1]["until"] is None
    more = of.findings(phases)["one_more_phase"]
    assert more == {"energised": "2027-12-01", "gpus": 6, "full_again": None}
    rising = Filling(months, np.arange(12.0), np.full(12, 4.0)).findings(phases)["one_more_phase"]
    assert rising == {"energised": "2027-06-01", "gpus": 6, "full_again": "2027-12-01"}
    assert Filling(months, gpus * 0, capacity).full_for_good is None


def test_capacity_is_that_energised_by_the_end_of_a_month():
    months = month_starts(START, YEAR_S)
    found = filling(months, np.ones(12), ((0.0, 8), (181 * 86_400.0, 16)))
    assert found.capacity.tolist() == [8.0] * 6 + [16.0] * 6


def test_a_plan_follows_its_path_and_says_when_it_is_full(tmp_path):
    run = runs.read(pipeline.run(small(PATH), tmp_path))
    jobs = run.jobs
    month = (jobs["submit_s"] // (30.4 * 86_400)).clip(upper=11).astype(int)
    came = month.value_counts().sort_index()
    # Demand doubles within the year, and jobs are drawn alike, so their number does.
    assert came[9:12].mean() / came[0:3].mean() == pytest.approx(2 ** (9 / 12), rel=5 / np.sqrt(came[0:3].sum()))
    assert run.findings["demand"]["gpus"][0] == 150
    assert run.kpis["full_after_months"]["value"] is None
    assert "does not stay above" in run.kpis["full_after_months"]["reason"]
    assert any(line.startswith("left at the peaks") for line in summary(run))
    assert demand_against_capacity(run) is not None


def test_a_path_above_what_stands_is_full_for_good(tmp_path):
    run = runs.read(pipeline.run(small(PATH.replace("150.0", "5000.0")), tmp_path))
    assert run.kpis["full_after_months"]["value"] == 0
    full = run.findings["demand"]["full"]
    assert full[0]["until"] is None
    assert full[0]["binding"] == "utility MW"
    assert "from 2027-01 on" in demand_against_capacity(run).finding
    scarcest = run.findings["headroom"][0]
    assert scarcest["left_frac"] <= 0.01


def test_headroom_is_what_stands_less_what_was_used(tmp_path):
    run = runs.read(pipeline.run(small(), tmp_path))
    of = {one["name"]: one for one in run.findings["headroom"]}
    assert set(of) == {"GPUs", "utility power", "IT power", "cooling", "racks", "network"}
    assert of["utility power"]["used"] == pytest.approx(run.kpis["peak_facility_power_mw"]["value"])
    assert run.kpis["stranded_power_mw"]["value"] == pytest.approx(
        of["utility power"]["limit"] - of["utility power"]["used"]
    )
    for one in of.values():
        assert 0 <= one["left_frac"] <= 1
    assert run.findings["demand"] is None
    assert run.kpis["full_after_months"]["value"] is None


def test_an_unknown_class_is_named():
    with pytest.raises(InputError, match="is not a known workload class"):
        pipeline.prepare(small("workload.jobs={kind: demand, classes: {trainning: {gpus: 10.0}}}"))
