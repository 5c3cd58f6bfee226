"""Alibaba PAI 2020: tasks of jobs in one table, submissions in another beside it, both without a header.

Columns as documented in https://github.com/alibaba/clusterdata/tree/master/cluster-trace-gpu-v2020: a task is a number
of instances, each with a share of a GPU in percent; a job's own row has its submission as ``start_time``.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from dcsim.workload.traces import tables
from dcsim.workload.traces.canonical import Reading, check, frame, numbers, statuses

JOBS_FILE, TASKS_FILE = "pai_job_table.csv", "pai_task_table.csv"
JOB_COLUMNS = ("job_name", "inst_id", "user", "status", "start_time", "end_time")
TASK_COLUMNS = (
    "job_name",
    "task_name",
    "inst_num",
    "status",
    "start_time",
    "end_time",
    "plan_cpu",
    "plan_mem",
    "plan_gpu",
    "gpu_type",
)


def beside(path: Path) -> tuple[Path, Path]:
    """Job table and task table of a folder, or of one of the two."""
    folder = path if path.is_dir() else path.parent
    return folder / JOBS_FILE, folder / TASKS_FILE


def read(reading: Reading) -> Iterator[pd.DataFrame]:
    """Canonical frames: a job is all its tasks, from its first task's start to its last one's end.

    Raises
    ------
    InputError
        If a table cannot be read, or rows are bad and refused.
    """
    jobs_path, tasks_path = beside(reading.path)
    of_tasks = Reading(tasks_path, reading.bad_rows)
    sums = []
    for _, found in tables.frames(of_tasks, TASK_COLUMNS, names=_names(tasks_path, TASK_COLUMNS)):
        instances = numbers(found["inst_num"])
        sums.append(
            pd.DataFrame(
                {
                    "job_name": found["job_name"],
                    "gpus": instances * numbers(found["plan_gpu"]).fillna(0.0) / 100.0,
                    "cpus": instances * numbers(found["plan_cpu"]).fillna(0.0) / 100.0,
                    "start_s": numbers(found["start_time"]),
                    "end_s": numbers(found["end_time"]),
                }
            )
        )
    of_tasks.finish()
    how = {"gpus": "sum", "cpus": "sum", "start_s": "min", "end_s": "max"}
    tasks = pd.concat(sums).groupby("job_name").agg(how) if sums else pd.DataFrame(columns=list(how))
    of_jobs = Reading(jobs_path, reading.bad_rows)
    for first, found in tables.frames(of_jobs, JOB_COLUMNS, names=_names(jobs_path, JOB_COLUMNS)):
        task = tasks.reindex(found["job_name"]).reset_index(drop=True)
        rows = frame(
            len(found),
            job_id=found["job_name"],
            submit_s=numbers(found["start_time"]),
            start_s=task["start_s"],
            run_s=(task["end_s"] - task["start_s"]).where(task["end_s"] >= task["start_s"]),
            gpus=task["gpus"],
            cpus=task["cpus"],
            tenant=found["user"],
            status=statuses(found["status"]),
        )
        yield check(rows, of_jobs, first, {"submit_s": found["start_time"]})
    reading.rows, reading.bad, reading.listed = of_jobs.rows, of_jobs.bad, of_jobs.listed
    reading.finish()


def _names(path: Path, columns: tuple[str, ...]) -> tuple[str, ...] | None:
    """Names of the columns where the file has no header, as published; None where somebody added one."""
    return None if tables.header(path)[0] == columns[0] else columns
