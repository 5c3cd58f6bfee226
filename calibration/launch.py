"""Sessions of measurements as processes of their own: started, watched, and ended as a group."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcsim.errors import DcsimError, UsageError

from .worker import die_with_parent

# Wait between the request to end and the order to. [s]
PATIENCE_S = 5.0


class CalibrationError(DcsimError):
    """A session of measurements failed; nothing of it is kept."""


@dataclass(frozen=True)
class Ask:
    """What to measure.

    Parameters
    ----------
    device : str
        ``auto``, ``cuda`` or ``cpu``.
    ranks : int
        Processes, one a device.
    kernels : tuple of str
        Their names.
    sessions : int
        Fresh groups of processes.
    seed : int
    quick : bool
    budget_s : float
        Most time of all sessions together. [s]
    meter : str
        ``auto`` or a kind of meter.
    meter_file : str
        File of an external meter, else empty.
    model : str
        Model of the catalog whose matrix products are measured, else empty.
    workdir : str
        Folder in which checkpoints are written; a temporary one if empty.
    soak_s : float
        Length of a soak. [s]
    busy : bool
        Measure although others compute on the device.
    """

    device: str
    ranks: int
    kernels: tuple[str, ...]
    sessions: int
    seed: int
    quick: bool
    budget_s: float
    meter: str = "auto"
    meter_file: str = ""
    model: str = ""
    workdir: str = ""
    soak_s: float = 600.0
    busy: bool = False


# Most time of one point by whether the run is quick. [s]
POINT_S = {True: 0.2, False: 2.0}


def worker_words(ask: Ask, session: int, out: Path) -> list[str]:
    """Words of the module that measures one session."""
    words = ["-m", "dcsim.calibration.worker", "--out", str(out), "--device", ask.device]
    words += ["--kernels", ",".join(ask.kernels), "--session", str(session), "--seed", str(ask.seed)]
    words += ["--budget", str(POINT_S[ask.quick]), "--meter", ask.meter, "--soak", str(ask.soak_s)]
    for name, value in (("--meter-file", ask.meter_file), ("--model", ask.model), ("--workdir", ask.workdir)):
        words += [name, value] if value else []
    return words + ["--quick"] * ask.quick + ["--busy"] * ask.busy


def several_hosts(ask: Ask, hosts: int) -> list[str]:
    """Lines that a user runs on each of several hosts, one after the other, and the one that fits what they give."""
    outs = [f"session-{session}.json" for session in range(ask.sessions)]
    lines = []
    for session, out in enumerate(outs):
        words = " ".join(worker_words(ask, session, Path(out)))
        lines.append(
            f"torchrun --nnodes {hosts} --nproc-per-node {ask.ranks} --rdzv-backend c10d --rdzv-id dcsim-{session} "
            f"--rdzv-endpoint $FIRST_HOST:29400 {words}"
        )
    return [*lines, f"dcsim calibrate fit {' '.join(outs)} --out machine.json"]


def command(ask: Ask, session: int, out: Path) -> list[str]:
    """Words that start one session on this host."""
    module = worker_words(ask, session, out)
    if ask.ranks == 1:
        return [sys.executable, *module]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ask.ranks)]
    return [sys.executable, *torchrun, *module]


def measure(ask: Ask, told: Callable[[int, str], None] = lambda session, kernel: None) -> list[dict[str, Any]]:
    """Run every session and return what each measured.

    Parameters
    ----------
    ask : Ask
    told : callable
        Gets the session and the kernel that runs.

    Raises
    ------
    UsageError
        If there are fewer than one rank or session.
    CalibrationError
        If a rank dies, hangs, or the budget is spent; the message holds the last words of the processes.
    """
    if ask.ranks < 1 or ask.sessions < 1 or ask.budget_s <= 0:
        raise UsageError("--nproc, --sessions and --budget must be above 0")
    records = []
    end_s = time.monotonic() + ask.budget_s
    with tempfile.TemporaryDirectory(prefix="dcsim-calibrate-") as folder:
        for session in range(ask.sessions):
            out = Path(folder) / f"session-{session}.json"
            with _group(command(ask, session, out), Path(folder) / f"session-{session}.log") as process:
                _watch(process, out, session, end_s, ask.budget_s, told)
            if not out.exists():
                raise CalibrationError(f"session {session} ended without a result")
            records.append(json.loads(out.read_text(encoding="utf-8")))
    return records


@contextlib.contextmanager
def _group(words: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process group that never outlives this block, nor this process."""
    env = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "TORCH_CPP_LOG_LEVEL": "ERROR", **os.environ}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            words,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(signal.SIGTERM),
        )
        asked = signal.getsignal(signal.SIGTERM)

        def end(number: int, frame: object) -> None:
            raise KeyboardInterrupt

        with contextlib.suppress(ValueError):  # not the main thread: whoever runs it handles signals
            signal.signal(signal.SIGTERM, end)
        try:
            yield process
        finally:
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGTERM, asked)
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a group and all that came of it: ask, wait, and then make it.

    torchrun puts its ranks in sessions of their own, so the group alone would leave one that hangs.
    """
    ranks = _descendants(process.pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
    for pid in ranks:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that they did."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        # A name may hold spaces and brackets; the parent is the second word after the last bracket.
        with contextlib.suppress(OSError, ValueError, IndexError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found, line = [], [pid]
    while line:
        above = line.pop()
        below = [child for child, parent in parents.items() if parent == above]
        found += below
        line += below
    return found


def _watch(
    process: "subprocess.Popen[bytes]",
    out: Path,
    session: int,
    end_s: float,
    budget_s: float,
    told: Callable[[int, str], None],
) -> None:
    """Wait for a session; pass on which kernel runs."""
    progress, said = out.with_suffix(".progress"), 0
    while process.poll() is None:
        if progress.exists():
            names = progress.read_text(encoding="utf-8").split()
            for name in names[said:]:
                told(session, name)
            said = len(names)
        if time.monotonic() > end_s:
            raise CalibrationError(
                f"the budget of {budget_s:g} s is spent in session {session}; raise --budget, or measure less with "
                "--quick, --kernels or --sessions"
            )
        time.sleep(0.1)
    # The first rank writes when all kernels have run; a rank that dies while it leaves says nothing of the samples.
    if process.returncode and not out.exists():
        log = out.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
        raise CalibrationError(f"session {session} failed: {_last_words(log)}")


def _last_words(log: str) -> str:
    """Why a session failed: our own message, else what the rank that died said, else the end of the log."""
    lines = [line for line in log.strip().splitlines() if line.strip()]
    ours = [line.removeprefix("dcsim: ") for line in lines if line.startswith("dcsim: ")]
    if ours:
        return ours[-1]
    said = [line for line in lines if re.match(r"(\[rank\d+\]:)?\s*(\w+Error|terminate called|\s*what\(\):)", line)]
    code = [line.strip() for line in lines if re.match(r"\s+(rank|exitcode)\s+:", line)]
    return "\n".join(["a rank died; its last words:", *(said[-4:] or lines[-5:]), *code[-2:]])
