"""One rank of a session of measurements: ``python -m dcsim.calibration.worker``, alone, by torchrun or by srun."""

import argparse
import contextlib
import ctypes
import datetime
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from dcsim.errors import DcsimError, UsageError
from dcsim.registry import lookup

from .device import Device, choose, software, visible
from .kernels import KERNELS, OPT_IN
from .kernels.common import Bench
from .kernels.idle import bare_w
from .kernels.levels import levels
from .meters import Absent, Meter, open_meter
from .protocol import SESSION_SCHEMA

# Linux: the signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1
# Longest wait for another rank: beyond it the collective hangs. [s]
HANG_S = 60
# Variables that change what is measured, kept with the measurements.
KEPT = ("NCCL_", "GLOO_", "OMP_", "MKL_", "CUDA_", "TORCH_", "RCCL_", "HSA_", "UCX_")


class BusyError(DcsimError):
    """Another process computes on the device: nothing measured now would be the device's own."""


@dataclass(frozen=True)
class Place:
    """This process among all: its rank, how many there are, and the same within its host."""

    rank: int
    world: int
    local_rank: int
    local_world: int


def place(env: Mapping[str, str]) -> Place:
    """Place by the variables of torchrun, else of SLURM, else alone.

    SLURM gives no address to meet at; MASTER_ADDR is then the host that launched the step, unless it is set.
    """
    if "WORLD_SIZE" in env:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        rank, world, local, local_world = (int(env.get(name, "0")) for name in names)
        return Place(rank, world, local, local_world or world)
    if int(env.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in env:
        world = int(env["SLURM_NTASKS"])
        hosts = max(int(env.get("SLURM_NNODES", "1")), 1)
        return Place(int(env["SLURM_PROCID"]), world, int(env.get("SLURM_LOCALID", "0")), world // hosts)
    return Place(0, 1, 0, 1)


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
    parser.add_argument("--meter-file", type=Path)
    parser.add_argument("--model", default="")
    parser.add_argument("--workdir", type=Path)
    parser.add_argument("--soak", type=float, default=600.0)
    parser.add_argument("--busy", action="store_true")
    asked = parser.parse_args()
    die_with_parent(signal.SIGKILL)
    if os.getppid() == 1 and "TORCHELASTIC_RUN_ID" in os.environ:
        return 3  # the launcher ended while this rank was starting
    try:
        return _measure(asked)
    except DcsimError as error:
        sys.stderr.write(f"dcsim: {error}\n")
        return error.exit_code
    except torch.cuda.OutOfMemoryError:
        sys.stderr.write("dcsim: the GPU is out of memory; is another process on it? --quick needs less\n")
        return 3
    except OSError as error:
        sys.stderr.write(f"dcsim: {error}\n")
        return 3


def die_with_parent(by: int) -> None:
    """Have this process end when its parent does, so that none is left behind; Linux alone."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)


def _meet(here: Place, device: Device) -> None:
    """Join the other ranks."""
    if here.world < 2:
        return
    if "MASTER_ADDR" not in os.environ:
        if "SLURM_LAUNCH_NODE_IPADDR" not in os.environ:
            raise UsageError("the ranks have no address to meet at; set MASTER_ADDR to that of the first host")
        os.environ["MASTER_ADDR"] = os.environ["SLURM_LAUNCH_NODE_IPADDR"]
    os.environ.setdefault("MASTER_PORT", "29400")
    dist.init_process_group(
        device.backend, rank=here.rank, world_size=here.world, timeout=datetime.timedelta(seconds=HANG_S)
    )


def _meter(asked: argparse.Namespace, here: Place) -> Meter:
    """Meter of this rank's device; a processor's counters hold all ranks, so the first alone reads them.

    CUDA is not touched: a context would draw power already.
    """
    gpu = asked.device != "cpu" and torch.cuda.device_count() > 0
    if here.rank != 0 and not gpu:
        return Absent("the first rank's meter counts this one too")
    which = visible(os.environ, here.local_rank)
    kind = "cuda" if gpu else "cpu"
    meter = open_meter(asked.meter, device=kind, which=which, file=asked.meter_file)
    busy = meter.others()
    if busy and not asked.busy:
        raise BusyError(
            f"GPU {which} is busy: process{'es' if len(busy) > 1 else ''} {', '.join(map(str, busy))} compute on it; "
            "end them, choose other GPUs by CUDA_VISIBLE_DEVICES, or say --busy to measure all the same"
        )
    return meter


def _busy_s() -> float:
    """Time that all processors of the host have worked. [s]"""
    try:
        with open("/proc/stat", encoding="utf-8") as file:
            user, nice, system, _, _, irq, soft = map(int, file.readline().split()[1:8])
    except (OSError, ValueError):
        return 0.0
    return (user + nice + system + irq + soft) / float(os.sysconf("SC_CLK_TCK"))


def _own_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _measure(asked: argparse.Namespace) -> int:
    here = place(os.environ)
    meter = _meter(asked, here)
    names = [name for name in asked.kernels.split(",") if name]
    bare = bare_w(meter, asked.quick) if "idle" in names else (None, "the kernel was not run")
    device = choose(asked.device, here.local_rank)
    torch.set_num_threads(1)
    if device.kind == "cuda":
        torch.cuda.set_device(device.index)
    if meter.uuid and device.uuid() not in (None, meter.uuid):
        meter.close()
        meter = open_meter(asked.meter, device=device.kind, which=str(device.uuid()))
        bare = (None, "the driver numbers its GPUs otherwise; say CUDA_DEVICE_ORDER=PCI_BUS_ID")
    _meet(here, device)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        device,
        here.rank,
        here.world,
        asked.session,
        asked.seed,
        asked.quick,
        asked.budget,
        str(asked.workdir or asked.out.parent),
        meter,
        levels(here.rank, here.world, here.local_world),
        asked.model,
        asked.soak,
    )
    bench.together()
    start_busy, start_own, start_s = _busy_s(), sum(bench.of_all(_own_s())), datetime.datetime.now(datetime.UTC)
    points, spent = [], {}
    for name in names:
        if here.rank == 0:  # let the parent know
            with asked.out.with_suffix(".progress").open("a", encoding="utf-8") as file:
                file.write(f"{name}\n")
        before = time.monotonic()
        points += lookup(KERNELS | OPT_IN, name, "kernel")(bench)
        spent[name] = time.monotonic() - before
    own = sum(bench.of_all(_own_s())) - start_own
    took = (datetime.datetime.now(datetime.UTC) - start_s).total_seconds()
    # Where ranks are on several hosts only the first one's processors are seen.
    foreign = max(0.0, (_busy_s() - start_busy - own) / took) if here.world == here.local_world else None
    names_of = _names(bench)
    if here.rank == 0:
        record = {
            "schema": SESSION_SCHEMA,
            "session": asked.session,
            "started": start_s.isoformat(timespec="seconds"),
            "quick": asked.quick,
            "seed": asked.seed,
            "model": asked.model,
            "device": {
                "kind": device.kind,
                "name": device.name,
                "ranks": here.world,
                "hosts": here.world // max(here.local_world, 1),
                "backend": device.backend,
                "by_rank": names_of,
            },
            "software": software(),
            "environment": {name: text for name, text in sorted(os.environ.items()) if name.startswith(KEPT)},
            "meter": meter.provenance(),
            "conditions": {
                "seconds": spent,
                # Where ranks are on several hosts only the first one's processors are seen.
                "foreign_cores": foreign,
                "cores": os.cpu_count(),
            },
            "idle_bare": {"mean_w": bare[0], "reason": bare[1]},
            "points": [point.record() for point in points],
        }
        aside = asked.out.with_suffix(".part")
        aside.write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
        aside.replace(asked.out)
    meter.close()
    if here.world > 1:
        dist.barrier()
        dist.destroy_process_group()
    return 0


def _names(bench: Bench) -> list[str]:
    """Name of every rank's device, for a message that must name one."""
    if bench.world == 1:
        return [bench.device.label]
    found: list[Any] = [None] * bench.world
    dist.all_gather_object(found, bench.device.label)
    return [str(one) for one in found]


if __name__ == "__main__":
    sys.exit(main())
