"""Services of a scenario: replicas by interval before the jobs are simulated, and what became of them after."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dcsim.build import Facility
from dcsim.catalog.hardware import server_gpu
from dcsim.catalog.load import Assumptions
from dcsim.errors import DcsimError, RangeError, UnknownNameError
from dcsim.model.load import Loaded
from dcsim.model.services import Fixed, Service, Sized
from dcsim.model.tree import Place
from dcsim.nodes import NodeKind
from dcsim.physics.servers import fan_w
from dcsim.pools import SWITCHING
from dcsim.rng import stream
from dcsim.services import instance_share
from dcsim.serving.capacity import Options
from dcsim.serving.counts import by_rate, counted, follows, sized
from dcsim.serving.demand import Asked, recorded
from dcsim.serving.hours import Hours, hours
from dcsim.serving.replicas import Replica, replica
from dcsim.serving.surface import Surface
from dcsim.sim.claims import Claims
from dcsim.units import SECONDS_PER_HOUR
from dcsim.workload.jobs import Floats, Ints
from dcsim.workload.requests.arrivals import Bursty, hourly_rate_per_s
from dcsim.workload.requests.files import read
from dcsim.workload.requests.lengths import Stated


@dataclass(frozen=True)
class Planned:
    """A service of a plan.

    Parameters
    ----------
    stated : Service
        As the planner states it.
    pool : int
        Index of its pool.
    of : Replica
        Each of its replicas.
    asked : Asked
        What its requests are like.
    surface : Surface
        What it does by load.
    most_per_s : float
        Requests a second that a replica can do at the most. [1/s]
    per_s : ndarray, shape (n,)
        Requests by interval. [1/s]
    wanted, claimed : ndarray of int, shape (n,)
        Replicas that it wants, and those for which its pool has nodes. [1]
    nodes : ndarray of int, shape (n,)
        Nodes that these take. [node]
    too_long : tuple of float
        Shares of requests, prompt tokens and answer tokens that no replica holds: they are refused. [1]
    notes : tuple of str
        What the reader should know.
    """

    stated: Service
    pool: int
    of: Replica
    asked: Asked
    surface: Surface
    most_per_s: float
    per_s: Floats
    wanted: Ints
    claimed: Ints
    nodes: Ints
    too_long: tuple[float, float, float]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a service.

    Parameters
    ----------
    planned : Planned
        The service.
    hours : Hours
        Its intervals, with the nodes that it got.
    nodes : ndarray, shape (n,)
        Mean nodes that it held. [node]
    power_w, fan_w : ndarray, shape (n,)
        Mean power of these nodes, fans included, and of their fans. [W]
    """

    planned: Planned
    hours: Hours
    nodes: Floats
    power_w: Floats
    fan_w: Floats

    @property
    def answered_per_s(self) -> Floats:
        """Requests that are answered, those that are too long for a replica left out, shape (n,). [1/s]"""
        return self.hours.served_per_s * (1.0 - self.planned.too_long[0])

    @property
    def prompt_tokens_per_s(self) -> Floats:
        """Tokens of prompts of the requests that are answered, shape (n,). [1/s]"""
        of = self.planned
        return self.hours.served_per_s * of.asked.lengths.mean_prompt * (1.0 - of.too_long[1])

    @property
    def output_tokens_per_s(self) -> Floats:
        """Tokens of answers, shape (n,). [1/s]"""
        of = self.planned
        return self.hours.served_per_s * of.asked.lengths.mean_output * (1.0 - of.too_long[2])


