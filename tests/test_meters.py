"""Meters: NVML through the real nvidia-ml-py and a simulated driver library; RAPL and files from folders of our own."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dcsim.calibration.meters import EnergyLog, Reading, open_meter
from dcsim.calibration.meters.common import MeterError
from dcsim.calibration.meters.host import CsvMeter, rapl_meter

from dcsim.errors import UnknownNameError, UsageError

HERE = Path(__file__).parent / "nvml"
COMPILER = shutil.which("cc") or shutil.which("gcc")


def built(folder, *flags):
    if COMPILER is None:
        pytest.skip("no C compiler: the simulated driver library cannot be built")
    target = folder / "libnvidia-ml.so.1"
    flags = ["-fPIC", "-shared", "-O1", "-Wall", "-Werror", "-Wl,-soname,libnvidia-ml.so.1", *flags]
    subprocess.run([COMPILER, *flags, str(HERE / "simulated_nvml.c"), "-o", str(target), "-lm"], check=True)
    return folder


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return built(tmp_path_factory.mktemp("driver"))


def probe(folder, seconds=0.0, device="0", **simulated):
    """What a meter says in a process of its own: NVML is opened once a process."""
    env = {**os.environ, "LD_LIBRARY_PATH": str(folder)} | {f"SIM_NVML_{k}": str(v) for k, v in simulated.items()}
    words = [sys.executable, str(HERE / "probe.py"), str(seconds), str(device)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("period_s", [0.02, 0.1, 0.13, 0.25])
def test_energy_between_edges_is_the_drivers_integral(driver, period_s):
    """Whatever the period of the work, also where it is that of the counter's update."""
    found = probe(driver, 1.5, PERIOD_S=period_s)
    assert found["name"] == "nvml.energy"
    # Each of two edges is known to 2 ms at the worst, of 1.3 s, at up to twice the mean power.
    assert found["energy_j"] == pytest.approx(found["true_j"], rel=0.005)
    assert found["provenance"]["driver"].endswith("simulated")


def test_a_long_window_is_within_a_thousandth(driver):
    found = probe(driver, 4.0, PERIOD_S=0.013)
    assert found["energy_j"] == pytest.approx(found["true_j"], rel=1e-3)
    assert found["mean_w"] == pytest.approx(385.0, rel=2e-3)


def test_provenance_names_the_part_and_hides_its_uuid(driver):
    found = probe(driver)["provenance"]
    assert found["device"] == "NVIDIA H100 80GB HBM3"
    assert found["architecture"] == "hopper"
    assert found["power_limit_w"] == 700.0
    assert found["temperature_c"] == 45
    assert "simulated" not in found["uuid_hash"]


def test_without_a_counter_power_is_used_with_its_meaning(driver):
    averaged = probe(driver, 2.0, NO_ENERGY=1)
    assert (averaged["name"], averaged["average_s"]) == ("nvml.power", 1.0)
    assert averaged["provenance"]["power_means"] == "the mean of the last second"
    assert averaged["mean_w"] == pytest.approx(385.0, rel=0.05)
    instant = probe(driver, NO_ENERGY=1, ARCHITECTURE=7, NAME="NVIDIA A100-SXM4-80GB")
    assert (instant["average_s"], instant["provenance"]["power_means"]) == (0.0, "an instant")


def test_average_and_instant_power_are_told_apart(driver, monkeypatch):
    monkeypatch.setenv("PROBE_METER", "nvml-average")
    average = probe(driver, 2.5)
    assert (average["name"], average["average_s"]) == ("nvml.average", 1.0)
    assert average["mean_w"] == pytest.approx(385.0, rel=0.05)
    assert "no average power reading" in probe(driver, ARCHITECTURE=7)["reason"]
    monkeypatch.setenv("PROBE_METER", "nvml-instant")
    # An instant that is read in step with the work sees one phase of it alone: why the counter comes first.
    instant = probe(driver, 2.5, PERIOD_S=0.1)
    assert (instant["name"], instant["average_s"]) == ("nvml.instant", 0.0)
    assert instant["provenance"]["power_means"] == "an instant"
    assert abs(instant["mean_w"] / 385.0 - 1) > 0.4


