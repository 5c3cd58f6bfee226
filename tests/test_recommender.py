"""Recommendation models: sizes, parts that sum, and which part binds."""

import numpy as np
import pytest

from dcsim.catalog.hardware import gpu
from dcsim.physics.collectives import Fabric
from dcsim.physics.recommender import (
    Recommender,
    RecommenderCalibration,
    recommender_memory_b,
    recommender_step,
)

# DLRM-DCNv2 of MLPerf: 26 tables of 128 wide rows, 204 million rows in all, 214 lookups a sample, cross rank 512.
DCNV2 = Recommender(
    tables=26,
    rows=204_184_588,
    width=128,
    lookups=214,
    layers=((13, 512), (512, 256), (256, 128), (3456, 1024), (1024, 1024), (1024, 512), (512, 256), (256, 1)),
    cross_layers=3,
    cross_rank=512,
)
H100 = gpu("h100-sxm-80gb", "bf16", "ib-ndr400")
FABRIC = Fabric(domain_gpus=8, domain_b_s=370e9, nvls_b_s=480e9, network_b_s=45e9)


def test_sizes_by_hand():
    assert DCNV2.features == 27 * 128
    assert DCNV2.embedding_params == 204_184_588 * 128
    crosses = 3 * ((3456 + 1) * 512 + 513 * 3456)
    layers = sum((i + 1) * o for i, o in DCNV2.layers)
    assert DCNV2.dense_params == crosses + layers


def test_parts_sum_to_the_step():
    step = recommender_step(DCNV2, np.array([512.0, 8192.0]), 64, H100, FABRIC, RecommenderCalibration())
    total = step.gemm_s + step.embedding_s + step.all_to_all_s + step.dp_s + step.overhead_s
    assert step.step_s == pytest.approx(total)


def test_leaving_the_domain_makes_the_exchange_bind():
    inside, outside = (recommender_step(DCNV2, 8192.0, n, H100, FABRIC, RecommenderCalibration()) for n in (8, 64))
    assert float(outside.all_to_all_s) > 4 * float(inside.all_to_all_s)
    assert float(outside.gemm_s) == float(inside.gemm_s)


def test_lookups_cost_memory_traffic():
    step = recommender_step(DCNV2, 8192.0, 8, H100, FABRIC, RecommenderCalibration(gather_eff=1.0))
    assert float(step.embedding_s) == pytest.approx(3 * 8192 * 214 * 128 * 4 / 3.35e12, rel=0.01)


def test_tables_are_split_and_dense_layers_are_not():
    eight, many = recommender_memory_b(DCNV2, 8192.0, 8), recommender_memory_b(DCNV2, 8192.0, 64)
    assert float(eight) == pytest.approx(float(many) + (1 / 8 - 1 / 64) * (204_184_588 * (128 * 4 + 4)), rel=1e-6)
