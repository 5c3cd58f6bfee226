"""Sessions as processes: a run end to end on a processor, and nothing left behind however it ends."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from click import ClickException
from dcsim.calibration.cli import calibrate
from dcsim.calibration.launch import Ask, several_hosts
from dcsim.calibration.profile import profile, write
from plans import small
from study_engines import interruptible
from test_gpu_profile import RUN
from test_machine import session

from dcsim import pipeline, runs
from dcsim.catalog.machines import read
from dcsim.errors import DcsimError

pytest.importorskip("torch")
LOOPBACK = socket.inet_ntoa(bytes([127, 0, 0, 1]))
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


def quick(out, seed, *words):
    return ["--quick", "--device", "cpu", "--out", str(out), "--seed", str(seed), *words]


def asked(*words):
    """What the command does, in this process."""
    calibrate(quick(*words), standalone_mode=False)


def started(out, seed, *words, **env):
    return subprocess.Popen(
        [DCSIM, "calibrate", *quick(out, seed, *words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
        preexec_fn=interruptible,
    )


def test_a_quick_run_on_two_ranks_gives_a_whole_profile(tmp_path):
    out = tmp_path / "machine.json"
    process = started(out, 1, "--nproc", "2")
    told, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    body = read(out)
    assert (body["kind"], body["quick"], body["device"]["ranks"]) == ("demonstration", True, 2)
    absent = {name: one["reason"] for name, one in body["parameters"].items() if one["value"] is None}
    assert all(reason for reason in absent.values())
    assert {name.split(".")[0] for name in absent} <= {"power", "host_to_device", "device_to_host", "soak"}
    predicted = {name for name, one in body["holdout"].items() if one["rel_err"] is not None}
    assert predicted == {f"training_step{alone}.gpt.{d}" for alone in ("", "_alone") for d in ("fp32", "bf16")}
    assert body["meter"]["reason"] or body["meter"]["source"] == "rapl"
    assert {one["basis"] for one in body["parameters"].values() if one["value"]} == {"prior"}
    assert body["environment"]["GLOO_SOCKET_IFNAME"] == "lo"
    assert "residuals" in out.with_suffix(".html").read_text()
    # The samples in a profile are enough to fit it again.
    again = tmp_path / "again.json"
    subprocess.run([DCSIM, "calibrate", "fit", str(out), "--out", str(again), "--no-report"], check=True, timeout=120)
    assert read(again)["parameters"] == body["parameters"]
    # Larger messages take longer, within the noise of two ranks on shared processors.
    points = body["sessions"][0]["points"]
    sweep = sorted((p["size"]["size_b"], min(p["times_s"])) for p in points if p["kernel"] == "all_reduce")
    assert all(later[1] > first[1] / 3 for first, later in pairwise(sweep))
    assert "demonstration profile" in told
    # And a plan takes it, saying what it is.
    planned = runs.read(pipeline.run(small(RUN, f"facility.gpu_profile={out}"), tmp_path / "runs"))
    assert any("gpu_profile is of a processor" in note for note in planned.findings["notes"])


def test_one_rank_leaves_collectives_null_and_completes_the_rest(tmp_path):
    out = tmp_path / "machine.json"
    process = started(out, 2, "--kernels", "memory,collectives")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    body = json.loads(out.read_text())
    assert body["parameters"]["all_reduce.node.bus_b_s"]["reason"] == "one rank alone has no collective"
    assert body["parameters"]["copy.b_s"]["value"] > 1e9


@pytest.mark.parametrize(
    ("words", "code", "rule"),
    [
        (["--device", "cuda"], 2, "sees no CUDA device"),
        (["--kernels", "gem"], 2, "did you mean 'gemm'"),
        (["--budget", "soon"], 2, "--budget"),
        (["--soak", "-1s"], 2, "--soak"),
        (["--model", "llama9"], 2, "is not a known model"),
        (["--meter", "csv", "--meter-file", "none.csv"], 2, "not a file of Unix seconds"),
        (["--budget", "1s"], 3, "raise --budget"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, words, code, rule):
    import torch

    if "cuda" in words and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises((DcsimError, ClickException), match=re.escape(rule)) as fault:
        asked(tmp_path / "machine.json", 3, *words)
    assert fault.value.exit_code == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kernel", ["", "collectives", "training_step"])
def test_a_rank_killed_at_any_point_ends_the_run_with_a_message_and_no_profile(tmp_path, kernel):
    (tmp_path / "out").mkdir()
    seed = str(90001 + len(kernel))
    kernels = ["--kernels", kernel] if kernel else []
    process = started(tmp_path / "out" / "machine.json", seed, "--nproc", "2", *kernels, TMPDIR=str(tmp_path))
    if kernel:
        assert wait_for(lambda: [path for path in tmp_path.glob("*/*.progress") if kernel in path.read_text()])
    # torchrun and two ranks; the last started is a rank.
    assert wait_for(lambda: len(alive(seed)) >= 3)
    os.kill(max(alive(seed)), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "a rank died" in errors
    assert wait_for(lambda: not alive(seed))
    assert list((tmp_path / "out").iterdir()) == []
    assert not list(tmp_path.glob("dcsim-calibrate-*"))


def test_a_disk_without_room_leaves_no_profile(tmp_path):
    """A limit on the size of files stands for a full disk: the kernel refuses to write on."""
    source, out = tmp_path / "source.json", tmp_path / "machine.json"
    write(source, profile([session(1, 0)]))

    def small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    words = [DCSIM, "calibrate", "fit", str(source), "--out", str(out)]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=small_disk, timeout=120)
    assert done.returncode == 3
    assert "File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["source.json"]


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


def test_a_rank_that_hangs_is_ended_by_the_budget(tmp_path):
    process = started(tmp_path / "machine.json", 90040, "--nproc", "2", "--budget", "12s")
    assert wait_for(lambda: len(alive("90040")) >= 3)
    os.kill(max(alive("90040")), signal.SIGSTOP)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "--budget" in errors
    assert wait_for(lambda: not alive("90040"))
    assert list(tmp_path.iterdir()) == []


def test_several_hosts_run_the_printed_lines_and_fit(tmp_path):
    """Two hosts of one rank each, both this machine: the lines that `--nnodes 2` prints, with its address put in."""
    ask = Ask("cpu", 1, ("overlap",), 1, 90050, True, 60.0)
    measure, fit = several_hosts(ask, 2)
    words = measure.replace("$FIRST_HOST:29400", f"{LOOPBACK}:29417").split()
    assert words[0] == "torchrun"
    command = [sys.executable, "-m", "torch.distributed.run", *words[1:]]
    env = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    hosts = [subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for host in hosts:
        _, errors = host.communicate(timeout=180)
        assert host.returncode == 0, errors
    session = json.loads((tmp_path / "session-0.json").read_text())
    assert (session["device"]["ranks"], session["device"]["hosts"]) == (2, 2)
    subprocess.run([DCSIM, *fit.split()[1:], "--no-report"], cwd=tmp_path, check=True, timeout=120)
    assert read(tmp_path / "machine.json")["parameters"]["overlap.exposed_frac"]["value"] > 0


def test_slurm_starts_the_same_worker(tmp_path):
    words = [sys.executable, "-m", "dcsim.calibration.worker", "--out", str(tmp_path / "s.json"), "--device", "cpu"]
    words += ["--kernels", "overlap", "--quick", "--budget", "0.05"]
    slurm = {"SLURM_NTASKS": "2", "SLURM_NNODES": "1", "MASTER_ADDR": LOOPBACK, "MASTER_PORT": "29418"}
    ranks = [
        subprocess.Popen(words, env={**os.environ, **slurm, "SLURM_PROCID": str(r), "SLURM_LOCALID": str(r)})
        for r in range(2)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    assert json.loads((tmp_path / "s.json").read_text())["device"]["ranks"] == 2


def test_lines_for_several_hosts_are_printed_and_nothing_is_run(tmp_path, capsys):
    asked(tmp_path / "machine.json", 90060, "--nnodes", "4", "--nproc", "8")
    told = capsys.readouterr().out
    assert "torchrun --nnodes 4 --nproc-per-node 8" in told
    assert "dcsim calibrate fit session-0.json" in told
    assert list(tmp_path.iterdir()) == []
