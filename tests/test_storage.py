"""Storage of a plan: what is kept by month against what stands."""

import pytest
from plans import small

from dcsim import pipeline, runs
from dcsim.catalog.hardware import transformer
from dcsim.errors import InputError
from dcsim.physics.reliability import checkpoint_b

STATED = "facility.storage={capacity_tb: 1000.0, write_gb_s: 50.0}"
GROWS = "workload.stored={data_tb: 400.0, growth_tb_per_month: 30.0}"
RUN = "workload.runs=[{name: m, model: llama3.1-70b, gpus: 64, tokens: 1e11, submit_day: 100.0}]"


def stored(*sets):
    return pipeline.prepare(small(*sets)).stored


def test_data_grows_by_the_month_and_runs_keep_their_checkpoints():
    without, with_run = stored(STATED, GROWS), stored(STATED, GROWS, RUN)
    assert without.used_tb[0] == 430.0
    assert without.used_tb[-1] == 400.0 + 30.0 * len(without.months)
    more = with_run.used_tb - without.used_tb
    size_tb = float(checkpoint_b(transformer("llama3.1-70b").params())) / 1e12
    assert more[:3].tolist() == [0.0, 0.0, 0.0]  # submitted in April
    assert more[3:] == pytest.approx([3 * size_tb] * (len(more) - 3))
    assert 0.9 < size_tb < 1.1


def test_the_month_when_full_is_the_first_that_ends_above_what_stands():
    assert stored(STATED, GROWS).full is None
    full = stored("facility.storage={capacity_tb: 505.0}", GROWS)
    assert full.full == full.months[3]  # 520 TB at its end
    assert stored("facility.storage={capacity_tb: 520.0}", GROWS).full == full.months[4]


def test_adapters_are_small_and_writes_are_spread_over_the_interval():
    whole, adapters = stored(STATED, RUN), stored(STATED, RUN.replace("submit_day", "trained_frac: 0.001, submit_day"))
    assert adapters.used_tb[-1] == pytest.approx(0.001 * whole.used_tb[-1])
    ready = pipeline.prepare(small(STATED, RUN))
    interval_s = ready.reliability.checkpoint_interval_s[ready.demand.jobs.class_names.index("m")]
    size_gb = float(checkpoint_b(transformer("llama3.1-70b").params())) / 1e9
    assert whole.most_write_gb_s == pytest.approx(size_gb / interval_s)
    assert stored(STATED, RUN, "workload.reliability=null").most_write_gb_s == 0.0


def test_headroom_counts_storage_where_it_is_stated(tmp_path):
    tight = STATED.replace("1000.0", "505.0")
    found = runs.read(pipeline.run(small(tight, GROWS, RUN), tmp_path))
    of = {one["name"]: one for one in found.findings["headroom"]}
    assert of["storage"]["left_frac"] < 0
    assert 0 < of["storage writes"]["left_frac"] < 1
    assert found.findings["storage"]["full"] is not None
    without = runs.read(pipeline.run(small(), tmp_path))
    assert "storage" not in {one["name"] for one in without.findings["headroom"]}
    assert without.findings["storage"] is None


POOL = (
    "facility.pools={disks: {server: storage-90}}",
    "facility.phases[1].pool=disks",
    "facility.phases[1].servers=10",
)


def test_a_pool_of_storage_servers_stands_from_its_phase_on_and_takes_no_job(tmp_path):
    ready = pipeline.prepare(small(*POOL, GROWS))
    of = ready.stored
    assert of.capacity_tb[0] == 0.0
    assert of.capacity_tb[-1] == 18_210.0
    assert of.full == of.months[0]  # nothing stands before the phase
    both = pipeline.prepare(small(*POOL, GROWS, STATED)).stored
    assert both.capacity_tb[-1] == 19_210.0
    assert both.full is None
    found = runs.read(pipeline.run(small(*POOL, GROWS), tmp_path))
    assert (found.jobs["pool"] == "main").all()
    pool = found.pools[found.pools["pool"] == "disks"]
    assert pool["idle_power_w"].max() == pytest.approx(10 * 1412.0)
    assert pool["gpus_energised"].max() == 0
    with pytest.raises(InputError, match="are others"):
        pipeline.prepare(small(*POOL, "workload.pools={training: [disks]}"))


def test_no_capacity_is_refused():
    with pytest.raises(InputError, match="capacity_tb"):
        stored("facility.storage={capacity_tb: 0.0}")
