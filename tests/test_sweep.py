"""A sweep computes each run once and gives the same bytes, whatever is killed on the way."""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from plans import small
from study_engines import DCSIM, LOOPBACK, PATIENCE_S, TESTS, Here, cluster, files, interruptible, until
from study_tasks import starts, task, work
from test_cli import refused

from dcsim.cli import cli
from dcsim.columns import INTERVALS
from dcsim.errors import UsageError
from dcsim.model.tree import dump
from dcsim.study.engines.choose import engine_of
from dcsim.study.engines.cluster import DaskEngine
from dcsim.study.engines.engine import EngineError, Failed
from dcsim.study.engines.local import LocalEngine
from dcsim.study.engines.store import Store, StoreError, completed
from dcsim.study.figures import alike
from dcsim.study.sweep import design
from dcsim.study.sweep.cli import SweepError
from dcsim.study.sweep.moments import AVERAGED, Moments
from dcsim.study.sweep.tables import parquet
from dcsim.study.sweep.tasks import compute


def survives_deaths(engine, marks):
    """Fine tasks run once, one whose worker dies runs again, one that always kills its worker is given up."""
    marks.mkdir()
    kinds = {f"fine{i}": "fine" for i in range(6)} | {"unlucky": "dies once", "bad": "poison", "wrong": "raises"}
    found = dict(engine.run(work, {name: task(marks, name, kind) for name, kind in kinds.items()}))
    assert set(found) == set(kinds)
    for name in [*kinds][:7]:
        assert found[name] == (name.encode(),)
    assert isinstance(found["bad"], Failed)
    assert "died" in found["bad"].reason
    assert found["wrong"].reason.startswith("ValueError: no such luck (in work")
    assert {name: starts(marks, name) for name in kinds} == {
        **dict.fromkeys(list(kinds)[:6], 1),
        "unlucky": 2,
        "bad": 3,
        "wrong": 1,
    }


def test_a_worker_that_dies_costs_its_own_task_alone(tmp_path):
    engine = LocalEngine(2)
    try:
        survives_deaths(engine, tmp_path / "marks")
    finally:
        engine.close()


def test_a_killed_parent_leaves_no_worker_and_nothing_finished_is_computed_again(tmp_path):
    marks, store = tmp_path / "marks", Store(tmp_path / "results", "")
    marks.mkdir()
    tasks = {f"t{i}": task(marks, f"t{i}", "slow") for i in range(6)}
    script = tmp_path / "parent.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        "from pathlib import Path\n"
        "from study_tasks import work\n"
        "from dcsim.study.engines.local import LocalEngine\n"
        "from dcsim.study.engines.store import Store, completed\n"
        "if __name__ == '__main__':\n"
        f"    list(completed(LocalEngine(2), work, {tasks!r}, (Store(Path({str(store.folder)!r}), ''),)))\n"
    )
    parent = subprocess.Popen([sys.executable, script])
    until(lambda: sum(key in store for key in tasks) >= 2, "two results")
    parent.kill()
    parent.wait()
    pids = {int(path.name.split(".")[1]) for path in marks.iterdir()}
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the workers to end")
    there = {key for key in tasks if key in store}
    assert 2 <= len(there) < len(tasks)
    engine = LocalEngine(2)
    try:
        assert {key for key, _ in completed(engine, work, tasks, (store,))} == set(tasks) - there
    finally:
        engine.close()
    assert all(store.get(key) == key.encode() for key in tasks)
    assert all(starts(marks, key) == 1 for key in there)


def test_dask_survives_workers_and_says_what_to_do_without_its_scheduler(tmp_path, monkeypatch):
    with cluster(tmp_path / "dask") as (address, scheduler):
        engine = DaskEngine(address)
        survives_deaths(engine, tmp_path / "marks")
        marks, store = tmp_path / "more", Store(tmp_path / "results", "")
        marks.mkdir()
        tasks = {f"t{i}": task(marks, f"t{i}", "slow") for i in range(8)}
        going = completed(engine, work, tasks, (store,))
        next(going)
        scheduler.kill()
        with pytest.raises(EngineError, match="give the same command: what is finished is kept"):
            list(going)
        engine.close()
        monkeypatch.setattr("dcsim.study.engines.cluster.CONNECT_S", 1.0)
        with pytest.raises(EngineError, match="no scheduler answers"):
            DaskEngine(address)
    there = {key for key in tasks if key in store}
    assert there
    engine = LocalEngine(2)
    try:
        assert {key for key, _ in completed(engine, work, tasks, (store,))} == set(tasks) - there
    finally:
        engine.close()
    assert all(starts(marks, key) == 1 for key in there)