def planned_services(
    loaded: Loaded, used: Assumptions, facility: Facility, draw: int | None = None
) -> tuple[tuple[Planned, ...], dict[str, str]]:
    """Size the services of a scenario by interval, in the order stated, and name the logs that they read.

    Each gets at most what those after it leave with the least of their replicas, and those before it have not.

    With *draw* step times and power are those of one outcome of the serving fit.

    Raises
    ------
    InputError
        If a model does not fit, no number of replicas keeps the limits, or the pool's servers cannot serve.
    """
    workload = loaded.scenario.workload
    if workload.services and workload.policy in SWITCHING:
        message = f"'{workload.policy}' switches nodes off that services would have to wait for; choose another policy"
        raise loaded.fault(("workload", "policy"), message)
    free = [_nodes(facility, index) for index in range(len(facility.pools))]
    found: list[Planned] = []
    inputs: dict[str, str] = {}
    names = [pool.name for pool in facility.pools]
    pools = [0 if stated.pool is None else names.index(stated.pool) for stated in workload.services]
    replicas = [
        _replica(loaded, used, facility, stated, pool, ("workload", "services", index))
        for index, (stated, pool) in enumerate(zip(workload.services, pools, strict=True))
    ]
    for index, (stated, pool, of) in enumerate(zip(workload.services, pools, replicas, strict=True)):
        place: Place = ("workload", "services", index)
        if draw is not None:
            of = of.drawn(stream(loaded.scenario.plan.seed, f"serving-fit/{of.gpu}/{draw}"))
        asked = _asked(loaded, stated, place, inputs)
        try:
            asked.check_fits(of.model, of.room_tokens - of.request_tokens, f"{of.gpus} x {of.gpu}")
            kept = sum(
                _least_nodes(later, unit, facility.pools[pool].gpus_per_server)
                for later, unit, on in zip(workload.services, replicas, pools, strict=True)
                if on == pool and workload.services.index(later) > index
            )
            room = np.maximum(free[pool] - kept, 0)
            one = _planned(loaded, used, facility, stated, pool, of, asked, room)
        except RangeError as error:
            raise loaded.fault((*place, "limits"), str(error)) from None
        free[pool] = free[pool] - one.nodes
        found.append(one)
    return tuple(found), inputs


