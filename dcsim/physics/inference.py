"""Serving a language model: steps under continuous batching, watts, memory, and what latency limits allow."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.errors import RangeError
from dcsim.physics.parallel import Gpu
from dcsim.physics.request_means import MeanRequest, alike
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
    attention_width : array_like
        Width of all query heads over all layers, by which a prompt's own attention grows with its square; 0 leaves that
        out, as in sweeps of short prompts. [1]
    """

    layers: Any
    active_params: Any
    total_params: Any
    dense_params: Any
    experts: Any
    top_k: Any
    cache_b: Any
    state_b: Any = 0.0
    attention_width: Any = 0.0


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
        attention_width=model.layers * model.heads * model.head_dim,
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


@dataclass(frozen=True)
class StepRates(Rows):
    """What a step of a replica costs by what is in it; each field an array_like of shape (n,).

    Parameters
    ----------
    weights_s, experts_s : array_like
        Reading the weights that every step needs, and those of all routed experts. [s]
    missed_frac : array_like
        Chance that a token leaves a given expert alone; 1 without experts. [1]
    context_s, state_s, token_s, attention_s, request_s : array_like
        Reading a token of context, a request's state, computing a token, a pair of prompt tokens that attend, and a
        decoding request's own work. [s]
    prompt_token_s : array_like
        Computing a token of a prompt, of which many are computed at once. [s]
    layers_s : array_like
        Work that no size changes. [s]
    weights_b, experts_b, context_b, state_b : array_like
        Bytes of the same. [B]
    token_flop, attention_flop : array_like
        Operations of the same. [1]
    bandwidth_b_s, matmul16_flop_s : array_like
        Peaks of the replica's GPUs together. [B/s], [1/s]
    """

    weights_s: Any
    experts_s: Any
    missed_frac: Any
    context_s: Any
    state_s: Any
    token_s: Any
    prompt_token_s: Any
    attention_s: Any
    request_s: Any
    layers_s: Any
    weights_b: Any
    experts_b: Any
    context_b: Any
    state_b: Any
    token_flop: Any
    attention_flop: Any
    bandwidth_b_s: Any
    matmul16_flop_s: Any

    def step(self, decoding: Any, context: Any, prefill: Any = 0.0, attended: Any = 0.0) -> DecodeStep:
        r"""One step of the replica.

        Parameters
        ----------
        decoding : array_like, shape (n,)
            Requests that gain a token. [1]
        context : array_like, shape (n,)
            Tokens of all their contexts together. [1]
        prefill : array_like, shape (n,)
            Prompt tokens that are computed in it. [1]
        attended : array_like, shape (n,)
            Pairs of prompt tokens that attend to each other in it, half the square of a whole prompt. [1]

        Notes
        -----
        Decoding is bound by memory, prefill by computation; both add, since a step does some of each. Of E experts T
        tokens that visit k touch :math:`E (1 - (1 - k / E)^T)`.
        """
        touched = 1.0 - self.missed_frac ** np.maximum(decoding, prefill)
        weights_s = self.weights_s + self.experts_s * touched
        cache_s = self.context_s * context + self.state_s * decoding
        compute_s = self.token_s * decoding + self.prompt_token_s * prefill + self.attention_s * attended
        requests_s = self.request_s * decoding
        total = weights_s + cache_s + compute_s + self.layers_s + requests_s
        moved_b = self.weights_b + self.experts_b * touched + self.context_b * context + self.state_b * decoding
        flop = self.token_flop * (decoding + prefill) + self.attention_flop * attended
        return DecodeStep(
            step_s=total,
            weights_s=weights_s,
            cache_s=cache_s,
            compute_s=compute_s,
            layers_s=self.layers_s + 0.0 * total,
            requests_s=requests_s,
            memory_frac=moved_b / self.bandwidth_b_s / total,
            compute_frac=flop / self.matmul16_flop_s / total,
        )

    def mean_step(self, batch: Any, request: MeanRequest) -> DecodeStep:
        r"""Mean step at a batch that does not change, with prompts' tokens spread over the answers' steps.

        Parameters
        ----------
        batch : array_like, shape (n,)
            Requests that gain a token in a step. [1]
        request : MeanRequest
            Of the requests.

        Notes
        -----
        With prompts of p tokens, answers of o, and a context of c:

        .. math:: t = \frac{W(b) + b (C c + 2 Z)}{n B e_m} + \frac{2 N b (1 + p / o)}{n F e_c} + L t_l + b t_r + t_0

        Experts are those that the decoding requests touch, as in the sweeps on which the calibration was fitted.
        """
        of = self.step(batch, batch * request.context)
        starts = batch / request.output
        prefill_s = starts * (self.prompt_token_s * request.prefill + self.attention_s * request.pairs)
        flop = starts * (self.token_flop * request.prefill + self.attention_flop * request.pairs)
        total = of.step_s + prefill_s
        return DecodeStep(
            step_s=total,
            weights_s=of.weights_s,
            cache_s=of.cache_s,
            compute_s=of.compute_s + prefill_s,
            layers_s=of.layers_s,
            requests_s=of.requests_s,
            memory_frac=of.memory_frac * of.step_s / total,
            compute_frac=(of.compute_frac * of.step_s + flop / self.matmul16_flop_s) / total,
        )


