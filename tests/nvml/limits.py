"""Run by the tests in a process of its own: a sweep of power limits that ends as it is told to."""

import os
import signal
import sys

from dcsim.calibration.power_limit import PowerLimitError, limits, sweep

from dcsim.errors import UsageError


def main():
    ending = sys.argv[1]
    if ending != "unprivileged":
        os.geteuid = lambda: 0
    else:
        os.geteuid = lambda: 1000
    seen = []

    def measure():
        seen.append(limits(0).now_w)
        if len(seen) == 2:
            if ending == "raises":
                raise ValueError("a kernel failed")
            if ending in ("SIGKILL", "SIGTERM"):
                os.kill(os.getpid(), getattr(signal, ending))
        return {"seconds": 1.0}

    try:
        rows = sweep(0, measure)
    except (ValueError, PowerLimitError, UsageError) as error:
        print(f"error: {error}")
    else:
        print([row["limit_w"] for row in rows], seen)


main()
