"""Measurement kernels by name, in the order in which they run."""

from collections.abc import Callable

from ..protocol import Point
from . import (
    attention,
    checkpoint,
    collectives,
    decoding,
    elementwise,
    gemm,
    host_copies,
    idle,
    memory,
    overlap,
    power_caps,
    soak,
    training_step,
)
from .common import Bench

KERNELS: dict[str, Callable[[Bench], list[Point]]] = {
    "idle": idle.run,
    "gemm": gemm.run,
    "attention": attention.run,
    "elementwise": elementwise.run,
    "memory": memory.run,
    "host_copies": host_copies.run,
    "collectives": collectives.run,
    "overlap": overlap.run,
    "decoding": decoding.run,
    "training_step": training_step.run,
    "checkpoint": checkpoint.run,
}
# Kernels that run only where they are asked for.
OPT_IN: dict[str, Callable[[Bench], list[Point]]] = {"soak": soak.run, "power_caps": power_caps.run}
