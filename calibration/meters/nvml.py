"""NVIDIA GPUs through NVML: the energy counter where there is one, else power and what it means by architecture."""

import hashlib
import os
import time
from dataclasses import asdict
from typing import Any

from .common import Absent, Meter, MeterError, Reading, State

# Codes of NVML that mean "this device or driver has no such reading".
NOT_SUPPORTED, FUNCTION_NOT_FOUND = 3, 13
# Codes after which nothing more can be read.
GONE = {15: "the GPU is lost; it fell off the bus", 1: "the driver was shut down", 9: "the driver is not loaded"}
# Architectures by NVML's number. The power reading of GA100 and of all before Ampere is an instant, of which a quarter
# to a half is seen; of other Ampere parts and all later ones it is the mean of a second.
ARCHITECTURES = {
    2: "kepler",
    3: "maxwell",
    4: "pascal",
    5: "volta",
    6: "turing",
    7: "ampere",
    8: "ada",
    9: "hopper",
    10: "blackwell",
}
AVERAGED_S = 1.0
# NVML's fields of power, and its scope of a whole GPU; others are a module with its processor, and memory alone.
FIELDS = {"average": 185, "instant": 186}
WHOLE_GPU = 0


def _hashed(text: str) -> str:
    """A name that tells devices apart without naming them."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class NvmlMeter:
    """One GPU by its energy counter, or by power where it has none or *field* asks for it.

    Parameters
    ----------
    pynvml, handle
        The library and the device.
    field : str
        ``average`` or ``instant`` for that reading of power; empty for the counter, else the driver's usual power.
    """

    def __init__(self, pynvml: Any, handle: Any, field: str = "") -> None:
        self._nvml, self._handle, self._field = pynvml, handle, FIELDS.get(field)
        self.reason = ""
        self.architecture = ARCHITECTURES.get(self._ask("nvmlDeviceGetArchitecture") or 0, "unknown")
        self.uuid = str(self._ask("nvmlDeviceGetUUID") or "")
        self.device = str(self._ask("nvmlDeviceGetName") or "unknown")
        self.counts = not field and self._ask("nvmlDeviceGetTotalEnergyConsumption") is not None
        self.name = f"nvml.{field}" if field else "nvml.energy" if self.counts else "nvml.power"
        instant = self.architecture in ("kepler", "maxwell", "pascal", "volta", "turing") or any(
            name in self.device for name in ("A100", "A30", "A800")
        )
        if field:
            instant = field == "instant"
        self.average_s = 0.0 if self.counts or instant else AVERAGED_S
        self.power_means = "an instant" if instant else "the mean of the last second"
        if not self.counts and self._milliwatts() is None:
            what = f"no {field} power reading" if field else "neither an energy counter nor a power reading"
            self.reason = f"{self.device} has {what}"

    def _ask(self, function: str, *more: Any) -> Any:
        """One reading, None where the device or the driver has none."""
        try:
            return getattr(self._nvml, function)(self._handle, *more)
        except self._nvml.NVMLError as error:
            if error.value in (NOT_SUPPORTED, FUNCTION_NOT_FOUND):
                return None
            gone = GONE.get(error.value)
            raise MeterError(f"NVML {function}: {gone or error}") from None

    def _milliwatts(self) -> int | None:
        """Power as the driver gives it; null where the device has no such reading."""
        if self._field is None:
            found = self._ask("nvmlDeviceGetPowerUsage")
            return None if found is None else int(found)
        shown = self._ask("nvmlDeviceGetFieldValues", [(self._field, WHOLE_GPU)])
        # The call succeeds if any field did; each carries its own code.
        if not shown or shown[0].nvmlReturn != 0:
            return None
        return int(shown[0].value.uiVal)

    def read(self) -> Reading:
        """Energy since the driver was loaded, or power."""
        now = time.monotonic()
        if self.counts:
            millijoules = self._ask("nvmlDeviceGetTotalEnergyConsumption")
            return Reading(now, None if millijoules is None else millijoules / 1e3, None)
        milliwatts = self._milliwatts()
        return Reading(now, None, None if milliwatts is None else milliwatts / 1e3)

    def state(self) -> State:
        """Temperature, SM clock, and why the clock is held back; null where the driver does not say."""
        reasons = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if reasons is None:  # its name before driver 535
            reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        return State(
            self._ask("nvmlDeviceGetTemperature", self._nvml.NVML_TEMPERATURE_GPU),
            self._ask("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_SM),
            reasons,
        )

    def others(self) -> list[int]:
        """Processes that compute on the GPU, this one aside; a driver that is too old to say knows none."""
        try:
            running = self._ask("nvmlDeviceGetComputeRunningProcesses") or []
        except self._nvml.NVMLLibraryMismatchError:  # no NVMLError, whatever its name says
            return []
        return sorted(process.pid for process in running if process.pid != os.getpid())

    def provenance(self) -> dict[str, Any]:
        """Device, driver, power limit; the UUID hashed."""
        limit = self._ask("nvmlDeviceGetEnforcedPowerLimit")
        return {
            "source": self.name,
            "reason": self.reason,
            "device": self.device,
            "uuid_hash": _hashed(self.uuid) if self.uuid else None,
            "architecture": self.architecture,
            "driver": str(self._nvml.nvmlSystemGetDriverVersion()),
            "power_limit_w": None if limit is None else limit / 1e3,
            "power_means": self.power_means,
            **asdict(self.state()),
        }

    def close(self) -> None:
        """Give NVML back."""
        self._nvml.nvmlShutdown()


def nvml_meter(device: str | int = 0, field: str = "") -> Meter:
    """Meter of a GPU by UUID or index; :class:`Absent` with the reason where there is none.

    *field* is ``average`` or ``instant`` for that reading of power, empty for the energy counter.
    """
    try:
        import pynvml
    except ImportError:
        return Absent("nvidia-ml-py is not installed; install dcsim[calibration]")
    if not hasattr(pynvml, "_nvmlGetFunctionPointer"):
        return Absent("the module pynvml is not that of nvidia-ml-py; uninstall the package named pynvml")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        known = {12: "no NVIDIA driver library was found", 9: "the NVIDIA driver is not loaded"}
        return Absent(known.get(error.value, f"NVML does not start: {error}"))
    try:
        return _open(pynvml, device, field)
    except pynvml.NVMLError as error:
        pynvml.nvmlShutdown()
        return Absent(f"NVML: {error}")


def _open(pynvml: Any, device: str | int, field: str) -> Meter:
    count = pynvml.nvmlDeviceGetCount()
    if count == 0:
        pynvml.nvmlShutdown()
        return Absent("the driver knows no GPU")
    if isinstance(device, int) and device >= count:
        pynvml.nvmlShutdown()
        return Absent(f"GPU {device} was asked for, the driver knows {count}")
    handle = (
        pynvml.nvmlDeviceGetHandleByIndex(device)
        if isinstance(device, int)
        else pynvml.nvmlDeviceGetHandleByUUID(device)
    )
    try:
        slices = bool(pynvml.nvmlDeviceGetMigMode(handle)[0])
    except pynvml.NVMLError:
        slices = False  # parts without MIG do not answer
    if slices:
        pynvml.nvmlShutdown()
        return Absent("MIG is on: NVML counts the energy of the whole GPU, never that of a slice")
    return NvmlMeter(pynvml, handle, field)
