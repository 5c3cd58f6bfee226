"""Published costs: each bar that the suite keeps, nothing peeked at, and what is said of rows that cannot be used."""

import csv
import json
import re

import pytest
from click.testing import CliRunner

from dcsim.catalog.load import catalog
from dcsim.validate import owner_cost
from dcsim.validate.cli import validate
from dcsim.validate.common import read, recognise, run, shipped_cases
from dcsim.validate.owner_cost import PEAK, RATED, site
from dcsim.validate.suites import SUITES

SUITE = SUITES["cost"]
FILES = {path.stem: path for path in shipped_cases("cost", SUITE)}
ORIGINALS = ("tco_epoch_training", "tco_hamilton", "tco_acnewkirk_lcoe", "tco_energy_training")
# Answers and steps towards them, which no prediction may read.
ANSWERS = re.compile(
    r"published|pub_|reproduced|formula|err|rel_err|share_|cost_.*_usd|value_at_start|energy_npv|energy_mwh|idling_npv"
)


@pytest.fixture(scope="module")
def form():
    """The result as a user gets it."""
    done = CliRunner().invoke(validate, ["cost", "--json"])
    assert done.exit_code == 0
    return json.loads(done.stdout)


def part(form, name):
    return next(of for of in form["parts"] if of["name"].startswith(name))


def rows(form, *, unit=None, **of):
    return [
        row
        for row in form["rows"]
        if (unit is None or row["unit"] == unit) and all(row[key] == value for key, value in of.items())
    ]


def write(path, cases):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(cases[0]))
        writer.writeheader()
        writer.writerows(cases)
    return path


def results(path):
    return run("cost", SUITE, [path])


def case_of(name, row=0):
    return read(FILES[name])[row]


# What it must reach.


def test_training_runs_are_within_a_thousandth_of_what_they_are_published_to_have_cost(form):
    epoch = part(form, "Epoch AI")
    assert (epoch["n"], epoch["n_predicted"]) == (16, 16)
    assert epoch["max_pct"] <= 0.1
    assert any("un-deflated: 0 of 16" in text for text in form["findings"])


def test_components_are_within_a_tenth_of_a_point_of_their_published_shares(reference):
    found = results(reference("cases/tco_epoch_training.csv"))
    (text,) = (text for text in found["findings"] if "largest error of a published share" in text)
    points, n = re.search(r"share ([\d.]+) points of (\d+)", text).groups()
    assert float(points) <= 0.1
    assert int(n) == 4 * found["n"]
    with reference("cases/tco_epoch_training.csv").open(newline="") as file:
        for case, row in zip(csv.DictReader(file), found["rows"], strict=True):
            assert sum(row["components"].values()) == pytest.approx(1.0)
            for column, share in row["components"].items():
                assert share == pytest.approx(float(case[column]), abs=0.001)


def test_hamiltons_lines_are_met_to_the_dollar(form):
    lines = {
        row["case_id"].split(":")[1].split("/")[0]: row
        for row in rows(form, column="published_usd_per_month")
        if row["case_id"].startswith("hamilton_2008")
    }
    total = lines.pop("TOTAL")
    assert set(lines) == {"servers", "power_cooling_infra", "other_infra", "power"}
    assert all(abs(row["predicted"] - row["published"]) <= 0.5 for row in lines.values())
    # The published total is the sum of the rounded lines.
    assert total["published"] == sum(row["published"] for row in lines.values())
    assert total["predicted"] == pytest.approx(sum(row["predicted"] for row in lines.values()))


def test_shares_of_monthly_models_are_within_six_tenths_of_a_point(form):
    shares = rows(form, column="published_share_pct")
    assert len(shares) == 14
    assert max(abs(row["predicted"] - row["published"]) for row in shares) <= 0.6


def test_electricity_with_idle_gpus_is_within_a_millionth_and_names_its_convention(form):
    totals = rows(form, column="pub_total_lcoe_usd_per_kwh")
    known = [row for row in totals if "readme" not in row["case_id"]]
    assert len(known) == 13
    for row in [*known, *(row for row in rows(form, column="pub_base_lcoe_usd_per_kwh") if row["predicted"])]:
        assert abs(row["error_pct"]) <= 1e-4
        assert "mid-year" in row["convention"]
    for row in totals:
        if "readme" in row["case_id"]:
            assert row["error_pct"] is None
            assert "annual_pue is no number" in row["reason"]
    idle = rows(form, column="idling_npv_usd")
    assert {row["case_id"].split("/")[0] for row in idle} == {"acn_readme_phoenix_ac_solar", "acn_readme_phoenix_grid"}
    assert all(abs(row["error_pct"]) <= 1e-4 for row in idle)


