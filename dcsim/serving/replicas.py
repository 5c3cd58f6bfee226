"""A replica from the catalog: what its steps cost, what it holds, what it draws, and how sure that is."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dcsim.catalog.fitted import Fitted, fitted
from dcsim.catalog.hardware import architecture, transformer
from dcsim.catalog.hardware import gpu as gpu_part
from dcsim.catalog.load import catalog
from dcsim.catalog.published_power import INLET_C
from dcsim.catalog.published_serving import prompt_eight_bit_eff, serving_calibration, serving_power
from dcsim.errors import RangeError
from dcsim.nodes import NodeKind, idle_gpu_w, node_kind
from dcsim.physics.inference import FILLED_FRAC, DecodeStep, StepRates, served, step_rates
from dcsim.physics.request_means import MeanRequest
from dcsim.physics.servers import fan_w
from dcsim.physics.serving_power import ServingPower, serving_power_frac
from dcsim.sim.serving.replica import ReplicaSpec
from dcsim.workload.jobs import Floats

# GPUs over which a replica may be split.
SPLITS = (1, 2, 4, 8, 16, 32, 72)
# Network that moves keys and values from prefill to decode; a replica itself stays inside a scale-up domain.
NETWORK = "ib-ndr400"


@dataclass(frozen=True)
class Replica:
    """A model on some GPUs.

    Parameters
    ----------
    model, gpu, weights : str
        Keys of the catalog, and the data type of the weights.
    gpus : int
        GPUs over which it is split. [GPU]
    profile : str
        Fit that its steps rest on.
    rates : StepRates
        What steps cost; scalars.
    room_tokens : float
        Tokens whose keys and values fit beside the weights. [1]
    request_tokens : float
        What a request keeps beside its tokens, counted in tokens. [1]
    token_b : float
        Keys and values of a token. [B]
    network_b_s : float
        Bandwidth of all its GPUs on their network. [B/s]
    experts : bool
        Whether the model has routed experts.
    power : ServingPower
        Calibration of the GPUs' power.
    rated_w, idle_w : float
        Of a GPU. [W]
    node : NodeKind
        Server that carries it.
    step_log_sd, power_log_sd : float
        Standard deviation of the logarithm of step times and of power, on a sweep that no fit has seen. [1]
    """

    model: str
    gpu: str
    weights: str
    gpus: int
    profile: str
    rates: StepRates
    room_tokens: float
    request_tokens: float
    token_b: float
    network_b_s: float
    experts: bool
    power: ServingPower
    rated_w: float
    idle_w: float
    node: NodeKind
    step_log_sd: float
    power_log_sd: float

    def spec(
        self,
        *,
        most_requests: int = 1024,
        chunk_tokens: int = 2048,
        prefix_hit_frac: float = 0.0,
        block_tokens: int = 0,
        role: str = "both",
    ) -> ReplicaSpec:
        """The replica as the request-level simulation has it; see :class:`ReplicaSpec`."""
        return spec_of(
            self.rates,
            most_requests=most_requests,
            room_tokens=self.room_tokens,
            request_tokens=self.request_tokens,
            chunk_tokens=chunk_tokens,
            prefix_hit_frac=prefix_hit_frac,
            block_tokens=block_tokens,
            role=role,
        )

    def slowed(self, factor: float) -> "Replica":
        """The same with steps that take so many times as long: an outcome of the calibration."""
        of = self.rates
        times = {name: factor * value for name, value in vars(of).items() if name.endswith("_s")}
        # Bandwidths and rates of operations end in the same letters.
        kept = ("bandwidth_b_s", "matmul16_flop_s")
        return replace(self, rates=replace(of, **{name: of_s for name, of_s in times.items() if name not in kept}))

    def drawn(self, draws: np.random.Generator) -> "Replica":
        """An outcome of the calibration: step times and power off by what they miss on sweeps that no fit has seen."""
        slower, hungrier = np.exp(draws.standard_normal(2) * (self.step_log_sd, self.power_log_sd))
        power = replace(self.power, scale=self.power.scale * hungrier)
        return replace(self.slowed(float(slower)), power=power)

    def largest_batch(self, request: MeanRequest, most_requests: float) -> float:
        """Requests that fit at once, by the mean of what they keep, at most *most_requests*. [1]"""
        return min(most_requests, self.room_tokens / (float(request.kept) + self.request_tokens))

    def most_per_s(self, request: MeanRequest, most_requests: float) -> float:
        """Requests a second at the largest batch: the load of 1. [1/s]"""
        batch = self.largest_batch(request, most_requests)
        return float(batch / (request.output * self.rates.mean_step(batch, request).step_s))

    def busy_power_w(self, memory_frac: Any, compute_frac: Any) -> Floats:
        """Power of the replica's GPUs in a step that uses so much of them, shape (n,). [W]"""
        frac = serving_power_frac(memory_frac, compute_frac, self.experts, self.power)
        return np.asarray(np.minimum(frac, 1.0) * self.rated_w * self.gpus, dtype=float)

    def power_of(self, step: DecodeStep) -> Floats:
        """Power of the replica's GPUs in a step, shape (n,). [W]"""
        return self.busy_power_w(step.memory_frac, step.compute_frac)

    def power_of_windows(self, did: Floats) -> Floats:
        """Mean power of the GPUs of replicas while they step, by what they did in each window. [W]

        Parameters
        ----------
        did : ndarray, shape (m, 7)
            See :class:`dcsim.sim.serving.replica.Tally`.
        """
        return self.busy_power_w(*used_of_windows(self.rates, did))

    def node_power_w(self, gpus_w: Any, inlet_c: float = INLET_C) -> Floats:
        """Power of a replica's share of its nodes when its GPUs draw *gpus_w*; the rest idles, fans follow the heat.

        Shape (n,). [W]
        """
        of = self.node
        rest_w = max(of.power.electronics_idle_w / of.gpus - self.idle_w, 0.0) * self.gpus
        electronics = np.asarray(gpus_w, dtype=float) + rest_w
        per_node = of.gpus / self.gpus
        return np.asarray(electronics + fan_w(of.power, electronics * per_node, inlet_c) / per_node, dtype=float)