def _least_nodes(stated: Service, of: Replica, gpus_per_node: int) -> int:
    """Nodes that a service always has where there are any. [node]"""
    scaling = stated.scaling
    least = scaling.replicas if isinstance(scaling, Fixed) else scaling.least
    if of.gpus > gpus_per_node:
        return least * (of.gpus // gpus_per_node)
    return -(-least // (gpus_per_node // of.gpus))


def _nodes(facility: Facility, pool: int) -> Ints:
    """Nodes of a pool that are energised in each interval. [node]"""
    starts_s = np.array([phase.capacity.start_s for phase in facility.phases])
    counts = np.array([0, *(phase.capacity.pool_servers[pool] for phase in facility.phases)])
    return np.asarray(counts[np.searchsorted(starts_s, facility.edges_s[:-1], side="right")], dtype=np.int64)


def _replica(
    loaded: Loaded, used: Assumptions, facility: Facility, stated: Service, pool: int, place: Place
) -> Replica:
    """A replica on the servers of a pool."""
    built, part = facility.pools[pool], loaded.scenario.facility.pool(facility.pools[pool].name)
    if not built.has_gpus or built.instances > 1 or built.turns is not None:
        message = f"pool '{built.name}' has no whole GPUs for it; name one whose servers have, neither split nor shared"
        raise loaded.fault((*place, "pool"), message)
    try:
        of = replica(stated.model, server_gpu(built.server), gpus=stated.gpus_per_replica, weights=stated.weights)
    except (RangeError, UnknownNameError) as error:
        raise loaded.fault((*place, "model"), str(error)) from None
    per_node = built.gpus_per_server
    if of.gpus > per_node and of.gpus % per_node:
        message = f"a replica of {of.gpus} GPUs takes no whole servers of {per_node}; choose a multiple"
        raise loaded.fault((*place, "gpus_per_replica"), message)
    share, _ = instance_share(loaded, used, part)
    design = facility.design.pools[pool]
    return replace(of.slowed(1.0 / share), node=NodeKind(built.server, float(per_node), design.server))


def _asked(loaded: Loaded, stated: Service, place: Place, inputs: dict[str, str]) -> Asked:
    """What its requests are like: of a log, or as stated."""
    requests, lengths = stated.requests, stated.lengths
    if requests.log is None:
        of = Stated(lengths.prompt, lengths.prompt_cv, lengths.output, lengths.output_cv, lengths.correlation)
        return Asked(Bursty(requests.gap_cv, requests.burst_s), of, stated.prefix_hit_frac)
    path = loaded.file((*place, "requests", "log"))
    try:
        log, _ = read(path)
        found = recorded(log, stated.prefix_hit_frac)
    except DcsimError as error:
        raise loaded.fault((*place, "requests", "log"), str(error)) from None
    inputs[f"requests {requests.log}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _rates(loaded: Loaded, facility: Facility, stated: Service) -> Floats:
    """Requests by interval. [1/s]"""
    of = stated.requests
    profiles = {"hour_profile": of.hours, "day_profile": of.weekdays, "seasons": of.seasons}
    n_hours = round(facility.horizon_s / SECONDS_PER_HOUR)
    hourly = hourly_rate_per_s(
        loaded.scenario.plan.start,
        n_hours,
        of.per_s,
        growth_frac_per_month=of.growth_frac_per_month,
        steps=tuple((launch.start, launch.factor) for launch in of.launches),
        **{name: profile for name, profile in profiles.items() if profile is not None},
    )
    return np.repeat(hourly, round(SECONDS_PER_HOUR / facility.interval_s))


def _planned(
    loaded: Loaded,
    used: Assumptions,
    facility: Facility,
    stated: Service,
    pool: int,
    of: Replica,
    asked: Asked,
    free: Ints,
) -> Planned:
    """Replicas by interval, within the nodes that are free."""
    options = Options(stated.most_requests, stated.chunk_tokens, stated.routing, stated.prefill_per_decode)
    seed = loaded.scenario.plan.seed
    # Nobody asks before there is a server of the pool.
    stands = _nodes(facility, pool) > 0
    per_s = np.where(stands, _rates(loaded, facility, stated), 0.0)
    most_per_s = of.most_per_s(asked.mean, options.most_requests)
    gpus_per_node = facility.pools[pool].gpus_per_server
    per_node, node_per = max(gpus_per_node // of.gpus, 1), max(of.gpus // gpus_per_node, 1)
    room = free // node_per * per_node
    if stated.prefill_per_decode is not None:
        room = np.where(room < 2, 0, room)
    notes = [
        f"service {stated.name}: replicas of {of.gpus} x {of.gpu}, step times by the serving fit {of.profile} "
        "(its errors: dcsim validate inference)"
    ]
    too_long = asked.too_long(of.room_tokens - of.request_tokens)
    if too_long[0]:
        notes.append(
            f"service {stated.name}: {too_long[0]:.2%} of its requests, with {too_long[1]:.1%} of the prompt tokens, "
            "are too long for a replica and refused"
        )
    scaling, surface = stated.scaling, None
    if isinstance(scaling, Fixed):
        wanted = np.full(len(per_s), scaling.replicas, dtype=np.int64)
    elif isinstance(scaling, Sized):
        wanted = sized(stated, of, asked, options, seed, per_s, scaling)
    else:
        surface, wanted = by_rate(of, asked, options, seed, per_s, follows(scaling, of, most_per_s, used))
    claimed = np.minimum(wanted, room)
    if surface is None:
        surface = counted(of, asked, options, seed, per_s, claimed, most_per_s)
    short = int(((claimed < wanted) & stands).sum())
    if short:
        notes.append(
            f"service {stated.name}: its pool is too small for the replicas that it wants in {short:,} of "
            f"{int(stands.sum()):,} intervals; requests queue or are late there"
        )
    return Planned(
        stated=stated,
        pool=pool,
        of=of,
        asked=asked,
        surface=surface,
        most_per_s=most_per_s,
        per_s=per_s,
        wanted=wanted,
        claimed=claimed,
        nodes=-(-claimed // per_node) * node_per,
        too_long=too_long,
        notes=tuple(notes),
    )


def claims(services: Sequence[Planned], facility: Facility, pool: int) -> Claims | None:
    """Nodes that the services of a pool hold; none where there is no service."""
    nodes = [one.nodes for one in services if one.pool == pool]
    if not nodes:
        return None
    total = np.sum(nodes, axis=0)
    at = np.flatnonzero(np.diff(total, prepend=-1) != 0)
    return Claims(tuple((float(facility.edges_s[i]), int(total[i])) for i in at))


def outcomes(
    services: Sequence[Planned], facility: Facility, pool: int, lent: Floats, inlet_c: float
) -> tuple[Outcome, ...]:
    """What became of the services of a pool, which got *lent* nodes in each interval, in the order stated.

    Parameters
    ----------
    lent : ndarray, shape (n,)
        Mean nodes by interval. [node]
    inlet_c : float
        Air temperature at the servers' inlets. [degC]
    """
    left = np.asarray(lent, dtype=float)
    found = []
    for one in (service for service in services if service.pool == pool):
        got = np.minimum(one.nodes, left)
        left = left - got
        share = np.where(one.nodes > 0, got / np.maximum(one.nodes, 1), 0.0)
        there = np.asarray(one.claimed * share, dtype=float)
        step_s, queued = float(facility.interval_s), one.stated.overload == "queued"
        of = hours(one.of, one.surface, one.per_s, there, one.most_per_s, step_s, queued=queued)
        power = one.of.node.power
        # All GPUs of the nodes idle but for what the replicas draw above that.
        above_w = of.gpus_w - of.replicas * one.of.gpus * one.of.idle_w
        electronics = got * power.electronics_idle_w + np.maximum(above_w, 0.0)
        each = electronics / np.maximum(got, 1e-12)
        fans = got * fan_w(power, np.where(got > 0, each, power.electronics_idle_w), inlet_c)
        found.append(Outcome(one, of, got, electronics + fans, fans))
    return tuple(found)