def step_rates(
    model: Served, *, gpu: Gpu, gpus: Any, fit: ServingCalibration, prompt_eight_bit_eff: float | None = None
) -> StepRates:
    """What a step costs by what is in it, for a replica split over some GPUs.

    Parameters
    ----------
    model : Served
        The model.
    gpu : Gpu
        Its weight bytes say whether weights are of 16 or 8 bit.
    gpus : array_like, shape (n,)
        GPUs over which the replica is split. [1]
    fit : ServingCalibration
        Calibration.
    prompt_eight_bit_eff : float or None
        Rate of 8-bit over that of 16-bit products relative to their peaks, in the large products of long prompts; that
        of the fit, whose sweeps have short prompts, if None. [1]
    """
    n, experts = np.asarray(gpus, dtype=float), np.asarray(model.experts, dtype=float)
    moe, split = experts > 0, n > 1
    eight_bit = np.asarray(gpu.weight_b) < 2.0
    routed = np.where(moe, np.asarray(model.total_params) - model.dense_params, 0.0)
    dense_b, experts_b = model.dense_params * gpu.weight_b, routed * gpu.weight_b
    bandwidth = gpu.memory_b_s * n
    read_b_s = bandwidth * fit.memory_eff
    expert_eff = fit.expert_eff * np.where(eight_bit, fit.eight_bit_expert_eff, 1.0)
    peak = gpu.matmul_flop_s * n * fit.compute_eff
    of_prompts = fit.eight_bit_eff if prompt_eight_bit_eff is None else prompt_eight_bit_eff
    # A pair costs a product for its score and one for its value; 16 bit, whatever the weights are.
    pair_flop = 4.0 * model.attention_width
    extra = (
        np.where(moe, fit.expert_layers, 0.0)
        + np.where(split & ~moe, fit.split_layers, 0.0)
        + np.where(split & moe, fit.expert_split_layers, 0.0)
    )
    return StepRates(
        weights_s=dense_b / read_b_s,
        experts_s=experts_b / expert_eff / read_b_s,
        missed_frac=np.where(moe, 1.0 - np.asarray(model.top_k) / np.maximum(experts, 1.0), 1.0),
        context_s=model.cache_b / read_b_s,
        state_s=2.0 * np.asarray(model.state_b) / read_b_s,
        token_s=2.0 * model.active_params / (peak * np.where(eight_bit, fit.eight_bit_eff, 1.0)),
        prompt_token_s=2.0 * model.active_params / (peak * np.where(eight_bit, of_prompts, 1.0)),
        attention_s=pair_flop / (gpu.matmul16_flop_s * n * fit.compute_eff),
        request_s=fit.request_s,
        layers_s=fit.step_s + fit.layer_s * model.layers * (1.0 + extra),
        weights_b=dense_b,
        experts_b=experts_b,
        context_b=model.cache_b,
        state_b=2.0 * np.asarray(model.state_b),
        token_flop=2.0 * model.active_params,
        attention_flop=pair_flop,
        bandwidth_b_s=bandwidth,
        matmul16_flop_s=gpu.matmul16_flop_s * n,
    )


def decode_step(
    model: Served,
    batch: Any,
    *,
    prompt: Any,
    output: Any,
    gpu: Gpu,
    gpus: Any,
    fit: ServingCalibration,
    prompt_eight_bit_eff: float | None = None,
) -> DecodeStep:
    """Mean step of a replica under continuous batching with chunked prefill; see :meth:`StepRates.mean_step`.

    Parameters
    ----------
    model : Served
        The model.
    batch : array_like, shape (n,)
        Requests that gain a token in a step, at least 1. [1]
    prompt, output : array_like, shape (n,)
        Mean tokens of a prompt and of an answer, above 0. [1]
    gpu, gpus, fit, prompt_eight_bit_eff
        As for :func:`step_rates`.

    Raises
    ------
    RangeError
        If a batch is below 1 or a length is not above 0.

    Notes
    -----
    The valid range is that of the fitted sweeps, H100 and B200 from 8 to 4,096 requests; `dcsim validate inference`
    prints the errors.
    """
    b, request = np.asarray(batch, dtype=float), alike(prompt, output)
    if np.any(b < 1) or np.any(request.prefill <= 0) or np.any(request.output <= 0):
        raise RangeError("a batch must be at least 1, and prompts and answers longer than 0 tokens")
    rates = step_rates(model, gpu=gpu, gpus=gpus, fit=fit, prompt_eight_bit_eff=prompt_eight_bit_eff)
    return rates.mean_step(b, request)


def most_requests(model: Served, *, prompt: Any, output: Any, gpu: Gpu, gpus: Any) -> Any:
    """Requests whose keys, values and states fit beside the weights, at full length; 0 where weights do not fit. [1]"""
    free = FILLED_FRAC * gpu.memory_b * np.asarray(gpus, dtype=float) - model.total_params * gpu.weight_b
    each = model.cache_b * (np.asarray(prompt) + output) + model.state_b
    return np.floor(np.maximum(free, 0.0) / each)


def first_token_s(
    model: Served,
    batch: Any,
    *,
    prompt: Any,
    output: Any,
    gpu: Gpu,
    gpus: Any,
    fit: ServingCalibration,
    prompt_eight_bit_eff: float | None = None,
) -> Any:
    """Time to the first token of a request that finds a free place, without any wait for one. [s]

    The prompt's own computation and the step of the running batch that it rides on. No published case was found to
    compare with.
    """
    rates = step_rates(model, gpu=gpu, gpus=gpus, fit=fit, prompt_eight_bit_eff=prompt_eight_bit_eff)
    running = rates.mean_step(np.asarray(batch, dtype=float), alike(prompt, output))
    tokens = np.asarray(prompt, dtype=float)
    return running.step_s + rates.prompt_token_s * tokens + rates.attention_s * tokens**2 / 2.0
