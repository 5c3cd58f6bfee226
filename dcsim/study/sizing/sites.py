"""Which site answers whose requests, hour by hour: the nearest, the cheapest or the cleanest that keeps the limits."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linprog

from dcsim.catalog.load import carbon_table
from dcsim.errors import RangeError, UsageError
from dcsim.model.load import checked
from dcsim.model.services import Limits
from dcsim.model.sites import ServingSite, ServingSites
from dcsim.model.tree import read
from dcsim.serving.capacity import MOST_SIMULATED, Options, carries
from dcsim.serving.demand import Asked
from dcsim.serving.fluid import steady
from dcsim.serving.latency import METRICS, Limit
from dcsim.serving.replicas import Replica, replica
from dcsim.units import HOURS_PER_YEAR, J_PER_KWH, SECONDS_PER_HOUR
from dcsim.workload.jobs import Floats
from dcsim.workload.requests.arrivals import Bursty
from dcsim.workload.requests.lengths import Stated

# What each order minimises.
ORDERS = {
    "latency": "time that the way to the site adds",
    "price": "cost of energy",
    "carbon": "carbon of energy",
}
# What a request that no site answers counts for, over the dearest that one does: none is left out for a saving.
_UNANSWERED = 1e4


@dataclass(frozen=True)
class Placed:
    """Requests by region, site, month and hour of UTC.

    Parameters
    ----------
    per_s : ndarray, shape (regions, sites, 12, 24)
        Requests that a site answers for a region. [1/s]
    unanswered_per_s : ndarray, shape (regions, 12, 24)
        Requests for which no site has room. [1/s]
    gpus : ndarray, shape (sites, 12, 24)
        GPUs in use. [GPU]
    usd, kg : ndarray, shape (sites,)
        Cost and carbon of the energy of a year. [USD], [kg]
    network_s : float
        Mean time that the way adds to the first token. [s]
    """

    per_s: Floats
    unanswered_per_s: Floats
    gpus: Floats
    usd: Floats
    kg: Floats
    network_s: float


@dataclass(frozen=True)
class _Pairs:
    """Pairs of region and site that keep the limits; arrays of shape (regions, sites), NaN where one does not."""

    each_per_s: Floats
    network_s: Floats


def shipped() -> dict[str, Path]:
    """Files that come with dcsim, by name."""
    folder = Path(str(files("dcsim.scenarios"))) / "sites"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(path: Path) -> ServingSites:
    """Read a file of regions and sites, or one that comes with dcsim by its name.

    Raises
    ------
    UsageError
        If there is no such file.
    InputError
        If it is wrong; all faults are listed with their lines.
    """
    if not path.is_file() and str(path) in shipped():
        path = shipped()[str(path)]
    if not path.is_file():
        raise UsageError(f"{path}: no such file; {', '.join(shipped())} comes with dcsim")
    tree = read(path)
    return checked(ServingSites, tree.values, tree, path)


def place(of: ServingSites, seed: int = 0) -> dict[str, Placed]:
    """Place the requests by each of :data:`ORDERS`.

    Raises
    ------
    UnknownNameError
        If a name is not known.
    RangeError
        If the model does not fit or no pair of region and site keeps the limits.

    Notes
    -----
    A linear program an hour of UTC and month: each region's requests go to sites, each of whose replicas carries so
    many a second under the limit less the way from that region; what no site has room for is left unanswered. Replicas
    of a site that serve regions at different distances are counted by the sum of what each of them takes.
    """
    unit = replica(of.model, of.gpu, gpus=of.gpus_per_replica, weights=of.weights)
    lengths = of.lengths
    asked = Asked(
        Bursty(of.gap_cv, of.burst_s),
        Stated(lengths.prompt, lengths.prompt_cv, lengths.output, lengths.output_cv, lengths.correlation),
        of.prefix_hit_frac,
    )
    pairs = _pairs(of, unit, asked, seed)
    demand = np.array(
        [_utc(region.per_s * _profile(region.hours), region.utc_offset_h) for region in of.regions.values()]
    )
    usd, kg = _per_request(of, unit, asked, pairs)
    costs = {
        "latency": np.broadcast_to(pairs.network_s[:, :, None, None], usd.shape),
        "price": usd,
        "carbon": kg,
    }
    return {order: _placed(of, unit, pairs, demand, costs[order], usd, kg) for order in ORDERS}


def _profile(hours: tuple[float, ...] | None) -> Floats:
    """Factors of the local hours, of mean 1, shape (24,)."""
    factors = np.ones(24) if hours is None else np.array(hours, dtype=float)
    if not factors.sum() > 0:
        raise RangeError("hours are all 0; give at least one factor above 0")
    return np.asarray(factors / factors.mean(), dtype=float)


def _utc(local: Floats, offset_h: float) -> Floats:
    """What holds at each hour of UTC, of what is given by local hour along the last axis."""
    return np.asarray(np.roll(local, -round(offset_h), axis=-1), dtype=float)


def _pairs(of: ServingSites, unit: Replica, asked: Asked, seed: int) -> _Pairs:
    each = np.full((len(of.regions), len(of.sites)), np.nan)
    network = np.full_like(each, np.nan)
    known: dict[tuple[float, int], float] = {}
    refusal: RangeError | None = None
    for j, site in enumerate(of.sites.values()):
        replicas = min(site.gpus // unit.gpus, MOST_SIMULATED)
        for i, region in enumerate(of.regions):
            if region not in site.network_s or not replicas:
                continue
            way_s = site.network_s[region]
            if (way_s, replicas) not in known:
                try:
                    limits = _limits(of.limits, way_s)
                    one = carries(unit, asked, limits, replicas=replicas, options=Options(), seed=seed)
                    known[way_s, replicas] = one.per_s
                except RangeError as error:
                    refusal, known[way_s, replicas] = error, np.nan
            each[i, j], network[i, j] = known[way_s, replicas], way_s
    if np.isnan(each).all():
        raise refusal or RangeError(
            f"no site has the {unit.gpus} GPUs of a replica near a region; add GPUs or network_s"
        )
    return _Pairs(each, network)


def _limits(of: Limits, way_s: float) -> list[Limit]:
    """Limits at the site: the way counts against the first token and the whole answer."""
    given = (of.ttft_p95_s, of.tpot_p95_s, of.e2e_p95_s)
    way = (way_s, 0.0, way_s)
    if min(of.ttft_p95_s or np.inf, of.e2e_p95_s or np.inf) <= way_s:
        raise RangeError(f"the way of {way_s:g} s takes the whole of the limit on the first token or the answer")
    return [
        Limit(metric, 95.0, most_s - away_s)
        for metric, most_s, away_s in zip(METRICS, given, way, strict=True)
        if most_s is not None
    ]


def _per_request(of: ServingSites, unit: Replica, asked: Asked, pairs: _Pairs) -> tuple[Floats, Floats]:
    """Cost and carbon of a request's energy, shape (regions, sites, 12, 24). [USD], [kg]"""
    table = steady(unit, asked.mean, Options().most_requests)
    node_w = unit.node_power_w(table.at(np.nan_to_num(pairs.each_per_s), "gpus_w"))
    pue = np.array([site.pue for site in of.sites.values()])
    kwh = node_w * pue / pairs.each_per_s / J_PER_KWH
    usd = np.array([_utc(_by_hour(site.usd_per_kwh), site.utc_offset_h) for site in of.sites.values()])
    kg = np.array([_utc(_carbon(site), site.utc_offset_h) for site in of.sites.values()])
    return kwh[:, :, None, None] * usd[None], kwh[:, :, None, None] * kg[None]


