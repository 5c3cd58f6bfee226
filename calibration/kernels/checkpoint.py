"""Checkpoints: write through to the disk, read back from it cold."""

import os
import shutil
import time
from pathlib import Path

import torch

from ..protocol import Point
from .common import Bench

MIB = 2**20
SIZES_B = {True: (32 * MIB,), False: (64 * MIB, 256 * MIB)}
NAMES = ("checkpoint_first_write", "checkpoint_write", "checkpoint_read")
REPEATS = {True: 5, False: 8}


def run(bench: Bench) -> list[Point]:
    """Time writes with fsync, the first apart since it allocates, and reads of a file dropped from the page cache."""
    if bench.rank != 0:
        bench.together()
        return []
    points = []
    for size_b in bench.shuffled(list(SIZES_B[bench.quick])):
        path = Path(bench.folder) / f"checkpoint-{size_b}.pt"
        if shutil.disk_usage(bench.folder).free < 2 * size_b:
            reason = f"{bench.folder} has less room than two files of {size_b / MIB:.0f} MiB; say --workdir"
            points += [Point(name, {"size_b": size_b}, bench.session, reason=reason) for name in NAMES]
            continue
        state = {"weights": bench.random(size_b // 4)}
        writes, reads = [], []
        for _ in range(REPEATS[bench.quick]):
            start = time.perf_counter()
            with path.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            writes.append(time.perf_counter() - start)
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            start = time.perf_counter()
            torch.load(path, weights_only=True)
            reads.append(time.perf_counter() - start)
        path.unlink()
        size = {"size_b": size_b}
        for name, taken in zip(NAMES, (writes[:1], writes[1:], reads), strict=True):
            points.append(Point(name, dict(size), bench.session, taken, [0.0] * len(taken), "budget"))
    bench.together()
    return points
