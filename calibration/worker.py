"""One rank of a session of measurements: ``python -m dcsim.calibration.worker``, alone or under torchrun."""

import argparse
import contextlib
import ctypes
import datetime
import json
import os
import signal
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from dcsim.errors import DcsimError
from dcsim.registry import lookup

from .device import choose, software
from .kernels import KERNELS
from .kernels.common import Bench
from .meters import EnergyLog, open_meter

# Linux: the signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1
# Longest wait for another rank: beyond it the collective hangs. [s]
HANG_S = 60


def main() -> int:
    """Run the kernels of a session; rank 0 writes what was measured, all of it or nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--kernels", default=",".join(KERNELS))
    parser.add_argument("--session", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--budget", type=float, default=2.0)
    parser.add_argument("--meter", default="auto")
    asked = parser.parse_args()
    die_with_parent(signal.SIGKILL)
    try:
        return _measure(asked)
    except DcsimError as error:
        sys.stderr.write(f"dcsim: {error}\n")
        return error.exit_code
    except torch.cuda.OutOfMemoryError:
        sys.stderr.write("dcsim: the GPU is out of memory; is another process on it?\n")
        return 3


def die_with_parent(by: int) -> None:
    """Have this process end when its parent does, so that none is left behind; Linux alone."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)


def _tell(asked: argparse.Namespace, rank: int, name: str) -> None:
    """Let the parent know which kernel runs."""
    if rank == 0:
        with asked.out.with_suffix(".progress").open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")


def _measure(asked: argparse.Namespace) -> int:
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = choose(asked.device, int(os.environ.get("LOCAL_RANK", "0")))
    torch.set_num_threads(1)
    if device.kind == "cuda":
        torch.cuda.set_device(device.index)
    if world > 1:
        dist.init_process_group(device.backend, timeout=datetime.timedelta(seconds=HANG_S))
    bench = Bench(device, rank, world, asked.session, asked.seed, asked.quick, asked.budget, str(asked.out.parent))
    meter = open_meter(asked.meter if rank == 0 else "none", device=device.kind)
    points, energy = [], {}
    with EnergyLog(meter) as log:
        for name in asked.kernels.split(","):
            _tell(asked, rank, name)
            start = log.now()
            points += lookup(KERNELS, name, "kernel")(bench)
            found = log.window(start, log.now())
            energy[name] = {"mean_w": found.mean_w, "reason": found.reason}
    if rank == 0:
        record = {
            "session": asked.session,
            "quick": asked.quick,
            "seed": asked.seed,
            "device": {"kind": device.kind, "name": device.name, "ranks": world, "backend": device.backend},
            "software": software(),
            "meter": meter.provenance(),
            "power": energy,
            "points": [point.record() for point in points],
        }
        aside = asked.out.with_suffix(".part")
        aside.write_text(json.dumps(record), encoding="utf-8")
        aside.replace(asked.out)
    meter.close()
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
