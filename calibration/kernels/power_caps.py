"""A matrix product under falling power limits. Only where it is asked for, and by root."""

import os

import torch

from ..device import visible
from ..power_limit import sweep
from ..protocol import Point, Samples, sample
from .common import DTYPES, Bench

SIDE = 8192


def run(bench: Bench) -> list[Point]:
    """Seconds and watts of the product under each limit; the first rank's GPU alone."""
    if bench.device.kind != "cuda":
        return bench.absent("power_cap", "a processor has no power limit that NVML sets")
    if bench.rank != 0:
        bench.together()
        return []
    a, b = (bench.random(SIDE, SIDE, dtype=DTYPES["bf16"]) for _ in range(2))
    out = torch.empty_like(a)
    taken: list[Samples] = []

    def product() -> None:
        torch.mm(a, b, out=out)

    def measure() -> dict[str, float]:
        watts, _ = bench.power(product)  # warms it under the new limit, too
        taken.append(sample(lambda runs: bench.device.seconds(product, runs), budget_s=bench.budget_s))
        return {"mean_w": watts or float("nan")}

    rows = sweep(bench.device.uuid() or visible(os.environ, bench.device.index), measure)
    bench.together()
    return [
        bench.point(
            "power_cap",
            {"n": SIDE, "dtype": "bf16", "limit_w": row["limit_w"]},
            samples,
            mean_w=row["mean_w"] if row["mean_w"] == row["mean_w"] else None,
            power_reason="" if row["mean_w"] == row["mean_w"] else "no meter",
        )
        for row, samples in zip(rows, taken, strict=True)
    ]