def test_a_full_disk_keeps_what_is_finished_and_says_so(tmp_path, monkeypatch):
    store = Store(tmp_path / "results", "")
    tasks = {f"t{i}": task(tmp_path, f"t{i}") for i in range(4)}
    count = itertools.count()

    def full(descriptor):
        if next(count) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device; every result before it is kept") as fault:
        list(completed(Here(), work, tasks, (store,)))
    assert fault.value.exit_code == 3
    assert sorted(path.name for path in store.folder.iterdir()) == ["t0", "t1"]
    assert [key for key, _ in completed(Here(), work, tasks, (store,))] == ["t2", "t3"]
    assert starts(tmp_path, "t0") == 1


def intervals(rng):
    return pd.DataFrame({column.name: np.round(rng.normal(1e6, 9.0, 5)) for column in INTERVALS})


def test_moments_are_those_of_numpy_and_the_same_bytes_in_any_order(tmp_path):
    rng = np.random.default_rng(5)
    frames = {f"k{i:02}": intervals(rng) for i in range(40)}
    found = []
    for name, arrival in (("a", list(frames)), ("b", list(rng.permutation(list(frames))))):
        waiting, finished = Store(tmp_path / name / "w", ""), Store(tmp_path / name / "f", "")
        order = [*[*frames][:30], None, *[*frames][30:]]  # one that failed
        for key in arrival:
            if name == "b":  # a process of its own each time: what it held in memory is lost
                moments = Moments(tmp_path / name / "sums.npz", waiting, order)
                assert moments.fits(finished)
            elif key == arrival[0]:
                moments = Moments(tmp_path / name / "sums.npz", waiting, order)
            waiting.put(key, parquet(frames[key], INTERVALS))
            finished.put(key, b"")
            moments.advance(finished)
        moments.save()
        found.append(moments.table(finished))
        # What is added is not kept; what waits behind the failed one is.
        assert sorted(path.name for path in waiting.folder.iterdir()) == [*frames][30:]
        # A study grows at its end; one that begins with another run is another study.
        assert Moments(tmp_path / name / "sums.npz", waiting, [*order, "new"]).fits(finished)
        assert not Moments(tmp_path / name / "sums.npz", waiting, order[1:]).fits(finished)
    assert found[0] == found[1]
    (tmp_path / "found.parquet").write_bytes(found[0])
    table = pd.read_parquet(tmp_path / "found.parquet")
    every = np.array([frame[AVERAGED[3].name] for frame in frames.values()])
    np.testing.assert_allclose(table[f"{AVERAGED[3].name}_mean"], every.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(table[f"{AVERAGED[3].name}_var"], every.var(axis=0, ddof=1), rtol=1e-7)


def test_values_are_split_at_commas_outside_of_brackets_and_quotes():
    first, second = design.axes(("a.b=1,[2,3], {x: 1, y: [2, 3]},'p, q'", "c[0]=x"))
    assert first.values == ("1", "[2,3]", "{x: 1, y: [2, 3]}", "'p, q'")
    assert design.grid((first, second))[1] == ("a.b=[2,3]", "c[0]=x")
    with pytest.raises(UsageError, match=r"(?s)write it as path=a,b,c.*states 2 twice.*is varied already"):
        design.axes(("a=", "b=2,3,2", "c=1", "c=2"))
    assert design.seeded(design.axes(("a=1,2",)), 2, 7)[0].values == ("7", "8")
    with pytest.raises(UsageError, match="varied already"):
        design.seeded(design.axes(("plan.seed=1,2",)), 2, 7)


@pytest.fixture
def plan(tmp_path):
    values = small("workload.jobs.offered_load_frac=0.1").tree.values
    (tmp_path / "small.yaml").write_text(dump({key: value for key, value in values.items() if key != "extends"}))
    return "small.yaml"


def test_what_cannot_be_swept_is_refused_before_anything_runs(tmp_path, plan, monkeypatch):
    assert "nothing varies" in refused(tmp_path, "sweep", plan)
    assert "dask://HOST:PORT" in refused(tmp_path, "sweep", plan, "--seeds=2", "--engine=ray")
    assert "cluster has as many" in refused(
        tmp_path, "sweep", plan, "--seeds=2", f"--engine=dask://{LOOPBACK}:9", "--workers=2"
    )
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'dcsim\[cluster\]'"):
        engine_of(f"dask://{LOOPBACK}:9", None)
    # A path that is nowhere, a value out of its range, and a name that only the build looks up: all told at once.
    said = refused(
        tmp_path,
        "sweep",
        plan,
        "--workers=1",
        "--vary=plan.years=1,0",
        "--vary=site.tariff=none-such",
        "--vary=plan.yeers=3",
    )
    for text in ("plan.yeers", "0 is below the minimum 1"):
        assert text in said


VARY = ("--vary=economics.discount_rate=0.08,0.12", "--seeds=2", "--workers=2", "--quiet")


def test_interrupted_killed_and_resumed_or_on_a_cluster_it_gives_the_same_bytes(tmp_path, plan, monkeypatch):
    def sweep(*words):
        return subprocess.run([DCSIM, "sweep", plan, *words], cwd=tmp_path, capture_output=True, text=True, timeout=200)

    done = sweep(*VARY, "--out=whole")
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\n", "")
    expected = files(tmp_path / "whole")
    kpis = pq.read_table(tmp_path / "whole" / "kpis.parquet")
    assert kpis["plan.seed"].to_pylist() == [1, 1, 2, 2]
    assert kpis.schema.field("npv_usd").metadata[b"unit"] == b"USD"
    manifest = json.loads(expected["manifest.json"])
    ranked = sorted(kpis["npv_usd"].to_pylist())
    assert [manifest["percentiles"][p]["npv_usd"] for p in ("p5", "p50", "p95")] == [ranked[0], ranked[1], ranked[3]]
    months = pd.read_parquet(tmp_path / "whole" / "monthly.parquet")
    assert months.groupby("run").size().nunique() == 1
    assert not list((tmp_path / "whole" / "waiting").iterdir())
    results = tmp_path / "cut" / "results"
    for end, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        before = len(list(results.glob("*.parquet")))
        process = subprocess.Popen(
            [DCSIM, "sweep", plan, *VARY[:2], "--workers=1", "--out=cut"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=interruptible,
        )
        until(lambda n=before: len(list(results.glob("*.parquet"))) > n, "one more result")
        process.send_signal(end)
        told = process.communicate(timeout=PATIENCE_S)[1]
        assert process.returncode == code
        assert ("what is finished is kept in cut" in told) == (end == signal.SIGINT)
    stamps = {path: path.stat().st_mtime_ns for path in results.glob("*.parquet")}
    n_missing = 4 - len(stamps)
    monkeypatch.chdir(tmp_path)
    if n_missing:
        monkeypatch.setattr("dcsim.study.sweep.cli.engine_of", lambda where, workers: Here(compute, n_missing))
        with pytest.raises(
            SweepError, match=f"{n_missing} of 4 runs failed; the others are finished and kept"
        ) as fault:
            cli(["sweep", plan, *VARY, "--out=cut"], standalone_mode=False)
        assert fault.value.exit_code == 3
        told = json.loads((tmp_path / "cut" / "manifest.json").read_text())
        assert len(told["failed"]) == n_missing
        number = told["failed"][0]["run"]
        label = ", ".join(told["runs"][number - 1]["overrides"])
        assert f"run {number} ({label}): its worker process died 3 times" in str(fault.value)
    monkeypatch.setattr("dcsim.study.sweep.cli.engine_of", lambda where, workers: Here())
    cli(["sweep", plan, *VARY, "--out=cut", "--resume"], standalone_mode=False)
    assert files(tmp_path / "cut") == expected
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    with pytest.raises(UsageError, match="holds no study"):
        cli(["sweep", plan, *VARY, "--out=new", "--resume"], standalone_mode=False)
    with pytest.raises(UsageError, match="holds another study"):
        cli(["sweep", plan, "--vary=economics.discount_rate=0.12", "--out=whole"], standalone_mode=False)
    assert files(tmp_path / "whole") == expected

    with cluster(tmp_path / "dask") as (address, _):
        done = sweep(*VARY[:2], "--quiet", f"--engine=dask://{address}", "--out=cluster")
        assert done.returncode == 0, done.stderr
    assert files(tmp_path / "cluster") == expected


def test_runs_that_differ_in_prices_alone_are_simulated_once(tmp_path, plan, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dcsim.study.sweep.cli.engine_of", lambda where, workers: Here())
    count, whole = [], alike.happened
    monkeypatch.setattr(alike, "happened", lambda ready: count.append(1) or whole(ready))
    monkeypatch.setattr(alike, "_last", {})
    varied = ("--vary=economics.discount_rate=0.08,0.12", "--vary=site.design_margin_k=0,3", "--seeds=2")
    cli(["sweep", plan, *varied, "--out=study"], standalone_mode=False)
    kpis = pd.read_parquet("study/kpis.parquet")
    assert len(kpis) == 8
    # Four are simulated; run folders of the percentiles are whole runs of their own.
    assert len(count) == 4
    assert kpis.groupby(["plan.seed", "site.design_margin_k"])["pue"].nunique().eq(1).all()
    assert kpis["npv_usd"].nunique() == 8
