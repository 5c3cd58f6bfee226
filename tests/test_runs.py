"""Run folders appear whole or not at all, whatever happens to the process that writes them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from plans import SMALL

from dcsim import runs
from dcsim.errors import UsageError

DCSIM = Path(sys.executable).with_name("dcsim")
COMMAND = [
    DCSIM,
    "run",
    "baseline-10mw-h100",
    "--quiet",
    *(f"--set={text}" for text in (*SMALL, "workload.jobs.offered_load_frac=0.2")),
]
FILES = {
    "assumptions.parquet",
    "findings.json",
    "intervals.parquet",
    "jobs.parquet",
    "kpis.json",
    "ledger.parquet",
    "manifest.json",
    "pools.parquet",
    "register.parquet",
    "report.html",
    "scenario.yaml",
    "services.parquet",
    "statement.parquet",
}


def whole(folder):
    """Every file is there and is what the manifest says."""
    import hashlib

    names = {path.name for path in folder.iterdir()}
    assert names == FILES
    hashes = json.loads((folder / "manifest.json").read_text())["files"]
    for name, digest in hashes.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    return True


@pytest.mark.long
def test_killed_at_any_moment_nothing_partial_remains_and_the_next_run_is_clean(tmp_path):
    start = time.monotonic()
    done = subprocess.run(COMMAND, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    duration = time.monotonic() - start
    final = tmp_path / done.stdout.strip()
    assert whole(final)
    moments = random.Random(7)
    survived = 0
    for _ in range(12):
        process = subprocess.Popen(COMMAND, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # The second half of the run writes; most kills fall there.
        time.sleep(duration * moments.choice([moments.uniform(0, 1), moments.uniform(0.5, 1.0)]))
        process.send_signal(signal.SIGKILL)
        process.wait()
        visible = [path for path in final.parent.iterdir() if not path.name.startswith(".")]
        # The folder of before is whole, or the kill fell between the two renames and there is none.
        assert visible in ([final], [])
        assert not visible or whole(final)
        survived += bool(visible)
    assert survived >= 8
    assert subprocess.run(COMMAND, cwd=tmp_path, capture_output=True, timeout=120).returncode == 0
    assert [path.name for path in final.parent.iterdir()] == [final.name]
    assert whole(final)


def frame(table):
    from dcsim.columns import TABLES

    return pd.DataFrame({c.name: ["x"] if c.kind == "s" else [1.0 if c.kind == "f" else 1] for c in TABLES[table]})


def write(parent, writers=()):
    tables = {table: frame(table) for table in ("intervals", "jobs", "ledger", "assumptions")}
    scenario = {"name": "x", "plan": {"seed": 1}}
    return runs.write(
        parent, "x-1", scenario=scenario, kpis={}, findings={}, tables=tables, inputs={"a": "b"}, writers=writers
    )


def test_an_existing_run_is_replaced_whole(tmp_path):
    folder = write(tmp_path)
    (folder / "stray").write_text("")
    assert write(tmp_path) == folder
    assert "stray" not in [path.name for path in folder.iterdir()]
    assert [path.name for path in tmp_path.iterdir()] == ["x-1"]


def test_a_writer_that_fails_leaves_the_old_run_and_nothing_else(tmp_path):
    folder = write(tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fails(path):
        assert (path / "kpis.json").exists()
        assert not (path / "manifest.json").exists()
        raise RuntimeError("no report today")

    with pytest.raises(RuntimeError):
        write(tmp_path, (fails,))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["x-1"]


def test_leftovers_of_dead_processes_are_swept_and_those_of_living_ones_stay(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    for name in (f".y-2.partial-{dead.pid}", f".y-2.replaced-{dead.pid}", f".y-2.partial-{os.getppid()}", ".keep-me"):
        (tmp_path / name).mkdir()
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"x-1", f".y-2.partial-{os.getppid()}", ".keep-me"}


def test_the_name_depends_on_scenario_inputs_and_seed():
    base = runs.run_hash({"a": 1, "plan": {"seed": 0}}, {"w": "1"})
    assert base == runs.run_hash({"plan": {"seed": 0}, "a": 1}, {"w": "1"})
    others = [
        ({"a": 2, "plan": {"seed": 0}}, {"w": "1"}),
        ({"a": 1, "plan": {"seed": 1}}, {"w": "1"}),
        ({"a": 1, "plan": {"seed": 0}}, {"w": "2"}),
    ]
    assert base not in [runs.run_hash(*other) for other in others]


def test_a_table_with_other_columns_or_undefined_values_is_a_fault(tmp_path):
    with pytest.raises(AssertionError, match="differ from the declared"):
        runs.write_table(tmp_path / "x", "ledger", frame("ledger").drop(columns="item"))
    undefined = frame("jobs")
    undefined["energy_j"] = float("nan")
    with pytest.raises(AssertionError, match="energy_j holds an undefined value"):
        runs.write_table(tmp_path / "x", "jobs", undefined)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        runs.read(tmp_path)
