"""Every scenario that comes with dcsim is checked and run, the baseline whole and the others for two years."""

import pytest

from dcsim import pipeline, runs
from dcsim.errors import InputError
from dcsim.model.load import load, shipped


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in shipped() if not name.startswith("replay-")])
def test_a_shipped_scenario_runs(name, tmp_path):
    # Two years hold every phase of the others.
    sets = () if name.startswith("baseline-") else ("plan.years=2",)
    run = runs.read(pipeline.run(load(name, sets), tmp_path))
    value = {key: kpi["value"] for key, kpi in run.kpis.items()}
    assert 1.03 < value["pue"] < value["pue_design_hour"] < 1.5
    assert value["peak_facility_power_mw"] <= run.scenario["site"]["utility_mw"]
    assert value["jobs_completed"] / run.scenario["plan"]["years"] > 50_000
    # Owners' all-in utility power per H100 is published as 1.73 kW; a plan on measured peaks needs less.
    assert 1.2 < 1000 * run.scenario["site"]["utility_mw"] / value["gpus_installed"] < 1.8
    assert 0.5 < value["gpu_goodput_frac"] < value["gpu_allocated_frac"] < 1
    assert run.kpis["npv_usd"]["value"] is not None


def test_a_replay_completes_the_recorded_jobs(reference, monkeypatch, tmp_path):
    trace = reference("traces/philly/philly_sia.csv.gz")
    monkeypatch.setenv("DCSIM_DATA_DIR", str(trace.parents[2]))
    run = runs.read(pipeline.run(load("replay-philly-1mw"), tmp_path))
    assert run.kpis["jobs_completed"]["value"] == 82_247
    recorded_gpu_s = 978_078.47 * 3600  # width times run time of the file
    assert float((run.jobs["gpus"] * run.jobs["run_s"]).sum()) > recorded_gpu_s
    assert (run.jobs["start_s"] >= run.jobs["submit_s"]).all()


@pytest.mark.parametrize("folder", [None, "/nowhere"])
def test_a_replay_without_its_trace_says_where_to_get_it(folder, monkeypatch):
    if folder is None:
        monkeypatch.delenv("DCSIM_DATA_DIR", raising=False)
    else:
        monkeypatch.setenv("DCSIM_DATA_DIR", folder)
    with pytest.raises(InputError, match="get the file from https://github"):
        pipeline.prepare(load("replay-philly-1mw"))


def test_direct_liquid_uses_less_power_around_it_and_no_water(tmp_path):
    from plans import small

    liquid = ("facility.server=hgx-h100-8-dlc", "facility.cooling={kind: direct_liquid_dry_cooler}")
    air = runs.read(pipeline.run(small(), tmp_path / "a")).kpis
    plates = runs.read(pipeline.run(small(*liquid), tmp_path / "b")).kpis
    assert plates["pue"]["value"] < air["pue"]["value"]
    assert plates["gpus_installed"]["value"] > air["gpus_installed"]["value"]
    assert plates["water_m3"]["value"] == 0 < air["water_m3"]["value"]