def test_uptime_that_is_counted_twice_has_the_corrected_figure_beside_it(form):
    grid = [row for row in rows(form, column="pub_total_lcoe_usd_per_kwh") if "_grid_" in row["case_id"]]
    assert len(grid) == 8
    for row in grid:
        assert "uptime 2 times" in row["convention"]
        assert row["corrected"] == pytest.approx(0.99 * row["predicted"])
    assert not [row for row in form["rows"] if "acn_ng3" in row["case_id"] and "corrected" in row]


def test_energy_rent_and_carbon_of_training_runs(form):
    for column, n, bar in (("published_mwh", 9, 1.0), ("published_tco2", 16, 1.5), ("published_usd", 1, 1.0)):
        of = rows(form, column=column)
        assert len(of) == n
        assert max(abs(row["error_pct"]) for row in of) <= bar


def test_factors_that_were_inferred_from_the_answer_are_in_sample(form):
    inside = {row["case_id"].split(":")[0] for row in form["rows"] if row["in_sample"]}
    assert inside == {
        "hamilton_2010",
        "llama2_13b",
        "llama3_70b",
        "llama31_8b",
        "llama31_total",
        "llama4_scout",
        "llama4_maverick",
        "llama4_total",
    }


def test_figures_of_the_market(form):
    hours = part(form, "owner's cost")
    assert (hours["n_predicted"], hours["n"]) == (8, 8)
    assert hours["max_pct"] <= 25.0
    assert part(form, "power at the meter")["max_pct"] <= 10.0
    assert part(form, "capital a gigawatt")["max_pct"] <= 10.0
    owners = [text for text in form["findings"] if text.startswith("a GPU-hour of a ")]
    assert len(owners) == 2
    # An owner's own price is not hidden: what the list price would give stands beside it.
    assert "at the catalog's list price" in owners[0]
    (capital,) = (text for text in form["findings"] if text.startswith("capital a GW"))
    assert "networking 13" in capital


# Nothing peeked at, nothing dropped.


def blanked(cases, value):
    out = []
    for case in cases:
        grid = case.get("kind") == "grid"
        out.append(
            {
                name: value if text and (ANSWERS.match(name) or (grid and name == "opex_npv_usd")) else text
                for name, text in case.items()
            }
        )
    return out


@pytest.mark.parametrize("name", [*FILES, *ORIGINALS])
@pytest.mark.parametrize("value", ["123.0", ""])
def test_predictions_are_the_same_without_answers_and_steps(name, value, reference):
    cases = read(FILES[name] if name in FILES else reference(f"cases/{name}.csv"))
    kind = recognise("cost", SUITE, FILES.get(name, FILES["cost-epoch"]), cases)

    def predictions(of):
        seen = [{column: case[column] for column in {*kind.inputs, *kind.optional} & set(case)} for case in of]
        found = [kind.predict(case) for case in seen]
        return [{column: getattr(value, "value", str(value)) for column, value in of.items()} for of in found]

    assert not [column for column in (*kind.inputs, *kind.optional) if ANSWERS.match(column)]
    assert predictions(blanked(cases, value)) == predictions(cases)


@pytest.mark.parametrize("name", ORIGINALS)
def test_original_files_are_recognised_also_without_steps(name, reference, tmp_path):
    cases = read(reference(f"cases/{name}.csv"))
    whole = results(reference(f"cases/{name}.csv"))
    steps = [column for column in cases[0] if ANSWERS.match(column) and not column.startswith(("published", "pub_"))]
    steps = [column for column in steps if column != "idling_npv_usd"]
    path = write(
        tmp_path / f"{name}.csv",
        [{column: text for column, text in case.items() if column not in steps} for case in cases],
    )
    assert results(path)["rows"] == whole["rows"]
    assert whole["n"] == len({row["case_id"] for row in whole["rows"]})