def spec_of(of: StepRates, **others: Any) -> ReplicaSpec:
    """What steps cost as the request-level simulation has it; the rest as stated."""
    return ReplicaSpec(
        step_s=float(of.weights_s + of.layers_s),
        request_s=float(of.request_s + of.token_s + of.state_s),
        context_s=float(of.context_s),
        token_s=float(of.prompt_token_s),
        attention_s=float(of.attention_s),
        experts_s=float(of.experts_s),
        missed_frac=float(of.missed_frac),
        **others,
    )


def used_of_windows(of: StepRates, did: Floats) -> tuple[Floats, Floats]:
    """Shares of peak memory bandwidth and of the peak matrix rate that steps used in each window, shape (m,). [1]"""
    busy_s, steps, decoded, context, computed, pairs, touched = np.asarray(did, dtype=float).T
    moved_b = of.weights_b * steps + of.experts_b * touched + of.context_b * context + of.state_b * decoded
    flop = of.token_flop * (decoded + computed) + of.attention_flop * pairs
    over_s = np.maximum(busy_s, 1e-12)
    return moved_b / of.bandwidth_b_s / over_s, flop / of.matmul16_flop_s / over_s


def splits(gpu: str) -> list[int]:
    """GPUs of a kind over which a replica may be split: those inside a scale-up domain."""
    return [n for n in SPLITS if n <= catalog().row("gpus", catalog().resolve("gpus", gpu), "domain_gpus").value]


