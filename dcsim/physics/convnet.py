"""Step time of training a residual convolutional network by data parallelism."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.physics.collectives import Fabric, collective_s
from dcsim.physics.kernels import gemm_s, passes_s
from dcsim.physics.parallel import Gpu
from dcsim.physics.transformer import Floats, Rows


@dataclass(frozen=True)
class ConvNet:
    """Convolutions of a network, a row each; a matrix product of k = channels in x kernel size by n channels out.

    Parameters
    ----------
    pixels : ndarray, shape (layers,)
        Positions of the output of each. [1]
    channels_out, inner : ndarray, shape (layers,)
        Channels out, and channels in times kernel positions. [1]
    """

    pixels: Floats
    channels_out: Floats
    inner: Floats

    @property
    def flop(self) -> float:
        """Operations of an image, forward. [FLOP]"""
        return float(np.sum(2.0 * self.pixels * self.channels_out * self.inner))

    @property
    def params(self) -> float:
        """Weights, with scale and shift of each normalisation. [1]"""
        return float(np.sum(self.channels_out * (self.inner + 2.0)))

    @property
    def activations(self) -> float:
        """Numbers that the convolutions of an image write. [1]"""
        return float(np.sum(self.pixels * self.channels_out))


def resnet(blocks: tuple[int, ...], *, image: int = 224, classes: int = 1000) -> ConvNet:
    """Bottleneck residual network of some blocks a stage, such as (3, 4, 6, 3) for 50 layers.

    Parameters
    ----------
    blocks : tuple of int
        Bottleneck blocks of each stage. [1]
    image : int
        Side of an input image, a multiple of 32. [px]
    classes : int
        Outputs of the last layer. [1]

    References
    ----------
    .. [1] K. He et al., "Deep residual learning for image recognition," CVPR 2016, table 1; strides as in version 1.5,
       on the 3 x 3 convolution.
    """
    side = image // 2
    rows = [(side * side, 64, 3 * 49)]
    side //= 2
    channels = 64
    for stage, count in enumerate(blocks):
        width, inside = 64 * 2**stage, side
        for block in range(count):
            # The first block of a later stage reads at the former size and halves it.
            side = inside // 2 if block == 0 and stage > 0 else side
            before = inside if block == 0 else side
            rows += [
                (before * before, width, channels),
                (side * side, width, 9 * width),
                (side * side, 4 * width, width),
            ]
            if block == 0:
                rows.append((side * side, 4 * width, channels))
            channels = 4 * width
    rows.append((1, classes, channels))
    pixels, out, inner = np.array(rows, dtype=float).T
    return ConvNet(pixels, out, inner)


@dataclass(frozen=True)
class ConvCalibration(Rows):
    """What a software stack makes of the hardware.

    Parameters
    ----------
    gemm_eff : array_like
        Best matrix rate over peak. [1]
    memory_eff : array_like
        Achieved over peak memory bandwidth. [1]
    passes : array_like
        Times that forward and backward move each activation: convolution, normalisation, rectifier. [1]
    layer_s : array_like
        Time of a layer that no size changes, once forward and once backward; as of a transformer's. [s]
    dp_window, dp_exposed : array_like
        Share of the computation behind which gradients can be reduced, and of what fits there that still shows. [1]
    """

    gemm_eff: Any = 0.65
    memory_eff: Any = 0.85
    passes: Any = 14.0
    layer_s: Any = 30e-6
    dp_window: Any = 0.6
    dp_exposed: Any = 0.2


@dataclass(frozen=True)
class ConvStep(Rows):
    """One training step by its parts, which sum; each field an array of shape (n,). [s]"""

    step_s: Any
    gemm_s: Any
    elementwise_s: Any
    dp_s: Any
    overhead_s: Any

    @property
    def duty_frac(self) -> Any:
        """Share of the step in which a GPU computes. [1]"""
        return (self.gemm_s + self.elementwise_s) / self.step_s


def convnet_step(model: ConvNet, images: Any, gpus: Any, gpu: Gpu, fabric: Fabric, fit: ConvCalibration) -> ConvStep:
    r"""Time of a step under data parallelism in 16 bit.

    Parameters
    ----------
    model : ConvNet
        The network.
    images : array_like, shape (n,)
        Images of a step on each GPU. [1]
    gpus : array_like, shape (n,)
        GPUs. [1]
    gpu, fabric, fit
        Hardware and calibration, rows of one length or scalars.

    Notes
    -----
    .. math:: T = 3 \sum_l t_{gemm,l} + \frac{c \, A b}{B} + 2 L t_l + T_{dp}

    with backward products at twice the forward ones and A activations an image of which half the passes of a step are
    backward. Reading and decoding of images is taken to keep up. On MLPerf's ResNet-50 over 4 to 128 nodes, with
    efficiencies fitted on one node, the error is printed by `dcsim validate training`.
    """
    b = np.asarray(images, dtype=float)[..., None]

    def column(value: Any) -> Any:
        return np.asarray(value, dtype=float)[..., None]

    forward = gemm_s(
        b * model.pixels,
        model.channels_out,
        model.inner,
        column(gpu.matmul16_flop_s * fit.gemm_eff),
        half_m=column(gpu.gemm_m0),
        half_n=column(gpu.gemm_n0),
        half_k=column(gpu.gemm_k0),
    )
    products_s = 3.0 * np.sum(forward, axis=-1)
    images = np.asarray(images, dtype=float)
    elementwise_s = passes_s(images * model.activations, fit.passes, gpu.memory_b_s * fit.memory_eff)
    n = np.asarray(gpus, dtype=float)
    reduce_s = np.where(n > 1, collective_s("all_reduce", 2.0 * model.params, np.maximum(n, 2.0), fabric), 0.0)
    hidden = np.minimum(reduce_s, fit.dp_window * (products_s + elementwise_s))
    dp_s = reduce_s - hidden + fit.dp_exposed * hidden
    overhead_s = np.broadcast_to(2.0 * len(model.pixels) * np.asarray(fit.layer_s), np.shape(dp_s))
    return ConvStep(
        step_s=products_s + elementwise_s + dp_s + overhead_s,
        gemm_s=products_s,
        elementwise_s=elementwise_s,
        dp_s=dp_s,
        overhead_s=overhead_s,
    )
