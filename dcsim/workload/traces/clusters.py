"""Logs of GPU clusters that are one table: whose column is which of ours, by what their publishers document.

* Philly, as the artifact of Sia filters it: https://github.com/siasosp23/artifacts
* Alibaba 2023, ``openb_pod_list``: https://github.com/alibaba/clusterdata/tree/master/cluster-trace-gpu-v2023
* MIT Supercloud, Slurm accounting rows: https://dcc.mit.edu
* Helios, ``cluster_log.csv``: https://github.com/S-Lab-System-Group/HeliosData
* Acme, ``trace_seren.csv`` and ``trace_kalos.csv``: https://github.com/InternLM/AcmeTrace
* ``sacct --parsable2``: https://slurm.schedmd.com/sacct.html
* OpenDC ``tasks.parquet``: https://atlarge-research.github.io/opendc/docs/documentation/Input/Workload
"""

from typing import Any

import pandas as pd

from dcsim.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE
from dcsim.workload.traces.canonical import numbers
from dcsim.workload.traces.mapped import Columns

# Slurm's trackable resource of GPUs in the database of MIT Supercloud.
_GPU_TRES = "1002"
# Slurm's states by number, job_states of slurm.h.
_SLURM = {
    "0": "queued",
    "1": "running",
    "2": "running",
    "3": "completed",
    "4": "cancelled",
    "5": "failed",
    "6": "timeout",
    "7": "failed",
    "8": "cancelled",
    "9": "failed",
    "10": "cancelled",
    "11": "failed",
}
# Slurm writes an unlimited time as the largest 32-bit number, or the one below.
_UNLIMITED = 4_294_967_294


def _openb_gpus(found: pd.DataFrame) -> "pd.Series[float]":
    return numbers(found["num_gpu"]) * numbers(found["gpu_milli"]) / 1000.0


def _openb_cpus(found: pd.DataFrame) -> "pd.Series[float]":
    return numbers(found["cpu_milli"]) / 1000.0


def _of_list(text: "pd.Series[Any]", key: str) -> "pd.Series[float]":
    """Number after ``key=`` in lists such as ``1=20,2=170000,1002=2``; 0 where it is not listed."""
    return numbers(text.astype("str").str.extract(rf"(?:^|,){key}=(\d+)", expand=False)).fillna(0.0)


def _supercloud_gpus(found: pd.DataFrame) -> "pd.Series[float]":
    """GPUs requested; where the request names none, as by a default of the partition, those allocated."""
    requested, allocated = (_of_list(found[name], _GPU_TRES) for name in ("tres_req", "tres_alloc"))
    return requested.where(requested > 0, allocated)


def _supercloud_limit_s(found: pd.DataFrame) -> "pd.Series[float]":
    limit_min = numbers(found["timelimit"])
    return limit_min.where(limit_min < _UNLIMITED) * SECONDS_PER_MINUTE


def _sacct_limit_s(found: pd.DataFrame) -> "pd.Series[float]":
    """Seconds of ``[days-]hours:minutes:seconds``; null where it is a word."""
    part = found["Timelimit"].astype("str").str.extract(r"^(?:(\d+)-)?(\d+):(\d+):(\d+)$")
    day, hour, minute, second = (numbers(part[k]) for k in range(4))
    return day.fillna(0.0) * SECONDS_PER_DAY + hour * SECONDS_PER_HOUR + minute * SECONDS_PER_MINUTE + second


def _sacct_gpus(found: pd.DataFrame) -> "pd.Series[float]":
    return _of_list(found["ReqTRES"], "gres/gpu")


def _is_step(found: pd.DataFrame) -> "pd.Series[bool]":
    return found["JobID"].astype("str").str.contains(".", regex=False)


PHILLY_SIA = Columns({"submit_s": "timestamp", "run_s": "duration", "gpus": "num_gpus", "tenant": "cluster"})

OPENB = Columns(
    {
        "job_id": "name",
        "submit_s": "creation_time",
        "start_s": "scheduled_time",
        "end_s": "deletion_time",
        "tenant": "qos",
        "status": "pod_phase",
    },
    parts={"gpus": _openb_gpus, "cpus": _openb_cpus},
    needs=("num_gpu", "gpu_milli", "cpu_milli"),
)

SUPERCLOUD = Columns(
    {
        "job_id": "id_job",
        "submit_s": "time_submit",
        "start_s": "time_start",
        "end_s": "time_end",
        "cpus": "cpus_req",
        "nodes": "nodes_alloc",
        "tenant": "id_user",
        "status": "state",
    },
    parts={"gpus": _supercloud_gpus, "limit_s": _supercloud_limit_s},
    needs=("tres_req", "tres_alloc", "timelimit"),
    status=_SLURM,
    zero_is_never=True,
)

_CLUSTER_LOG = {
    "job_id": "job_id",
    "submit_s": "submit_time",
    "start_s": "start_time",
    "end_s": "end_time",
    "gpus": "gpu_num",
    "cpus": "cpu_num",
    "nodes": "node_num",
    "status": "state",
}
HELIOS = Columns({**_CLUSTER_LOG, "tenant": "vc"})
ACME = Columns({**_CLUSTER_LOG, "tenant": "user"}, needs=("type", "queue"))

SACCT = Columns(
    {
        "job_id": "JobID",
        "submit_s": "Submit",
        "start_s": "Start",
        "end_s": "End",
        "cpus": "NCPUS",
        "nodes": "NNodes",
        "tenant": "Account",
        "status": "State",
    },
    parts={"gpus": _sacct_gpus, "limit_s": _sacct_limit_s},
    needs=("ReqTRES", "Timelimit"),
    delimiter="|",
    ignored=_is_step,
)

OPENDC = Columns(
    {"job_id": "id", "submit_s": "submission_time", "cpus": "cpu_count"},
    parts={"run_s": lambda found: numbers(found["duration"]) / 1000.0},
    needs=("duration", "cpu_capacity"),
    time_unit_s=1e-3,
)
OPENDC_GPUS = Columns(
    {**OPENDC.names, "gpus": "gpu_count"}, parts=OPENDC.parts, needs=OPENDC.needs, time_unit_s=OPENDC.time_unit_s
)

CANONICAL = Columns(
    {
        name: name
        for name in ("job_id", "submit_s", "start_s", "run_s", "limit_s", "gpus", "cpus", "nodes", "tenant", "status")
    }
)
