"""Training runs of known models in a scenario: steps times step time, power by duty, slower over several leaves."""

import numpy as np
import pytest
from plans import small

from dcsim import pipeline
from dcsim.catalog.fitted import fitted
from dcsim.catalog.hardware import server_gpu
from dcsim.errors import InputError, UnknownNameError
from dcsim.nodes import server_power
from dcsim.physics.servers import electronics_w

RUN = "{name: mine, model: llama3.1-8b, gpus: %d, tokens: 1.0e10, submit_day: %g}"


def prepared(*sets, gpus=64, day=1.0):
    return pipeline.prepare(small(f"workload.runs=[{RUN % (gpus, day)}]", *sets))


def services_of(ready):
    return ready.facility.pools[0].services


def row_of(ready):
    jobs = ready.demand.jobs
    return int(np.flatnonzero(jobs.class_index == jobs.class_names.index("mine"))[0])


def test_time_is_steps_times_step_time():
    ready = prepared()
    jobs, row = ready.demand.jobs, row_of(ready)
    note = next(note for note in ready.demand.notes if note.startswith("run mine"))
    step_s, steps = float(note.split("step ")[1].split(" s")[0]), 1e10 / (512 * 8192)
    assert jobs.run_s[row] == pytest.approx(step_s * np.ceil(steps), rel=0.01)
    assert jobs.submit_s[row] == 86400.0
    assert jobs.gpus[row] == 64
    assert np.all(np.diff(jobs.submit_s) >= 0)
    assert len(np.unique(jobs.job_id)) == len(jobs)


def test_power_is_that_of_the_servers_physics_at_the_runs_duty():
    ready = prepared()
    services = services_of(ready)
    one = services.service("mine", 1)
    fit = fitted("node-power")["all"].parameters
    power = server_power(ready.used, "hgx-h100-8")
    electronics = electronics_w(power, fit["intensity"], one.stall_frac, stall_power_frac=fit["stall_power_frac"])
    fans = services.gpu_fan_w[-1, 1] * 8
    assert one.node_power_w == pytest.approx(float(electronics + fans))
    assert 0.5 < 1.0 - one.stall_frac < 1.0


def test_other_jobs_are_left_as_they_were():
    with_run, without = prepared(), pipeline.prepare(small())
    row = row_of(with_run)
    keep = np.arange(len(with_run.demand.jobs)) != row
    ours = with_run.demand.jobs.select(keep)
    assert np.array_equal(ours.run_s, without.demand.jobs.run_s)
    assert np.array_equal(ours.job_id, without.demand.jobs.job_id)
    assert np.array_equal(services_of(with_run).work_rate[:-1], services_of(without).work_rate)


def test_an_oversubscribed_network_slows_runs_over_several_leaves_alone():
    full, thin = prepared(), prepared("facility.fabric.oversubscription=4.0")
    assert services_of(full).service("mine", 2).work_rate == 1.0
    one, two = (services_of(thin).service("mine", span) for span in (1, 2))
    assert one.work_rate == 1.0
    assert 0.3 < two.work_rate < 1.0
    assert two.stall_frac > one.stall_frac
    assert two.node_power_w < one.node_power_w


def test_a_models_step_times_stand_for_a_class():
    thin = prepared("facility.fabric.oversubscription=4.0", "workload.class_models={training: llama3.1-8b}")
    rate = services_of(thin).service("training", 2).work_rate
    assert rate != services_of(prepared("facility.fabric.oversubscription=4.0")).service("training", 2).work_rate
    assert 0.3 < rate < 1.0
    full = prepared("workload.class_models={training: llama3.1-8b}")
    assert services_of(full).service("training", 2).work_rate == 1.0


def test_checkpoints_of_a_run_are_by_youngs_interval():
    ready = prepared()
    assert ready.reliability is not None
    interval, stall = ready.reliability.checkpoint_interval_s[-1], ready.reliability.checkpoint_write_s[-1]
    failure_s = 86400 / (8 * ready.reliability.failures_per_node_day)
    assert interval == pytest.approx(np.sqrt(2 * stall * failure_s))


@pytest.mark.parametrize(
    ("sets", "rule"),
    [
        ((f"workload.runs=[{RUN % (4096, 1)}]",), "more than the"),
        ((f"workload.runs=[{RUN % (64, 4000)}]",), "after the end"),
        ((f"workload.runs=[{RUN % (64, 1)}]", "workload.runs[0].model=llama9"), "not a known model"),
        ((f"workload.runs=[{RUN % (64, 1)}]", "workload.runs[0].model=llama3.1-405b"), "no plan fits"),
        ((f"workload.runs=[{RUN % (64, 1)}]", "workload.runs[0].dtype=nvfp4"), "no nvfp4 units"),
        ((f"workload.runs=[{RUN % (64, 1)}]", "workload.runs[0].name=training"), "name each once"),
        (("workload.class_models={training: llama9}",), "not a known model"),
    ],
)
def test_a_run_that_cannot_be_is_refused_at_its_place(sets, rule):
    with pytest.raises(InputError, match=rule) as caught:
        pipeline.prepare(small(*sets))
    assert "workload" in str(caught.value)


def test_the_gpu_of_a_server_is_known_by_its_name():
    assert server_gpu("hgx-h100-8-dlc") == server_gpu("DGX H100") == "h100-sxm-80gb"
    assert server_gpu("gb200-nvl72") == "gb200-nvl72"
    with pytest.raises(UnknownNameError, match="does not say"):
        server_gpu("some-server")
