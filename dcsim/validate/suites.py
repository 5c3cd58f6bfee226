"""The registry of suites."""

from dcsim.validate import collectives, electrical, memory, psychrometrics, schedule, training
from dcsim.validate.common import Suite

SUITES: dict[str, Suite] = {
    "collectives": collectives.SUITE,
    "electrical": electrical.SUITE,
    "memory": memory.SUITE,
    "psychrometrics": psychrometrics.SUITE,
    "schedule": schedule.SUITE,
    "training": training.SUITE,
}
