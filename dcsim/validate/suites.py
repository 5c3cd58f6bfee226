"""The registry of suites."""

from dcsim.validate import (
    collectives,
    cost,
    electrical,
    gemm,
    inference,
    memory,
    node_power,
    psychrometrics,
    pue,
    reliability,
    replay,
    schedule,
    serving,
    training,
    water,
)
from dcsim.validate.common import Suite

SUITES: dict[str, Suite] = {
    "collectives": collectives.SUITE,
    "cost": cost.SUITE,
    "electrical": electrical.SUITE,
    "gemm": gemm.SUITE,
    "inference": inference.SUITE,
    "memory": memory.SUITE,
    "node-power": node_power.SUITE,
    "psychrometrics": psychrometrics.SUITE,
    "pue": pue.SUITE,
    "reliability": reliability.SUITE,
    "replay": replay.SUITE,
    "schedule": schedule.SUITE,
    "serving": serving.SUITE,
    "training": training.SUITE,
    "water": water.SUITE,
}
