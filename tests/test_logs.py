"""Profiles from logs of others: what each exporter writes, in its own words; all samples here are synthetic."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from dcsim.calibration.cli import calibrate
from dcsim.calibration.logs import imported, kind_of, mlperf_power, telemetry

from dcsim.errors import InputError, UsageError
from dcsim.physics.collectives import BUS_FACTOR, ramp_s
from dcsim.rng import stream

IDLE_W, BUSY_W = 90.0, 640.0


def samples(gpus=4, each=400):
    """Power of GPUs whose use goes up and down: a line from idle to busy, and noise."""
    draws = stream(7, "tests/telemetry")
    use = np.clip(np.round(draws.choice([0, 0, 100, 100, 40, 70], (gpus, each)) + 0.0), 0, 100)
    watts = (IDLE_W + (BUSY_W - IDLE_W) * use / 100) * np.exp(draws.normal(0, 0.01, (gpus, each)))
    return use, watts


def nvidia_smi(folder):
    use, watts = samples()
    lines = ["timestamp, index, name, power.draw [W], utilization.gpu [%], clocks.current.sm [MHz]"]
    for gpu in range(use.shape[0]):
        lines += [
            f"2026/01/02 03:04:{at % 60:02}.000, {gpu}, NVIDIA H100 80GB HBM3, {watts[gpu, at]:.2f} W, "
            f"{use[gpu, at]:.0f} %, 1980 MHz"
            for at in range(use.shape[1])
        ]
    lines.append("2026/01/02 04:00:00.000, 0, NVIDIA H100 80GB HBM3, [N/A], 0 %, [N/A]")
    path = folder / "smi.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def dcgm(folder, *, long=False, parquet=False):
    use, watts = samples()
    rows = []
    for gpu in range(use.shape[0]):
        for at in range(use.shape[1]):
            labels = {"timestamp": at, "Hostname": "node-1", "gpu": gpu, "modelName": "NVIDIA H100 80GB HBM3"}
            rows.append({**labels, "DCGM_FI_DEV_POWER_USAGE": watts[gpu, at], "DCGM_FI_DEV_GPU_UTIL": use[gpu, at]})
    frame = pd.DataFrame(rows)
    if long:
        labels = ["timestamp", "Hostname", "gpu", "modelName"]
        frame = frame.melt(labels, var_name="__name__", value_name="value")
    path = folder / ("dcgm.parquet" if parquet else "dcgm.csv")
    frame.to_parquet(path) if parquet else frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    "made",
    [nvidia_smi, dcgm, lambda f: dcgm(f, long=True), lambda f: dcgm(f, parquet=True)],
    ids=["nvidia-smi", "dcgm", "prometheus", "parquet"],
)
def test_power_by_utilisation_is_found_again(tmp_path, made):
    body = imported([made(tmp_path)])
    found = body["parameters"]
    assert body["kind"] == "telemetry"
    assert body["device"]["name"] == "NVIDIA H100 80GB HBM3"
    assert found["power.idle.w"]["value"] == pytest.approx(IDLE_W, rel=0.01)
    assert found["power.busy.w"]["value"] == pytest.approx(BUSY_W, rel=0.01)
    assert (found["power.idle.w"]["basis"], found["power.idle.w"]["sessions"]) == ("gpus", 4)
    assert body["curves"]["power"]["max_rel_err"] < 0.02
    assert [point["size"]["utilisation_frac"] for point in body["curves"]["power"]["points"]] == [0, 0.4, 0.7, 1.0]


def test_readings_that_are_none_are_counted_and_left_out(tmp_path):
    assert telemetry(nvidia_smi(tmp_path)).dropped == 1
    assert any("1 samples without a power" in warning for warning in imported([tmp_path / "smi.csv"])["warnings"])


def test_a_log_without_utilisation_has_no_idle_power_and_says_why(tmp_path):
    path = tmp_path / "power.csv"
    path.write_text("timestamp,gpu,power_w\n" + "".join(f"{i},0,{500 + i % 3}\n" for i in range(50)))
    found = imported([path], gpu="H100")["parameters"]
    assert found["power.idle.w"]["value"] is None
    assert "no utilisation" in found["power.idle.w"]["reason"]
    assert found["power.mean.w"]["value"] == pytest.approx(501, abs=1)


def sweep_times(ranks=8):
    sizes = [2**k for k in range(10, 35)]
    factor = float(BUS_FACTOR["all_reduce"](ranks))
    times = ramp_s(sizes, factor, alpha_s=4e-5, bus_b_s=4.4e11, ramp_b=0.0, exponent=0.5)
    return sizes, np.asarray(times), factor


def nccl_text(folder, wrong=0, ranks=8):
    sizes, times, factor = sweep_times(ranks)
    lines = ["# nThread 1 nGpus 8 minBytes 1024 maxBytes 17179869184 step: 2(factor)", "#", "# Using devices"]
    lines += [
        f"#  Rank {r:2} Group  0 Pid  69{r:02} on node-1 device {r:2} [0000:0{r}:00] NVIDIA H100 80GB HBM3"
        for r in range(ranks)
    ]
    lines += ["#       size         count      type   redop    root     time   algbw   busbw #wrong", "# (B)"]
    for size, seconds in zip(sizes, times, strict=True):
        alg = size / seconds / 1e9
        row = f"{1e6 * seconds:9.2f} {alg:7.2f} {alg * factor:7.2f} {wrong:6}"
        lines.append(f"{size:12} {size // 4:12}   float     sum      -1 {row} {row}")
    path = folder / "all_reduce.log"
    path.write_text("\n".join(lines) + "\n# Out of bounds values : 0 OK\n")
    return path


def nccl_json(folder):
    sizes, times, factor = sweep_times()
    results = [
        {
            "size": size,
            "type": "float",
            "out_of_place": {
                "time": 1e6 * seconds,
                "alg_bw": size / seconds / 1e9,
                "bus_bw": factor * size / seconds / 1e9,
                "nwrong": 0.0,
            },
        }
        for size, seconds in zip(sizes, times, strict=True)
    ]
    devices = [{"rank": r, "hostname": "node-1", "device_info": "NVIDIA H100 80GB HBM3"} for r in range(8)]
    body = {"version": 2, "args": ["./all_reduce_perf", "-J", "x"], "config": {"devices": devices}, "results": results}
    path = folder / "sweep.json"
    path.write_text(json.dumps(body))
    return path


@pytest.mark.parametrize("made", [nccl_text, nccl_json])
def test_a_sweep_of_nccl_tests_gives_latency_and_bus_bandwidth(tmp_path, made):
    body = imported([made(tmp_path)])
    found = body["parameters"]
    assert body["device"]["ranks"] == 8
    assert found["all_reduce.node.bus_b_s"]["value"] == pytest.approx(4.4e11, rel=0.02)
    assert found["all_reduce.node.alpha_s"]["value"] == pytest.approx(4e-5, rel=0.03)
    assert set(found) == {"all_reduce.node.alpha_s", "all_reduce.node.bus_b_s"}


def test_three_sweeps_are_three_runs_of_one_machine(tmp_path):
    paths = []
    for run in range(3):
        (tmp_path / str(run)).mkdir()
        paths.append(nccl_text(tmp_path / str(run)))
    found = imported(paths)["parameters"]["all_reduce.node.bus_b_s"]
    assert (found["sessions"], found["basis"]) == (3, "sessions")


def test_wrong_results_are_refused(tmp_path):
    with pytest.raises(InputError, match="wrong elements"):
        imported([nccl_text(tmp_path, wrong=3)])


def test_a_sweep_that_does_not_name_its_operation_asks_for_it(tmp_path):
    path = nccl_text(tmp_path, ranks=2)  # over two ranks all-reduce and others share their factor
    path = path.rename(tmp_path / "sweep.log")
    with pytest.raises(InputError, match="--operation"):
        imported([path])
    found = imported([path], operation="all_reduce")["parameters"]
    assert found["all_reduce.node.bus_b_s"]["value"] == pytest.approx(4.4e11, rel=0.05)


def test_mlperf_power_logs_are_integrated_between_start_and_stop(tmp_path):
    def line(key, at, value):
        return f':::MLLOG {{"key": "{key}", "time_ms": {at}, "value": {value}}}\n'

    text = line("conversion_eff", 0, 0.5) + line("power_reading", 0, 1.0) + line("power_measurement_start", 1000, 0)
    text += "".join(line("power_reading", 1000 * s, 3000.0 + 100 * (s % 2)) for s in range(1, 102))
    text += line("power_measurement_stop", 101_000, 0) + line("power_reading", 200_000, 9e9)
    path = tmp_path / "node_0.txt"
    path.write_text(text)
    found = mlperf_power(text, path)
    assert (found["seconds"], found["peak_w"]) == (100.0, 6200.0)
    assert found["mean_w"] == pytest.approx(6100.0)
    body = imported([path], gpu="H100")
    assert body["parameters"]["node_power.mean.w"]["value"] == pytest.approx(6100.0)


def test_an_analysers_log_is_read(tmp_path):
    path = tmp_path / "spl.txt"
    path.write_text("".join(f"Time,11-05-2026 11:35:{s:02}.000,Watts,{400 + s}.0,Volts,230\n" for s in range(11)))
    assert mlperf_power(path.read_text(), path)["mean_w"] == pytest.approx(405.0)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("what is this", "is none of"),
        ("", "is none of"),
        ("power_w\nfast\nslow\n", "holds no power"),
        (':::MLLOG {"key": "run_start", "time_ms": 1}\n', "fewer than two power readings"),
        ('{"results": []}', "no results"),
    ],
)
def test_rubbish_is_refused_with_what_is_known(tmp_path, text, rule):
    path = tmp_path / "x.csv"
    path.write_text("gpu," + text if text.startswith("power") else text)
    done = CliRunner().invoke(calibrate, ["import", str(path), "--out", str(tmp_path / "m.json")])
    assert done.exit_code != 0
    assert rule in str(done.exception)
    assert not (tmp_path / "m.json").exists()


def test_logs_of_two_kinds_of_gpu_are_not_mixed(tmp_path):
    with pytest.raises(UsageError, match="several kinds"):
        imported([nvidia_smi(tmp_path)], gpu="NVIDIA A100")


def test_a_kind_is_told_by_content(tmp_path):
    assert kind_of(nvidia_smi(tmp_path), (tmp_path / "smi.csv").read_text()) == "telemetry"
    assert kind_of(nccl_text(tmp_path), (tmp_path / "all_reduce.log").read_text()) == "nccl-text"
    assert kind_of(nccl_json(tmp_path), (tmp_path / "sweep.json").read_text()) == "nccl-json"


def test_an_imported_profile_is_sound_and_shown(tmp_path):
    out = tmp_path / "machine.json"
    run = CliRunner().invoke
    done = run(calibrate, ["import", str(nvidia_smi(tmp_path)), str(nccl_text(tmp_path)), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "telemetry profile of NVIDIA H100" in done.output
    assert run(calibrate, ["validate", str(out)]).exit_code == 0
    assert "power" in (tmp_path / "machine.html").read_text()
    # 440 GB/s of bus bandwidth is below Azure's pass line of 460 for eight H100.
    checked = run(calibrate, ["check", str(out)])
    assert checked.exit_code in (1, 4)
    assert "all_reduce.node.bus_b_s" in checked.output
