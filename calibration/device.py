"""The device that kernels run on: the only place that tells CUDA from CPU."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from dcsim.errors import UsageError


@dataclass(frozen=True)
class Device:
    """Where kernels run.

    Parameters
    ----------
    kind : str
        ``cuda`` or ``cpu``.
    index : int
        Which of the host's devices.
    """

    kind: str
    index: int

    @property
    def torch(self) -> torch.device:
        """As torch names it."""
        return torch.device(self.kind, self.index) if self.kind == "cuda" else torch.device("cpu")

    @property
    def backend(self) -> str:
        """Collective backend."""
        return "nccl" if self.kind == "cuda" and dist.is_nccl_available() else "gloo"

    @property
    def name(self) -> str:
        """Name of the part."""
        if self.kind == "cuda":
            return str(torch.cuda.get_device_name(self.index))
        return _processor()

    @property
    def label(self) -> str:
        """Where it is: kind and index, and the start of its UUID."""
        uuid = self.uuid()
        return f"{self.kind}:{self.index}" + (f" {uuid[:12]}" if uuid else "")

    def uuid(self) -> str | None:
        """UUID as NVML writes it, null for a processor. CUDA and NVML number GPUs in different orders."""
        if self.kind != "cuda" or torch.version.hip is not None:
            return None
        return f"GPU-{torch.cuda.get_device_properties(self.index).uuid}"

    def sync(self) -> None:
        """Wait until all that was started has ended."""
        if self.kind == "cuda":
            torch.cuda.synchronize(self.index)

    def seconds(self, work: Callable[[], Any], times: int = 1) -> float:
        """Time of some runs of a kernel, from an idle device to an idle device. [s]"""
        self.sync()
        start = time.perf_counter()
        for _ in range(times):
            work()
        self.sync()
        return time.perf_counter() - start

    def free_b(self) -> float:
        """Memory that kernels may take: six tenths of what is free. [B]"""
        if self.kind == "cuda":
            return 0.6 * float(torch.cuda.mem_get_info(self.index)[0])
        return 0.6 * float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def choose(asked: str, index: int = 0) -> Device:
    """The device that was asked for, or with ``auto`` CUDA where there is any.

    Raises
    ------
    UsageError
        If CUDA was asked for and there is none: never a silent fallback.
    """
    found = torch.cuda.is_available() and torch.cuda.device_count() > index
    if asked == "cuda" and not found:
        raise UsageError("--device cuda: torch sees no CUDA device; use --device cpu for a demonstration profile")
    return Device("cuda" if asked == "cuda" or (asked == "auto" and found) else "cpu", index)


def visible(env: Mapping[str, str], local_rank: int) -> str | int:
    """Device of a rank as NVML knows it, by UUID or index: NVML does not heed CUDA_VISIBLE_DEVICES."""
    shown = [name.strip() for name in env.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    if local_rank >= len(shown):
        return local_rank
    return int(shown[local_rank]) if shown[local_rank].isdigit() else shown[local_rank]


def _processor() -> str:
    """Model name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.processor() or "cpu"
    except OSError:
        return platform.processor() or "cpu"


def software() -> dict[str, str | None]:
    """Versions that a measurement rests on."""
    cuda = torch.version.cuda
    return {
        "torch": str(torch.__version__),
        "cuda": None if cuda is None else str(cuda),
        "nccl": _nccl(),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def _nccl() -> str | None:
    if not torch.cuda.is_available() or not dist.is_nccl_available():
        return None
    version: Any = torch.cuda.nccl.version()  # type: ignore[no-untyped-call]
    return ".".join(map(str, version))
