"""What every kernel is given."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from ..device import Device
from ..protocol import Point


@dataclass(frozen=True)
class Bench:
    """Device, place among the ranks, and how much to measure.

    Parameters
    ----------
    device : Device
    rank, world : int
        This process, and all of them.
    session, seed : int
        Which session; inputs and the order of sizes are drawn from both.
    quick : bool
        Small sizes and little time.
    budget_s : float
        Most time of one point. [s]
    folder : str
        Where files may be written.
    """

    device: Device
    rank: int
    world: int
    session: int
    seed: int
    quick: bool
    budget_s: float
    folder: str

    @property
    def generator(self) -> torch.Generator:
        """Random numbers of this session and rank."""
        return torch.Generator().manual_seed(self.seed * 1000 + self.session * 100 + self.rank)

    def shuffled(self, items: list[Any]) -> list[Any]:
        """Items in an order that all ranks share and each session draws anew, so that drift cannot pose as size."""
        generator = torch.Generator().manual_seed(self.seed * 1000 + self.session)
        return [items[i] for i in torch.randperm(len(items), generator=generator).tolist()]

    def random(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Random numbers on the device: power and speed depend on the data, and zeros flatter both."""
        return torch.randn(*shape, generator=self.generator).to(self.device.torch, dtype)

    def largest(self, value: float) -> float:
        """The largest of all ranks' figures."""
        if self.world == 1:
            return float(value)
        box = torch.tensor([value], dtype=torch.float64, device=self.device.torch)
        dist.all_reduce(box, op=dist.ReduceOp.MAX)
        return float(box.item())

    def together(self) -> None:
        """Wait for all ranks."""
        if self.world > 1:
            dist.barrier()

    def absent(self, kernel: str, reason: str) -> list[Point]:
        """A kernel that cannot run here, and why."""
        return [Point(kernel, {}, self.session, reason=reason)]
