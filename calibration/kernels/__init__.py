"""Measurement kernels by name, in the order in which they run."""

from collections.abc import Callable

from ..protocol import Point
from . import checkpoint, collectives, gemm, memory, training_step
from .common import Bench

KERNELS: dict[str, Callable[[Bench], list[Point]]] = {
    "gemm": gemm.run,
    "memory": memory.run,
    "collectives": collectives.run,
    "training_step": training_step.run,
    "checkpoint": checkpoint.run,
}
