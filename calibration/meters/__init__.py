"""Power meters behind one interface."""

from collections.abc import Callable
from pathlib import Path

from dcsim.registry import lookup

from .common import Absent, Energy, EnergyLog, Meter, MeterError, Reading, State
from .host import CsvMeter, amd_meter, rapl_meter
from .nvml import nvml_meter

__all__ = ["Absent", "Energy", "EnergyLog", "Meter", "MeterError", "Reading", "State", "open_meter"]

METERS: dict[str, Callable[[str | int], Meter]] = {
    "nvml": nvml_meter,
    "nvml-average": lambda which: nvml_meter(which, "average"),
    "nvml-instant": lambda which: nvml_meter(which, "instant"),
    "amdsmi": lambda which: amd_meter(which if isinstance(which, int) else 0),
    "rapl": lambda which: rapl_meter(),
    "none": lambda which: Absent("no meter was asked for"),
}


def open_meter(
    kind: str = "auto", *, device: str, which: str | int = 0, file: Path | None = None, offset_s: float = 0.0
) -> Meter:
    """Meter of a kind, or the first that works for a device.

    Parameters
    ----------
    kind : str
        ``auto``, ``csv`` or one of :data:`METERS`.
    device : str
        ``cuda`` or ``cpu``: what ``auto`` must measure.
    which : str or int
        GPU by UUID or by the driver's index.
    file, offset_s
        File of an external meter, and how far its clock lags ours. [s]

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    UsageError
        If the file cannot be read.
    """
    if kind == "csv" or file is not None:
        return CsvMeter(file or Path("meter.csv"), offset_s)
    if kind != "auto":
        return lookup(METERS, kind, "meter")(which)
    tried = [METERS[name](which) for name in (("nvml", "amdsmi") if device == "cuda" else ("rapl",))]
    working = [meter for meter in tried if not meter.reason]
    return working[0] if working else Absent("; ".join(meter.reason for meter in tried))
