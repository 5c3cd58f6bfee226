"""The straight line end to end: what is conserved, what must not matter, and what must."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from plans import small

from dcsim import pipeline, runs
from dcsim.capacity import SiteDesign
from dcsim.columns import TABLES
from dcsim.energy import account, job_table
from dcsim.errors import CapacityError
from dcsim.finance import cashflow
from dcsim.finance.ledger import month_numbers
from dcsim.kpi import KPIS
from dcsim.operate import simulated

PARTS = {
    "it_power_w": ("job_power_w", "idle_power_w", "fabric_power_w", "support_power_w"),
    "electrical_loss_w": ("pdu_loss_w", "ups_loss_w", "transformer_loss_w"),
    "cooling_power_w": (
        "room_fan_power_w",
        "pump_power_w",
        "chiller_power_w",
        "rejection_power_w",
        "plant_base_power_w",
    ),
    "other_power_w": ("lighting_power_w",),
    "facility_power_w": ("it_power_w", "electrical_loss_w", "cooling_power_w", "other_power_w"),
    "water_kg": ("evaporation_kg", "blowdown_kg", "drift_kg"),
}
LIQUID = ("facility.server=hgx-h100-8-dlc", "facility.cooling={kind: direct_liquid_dry_cooler}")


@pytest.fixture(scope="module", params=["air", "liquid"])
def run(request, tmp_path_factory):
    sets = LIQUID if request.param == "liquid" else ()
    return runs.read(pipeline.run(small(*sets), tmp_path_factory.mktemp("runs")))


def joules(run, column):
    return float(run.intervals[column] @ run.intervals["duration_s"])


@pytest.mark.parametrize("total", PARTS)
def test_every_total_is_the_sum_of_its_named_items(run, total):
    table = run.intervals
    parts = sum(table[part] for part in PARTS[total])
    np.testing.assert_allclose(table[total], parts, rtol=1e-9)
    assert (table[list(PARTS[total])] >= 0).all(axis=None)


def test_heat_rejected_equals_power_in(run):
    heat_w = run.intervals["heat_rejected_w"] + run.intervals["heat_reused_w"]
    np.testing.assert_allclose(heat_w, run.intervals["facility_power_w"], rtol=1e-9)


def test_job_energy_and_idle_energy_are_it_energy(run):
    idle = sum(joules(run, column) for column in ("idle_power_w", "fabric_power_w", "support_power_w"))
    assert run.jobs["energy_j"].sum() + idle == pytest.approx(joules(run, "it_power_w"), rel=1e-9)


def test_gpu_time_is_conserved(run):
    table = run.intervals
    held = (run.jobs["run_s"] * run.jobs["gpus_held"]).sum()
    assert joules(run, "gpus_allocated") == pytest.approx(held, rel=1e-9)
    assert (table["gpus_allocated"] + table["gpus_down"] <= table["gpus_energised"] * (1 + 1e-12)).all()
    assert (run.jobs["useful_s"] <= run.jobs["run_s"] * (1 + 1e-9)).all()


def test_intervals_are_contiguous_over_the_plan(run):
    start, duration = run.intervals["start_s"], run.intervals["duration_s"]
    assert start.iloc[0] == 0
    assert (start + duration).iloc[:-1].tolist() == start.iloc[1:].tolist()
    assert start.iloc[-1] + duration.iloc[-1] == 365 * 86400


def test_power_never_exceeds_the_utility_connection(run):
    limit = np.where(run.intervals["start_s"] < 181 * 86400, 0.5e6, 1.0e6)  # hall-2 on 1 July
    assert (run.intervals["facility_power_w"] <= limit).all()
    assert (run.intervals["cooling_margin_frac"] >= -1e-9).all()


def test_pue_is_a_ratio_of_sums_and_never_below_one(run):
    pue = joules(run, "facility_power_w") / joules(run, "it_power_w")
    assert run.kpis["pue"]["value"] == pytest.approx(pue, rel=1e-12)
    assert 1 < pue < run.kpis["pue_design_hour"]["value"]
    energy_kwh = joules(run, "it_power_w") / 3.6e6
    assert run.kpis["wue_l_per_kwh"]["value"] == pytest.approx(run.intervals["water_kg"].sum() / energy_kwh)
    assert run.kpis["cue_kg_per_kwh"]["value"] == pytest.approx(run.intervals["carbon_kg"].sum() / energy_kwh)


def test_a_phase_adds_its_gpus_on_its_date(run):
    gpus = run.intervals.set_index("start_s")["gpus_energised"]
    first, both = (phase["gpus"] for phase in run.findings["phases"])
    assert gpus.loc[180 * 86400.0] == first
    assert gpus.loc[181 * 86400.0] == both == run.kpis["gpus_installed"]["value"]


def test_npv_is_computed_from_the_ledger_rows(run):
    months = month_numbers(run.ledger["month"])
    by_hand = (run.ledger["amount_usd"] * 1.10 ** (-(months - months.min()) / 12)).sum()
    assert run.kpis["npv_usd"]["value"] == pytest.approx(by_hand, rel=1e-9)
    np.testing.assert_allclose(
        run.ledger["amount_usd"].abs(), run.ledger["quantity"] * run.ledger["unit_price_usd"], rtol=1e-12
    )


def test_cost_of_a_gpu_hour_times_its_hours_is_the_cost(run):
    months = month_numbers(run.ledger["month"])
    first = months.min()
    costs = run.ledger["category"].isin(["capex", "opex", "residual"])
    present = -(run.ledger["amount_usd"] * 1.10 ** (-(months - first) / 12))[costs].sum()
    when = pd.Timestamp("2027-01-01") + pd.to_timedelta(run.intervals["start_s"], unit="s")
    k = when.dt.year * 12 + when.dt.month - 1 - first
    hours = (run.intervals["gpus_allocated"] * 1.10 ** (-k / 12)).sum()  # hourly intervals
    assert run.kpis["cost_usd_per_gpu_h"]["value"] == pytest.approx(present / hours, rel=1e-9)


def test_energy_bill_covers_the_energy_of_the_meter(run):
    fuel = run.ledger[run.ledger["item"] == "electricity energy: fuel rider A"]
    assert fuel["quantity"].sum() == pytest.approx(joules(run, "facility_power_w") / 3.6e6, rel=1e-9)
    demand = run.ledger[run.ledger["item"] == "electricity demand: distribution"]
    assert demand["quantity"].max() == pytest.approx(run.intervals["facility_power_w"].max() / 1e3, rel=1e-12)


def test_capex_of_a_phase_is_its_bill_of_materials(run):
    capex = run.ledger[run.ledger["category"] == "capex"]
    servers = capex[capex["item"].str.startswith("servers:")]
    phases = run.findings["phases"]
    bought = servers.groupby("phase")["quantity"].sum()
    assert bought.loc["hall-1"] == pytest.approx(phases[0]["servers"])
    assert bought.loc["hall-2"] == pytest.approx(phases[1]["servers"])
    # A deposit on order, the rest on delivery: two months a phase.
    assert servers.groupby("phase")["month"].nunique().tolist() == [2, 2]


def test_every_key_figure_and_column_is_declared_with_unit_and_meaning(run):
    assert list(run.kpis) == list(KPIS)
    for kpi in run.kpis.values():
        assert kpi["definition"]
        assert kpi["unit"]
        assert (kpi["value"] is None) == ("reason" in kpi)
    for table, columns in TABLES.items():
        schema = pq.read_schema(run.folder / f"{table}.parquet")
        assert schema.names == [column.name for column in columns]
        for column in columns:
            assert schema.field(column.name).metadata[b"meaning"].decode() == column.meaning != ""


def test_assumptions_name_a_known_source(run):
    from dcsim.catalog.load import sources

    known = set(sources()) | {"assumption", "scenario"}
    assert set(run.assumptions["source"]) <= known
    assert {"servers", "prices", "tariffs", "cooling", "electrical", "workload_classes"} <= set(
        run.assumptions["table"]
    )


@pytest.fixture(scope="module")
def ready():
    prepared = pipeline.prepare(small("facility.phases[0].servers=20", "facility.phases[1].servers=20"))
    return prepared, simulated(prepared)


LOSSES = ("pdu_loss_w", "ups_loss_w", "transformer_loss_w")
PLANT = ("room_fan_w", "pump_w", "chiller_w", "rejection_w", "base_w")


@pytest.mark.parametrize("item", [*LOSSES, *PLANT])
def test_an_item_that_grows_moves_facility_power_by_as_much(ready, monkeypatch, item):
    prepared, result = ready
    before = account(prepared.facility, result)[0]
    original = SiteDesign.power

    def more(self, *args):
        losses, plant = original(self, *args)
        if item in LOSSES:
            return dataclasses.replace(losses, **{item: getattr(losses, item) + 1000.0}), plant
        return losses, dataclasses.replace(plant, **{item: getattr(plant, item) + 1000.0})

    monkeypatch.setattr(SiteDesign, "power", more)
    moved = account(prepared.facility, result)[0]["facility_power_w"] - before["facility_power_w"]
    np.testing.assert_allclose(moved, 1000.0, rtol=1e-9)


@pytest.mark.parametrize("item", ["fabric_power_w", "support_power_w", "lighting_power_w"])
def test_a_constant_item_that_grows_moves_facility_power_by_more(ready, item):
    """It is heat and load for the plant and the power chain too; in single hours a machine less or more may run."""
    prepared, result = ready
    before = account(prepared.facility, result)[0]
    phases = tuple(
        dataclasses.replace(
            phase, capacity=dataclasses.replace(phase.capacity, **{item: getattr(phase.capacity, item) + 1000.0})
        )
        for phase in prepared.facility.phases
    )
    after = account(dataclasses.replace(prepared.facility, phases=phases), result)[0]
    np.testing.assert_allclose(after[item] - before[item], 1000.0)
    assert 1000.0 < (after["facility_power_w"] - before["facility_power_w"]).mean() < 1500.0


def test_finer_intervals_hold_the_same_energy():
    hourly = pipeline.prepare(small())
    result = simulated(hourly)
    fine = pipeline.prepare(small("report.interval_s=300"))
    for column in ("job_power_w", "idle_power_w", "gpus_queued"):
        coarse = account(hourly.facility, result)[0]
        finer = account(fine.facility, result)[0]
        assert coarse[column] @ coarse["duration_s"] == pytest.approx(finer[column] @ finer["duration_s"], rel=1e-12)
    assert len(finer) == 12 * len(coarse)


FAST = ("workload.jobs.offered_load_frac=0.3", "facility.phases[0].servers=6", "facility.phases[1].servers=6")


def data_hashes(folder):
    return json.loads((folder / "manifest.json").read_text())["files"]


def test_the_same_seed_gives_the_same_bytes_and_zero_is_a_seed(tmp_path):
    first = pipeline.run(small(*FAST), tmp_path / "a")
    again = pipeline.run(small(*FAST), tmp_path / "b")
    zero = pipeline.run(small(*FAST, "plan.seed=0"), tmp_path / "c")
    assert first.name == again.name != zero.name
    assert data_hashes(first) == data_hashes(again)
    assert data_hashes(first)["jobs.parquet"] != data_hashes(zero)["jobs.parquet"]
    assert runs.read(zero).scenario["plan"]["seed"] == 0


def test_a_limit_that_never_binds_changes_no_number(tmp_path):
    base = runs.read(pipeline.run(small(), tmp_path / "a"))
    loose = (
        "facility.phases[0].rack_slots=500",
        "facility.phases[1].rack_slots=400",
        "facility.phases[0].cooling_kw=1e6",
        "facility.phases[1].budget_usd=1e12",
    )
    wide = runs.read(pipeline.run(small(*loose), tmp_path / "b"))
    assert wide.kpis == base.kpis
    assert data_hashes(wide.folder)["intervals.parquet"] == data_hashes(base.folder)["intervals.parquet"]
    assert data_hashes(wide.folder)["jobs.parquet"] == data_hashes(base.folder)["jobs.parquet"]
    assert data_hashes(wide.folder)["ledger.parquet"] == data_hashes(base.folder)["ledger.parquet"]


@pytest.mark.parametrize(
    ("sets", "binding"),
    [
        (("facility.phases[0].rack_slots=3",), "rack slots"),
        (("facility.phases[0].critical_kw=200.0",), "IT kW"),
        (("facility.phases[0].cooling_kw=200.0",), "cooling kW"),
        (("facility.phases[0].budget_usd=6e6",), "budget"),
        ((), "utility MW"),
    ],
)
def test_the_limit_that_binds_is_named_and_kept(sets, binding):
    facility = pipeline.prepare(small(*sets)).facility
    phase = facility.phases[0]
    assert phase.binding == binding
    assert phase.added == min(limit.servers for limit in phase.limits)
    if binding == "IT kW":
        assert phase.capacity.it_design_w <= 200e3
    if binding == "cooling kW":
        assert phase.capacity.heat_design_w <= 200e3
    if binding == "budget":
        assert sum(asset.cost_usd for asset in facility.assets if asset.phase == "hall-1") <= 6e6
    assert phase.capacity.facility_design_w <= 0.5e6


def test_one_server_more_would_break_the_binding_limit():
    facility = pipeline.prepare(small()).facility
    servers = facility.phases[0].added
    assert facility.design.capacity((servers,), 0.0, 0.5e6, 0.0).facility_design_w <= 0.5e6
    with pytest.raises(CapacityError, match="utility rating"):
        facility.design.capacity((servers + 1,), 0.0, 0.5e6, 0.0)


def test_without_revenue_returns_are_null_with_a_reason_and_costs_are_not(tmp_path):
    result = runs.read(pipeline.run(small(*FAST, "economics.revenue={kind: none}"), tmp_path))
    for name in ("npv_usd", "irr_frac", "payback_years"):
        assert result.kpis[name]["value"] is None
        assert "no revenue" in result.kpis[name]["reason"]
    assert result.kpis["cost_usd_per_gpu_h"]["value"] > 0


def test_an_internal_price_at_cost_makes_the_npv_zero(tmp_path):
    """Charging the levelised cost of an allocated GPU-hour pays back exactly the discount rate."""
    first = runs.read(pipeline.run(small(*FAST), tmp_path / "a"))
    price = first.kpis["cost_usd_per_gpu_h"]["value"]
    sets = (*FAST, f"economics.revenue={{kind: internal, usd_per_gpu_h: {price!r}}}")
    second = runs.read(pipeline.run(small(*sets), tmp_path / "b"))
    assert abs(second.kpis["npv_usd"]["value"]) < 1e-6 * second.kpis["capex_usd"]["value"]
    assert second.kpis["irr_frac"]["value"] == pytest.approx(0.10, abs=1e-6)


def test_pue_falls_as_load_rises(tmp_path):
    pues = []
    for load in (0.2, 0.5, 0.8):
        prepared = pipeline.prepare(small(f"workload.jobs.offered_load_frac={load}"))
        table = account(prepared.facility, simulated(prepared))[0]
        pues.append(float(table["facility_power_w"].sum() / table["it_power_w"].sum()))
    assert pues == sorted(pues, reverse=True)


def test_an_override_of_a_catalog_value_is_used_and_marked(tmp_path):
    sets = (*FAST, "overrides={servers.hgx-h100-8.price_usd: {value: 100000.0, source: quotation of May}}")
    result = runs.read(pipeline.run(small(*sets), tmp_path))
    row = result.assumptions.query("parameter == 'price_usd' and table == 'servers'").iloc[0]
    assert row["value"] == 100_000
    assert row["source"] == "scenario"
    assert "quotation of May" in row["note"]
    servers = result.ledger[result.ledger["item"].str.startswith("servers:") & (result.ledger["category"] == "capex")]
    gpus = result.ledger[result.ledger["item"].str.startswith("GPUs:") & (result.ledger["category"] == "capex")]
    # The price of a server is that of its eight GPUs and of the rest.
    assert (servers["unit_price_usd"].to_numpy() + 8 * gpus["unit_price_usd"].to_numpy() == 100_000).all()


def test_hardware_whose_life_ends_is_bought_again(tmp_path):
    sets = (*FAST, "plan.years=3", "overrides={servers.hgx-h100-8.life_years: {value: 2.0, source: test}}")
    result = runs.read(pipeline.run(small(*sets), tmp_path))
    again = result.ledger[
        result.ledger["item"].str.contains("replacement")
        & result.ledger["item"].str.startswith("servers")
        & (result.ledger["category"] == "capex")
    ]
    assert again.groupby("phase")["quantity"].sum().tolist() == pytest.approx([6.0, 6.0])
    assert again[again["phase"] == "hall-1"]["month"].max() == "2028-12"  # a month before the first ones turn two
    assert result.kpis["capex_usd"]["value"] == pytest.approx(
        -result.ledger.loc[result.ledger["category"] == "capex", "amount_usd"].sum()
    )


def test_stated_valuation_date_moves_value_by_its_interest(tmp_path):
    base = runs.read(pipeline.run(small(*FAST), tmp_path / "a"))
    later = runs.read(pipeline.run(small(*FAST, "economics.valuation_date=2027-07-01"), tmp_path / "b"))
    first = month_numbers(base.ledger["month"]).min()
    months = 2027 * 12 + 6 - first
    assert later.kpis["npv_usd"]["value"] == pytest.approx(base.kpis["npv_usd"]["value"] * 1.1 ** (months / 12))
    assert later.kpis["irr_frac"] == base.kpis["irr_frac"]
    assert cashflow.discount_factors(2, 0.1)[0] == 1.0


def test_skipped_and_held_jobs_are_in_the_table(ready):
    prepared, result = ready
    skipped = prepared.demand.jobs.select(np.arange(len(prepared.demand.jobs)) < 3)
    table = job_table(prepared.facility, dataclasses.replace(prepared.demand, skipped=skipped), result)
    assert table["status"].iloc[-3:].tolist() == ["skipped"] * 3
    assert len(table) == len(result[0].result.jobs) + 3