@pytest.mark.parametrize(
    ("simulated", "reason"),
    [
        ({"INIT": 9}, "driver is not loaded"),
        ({"INIT": 999}, "NVML does not start"),
        ({"COUNT": 0}, "knows no GPU"),
        ({"MIG": 1}, "MIG is on"),
    ],
)
def test_a_meter_that_cannot_measure_says_why(driver, simulated, reason):
    found = probe(driver, **simulated)
    assert found["name"] == "none"
    assert reason in found["reason"]


def test_a_gpu_that_is_not_there_is_refused(driver):
    assert "knows 2" in probe(driver, device=7)["reason"]
    assert probe(driver, device="GPU-1")["reason"] == ""
    assert "NVML" in probe(driver, device="GPU-9")["reason"]


def test_no_library_is_no_driver(tmp_path):
    assert "no NVIDIA driver library" in probe(tmp_path)["reason"]


def test_an_older_driver_without_a_symbol_still_measures(tmp_path):
    found = probe(built(tmp_path, "-DOLD_DRIVER"), 1.5)
    assert found["provenance"]["clock_reasons"] == 1  # by the name that the reading had before
    assert found["energy_j"] == pytest.approx(found["true_j"], rel=0.004)


def test_other_processes_on_a_gpu_are_named(driver):
    assert probe(driver)["others"] == []
    assert probe(driver, OTHER_PID=4242)["others"] == [4242]


def test_a_gpu_lost_while_it_is_measured_is_an_error(driver):
    assert "the GPU is lost" in probe(driver, 1.0, FAIL=15, FAIL_AFTER=40)["failed"]


def test_a_reset_counter_uses_the_longest_stretch(driver):
    found = probe(driver, 2.0, RESET_AFTER_S=0.5, PERIOD_S=0.013)
    assert "reset" in found["note"]
    assert found["mean_w"] == pytest.approx(385.0, rel=0.01)


def test_a_window_shorter_than_the_counters_update_is_null_with_a_reason(driver):
    found = probe(driver, 0.15)
    assert found["mean_w"] is None
    assert "longer" in found["note"]


def limit_sweep(driver, folder, ending):
    """What a sweep of power limits says, how it ends, and the limit that the driver then holds. [W]"""
    state = folder / "limit"
    state.write_text("650000")
    env = {**os.environ, "LD_LIBRARY_PATH": str(driver), "SIM_NVML_LIMIT_FILE": str(state)}
    words = [sys.executable, str(HERE / "limits.py"), ending]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60)
    end = time.monotonic() + 20
    while int(state.read_text() or 0) != 650000 and time.monotonic() < end:
        time.sleep(0.05)  # after a kill the keeper is the one who restores
    return done, int(state.read_text()) / 1e3


def test_a_sweep_of_power_limits_measures_under_each_and_restores(driver, tmp_path):
    done, left = limit_sweep(driver, tmp_path, "ends")
    expected = [650.0, 537.5, 425.0, 312.5, 200.0]
    assert done.stdout.strip() == f"{expected} {expected}"
    assert left == 650.0


@pytest.mark.parametrize("ending", ["raises", "SIGTERM", "SIGKILL"])
def test_however_a_sweep_of_power_limits_ends_the_old_one_is_back(driver, tmp_path, ending):
    done, left = limit_sweep(driver, tmp_path, ending)
    assert left == 650.0
    assert done.returncode == {"raises": 0, "SIGTERM": -15, "SIGKILL": -9}[ending]


