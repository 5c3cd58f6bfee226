"""Delay and time to power: the dates of a plan, moved by what it waits for."""

import datetime
from dataclasses import replace
from itertools import pairwise
from typing import Any

from dcsim.catalog.load import Assumptions
from dcsim.model.facility import Phase, Schedule
from dcsim.model.load import Loaded
from dcsim.model.scenario import Scenario


def months_later(date: datetime.date, months: int) -> datetime.date:
    """The same day so many months later, or the last day of a month that is too short for it."""
    number = date.year * 12 + date.month - 1 + months
    first = datetime.date(number // 12, number % 12 + 1, 1)
    after = datetime.date((number + 1) // 12, (number + 1) % 12 + 1, 1)
    return min(first + datetime.timedelta(days=date.day - 1), after - datetime.timedelta(days=1))


def delayed(loaded: Loaded, used: Assumptions) -> Loaded:
    """A scenario whose phases stand at the dates that its delays leave them; as it is where it states none.

    Deliveries slip by their months. A phase is energised on the latest of its own date, its deliveries and the day on
    which the utility connects the site. What was ordered stays ordered: hardware that is delivered before power waits.

    Raises
    ------
    InputError
        If a phase is pushed beyond the end of the plan.
    UnknownNameError
        If the market of the wait is in no catalog.
    """
    scenario = loaded.scenario
    connected = connection(scenario, used)
    phases = tuple(_moved(phase, scenario, connected) for phase in scenario.facility.phases)
    if phases == scenario.facility.phases:
        return loaded
    for index, phase in enumerate(phases):
        if phase.energised >= scenario.plan.end:
            raise loaded.fault(
                ("facility", "phases", index),
                f"delays energise phase '{phase.name}' on {phase.energised}, not before the plan ends on "
                f"{scenario.plan.end}; lengthen plan.years or shorten the delays",
            )
    for index, (before, after) in enumerate(pairwise(phases), 1):
        if after.energised < before.energised:
            raise loaded.fault(
                ("facility", "phases", index),
                f"delays energise phase '{after.name}' on {after.energised}, before phase '{before.name}' on "
                f"{before.energised}; list the phases in the order in which they come",
            )
    facility = scenario.facility.model_copy(update={"phases": phases})
    return replace(loaded, scenario=scenario.model_copy(update={"facility": facility}))


def connection(scenario: Scenario, used: Assumptions) -> datetime.date | None:
    """Day on which the utility energises the site; None where nothing is said of it."""
    stated = scenario.delays
    day = stated.connection
    if stated.connection_requested is not None:
        wait = used.use("wait for a connection", "operations", stated.market, "wait_months")
        day = months_later(stated.connection_requested, round(wait))
    return None if day is None else months_later(day, stated.connection_months)


def _moved(phase: Phase, scenario: Scenario, connected: datetime.date | None) -> Phase:
    stated = scenario.delays
    construction = _slipped(phase.construction, stated.construction_months)
    hardware = _slipped(phase.hardware, stated.hardware_months)
    energised = max(phase.energised, construction.delivery, hardware.delivery, connected or phase.energised)
    if energised != phase.energised:
        # Bills and jobs start with a month.
        energised = months_later(energised.replace(day=1), 1) if energised.day > 1 else energised
    return phase.model_copy(update={"construction": construction, "hardware": hardware, "energised": energised})


def _slipped(schedule: Schedule, months: int) -> Schedule:
    if months == 0:
        return schedule
    return schedule.model_copy(update={"delivery": months_later(schedule.delivery, months)})


def schedule(stated: Scenario, moved: Scenario, used: Assumptions) -> dict[str, Any]:
    """Dates of each phase as stated and as they came out, for the report."""
    connected = connection(stated, used)
    return {
        "connection": None if connected is None else connected.isoformat(),
        "phases": [
            {
                "name": before.name,
                "construction_ordered": after.construction.order.isoformat(),
                "construction_delivered": after.construction.delivery.isoformat(),
                "hardware_ordered": after.hardware.order.isoformat(),
                "hardware_delivered": after.hardware.delivery.isoformat(),
                "energised_stated": before.energised.isoformat(),
                "energised": after.energised.isoformat(),
                "waits_for": _waits_for(before, after, connected),
            }
            for before, after in zip(stated.facility.phases, moved.facility.phases, strict=True)
        ],
    }


def _waits_for(before: Phase, after: Phase, connected: datetime.date | None) -> str:
    """What the energisation of a phase came last after."""
    if after.energised == before.energised:
        return "its stated date"
    reasons = {"construction": after.construction.delivery, "hardware": after.hardware.delivery}
    if connected is not None:
        reasons["the connection"] = connected
    return max(reasons, key=lambda name: reasons[name])
