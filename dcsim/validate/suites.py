"""The registry of suites."""

from dcsim.validate import electrical, psychrometrics, schedule
from dcsim.validate.common import Suite

SUITES: dict[str, Suite] = {
    "electrical": electrical.SUITE,
    "psychrometrics": psychrometrics.SUITE,
    "schedule": schedule.SUITE,
}
