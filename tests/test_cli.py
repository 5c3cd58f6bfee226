"""The command line: what it prints, its exit codes, and that bad input writes nothing."""

import contextlib
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from plans import SMALL

from dcsim.cli import main

DCSIM = Path(sys.executable).with_name("dcsim")
FAST = [f"--set={text}" for text in (*SMALL, "workload.jobs.offered_load_frac=0.2")]


def dcsim(*words, cwd=None, **kwargs):
    return subprocess.run([DCSIM, *words], capture_output=True, text=True, cwd=cwd, timeout=120, **kwargs)


def refused(tmp_path, *words):
    """Run a command that must be refused: exit code 2, nothing printed or written; returns its message.

    It runs in this process, from the command's own entry point, since starting one takes longer than refusing.
    """
    before = sorted(tmp_path.rglob("*"))
    out, errors = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(tmp_path),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(SystemExit) as end,
    ):
        patch.setattr(sys, "argv", ["dcsim", *words])
        main()
    assert end.value.code == 2, errors.getvalue()
    assert out.getvalue() == ""
    assert sorted(tmp_path.rglob("*")) == before
    return errors.getvalue()


def test_a_refusal_is_one_message_and_code_2_of_the_process(tmp_path):
    done = dcsim("run", "no-such-scenario", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr == refused(tmp_path, "run", "no-such-scenario")


def test_help_is_light_and_lists_every_verb():
    done = dcsim("--help")
    assert done.returncode == 0
    for verb in ("run", "scenario", "catalog", "report", "validate"):
        assert f"\n  {verb} " in done.stdout
    heavy = "import sys, dcsim.cli; print([m for m in ('numpy', 'pandas', 'simpy', 'pydantic') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]"


def test_run_prints_the_answer_and_quiet_the_folder_alone(tmp_path):
    loud = dcsim("run", "baseline-10mw-h100", *FAST, "--out", "here", cwd=tmp_path)
    assert loud.returncode == 0, loud.stderr
    for text in ("utility MW binds", "npv_usd", "cost_usd_per_gpu_h", "report.html"):
        assert text in loud.stdout
    quiet = dcsim("run", "baseline-10mw-h100", *FAST, "--out", "here", "--quiet", "--no-report", cwd=tmp_path)
    assert quiet.stderr == ""
    folder = tmp_path / quiet.stdout.strip()
    assert quiet.stdout.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == [
        "assumptions.parquet",
        "findings.json",
        "intervals.parquet",
        "jobs.parquet",
        "kpis.json",
        "ledger.parquet",
        "manifest.json",
        "pools.parquet",
        "register.parquet",
        "scenario.yaml",
        "services.parquet",
        "statement.parquet",
    ]
    assert [path.name for path in (tmp_path / "here").iterdir()] == [folder.name]
    again = dcsim("report", str(folder), "--out", "r.html", cwd=tmp_path)
    assert again.returncode == 0
    assert (tmp_path / "r.html").stat().st_size > 1e6


def test_the_seed_option_is_the_scenarios_seed(tmp_path):
    words = ("run", "baseline-10mw-h100", *FAST, "--quiet", "--no-report")
    assert dcsim(*words, "--seed=0", cwd=tmp_path).stdout == dcsim(*words, "--set=plan.seed=0", cwd=tmp_path).stdout
    assert "--seed" in refused(tmp_path, *words, "--seed=-1")


def test_a_resolved_scenario_runs_to_the_same_folder(tmp_path):
    words = ("--quiet", "--no-report")
    first = dcsim("run", "baseline-10mw-h100", *FAST, *words, cwd=tmp_path).stdout.strip()
    again = dcsim("run", f"{first}/scenario.yaml", *words, cwd=tmp_path).stdout.strip()
    assert again == first


def test_scenario_verbs(tmp_path):
    assert "warm-water-10mw-h100" in dcsim("scenario", "list").stdout
    assert "utility_mw: 10.0" in dcsim("scenario", "show", "baseline-10mw-h100").stdout
    schema = json.loads(dcsim("scenario", "schema").stdout)
    assert schema["title"] == "Scenario"
    done = dcsim("scenario", "check", "baseline-10mw-h100", "warm-water-10mw-h100")
    assert done.returncode == 0
    assert done.stdout.count(": ok; ") == 2


def test_catalog_verbs():
    assert "hgx-h100-8" in dcsim("catalog", "list").stdout
    shown = dcsim("catalog", "show", "servers", "HGX H100").stdout
    assert "HGX H100 is hgx-h100-8" in shown
    assert "peak_power_w" in shown
    assert "mlperf_power: MLPerf Training power logs" in shown
    assert "8192" in dcsim("catalog", "show", "models", "llama3.1-70b").stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rnu"], "did you mean 'run'?"),
        (["run"], "Missing argument"),
        (["run", "nothing.yaml"], "dcsim scenario list"),
        (["run", "baseline-10mw-h100", "--set", "plan.years"], "path=value"),
        (["run", "baseline-10mw-h100", "--set", "site.tariff=dominon-va-gs3"], "did you mean 'dominion-va-gs3'?"),
        (["run", "baseline-10mw-h100", "--set", "site.carbon=pjm"], "did you mean 'pjm-2022'?"),
        (
            ["run", "baseline-10mw-h100", "--set", "site.weather=grensboro-nc-tmy3"],
            "did you mean 'greensboro-nc-tmy3'?",
        ),
        (["run", "baseline-10mw-h100", "--set", "site.water=x"], "site.water"),
        (["run", "baseline-10mw-h100", "--set", "facility.server=hgx-h100"], "did you mean"),
        (["run", "baseline-10mw-h100", "--set", "facility.power.ups=moder"], "did you mean 'modern'?"),
        (["run", "baseline-10mw-h100", "--set", "facility.fabric.kind=fat_tee"], "did you mean 'fat_tree'?"),
        (["run", "baseline-10mw-h100", "--set", "facility.fabric.switch=qm970"], "did you mean 'qm9700'?"),
        (["run", "baseline-10mw-h100", "--set", "workload.policy=esay"], "did you mean 'easy'?"),
        (["run", "baseline-10mw-h100", "--set", "workload.jobs.gpu_hours_share={trainin: 1.0}"], "'training'?"),
        (["run", "baseline-10mw-h100", "--set", "workload.jobs.max_gpus=99999"], "no such job could ever start"),
        (["run", "baseline-10mw-h100", "--set", "workload.reliability.source=llama"], "llama3-h100"),
        (["run", "baseline-10mw-h100", "--set", "economics.revenue.price_path=h100"], "h100-contract"),
        (["run", "baseline-10mw-h100", "--set", "economics.construction=us"], "economics.construction"),
        (["run", "baseline-10mw-h100", "--set", "economics.operations=us"], "us-10mw"),
        (["run", "baseline-10mw-h100", "--set", "facility.racks.feed_kw=5.0"], "raise the feed"),
        (["run", "baseline-10mw-h100", "--set", "facility.racks.servers_per_rack=9"], "85.3 kW"),
        (["run", "baseline-10mw-h100", "--set", "facility.racks.height_u=4"], "do not fit a rack of 4 U"),
        (["run", "baseline-10mw-h100", "--set", "facility.server_design_kw=5.0"], "nothing would cap them"),
        (["run", "baseline-10mw-h100", "--set", "facility.phases[0].servers=900"], "lower it or raise that limit"),
        (["run", "baseline-10mw-h100", "--set", "facility.phases[0].utility_mw=0.001"], "no room for one server"),
        (
            ["run", "baseline-10mw-h100", "--set", "overrides={servers.hgx-h100-8.prce: {value: 1.0, source: abc}}"],
            "price",
        ),
        (
            ["run", "baseline-10mw-h100", "--set", "overrides={cooling.x.y: {value: 1.0, source: abc}}"],
            "facility.cooling",
        ),
        (["report", "nowhere"], "not a run folder"),
        (["catalog", "show", "servers", "hgx-h10"], "did you mean"),
        (["catalog", "list", "server"], "did you mean 'servers'?"),
        (["validate", "shedule"], "did you mean 'schedule'?"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_bad_input_is_refused_with_the_way_out(tmp_path, words, says):
    assert says in refused(tmp_path, *words)


def swf(path, *jobs, cut=None):
    text = "; Computer: test\n" + "".join(
        f"{i} {submit} -1 {run} {size} -1 -1 {size} {run} -1 1 1 1 1 -1 -1 -1 -1\n"
        for i, (submit, run, size) in enumerate(jobs, 1)
    )
    data = gzip.compress(text.encode())
    path.write_bytes(data[:cut] if cut else data)


def trace_plan(tmp_path, extra=""):
    (tmp_path / "plan.yaml").write_text(
        f"extends: baseline-10mw-h100\nname: replay\nworkload:\n  jobs: {{kind: trace, file: log.swf.gz{extra}}}\n"
    )
    return ["plan.yaml", *(f"--set={text}" for text in SMALL if not text.startswith("name="))]


def test_jobs_that_can_never_fit_are_all_named_before_the_first_event(tmp_path):
    swf(tmp_path / "log.swf.gz", (0, 100, 8), (5, 100, 100_000), (9, 100, 16), (10, 50, 99_999))
    message = refused(tmp_path, "run", *trace_plan(tmp_path))
    assert "job 2: asks for 100000 GPUs" in message
    assert "job 4: asks for 99999 GPUs" in message
    assert "oversized: skip" in message


def test_skipped_jobs_are_counted(tmp_path):
    swf(tmp_path / "log.swf.gz", (0, 100, 8), (5, 100, 100_000), (9, 100, 16))
    done = dcsim("run", *trace_plan(tmp_path, ", oversized: skip"), "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 jobs ask for more than" in done.stdout
    folder = tmp_path / done.stdout.split("run folder  ")[1].split("\n")[0]
    assert json.loads((folder / "findings.json").read_text())["jobs"]["skipped"] == 1


def test_a_job_that_fits_only_later_waits_for_that_phase(tmp_path):
    # hall-1 holds about 36 servers of 8 GPUs; hall-2 comes on day 181.
    swf(tmp_path / "log.swf.gz", (0, 3600, 400), (10, 3600, 8))
    done = dcsim("run", *trace_plan(tmp_path), "--no-report", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    import pandas as pd

    jobs = pd.read_parquet(tmp_path / done.stdout.strip() / "jobs.parquet")
    assert jobs["start_s"].tolist() == [181 * 86400.0, 10.0]


@pytest.mark.parametrize("cut", [40, 60])
def test_a_truncated_trace_is_refused(tmp_path, cut):
    swf(tmp_path / "log.swf.gz", *((i, 100, 8) for i in range(200)), cut=cut)
    assert "trunc" in refused(tmp_path, "run", *trace_plan(tmp_path)).lower()


def test_a_missing_trace_is_refused(tmp_path):
    assert "log.swf.gz" in refused(tmp_path, "run", *trace_plan(tmp_path))


def test_an_environment_variable_that_is_not_set_is_named(tmp_path):
    (tmp_path / "plan.yaml").write_text(
        "extends: baseline-10mw-h100\nworkload: {jobs: {kind: trace, file: '${NO_SUCH_DIR_HERE}/x.swf'}}\n"
    )
    assert "NO_SUCH_DIR_HERE" in refused(tmp_path, "run", "plan.yaml")


@pytest.mark.parametrize("content", [b"", b"LOCATION,x\n", b"\x1f\x8b\x08broken", b"a,b\nc,d\n", b"\xff\xfe\x00"])
def test_a_weather_file_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "w.epw").write_bytes(content)
    assert "w.epw" in refused(tmp_path, "run", "baseline-10mw-h100", "--set", "site.weather=w.epw")


def test_a_folder_that_cannot_be_written_is_a_failure_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    done = dcsim("run", "baseline-10mw-h100", *FAST, "--out", "file", "--no-report", cwd=tmp_path)
    assert done.returncode in (2, 3)
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_a_failure_with_nothing_left(tmp_path):
    limited = f"ulimit -f 200; exec {DCSIM} run baseline-10mw-h100 {' '.join(repr(x) for x in FAST)} --no-report"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode in (3, 153), done.stderr  # 153: the limit's own signal, where Python does not see EFBIG
    assert not [path for path in (tmp_path / "runs").glob("*") if not path.name.startswith(".")]


def test_no_progress_bar_when_piped(tmp_path):
    done = dcsim("run", "baseline-10mw-h100", *FAST, "--no-report", cwd=tmp_path)
    assert done.stderr == ""
