"""Readers of requests: each form, and what is said of files with faults."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from dcsim.errors import InputError, UnknownNameError, UsageError
from dcsim.workload.requests.files import FORMS, read
from dcsim.workload.requests.requests import statistics
from dcsim.workload.traces.cli import trace

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
AZURE = [
    HEADER,
    "2023-11-16 18:15:46.6805900,374,44",
    "2023-11-16 18:15:50.9951690,396,109",
    "2023-11-16 18:15:51.2224670,879,55",
]
MOONCAKE = [
    {"timestamp": 1000, "input_length": 700, "output_length": 5, "hash_ids": [0, 1]},
    {"timestamp": 1000, "input_length": 1025, "output_length": 1, "hash_ids": [0, 2, 3]},
    {"timestamp": 4052, "input_length": 20, "output_length": 7, "hash_ids": [4]},
]
# Form: file, requests, mean prompt and output, gap CV, as counted from the file itself.
REAL = {
    "code": (8_819, 2047.848, 27.883, 13.151),
    "conv": (19_366, 1154.697, 211.126, 1.094),
}


@pytest.fixture
def write(tmp_path):
    def path(lines, name="requests.csv", end="\n"):
        file = tmp_path / name
        text = "\n".join(lines) + end
        data = text.encode()
        file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return file

    return path


def azure(times_s, prompt, output, zone=""):
    start = pd.Timestamp("2024-05-10")
    return [
        HEADER,
        *(f"{start + pd.Timedelta(seconds=s)}{zone},{p},{o}" for s, p, o in zip(times_s, prompt, output, strict=True)),
    ]


def jsonl(rows):
    return [json.dumps(row) for row in rows]


def said(path, **options):
    with pytest.raises(InputError) as error:
        read(path, **options)
    assert str(path) in str(error.value)
    return error.value.problems


@pytest.mark.parametrize("name", REAL)
def test_a_real_trace_is_recognised_and_read(name, reference):
    n, prompt, output, gap_cv = REAL[name]
    requests, report = read(reference(f"traces/llm_serving/AzureLLMInferenceTrace_{name}.csv.gz"))
    of = statistics(requests)
    assert report.form == "azure"
    assert report.notes("it") == []
    assert (of["n"], report.n_rows) == (n, n)
    assert of["prompt_mean_tokens"] == pytest.approx(prompt, abs=1e-3)
    assert of["output_mean_tokens"] == pytest.approx(output, abs=1e-3)
    assert of["gap_cv"] == pytest.approx(gap_cv, abs=1e-3)


@pytest.mark.parametrize("name", ["requests.csv", "requests.csv.gz"])
def test_azure_times_count_from_the_first_request(name, write):
    requests, report = read(write(AZURE, name, end=""))
    assert report.form == "azure"
    assert requests.arrival_s == pytest.approx([0.0, 4.314579, 4.541877], abs=1e-9)
    assert requests.prompt.tolist() == [374, 396, 879]
    assert requests.output.tolist() == [44, 109, 55]


def test_azure_times_may_carry_a_zone_and_no_fraction(write):
    lines = [HEADER, "2024-05-10 00:00:00.009930+00:00,2162,5", "2024-05-10 00:00:01+00:00,2399,6"]
    requests, _ = read(write(lines))
    assert requests.arrival_s == pytest.approx([0.0, 0.99007], abs=1e-9)


@pytest.mark.parametrize("name", ["mooncake.jsonl", "mooncake.jsonl.gz"])
def test_mooncake_brings_blocks(name, write):
    requests, report = read(write(jsonl(MOONCAKE), name))
    assert report.form == "mooncake"
    assert requests.arrival_s.tolist() == [0.0, 0.0, 3.052]
    assert requests.blocks.tolist() == [0, 1, 0, 2, 3, 4]
    assert requests.block_starts.tolist() == [0, 2, 5, 6]
    assert statistics(requests)["shareable_prefix_frac"] == pytest.approx(512 / 1745)


def test_blocks_that_do_not_fit_are_left_out_with_a_note(write):
    some = [{key: row[key] for key in row if key != "hash_ids"} for row in MOONCAKE[:1]]
    requests, report = read(write(jsonl([*some, *MOONCAKE[1:]])))
    assert requests.blocks is None
    assert "1 of 3 requests have no hash_ids" in report.notes("it")[0]
    requests, report = read(write(jsonl([{**row, "hash_ids": [1] * 9} for row in MOONCAKE])))
    assert requests.blocks is None
    assert "512 tokens" in report.notes("it")[0]


def test_any_table_is_read_by_a_mapping(write, tmp_path):
    lines = ["t,in,out,model", "10.5,3,4,a", "11,5,6,b"]
    names = {"arrival_s": "t", "prompt": "in", "output": "out"}
    requests, report = read(write(lines), columns=names)
    assert report.form == "csv"
    assert requests.arrival_s.tolist() == [0.0, 0.5]
    table = pd.DataFrame(
        {"t": pd.to_datetime(["2027-01-01 00:00", "2027-01-01 00:01"]), "in": [3, 5], "out": [4.0, 6.0]}
    )
    table.to_parquet(tmp_path / "some.parquet")
    requests, _ = read(tmp_path / "some.parquet", columns=names)
    assert requests.arrival_s.tolist() == [0.0, 60.0]
    assert requests.output.tolist() == [4, 6]


def test_our_own_columns_need_no_mapping(write):
    requests, report = read(write(["arrival_s,prompt,output", "2027-01-01T00:00:00Z,3,4", "2027-01-01T00:00:02Z,5,6"]))
    assert report.form == "csv"
    assert requests.arrival_s.tolist() == [0.0, 2.0]


def test_every_fault_of_a_row_is_listed_with_its_line(write):
    lines = [
        *AZURE,
        "2023-11-16 18:15:52,0,5",
        "2023-11-16 18:15:53,7",
        "soon,7,5",
        "2023-11-16 18:15:54,7,nan",
        "",
        "2023-11-16 18:15:55,7.5,5",
        "2023-11-16 18:15:56,7,0",
        "2023-11-16 18:15:57,-7,inf",
    ]
    problems = said(write(lines))
    found = {problem.line: problem.message for problem in problems}
    # The empty line is not counted, as spreadsheets and readers of CSV do not.
    assert list(found) == [5, 6, 7, 8, 9, 10, 11]
    assert "ContextTokens: '0' is no whole number of tokens from 1" in found[5]
    assert "2 fields, but the header has 3" in found[6]
    assert "'soon' is no time such as" in found[7]
    assert "GeneratedTokens: 'nan'" in found[8]
    assert "'7.5'" in found[9]
    assert "GeneratedTokens: '0'" in found[10]
    assert all("mend or delete" in message for message in found.values())


def test_skipped_rows_leave_the_others(write):
    path = write([*AZURE, "2023-11-16 18:15:52,0,5", "2023-11-16 18:15:53,7"])
    requests, report = read(path, bad_rows="skip")
    assert len(requests) == 3
    assert report.notes("it") == ["2 of 5 rows of it are no requests and were skipped"]


def test_many_faults_are_counted_and_some_listed(write):
    problems = said(write(azure(range(500), [0] * 500, [1] * 500)))
    assert len(problems) == 21
    assert "500 rows are no requests, of which 20 follow" in problems[0].message


def test_times_that_fall_are_refused_or_sorted(write):
    path = write(azure([0, 5, 3, 4, 9, 8], [1, 2, 3, 4, 5, 6], [1] * 6))
    (problem,) = said(path)
    assert problem.line == 4
    assert "2 s before the row above (rows that do: 2)" in problem.message
    requests, report = read(path, bad_rows="skip")
    assert requests.prompt.tolist() == [1, 3, 4, 2, 6, 5]
    assert "2 rows of it came before" in report.notes("it")[0]


def test_sorting_keeps_blocks_with_their_requests(write):
    requests, _ = read(write(jsonl(MOONCAKE[::-1])), bad_rows="skip")
    assert requests.prompt.tolist() == [1025, 700, 20]
    assert requests.blocks.tolist() == [0, 2, 3, 0, 1, 4]


@pytest.mark.parametrize("sort", [False, True])
def test_a_file_pasted_twice_is_refused_or_halved(sort, write):
    draws = np.random.default_rng(0)
    rows = azure(np.cumsum(draws.exponential(1, 300)), draws.integers(1, 999, 300), draws.integers(1, 99, 300))[1:]
    path = write([HEADER, *(sorted(rows * 2) if sort else rows * 2)])
    problems = said(path)
    assert len(problems) == 1 if sort else 2
    assert any("exact copy" in problem.message and "300 of 600 rows" in problem.message for problem in problems)
    requests, report = read(path, bad_rows="skip")
    assert len(requests) == 300
    assert any("were left out" in note for note in report.notes("it"))


def test_copies_by_chance_are_kept(write):
    # A load test: requests of one length on a clock of whole seconds.
    times_s = np.sort(np.random.default_rng(0).integers(0, 100, 1000))
    requests, report = read(write(azure(times_s, [512] * 1000, [128] * 1000)))
    assert len(requests) == 1000
    assert "were kept" in report.notes("it")[0]


@pytest.mark.parametrize("lines", [[], [HEADER]])
@pytest.mark.parametrize("form", ["azure", None])
@pytest.mark.parametrize("name", ["requests.csv", "requests.csv.gz"])
def test_an_empty_file_is_refused(lines, form, name, write):
    (problem,) = said(write(lines, name, end=""), form=form)
    assert "empty" in problem.message or "holds no request" in problem.message


def test_a_file_of_bad_rows_alone_is_refused_though_skipped(write):
    assert "holds no request" in said(write([HEADER, "soon,1,1"]), bad_rows="skip")[0].message


@pytest.mark.parametrize("bad_rows", ["refuse", "skip"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("form", ["azure", "mooncake"])
def test_a_gzip_that_ends_early_is_always_refused(bad_rows, share, form, write):
    n = 2000
    draws = np.random.default_rng(0)
    rows = [{"timestamp": k, "input_length": int(draws.integers(1, 9999)), "output_length": 1} for k in range(n)]
    lines = jsonl(rows) if form == "mooncake" else azure(range(n), draws.integers(1, 9999, n), range(1, n + 1))
    path = write(lines, "requests.gz")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    for named in (form, None):
        problems = said(path, form=named, bad_rows=bad_rows)
        assert "cannot be read" in problems[-1].message


@pytest.mark.parametrize("form", ["azure", "mooncake"])
def test_a_last_line_cut_short_follows_bad_rows(form, write):
    lines = AZURE if form == "azure" else jsonl(MOONCAKE)
    path = write([*lines, lines[-1][:30]], end="")
    (problem,) = said(path)
    assert problem.line == len(lines) + 1
    requests, report = read(path, bad_rows="skip")
    assert (len(requests), report.n_bad) == (3, 1)


def test_a_missing_column_is_named_with_those_there(write):
    lines = ["TIMESTAMP,ContextTokens", "2023-11-16 18:15:46,3"]
    (problem,) = said(write(lines), form="azure")
    assert "GeneratedTokens are not there, only TIMESTAMP, ContextTokens" in problem.message
    (problem,) = said(write(lines))
    assert "its columns are TIMESTAMP, ContextTokens" in problem.message
    (problem,) = said(write(["a,a,b", "1,2,3"]), columns={"arrival_s": "a", "prompt": "a", "output": "b"})
    assert "more than once" in problem.message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[1]", "no object"),
        ('{"timestamp": 1, "input_length": 2}', "output_length are not there, only timestamp, input_length"),
        ('{"timestamp": 1, "input_length": 2, "output_length": 0}', "output_length: '0'"),
        ('{"timestamp": 1, "input_length": 1e400, "output_length": 1}', "input_length: 'inf'"),
        ('{"timestamp": 1, "input_length": true, "output_length": 1}', "input_length: 'True'"),
        ('{"timestamp": NaN, "input_length": 1, "output_length": 1}', "timestamp: 'nan'"),
        ('{"timestamp": "1", "input_length": 1, "output_length": 1}', "timestamp: '1'"),
        ('{"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": [0.5]}', "hash_ids"),
        ('{"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": "0"}', "hash_ids"),
        ('{"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": [99999999999999999999]}', "64 bits"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_lines_of_mooncake_that_are_no_request_are_named(row, message, write):
    (problem,) = said(write([*jsonl(MOONCAKE), row]))
    assert problem.line == 4
    assert message in problem.message


def test_what_is_asked_for_must_exist(write, tmp_path):
    path = write(AZURE)
    with pytest.raises(UsageError, match="no such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(UnknownNameError, match="did you mean 'azure'"):
        read(path, form="azur")
    with pytest.raises(UsageError, match="did you mean 'prompt'"):
        read(path, columns={"prompts": "x"})
    with pytest.raises(UsageError, match="has its own"):
        read(path, form="azure", columns={"prompt": "x"})


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "noise.bin"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    for form in (None, *FORMS):
        assert said(path, form=form)
        assert said(path, form=form, bad_rows="skip")


def test_a_log_is_described_at_the_command_line(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("arrival_s,prompt,output\n" + "".join(f"{i},{100 + i % 7},{20 + i % 5}\n" for i in range(200)))
    shown = CliRunner().invoke(trace, ["requests", str(path)], catch_exceptions=False).stdout
    body = json.loads(CliRunner().invoke(trace, ["requests", str(path), "--json"], catch_exceptions=False).stdout)
    assert body["format"] == "csv"
    assert body["statistics"]["rate_per_s"] == pytest.approx(1.0)
    assert body["statistics"]["gap_cv"] == pytest.approx(0.0)
    assert "rate_per_s" in shown
