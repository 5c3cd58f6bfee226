"""How many replicas and GPUs serve a demand under latency limits; batch, watts and cost of a million tokens."""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from dcsim.catalog.fitted import Z90, Fitted, fitted, with_interval
from dcsim.catalog.hardware import architecture, transformer
from dcsim.catalog.hardware import gpu as gpu_part
from dcsim.catalog.load import catalog
from dcsim.catalog.published_power import INLET_C
from dcsim.catalog.published_serving import prompt_eight_bit_eff, serving_calibration, serving_power
from dcsim.errors import RangeError
from dcsim.nodes import idle_gpu_w, node_kind
from dcsim.physics.inference import Served, decode_step, first_token_s, most_requests, served
from dcsim.physics.parallel import Gpu
from dcsim.physics.servers import fan_w
from dcsim.physics.serving_power import serving_power_frac
from dcsim.study.estimate import Figure, exact, gpu_hour_usd, log_sd_of_range, spread
from dcsim.units import SECONDS_PER_HOUR

# Choices of a search: GPUs of a replica and requests of its batch.
SPLITS = (1, 2, 4, 8, 16, 32, 72)
BATCHES = np.unique(np.round(np.geomspace(1.0, 4096.0, 150)))


@dataclass(frozen=True)
class Ask:
    """What is asked of a serving estimate; see `dcsim estimate inference --help`."""

    model: str
    gpu: str
    tokens_per_s: float
    prompt: float = 512.0
    output: float = 256.0
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    weights: str = "bf16"
    gpus_per_replica: int | None = None
    pue: float | None = None
    usd_per_kwh: float | None = None
    usd_per_gpu_h: float | None = None


@dataclass(frozen=True)
class Answer:
    """A serving estimate: figures by name, and in words what they rest on."""

    figures: dict[str, Figure]
    step_parts: dict[str, float]
    profile: str
    notes: list[str]
    binding: str

    def record(self) -> dict[str, Any]:
        """Form of the JSON output."""
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        record["figures"] = {name: figure.record() for name, figure in self.figures.items()}
        return record


@dataclass(frozen=True)
class _Choice:
    model: Served
    gpu: Gpu
    time: Fitted
    power: Fitted


def inference(ask: Ask) -> Answer:
    """Estimate what serves a demand: the split and batch that need the fewest GPUs, then the least power.

    Raises
    ------
    UnknownNameError
        If a model or GPU is not known.
    RangeError
        If a figure is not above 0, the model fits on no replica, or no batch meets the limits; says what would.
    """
    for name in ("tokens_per_s", "prompt", "output", "ttft_ms", "tpot_ms", "gpus_per_replica"):
        value = getattr(ask, name)
        if value is not None and not 0 < value < math.inf:
            raise RangeError(f"{name} must be above 0 and finite, got {value:g}")
    part = gpu_part(ask.gpu, ask.weights, "ib-ndr400")
    known = fitted("inference")
    family = architecture(ask.gpu)
    of = _Choice(served(transformer(ask.model)), part, known.get(family) or known["hopper"], known["power"])
    limit = part.domain_gpus
    splits = [float(ask.gpus_per_replica)] if ask.gpus_per_replica else [float(n) for n in SPLITS if n <= limit]
    n, b = (axis.ravel() for axis in np.meshgrid(splits, BATCHES, indexing="ij"))
    at: dict[str, Any] = {"prompt": ask.prompt, "output": ask.output, "gpu": part, "gpus": n}
    prompts: dict[str, Any] = {"prompt_eight_bit_eff": prompt_eight_bit_eff()}
    fit = serving_calibration(of.time.parameters)
    room = most_requests(of.model, **at)
    if not np.any(room >= 1):
        need_b = float(of.model.total_params) * float(part.weight_b)
        raise RangeError(
            f"{ask.model} in {ask.weights} is {need_b / 1e9:.0f} GB and fits on no replica of up to {max(splits):g} "
            f"GPUs of {part.memory_b / 1e9:.0f} GB; say --weights fp8 or choose GPUs with more memory"
        )
    step = decode_step(of.model, b, fit=fit, **prompts, **at)
    first = first_token_s(of.model, b, fit=fit, **prompts, **at)
    fits = b <= room
    tpot_s = math.inf if ask.tpot_ms is None else ask.tpot_ms / 1e3
    ttft_s = math.inf if ask.ttft_ms is None else ask.ttft_ms / 1e3
    meets = fits & (step.step_s <= tpot_s) & (first <= ttft_s)
    if not np.any(meets):
        raise RangeError(
            f"no batch meets the limits: the fastest token takes {1e3 * float(step.step_s[fits].min()):.1f} ms and the "
            f"fastest first token {1e3 * float(first[fits].min()):.0f} ms"
        )
    replicas = np.ceil(ask.tokens_per_s * step.step_s / b)
    gpus = np.where(meets, replicas * n, np.inf)
    # Fewest GPUs; among those the shortest step, which leaves most to the latency limits.
    row = int(np.lexsort((step.step_s, gpus))[0])
    return _answer(ask, of, n[row], b[row], _binding(ask, row, n, b, room, step.step_s, first))


def _binding(ask: Ask, row: int, n: Any, b: Any, room: Any, step_s: Any, first_s: Any) -> str:
    """What forbids the next larger batch on the same split, or says that demand does not need it."""
    larger = np.flatnonzero((n == n[row]) & (b > b[row]))
    if not len(larger):
        return "the largest batch that is tried"
    following = int(larger[0])
    if b[following] > room[following]:
        return "memory for keys and values"
    if ask.tpot_ms is not None and 1e3 * step_s[following] > ask.tpot_ms:
        return "time per output token"
    if ask.ttft_ms is not None and 1e3 * first_s[following] > ask.ttft_ms:
        return "time to first token"
    return "demand: a larger batch would need no fewer GPUs"