def test_a_file_may_hold_some_of_the_answers_alone(tmp_path):
    cases = [
        {column: text for column, text in case.items() if column not in ("published_usd_per_month", "source")}
        for case in read(FILES["cost-hamilton"])
    ]
    found = results(write(tmp_path / "mine.csv", cases))
    assert found["n_predicted"] == found["n"] == 14
    assert found["rows"][1]["case_id"] == "hamilton_2010:servers"


# Figures left un-deflated.


def undeflated(**changes):
    """GPT-4's row as if its figure of December 2024 had been left in dollars of its year."""
    case = case_of("cost-epoch")
    case["published_dec2024_usd"] = case["published_nominal_usd"]
    index = float(case["ppi_dec24"]) / float(case["ppi_pub"])
    case["published_nominal_usd"] = str(float(case["published_nominal_usd"]) / index)
    return {**case, **changes}


@pytest.mark.parametrize(
    "changes",
    [{}, {"published_nominal_usd": ""}, {"published_dec2024_usd": ""}, {"ppi_pub": ""}],
    ids=["both", "dec2024 alone", "nominal alone", "no index"],
)
def test_a_figure_left_undeflated_is_said_to_be_so_and_keeps_its_error(changes, tmp_path):
    if changes == {"published_nominal_usd": ""}:
        changes = {**changes, "ppi_dec24": "119.349"}
    found = results(write(tmp_path / "x.csv", [undeflated(**changes), case_of("cost-epoch", 1)]))
    row, other = found["rows"]
    assert "un-deflated" in row["reason"]
    assert row["error_pct"] == pytest.approx(100 * (row["predicted"] / row["published"] - 1))
    assert abs(row["error_pct"]) > 1.0
    assert "reason" not in other
    (text,) = (text for text in found["findings"] if "un-deflated" in text)
    assert "1 of 2" in text
    assert float(re.search(r"of the other 1: ([\d.e-]+) %", text)[1]) < 1e-4


def test_another_error_is_not_excused_by_the_price_index(tmp_path):
    case = case_of("cost-epoch")
    case["published_nominal_usd"] = str(1.05 * float(case["published_nominal_usd"]))
    (row,) = results(write(tmp_path / "x.csv", [case]))["rows"]
    assert row["error_pct"] == pytest.approx(100 * (1 / 1.05 - 1), abs=1e-4)
    assert "reason" not in row


def test_the_figure_of_2024_counts_where_there_is_no_nominal_one(tmp_path):
    case = {**case_of("cost-epoch"), "published_nominal_usd": ""}
    (row,) = results(write(tmp_path / "x.csv", [case]))["rows"]
    assert row["column"] == "published_dec2024_usd"
    assert abs(row["error_pct"]) < 0.1
    (row,) = results(write(tmp_path / "x.csv", [{**case, "ppi_pub": ""}]))["rows"]
    assert row["reason"] == "ppi_pub is not given"


# Rows that cannot be used.


@pytest.mark.parametrize("name", ["cost-epoch", "cost-hamilton", "cost-lcoe", "cost-energy"])
def test_a_missing_input_is_named(name, tmp_path):
    case = case_of(name)
    kind = recognise("cost", SUITE, FILES[name], [case])
    named = set()
    for column in kind.inputs:
        (first, *_) = results(write(tmp_path / "x.csv", [{**case, column: ""}]))["rows"]
        if first["error_pct"] is None:
            assert first["predicted"] is None
            assert column in first["reason"] or column in ("line", "kind")
            named.add(column)
    # A line of a monthly model needs its own inputs alone.
    assert named >= set(kind.inputs) - (set(kind.inputs) if name == "cost-hamilton" else {"kind"})
    assert named


def test_hours_may_be_stated_as_chips_and_hours(tmp_path):
    case = case_of("cost-energy")
    whole = results(write(tmp_path / "x.csv", [case]))["rows"]
    assert results(write(tmp_path / "x.csv", [{**case, "gpu_hours": ""}]))["rows"][0]["predicted"] == pytest.approx(
        whole[0]["predicted"]
    )
    (row, _) = results(write(tmp_path / "x.csv", [{**case, "gpu_hours": "", "hours": ""}]))["rows"]
    assert "gpu_hours" in row["reason"]
    assert "hours is not given" in row["reason"]


