"""Readers of traces: each form on its publisher's own file where one is at hand, else on rows made up in its form."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from dcsim.columns import TRACE
from dcsim.errors import InputError, UnknownNameError, UsageError
from dcsim.workload.traces.canonical import STATUSES
from dcsim.workload.traces.cli import trace
from dcsim.workload.traces.formats import FORMATS, source
from dcsim.workload.traces.generator import Generator, fit, generate, goodness
from dcsim.workload.traces.replay import replayed
from dcsim.workload.traces.scaling import scaled
from dcsim.workload.traces.statistics import statistics

HERE = Path(__file__).parent / "traces"
# Form: file of the reference data, usable jobs, and width-hours of those, as counted from the file itself.
REAL = {
    "swf": ("traces/swf/KTH-SP2-1996-2.1-cln.swf.gz", 28_475, 556_995),
    "philly-sia": ("traces/philly/philly_sia.csv.gz", 82_247, 978_078),
    "openb": ("traces/alibaba_openb_2023/openb_pod_list_default.csv", 6_203, None),
    # The publisher's sample has 2,401 jobs with GPUs.
    "supercloud": ("traces/mit_supercloud/slurm-log-queueing-clean.csv.gz", 2_401, None),
    "opendc": ("traces/surf/tasks.parquet", 7_850, 310_238),
    "batsim": ("traces/batsim/medium_late/medium_late.json", 801, 71.236),
}
MADE_UP = {
    "philly": "philly.json",
    "pai": "pai",
    "acme": "acme.csv",
    "helios": "helios.csv",
    "sacct": "sacct.txt",
}


def rows(path, **options):
    of = source(Path(path), **options)
    _, frames = of.frames()
    return pd.concat(list(frames), ignore_index=True)


def invoke(*words):
    return CliRunner().invoke(trace, [str(word) for word in words], catch_exceptions=False)


def test_every_form_is_tried_on_a_file():
    assert set(REAL) | set(MADE_UP) | {"dcsim"} == set(FORMATS)
    assert {name for name, of in FORMATS.items() if not of.seen} == set(MADE_UP)


@pytest.mark.parametrize("name", REAL)
def test_a_real_trace_is_recognised_and_read(name, reference):
    file, jobs, hours = REAL[name]
    of = source(reference(file))
    assert of.name == name
    found, report = replayed(of)
    assert len(found) == jobs
    assert len(found) + sum(report.dropped.values()) == report.n_rows
    assert report.n_bad == 0
    if hours is not None:
        assert float((found.gpus * found.run_s).sum()) / 3600 == pytest.approx(hours, rel=1e-5)


@pytest.mark.parametrize("name", [*REAL, *MADE_UP])
def test_frames_are_canonical(name, reference):
    path = reference(REAL[name][0]) if name in REAL else HERE / MADE_UP[name]
    found = rows(path)
    assert list(found.columns) == [column.name for column in TRACE]
    assert found["submit_s"].notna().all()
    assert set(found["status"]) <= set(STATUSES)
    for column in ("run_s", "limit_s", "gpus", "cpus", "nodes"):
        assert not (found[column] < 0).any(), column
    waited = found["start_s"] - found["submit_s"]
    assert not (waited < 0).any()


@pytest.mark.parametrize("name", MADE_UP)
def test_a_made_up_trace_is_recognised(name):
    assert source(HERE / MADE_UP[name]).name == name


def test_philly_takes_the_last_attempts_gpus_and_the_whole_time():
    found = rows(HERE / "philly.json")
    assert found["gpus"].tolist() == [4, 0, 1]
    assert found["run_s"].fillna(-1).tolist() == [7200, -1, 120]
    assert (found["start_s"] - found["submit_s"]).fillna(-1).tolist() == [600, -1, 30]
    assert found["status"].tolist() == ["completed", "cancelled", "failed"]
    assert found["tenant"].tolist() == ["vc-a", "vc-b", "vc-b"]


def test_pai_adds_the_tasks_of_a_job():
    found = rows(HERE / "pai")
    assert found["gpus"].fillna(-1).tolist() == [2.0, 1.0, -1]
    assert found["cpus"].fillna(-1).tolist() == [26.0, 6.0, -1]
    assert found["submit_s"].tolist() == [1000, 1500, 1700]
    assert found["start_s"].fillna(-1).tolist() == [1090, 1505, -1]
    assert found["run_s"].fillna(-1).tolist() == [910, 95, -1]
    assert found["status"].tolist() == ["completed", "failed", "queued"]


def test_acme_and_helios_keep_waits_and_states():
    acme, helios = rows(HERE / "acme.csv"), rows(HERE / "helios.csv")
    assert (acme["start_s"] - acme["submit_s"]).fillna(-1).tolist() == [60, -1, 10]
    assert acme["run_s"].fillna(-1).tolist() == [3600, -1, 60]
    assert acme["status"].tolist() == ["completed", "cancelled", "failed"]
    # 11:00:58 in Shanghai is 03:00:58 UTC.
    assert acme["submit_s"][0] % 86_400 == 3 * 3600 + 58
    assert helios["run_s"].tolist() == [3600, 20, 86_400]
    assert helios["status"].tolist() == ["completed", "completed", "timeout"]
    assert helios["tenant"].tolist() == ["vcA", "vcB", "vcB"]


def test_sacct_leaves_steps_out_and_reads_limits():
    found = rows(HERE / "sacct.txt")
    assert found["job_id"].tolist() == ["101", "102", "103"]
    assert found["gpus"].tolist() == [16, 0, 1]
    assert found["limit_s"].fillna(-1).tolist() == [86_400, -1, 1800]
    assert found["run_s"].fillna(-1).tolist() == [7200, -1, 1800]
    assert found["status"].tolist() == ["completed", "cancelled", "timeout"]


def test_openb_gpus_are_parts_of_one(reference):
    found = rows(reference(REAL["openb"][0]))
    # num_gpu * gpu_milli / 1000 of the second row.
    assert found["gpus"][1] == pytest.approx(0.46)
    assert (found["status"] == "queued").sum() == 897


def test_supercloud_waits_are_the_publishers(reference):
    found = rows(reference(REAL["supercloud"][0]))
    wait_s = (found["start_s"] - found["submit_s"])[found["gpus"] > 0]
    # Published of its GPU jobs: mean 7,019 s, median 4 s, 90th percentile 10,988 s.
    assert wait_s.mean() == pytest.approx(7019, rel=0.001)
    assert wait_s.median() == 4
    assert wait_s.quantile(0.9) == pytest.approx(10_988, rel=0.001)


CSV = "when,took,cards,who\n10,100,2,a\n20,200,0.5,b\n"
MAP = ("submit_s=when", "run_s=took", "gpus=cards", "tenant=who")


@pytest.mark.parametrize("packed", [False, True])
def test_any_table_is_read_by_a_stated_mapping(tmp_path, packed):
    path = tmp_path / "any.csv"
    path.write_bytes(gzip.compress(CSV.encode()) if packed else CSV.encode())
    found = rows(path, mapping=MAP)
    assert found["submit_s"].tolist() == [10, 20]
    assert found["gpus"].tolist() == [2, 0.5]
    jobs, report = replayed(source(path, mapping=MAP))
    assert jobs.gpus.tolist() == [2, 1]
    assert report.n_parts == 1
    table = tmp_path / "any.parquet"
    pd.DataFrame({"when": [10, 20], "took": [100, 200], "cards": [2, 0.5], "who": ["a", "b"]}).to_parquet(table)
    assert rows(table, mapping=MAP)["run_s"].tolist() == [100, 200]


def test_units_delimiters_and_ends_can_be_stated(tmp_path):
    path = tmp_path / "any.txt"
    path.write_text("t;e\n1000;5000\n2000;9000\n")
    found = rows(path, mapping=("submit_s=t", "end_s=e", "time_unit_s=0.001", "delimiter=;"))
    assert found["submit_s"].tolist() == [1, 2]
    assert found["run_s"].tolist() == [4, 7]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (("submit_s",), "write it as OURS=THEIRS"),
        (("submitted=when",), "did you mean 'submit_s'"),
        (("run_s=took",), "--map submit_s=... is needed"),
        (("submit_s=when", "time_unit_s=ms"), "is no number of seconds"),
    ],
)
def test_a_mapping_that_is_none_is_refused(tmp_path, mapping, message):
    (tmp_path / "any.csv").write_text(CSV)
    with pytest.raises(UsageError) as caught:
        source(tmp_path / "any.csv", mapping=mapping)
    assert message in str(caught.value)


def test_a_column_that_is_not_there_is_named(tmp_path):
    (tmp_path / "any.csv").write_text(CSV)
    with pytest.raises(InputError, match="the columns nowhere are not there"):
        rows(tmp_path / "any.csv", mapping=("submit_s=nowhere",))


def test_bad_rows_are_counted_shown_and_refused_or_skipped(tmp_path):
    path = tmp_path / "any.csv"
    path.write_text(CSV + "thirty,300,1,c\n40,400\n50,half,1,d\n60,600,1,e\n")
    with pytest.raises(InputError) as caught:
        rows(path, mapping=MAP)
    text = str(caught.value)
    assert "3 problems" in text
    assert "submit_s: 'thirty' is neither a number nor a time" in text
    assert "run_s: 'half' is neither a number nor a time" in text
    assert "2 fields, but the header has 4" in text
    of = source(path, mapping=MAP)
    reading, frames = of.frames("skip")
    assert pd.concat(list(frames))["submit_s"].tolist() == [10, 20, 60]
    assert (reading.rows, reading.bad) == (6, 3)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"{}", b"[", b"PAR1", b"a,b\n1,2\n", b"\x1f\x8bbroken"])
@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet", ".swf", ".swf.gz"])
def test_rubbish_is_refused_by_name(tmp_path, content, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises((InputError, UsageError), match="x"):
        replayed(source(path))


def test_a_truncated_json_says_so(tmp_path):
    text = (HERE / "philly.json").read_text()
    (tmp_path / "cut.json").write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match="ends early"):
        rows(tmp_path / "cut.json")


def test_an_unknown_form_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'helios'"):
        source(HERE / "helios.csv", "hellios")


def test_convert_keeps_every_figure_and_describes_the_same(tmp_path):
    out = tmp_path / "t.parquet"
    done = invoke("convert", HERE / "acme.csv", "--out", out)
    assert done.exit_code == 0
    assert "3 jobs of 3 rows" in done.output
    pd.testing.assert_frame_equal(rows(out), rows(HERE / "acme.csv"))
    schema = pq.read_schema(out)
    assert {field.name: field.metadata[b"unit"].decode() for field in schema} == {of.name: of.unit for of in TRACE}
    assert schema.metadata[b"origin"] == b"acme.csv (acme)"
    one, other = (json.loads(invoke("describe", path, "--json").output) for path in (out, HERE / "acme.csv"))
    assert one["statistics"] == other["statistics"]


def test_a_converted_log_of_processors_stays_one(tmp_path):
    log = tmp_path / "a.swf"
    log.write_text("".join(f"{k} {k} -1 10 4 -1 -1 4 20 -1 1 1 1 1 -1 -1 -1 -1\n" for k in range(5)))
    assert invoke("convert", log, "--out", tmp_path / "a.parquet").exit_code == 0
    jobs, _ = replayed(source(tmp_path / "a.parquet"))
    assert jobs.gpus.tolist() == [4] * 5
    assert jobs.job_id.tolist() == [0, 1, 2, 3, 4]


def test_a_refused_row_leaves_no_file(tmp_path):
    (tmp_path / "any.csv").write_text(CSV + "x,1,1,a\n")
    words = [word for pair in MAP for word in ("--map", pair)]
    with pytest.raises(InputError):
        invoke("convert", tmp_path / "any.csv", *words, "--out", tmp_path / "out.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["any.csv"]
    done = invoke("convert", tmp_path / "any.csv", *words, "--bad-rows", "skip", "--out", tmp_path / "out.parquet")
    assert "2 jobs of 3 rows" in done.output
    assert "1 rows are no jobs and were skipped" in done.stderr


def test_formats_say_which_were_seen():
    listed = json.loads(invoke("formats", "--json").output)
    assert {of["name"]: of["seen"] is not None for of in listed} == {
        name: bool(of.seen) for name, of in FORMATS.items()
    }
    assert invoke("formats").output.count("not seen on real data") == len(MADE_UP)


def made(n, span_days, seed=0):
    draws = np.random.default_rng(seed)
    from dcsim.workload.traces.canonical import frame

    width = draws.choice([1.0, 2.0, 8.0, 64.0], n, p=[0.6, 0.2, 0.15, 0.05])
    run_s = np.exp(draws.normal(5.0 + 0.4 * np.log2(width), 1.0))
    return frame(
        n,
        job_id=np.arange(n).astype(str),
        submit_s=np.sort(draws.uniform(0, span_days * 86_400, n)),
        run_s=run_s,
        limit_s=run_s * (1 + draws.exponential(2.0, n)),
        gpus=width,
    )


def test_statistics_of_a_worked_trace():
    from dcsim.workload.traces.canonical import frame

    found = statistics(
        [frame(3, submit_s=[0, 0, 7200], start_s=[0, 3600, 7200], run_s=[3600, 3600, 3600], gpus=[2, 4, 0.5])],
        gpus=True,
    )
    assert found["width_hours"] == 6.5
    assert found["peak_busy"] == 4
    assert found["mean_busy"] == pytest.approx(6.5 / 3)
    assert found["wait_s"]["mean"] == 1200
    assert [row["up_to"] for row in found["sizes"]] == [0.999, 2, 4]


@pytest.mark.parametrize("load", [0.4, 1.0, 2.5])
def test_scaling_the_load_keeps_sizes_runs_and_hours(load):
    before = made(20_000, 30)
    span_s = (before["submit_s"].min(), before["submit_s"].max())
    after = pd.concat(list(scaled([before], span_s=span_s, load=load, seed=3)))
    assert len(after) == pytest.approx(load * len(before), rel=0.02)
    assert after["submit_s"].between(*span_s).all()
    assert after["job_id"].is_unique
    for column in ("gpus", "run_s"):
        assert after[column].mean() == pytest.approx(before[column].mean(), rel=0.05)
    if load == 1.0:
        pd.testing.assert_frame_equal(after, before)


def test_scaling_the_width_keeps_parts_of_a_gpu():
    from dcsim.workload.traces.canonical import frame

    before = frame(4, submit_s=[0, 1, 2, 3], gpus=[0.5, 1, 3, 8])
    after = pd.concat(list(scaled([before], span_s=(0, 3), width=2.5)))
    assert after["gpus"].tolist() == [0.5, 2, 8, 20]


def test_a_generator_finds_what_a_trace_was_drawn_from():
    before = made(40_000, 60)
    fitted, columns = fit([before], gpus=True)
    after = generate(fitted, seed=5)
    assert len(after) == len(before)
    of = {row["what"]: row for row in goodness(columns, after, gpus=True)}
    # A Kolmogorov-Smirnov distance of two samples of 40,000 from one distribution is below 0.0115 in 99 of 100.
    assert of["run time, mean [s]"]["distance"] < 0.0115
    assert of["width, mean"]["distance"] < 0.0115
    assert of["gap, variation"]["distance"] < 0.02
    for what in ("width with run time, rank correlation", "limit with run time, rank correlation"):
        assert of[what]["drawn"] == pytest.approx(of[what]["trace"], abs=0.03)
    # Independent arrivals stay independent.
    assert of["jobs an hour, variance over mean"]["drawn"] == pytest.approx(1.0, abs=0.25)


def test_a_generator_is_read_back_and_draws_the_same_by_seed():
    fitted, _ = fit([made(2_000, 20)], gpus=True)
    again = Generator.from_json(json.loads(json.dumps(fitted.to_json())))
    pd.testing.assert_frame_equal(generate(fitted, seed=1), generate(again, seed=1))
    assert not generate(fitted, seed=2).equals(generate(fitted, seed=1))
    half = generate(fitted, days=10, load=2.0, seed=1)
    assert len(half) == pytest.approx(2_000, rel=0.01)
    with pytest.raises(UsageError):
        Generator.from_json({"form": "other"})


@pytest.mark.parametrize("name", ["swf", "philly-sia"])
def test_a_generator_of_a_real_trace_is_near_it(name, reference):
    of = source(reference(REAL[name][0]))
    fitted, columns = fit(of.frames()[1], gpus=of.gpus)
    rows = {row["what"]: row for row in goodness(columns, generate(fitted, seed=1), gpus=of.gpus)}
    assert rows["run time, mean [s]"]["distance"] < 0.02
    assert rows["width, mean"]["distance"] < 0.01
    assert rows["gap, variation"]["distance"] < 0.1
    assert rows["width in use, mean"]["drawn"] == pytest.approx(rows["width in use, mean"]["trace"], rel=0.1)


def test_too_few_jobs_are_not_fitted():
    with pytest.raises(UsageError, match="50 usable jobs are too few"):
        fit([made(50, 5)], gpus=True)


def test_the_page_of_a_trace_opens_offline(tmp_path):
    page = tmp_path / "t.html"
    assert invoke("describe", HERE / "helios.csv", "--html", page).exit_code == 0
    text = page.read_text()
    assert "chart-sizes" in text
    assert "chart-hours" in text
    assert "<script src" not in text


def test_a_verb_says_what_it_cannot_use(tmp_path):
    for words, message in (
        (("describe", tmp_path / "none.csv"), "there is no such trace"),
        (("scale", HERE / "acme.csv", "--out", tmp_path / "x", "--load", "0"), "--load must be above 0"),
        (("scale", HERE / "acme.csv", "--out", tmp_path / "x", "--from-gpus", "5"), "go together"),
        (("convert", HERE / "acme.csv", "--out", tmp_path / "no" / "x"), "there is no folder"),
        (("describe", HERE / "acme.csv", "--format", "acme", "--map", "submit_s=x"), "give one of them"),
    ):
        with pytest.raises(UsageError, match=message):
            invoke(*words)
