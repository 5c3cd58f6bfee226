"""Rate and energy of a matrix product under power limits; the old limit comes back however the sweep ends.

The limit is set by this process and restored by a second one, the keeper, which knows nothing but the old limit and
holds the end of a pipe. When this process ends, by whatever signal, the pipe closes, the keeper restores and ends too.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dcsim.errors import DcsimError, UsageError

# Shares of the range between the lowest and the default limit at which the sweep measures. [1]
SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)


class PowerLimitError(DcsimError):
    """The driver refused a limit."""


@dataclass(frozen=True)
class Limits:
    """Power limits of a GPU: set now, lowest and highest allowed. [W]"""

    now_w: float
    lowest_w: float
    highest_w: float


def _open(which: str | int) -> tuple[Any, Any]:
    import pynvml

    pynvml.nvmlInit()
    by_index = isinstance(which, int)
    handle = pynvml.nvmlDeviceGetHandleByIndex(which) if by_index else pynvml.nvmlDeviceGetHandleByUUID(which)
    return pynvml, handle


def limits(which: str | int) -> Limits:
    """Limits of a GPU, read only.

    Raises
    ------
    PowerLimitError
        If the driver does not say.
    """
    try:
        nvml, handle = _open(which)
        low, high = nvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
        return Limits(nvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3, low / 1e3, high / 1e3)
    except Exception as error:  # NVML's errors do not all derive from one class
        raise PowerLimitError(f"the driver does not tell its power limits: {error}") from None


def set_limit(which: str | int, watts: float) -> None:
    """Set the limit of a GPU.

    Raises
    ------
    PowerLimitError
        If the driver refuses.
    """
    try:
        nvml, handle = _open(which)
        nvml.nvmlDeviceSetPowerManagementLimit(handle, round(watts * 1e3))
    except Exception as error:
        raise PowerLimitError(f"the driver refused a limit of {watts:g} W: {error}") from None


def plan(of: Limits) -> list[float]:
    """Limits that a sweep sets, from the present one down. [W]"""
    return [of.lowest_w + share * (of.now_w - of.lowest_w) for share in SHARES]


def allowed() -> None:
    """Refuse where limits may not be set.

    Raises
    ------
    UsageError
        If this process is not root's.
    """
    if os.geteuid() != 0:
        raise UsageError("--power-limit-sweep sets power limits, which only root may; run it with sudo")


@contextlib.contextmanager
def kept(which: str | int, watts: float) -> Iterator[None]:
    """A block after which, or after whose process, the limit is *watts* again."""
    words = [sys.executable, "-m", "dcsim.calibration.power_limit", str(which), str(watts)]
    # A session of its own: a signal to this process group must not reach the keeper.
    keeper = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    if keeper.stdout.readline().strip() != b"ready":
        keeper.kill()
        raise PowerLimitError("the process that would restore the old limit does not start; nothing was changed")
    try:
        yield
    finally:
        keeper.stdin.close()
        if keeper.wait(30.0) != 0:
            raise PowerLimitError(f"the limit of GPU {which} could not be restored; set it by nvidia-smi -pl {watts:g}")


def sweep(which: str | int, measure: Callable[[], dict[str, float]]) -> list[dict[str, float]]:
    """Measure under each limit of the plan; the old one is restored on every way out.

    Parameters
    ----------
    which : str or int
        GPU by UUID or the driver's index.
    measure : callable
        Gives figures of one limit, such as seconds and watts.
    """
    allowed()
    old = limits(which)
    rows = []
    with kept(which, old.now_w):
        for watts in plan(old):
            set_limit(which, watts)
            rows.append({"limit_w": watts, **measure()})
    return rows


def main(words: Sequence[str]) -> int:
    """The keeper: wait until the pipe closes, then restore."""
    which: str | int = int(words[0]) if words[0].isdigit() else words[0]
    limits(which)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    if limits(which).now_w != float(words[1]):
        set_limit(which, float(words[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
