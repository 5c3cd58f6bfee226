"""Time of collectives over a scale-up domain and a network, by algorithm; bandwidths as nccl-tests defines them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dcsim.errors import RangeError
from dcsim.physics.transformer import Rows
from dcsim.registry import lookup

# Bus bandwidth over algorithm bandwidth by operation and number of ranks, as nccl-tests defines it.
BUS_FACTOR: dict[str, Callable[[Any], Any]] = {
    "all_reduce": lambda n: 2.0 * (n - 1.0) / n,
    "reduce_scatter": lambda n: (n - 1.0) / n,
    "all_gather": lambda n: (n - 1.0) / n,
    "all_to_all": lambda n: (n - 1.0) / n,
    "broadcast": lambda n: np.ones_like(np.asarray(n, dtype=float)),
    "send_recv": lambda n: np.ones_like(np.asarray(n, dtype=float)),
}

# Latencies of NCCL's own model by protocol (LL, LL128, Simple): of a collective, and of a hop over NVLink and over the
# network. [s]
BASE_S = {"ring": (6.6e-6, 14.0e-6, 8.4e-6), "tree": (6.8e-6, 14.0e-6, 8.4e-6)}
DOMAIN_HOP_S = {"ring": (0.6e-6, 1.9e-6, 3.4e-6), "tree": (0.6e-6, 1.25e-6, 4.0e-6)}
NETWORK_HOP_S = {"ring": (2.7e-6, 4.0e-6, 14.0e-6), "tree": (5.0e-6, 8.5e-6, 14.0e-6)}
NVLS_S, NVLS_TREE_HOP_S = 25.0e-6, 20.9e-6
# Share of the link that each protocol carries: flags take half of LL and an eighth less of LL128.
PROTOCOL_EFF = (0.5, 0.92, 1.0)
TREE_EFF = 0.92
# A sweep whose largest message gets less of the expected bus bandwidth than this is degraded.
DEGRADED_FRAC = 0.6
# In-switch reduction starts at more than four GPUs of a domain.
NVLS_MIN_GPUS = 5


@dataclass(frozen=True)
class Fabric(Rows):
    """Links as collectives find them; each field a scalar or an array_like of shape (n,).

    Parameters
    ----------
    domain_gpus : array_like
        GPUs of a scale-up domain that take part. [1]
    domain_b_s : array_like
        Bus bandwidth of a ring within the domain. [B/s]
    nvls_b_s : array_like
        Bus bandwidth of an all-reduce in the domain's switches, 0 without it. [B/s]
    network_b_s : array_like
        A GPU's share of the network, as achieved. [B/s]
    oversubscription : array_like
        Factor by which leaves have less bandwidth up than down; 1 for none. [1]
    launch_s : array_like
        Time that the framework adds to every collective. [s]
    ramp_b : array_like
        Size at which half of the bandwidth is reached, besides the protocols' own regimes. [B]
    """

    domain_gpus: Any
    domain_b_s: Any
    nvls_b_s: Any
    network_b_s: Any
    oversubscription: Any = 1.0
    launch_s: Any = 0.0
    ramp_b: Any = 0.0


def algorithm_bandwidth_b_s(size_b: Any, time_s: Any) -> Any:
    """Algorithm bandwidth of a measured collective, as nccl-tests prints it: the message over its time. [B/s]"""
    return np.asarray(size_b, dtype=float) / time_s


def bus_bandwidth_b_s(operation: str, size_b: Any, time_s: Any, ranks: Any) -> Any:
    """Bus bandwidth of a measured collective, as nccl-tests prints it. [B/s]

    Raises
    ------
    UnknownNameError
        If there is no such operation.
    """
    return lookup(BUS_FACTOR, operation, "collective")(ranks) * algorithm_bandwidth_b_s(size_b, time_s)


def ramp_s(size_b: Any, factor: Any, *, alpha_s: Any, bus_b_s: Any, ramp_b: Any, exponent: Any) -> Any:
    r"""Time of a collective whose bandwidth ramps up with size; four parameters fit a measured sweep.

    Parameters
    ----------
    size_b : array_like, shape (n,)
        Message as nccl-tests counts it, above 0. [B]
    factor : array_like, shape (n,)
        Bus factor of the operation. [1]
    alpha_s, bus_b_s : array_like
        Time of an empty message and bus bandwidth of an endless one. [s], [B/s]
    ramp_b : array_like
        Size at which half of that bandwidth is reached. [B]
    exponent : array_like
        How steeply, 0.05 to 1. [1]

    Notes
    -----
    .. math:: t = \alpha + \frac{f S}{B} \left(1 + (S_0 / S)^\gamma\right)

    Errs 2 to 7 % on published sweeps of 8 B to 16 GiB, where :math:`\alpha + S / B` errs 9 to 21 %.
    """
    size = np.asarray(size_b, dtype=float)
    return alpha_s + factor * size / bus_b_s * (1.0 + (ramp_b / size) ** exponent)


def segments_s(size_b: Any, factor: Any, *, cuts_b: Sequence[float], alpha_s: Any, bus_b_s: Any) -> Any:
    r"""Time of a collective that changes its protocol with size: a line for each stretch of sizes.

    Parameters
    ----------
    size_b : array_like, shape (n,)
        Message as nccl-tests counts it, above 0. [B]
    factor : array_like, shape (n,)
        Bus factor of the operation. [1]
    cuts_b : sequence of float, length k - 1
        Sizes at which the next stretch begins, rising. [B]
    alpha_s, bus_b_s : sequence of float, length k
        Time of an empty message and bus bandwidth of each stretch. [s], [B/s]

    Notes
    -----
    .. math:: t = \alpha_i + f S / B_i, \quad c_{i-1} \le S < c_i

    Three stretches err 0.5 to 10 % on published sweeps of single nodes, where one errs up to 37 %. A sum of two lines
    may step at a cut, as measured times do.
    """
    size = np.asarray(size_b, dtype=float)
    stretch = np.searchsorted(np.asarray(cuts_b, dtype=float), size, side="right")
    return np.asarray(alpha_s, dtype=float)[stretch] + factor * size / np.asarray(bus_b_s, dtype=float)[stretch]


def tree_factor(domains: Any) -> Any:
    r"""Bus bandwidth of a double binary tree over the network links, in units of these. [1]

    Each node is a leaf of one tree and an inner node of the other; the busiest sends the message once over two nodes,
    one and a half times over three, twice over more. A fabric judged by two nodes therefore looks twice as fast.
    """
    n = np.asarray(domains, dtype=float)
    return np.select([n <= 2, n == 3], [2.0, 4.0 / 3.0], 1.0)


def _shape(ranks: Any, fabric: Fabric) -> tuple[Any, Any, Any]:
    """Ranks, GPUs of a domain among them, and domains."""
    n = np.asarray(ranks, dtype=float)
    if np.any(n < 2):
        raise RangeError(f"a collective needs 2 ranks, got {float(np.min(n)):g}")
    local = np.minimum(fabric.domain_gpus, n)
    return n, local, np.ceil(n / local)


def _ramp(size_b: Any, fabric: Fabric) -> Any:
    """Factor by which a message takes longer than at full bandwidth."""
    return 1.0 + np.sqrt(fabric.ramp_b / np.asarray(size_b, dtype=float))


def _protocols(carried_s: Any, latencies: list[Any]) -> Any:
    """Fastest of the three protocols, given the time on a link that carries nothing but data."""
    times = [latency + carried_s / share for latency, share in zip(latencies, PROTOCOL_EFF, strict=True)]
    return np.minimum.reduce([np.asarray(t) for t in np.broadcast_arrays(*times)])


def _outside_b_s(fabric: Fabric, local: Any) -> Any:
    """Bus bandwidth of rings over the network: every GPU of a domain brings its share."""
    return np.minimum(fabric.network_b_s * local / fabric.oversubscription, fabric.domain_b_s)


def _ring_latencies(fabric: Fabric, steps: Any, network_steps: Any) -> list[Any]:
    """Latency of each protocol where *network_steps* of all steps cross the network. [s]"""
    hops = zip(BASE_S["ring"], DOMAIN_HOP_S["ring"], NETWORK_HOP_S["ring"], strict=True)
    return [
        fabric.launch_s + base + (steps - network_steps) * inside + network_steps * outside
        for base, inside, outside in hops
    ]


def ring_s(operation: str, size_b: Any, ranks: Any, fabric: Fabric) -> Any:
    """Flat ring through all ranks; all-to-all and send-receive go pairwise. [s]"""
    n, local, domains = _shape(ranks, fabric)
    size = np.asarray(size_b, dtype=float)
    crosses = domains > 1
    if operation == "send_recv":
        link = np.where(crosses, fabric.network_b_s / fabric.oversubscription, fabric.domain_b_s)
        carried, latencies = size / link, _ring_latencies(fabric, 1.0, np.where(crosses, 1.0, 0.0))
    elif operation == "all_to_all":
        # What leaves the domain shares a GPU's own network link; the rest its links inside.
        leaving, staying = size * (n - local) / n, size * (local - 1.0) / n
        network_s = np.where(crosses, leaving * fabric.oversubscription / fabric.network_b_s, 0.0)
        carried = np.maximum(network_s, staying / fabric.domain_b_s)
        latencies = _ring_latencies(fabric, n - 1.0, n - local)
    else:
        rounds = 2.0 if operation == "all_reduce" else 1.0
        bus = np.where(crosses, _outside_b_s(fabric, local), fabric.domain_b_s)
        carried = lookup(BUS_FACTOR, operation, "collective")(n) * size / bus
        latencies = _ring_latencies(fabric, rounds * (n - 1.0), rounds * np.where(crosses, domains - 1.0, 0.0))
    return _protocols(carried * _ramp(size, fabric), latencies)


def tree_s(operation: str, size_b: Any, ranks: Any, fabric: Fabric) -> Any:
    """Double binary tree over domains, chains within; all-reduce and broadcast. [s]"""
    n, local, domains = _shape(ranks, fabric)
    rounds = {"all_reduce": 2.0, "broadcast": 1.0}[operation]
    factor = BUS_FACTOR[operation](n)
    latencies = [
        fabric.launch_s + base + rounds * ((local - 1.0) * inside + np.log2(np.maximum(domains, 1.0)) * outside)
        for base, inside, outside in zip(BASE_S["tree"], DOMAIN_HOP_S["tree"], NETWORK_HOP_S["tree"], strict=True)
    ]
    links = fabric.network_b_s * local / fabric.oversubscription * tree_factor(domains)
    bus = TREE_EFF * np.where(domains > 1, np.minimum(links, fabric.domain_b_s), fabric.domain_b_s)
    return _protocols(factor * size_b / bus * _ramp(size_b, fabric), latencies)


def nvls_s(operation: str, size_b: Any, ranks: Any, fabric: Fabric) -> Any:
    """All-reduce in the switches of the domain, with a tree over domains; endless where there is none. [s]"""
    n, local, domains = _shape(ranks, fabric)
    links = fabric.network_b_s * local / fabric.oversubscription * tree_factor(domains)
    bus = np.where(domains > 1, np.minimum(links, fabric.nvls_b_s), fabric.nvls_b_s)
    latency = fabric.launch_s + NVLS_S + np.log2(np.maximum(domains, 1.0)) * NVLS_TREE_HOP_S
    usable = (np.asarray(fabric.nvls_b_s) > 0) & (local >= NVLS_MIN_GPUS)
    carried = BUS_FACTOR["all_reduce"](n) * size_b / np.where(usable, bus, 1.0) * _ramp(size_b, fabric)
    return np.where(usable, latency + carried, np.inf)


def hierarchical_s(operation: str, size_b: Any, ranks: Any, fabric: Fabric) -> Any:
    """Reduce-scatter in each domain, all-reduce of the shards over rails, all-gather in each domain. [s]"""
    _, local, domains = _shape(ranks, fabric)
    inside = replace(fabric, domain_gpus=local, oversubscription=1.0, launch_s=0.0)
    rail = replace(fabric, domain_gpus=1.0, launch_s=0.0)
    scatter = np.where(local > 1, ring_s("reduce_scatter", size_b, np.maximum(local, 2.0), inside), 0.0)
    across = np.where(domains > 1, ring_s("all_reduce", size_b / local, np.maximum(domains, 2.0), rail), 0.0)
    return fabric.launch_s + 2.0 * scatter + across


def parameter_server_s(operation: str, size_b: Any, ranks: Any, fabric: Fabric, *, servers: Any = 1.0) -> Any:
    r"""Workers push gradients to servers and pull weights back.

    Notes
    -----
    A worker moves the message twice over its own link and each of k servers moves it N / k times each way:

    .. math:: t = 2 \alpha + 2 S \max(1, N / k) / B
    """
    n, _, _ = _shape(ranks, fabric)
    latency = fabric.launch_s + 2.0 * (BASE_S["ring"][2] + NETWORK_HOP_S["ring"][2])
    link = fabric.network_b_s / fabric.oversubscription
    return latency + 2.0 * size_b * np.maximum(1.0, n / servers) / link


# Algorithms by name, with the operations that they can do.
ALGORITHMS: dict[str, tuple[Callable[[str, Any, Any, Fabric], Any], tuple[str, ...]]] = {
    "ring": (ring_s, tuple(BUS_FACTOR)),
    "tree": (tree_s, ("all_reduce", "broadcast")),
    "nvls": (nvls_s, ("all_reduce",)),
    "hierarchical": (hierarchical_s, ("all_reduce",)),
    "parameter_server": (parameter_server_s, ("all_reduce",)),
}
# What NCCL chooses from by itself.
AUTOMATIC = ("ring", "tree", "nvls")


def collective_s(operation: str, size_b: Any, ranks: Any, fabric: Fabric, *, algorithm: str = "auto") -> Any:
    """Time of a collective.

    Parameters
    ----------
    operation : str
        One of :data:`BUS_FACTOR`.
    size_b : array_like, shape (n,)
        Message as nccl-tests counts it: the whole buffer of a rank. [B]
    ranks : array_like, shape (n,)
        GPUs that take part, domains filled one after the other; at least 2. [1]
    fabric : Fabric
        Their links.
    algorithm : str
        One of :data:`ALGORITHMS`, or ``auto`` for the fastest of ring, tree and in-switch reduction.

    Raises
    ------
    UnknownNameError
        If the operation or algorithm is not known.
    RangeError
        If the algorithm does not do the operation, or fewer than 2 ranks take part.

    Notes
    -----
    Three protocols of NCCL give three regimes of latency and bandwidth; the fastest counts. Latencies are NCCL's own
    constants and hop counts. On published sweeps with the system left out it errs 20 to 30 %; see
    `dcsim validate collectives`. Congestion by other jobs is not modelled but through oversubscription.

    References
    ----------
    .. [1] NVIDIA, NCCL source, src/graph/tuning.cc; nccl-tests, doc/PERFORMANCE.md.
    """
    lookup(BUS_FACTOR, operation, "collective")
    if algorithm != "auto":
        function, operations = lookup(ALGORITHMS, algorithm, "collective algorithm")
        if operation not in operations:
            raise RangeError(f"{algorithm} does {', '.join(operations)}, not {operation}")
        return function(operation, size_b, ranks, fabric)
    able = [ALGORITHMS[name][0] for name in AUTOMATIC if operation in ALGORITHMS[name][1]]
    return np.minimum.reduce(np.broadcast_arrays(*(function(operation, size_b, ranks, fabric) for function in able)))