def replica(
    model: str, gpu: str, *, gpus: int | None = None, weights: str = "bf16", cache_number_b: float = 2.0
) -> Replica:
    """Build a replica.

    Parameters
    ----------
    model, gpu : str
        Of the catalog, or a published spelling of them.
    gpus : int or None
        GPUs over which it is split; the fewest on which a tenth of the weights' size is left for keys and values if
        None. [GPU]
    weights : str
        Data type of the weights and products, such as ``bf16`` or ``fp8``.
    cache_number_b : float
        Bytes of each number of keys and values. [B]

    Raises
    ------
    UnknownNameError
        If a name is not known.
    RangeError
        If the model does not fit, or the GPU has no units for the data type; says what would.
    """
    part = gpu_part(gpu, weights, NETWORK)
    of = served(transformer(model), cache_number_b=cache_number_b)
    weights_b = float(of.total_params) * float(part.weight_b)
    free = {n: FILLED_FRAC * float(part.memory_b) * n - weights_b for n in splits(gpu)}
    fitting = [n for n, free_b in free.items() if free_b > 0.1 * weights_b]
    if gpus is None:
        if not fitting:
            raise _does_not_fit(model, weights, weights_b, part.memory_b, max(free))
        gpus = fitting[0]
    elif not 1 <= gpus <= part.domain_gpus:
        raise RangeError(f"a replica of {gpus} GPUs is not inside a scale-up domain of {part.domain_gpus:g} of {gpu}")
    free_b = FILLED_FRAC * float(part.memory_b) * gpus - weights_b
    if free_b <= 0:
        if fitting:
            raise RangeError(
                f"{model} in {weights} is {weights_b / 1e9:.0f} GB and does not fit on {gpus} x {gpu}; it does on "
                f"{fitting[0]}"
            )
        raise _does_not_fit(model, weights, weights_b, part.memory_b, max(free))
    known = fitted("inference")
    family = architecture(gpu)
    time: Fitted = known.get(family) or known["hopper"]
    power = known["power"]
    key = catalog().resolve("gpus", gpu)
    rated_w = catalog().row("gpus", key, "tdp_w").value
    rates = step_rates(
        of,
        gpu=part,
        gpus=float(gpus),
        fit=serving_calibration(time.parameters),
        prompt_eight_bit_eff=prompt_eight_bit_eff(),
    )
    return Replica(
        model=catalog().resolve("models", model),
        gpu=key,
        weights=weights,
        gpus=int(gpus),
        profile=time.key,
        rates=rates,
        room_tokens=free_b / float(of.cache_b),
        request_tokens=float(of.state_b) / float(of.cache_b),
        token_b=float(of.cache_b),
        network_b_s=float(part.network_b_s) * gpus,
        experts=float(of.experts) > 0,
        power=serving_power(power.parameters, family == "blackwell"),
        rated_w=rated_w,
        idle_w=idle_gpu_w(key, rated_w),
        node=node_kind(key),
        step_log_sd=math.hypot(time.scatter, time.parameters["between_sweeps_sd"]),
        power_log_sd=math.hypot(power.scatter, power.parameters["between_sweeps_sd"]),
    )


def _does_not_fit(model: str, weights: str, weights_b: float, memory_b: float, most: int) -> RangeError:
    """Why a model fits on no replica, and the nearest that works: lighter weights, else GPUs with more memory."""

    def fits(size_b: float, memory: float) -> bool:
        return FILLED_FRAC * memory > 1.1 * size_b

    ways = []
    if weights in ("bf16", "fp16") and fits(weights_b / 2.0, memory_b * most):
        ways.append("in fp8 it fits on them")
    parts = {key: catalog().part("gpus", key) for key in catalog().keys("gpus")}
    larger = {
        key: min(part["domain_gpus"].value, SPLITS[-1]) * part["memory_b"].value
        for key, part in parts.items()
        if "domain_gpus" in part and "memory_b" in part
    }
    enough = sorted((memory, key) for key, memory in larger.items() if fits(weights_b, memory))
    if enough:
        ways.append(f"in {weights} on {enough[0][1]}")
    return RangeError(
        f"{model} in {weights} is {weights_b / 1e9:.0f} GB and fits on no replica of up to {most} GPUs of "
        f"{memory_b / 1e9:.0f} GB; {', '.join(ways) or 'no GPU of the catalog holds it'}"
    )