def test_about_a_number_is_that_number_and_what_is_none_has_a_reason(tmp_path):
    case = case_of("cost-energy")
    cases = [{**case, "published_mwh": text} for text in ("~1.287e3", "a lot", "nan", "0", "")]
    cases.append({**case, "pue": "~1.1"})
    found = results(write(tmp_path / "x.csv", cases))["rows"]
    about, lot, nan, zero, last = (row for row in found if row["column"] == "published_mwh")
    assert about["published"] == 1287.0
    assert lot["published"] is None
    assert lot["error_pct"] is None
    assert "no number: 'a lot'" in lot["reason"]
    assert "no number: 'nan'" in nan["reason"]
    assert zero["error_pct"] is None
    assert "0" in zero["reason"]
    assert last["predicted"] == pytest.approx(about["predicted"])
    done = CliRunner().invoke(validate, ["cost", "--cases", str(tmp_path / "x.csv")])
    assert done.exit_code == 0
    assert "no number: 'a lot'" in done.stdout


def test_operation_starts_in_the_year_that_a_case_says(tmp_path):
    grid = {**case_of("cost-lcoe"), "construction_years": "2.5", "uptime_applied_in_energy_denominator": ""}
    cases = [{**grid, "ops_start_year": text} for text in ("", "2", "floor(construction_years)", "3", "ceil(x)", "40")]
    found = results(write(tmp_path / "x.csv", cases))["rows"]
    blank, two, floor, three, ceil, late = (row for row in found if row["column"].startswith("pub_total"))
    assert blank["predicted"] == two["predicted"] == floor["predicted"]
    assert three["predicted"] == ceil["predicted"] > floor["predicted"]
    assert "start in year 40" in late["reason"]


def test_costs_of_an_unknown_kind_and_lines_of_no_model_have_a_reason(tmp_path):
    solar = {**case_of("cost-lcoe"), "kind": "dc_solar"}
    assert all("dc_solar" in row["reason"] for row in results(write(tmp_path / "x.csv", [solar]))["rows"])
    line = {**case_of("cost-hamilton"), "line": "server"}
    (row,) = results(write(tmp_path / "x.csv", [line]))["rows"]
    assert "did you mean 'servers'" in row["reason"]


def test_market_rows_that_cannot_be_built_have_a_reason(tmp_path):
    case = case_of("cost-market")
    cases = [
        {**case, **change}
        for change in ({"server": ""}, {"server": "none such"}, {"server": "cpu-16"}, {"owner": ""}, {"figure": "x"})
    ]
    for row, says in zip(
        results(write(tmp_path / "x.csv", cases))["rows"],
        ("server is not given", "none such", "no GPUs", "owner is not given", "figure"),
        strict=True,
    ):
        assert row["predicted"] is None
        assert says in row["reason"]


def test_numbers_that_overflow_or_divide_by_zero_have_a_reason(tmp_path):
    lcoe = {**case_of("cost-lcoe"), "gpus_per_node": "0"}
    assert all("cannot be computed" in row["reason"] for row in results(write(tmp_path / "x.csv", [lcoe]))["rows"])
    epoch = {**case_of("cost-epoch"), "hours_per_year": "0", "acq_date": "2020"}
    (row,) = results(write(tmp_path / "x.csv", [epoch]))["rows"]
    assert "acq_date is no date" in row["reason"]


# Owners.


def test_an_owners_hour_is_the_sum_of_its_components_and_dearer_money_costs_more():
    cheap, dear = (owner_cost.owner_cost("gb200-nvl72", name, own_price=False) for name in ("hyperscaler", "neocloud"))
    assert cheap.usd_per_gpu_h == pytest.approx(sum(cheap.components.values()))
    assert dear.usd_per_gpu_h > cheap.usd_per_gpu_h
    # What has nothing to do with money and lives is the same.
    for component in ("energy", "upkeep", "insurance", "staff"):
        assert dear.components[component] == cheap.components[component]


def test_owners_rest_on_rows_with_sources():
    for name in ("owner-hyperscaler", "owner-neocloud"):
        for row in catalog().part("operations", name).values():
            assert row.low <= row.value <= row.high
            assert row.source != "assumption" or row.note


def test_a_site_on_rated_power_carries_fewer_gpus_than_on_its_measured_peak():
    rated, peak = site("hgx-h100-8", RATED), site("hgx-h100-8", PEAK)
    assert rated.n_gpus < peak.n_gpus
    assert 1.0 < rated.pue < 1.3
    assert rated.kw_per_gpu < rated.design_kw_per_gpu
