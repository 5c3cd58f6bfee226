"""Traces in JSON: Philly's own job log, read object by object, and the workloads of Batsim.

* Philly, ``cluster_job_log``: https://github.com/msr-fiddle/philly-traces
* Batsim: https://batsim.readthedocs.io/en/latest/input-workload.html
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dcsim.workload.traces.canonical import ROWS, Reading, frame, seconds, statuses
from dcsim.workload.traces.tables import is_gzip

_CHUNK = 1 << 20


def philly(reading: Reading) -> Iterator[pd.DataFrame]:
    """Canonical frames of Philly's own log: a job is its first attempt's start to its last attempt's end.

    Its GPUs are those of its last attempt; attempts of a job that was started again are counted as running throughout,
    the waits between them included, since the log does not tell them from the job's own work.

    Raises
    ------
    InputError
        If the file is no array of objects, or jobs are bad and refused.
    """
    held: list[dict[str, Any]] = []
    for number, job in enumerate(_objects(reading), start=1):
        reading.rows = number
        row = _philly_job(job)
        if isinstance(row, str):
            reading.fault(number, row)
        else:
            held.append(row)
        if len(held) >= ROWS:
            yield _philly_frame(held)
            held = []
    if held:
        yield _philly_frame(held)
    reading.finish()


def _philly_job(job: Any) -> dict[str, Any] | str:
    try:
        attempts = [of for of in job["attempts"] if of.get("start_time")]
        last = attempts[-1]["detail"] if attempts else []
        return {
            "job_id": str(job["jobid"]),
            "submit": job["submitted_time"],
            "start": attempts[0]["start_time"] if attempts else None,
            "end": attempts[-1].get("end_time") if attempts else None,
            "gpus": sum(len(host["gpus"]) for host in last),
            "nodes": len(last),
            "tenant": str(job["vc"]),
            "status": str(job["status"]),
        }
    except (KeyError, TypeError, AttributeError) as error:
        return f"is no job of Philly's log: {type(error).__name__} {error}"


def _philly_frame(held: list[dict[str, Any]]) -> pd.DataFrame:
    found = pd.DataFrame(held)
    start_s, end_s = (_calendar(found[name]) for name in ("start", "end"))
    return frame(
        len(found),
        job_id=found["job_id"],
        submit_s=_calendar(found["submit"]),
        start_s=start_s,
        run_s=(end_s - start_s).where(end_s >= start_s),
        gpus=found["gpus"],
        nodes=found["nodes"],
        tenant=found["tenant"],
        status=statuses(found["status"]),
    )


def _calendar(text: "pd.Series[Any]") -> "pd.Series[float]":
    return seconds(pd.to_datetime(text.astype("str"), errors="coerce", utc=True))


def batsim(reading: Reading) -> Iterator[pd.DataFrame]:
    """Canonical frames of a Batsim workload; jobs whose profile is no plain delay have no run time without a platform.

    Raises
    ------
    InputError
        If the file is no workload, or jobs are bad and refused.
    """
    try:
        workload = json.loads(_text(reading.path))
        jobs, profiles = workload["jobs"], workload["profiles"]
    except (ValueError, KeyError, TypeError) as error:
        raise reading.broken(0, f"is no Batsim workload: {type(error).__name__} {error}") from None
    held = []
    for number, job in enumerate(jobs, start=1):
        reading.rows = number
        try:
            profile = profiles[job["profile"]]
            run_s = float(profile["delay"]) if profile.get("type") == "delay" else np.nan
            limit_s = float(job.get("walltime", np.nan))
            held.append((str(job["id"]), float(job["subtime"]), run_s, limit_s, float(job["res"])))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reading.fault(number, f"is no job of Batsim: {type(error).__name__} {error}")
    if held:
        times = np.array([row[1:] for row in held])
        limits_s = np.where(times[:, 2] > 0, times[:, 2], np.nan)
        yield frame(
            len(held),
            job_id=[row[0] for row in held],
            submit_s=times[:, 0],
            run_s=times[:, 1],
            limit_s=limits_s,
            cpus=times[:, 3],
        )
    reading.finish()


def head(path: Path) -> str:
    """First characters of a file that are no blanks."""
    with (gzip.open if is_gzip(path) else open)(path, "rt", encoding="utf-8", errors="replace") as stream:
        return stream.read(1024).lstrip()


def _text(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if is_gzip(path) else path.read_bytes()


def _objects(reading: Reading) -> Iterator[Any]:
    """Objects of one array, each read by itself."""
    decoder = json.JSONDecoder()
    opener = gzip.open if is_gzip(reading.path) else open
    with opener(reading.path, "rt", encoding="utf-8") as stream:
        text = stream.read(_CHUNK).lstrip()
        if not text.startswith("["):
            raise reading.broken(0, "is no array of jobs")
        text = text[1:]
        while True:
            text = text.lstrip().removeprefix(",").lstrip()
            if text.startswith("]"):
                return
            try:
                found, end = decoder.raw_decode(text)
            except ValueError:
                more = stream.read(_CHUNK)
                if not more:
                    raise reading.broken(reading.rows + 1, "ends early: a truncated file; fetch it anew") from None
                text += more
                continue
            yield found
            text = text[end:]
