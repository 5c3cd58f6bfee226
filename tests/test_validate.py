"""The common form of every suite: nothing dropped, nothing peeked at, errors as defined."""

import csv
import json

import pytest
from click.testing import CliRunner

from dcsim.errors import InputError, UsageError
from dcsim.validate.cli import validate
from dcsim.validate.common import ABSENT, read, recognise, run, shipped_cases
from dcsim.validate.suites import SUITES

FORM = {"suite", "n", "n_predicted", "mape_pct", "median_pct", "max_pct", "coverage", "splits"}
FORM |= {"parts", "findings", "checks", "rows"}
ROW = {"case_id", "column", "predicted", "published", "unit", "error_pct", "in_sample", "p10", "p90", "source"}
WITHOUT_DATA = sorted(name for name, suite in SUITES.items() if not suite.needs_data)


def result(suite, path=None):
    return run(suite, SUITES[suite], [path] if path else shipped_cases(suite, SUITES[suite]))


@pytest.mark.parametrize("suite", WITHOUT_DATA)
def test_the_form_is_kept(suite):
    form = result(suite)
    assert set(form) == FORM
    assert form["n"] == len(form["rows"]) == form["splits"]["in_sample"]["n"] + form["splits"]["out_of_sample"]["n"]
    for row in form["rows"]:
        assert set(row) - {"reason", "convention", "corrected", "components"} == ROW
        if row["predicted"] is None:
            assert row["error_pct"] is None
            assert row["reason"]
        else:
            assert row["error_pct"] == pytest.approx(100 * (row["predicted"] / row["published"] - 1))
    assert len({row["case_id"] for row in form["rows"]}) == form["n"]


FILES = [(suite, path) for suite in WITHOUT_DATA for path in shipped_cases(suite, SUITES[suite])]


@pytest.mark.parametrize(("suite", "path"), FILES, ids=lambda value: getattr(value, "stem", value))
def test_no_prediction_reads_an_answer(suite, path, tmp_path):
    """With every answer replaced by another number the predictions are the same."""
    cases = read(path)
    answers = recognise(suite, SUITES[suite], path, cases).answers
    other = tmp_path / path.name
    with other.open("w", newline="") as file:
        writer = csv.DictWriter(file, cases[0])
        writer.writeheader()
        writer.writerows({**case, **{column: "123.0" for column in answers if case.get(column)}} for case in cases)
    ours, changed = result(suite, path), result(suite, other)
    assert [row["predicted"] for row in changed["rows"]] == [row["predicted"] for row in ours["rows"]]
    if "fits" not in answers.values():
        assert {row["published"] for row in changed["rows"]} != {row["published"] for row in ours["rows"]}


def test_wet_bulb_is_within_a_thousandth_of_a_kelvin():
    rows = result("psychrometrics")["rows"]
    assert len(rows) > 200
    assert max(abs(row["predicted"] - row["published"]) for row in rows) < 0.001


def test_ups_efficiency_is_within_two_thousandths():
    rows = result("electrical")["rows"]
    assert max(abs(row["predicted"] - row["published"]) for row in rows) < 0.002
    assert all(row["in_sample"] for row in rows)


def test_the_schedule_suite_is_within_one_percent(reference, monkeypatch):
    path = reference("traces/swf/KTH-SP2-1996-2.1-cln.swf.gz")
    monkeypatch.setenv("DCSIM_DATA_DIR", str(path.parents[2]))
    form = result("schedule")
    assert form["n_predicted"] == form["n"] == 14
    assert form["max_pct"] < 1.0
    batsim = next(part for part in form["parts"] if part["name"].startswith("Batsim"))
    assert batsim["max_pct"] < 0.01
    starts = [text for text in form["findings"] if "801 of 801 jobs start within 0.01 s" in text]
    assert len(starts) == 2


def test_absent_data_is_a_reason_and_the_rows_stay(monkeypatch, tmp_path):
    monkeypatch.setenv("DCSIM_DATA_DIR", str(tmp_path))
    form = result("schedule")
    assert (form["n"], form["n_predicted"], form["mape_pct"]) == (14, 0, None)
    assert all(row["reason"].startswith(ABSENT) for row in form["rows"])


