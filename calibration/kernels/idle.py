"""Idle power: before the device is used at all, and with a context open on it."""

import time

import torch

from ..meters import EnergyLog, Meter
from ..protocol import Point
from .common import Bench

SECONDS = {True: 3.0, False: 10.0}


def bare_w(meter: Meter, quick: bool) -> tuple[float | None, str]:
    """Power of a device that nothing has been opened on yet. [W]"""
    if meter.reason:
        return None, meter.reason
    with EnergyLog(meter) as log:
        start = log.now()
        time.sleep(SECONDS[quick] + meter.average_s)
        found = log.window(start, log.now())
    return found.mean_w, found.reason


def run(bench: Bench) -> list[Point]:
    """Power with a context and no work; a context alone adds 26 to 50 W on A100 and H100."""
    kept = torch.zeros(1, device=bench.device.torch)
    bench.device.sync()
    watts, reason = bench.power(lambda: time.sleep(0.05))
    del kept
    return [Point("idle_context", {}, bench.session, mean_w=watts, power_reason=reason, stop="budget")]
