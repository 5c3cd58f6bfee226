"""Sessions as processes: a run end to end on a processor, and nothing left behind however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from dcsim.calibration.profile import read

pytest.importorskip("torch")
DCSIM = str(Path(sys.executable).with_name("dcsim"))


def alive(marker):
    """Processes whose command line holds a marker, this one aside."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if marker.encode() in words and b"calibration.worker" in words:
            found.append(int(path.parent.name))
    return found


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def started(out, seed, *words):
    command = [DCSIM, "calibrate", "--quick", "--device", "cpu", "--out", str(out), "--seed", str(seed), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_quick_run_on_two_ranks_gives_a_whole_profile(tmp_path):
    out = tmp_path / "machine.json"
    process = started(out, 1, "--nproc", "2")
    told, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    body = read(out)
    assert (body["kind"], body["quick"], body["device"]["ranks"]) == ("demonstration", True, 2)
    assert all(one["value"] is not None for one in body["parameters"].values())
    assert all(one["rel_err"] is not None for one in body["holdout"].values())
    assert body["meter"]["reason"] or body["meter"]["source"] == "rapl"
    # Larger messages take longer, within the noise of two ranks on shared processors.
    sweep = sorted((p["size"]["size_b"], min(p["times_s"])) for p in body["sessions"][0] if p["kernel"] == "all_reduce")
    assert all(later[1] > first[1] / 3 for first, later in pairwise(sweep))
    assert "demonstration profile" in told


def test_one_rank_leaves_collectives_null_and_completes_the_rest(tmp_path):
    out = tmp_path / "machine.json"
    process = started(out, 2, "--kernels", "memory,collectives")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    body = json.loads(out.read_text())
    assert body["parameters"]["all_reduce.bus_b_s"]["reason"] == "one rank alone has no collective"
    assert body["parameters"]["copy.memory_b_s"]["value"] > 1e9


@pytest.mark.parametrize(
    ("words", "code", "rule"),
    [
        (["--device", "cuda"], 2, "sees no CUDA device"),
        (["--kernels", "gem"], 2, "did you mean 'gemm'"),
        (["--budget", "soon"], 2, "--budget"),
        (["--budget", "1s"], 3, "raise --budget"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, words, code, rule):
    import torch

    if "cuda" in words and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    process = started(tmp_path / "machine.json", 3, *words)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code
    assert rule in errors
    assert list(tmp_path.iterdir()) == []


def test_a_killed_rank_ends_the_run_with_a_message_and_no_profile(tmp_path):
    process = started(tmp_path / "machine.json", 90001, "--nproc", "2")
    # torchrun and two ranks; the last started is a rank.
    assert wait_for(lambda: len(alive("90001")) >= 3)
    os.kill(max(alive("90001")), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "a rank died" in errors
    assert wait_for(lambda: not alive("90001"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_however_the_parent_ends_no_process_and_no_profile_is_left(tmp_path, number):
    seed = 90010 + int(number)
    process = started(tmp_path / "machine.json", seed, "--nproc", "2")
    assert wait_for(lambda: len(alive(str(seed))) >= 3)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number != signal.SIGKILL else -signal.SIGKILL)
    assert wait_for(lambda: not alive(str(seed)))
    assert list(tmp_path.iterdir()) == []