def test_json_is_alone_on_stdout():
    done = CliRunner().invoke(validate, ["electrical", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["suite"] == "electrical"


def test_cases_of_ones_own_are_recognised_by_their_columns(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "ups,redundancy,critical_load_frac,published_ups_efficiency\ndelta,2N,0.5,0.941\nnone such,N,x,0.9\n"
    )
    form = result("electrical", path)
    assert [row["case_id"] for row in form["rows"]] == ["mine:1", "mine:2"]
    assert form["n_predicted"] == 1
    assert form["rows"][1]["reason"]


def test_columns_of_no_kind_are_refused_with_the_known_ones(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="critical_load_frac"):
        result("electrical", path)
    with pytest.raises(UsageError):
        result("electrical", tmp_path / "none.csv")


def parts(suite):
    return {(part["name"], part["held_out"]): part for part in result(suite)["parts"]}


# Mean and largest error that each part of the training suite must keep to, %.
TRAINING_BARS = [
    ("SC21", True, 4.0, 9.0),
    ("Korthikanti", False, 3.0, None),
    ("Korthikanti", True, 5.0, None),
    ("H100, nemo and mlperf, dense", False, 3.5, None),
    ("H100, nemo and mlperf, dense", True, 6.0, None),
    ("nemo, dense", True, 12.0, None),
    ("mlperf, dense", True, 12.0, None),
    ("bridge, dense", True, 12.0, None),
    ("MoE", False, 15.0, None),
]


def test_training_keeps_its_bars():
    found = parts("training")
    for name, held_out, mean, largest in TRAINING_BARS:
        part = found[name, held_out]
        assert part["mape_pct"] <= mean, name
        assert largest is None or part["max_pct"] <= largest, name
    assert found["MoE", True]["median_pct"] <= 20.0
    assert 0.70 <= found["all dense but bloom", True]["coverage"]["frac"] <= 0.95


def test_memory_keeps_its_bars():
    found = parts("memory")
    assert found["Korthikanti", False]["max_pct"] <= 5.0
    plans = [row for row in result("memory")["rows"] if row["unit"] == "fits" and row["predicted"] is not None]
    assert sum(row["predicted"] for row in plans) >= 0.95 * len(plans)
    # Those that are said not to fit are named.
    unfit = [row["case_id"].split("/")[0] for row in plans if not row["predicted"]]
    assert all(name in result("memory")["findings"][0] for name in unfit)


def test_collectives_keep_their_bars():
    found = result("collectives")["parts"]
    fitted = [part for part in found if part["meaning"] == "fitted" or part["meaning"].startswith("each fitted")]
    assert len(fitted) == 9
    assert all(part["mape_pct"] <= 7.0 for part in fitted)
    held = next(part for part in found if part["held_out"])
    assert 0.7 <= held["coverage"]["frac"] <= 0.95


def test_a_degraded_fabric_is_named(tmp_path):
    assert [text.split()[0] for text in result("collectives")["findings"]] == ["nccl-tests-290-h100-2n-degraded"]
    path = tmp_path / "mine.csv"
    head = "system,gpu,nodes,gpus,network,algo,size_B,time_us_oop,time_us_ip\n"
    path.write_text(
        head + "a,H100,4,32,8x400G IB,auto,8589934592,46000,\nb,H100,4,32,8x400G IB,auto,8589934592,150000,\n"
    )
    assert [text.split()[0] for text in result("collectives", path)["findings"]] == ["b"]


def test_gemm_keeps_its_bar():
    assert all(part["mape_pct"] <= 9.0 for part in result("gemm")["parts"])


def test_node_power_keeps_its_bar():
    found = parts("node-power")["MLPerf v4.0, H100 nodes in immersion", False]
    assert found["n_predicted"] == 48
    assert found["mape_pct"] <= 5.0


def test_node_power_of_other_makers(tmp_path):
    """Highest readings are published of an air-cooled H100 node, 9.48 kW, and means of B200 nodes, 9.6 to 10.0 kW."""
    path = tmp_path / "others.csv"
    path.write_text(
        "system,benchmark,measurement,accelerator,nodes,gpus,time_to_train_min_median,mean_node_W\n"
        "XE9680,llama2_70b_lora,AC,H100-SXM5-80GB,1,8,29.5,9480\n"
        "B200,llama2_70b_lora,AC,B200-SXM-180GB,1,8,13,9800\n"
        "MI300X,llama2_70b_lora,AC,MI300X,1,8,29,7000\n"
    )
    air, blackwell, none = result("node-power", path)["rows"]
    assert 7500 < air["predicted"] < air["published"]
    assert abs(blackwell["error_pct"]) <= 12.0
    assert not air["in_sample"]
    assert "MI300X" in none["reason"]


def test_resnet_keeps_its_bar():
    assert parts("training")["ResNet-50, several nodes", True]["max_pct"] <= 20.0


def test_serving_keeps_its_bars(reference):
    reference("traces/gpu_power/mlenergy_v3_lm-arena-chat.json")
    suite = SUITES["inference"]
    form = run("inference", suite, shipped_cases("inference", suite))
    found = {(part["name"], part["meaning"]): part["mape_pct"] for part in form["parts"]}
    assert found["throughput", "a batch left out of its sweep"] <= 7.0
    assert found["power", "a batch left out of its sweep"] <= 5.0
    assert found["throughput", "a whole sweep left out"] <= 20.0
    assert found["power", "a whole sweep left out"] <= 12.0


def test_serving_says_that_its_data_is_absent(monkeypatch, tmp_path):
    monkeypatch.setenv("DCSIM_DATA_DIR", str(tmp_path))
    suite = SUITES["inference"]
    form = run("inference", suite, shipped_cases("inference", suite))
    assert form["n"] == 0
    assert "reference data absent" in form["findings"][0]


def test_a_sweep_of_serving_that_was_not_fitted(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "model_id,gpu_model,num_gpus,weight_precision,max_num_seqs,avg_batch_size,avg_output_len,"
        "activated_params_billions,total_params_billions,output_throughput_tokens_per_sec,avg_power_watts\n"
        "Qwen/Qwen3-8B,H200,1,bfloat16,64,,600,8,8,4000,600\n"
        "Qwen/Qwen9-8B,H100,1,bfloat16,64,,600,8,8,4000,600\n"
    )
    rows = result("inference", path)["rows"]
    assert [row["predicted"] is None for row in rows] == [False, False, True, True]
    assert not rows[0]["in_sample"]
    assert "did you mean" in rows[2]["reason"]


def test_reliability_keeps_its_bars():
    rows = {row["case_id"]: row for row in result("reliability")["rows"]}
    assert [rows[f"mttf-rsc1-{gpus}"]["predicted"] for gpus in (16384, 131072)] == [1.8, 0.23]
    assert abs(rows["ettr-llama3"]["predicted"] - 0.906) <= 0.01
