"""Run by the tests in a process of its own, with the simulated driver on the library path: prints what a meter says."""

import json
import math
import os
import sys
import time

from dcsim.calibration.meters import EnergyLog, MeterError, open_meter


def integral_j(t):
    number = lambda key, fallback: float(os.environ.get(f"SIM_NVML_{key}", fallback))  # noqa: E731
    period, duty, idle, peak = (
        number("PERIOD_S", 0.13),
        number("DUTY", 0.5),
        number("IDLE_W", 70),
        number("PEAK_W", 700),
    )
    whole = math.floor(t / period)
    rest, on = t - whole * period, duty * period
    high = min(rest, on)
    return whole * (on * peak + (period - on) * idle) + high * peak + (rest - high) * idle


def main():
    device = sys.argv[2] if len(sys.argv) > 2 else "0"
    kind = os.environ.get("PROBE_METER", "nvml")
    meter = open_meter(kind, device="cuda") if device == "0" else None
    if meter is None:
        from dcsim.calibration.meters.nvml import nvml_meter

        meter = nvml_meter(int(device) if device.isdigit() else device)
    out = {"reason": meter.reason, "name": meter.name, "average_s": meter.average_s}
    if not meter.reason:
        out["provenance"] = meter.provenance()
        out["others"] = meter.others()
        seconds = float(sys.argv[1])
        try:
            with EnergyLog(meter) as log:
                start = time.monotonic()
                time.sleep(seconds)
                end = time.monotonic()
            energy = log.window(start, end)
            out |= {"mean_w": energy.mean_w, "note": energy.reason, "edges": energy.edges}
            if energy.mean_w is not None:
                out["energy_j"] = energy.energy_j
                out["true_j"] = integral_j(energy.end_s) - integral_j(energy.start_s)
        except MeterError as error:
            out["failed"] = str(error)
    print(json.dumps(out))


main()