def _answer(ask: Ask, of: _Choice, gpus: float, batch: float, binding: str) -> Answer:
    at: dict[str, Any] = {"prompt": ask.prompt, "output": ask.output, "gpu": of.gpu, "gpus": gpus}
    fit = serving_calibration(of.time.parameters)
    prompts: dict[str, Any] = {"prompt_eight_bit_eff": prompt_eight_bit_eff()}
    step = decode_step(of.model, batch, fit=fit, **prompts, **at)
    middle, low, high = with_interval(
        lambda values: decode_step(of.model, batch, fit=serving_calibration(values), **prompts, **at).step_s,
        of.time,
        extra_sd=of.time.parameters["between_sweeps_sd"],
    )
    step_s, step_sd = float(middle), math.log(float(high) / float(low)) / 2.0 / Z90
    first_s = float(first_token_s(of.model, batch, fit=fit, **prompts, **at))
    rate = batch / step_s
    replicas = math.ceil(ask.tokens_per_s / rate)
    count = Figure(
        replicas,
        math.ceil(ask.tokens_per_s / batch * float(low)),
        math.ceil(ask.tokens_per_s / batch * float(high)),
        "1",
    )
    used = min(ask.tokens_per_s / rate / replicas, 1.0)

    power_fit = serving_power(of.power.parameters, architecture(ask.gpu) == "blackwell")
    frac = float(serving_power_frac(step.memory_frac, step.compute_frac, float(of.model.experts) > 0, power_fit))
    rated_w = catalog().row("gpus", ask.gpu, "tdp_w").value
    gpu_w = min(frac, 1.0) * rated_w
    gpu_power_sd = math.hypot(of.power.scatter, of.power.parameters["between_sweeps_sd"])
    node = node_kind(ask.gpu)
    # The node without its GPUs draws what it does idle, and its fans follow the heat.
    rest_w = max(node.power.electronics_idle_w / node.gpus - idle_gpu_w(ask.gpu, rated_w), 0.0)
    rest_w += float(fan_w(node.power, (gpu_w + rest_w) * node.gpus, INLET_C)) / node.gpus
    pue = catalog().row("operations", "estimate", "pue")
    pue_value = ask.pue if ask.pue is not None else pue.value
    total_gpus = replicas * gpus
    power_w = (gpu_w + rest_w) * total_gpus * pue_value
    power_sd = math.hypot(gpu_power_sd, 0.0 if ask.pue is not None else log_sd_of_range(pue.value, pue.low, pue.high))
    j_per_token = power_w / ask.tokens_per_s
    kwh = catalog().row("operations", "estimate", "usd_per_kwh")
    kwh_usd = ask.usd_per_kwh if ask.usd_per_kwh is not None else kwh.value
    hour, hour_from = gpu_hour_usd(ask.gpu, ask.usd_per_gpu_h)
    each_sd = math.hypot(step_sd, power_sd)
    if hour.value is None:
        cost = Figure(None, None, None, "USD", hour.reason)
    else:
        value = hour.value * total_gpus / SECONDS_PER_HOUR / ask.tokens_per_s * 1e6
        cost = spread(value, math.hypot(step_sd, log_sd_of_range(hour.value, hour.p10, hour.p90)), "USD")
    figures = {
        "replicas": count,
        "gpus_per_replica": exact(float(gpus), "GPU"),
        "gpus": Figure(total_gpus, (count.p10 or 0) * gpus, (count.p90 or 0) * gpus, "GPU"),
        "batch": exact(float(batch), "1"),
        "tokens_per_s_per_replica": spread(rate, step_sd, "token/s"),
        "used_frac": exact(used, "1"),
        "time_per_output_token_ms": spread(1e3 * step_s, step_sd, "ms"),
        "time_to_first_token_ms": spread(1e3 * first_s, step_sd, "ms"),
        "gpu_power_w": spread(gpu_w, gpu_power_sd, "W"),
        "replica_power_kw": spread((gpu_w + rest_w) * gpus / 1e3, gpu_power_sd, "kW"),
        "power_mw": spread(power_w / 1e6, each_sd, "MW"),
        "j_per_token": spread(j_per_token, each_sd, "J"),
        "electricity_usd_per_million_tokens": spread(j_per_token * 1e6 / 3.6e6 * kwh_usd, each_sd, "USD"),
        "gpu_cost_usd_per_million_tokens": cost,
    }
    return Answer(
        figures=figures,
        step_parts={f.name: float(np.asarray(getattr(step, f.name))) for f in fields(step) if f.name != "step_s"},
        profile=of.time.key,
        notes=[
            f"serving fit {of.time.key}, on {len(of.time.cases)} published rows"
            + ("" if of.time.key == architecture(ask.gpu) else f"; none of {architecture(ask.gpu)} was found"),
            f"node {node.name}; electricity at PUE {pue_value:g} and {kwh_usd:g} USD/kWh",
            f"GPU-hours: {hour_from}" if hour_from else f"GPU-hours: {hour.reason}",
            "time to first token: of a request that waits for no place; no published case to compare with",
            "means over a batch; percentiles, bursts and hours: dcsim size serving",
            "the rest of a node draws what it does idle; no published node power of serving was found",
            "Not measured on a GPU by dcsim; errors against published sweeps: dcsim validate inference",
        ],
        binding=binding,
    )