def test_power_limits_need_root_and_a_driver_that_allows(driver, tmp_path):
    done, _ = limit_sweep(driver, tmp_path, "unprivileged")
    assert "only root" in done.stdout
    env = {**os.environ, "LD_LIBRARY_PATH": str(driver)}
    words = [sys.executable, str(HERE / "limits.py"), "ends"]
    refused = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60)
    assert "the driver refused a limit" in refused.stdout


def zone(root, name, joules, most_j=1000.0):
    folder = root / name
    folder.mkdir()
    (folder / "energy_uj").write_text(str(round(joules * 1e6)))
    (folder / "max_energy_range_uj").write_text(str(round(most_j * 1e6)))
    return folder


def test_rapl_adds_packages_and_unwinds_their_counters(tmp_path):
    first, second = zone(tmp_path, "intel-rapl:0", 990.0), zone(tmp_path, "intel-rapl:1", 10.0)
    zone(tmp_path, "intel-rapl:0:0", 5.0)  # a part of the package, not to be added
    meter = rapl_meter(tmp_path)
    assert meter.reason == ""
    assert meter.read().energy_j == 0.0
    (first / "energy_uj").write_text(str(int(20e6)))
    (second / "energy_uj").write_text(str(int(15e6)))
    assert meter.read().energy_j == pytest.approx(30.0 + 5.0)


def test_rapl_that_is_not_there_says_so(tmp_path):
    assert "no RAPL counters" in rapl_meter(tmp_path).reason


def test_a_file_of_an_external_meter(tmp_path):
    path = tmp_path / "meter.csv"
    path.write_text(f"time_s,power_w\n{time.time() - 10},400\n{time.time() - 5},500\n{time.time() + 100},900\n")
    assert CsvMeter(path, 0.0).read().power_w == 500.0
    assert CsvMeter(path, -200.0).read().power_w == 900.0
    path.write_text("what\nis this\n")
    with pytest.raises(UsageError, match="Unix seconds"):
        CsvMeter(path, 0.0)


class Steps:
    """A meter that shows what it is given."""

    name, reason, average_s = "steps", "", 0.0

    def __init__(self, readings):
        self._readings = iter(readings)

    def read(self):
        return next(self._readings)

    def provenance(self):
        return {}

    def close(self):
        pass


def test_edges_are_where_a_counter_changed():
    shown = [Reading(t / 10, 5.0 * (t // 5), None) for t in range(40)]
    log = EnergyLog(Steps([]), held_up_s=1.0)
    log.meter = Steps(shown)
    with pytest.raises(StopIteration):
        log._poll()
    assert [edge.time_s for edge in log.edges] == pytest.approx([0.45, 0.95, 1.45, 1.95, 2.45, 2.95, 3.45])
    found = log.window(0.0, 4.0)
    assert found.mean_w == pytest.approx(10.0)
    assert found.energy_j == pytest.approx(30.0)


def test_an_edge_is_left_out_where_the_thread_was_held_up():
    shown = [Reading(t, e, None) for t, e in ((0.0, 0.0), (0.001, 1.0), (0.5, 2.0), (0.501, 3.0))]
    log = EnergyLog(Steps([]))
    log.meter = Steps(shown)
    with pytest.raises(StopIteration):
        log._poll()
    assert [edge.energy_j for edge in log.edges] == [1.0, 3.0]


def test_no_meter_is_null_with_its_reason_and_never_zero():
    meter = open_meter("none", device="cpu")
    with EnergyLog(meter) as log:
        pass
    found = log.window(0.0, 1.0)
    assert (found.mean_w, found.energy_j, found.reason) == (None, None, "no meter was asked for")


def test_a_failure_while_polling_is_raised_at_the_window():
    class Lost(Steps):
        def read(self):
            raise MeterError("gone")

    with EnergyLog(Lost([])) as log:
        time.sleep(0.02)
    with pytest.raises(MeterError, match="gone"):
        log.window(0.0, 1.0)


def test_an_unknown_meter_is_refused():
    with pytest.raises(UnknownNameError, match="nvml"):
        open_meter("nvm", device="cpu")
