"""Curves of kernels: the form that the criterion chooses, and each point predicted without itself."""

import numpy as np
import pytest
from dcsim.calibration.curves import curve, forms_of
from dcsim.calibration.protocol import Point

from dcsim.physics.collectives import BUS_FACTOR, ramp_s, segments_s
from dcsim.rng import stream

SIZES = [2**k for k in range(10, 31)]


def sweep(times, ranks=8):
    return [
        Point("all_reduce", {"size_b": size, "ranks": ranks, "level": "node"}, 0, [float(t)], [0.0], "sure")
        for size, t in zip(SIZES, times, strict=True)
    ]


def noisy(times, seed, share=0.02):
    return np.asarray(times) * np.exp(stream(seed, "tests/curves").normal(0.0, share, len(times)))


def test_a_protocol_switch_is_told_from_a_ramp_and_from_a_line():
    factor = float(BUS_FACTOR["all_reduce"](8))
    made = {
        "straight": ramp_s(SIZES, factor, alpha_s=4e-5, bus_b_s=4e11, ramp_b=0.0, exponent=0.5),
        "saturating": ramp_s(SIZES, factor, alpha_s=4e-5, bus_b_s=4e11, ramp_b=3e7, exponent=0.5),
        "3 segments": segments_s(
            SIZES, factor, cuts_b=[2**17, 2**24], alpha_s=[2e-5, 6e-5, 3e-4], bus_b_s=[3e10, 2e11, 4.5e11]
        ),
    }
    for name, times in made.items():
        found = [curve(sweep(noisy(times, seed)), left_out=False) for seed in range(10)]
        # A criterion errs now and then; the bandwidth that it leads to hardly does.
        assert sum(one.form.name == name for one in found) >= 9, name
        bus = [one.values["bus_b_s"] for one in found]
        assert bus == pytest.approx([4.5e11 if name == "3 segments" else 4e11] * 10, rel=0.06), name


def test_a_form_never_has_more_parameters_than_half_the_points():
    few = sweep(np.ones(21))[:5]
    assert [form.name for form in forms_of(few)] == ["straight"]
    assert [form.count for form in forms_of(sweep(np.ones(21)))] == [2, 3, 6, 10]


def test_a_point_is_predicted_without_itself():
    factor = float(BUS_FACTOR["all_reduce"](8))
    times = np.array(ramp_s(SIZES, factor, alpha_s=4e-5, bus_b_s=4e11, ramp_b=0.0, exponent=0.5))
    found = curve(sweep(times))
    assert found.left_out_s == pytest.approx(times, rel=1e-3)
    times[-1] *= 1.3  # the last point alone tells of it, so the others cannot foresee it
    bent = curve(sweep(times))
    assert abs(bent.left_out_s[-1] / times[-1] - 1) > abs(bent.predicted_s[-1] / times[-1] - 1)


def test_published_sweeps_are_fitted_within_the_error_that_is_claimed(reference):
    """Single nodes of eight GPUs: the chosen form misses by 2 to 9 % on average, one line by 9 to 21 %."""
    import pandas as pd

    rows = pd.read_csv(reference("cases/nccl_allreduce_sweeps.csv"))
    means = []
    for _, one in rows[rows["gpus"] == 8].groupby("system"):
        one = one[one["size_B"] >= 1024]
        if len(one) < 16:
            continue
        points = [
            Point("all_reduce", {"size_b": int(b), "ranks": 8, "level": "node"}, 0, [t * 1e-6], [0.0], "sure")
            for b, t in zip(one["size_B"], one["time_us_oop"], strict=True)
        ]
        found = curve(points)
        means.append(float(np.mean(np.abs(found.predicted_s / found.measured_s - 1))))
    assert means
    assert max(means) < 0.10
