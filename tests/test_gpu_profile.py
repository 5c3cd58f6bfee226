"""Profiles in scenarios: measured rates take the place of data sheets, and draws reach every key figure."""

import json

import pytest
from plans import small
from test_check import body, parameter

from dcsim import pipeline, runs
from dcsim.catalog.gpu_profile import Machine, machine
from dcsim.catalog.hardware import gpu
from dcsim.catalog.machines import hardware, identity
from dcsim.errors import InputError, UnknownNameError, UsageError
from dcsim.physics.training import Calibration
from dcsim.workload.model_runs import machine_of

H100 = "h100-sxm-80gb"
RUN = 'workload.runs=[{"name": "pretrain", "model": "llama3.1-8b", "gpus": 64, "tokens": 1.0e10}]'


def profile(folder, spread=1.05, **parameters):
    rates = {
        "gemm__bf16__flop_s": parameter(7.0e14, "FLOP/s", high=spread),
        "attention__bf16__flop_s": parameter(6.0e14, "FLOP/s", high=spread),
        "attention__bf16__exp_per_s": parameter(3.0e12, "1/s", high=spread),
        "copy__b_s": parameter(2.6e12, "B/s", high=spread),
        "all_reduce__node__bus_b_s": parameter(4.7e11, "B/s", high=spread),
        **parameters,
    }
    made = body(**rates)
    made["holdout"] = {"training_step.gpt.bf16": {"rel_err": -0.08, "predicted_s": 0.92, "measured_s": 1.0}}
    made["meter"] = {"source": "nvml.energy", "reason": "", "power_limit_w": 700.0}
    made["id"] = identity(made)
    path = folder / "machine.json"
    path.write_text(json.dumps(made))
    return path


def test_measured_rates_replace_the_data_sheets_and_nothing_else():
    part, fit = gpu(H100, "bf16", "ib-ndr400"), Calibration()
    same = hardware({}, part, fit, "bf16")
    assert same == (part, fit)
    _, changed = hardware({"gemm.bf16.flop_s": 7e14, "copy.b_s": 2.5e12}, part, fit, "bf16")
    assert changed.gemm_eff * part.matmul_flop_s == pytest.approx(7e14)
    assert changed.memory_eff * part.memory_b_s == pytest.approx(2.5e12)
    assert changed.layer_passes == fit.layer_passes
    assert changed.dp_exposed == fit.dp_exposed


def test_a_type_that_was_not_measured_is_scaled_from_bf16():
    part = gpu(H100, "fp8", "ib-ndr400")
    _, fit = hardware({"gemm.bf16.flop_s": part.matmul16_flop_s}, part, Calibration(), "fp8")
    assert fit.gemm_eff == pytest.approx(0.85)


def test_a_name_is_a_shipped_profile_and_a_path_a_measured_one(tmp_path):
    named = machine(f"{H100}.bf16.nemo.dense", lambda: tmp_path / "no", H100)
    assert not named.measured
    assert named.shipped.stack == "nemo"
    measured = machine("machine.json", lambda: profile(tmp_path), H100)
    assert measured.values["gemm.bf16.flop_s"] == 7e14
    assert measured.model_log_sd == pytest.approx(0.0834, abs=1e-3)
    assert "missed by 9 %" in measured.notes[0]


def test_what_is_no_profile_or_of_another_gpu_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match=r"did you mean 'h100-sxm-80gb\.bf16\.nemo\.dense'"):
        machine(f"{H100}.bf16.nem.dense", lambda: tmp_path / "no", H100)
    with pytest.raises(UsageError, match="the servers carry b200"):
        machine("machine.json", lambda: profile(tmp_path), "b200-sxm-180gb")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="schema"):
        machine("x.json", lambda: tmp_path / "x.json", H100)


def test_a_fault_names_its_place_in_the_scenario():
    with pytest.raises(InputError, match=r"facility\.gpu_profile"):
        loaded = small("facility.gpu_profile=nothing.json")
        machine_of(loaded, loaded.scenario.facility.pool("main"))


