"""Random streams: keyed by name, so that a new process leaves the draws of all others alone."""

import numpy as np
from plans import small

from dcsim import pipeline
from dcsim.rng import stream


def test_a_stream_depends_on_seed_and_name_alone():
    first = stream(3, "failures/hall-1").random(5)
    stream(3, "something else").random(1000)
    assert (stream(3, "failures/hall-1").random(5) == first).all()
    assert (stream(4, "failures/hall-1").random(5) != first).all()
    assert (stream(3, "failures/hall-2").random(5) != first).all()


def test_zero_is_a_seed():
    assert (stream(0, "a").random(3) == stream(0, "a").random(3)).all()
    assert (stream(0, "a").random(3) != stream(1, "a").random(3)).all()


def test_streams_are_independent():
    a, b = stream(1, "a").standard_normal(20_000), stream(1, "b").standard_normal(20_000)
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(20_000)


def test_adding_a_workload_class_keeps_the_draws_of_the_others():
    """Offered hours rise with the new class, so that the others' own stay what they were."""
    two = pipeline.prepare(small("workload.jobs.gpu_hours_share={training: 0.6, inference: 0.4}")).demand.jobs
    three = pipeline.prepare(
        small(
            "workload.jobs.gpu_hours_share={training: 0.6, fine_tuning: 1.0, inference: 0.4}",
            "workload.jobs.offered_load_frac=1.7",
        )
    ).demand.jobs
    for name in ("training", "inference"):
        before = two.select(two.class_index == two.class_names.index(name))
        after = three.select(three.class_index == three.class_names.index(name))
        assert (before.submit_s == after.submit_s).all()
        assert (before.run_s == after.run_s).all()
        assert (before.gpus == after.gpus).all()


def test_failures_do_not_touch_the_jobs_drawn():
    with_failures = pipeline.prepare(small()).demand.jobs
    without = pipeline.prepare(small("workload.reliability=null")).demand.jobs
    assert (with_failures.submit_s == without.submit_s).all()