def _by_hour(of: float | tuple[float, ...]) -> Floats:
    """A figure of each month and local hour, shape (12, 24)."""
    return np.asarray(np.broadcast_to(np.asarray(of, dtype=float), (12, 24)), dtype=float)


def _carbon(site: ServingSite) -> Floats:
    if site.carbon is not None:
        return carbon_table(site.carbon)
    assert site.kg_per_kwh is not None
    return _by_hour(site.kg_per_kwh)


def _placed(
    of: ServingSites, unit: Replica, pairs: _Pairs, demand: Floats, cost: Floats, usd: Floats, kg: Floats
) -> Placed:
    """Place by one order."""
    n_regions, n_sites = pairs.each_per_s.shape
    may = ~np.isnan(pairs.each_per_s)
    rows, columns = np.nonzero(may)
    n = len(rows)
    per_s = np.zeros((n_regions, n_sites, 12, 24))
    unanswered = np.zeros((n_regions, 12, 24))
    # Each region's requests are answered or not; each site's replicas are enough.
    answered = np.zeros((n_regions, n + n_regions))
    answered[rows, np.arange(n)] = 1.0
    answered[np.arange(n_regions), n + np.arange(n_regions)] = 1.0
    taken = np.zeros((n_sites, n + n_regions))
    taken[columns, np.arange(n)] = 1.0 / pairs.each_per_s[rows, columns]
    room = np.array([site.gpus // unit.gpus for site in of.sites.values()], dtype=float)
    dearest = max(float(np.nanmax(cost)), 1e-12)
    for month in range(12):
        if month and np.array_equal(cost[..., month, :], cost[..., month - 1, :], equal_nan=True):
            per_s[:, :, month], unanswered[:, month] = per_s[:, :, month - 1], unanswered[:, month - 1]
            continue
        for hour in range(24):
            each = np.concatenate([cost[rows, columns, month, hour], np.full(n_regions, _UNANSWERED * dearest)])
            found = linprog(each / dearest, A_ub=taken, b_ub=room, A_eq=answered, b_eq=demand[:, hour], method="highs")
            assert found.success, found.message
            per_s[rows, columns, month, hour] = found.x[:n]
            unanswered[:, month, hour] = found.x[n:]
    each_s = np.nan_to_num(1.0 / pairs.each_per_s)
    replicas = (per_s * each_s[:, :, None, None]).sum(axis=0)
    # Hours of a year that each month and hour of the day stands for, months taken as alike.
    seconds = HOURS_PER_YEAR / 288.0 * SECONDS_PER_HOUR
    total = float(per_s.sum())
    return Placed(
        per_s=per_s,
        unanswered_per_s=unanswered,
        gpus=np.ceil(np.maximum(replicas - 1e-9, 0.0)) * unit.gpus,
        usd=np.nansum(per_s * np.nan_to_num(usd), axis=(0, 2, 3)) * seconds,
        kg=np.nansum(per_s * np.nan_to_num(kg), axis=(0, 2, 3)) * seconds,
        network_s=float((per_s * np.nan_to_num(pairs.network_s)[:, :, None, None]).sum()) / total if total else 0.0,
    )


def record(of: ServingSites, placed: dict[str, Placed]) -> dict[str, Any]:
    """The same as plain data: by order the totals, and what each site does."""
    found: dict[str, Any] = {}
    for order, one in placed.items():
        total = float(one.per_s.sum() + one.unanswered_per_s.sum())
        found[order] = {
            "minimises": ORDERS[order],
            "unanswered_frac": float(one.unanswered_per_s.sum()) / total,
            "network_s": one.network_s,
            "energy_usd_per_year": float(one.usd.sum()),
            "carbon_t_per_year": float(one.kg.sum()) / 1e3,
            "sites": {
                name: {
                    "answered_frac": float(one.per_s[:, j].sum()) / total,
                    "mean_gpus": float(one.gpus[j].mean()),
                    "peak_gpus": float(one.gpus[j].max()),
                    "energy_usd_per_year": float(one.usd[j]),
                    "carbon_t_per_year": float(one.kg[j]) / 1e3,
                }
                for j, name in enumerate(of.sites)
            },
        }
    return found


def lines(of: ServingSites, placed: dict[str, Placed]) -> list[str]:
    """What was found, for a terminal."""
    body = record(of, placed)
    found = [f"{'order':10}{'unanswered':>12}{'way ms':>9}{'energy USD/year':>17}{'carbon t/year':>15}"]
    for order, one in body.items():
        way_ms, usd, carbon_t = 1e3 * one["network_s"], one["energy_usd_per_year"], one["carbon_t_per_year"]
        found.append(f"{order:10}{one['unanswered_frac']:>12.2%}{way_ms:>9.1f}{usd:>17,.0f}{carbon_t:>15,.1f}")
    for order, one in body.items():
        found += ["", f"{f'by {order}':30}{'answers':>9}{'mean GPUs':>11}{'peak GPUs':>11}"]
        for name, site in one["sites"].items():
            gpus = f"{site['mean_gpus']:>11,.1f}{site['peak_gpus']:>11,.0f}"
            found.append(f"{f'  {name}':30}{site['answered_frac']:>9.1%}{gpus}")
    return [
        *found,
        "",
        "note: energy of the replicas in use, at the load that the limits allow; idle GPUs are not counted",
        "note: serving fits and their errors: dcsim validate inference; not measured on a GPU by dcsim",
    ]
