"""Engines for tests of studies: one in this process, and a small Dask cluster on this computer."""

import contextlib
import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dcsim.study.engines.engine import Failed, guarded
from dcsim.study.engines.local import LocalEngine

# This very computer, as the network names it.
LOOPBACK = str(ipaddress.IPv4Address(0x7F000001))

TESTS = Path(__file__).resolve().parent
DCSIM = Path(sys.executable).with_name("dcsim")
PATIENCE_S = 60


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def interruptible():
    """A shell that runs the tests in the background has its children ignore interrupts; a user's does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until(happens, what):
    """Wait until *happens* gives something true, and return it."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        if found := happens():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE_S} s in vain: {what}")


@contextlib.contextmanager
def cluster(folder):
    """A scheduler and two workers: address and the process of the scheduler."""
    pytest.importorskip("distributed", reason="dask.distributed is not installed: pip install 'dcsim[cluster]'")
    folder.mkdir()
    dask = Path(sys.executable).with_name("dask")
    few = ("--nthreads=1", "--nworkers=2", "--no-dashboard", "--death-timeout=60")
    place = folder / "scheduler.json"
    common = {"env": os.environ | {"PYTHONPATH": str(TESTS)}, "cwd": folder, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(
        [dask, "scheduler", f"--host={LOOPBACK}", "--port=0", "--no-dashboard", f"--scheduler-file={place}"], **common
    )
    workers = subprocess.Popen(
        [dask, "worker", f"--scheduler-file={place}", *few, f"--local-directory={folder}"],
        **common,
    )
    try:
        found = until(lambda: place.exists() and place.read_text(), "a scheduler")
        yield json.loads(found)["address"].removeprefix("tcp://"), scheduler
    finally:
        workers.terminate()
        scheduler.terminate()
        workers.wait(PATIENCE_S)
        scheduler.wait(PATIENCE_S)


class Here(LocalEngine):
    """An engine of this process that keeps the keys of its tasks; the first *n_bad* of function *of* fail."""

    def __init__(self, of=None, n_bad=0):
        super().__init__()
        self.of, self.n_bad = of, n_bad
        self.keys = []

    def run(self, function, tasks):
        for i, (key, payload) in enumerate(tasks.items()):
            self.keys.append(key)
            bad = function is self.of and i < self.n_bad
            yield key, Failed("its worker process died 3 times") if bad else guarded(function, payload)