def test_draws_move_each_parameter_by_its_own_interval_and_stream():
    of = Machine("m", "id", {"a": 10.0, "b": None, "c": 5.0}, {"a": 0.1, "b": 0.1, "c": 0.0}, 0.05)
    one, other = of.drawn(1, 0), of.drawn(1, 1)
    assert one.values["a"] != other.values["a"]
    assert (one.values["b"], one.values["c"]) == (None, 5.0)
    assert of.drawn(1, 0) == one
    wider = Machine("m", "id", {**of.values, "d": 1.0}, {**of.log_sd, "d": 0.2}, 0.05).drawn(1, 0)
    assert wider.values["a"] == one.values["a"]  # a new parameter leaves the others' draws alone
    assert of.step_factor("p", 0.05) == 1.0
    assert one.step_factor("p", 0.05) == one.step_factor("p", 0.05) != other.step_factor("p", 0.05)


def test_power_by_phase_mixes_in_time():
    watts = {"gemm_bf16": 690.0, "attention_bf16": 600.0, "copy": 400.0, "idle_context": 100.0, "all_reduce": 300.0}
    of = Machine(values={f"power.{name}.w": value for name, value in watts.items()}, limit_w=700.0)
    intensity, waiting = of.power("bf16", {"products": 6.0, "attention": 2.0, "passes": 2.0})
    mean_w = 0.6 * 690 + 0.2 * 600 + 0.2 * 400
    assert intensity == pytest.approx((mean_w - 100) / 600)
    assert waiting == pytest.approx(200 / (mean_w - 100))
    assert Machine().power("bf16", {"products": 1.0}) is None


def test_a_run_takes_the_profile_and_says_so(tmp_path):
    path = profile(tmp_path)
    plain = runs.read(pipeline.run(small(RUN), tmp_path / "a"))
    measured = runs.read(pipeline.run(small(RUN, f"facility.gpu_profile={path}"), tmp_path / "b"))
    assert any("gpu_profile" in note and "measured profile" in note for note in measured.findings["notes"])
    assert any(
        name.startswith("gpu_profile") for name in json.loads((measured.folder / "manifest.json").read_text())["inputs"]
    )
    assert measured.kpis["it_energy_mwh"]["value"] != plain.kpis["it_energy_mwh"]["value"]
    assert "p10" not in measured.kpis["pue"]


def test_slower_gpus_hold_jobs_longer(tmp_path):
    fast = runs.read(pipeline.run(small(RUN, f"facility.gpu_profile={profile(tmp_path)}"), tmp_path / "a"))
    (tmp_path / "slow").mkdir()
    slow = profile(tmp_path / "slow", gemm__bf16__flop_s=parameter(2.0e14, "FLOP/s"))
    late = runs.read(pipeline.run(small(RUN, f"facility.gpu_profile={slow}"), tmp_path / "b"))
    assert late.kpis["gpu_allocated_frac"]["value"] > fast.kpis["gpu_allocated_frac"]["value"]


def test_draws_give_every_figure_an_interval_and_leave_its_value_alone(tmp_path):
    path = profile(tmp_path, spread=1.3)
    sets = (RUN, f"facility.gpu_profile={path}")
    plain = runs.read(pipeline.run(small(*sets), tmp_path / "a"))
    drawn = runs.read(pipeline.run(small(*sets), tmp_path / "b", draws=4))
    for name, figure in drawn.kpis.items():
        assert figure["value"] == plain.kpis[name]["value"]
        if figure["value"] is not None:
            assert figure["p10"] <= figure["p90"]
            assert figure["draws"] == 4
    spread = drawn.kpis["it_energy_mwh"]
    assert spread["p90"] > spread["p10"]
    assert drawn.kpis["capex_usd"]["p10"] == drawn.kpis["capex_usd"]["p90"] == drawn.kpis["capex_usd"]["value"]


def test_a_profile_without_model_runs_changes_nothing_and_says_so(tmp_path):
    plain = runs.read(pipeline.run(small(), tmp_path / "a"))
    named = runs.read(pipeline.run(small(f"facility.gpu_profile={profile(tmp_path)}"), tmp_path / "b"))
    assert named.kpis == plain.kpis
    assert any("changes no figure" in note for note in named.findings["notes"])
