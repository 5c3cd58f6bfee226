"""Step time of training a transformer under any parallel plan, with what of it is exposed."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from dcsim.physics.kernels import attention_s, gemm_s, passes_s, unfused_attention_s
from dcsim.physics.parallel import Gpu, Plan, slowest_stage, stage_weights
from dcsim.physics.transformer import Rows, Transformer


@dataclass(frozen=True)
class Calibration(Rows):
    """What a software stack makes of the hardware; each field a scalar or an array_like of shape (n,).

    Parameters
    ----------
    gemm_eff, gemm16_eff, expert_eff : array_like
        Best matrix rate over peak: of the run's data type, of 16-bit products, and of grouped expert products over
        other products. [1]
    attention_eff : array_like
        Matrix rate of the fused attention core over the 16-bit peak. [1]
    softmax_cost : array_like
        Exponentials a score. [1]
    memory_eff : array_like
        Achieved over peak memory bandwidth. [1]
    layer_passes, expert_passes, output_passes : array_like
        Times that element-wise kernels move the activations of a layer, of the routed tokens, and ten bytes a logit,
        forward. [1]
    layer_s, expert_s, step_s : array_like
        Time that no size changes: of a layer, of an expert layer besides (routing and its launches), of a step. [s]
    domain_eff, network_eff : array_like
        Achieved over peak bandwidth of the scale-up domain and of the network. [1]
    tp_exposed, cp_exposed, ep_exposed, pp_exposed, dp_exposed : array_like
        Share of communication that computation does not hide. [1]
    jitter : array_like
        Time lost for each doubling of servers of eight GPUs. [1]
    recompute_passes : array_like
        Share of a layer's element-wise passes that cheap recomputation repeats. [1]
    fused_attention : array_like
        1 where the stack never writes the score matrix to memory. [1]
    optimizer_b : array_like
        Bytes a weight that a step of Adam moves. [B]
    """

    gemm_eff: Any = 0.75
    gemm16_eff: Any = 0.75
    expert_eff: Any = 0.9
    attention_eff: Any = 0.65
    softmax_cost: Any = 1.0
    memory_eff: Any = 0.85
    layer_passes: Any = 20.0
    expert_passes: Any = 8.0
    output_passes: Any = 1.0
    layer_s: Any = 30e-6
    expert_s: Any = 1e-3
    step_s: Any = 20e-3
    domain_eff: Any = 0.75
    network_eff: Any = 0.75
    tp_exposed: Any = 1.0
    cp_exposed: Any = 0.15
    ep_exposed: Any = 1.0
    pp_exposed: Any = 0.3
    dp_exposed: Any = 0.2
    jitter: Any = 0.003
    recompute_passes: Any = 0.3
    fused_attention: Any = 1.0
    optimizer_b: Any = 30.0


# Grouped expert products have short inner sizes; half-rate sizes of their n and k. Assumption, see training presets.
EXPERT_HALF_M, EXPERT_HALF_N, EXPERT_HALF_K = 300.0, 600.0, 800.0
# Latency of one collective inside a domain and of an all-to-all.
DOMAIN_LATENCY_S, ALL_TO_ALL_LATENCY_S = 12e-6, 15e-6
# Share of a stage's time behind which gradients are reduced and weights gathered.
DP_WINDOW, FSDP_WINDOW = 0.6, 0.9


@dataclass(frozen=True)
class Step(Rows):
    """One training step; each field an array of shape (n,).

    Parameters
    ----------
    step_s : ndarray
        Its time. [s]
    compute_s : ndarray
        Time in which a mean GPU computes: all but exposed communication, bubbles and fixed overheads. [s]
    gemm_s, attention_s, elementwise_s, output_s, recompute_s, optimizer_s : ndarray
        Parts of the computation of a mean pipeline stage. [s]
    tp_s, cp_s, ep_s, pp_s, dp_s : ndarray
        Exposed communication by parallel dimension. [s]
    bubble_s, imbalance_s, jitter_s, overhead_s : ndarray
        Pipeline bubble, wait for the slowest stage, jitter with scale, and time that no size changes. [s]
    domain_b, network_b : ndarray
        Bytes that a GPU sends a step inside its scale-up domain and into the network. [B]
    """

    step_s: Any
    compute_s: Any
    gemm_s: Any
    attention_s: Any
    elementwise_s: Any
    output_s: Any
    recompute_s: Any
    optimizer_s: Any
    tp_s: Any
    cp_s: Any
    ep_s: Any
    pp_s: Any
    dp_s: Any
    bubble_s: Any
    imbalance_s: Any
    jitter_s: Any
    overhead_s: Any
    domain_b: Any
    network_b: Any

    @property
    def duty_frac(self) -> Any:
        """Share of the step in which a GPU computes. [1]"""
        return self.compute_s / self.step_s

    @property
    def stall_frac(self) -> Any:
        """Share of the step in which a GPU waits for communication. [1]"""
        return (self.tp_s + self.cp_s + self.ep_s + self.pp_s + self.dp_s) / self.step_s


def _products(model: Transformer, plan: Plan, gpu: Gpu, fit: Calibration) -> tuple[Any, Any, Any, Any]:
    """Forward time of the matrix products: attention projections, dense MLP, expert MLP, output layer. [s]"""
    rate, rate16 = gpu.matmul_flop_s * fit.gemm_eff, gpu.matmul16_flop_s * fit.gemm16_eff
    halves = {"half_m": gpu.gemm_m0, "half_n": gpu.gemm_n0, "half_k": gpu.gemm_k0}
    tokens, tp, h, d = plan.tokens, plan.tp, model.hidden, model.head_dim
    inner = model.heads * d / tp

    def dense(n: Any, k: Any, flop_s: Any = rate) -> Any:
        return gemm_s(tokens, n, k, flop_s, **halves)

    grouped = dense((model.heads + 2 * model.kv_heads) * d / tp, h)
    latent = (
        dense(model.q_rank, h)
        + dense(model.heads * model.qk_dim / tp, model.q_rank)
        + dense(model.kv_rank + model.rope_dim, h)
        + dense(2 * inner, model.kv_rank)
    )
    projections = np.where(model.latent, latent, grouped) + dense(h, inner)

    def mlp(width: Any) -> Any:
        return np.where(np.asarray(width) > 0, dense((1 + model.gated) * width / tp, h) + dense(h, width / tp), 0.0)

    # Routed tokens spread evenly over the experts that a rank holds.
    held = model.experts / plan.ep
    routed = plan.tokens * model.top_k / tp * plan.expert_tp / np.maximum(held, 1e-9)
    width = model.moe_ffn_hidden / plan.expert_tp
    grouped_rate = rate * fit.expert_eff
    sizes = {"half_m": EXPERT_HALF_M, "half_n": EXPERT_HALF_N, "half_k": EXPERT_HALF_K}
    experts = held * (
        gemm_s(routed, (1 + model.gated) * width, h, grouped_rate, **sizes)
        + gemm_s(routed, h, width, grouped_rate, **sizes)
    )
    # Routers run in 32 bit, at a fifth of the 16-bit peak.
    router = 2 * tokens / tp * h * model.experts / (0.2 * gpu.matmul16_flop_s)
    moe = experts + router + mlp(model.shared_experts * model.moe_ffn_hidden)
    output = dense(model.vocab / tp, h, rate16)
    return projections, mlp(model.ffn_hidden), moe, output


def step(model: Transformer, plan: Plan, gpu: Gpu, fit: Calibration) -> Step:
    r"""Time of a training step.

    Parameters
    ----------
    model, plan, gpu, fit
        Rows of one length, or scalars.

    Returns
    -------
    Step
        Each field of shape (n,), or scalars.

    Notes
    -----
    With m micro-batches, p stages of v chunks and a stage time :math:`t`:

    .. math:: T = \left(m \, t_{max} + \frac{p - 1}{v} \, \bar t \right) (1 + j \log_2 n) + T_{dp} + T_{opt} + T_0

    A layer's backward pass costs twice its matrix products, once where its weights are frozen, 2.5 times a fused
    attention core and 1.5 times its element-wise passes, and repeats what the plan recomputes; adapters add passes over
    the activations. Attention and the output layer run in 16 bit whatever the data type. The valid range is that of the
    fitted cases: 8 to 11,616 GPUs, 8 to 1,100 billion weights, sequences of 2,048 to 8,192; `dcsim validate training`
    prints the errors.

    References
    ----------
    .. [1] D. Narayanan et al., "Efficient large-scale language model training on GPU clusters using Megatron-LM,"
       SC21, :doi:`10.1145/3458817.3476209`.
    .. [2] V. Korthikanti et al., "Reducing activation recomputation in large transformer models," :arxiv:`2205.05198`.
    """
    memory_b_s = gpu.memory_b_s * fit.memory_eff
    inside_b_s, outside_b_s = gpu.domain_b_s * fit.domain_eff, gpu.network_b_s * fit.network_eff
    tokens, tp, h = plan.tokens, plan.tp, model.hidden
    chunks = np.maximum(plan.vp, 1)
    projections_s, mlp_s, moe_s, output_gemm_s = _products(model, plan, gpu, fit)

    # Attention core of this rank: its share of the heads, and of the queries.
    core_share = plan.micro_batch / (plan.cp * tp)
    core_flop = core_share * model.attention_flop(plan.seq)
    scores = core_share * plan.seq * model.context(plan.seq) * model.heads
    fused = attention_s(
        core_flop,
        scores * fit.softmax_cost,
        flop_s=gpu.matmul16_flop_s * fit.attention_eff,
        exp_per_s=gpu.exp_per_s,
    )
    # Products of an unfused core run at 0.7 of the rate of large products.
    unfused = unfused_attention_s(
        core_flop, scores, flop_s=0.7 * gpu.matmul16_flop_s * fit.gemm16_eff, memory_b_s=memory_b_s
    )
    is_fused = np.asarray(fit.fused_attention) > 0
    core_s = np.where(is_fused, fused, unfused)
    core_back_s = core_s * np.where(is_fused, 2.5, 2.0)

    layer_passes = fit.layer_passes + plan.frozen * model.adapter_passes()
    layer_el_s = passes_s(tokens * h * plan.activation_share, layer_passes, memory_b_s)
    routed_el_s = passes_s(tokens * model.top_k / tp * h, fit.expert_passes, memory_b_s)

    # Tensor parallel: two all-reduces of the activations forward and two backward; context parallel: keys and values.
    activations_b = 2.0 * tokens * h
    tp_b = np.where(tp > 1, 2 * (tp - 1) / tp * activations_b, 0.0)
    tp_b_s = np.where(tp <= gpu.domain_gpus, inside_b_s, outside_b_s)
    tp_layer_s = np.where(tp > 1, tp_b / tp_b_s + DOMAIN_LATENCY_S, 0.0) * fit.tp_exposed
    kv_width = np.where(model.latent, model.kv_rank + model.rope_dim, 2 * model.kv_heads * model.head_dim / tp)
    cp_b = tokens * kv_width * 2.0 * (plan.cp - 1)
    cp_layer_s = fit.cp_exposed * cp_b / np.where(tp * plan.cp <= gpu.domain_gpus, inside_b_s, outside_b_s)

    # Expert parallel: a copy for each expert inside the domain, and one for each distinct other domain of a token.
    ep = plan.ep
    domains = np.maximum(ep / gpu.domain_gpus, 1.0)
    remote = (domains - 1.0) * (1.0 - (1.0 - 1.0 / domains) ** np.maximum(model.top_k, 1.0))
    token_b = 2.0 * tokens / tp * h
    ep_inside_b = token_b * model.top_k * np.maximum(np.minimum(gpu.domain_gpus / ep, 1.0) - 1.0 / ep, 0.0)
    ep_outside_b = token_b * remote
    ep_layer_s = fit.ep_exposed * np.where(
        ep > 1, np.maximum(ep_inside_b / inside_b_s, ep_outside_b / outside_b_s) + ALL_TO_ALL_LATENCY_S, 0.0
    )

    full, core, other = plan.full_recompute, plan.core_recompute, plan.other_recompute
    n_dense, n_moe, n_all = model.dense_layers, model.moe_layers, model.all_layers

    def mean(dense: Any, moe: Any) -> Any:
        return (n_dense * dense + n_moe * moe) / n_all

    gemm_layer_s = projections_s + mean(mlp_s, moe_s)
    el_layer_s = layer_el_s + mean(0.0, routed_el_s)
    fixed_layer_s = fit.layer_s + mean(0.0, fit.expert_s)
    ep_mean_s = mean(0.0, ep_layer_s)
    recompute_layer_s = (
        full * (gemm_layer_s + core_s + el_layer_s + fixed_layer_s + 2 * tp_layer_s + 2 * ep_mean_s)
        + core * core_s
        + other * fit.recompute_passes * layer_el_s
    )
    # Twice back, for the gradients of the activations and of the weights; frozen weights need none.
    passes = 3 - plan.frozen
    compute_layer_s = passes * gemm_layer_s + core_s + core_back_s + 2.5 * el_layer_s
    comm_layer_s = 4 * tp_layer_s + 3 * cp_layer_s + 4 * ep_mean_s
    layer_s = compute_layer_s + comm_layer_s + recompute_layer_s + 2 * fixed_layer_s

    logits_s = passes_s(5 * tokens * model.vocab / tp, fit.output_passes, memory_b_s)
    output_s = (1 + model.mtp_layers) * (passes * output_gemm_s + logits_s)

    slowest_s, mean_s = slowest_stage(model, plan, layer_s, output_s)
    p2p_b = 2.0 * tokens * h / tp
    p2p_s = p2p_b / np.where(plan.gpus <= gpu.domain_gpus, inside_b_s, outside_b_s)
    piped = plan.pp > 1
    pp_micro_s = np.where(piped, 2 * chunks * p2p_s * np.where(chunks > 1, fit.pp_exposed, 1.0), 0.0)
    bubble_s = np.where(piped, (plan.pp - 1) / chunks * (mean_s + 2 * chunks * p2p_s), 0.0)
    m = plan.micro_batches
    main_s = m * (slowest_s + pp_micro_s)
    jitter_s = (main_s + bubble_s) * fit.jitter * np.log2(np.maximum(plan.gpus / 8.0, 1.0))

    dp_s, dp_b, dp_inside, weights, expert_weights = _data_parallel(model, plan, gpu, fit, m, slowest_s)
    shard = np.where(np.asarray(plan.zero) > 0, plan.replicas, 1.0)
    expert_shard = np.where(np.asarray(plan.zero) > 0, plan.expert_replicas, 1.0)
    trained = weights / shard + expert_weights / expert_shard
    optimizer_s = plan.trained_frac * trained * fit.optimizer_b / memory_b_s

    stage = m * n_all / plan.pp
    recompute_s = stage * recompute_layer_s
    compute_s = stage * compute_layer_s + recompute_s + m * output_s / plan.pp + optimizer_s
    tp_s, cp_s, ep_s = stage * 4 * tp_layer_s, stage * 3 * cp_layer_s, stage * 4 * ep_mean_s
    overhead_s = stage * 2 * fixed_layer_s + fit.step_s
    tp_inside = tp <= gpu.domain_gpus
    tp_total_b, cp_total_b = stage * (4 + 2 * full) * tp_b, stage * 3 * cp_b
    pp_total_b = np.where(piped, m * 2 * chunks * p2p_b, 0.0)
    cp_inside, pp_inside = tp * plan.cp <= gpu.domain_gpus, plan.gpus <= gpu.domain_gpus
    ep_passes = m * n_moe / plan.pp * (4 + 2 * full)
    return Step(
        step_s=main_s + bubble_s + jitter_s + dp_s + optimizer_s + fit.step_s,
        compute_s=compute_s,
        gemm_s=stage * passes * gemm_layer_s,
        attention_s=stage * (core_s + core_back_s),
        elementwise_s=stage * 2.5 * el_layer_s,
        output_s=m * output_s / plan.pp,
        recompute_s=recompute_s,
        optimizer_s=optimizer_s,
        tp_s=tp_s,
        cp_s=cp_s,
        ep_s=ep_s,
        pp_s=m * pp_micro_s,
        dp_s=dp_s,
        bubble_s=bubble_s,
        imbalance_s=m * (slowest_s - (n_all * layer_s + output_s) / plan.pp),
        jitter_s=jitter_s,
        overhead_s=overhead_s,
        domain_b=np.where(tp_inside, tp_total_b, 0.0)
        + np.where(cp_inside, cp_total_b, 0.0)
        + np.where(pp_inside, pp_total_b, 0.0)
        + ep_passes * ep_inside_b
        + np.where(dp_inside, dp_b, 0.0),
        network_b=np.where(tp_inside, 0.0, tp_total_b)
        + np.where(cp_inside, 0.0, cp_total_b)
        + np.where(pp_inside, 0.0, pp_total_b)
        + ep_passes * ep_outside_b
        + np.where(dp_inside, 0.0, dp_b),
    )


def utilisation(model: Transformer, plan: Plan, gpu: Gpu, step_s: Any) -> tuple[Any, Any]:
    """Model and hardware FLOPs utilisation of a step.

    Parameters
    ----------
    model, plan, gpu
        Rows of one length, or scalars.
    step_s : array_like, shape (n,)
        Time of the step. [s]

    Returns
    -------
    tuple of ndarray
        Operations that the model needs (MFU), and those done, recomputation included (HFU), over the peak of the run's
        data type. [1]

    Notes
    -----
    Half of the attention core lies above the diagonal and is counted in neither, so figures of papers that count it,
    as Megatron's, are higher. Compare seconds, not these.
    """
    peak = step_s * plan.gpus * gpu.matmul_flop_s
    weight_gradients = 2.0 * (model.active_params() - model.embedding_params()) * plan.seq
    need = (model.train_flop(plan.seq) - plan.frozen * weight_gradients) * plan.global_batch
    core = model.all_layers * model.attention_flop(plan.seq) / 2.0
    layers = 2.0 * (model.active_params() - model.embedding_params()) * plan.seq + core
    again = (plan.full_recompute * layers + plan.core_recompute * core) * plan.global_batch
    return need / peak, (need + again) / peak


def _data_parallel(
    model: Transformer, plan: Plan, gpu: Gpu, fit: Calibration, micro_batches: Any, stage_s: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Exposed time and bytes of gradient reduction and weight gathering, and the weights that a rank holds.

    A ring over replicas crosses the network once for every replica that a domain holds, so it has the network links of
    all of them, up to the domain's own bandwidth.
    """
    weights, expert_weights = stage_weights(model, plan)
    n, n_expert = plan.replicas, plan.expert_replicas
    inside_b_s, outside_b_s = gpu.domain_b_s * fit.domain_eff, gpu.network_b_s * fit.network_eff
    together = np.clip(gpu.domain_gpus / plan.tp, 1.0, n)
    dense_inside = (plan.gpus <= gpu.domain_gpus) | (n <= together)
    b_s = np.where(dense_inside, inside_b_s, np.minimum(outside_b_s * together, inside_b_s))
    expert_inside = plan.gpus / plan.pp <= gpu.domain_gpus
    expert_b_s = np.where(expert_inside, inside_b_s, outside_b_s)

    sharded = np.asarray(plan.zero) > 0
    a_weight_b = plan.gradient_b + np.where(sharded, gpu.weight_b, 0.0)
    dense_b = plan.trained_frac * weights * a_weight_b * (n - 1) / n
    expert_b = plan.trained_frac * expert_weights * a_weight_b * (n_expert - 1) / n_expert
    once_s = dense_b / b_s + expert_b / expert_b_s
    window_s = DP_WINDOW * stage_s * np.minimum(micro_batches, plan.pp)
    overlapped_s = np.maximum(once_s - window_s, 0.0) + fit.dp_exposed * np.minimum(once_s, window_s)

    # ZeRO-3 gathers weights forward and backward and scatters gradients, for every micro-batch.
    a_pass_b = 2 * gpu.weight_b + plan.trained_frac * plan.gradient_b
    full_b = micro_batches * (weights + expert_weights) * a_pass_b * (n - 1) / n
    full_s, hidden_s = full_b / b_s, FSDP_WINDOW * micro_batches * stage_s
    fsdp_s = np.maximum(full_s - hidden_s, 0.0) + fit.dp_exposed * np.minimum(full_s, hidden_s)

    fsdp = np.asarray(plan.zero) >= 3
    exposed_s = np.select([fsdp, sharded], [fsdp_s, overlapped_s], once_s)
    return exposed_s, np.where(fsdp, full_b, dense_b + expert_b), dense_inside, weights, expert_weights


def names() -> tuple[str, ...]:
    """Parameters of a calibration, in order."""
    return tuple(field.name for field in fields(Calibration))
