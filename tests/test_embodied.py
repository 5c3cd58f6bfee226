"""Embodied carbon: of what is bought within a plan, replacements included, and against BLOOM's published share."""

import pytest
from plans import small

from dcsim import pipeline, runs
from dcsim.catalog.load import catalog


def test_blooms_embodied_carbon_is_met_by_the_catalogs_server():
    # 1,082,990 GPU-hours on nodes of eight A100 that live six years at 85 % use: 11.2 t published.
    per_gpu_h = catalog().row("servers", "dgx-a100-8", "embodied_kg").value / 8 / (6 * 8760 * 0.85)
    assert per_gpu_h * 1_082_990 / 1e3 == pytest.approx(11.2, rel=0.01)


def test_servers_and_construction_count_once_when_they_go_into_service(tmp_path):
    run = runs.read(pipeline.run(small(), tmp_path))
    servers = run.findings["phases"][-1]["gpus"] / 8
    row = catalog().row("servers", "hgx-h100-8", "embodied_kg")
    assert run.kpis["embodied_servers_t"]["value"] == pytest.approx(servers * row.value / 1e3)
    capex = run.ledger[run.ledger["category"] == "capex"]
    bought = capex[capex["item"] == "shell: shell"]
    critical_mw = bought["quantity"].sum()
    assert run.kpis["embodied_construction_t"]["value"] == pytest.approx(critical_mw * 983)


def test_replacements_are_made_again(tmp_path):
    once = runs.read(pipeline.run(small(), tmp_path / "a")).kpis["embodied_servers_t"]["value"]
    ledger = runs.read(pipeline.run(small("plan.years=6"), tmp_path / "b"))
    assert ledger.kpis["embodied_servers_t"]["value"] == pytest.approx(2 * once, rel=0.01)
    assert ledger.ledger["item"].str.contains("replacement").any()
