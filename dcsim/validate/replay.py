"""Power of a cluster over time against what was measured: tasks replayed, two parameters fitted on one part alone."""

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dcsim.catalog.reference import ABSENT, at_hand
from dcsim.errors import InputError, Problem, UsageError
from dcsim.physics.servers import busy_frac
from dcsim.sim.engine import ClusterSpec, simulate
from dcsim.steps import StepSeries
from dcsim.units import SECONDS_PER_MINUTE
from dcsim.validate.common import Suite, summary
from dcsim.workload.jobs import Floats, Jobs
from dcsim.workload.traces.formats import source
from dcsim.workload.traces.replay import replayed

WINDOW_S = 5 * SECONDS_PER_MINUTE
# What others reach on the whole SURF week, as their papers print it, or as their published series give it.
OTHERS = "OpenDC 6.37 %, OpenDT 5.13 and 4.39 %, M3SA 3.81 %, over the whole week"


@dataclass(frozen=True)
class Hosts:
    """The hosts of a trace's topology, all alike."""

    count: int
    cores: int
    core_mhz: float


@dataclass(frozen=True)
class Measured:
    """Power of all hosts; ``end_s`` are the ends of the samples' times, from the first submission. [s, W]"""

    end_s: Floats
    power_w: Floats


def hosts(folder: Path) -> Hosts:
    """Hosts of ``topology.json``, as OpenDC writes it.

    Raises
    ------
    InputError
        If there is none, or its hosts are not all alike.
    """
    path = folder / "topology.json"
    try:
        clusters = json.loads(path.read_text(encoding="utf-8"))["clusters"]
        kinds = [
            (int(host.get("count", 1)), int(host["cpu"]["coreCount"]), float(host["cpu"]["coreSpeed"]))
            for cluster in clusters
            for host in cluster["hosts"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(str(path), [Problem(0, "", f"is no topology of OpenDC: {error}")]) from None
    if len({kind[1:] for kind in kinds}) != 1:
        raise InputError(str(path), [Problem(0, "", "hosts of several kinds; the replay knows one")])
    return Hosts(sum(kind[0] for kind in kinds), *kinds[0][1:])


def busy_hosts(folder: Path, of: Hosts) -> tuple[StepSeries, float]:
    """Sum over hosts of :func:`dcsim.physics.servers.busy_frac` over time from the first submission, and when that was.

    Tasks wait in order of submission for whole hosts, or for cores of one. A task of several hosts loads them alike;
    tasks that share a host count as if each had its own, which 2 % of the SURF week's do.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    jobs, _ = replayed(source(folder, "opendc"))
    first_s = float(jobs.submit_s[0])
    jobs = Jobs(**{**vars(jobs), "submit_s": jobs.submit_s - first_s})
    cluster = ClusterSpec(of.cores, of.count, of.count, ((0.0, of.count),))
    done = simulate(cluster, jobs, np.ones((1, 2)), policy="fifo", horizon_s=np.inf, seed=0)
    path = folder / "fragments.parquet"
    try:
        table = pq.read_table(path, columns=["id", "duration", "cpu_usage"])
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(str(path), [Problem(0, "", f"cannot be read: {error}")]) from None
    encoded = table["id"].combine_chunks().dictionary_encode()
    names = pd.Index(jobs.job_id.astype(str))
    row = names.get_indexer(pd.Index(encoded.dictionary.to_pylist()).astype(str))[encoded.indices.to_numpy()]
    # Fragments of a task follow each other in the file.
    order = np.argsort(row, kind="stable")
    order = order[row[order] >= 0]
    row = row[order]
    length_s = table["duration"].to_numpy()[order] / 1000.0
    usage = table["cpu_usage"].to_numpy()[order]
    width = -(-jobs.gpus // of.cores)
    busy = width[row] * busy_frac(np.clip(usage / (width[row] * of.cores * of.core_mhz), 0.0, 1.0))
    begins = np.flatnonzero(np.diff(row, prepend=-1))
    count = np.diff(np.append(begins, len(row)))
    along_s = np.cumsum(length_s)
    start_s = done.first_start_s[row] + along_s - length_s - np.repeat(along_s[begins] - length_s[begins], count)
    # A step at the start of each fragment, from the one before it, and one down at the end of each task.
    step: Floats = np.diff(busy, prepend=0.0).astype(np.float64)
    step[begins] = busy[begins]
    last = begins + count - 1
    times = np.concatenate([start_s, start_s[last] + length_s[last]])
    return StepSeries.from_changes(times, np.concatenate([step, -busy[last]])), first_s


def measured(path: Path, first_s: float) -> Measured:
    """Power samples of a CSV or Parquet file with ``timestamp`` and ``power_draw``.

    A timestamp is the end of its sample: a time of a calendar, milliseconds since 1970, or milliseconds since the first
    submission, told by its size.

    Raises
    ------
    InputError
        If the file cannot be read or lacks a column, or times do not rise evenly.
    """
    try:
        found = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        found = found.sort_values("timestamp")
        stamp, power_w = found["timestamp"], found["power_draw"].to_numpy(dtype=float)
        if stamp.dtype.kind in "iuf":
            end_s = stamp.to_numpy(dtype=float) / 1000.0
            if len(end_s) and end_s[0] > 1e8:
                end_s = end_s - first_s
        else:
            since = (pd.to_datetime(stamp, utc=True) - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
            end_s = np.asarray(since, dtype=np.float64) - first_s
    except (OSError, ValueError, KeyError, pa.ArrowInvalid) as error:
        raise InputError(str(path), [Problem(0, "", f"is no series of timestamp and power_draw: {error}")]) from None
    if len(end_s) < 2 or np.ptp(np.diff(end_s)) > 1e-3 or not np.all(power_w > 0):
        raise InputError(str(path), [Problem(0, "", "samples must follow each other evenly, with powers above 0")])
    return Measured(end_s, power_w)


def replay(
    trace: Path | None = None, power: Path | None = None, fit_until: str | None = None, score: Path | None = None
) -> dict[str, Any]:
    """Fit idle and busy power of a host on the power up to a time, and compare all of it, five minutes a row.

    Parameters
    ----------
    trace : Path, optional
        Folder of ``tasks.parquet``, ``fragments.parquet`` and ``topology.json``; the SURF week of the reference data if
        absent.
    power : Path, optional
        Measured power; that of the reference data if absent.
    fit_until : str, optional
        Time in ISO 8601, UTC without a zone; half of the measured time if absent.
    score : Path, optional
        More measured power, which no fit sees.

    Returns
    -------
    dict
        The common form, with ``parameters``: idle power of a host and its power above idle at full use. [W]
    """
    trace, power = trace or at_hand("traces/surf"), power or at_hand("traces/surf/power_first_half.parquet")
    if trace is None or power is None:
        return _result([], [f"{ABSENT} (traces/surf; set DCSIM_DATA_DIR)"], {})
    of = hosts(trace)
    series, first_s = busy_hosts(trace, of)
    known = measured(power, first_s)
    until_s = float(known.end_s[len(known.end_s) // 2 - 1]) if fit_until is None else _seconds(fit_until) - first_s
    fitted = known.end_s <= until_s + 1e-3
    if np.count_nonzero(fitted) < 2:
        raise UsageError(f"--fit-until {fit_until}: fewer than two samples lie before it")
    busy = _mean(series, known)
    # Least squares of the relative error: a percent counts alike at night and at noon.
    terms = np.column_stack([np.full(len(busy), float(of.count)), busy])[fitted] / known.power_w[fitted, None]
    idle_w, dynamic_w = np.linalg.lstsq(terms, np.ones(len(terms)), rcond=None)[0]
    rows = _rows(known, of.count * idle_w + dynamic_w * busy, until_s, first_s)
    if score is not None:
        unseen = measured(score, first_s)
        late = unseen.end_s > until_s + 1e-3
        unseen = Measured(unseen.end_s[late], unseen.power_w[late])
        ends = {row["case_id"] for row in rows}
        more = _rows(unseen, of.count * idle_w + dynamic_w * _mean(series, unseen), until_s, first_s)
        rows += [row for row in more if row["case_id"] not in ends]
    parameters = {"hosts": of.count, "idle_w": float(idle_w), "dynamic_w": float(dynamic_w), "exponent": 1.4}
    until = datetime.datetime.fromtimestamp(first_s + until_s, datetime.UTC)
    finding = (
        f"{of.count} hosts of {idle_w:.1f} W idle and {dynamic_w:.1f} W more at full use, fitted on power up to "
        f"{until:%Y-%m-%d %H:%M} UTC; {OTHERS}"
    )
    return _result(rows, [finding], parameters)


def _seconds(text: str) -> float:
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--fit-until {text}: is no time in ISO 8601, such as 2022-10-10T10:00") from None
    return (when if when.tzinfo else when.replace(tzinfo=datetime.UTC)).timestamp()


def _mean(series: StepSeries, of: Measured) -> Floats:
    """Mean over each sample's time."""
    every_s = of.end_s[1] - of.end_s[0]
    edges = np.concatenate([[of.end_s[0] - every_s], of.end_s])
    return np.asarray(series.integral(edges) / every_s)


def _rows(of: Measured, predicted_w: Floats, until_s: float, first_s: float) -> list[dict[str, Any]]:
    """One row a whole window, those that hold the end of the fit left out."""
    every_s = of.end_s[1] - of.end_s[0]
    window = np.ceil(of.end_s / WINDOW_S - 1e-6).astype(np.int64) - 1
    rows = []
    for one in np.unique(window):
        held = window == one
        start_s, end_s = one * WINDOW_S, (one + 1) * WINDOW_S
        if np.count_nonzero(held) < round(WINDOW_S / every_s) or start_s < until_s < end_s - 1e-3:
            continue
        published, ours = float(of.power_w[held].mean()), float(predicted_w[held].mean())
        when = datetime.datetime.fromtimestamp(first_s + end_s, datetime.UTC)
        rows.append(
            {
                "case_id": f"{when:%Y-%m-%dT%H:%M}Z",
                "column": "power_w",
                "predicted": ours,
                "published": published,
                "unit": "W",
                "error_pct": 100.0 * (ours / published - 1.0),
                "in_sample": bool(end_s <= until_s + 1e-3),
                "p10": None,
                "p90": None,
                "source": "measured power of all hosts",
            }
        )
    return rows


def _result(rows: list[dict[str, Any]], findings: list[str], parameters: dict[str, Any]) -> dict[str, Any]:
    parts = []
    for name, meaning, fitted in (
        ("fitted part", "five-minute means, two parameters fitted on it", True),
        ("unseen part", "five-minute means, nothing fitted on it", False),
    ):
        held = [row for row in rows if row["in_sample"] == fitted]
        if held:
            figures = summary(held)
            del figures["splits"]
            parts.append({"name": name, "meaning": meaning, "held_out": False, "detail": False, **figures})
    common = {"parts": parts, "findings": findings, "checks": [], "rows": rows}
    return {"suite": "replay", **summary(rows), **common, "parameters": parameters}


SUITE = Suite({}, "measured power of the SURF cluster over half a week, from its tasks", needs_data=True, own=replay)
