"""Power of a replayed cluster: what was put in is found, the unseen part stays unseen, the SURF week is within bars."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from dcsim.errors import InputError, UsageError
from dcsim.physics.servers import busy_frac
from dcsim.validate.cli import validate
from dcsim.validate.replay import replay

START = pd.Timestamp("2024-03-01 00:00:00")
HOSTS, CORES, MHZ = 3, 4, 1000.0
IDLE_W, DYNAMIC_W = 40.0, 110.0


def week(folder, hours=6, queue=True):
    """Tasks of a small cluster and its power, worked out slot by slot in plain loops."""
    draws = np.random.default_rng(1)
    slots = hours * 120
    power = np.full(slots, HOSTS * IDLE_W)
    tasks, fragments, t = [], [], 0
    while t < slots - 40:
        wide, length = int(draws.integers(1, HOSTS + 1)), int(draws.integers(5, 30))
        usage = draws.uniform(0, CORES * MHZ * wide, length)
        name = str(len(tasks) + 1)
        tasks.append((name, START + pd.Timedelta(seconds=30 * t), 30_000 * length, CORES * wide))
        for k in range(length):
            fragments.append((name, 30_000, CORES, usage[k]))
            power[t + k] += wide * DYNAMIC_W * float(busy_frac(usage[k] / (wide * CORES * MHZ)))
        t += length + int(draws.integers(0, 3))
    columns = ["id", "submission_time", "duration", "cpu_count"]
    pd.DataFrame(tasks, columns=columns).assign(cpu_capacity=1.0).to_parquet(folder / "tasks.parquet")
    columns = ["id", "duration", "cpu_count", "cpu_usage"]
    pd.DataFrame(fragments, columns=columns).to_parquet(folder / "fragments.parquet")
    host = {"count": HOSTS, "cpu": {"coreCount": CORES, "coreSpeed": MHZ}}
    (folder / "topology.json").write_text(json.dumps({"clusters": [{"hosts": [host]}]}))
    stamps = 30_000 * np.arange(1, slots + 1)
    return pd.DataFrame({"timestamp": stamps, "power_draw": power})


def test_what_was_put_in_is_found(tmp_path):
    power = week(tmp_path)
    power.to_parquet(tmp_path / "power.parquet")
    found = replay(tmp_path, tmp_path / "power.parquet", "2024-03-01T03:00")
    assert found["parameters"]["idle_w"] == pytest.approx(IDLE_W, rel=1e-9)
    assert found["parameters"]["dynamic_w"] == pytest.approx(DYNAMIC_W, rel=1e-9)
    assert found["n"] == 72
    assert found["splits"]["in_sample"]["n"] == found["splits"]["out_of_sample"]["n"] == 36
    assert found["max_pct"] == pytest.approx(0, abs=1e-9)


def test_the_unseen_part_moves_no_parameter(tmp_path):
    power = week(tmp_path)
    half = len(power) // 2
    power[:half].to_parquet(tmp_path / "half.parquet")
    late = power[half:].assign(power_draw=2.0 * power["power_draw"])
    late.to_csv(tmp_path / "late.csv", index=False)
    alone = replay(tmp_path, tmp_path / "half.parquet", "2024-03-01T03:00Z")
    both = replay(tmp_path, tmp_path / "half.parquet", "2024-03-01T03:00Z", tmp_path / "late.csv")
    assert alone["parameters"] == both["parameters"]
    assert alone["splits"]["out_of_sample"]["n"] == 0
    assert both["splits"]["out_of_sample"]["n"] == 36
    assert both["splits"]["out_of_sample"]["mape_pct"] == pytest.approx(50.0)
    assert both["rows"][: len(alone["rows"])] == alone["rows"]


@pytest.mark.parametrize("stamp", ["since 1970", "calendar"])
def test_times_may_be_those_of_a_calendar(tmp_path, stamp):
    power = week(tmp_path)
    epoch_ms = int(START.timestamp() * 1000)
    moved = power["timestamp"] + epoch_ms
    power["timestamp"] = moved if stamp == "since 1970" else pd.to_datetime(moved, unit="ms")
    power.to_parquet(tmp_path / "power.parquet")
    assert replay(tmp_path, tmp_path / "power.parquet")["max_pct"] == pytest.approx(0, abs=1e-6)


def test_rubbish_is_refused_by_name(tmp_path):
    week(tmp_path).to_parquet(tmp_path / "power.parquet")
    power = tmp_path / "power.parquet"
    with pytest.raises(UsageError, match="is no time in ISO 8601"):
        replay(tmp_path, power, "tomorrow")
    with pytest.raises(UsageError, match="fewer than two samples"):
        replay(tmp_path, power, "2020-01-01")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="is no series of timestamp and power_draw"):
        replay(tmp_path, tmp_path / "bad.csv")
    (tmp_path / "topology.json").write_text("{}")
    with pytest.raises(InputError, match="is no topology of OpenDC"):
        replay(tmp_path, power)


def test_its_options_belong_to_replay_alone(tmp_path):
    refused = CliRunner().invoke(validate, ["electrical", "--power", "x"])
    assert refused.exit_code == 2
    assert "--power belongs to replay" in refused.output


def test_the_surf_week_is_within_its_bars(reference):
    # Peers over the whole week, theirs fitted or calibrated on it: OpenDC 6.37, OpenDT 5.13 and 4.39, M3SA 3.81 %.
    power = reference("traces/surf/power_first_half.parquet")
    whole = replay(power.parent, power, "2022-10-10T10:00")
    assert whole["n"] == 1007
    assert whole["mape_pct"] <= 2.7
    half = replay(power.parent, power)
    assert half["splits"]["out_of_sample"]["mape_pct"] <= 3.8
    done = CliRunner().invoke(validate, ["replay", "--json"])
    assert json.loads(done.output)["parameters"] == half["parameters"]
