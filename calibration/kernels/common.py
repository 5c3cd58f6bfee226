"""What every kernel is given: a device, a place among the ranks, and how a point is sampled."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from ..device import Device
from ..meters import Absent, EnergyLog, Meter
from ..protocol import Point, Samples, sample
from .levels import Level

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Random numbers drawn for a tensor; a larger one repeats them, which neither caches nor power can tell. [1]
MOST_DRAWN = 2**22
# Power of a point: run it for so long before, so that sensors that average have settled, then for so long. [s]
SETTLE_S, POWER_S = {True: 1.0, False: 2.0}, {True: 2.0, False: 5.0}


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
    meter : Meter
        Power of this rank's device; none where it is not metered.
    levels : tuple of Level
        Groups of ranks that collectives are measured over; empty for one rank.
    model : str
        Model of the catalog whose matrix products are measured besides cubes; empty for none.
    soak_s : float
        How long the soak runs. [s]
    """

    device: Device
    rank: int
    world: int
    session: int
    seed: int
    quick: bool
    budget_s: float
    folder: str
    meter: Meter = field(default_factory=lambda: Absent("no meter was asked for"))
    levels: tuple[Level, ...] = ()
    model: str = ""
    soak_s: float = 600.0

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
        count = math.prod(shape)
        drawn = torch.randn(min(count, MOST_DRAWN), generator=self.generator).to(self.device.torch, dtype)
        return drawn.repeat(-(-count // len(drawn)))[:count].reshape(shape) if count > MOST_DRAWN else drawn.view(shape)

    def tokens(self, vocab: int, batch: int, seq: int) -> torch.Tensor:
        """Random tokens on the device."""
        return torch.randint(vocab, (batch, seq), generator=self.generator).to(self.device.torch)

    def largest(self, value: float) -> float:
        """The largest of all ranks' figures."""
        if self.world == 1:
            return float(value)
        box = torch.tensor([value], dtype=torch.float64, device=self.device.torch)
        dist.all_reduce(box, op=dist.ReduceOp.MAX)
        return float(box.item())

    def of_all(self, value: float) -> list[float]:
        """Every rank's figure."""
        if self.world == 1:
            return [float(value)]
        boxes = [torch.zeros(1, dtype=torch.float64, device=self.device.torch) for _ in range(self.world)]
        dist.all_gather(boxes, torch.tensor([value], dtype=torch.float64, device=self.device.torch))
        return [float(box.item()) for box in boxes]

    def together(self) -> None:
        """Wait for all ranks."""
        if self.world > 1:
            dist.barrier()

    def absent(self, kernel: str, reason: str) -> list[Point]:
        """A kernel that cannot run here, and why."""
        return [Point(kernel, {}, self.session, reason=reason)]

    def alone(self, kernel: str, size: dict[str, Any], work: Callable[[], Any], *, power: bool = False) -> Point:
        """Time a kernel that every rank runs by itself; this rank's samples, and the median of each rank.

        With *power* it then runs on and on while the meter is read.
        """
        found = sample(lambda runs: self.device.seconds(work, runs), budget_s=self.budget_s, state=self.meter.state)
        watts, reason = self.power(work) if power else (None, "not asked for at this size")
        medians = self.of_all(float(np.median(found.times_s)))
        return self.point(kernel, size, found, mean_w=watts, power_reason=reason, by_rank_s=medians)

    def in_step(
        self, kernel: str, size: dict[str, Any], work: Callable[[], Any], *, power: bool = False, runs_power: int = 1
    ) -> Point:
        """Time a kernel that the ranks run together: each sample is the slowest rank's, so all stop alike."""

        def seconds(runs: int) -> float:
            self.together()
            return self.device.seconds(work, runs)

        found = sample(seconds, budget_s=self.budget_s, inner=False, agree=self.largest, state=self.meter.state)
        watts, reason = (None, "not asked for at this size")
        if power:
            watts, reason = self.power(work, agree=self.largest, runs=runs_power)
        # Ranks wait for each other, so waiting for a processor says nothing of other load here.
        found.waited_frac = [0.0] * len(found.times_s)
        return self.point(kernel, size, found, mean_w=watts, power_reason=reason)

    def point(self, kernel: str, size: dict[str, Any], found: Samples, **more: Any) -> Point:
        """Samples as a point, with the state of the device at each."""
        states = [state for state in found.states if state is not None]
        return Point(
            kernel,
            size,
            self.session,
            found.times_s,
            found.waited_frac,
            found.stop,
            temperature_c=[state.temperature_c for state in states],
            clock_mhz=[state.clock_mhz for state in states],
            clock_reasons=[state.clock_reasons for state in states],
            **more,
        )

    def power(
        self, work: Callable[[], Any], *, agree: Callable[[float], float] = float, runs: int = 1
    ) -> tuple[float | None, str]:
        """Mean power of work that runs on and on; null with a reason where it cannot be told. [W]"""
        if agree(0.0 if self.meter.reason else 1.0) == 0.0:
            return None, self.meter.reason
        # The meter is polled here alone: a thread that polls would disturb the samples.
        with EnergyLog(self.meter) as log:
            settled = time.monotonic() + SETTLE_S[self.quick]
            end = settled + POWER_S[self.quick] + self.meter.average_s
            # Each rank's clock differs, and each must run as often as the others.
            while agree(end - time.monotonic()) > 0.0:
                self.device.seconds(work, runs)
            found = log.window(settled, time.monotonic())
        return found.mean_w, found.reason
