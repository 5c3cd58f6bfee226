"""One interface for all power meters, and energy from a counter read from edge to edge."""

import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Any, Protocol, Self

from dcsim.errors import DcsimError

# Seconds between two polls: a counter's edge is known to half of it. An edge between polls further apart than the
# second figure, where the thread was held up, is left out.
POLL_S, HELD_UP_S = 0.0005, 0.004
# Least edges within a window, and least share of it that they must span.
LEAST_EDGES, LEAST_SPAN = 3, 0.5


class MeterError(DcsimError):
    """A meter failed while it was read, as when a GPU falls off the bus."""


@dataclass(frozen=True)
class Reading:
    """What a meter shows, null where it has none: monotonic time [s], energy since some moment [J], power [W]."""

    time_s: float
    energy_j: float | None
    power_w: float | None


@dataclass(frozen=True)
class State:
    """How the device does: temperature [degC], clock [MHz], why the clock is held back; null where it does not say."""

    temperature_c: float | None = None
    clock_mhz: float | None = None
    clock_reasons: int | None = None


class Meter(Protocol):
    """A power meter.

    Attributes
    ----------
    name : str
        Its kind: ``nvml.energy``, ``nvml.power``, ``rapl``, ``amdsmi``, ``csv``, ``none``.
    reason : str
        Why it measures nothing; empty where it does.
    average_s : float
        Seconds over which its power is averaged; 0 for an instant or for a counter. [s]
    uuid : str
        Which GPU it measures, empty where it does not say.
    """

    name: str
    reason: str
    average_s: float
    uuid: str

    def read(self) -> Reading:
        """Read it once; raises :class:`MeterError` where it fails."""
        ...

    def state(self) -> State:
        """Temperature and clock now."""
        ...

    def others(self) -> list[int]:
        """Other processes that compute on the device; empty where it does not say."""
        ...

    def provenance(self) -> dict[str, Any]:
        """Device, driver and state, for the profile."""
        ...

    def close(self) -> None:
        """Give it back."""
        ...


class Host:
    """What meters that know of no clock and no process share."""

    uuid = ""

    def state(self) -> State:
        """Nothing is known."""
        return State()

    def others(self) -> list[int]:
        """Nothing is known."""
        return []


class Absent(Host):
    """No meter, and why: its energy is null, never 0."""

    name = "none"
    average_s = 0.0

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def read(self) -> Reading:
        """Nothing but the time."""
        return Reading(time.monotonic(), None, None)

    def provenance(self) -> dict[str, Any]:
        """The reason."""
        return {"source": self.name, "reason": self.reason}

    def close(self) -> None:
        """Nothing to give back."""


@dataclass(frozen=True)
class Energy:
    """Mean power over a window; null with a reason where the meter cannot say.

    Parameters
    ----------
    mean_w : float or None
        Mean power. [W]
    start_s, end_s : float
        Edges between which it was measured, on the monotonic clock. [s]
    edges : int
        Readings that it rests on. [1]
    reason : str
        Why it is null, or what to know of it.
    """

    mean_w: float | None
    start_s: float
    end_s: float
    edges: int
    reason: str = ""

    @property
    def energy_j(self) -> float | None:
        """Energy between the edges. [J]"""
        return None if self.mean_w is None else self.mean_w * (self.end_s - self.start_s)


class EnergyLog:
    """Readings of a meter while some work runs, polled by a thread.

    A counter is kept at its edges alone: where it last changed. Reading it at any other moment errs by what has run up
    since, up to an update of 0.1 s; between edges that cancels.
    """

    def __init__(self, meter: Meter, *, poll_s: float = POLL_S, held_up_s: float = HELD_UP_S) -> None:
        self.meter, self.poll_s, self.held_up_s = meter, poll_s, held_up_s
        self.edges: list[Reading] = []
        self.failure: MeterError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="meter", daemon=True)

    def __enter__(self) -> Self:
        """Start to poll."""
        if not self.meter.reason:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _poll(self) -> None:
        last: Reading | None = None
        while not self._stop.is_set():
            try:
                now = self.meter.read()
            except MeterError as error:
                self.failure = error
                return
            if now.energy_j is None:
                self.edges.append(now)
            elif last is not None and last.energy_j != now.energy_j and now.time_s - last.time_s < self.held_up_s:
                # It changed between two polls; the middle is known to half their distance.
                self.edges.append(Reading((last.time_s + now.time_s) / 2.0, now.energy_j, now.power_w))
            last = now
            self._stop.wait(self.poll_s)

    @staticmethod
    def now() -> float:
        """The clock of windows. [s]"""
        return time.monotonic()

    def window(self, start_s: float, end_s: float) -> Energy:
        """Mean power between the outermost edges of a window on the monotonic clock.

        Raises
        ------
        MeterError
            If the meter failed meanwhile.
        """
        if self.failure is not None:
            raise self.failure
        if self.meter.reason:
            return Energy(None, start_s, end_s, 0, self.meter.reason)
        settled_s = start_s + self.meter.average_s
        inside = [edge for edge in self.edges if settled_s <= edge.time_s <= end_s]
        if not inside:
            return Energy(None, start_s, end_s, 0, "the meter showed nothing in this window; measure for longer")
        if inside[0].energy_j is None:
            return _of_power(inside, end_s)
        return _of_counter(inside, start_s, end_s)


def _of_counter(inside: list[Reading], start_s: float, end_s: float) -> Energy:
    """Mean power between the edges of the longest stretch in which the counter never fell."""
    stretches: list[list[Reading]] = [[inside[0]]]
    for before, edge in pairwise(inside):
        assert before.energy_j is not None
        assert edge.energy_j is not None
        # A counter that falls was reset, as when the driver is loaded again: what it shows across that means nothing.
        stretches.append([edge]) if edge.energy_j < before.energy_j else stretches[-1].append(edge)
    best = max(stretches, key=lambda stretch: stretch[-1].time_s - stretch[0].time_s)
    first, last = best[0], best[-1]
    span_s = last.time_s - first.time_s
    if len(best) < LEAST_EDGES or span_s < LEAST_SPAN * (end_s - start_s):
        return Energy(
            None,
            start_s,
            end_s,
            len(best),
            f"{len(best)} edges of the counter span {span_s:.3g} s of {end_s - start_s:.3g} s; measure for longer",
        )
    assert first.energy_j is not None
    assert last.energy_j is not None
    note = "the counter was reset; the longest stretch is used" if len(stretches) > 1 else ""
    return Energy((last.energy_j - first.energy_j) / span_s, first.time_s, last.time_s, len(best), note)


def _of_power(inside: list[Reading], end_s: float) -> Energy:
    """Mean of power readings by the trapezoidal rule."""
    shown = [(edge.time_s, edge.power_w) for edge in inside if edge.power_w is not None]
    if len(shown) < LEAST_EDGES:
        return Energy(None, inside[0].time_s, end_s, len(shown), "fewer than three readings; measure for longer")
    total = sum((t1 - t0) * (w0 + w1) / 2.0 for (t0, w0), (t1, w1) in pairwise(shown))
    span_s = shown[-1][0] - shown[0][0]
    return Energy(total / span_s, shown[0][0], shown[-1][0], len(shown), "from power readings, not from a counter")
