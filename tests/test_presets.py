"""Shipped profiles: fitted again they are the same, none knows what it must not, and the nearest is named."""

import hashlib
import json
from functools import cache
from importlib.resources import files as resources
from pathlib import Path

import pytest
from click.testing import CliRunner
from dcsim.calibration.cli import calibrate
from dcsim.calibration.presets import differences, files, inference
from dcsim.calibration.presets.common import MEASUREMENTS
from dcsim.calibration.presets.training import training_rows

from dcsim.catalog.fitted import fitted
from dcsim.catalog.hardware import transformer
from dcsim.catalog.load import folder
from dcsim.catalog.profiles import estimate, families, nearest, profiles, split, split_names
from dcsim.catalog.published import training_run
from dcsim.errors import RangeError, UnknownNameError
from dcsim.validate.common import read, shipped_cases
from dcsim.validate.suites import SUITES

again = cache(files)


def test_presets_fitted_again_are_the_shipped_ones():
    assert differences(again(), folder() / "profiles") == []


def test_a_changed_parameter_is_found(tmp_path):
    done = again()
    name, text = next((name, text) for name, text in done.items() if name.name.endswith("dense.json"))
    for path, other in done.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(other)
    record = json.loads(text)
    record["parameters"]["gemm_eff"] *= 1 + 1e-3
    (tmp_path / name).write_text(json.dumps(record))
    assert [fault.split(":")[0] for fault in differences(done, tmp_path)] == [str(name)]


def test_every_profile_frees_at_most_half_its_rows_and_names_its_input():
    digest = hashlib.sha256((MEASUREMENTS / "published-training.csv").read_bytes()).hexdigest()
    for profile in profiles() + tuple(p for name in split_names() for p in split(name)):
        assert len(profile.free) <= max(1, len(profile.cases) // 2), profile.key
        assert len(profile.covariance) == len(profile.free)
        assert profile.input_sha256 == digest


@pytest.mark.parametrize("name", [name for name in split_names() if name.startswith("without-")])
def test_a_split_never_saw_what_it_is_held_from(name):
    held = name.removeprefix("without-")
    assert all(held not in families(profile) for profile in split(name))


def test_the_one_node_split_saw_two_runs_of_eight_gpus():
    seen = {case for profile in split("h100-one-node") for case in profile.cases}
    assert seen == {"dgxc2504-llama3.1-8b-h100-bf16-8", "dgxc2504-llama3.1-8b-h100-fp8-8"}


@pytest.mark.parametrize("name", sorted(path.name for path in MEASUREMENTS.glob("published-*.csv")))
def test_validation_cases_are_the_measurements(name):
    cases = name.removeprefix("published-")
    shipped = next(path for suite in SUITES.items() for path in shipped_cases(*suite) if path.name == cases)
    assert shipped.read_bytes() == (MEASUREMENTS / name).read_bytes()


def test_every_other_fit_frees_at_most_half_its_rows_and_names_its_input():
    found = [(path, json.loads(text)) for path, text in again().items()]
    fits = [record for _, records in found if isinstance(records, list) for record in records if "note" in record]
    assert fits
    for record in fits:
        if record["input"].startswith("traces/"):
            continue
        assert len(record["free"]) <= max(1, len(record["cases"]) // 2), record["key"]
        assert record["input_sha256"] == hashlib.sha256((MEASUREMENTS / record["input"]).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("gpu", "dtype", "moe", "expected"),
    [
        ("h100-sxm-80gb", "bf16", False, "h100-sxm-80gb.bf16.nemo.dense"),
        ("H200", "bf16", False, "h100-sxm-80gb.bf16.nemo.dense"),
        ("b200-sxm-180gb", "fp8", False, "gb200-nvl72.fp8.bridge.dense"),
        ("mi300x-192gb", "bf16", False, "h100-sxm-80gb.bf16.nemo.dense"),
        ("gb300-nvl72", "mxfp8", True, "gb300-nvl72.mxfp8.all.moe"),
    ],
)
def test_the_nearest_profile(gpu, dtype, moe, expected):
    found = nearest(profiles(), gpu=gpu, dtype=dtype, stack="of mine", network="ib-ndr400", moe=moe)
    assert found.key == expected


def test_an_unknown_gpu_and_no_profiles_are_refused():
    with pytest.raises(UnknownNameError):
        nearest(profiles(), gpu="h999", dtype="bf16", stack="x", network="ib-ndr400", moe=False)
    with pytest.raises(UnknownNameError, match="no profile"):
        nearest([], gpu="h100-sxm-80gb", dtype="bf16", stack="x", network="ib-ndr400", moe=False)


def test_an_interval_widens_for_a_stack_that_was_not_fitted():
    run = next(row.run for row in training_rows() if row.run.family == "nemo")
    profile = nearest(profiles(), gpu=run.gpu_key, dtype=run.dtype, stack=run.stack, network=run.network, moe=False)
    own = estimate(profile, run.model, run.plan, run.gpu, dtype=run.dtype, stack="nemo")
    other = estimate(profile, run.model, run.plan, run.gpu, dtype=run.dtype, stack="mine")
    assert float(own.p10_s) < float(own.step.step_s) < float(own.p90_s)
    assert float(other.p90_s - other.p10_s) > 2 * float(own.p90_s - own.p10_s)
    assert float(other.step.step_s) == float(own.step.step_s)


def test_a_row_that_contradicts_itself_is_refused():
    row = read(MEASUREMENTS / "published-training.csv")[0]
    for change, rule in (
        ({"gpus": "33"}, "divide"),
        ({"recompute": "some"}, "recompute"),
        ({"layers": "many"}, "layers"),
        ({"dtype": "nvfp4"}, "no nvfp4 units"),
    ):
        with pytest.raises(RangeError, match=rule):
            training_run({**row, "tp": "2", **change})


def test_the_command_checks_and_leaves_files_alone():
    done = CliRunner().invoke(calibrate, ["presets", "--check"])
    assert done.exit_code == 0, done.output
    assert "0 differ" in done.output


def test_shapes_of_models_have_all_that_the_record_needs():
    from dcsim.catalog.load import models

    for key in models():
        assert float(transformer(key).params()) > 1e9
    assert Path(str(resources("dcsim.catalog"))).is_dir()


def test_serving_fits_free_at_most_half_their_rows(reference):
    reference("traces/gpu_power/mlenergy_v3_lm-arena-chat.json")
    for name in ("inference", "validation/inference-left-out-sweeps", "validation/inference-left-out-batches"):
        for one in fitted(name).values():
            assert len(one.free) <= max(1, len(one.cases) // 2), one.key


def test_without_its_input_serving_is_not_said_to_differ(monkeypatch):
    monkeypatch.setattr(inference, "rows", tuple)
    monkeypatch.setattr(inference, "files", dict)
    assert differences(files(), folder() / "profiles") == []
