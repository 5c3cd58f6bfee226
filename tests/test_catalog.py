"""The catalog: every figure has a source that resolves, a range that holds it, and one place."""

import csv
import dataclasses

import numpy as np
import pytest

from dcsim.catalog.load import (
    HEADER,
    TABLES,
    Assumptions,
    _read,
    carbon_table,
    catalog,
    digest,
    folder,
    models,
    sources,
)
from dcsim.catalog.normals import sites
from dcsim.catalog.weather import stations
from dcsim.errors import UnknownNameError
from dcsim.physics.cooling import COOLING

ROWS = [pytest.param(row, id="/".join((row.table, row.key, row.parameter))) for row in catalog().rows]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_a_source_that_resolves_and_a_range_that_holds_it(row):
    assert row.source == "assumption" or row.source in sources()
    if row.source == "assumption":
        assert row.note, "an assumption says why"
    if row.low is not None:
        assert row.low <= row.value
    if row.high is not None:
        assert row.value <= row.high
    assert row.unit


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_the_common_columns_and_no_row_twice(table):
    with (folder() / f"{table}.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == HEADER
    keys = [(row[0], row[1]) for row in rows[1:]]
    assert len(keys) == len(set(keys))


def test_sources_say_what_was_seen_and_none_is_unused():
    used = {row.source for row in catalog().rows} | {model.source for model in models().values()}
    used |= {station["source"] for station in stations().values()} | {site.source for site in sites().values()}
    used |= {"pjm_ci_2022", "ipcc_ar5_lca", "lenovo_gb300"}  # of the carbon table and of the rack table in physics
    used |= {row["source"] for row in _read("served_models.csv")}
    keys = [row["key"] for row in _read("sources.csv")]
    assert len(set(keys)) == len(keys)
    for source in sources().values():
        assert source.status in ("verified", "secondary", "memory")
        assert source.url == "" or source.url.startswith("http")
    unused = set(sources()) - used
    assert not unused


@pytest.mark.parametrize("kind", COOLING)
def test_a_plants_defaults_are_the_catalogs(kind):
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(COOLING[kind].part)
        if not isinstance(field.default, str)
    }
    assert {name: row.value for name, row in catalog().part("cooling", kind).items()} == pytest.approx(defaults)


def test_published_spellings_lead_to_one_key():
    assert catalog().resolve("gpus", "nvidia h100 80gb hbm3") == "h100-sxm-80gb"
    assert "assumed" in catalog().aliases["gpus", "h100"].note
    for (table, _), alias in catalog().aliases.items():
        assert alias.key in catalog().keys(table)


def test_shares_of_the_construction_price_are_one():
    part = catalog().part("prices", "us-average-2025")
    assert sum(row.value for name, row in part.items() if name.startswith("share_")) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["training", "fine_tuning", "inference", "evaluation"])
def test_a_workload_class_is_whole(name):
    part = catalog().part("workload_classes", name)
    weights = [row.value for parameter, row in part.items() if parameter.startswith("gpus_")]
    assert sum(weights) == pytest.approx(1.0)
    assert part["run_median_s"].value <= part["run_mean_s"].value <= part["run_max_s"].value
    assert part["limit_over_run_mean"].value >= 1


def test_the_carbon_table_is_a_year_of_plausible_hours():
    table = carbon_table("pjm-2022")
    assert table.shape == (12, 24)
    assert 0.2 < table.min() < table.max() < 0.6
    # Hour-weighted by days of the month: the annual mean of the hourly series is 0.3628.
    days = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    assert (table.mean(axis=1) @ days) / 365 == pytest.approx(0.3628, abs=0.0005)


def test_carbon_table_equals_the_hourly_series_it_reduces(reference):
    import pandas as pd

    hourly = pd.read_csv(reference("grid/PJM_2022_carbon_intensity.csv.gz"), parse_dates=["timestamp"])
    local = hourly["timestamp"].dt.tz_convert("Etc/GMT+5")  # eastern standard time all year
    # Five hours of October hold partial fuel mixes, at an eighth of the usual intensity.
    good = hourly["avg_CI"].between(100, 600)
    means = hourly[good].groupby([local.dt.month, local.dt.hour])["avg_CI"].mean().unstack().to_numpy() / 1000
    np.testing.assert_allclose(carbon_table("pjm-2022"), means, atol=6e-5)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'hgx-h100-8'"):
        catalog().part("servers", "hgx-h100-9")
    with pytest.raises(UnknownNameError, match="did you mean 'price_usd'"):
        catalog().row("servers", "hgx-h100-8", "prize_usd")


def test_replacing_a_value_leaves_the_shipped_catalog_alone():
    changed = catalog().replaced({"servers.hgx-h100-8.price_usd": (1.0, "a quotation")})
    assert changed.row("servers", "hgx-h100-8", "price_usd").value == 1.0
    assert catalog().row("servers", "hgx-h100-8", "price_usd").value > 1e5
    for name in ("servers.hgx-h100-8", "servers.none.price_usd", "prize"):
        with pytest.raises(UnknownNameError):
            catalog().replaced({name: (1.0, "x")})


def test_assumptions_note_each_value_once_and_who_stated_it():
    used = Assumptions(catalog())
    used.use("a", "servers", "hgx-h100-8", "price_usd")
    used.use("b", "servers", "hgx-h100-8", "price_usd")
    used.state("c", "operations", "us-10mw", "lighting_frac", 0.02, "1")
    used.state("d", "operations", "us-10mw", "support_power_frac", 0.04, "1")
    frame = used.frame()
    assert frame["used_for"].tolist() == ["a", "c", "d"]
    assert frame["source"].tolist() == ["epoch_prices", "scenario", "assumption"]


def test_the_digest_covers_every_file():
    assert len(digest()) == 64


def test_models_have_shapes():
    assert models()["llama3.1-70b"].numbers["layers"] == 80
    assert models()["deepseek-v3"].family == "moe"
