"""Residual networks by their published sizes, and the laws of a step."""

import numpy as np
import pytest

from dcsim.catalog.hardware import gpu
from dcsim.physics.collectives import Fabric
from dcsim.physics.convnet import ConvCalibration, convnet_step, resnet

H100 = gpu("h100-sxm-80gb", "bf16", "ib-ndr400")
FABRIC = Fabric(domain_gpus=8, domain_b_s=370e9, nvls_b_s=480e9, network_b_s=45e9)
RESNET50 = resnet((3, 4, 6, 3))


@pytest.mark.parametrize(
    ("blocks", "layers", "multiplications", "params"),
    [
        # He et al. 2016 count 3.8, 7.6 and 11.3 billion for version 1; version 1.5 adds half a billion.
        ((3, 4, 6, 3), 50, 4.1e9, 25.6e6),
        ((3, 4, 23, 3), 101, 7.8e9, 44.5e6),
        ((3, 8, 36, 3), 152, 11.5e9, 60.2e6),
    ],
)
def test_published_sizes(blocks, layers, multiplications, params):
    model = resnet(blocks)
    # Four projections on shortcuts are not counted as layers.
    assert len(model.pixels) - 4 == layers
    assert model.flop / 2 == pytest.approx(multiplications, rel=0.02)
    assert model.params == pytest.approx(params, rel=0.005)


def test_parts_sum_to_the_step():
    step = convnet_step(RESNET50, np.array([32.0, 400.0]), np.array([8, 512]), H100, FABRIC, ConvCalibration())
    assert step.step_s == pytest.approx(step.gemm_s + step.elementwise_s + step.dp_s + step.overhead_s)
    assert np.all((step.duty_frac > 0) & (step.duty_frac < 1))


def test_small_batches_and_more_gpus_are_less_efficient():
    batch = np.array([16.0, 64.0, 256.0])
    rate = batch / convnet_step(RESNET50, batch, 64, H100, FABRIC, ConvCalibration()).step_s
    assert np.all(np.diff(rate) > 0)
    times = convnet_step(RESNET50, 64.0, np.array([1, 8, 64, 1024]), H100, FABRIC, ConvCalibration()).step_s
    assert np.all(np.diff(times) >= 0)


def test_one_gpu_sends_nothing():
    assert float(convnet_step(RESNET50, 64.0, 1, H100, FABRIC, ConvCalibration()).dp_s) == 0.0
