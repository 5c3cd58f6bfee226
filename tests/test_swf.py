"""The reader of the Standard Workload Format: conventions, counts, and every fault with its line."""

import gzip

import numpy as np
import pytest

from dcsim.errors import InputError, UsageError
from dcsim.workload.traces.formats import source
from dcsim.workload.traces.replay import replayed

FIELDS = "fields 1, 2, 3, 4, 5, 8, 9, 11, 12"


def read(path, job_class="training", bad_rows="refuse"):
    return replayed(source(path, "swf"), job_class=job_class, bad_rows=bad_rows)


HEADER = """\
; Version: 2.2
; Computer: Test machine
; Information: http://example.org/
;              http://example.org/more
; MaxProcs: 100
; Note: first
;
; Note: second
;       job<=14 (14 jobs removed)
"""


def row(number=1, submit=0, run=10, allocated=4, requested=4, estimate=100, fields=18):
    values = [number, submit, -1, run, allocated, -1, -1, requested, estimate, -1, 1, 1, 1, -1, -1, -1, -1, -1]
    return " ".join(f"{value:>6}" for value in values[:fields]) + "\n"


def written(tmp_path, *rows, compress=False):
    path = tmp_path / ("log.swf.gz" if compress else "log.swf")
    text = (HEADER + "".join(rows)).encode()
    path.write_bytes(gzip.compress(text) if compress else text)
    return path


def test_a_row_becomes_a_job_by_the_conventions(tmp_path):
    path = written(
        tmp_path,
        row(7, submit=20, run=50, allocated=8, requested=4, estimate=60),
        row(8, submit=30, run=50, allocated=8, requested=-1, estimate=40),  # allocation, run cut to the estimate
        row(9, submit=40, run=50, requested=2, estimate=-1),  # no estimate: the run time
        row(10, submit=50, run=0, requested=1, estimate=-1),  # and at least 1 s
    )
    jobs, report = read(path, job_class="hpc")
    assert jobs.job_id.tolist() == [7, 8, 9, 10]
    assert jobs.submit_s.tolist() == [20.0, 30.0, 40.0, 50.0]
    assert jobs.gpus.tolist() == [4, 8, 2, 1]
    assert jobs.run_s.tolist() == [50.0, 40.0, 50.0, 0.0]
    assert jobs.limit_s.tolist() == [60.0, 40.0, 50.0, 1.0]
    assert (jobs.class_names, jobs.class_index.tolist()) == (("hpc",), [0, 0, 0, 0])
    assert (report.n_rows, report.dropped, report.n_runs_cut, report.n_limits_absent) == (4, {}, 1, 2)


def test_jobs_are_sorted_by_submission_and_equal_ones_keep_their_order(tmp_path):
    jobs, _ = read(written(tmp_path, row(1, submit=9), row(2, submit=5), row(3, submit=9), row(4, submit=5)))
    assert jobs.job_id.tolist() == [2, 4, 1, 3]


def test_unusable_rows_are_dropped_with_a_reason(tmp_path):
    rows = row(1, run=-1), row(2), row(3, allocated=-1, requested=0), row(4, submit=-1), row(5, run=-1, requested=-1)
    jobs, report = read(written(tmp_path, *rows))
    assert jobs.job_id.tolist() == [2]
    assert report.n_rows == 5
    assert report.dropped == {"no run time": 2, "no processors": 1, "no submission time": 1}


def test_the_header_is_read(tmp_path):
    _, report = read(written(tmp_path, row()))
    assert report.header == {
        "Version": "2.2",
        "Computer": "Test machine",
        "Information": "http://example.org/",
        "MaxProcs": "100",
        "Note": "first\nsecond",
    }


def test_gzip_and_plain_give_the_same_jobs(tmp_path):
    rows = [row(number, submit=number) for number in range(1, 50)]
    plain, _ = read(written(tmp_path, *rows))
    packed, _ = read(written(tmp_path, *rows, compress=True))
    for column in ("job_id", "submit_s", "run_s", "limit_s", "gpus"):
        np.testing.assert_array_equal(getattr(plain, column), getattr(packed, column))


def test_all_malformed_lines_are_named_at_once(tmp_path):
    path = written(tmp_path, row(1), row(2, fields=9), "\n", row(3, run="ten"), row(4, estimate="nan"), row(5))
    with pytest.raises(InputError) as caught:
        read(path)
    assert [problem.line for problem in caught.value.problems] == [11, 13, 14]
    assert str(caught.value).splitlines() == [
        f"{path}: 3 problems",
        "  line 11  9 fields, but a job has 18; mend or delete the line",
        f"  line 13  {FIELDS} are 3, 0, -1, ten, 4, 4, 100, 1, 1; each must be a number; mend or delete the line",
        f"  line 14  {FIELDS} are 4, 0, -1, 10, 4, 4, nan, 1, 1; each must be a number; mend or delete the line",
    ]


def test_of_many_malformed_lines_the_first_twenty_and_the_count_are_shown(tmp_path):
    with pytest.raises(InputError, match="137 rows are malformed, of which the first 20 follow") as caught:
        read(written(tmp_path, *[row(fields=3)] * 137))
    assert [problem.line for problem in caught.value.problems] == [0, *range(10, 30)]


def test_a_truncated_gzip_is_refused_with_the_line_where_it_ends(tmp_path):
    path = written(tmp_path, *[row(number) for number in range(5000)], compress=True)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"line \d{2,}  the gzip stream ends early: a truncated file"):
        read(path)


def test_a_damaged_gzip_is_refused(tmp_path):
    path = written(tmp_path, *[row(number) for number in range(5000)], compress=True)
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF  # in the checksum
    path.write_bytes(content)
    with pytest.raises(InputError, match="the gzip stream is damaged"):
        read(path)


def test_a_plain_file_cut_inside_a_line_is_refused(tmp_path):
    path = written(tmp_path, row(1), row(2))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match="line 11  9 fields, but a job has 18"):
        read(path)


def test_a_file_without_a_usable_job_is_refused(tmp_path):
    with pytest.raises(InputError, match="none of 2 jobs is usable: 2 with no run time"):
        read(written(tmp_path, row(run=-1), row(run=-1)))
    with pytest.raises(InputError, match="none of 0 jobs is usable: it is empty"):
        read(written(tmp_path))


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no such trace"):
        read(tmp_path / "absent.swf")


def test_malformed_lines_are_skipped_where_that_is_asked(tmp_path):
    jobs, report = read(written(tmp_path, row(1), row(2, fields=9), row(3, run="ten"), row(4)), bad_rows="skip")
    assert jobs.job_id.tolist() == [1, 4]
    assert (report.n_rows, report.n_bad) == (4, 2)
    assert report.notes("log.swf") == ["2 rows of log.swf are no jobs and were skipped"]
