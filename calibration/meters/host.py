"""Meters beside NVML: processor packages by RAPL, AMD GPUs by amdsmi, and the file of an external meter."""

import csv
import time
from pathlib import Path
from typing import Any

from dcsim.errors import UsageError

from .common import Absent, Host, Meter, MeterError, Reading

RAPL = Path("/sys/class/powercap")


class RaplMeter(Host):
    """Energy of the processor packages together; counters that wrap are unwound."""

    name = "rapl"
    reason = ""
    average_s = 0.0

    def __init__(self, zones: list[Path]) -> None:
        self._zones = zones
        self._range_j = [int((zone / "max_energy_range_uj").read_text()) / 1e6 for zone in zones]
        self._last_j = [0.0] * len(zones)
        self._total_j = 0.0
        self._last_j = self._counters()

    def _counters(self) -> list[float]:
        try:
            return [int((zone / "energy_uj").read_text()) / 1e6 for zone in self._zones]
        except (OSError, ValueError) as error:
            raise MeterError(f"RAPL: {error}") from None

    def read(self) -> Reading:
        """Energy since the meter was opened."""
        now_s, now_j = time.monotonic(), self._counters()
        for now, last, most in zip(now_j, self._last_j, self._range_j, strict=True):
            self._total_j += now - last if now >= last else now - last + most
        self._last_j = now_j
        return Reading(now_s, self._total_j, None)

    def provenance(self) -> dict[str, Any]:
        """Packages."""
        return {"source": self.name, "reason": "", "packages": len(self._zones)}

    def close(self) -> None:
        """Nothing to give back."""


def rapl_meter(root: Path = RAPL) -> Meter:
    """Meter of the processor packages; :class:`Absent` where there are none or they may not be read."""
    zones = sorted(path for path in root.glob("*-rapl:*") if path.name.count(":") == 1)
    if not zones:
        return Absent("the processor or the virtual machine shows no RAPL counters")
    try:
        return RaplMeter(zones)
    except PermissionError:
        return Absent("RAPL counters may be read by root alone; run as root or relax their permissions")
    except (OSError, ValueError, MeterError) as error:
        return Absent(f"RAPL: {error}")


class AmdMeter(Host):
    """One AMD GPU by amdsmi's accumulator."""

    name = "amdsmi"
    reason = ""
    average_s = 0.0

    def __init__(self, amdsmi: Any, handle: Any) -> None:
        self._smi, self._handle = amdsmi, handle

    def read(self) -> Reading:
        """Energy since the driver was loaded."""
        now = time.monotonic()
        try:
            shown = self._smi.amdsmi_get_energy_count(self._handle)
            return Reading(now, shown["energy_accumulator"] * shown["counter_resolution"] / 1e6, None)
        except Exception as error:  # amdsmi raises many kinds, none of them ours
            raise MeterError(f"amdsmi: {error}") from None

    def provenance(self) -> dict[str, Any]:
        """The source alone."""
        return {"source": self.name, "reason": ""}

    def close(self) -> None:
        """Give amdsmi back."""
        self._smi.amdsmi_shut_down()


def amd_meter(device: int = 0) -> Meter:
    """Meter of an AMD GPU; :class:`Absent` with the reason where there is none. Not seen on hardware."""
    try:
        import amdsmi  # type: ignore[import-not-found, unused-ignore]
    except (ImportError, OSError, KeyError):
        return Absent("amdsmi is not installed; it comes with ROCm")
    try:
        amdsmi.amdsmi_init()
        handles = amdsmi.amdsmi_get_processor_handles()
        if device >= len(handles):
            return Absent(f"GPU {device} was asked for, amdsmi knows {len(handles)}")
        meter = AmdMeter(amdsmi, handles[device])
        meter.read()
    except Exception as error:  # amdsmi raises many kinds, none of them ours
        return Absent(f"amdsmi: {error}")
    return meter


class CsvMeter(Host):
    """Power of an external meter, from its file of Unix time [s] and watts, read when asked.

    ``offset_s`` is added to the file's times: how far its clock lags ours.
    """

    name = "csv"
    reason = ""
    average_s = 0.0

    def __init__(self, path: Path, offset_s: float) -> None:
        self._path, self._offset_s = path, offset_s
        self._rows = self._read()

    def _read(self) -> list[tuple[float, float]]:
        try:
            with self._path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file) if row]
            numbers = rows if rows and _is_number(rows[0][0]) else rows[1:]
            return [(float(row[0]) + self._offset_s, float(row[1])) for row in numbers]
        except (OSError, ValueError, IndexError) as error:
            raise UsageError(f"{self._path}: not a file of Unix seconds and watts: {error}") from None

    def read(self) -> Reading:
        """The last reading of the file up to now."""
        wall, now = time.time(), time.monotonic()
        before = [watts for at, watts in self._read() if at <= wall]
        return Reading(now, None, before[-1] if before else None)

    def provenance(self) -> dict[str, Any]:
        """File and offset."""
        return {"source": self.name, "reason": "", "file": self._path.name, "offset_s": self._offset_s}

    def close(self) -> None:
        """Nothing to give back."""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
