"""Published best rates of matrix products as what physics takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dcsim.catalog.hardware import architecture
from dcsim.catalog.load import catalog
from dcsim.errors import RangeError, UnknownNameError
from dcsim.physics.kernels import gemm_s

# Columns that describe a row; its rate is the answer.
COLUMNS = ("dtype", "accelerator", "theory_tflops", "best_MxNxK")
# Architectures of accelerators that the catalog does not hold.
ELSEWHERE = {
    "NVIDIA A100 PCIe": "ampere",
    "AMD MI325X": "cdna3",
    "AMD MI355X": "cdna4",
    "Intel Gaudi 2": "gaudi2",
    "Intel Gaudi 3": "gaudi3",
}
# Half-rate sizes of an accelerator that the catalog does not hold: those of A100, the smallest known.
LIKE = "a100-sxm-80gb"


@dataclass(frozen=True)
class Product:
    """A matrix product at its best shape."""

    accelerator: str
    architecture: str
    eight_bit: bool
    peak_flop_s: float
    shape: tuple[float, float, float]
    half: tuple[float, float, float]

    def flop_s(self, values: Mapping[str, float]) -> float:
        """Rate under fitted efficiencies, by architecture and of 8-bit over 16-bit numbers. [FLOP/s]"""
        eff = values.get(self.architecture, values["other"]) * (values["fp8"] if self.eight_bit else 1.0)
        m, n, k = self.shape
        half_m, half_n, half_k = self.half
        seconds = gemm_s(m, n, k, self.peak_flop_s * eff, half_m=half_m, half_n=half_n, half_k=half_k)
        return float(2.0 * m * n * k / seconds)


def product(row: Mapping[str, str]) -> Product:
    """Read a row of published best rates.

    Raises
    ------
    RangeError
        If a figure or the shape cannot be read.
    """
    name = row["accelerator"]
    sizes = re.fullmatch(r"(\d+)x(\d+)x(\d+)", row["best_MxNxK"])
    if not sizes:
        raise RangeError(f"best_MxNxK must be like 4096x4096x4096, got '{row['best_MxNxK']}'")
    try:
        peak = float(row["theory_tflops"]) * 1e12
    except ValueError:
        raise RangeError(f"theory_tflops must be a number, got '{row['theory_tflops']}'") from None
    try:
        key = catalog().resolve("gpus", name)
        kind = architecture(key)
    except UnknownNameError:
        key, kind = LIKE, ELSEWHERE.get(name, "other")
    half = tuple(catalog().row("gpus", key, f"gemm_half_{axis}").value for axis in "mnk")
    m, n, k = (float(size) for size in sizes.groups())
    return Product(name, kind, "8" in row["dtype"], peak, (m, n, k), (half[0], half[1], half[2]))
