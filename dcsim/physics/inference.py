"""Serving a language model: steps under continuous batching, watts, memory, and what latency limits allow."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.errors import RangeError
from dcsim.physics.parallel import Gpu
from dcsim.physics.transformer import Rows, Transformer

# Share of memory that weights and cache may fill; the rest is for activations and libraries. vLLM's default.
FILLED_FRAC = 0.9


@dataclass(frozen=True)
class Served(Rows):
    """What a model moves and computes when it serves; each field an array_like of shape (n,).

    Parameters
    ----------
    layers : array_like
        Layers. [1]
    active_params, total_params, dense_params : array_like
        Weights that a token meets, all, and those that every token meets. [1]
    experts, top_k : array_like
        Routed experts of a layer and those that a token visits; 0 without. [1]
    cache_b : array_like
        Bytes of keys and values that a token keeps, over all layers. [B]
    state_b : array_like
        Bytes of recurrent state that a request keeps and a step reads and writes; 0 for attention alone. [B]
    """

    layers: Any
    active_params: Any
    total_params: Any
    dense_params: Any
    experts: Any
    top_k: Any
    cache_b: Any
    state_b: Any = 0.0


def served(model: Transformer, *, cache_number_b: float = 2.0) -> Served:
    """What a transformer moves when it serves, with *cache_number_b* bytes a number of keys and values."""
    routed = model.moe_layers * model.experts * model.expert_params()
    kept = np.where(model.latent, model.kv_rank + model.rope_dim, 2.0 * model.kv_heads * model.head_dim)
    return Served(
        layers=model.layers,
        active_params=model.active_params(),
        total_params=model.params(),
        dense_params=model.params() - routed,
        experts=model.experts,
        top_k=model.top_k,
        cache_b=model.layers * kept * cache_number_b,
    )


@dataclass(frozen=True)
class ServingCalibration(Rows):
    """What a serving stack makes of the hardware; each field a scalar or an array_like of shape (n,).

    Parameters
    ----------
    memory_eff, compute_eff : array_like
        Achieved over peak memory bandwidth and 16-bit matrix rate. [1]
    eight_bit_eff : array_like
        Rate of 8-bit over that of 16-bit products, relative to their peaks. [1]
    expert_eff, eight_bit_expert_eff : array_like
        Bandwidth at which expert weights are read over that of others, and further in 8 bit. [1]
    step_s, layer_s, request_s : array_like
        Time that no size changes: of a step, of a layer, and of each request in a step (sampling, scheduling). [s]
    split_layers, expert_layers, expert_split_layers : array_like
        Time of a layer besides, in units of ``layer_s``: of a model split over GPUs, of one with experts, of one with
        experts split over GPUs. [1]
    """

    memory_eff: Any = 0.75
    compute_eff: Any = 0.5
    eight_bit_eff: Any = 0.7
    expert_eff: Any = 0.8
    eight_bit_expert_eff: Any = 0.7
    step_s: Any = 1e-3
    layer_s: Any = 30e-6
    request_s: Any = 20e-6
    split_layers: Any = 0.3
    expert_layers: Any = 0.5
    expert_split_layers: Any = 1.0


@dataclass(frozen=True)
class DecodeStep(Rows):
    """One step by its parts, which sum, and how busy it keeps a GPU; each field an array of shape (n,).

    Parameters
    ----------
    step_s : ndarray
        Time in which every request of the batch gains a token. [s]
    weights_s, cache_s, compute_s, layers_s, requests_s : ndarray
        Reading weights, reading keys and values and states, matrix products, work that no size changes, and work for
        each request. [s]
    memory_frac, compute_frac : ndarray
        Share of peak memory bandwidth and of the peak matrix rate that the step uses. [1]
    """

    step_s: Any
    weights_s: Any
    cache_s: Any
    compute_s: Any
    layers_s: Any
    requests_s: Any
    memory_frac: Any
    compute_frac: Any


def decode_step(
    model: Served, batch: Any, *, prompt: Any, output: Any, gpu: Gpu, gpus: Any, fit: ServingCalibration
) -> DecodeStep:
    r"""Time of a step of a replica under continuous batching with chunked prefill.

    Parameters
    ----------
    model : Served
        The model.
    batch : array_like, shape (n,)
        Requests that gain a token in a step, at least 1. [1]
    prompt, output : array_like, shape (n,)
        Mean tokens of a prompt and of an answer, above 0. [1]
    gpu : Gpu
        Its weight bytes say whether weights are of 16 or 8 bit.
    gpus : array_like, shape (n,)
        GPUs over which the replica is split. [1]
    fit : ServingCalibration
        Calibration.

    Raises
    ------
    RangeError
        If a batch is below 1 or a length is not above 0.

    Notes
    -----
    Decoding is bound by memory, prefill by computation; both add, since a step does some of each. Of E experts a batch
    of b tokens that visit k touches :math:`E (1 - (1 - k / E)^b)`. With a mean context of the prompt and half of the
    answer, and prompts' tokens spread over the answer's steps:

    .. math:: t = \frac{W(b) + b \, (C s + 2 Z)}{n B e_m} + \frac{2 N b \, (1 + p / o)}{n F e_c} + L t_l + b t_r + t_0

    The valid range is that of the fitted sweeps, H100 and B200 from 8 to 4,096 requests; `dcsim validate inference`
    prints the errors.
    """
    b = np.asarray(batch, dtype=float)
    prompt, output = np.asarray(prompt, dtype=float), np.asarray(output, dtype=float)
    if np.any(b < 1) or np.any(prompt <= 0) or np.any(output <= 0):
        raise RangeError("a batch must be at least 1, and prompts and answers longer than 0 tokens")
    n, experts = np.asarray(gpus, dtype=float), np.asarray(model.experts, dtype=float)
    moe, split = experts > 0, n > 1
    eight_bit = np.asarray(gpu.weight_b) < 2.0
    touched = np.where(moe, 1.0 - (1.0 - np.asarray(model.top_k) / np.maximum(experts, 1.0)) ** b, 0.0)
    routed = np.asarray(model.total_params) - model.dense_params
    dense_b = model.dense_params * gpu.weight_b
    expert_b = np.where(moe, routed * touched, 0.0) * gpu.weight_b
    cache_b = b * (model.cache_b * (prompt + output / 2.0) + 2.0 * np.asarray(model.state_b))
    flop = 2.0 * model.active_params * b * (1.0 + prompt / output)

    bandwidth = gpu.memory_b_s * n
    expert_eff = fit.expert_eff * np.where(eight_bit, fit.eight_bit_expert_eff, 1.0)
    weights_s = (dense_b + expert_b / expert_eff) / (bandwidth * fit.memory_eff)
    cache_s = cache_b / (bandwidth * fit.memory_eff)
    rate = gpu.matmul_flop_s * n * np.where(eight_bit, fit.eight_bit_eff, 1.0)
    compute_s = flop / (rate * fit.compute_eff)
    extra = (
        np.where(moe, fit.expert_layers, 0.0)
        + np.where(split & ~moe, fit.split_layers, 0.0)
        + np.where(split & moe, fit.expert_split_layers, 0.0)
    )
    layers_s = fit.step_s + fit.layer_s * model.layers * (1.0 + extra)
    requests_s = b * fit.request_s
    total = weights_s + cache_s + compute_s + layers_s + requests_s
    return DecodeStep(
        step_s=total,
        weights_s=weights_s,
        cache_s=cache_s,
        compute_s=compute_s,
        layers_s=layers_s + 0.0 * total,
        requests_s=requests_s,
        memory_frac=(dense_b + expert_b + cache_b) / bandwidth / total,
        compute_frac=flop / (gpu.matmul16_flop_s * n) / total,
    )


@dataclass(frozen=True)
class ServingPower(Rows):
    """Power of a GPU that serves, in shares of its rated power; each field a scalar or array_like of shape (n,).

    Parameters
    ----------
    base, memory, compute : array_like
        Power while a model is loaded and running, and what full use of memory and of the matrix units adds. [1]
    exponent : array_like
        How power follows the use of the matrix units. [1]
    experts : array_like
        Power of a model with experts over that of one without, at the same use. [1]
    cap : array_like
        Share of the rated power that no work exceeds. [1]
    scale : array_like
        Power of the architecture over that of the one that the others were fitted on, at the same use. [1]
    """

    base: Any
    memory: Any
    compute: Any
    exponent: Any
    experts: Any
    cap: Any
    scale: Any = 1.0


def serving_power_frac(step: DecodeStep, moe: Any, fit: ServingPower) -> Any:
    r"""Mean power of a GPU that serves, over its rated power. [1]

    Notes
    -----
    .. math:: p = z \left(c^{-4} + q^{-4}\right)^{-1/4}, \quad q = (p_0 + a u_m + b u_c^{\gamma}) \, x

    Power saturates smoothly at the cap, as its control loop makes it.
    """
    asked = fit.base + fit.memory * step.memory_frac + fit.compute * step.compute_frac**fit.exponent
    asked = asked * np.where(moe, fit.experts, 1.0)
    return fit.scale * (np.asarray(fit.cap, dtype=float) ** -4.0 + asked**-4.0) ** -0.25


def most_requests(model: Served, *, prompt: Any, output: Any, gpu: Gpu, gpus: Any) -> Any:
    """Requests whose keys, values and states fit beside the weights, at full length; 0 where weights do not fit. [1]"""
    free = FILLED_FRAC * gpu.memory_b * np.asarray(gpus, dtype=float) - model.total_params * gpu.weight_b
    each = model.cache_b * (np.asarray(prompt) + output) + model.state_b
    return np.floor(np.maximum(free, 0.0) / each)


def first_token_s(
    model: Served, batch: Any, *, prompt: Any, output: Any, gpu: Gpu, gpus: Any, fit: ServingCalibration
) -> Any:
    """Time to the first token of a request that finds a free place, without any wait for one. [s]

    The prompt's own computation and the step of the running batch that it rides on. No published case was found to
    compare with.
    """
    running = decode_step(model, batch, prompt=prompt, output=output, gpu=gpu, gpus=gpus, fit=fit)
    eight_bit = np.asarray(gpu.weight_b) < 2.0
    rate = gpu.matmul_flop_s * np.asarray(gpus, dtype=float) * np.where(eight_bit, fit.eight_bit_eff, 1.0)
    return running.step_s + 2.0 * model.active_params * np.asarray(prompt, dtype=float) / (rate * fit.compute_eff)
