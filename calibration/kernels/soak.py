"""A long run of one matrix product: whether a device keeps its rate as it warms. Only where it is asked for."""

import time

import torch

from ..protocol import Point, Samples
from .common import DTYPES, Bench

SIDE = {"cpu": 512, "cuda": 8192}
WINDOW_S = 1.0


def run(bench: Bench) -> list[Point]:
    """Seconds of a product, a sample a window, with temperature and clock."""
    n = SIDE[bench.device.kind]
    dtype = DTYPES["bf16" if bench.device.kind == "cuda" else "fp32"]
    a, b = bench.random(n, n, dtype=dtype), bench.random(n, n, dtype=dtype)
    out = torch.empty(n, n, dtype=dtype, device=bench.device.torch)
    once = bench.device.seconds(lambda: torch.mm(a, b, out=out), 3) / 3.0
    runs = max(1, round(WINDOW_S / once))
    found = Samples(stop="budget", runs=runs)
    end = time.monotonic() + bench.soak_s
    while time.monotonic() < end:
        found.states.append(bench.meter.state())
        found.times_s.append(bench.device.seconds(lambda: torch.mm(a, b, out=out), runs) / runs)
        found.waited_frac.append(0.0)
    bench.together()
    return [bench.point("soak", {"dtype": str(dtype).removeprefix("torch."), "n": n}, found)]
