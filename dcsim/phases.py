"""Phases of a build: each is filled with servers up to the limit that binds first."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from dcsim.assets import Asset, PhaseCounts, bill_of_materials
from dcsim.capacity import Capacity, SiteDesign
from dcsim.catalog.load import Assumptions
from dcsim.errors import CapacityError
from dcsim.model.facility import Phase
from dcsim.model.load import Loaded
from dcsim.model.scenario import Scenario
from dcsim.model.tree import Place
from dcsim.units import SECONDS_PER_DAY, kw_from_w, mw_from_w, w_from_kw, w_from_mw

AS_STATED = "as stated"


@dataclass(frozen=True)
class Limit:
    """One limit of a phase and how many servers of its pool it allows in all, those of earlier phases included."""

    name: str
    value: float
    unit: str
    servers: int


@dataclass(frozen=True)
class BuiltPhase:
    """A phase as built: servers that it adds to its pool, what limited them, and what stands from its date on.

    ``stated`` is the phase, and ``counts`` what its bill of materials rests on beside prices.
    """

    name: str
    pool: int
    energised: datetime.date
    added: int
    binding: str
    limits: tuple[Limit, ...]
    capacity: Capacity
    stated: Phase
    counts: PhaseCounts


def _largest(allowed: Callable[[int], bool], low: int, high: int) -> int:
    """Largest n in [low, high] that is allowed, where all below an allowed n are; *low* if none above it is."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if allowed(middle) else (low, middle - 1)
    return low


def fill_phases(
    loaded: Loaded, used: Assumptions, design: SiteDesign, per_rack: tuple[int, ...]
) -> tuple[tuple[BuiltPhase, ...], tuple[Asset, ...]]:
    """Fill the phases in order, each up to the limit that binds first; servers a rack are by pool."""
    scenario = loaded.scenario
    names = [pool.name for pool in design.pools]
    phases: list[BuiltPhase] = []
    assets: list[Asset] = []
    utility_w = 0.0
    standing = design.capacity((0,) * len(names), 0.0, 0.0, 0.0)
    for index, phase in enumerate(scenario.facility.phases):
        place: Place = ("facility", "phases", index)
        utility_w += w_from_mw(phase.utility_mw)
        before = standing
        pool = names.index(phase.pool)
        stood = before.pool_servers[pool]
        trial = _Trial(used, scenario, design, phase, pool, before, utility_w)
        limits = trial.limits(per_rack[pool])
        tightest = min(limits, key=lambda limit: limit.servers)
        if tightest.servers <= stood:
            raise loaded.fault(
                place,
                f"{tightest.name} of {tightest.value:,g} {tightest.unit} leaves no room for one server of "
                f"{kw_from_w(design.pools[pool].server_design_w):.2f} kW; raise it",
            )
        servers, binding = tightest.servers, tightest.name
        if phase.servers != "max":
            servers, binding = stood + int(phase.servers), AS_STATED
            if servers > tightest.servers:
                raise loaded.fault(
                    (*place, "servers"),
                    f"{phase.servers} servers are more than the {tightest.servers - stood} that "
                    f"{tightest.name} of {tightest.value:,g} {tightest.unit} allow in this phase; "
                    "lower it or raise that limit",
                )
        start_s = (phase.energised - scenario.plan.start).days * SECONDS_PER_DAY
        rating_w = before.critical_rating_w + trial.added_w(servers)
        standing = design.capacity(trial.servers(servers), start_s, utility_w, rating_w)
        counts = trial.counts(servers)
        assets += bill_of_materials(used, scenario, phase, counts)
        added = servers - stood
        phases.append(
            BuiltPhase(phase.name, pool, phase.energised, added, binding, tuple(limits), standing, phase, counts)
        )
    return tuple(phases), tuple(assets)


@dataclass(frozen=True)
class _Trial:
    """A phase with a number of servers still to be found; ``before`` is what the phases before it built."""

    used: Assumptions
    scenario: Scenario
    design: SiteDesign
    phase: Phase
    pool: int
    before: Capacity
    utility_w: float

    def servers(self, servers: int) -> tuple[int, ...]:
        """Servers of all pools with so many in the phase's own."""
        return tuple(servers if index == self.pool else n for index, n in enumerate(self.before.pool_servers))

    def at(self, servers: int) -> Capacity:
        """Site with so many servers in the pool, with feeds and plant that just carry them."""
        return self.design.capacity(self.servers(servers), 0.0, float("inf"), 0.0)

    def fits_utility(self, servers: int) -> bool:
        """Tell whether the meter stays within the utility power at full design load in the design hour."""
        try:
            self.design.capacity(self.servers(servers), 0.0, self.utility_w, 0.0)
        except CapacityError:
            return False
        return True

    def added_w(self, servers: int) -> float:
        """Rating that the phase adds: the stated one is built whole, whether or not another limit leaves it empty."""
        if self.phase.critical_kw is not None:
            return float(w_from_kw(self.phase.critical_kw))
        return self.at(servers).it_design_w - self.before.it_design_w

    def counts(self, servers: int) -> PhaseCounts:
        """Count what the phase adds."""
        after, pool = self.at(servers), self.pool
        added_mw = mw_from_w(self.added_w(servers))
        network = after.fabrics[pool].minus(self.before.fabrics[pool])
        return PhaseCounts(servers - self.before.pool_servers[pool], added_mw, network)

    def bill(self, servers: int) -> list[Asset]:
        """Bill of materials of the phase."""
        return bill_of_materials(self.used, self.scenario, self.phase, self.counts(servers))

    def limits(self, per_rack: int) -> list[Limit]:
        """Every limit that the phase states, with the servers in all that it allows."""
        phase, before = self.phase, self.before
        stood = before.pool_servers[self.pool]
        slots = stood + phase.rack_slots * per_rack

        def largest(allowed: Callable[[int], bool]) -> int:
            # Twice the slots shows by how much a limit that does not bind is away, and bounds the search.
            return _largest(allowed, stood, stood + 2 * phase.rack_slots * per_rack)

        def added(measure: Callable[[Capacity], float], kw: float) -> int:
            most_w = measure(before) + w_from_kw(kw)
            return largest(lambda n: measure(self.at(n)) <= most_w)

        utility = largest(self.fits_utility)
        limits = [
            Limit("utility MW", phase.utility_mw, "MW", utility),
            Limit("rack slots", phase.rack_slots, "racks", slots),
        ]
        if phase.critical_kw is not None:
            servers = added(lambda capacity: capacity.it_design_w, phase.critical_kw)
            limits.append(Limit("IT kW", phase.critical_kw, "kW", servers))
        if phase.cooling_kw is not None:
            servers = added(lambda capacity: capacity.heat_design_w, phase.cooling_kw)
            limits.append(Limit("cooling kW", phase.cooling_kw, "kW", servers))
        if phase.budget_usd is not None:
            budget = phase.budget_usd
            servers = largest(lambda n: sum(asset.cost_usd for asset in self.bill(n)) <= budget)
            limits.append(Limit("budget", budget, "USD", servers))
        return limits
