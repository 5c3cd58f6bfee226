"""The registry of trace formats: add one as a reader and a line in ``FORMATS``."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from dcsim.errors import UsageError
from dcsim.registry import lookup
from dcsim.workload.traces import clusters, jsons, mapped, pai, swf, tables
from dcsim.workload.traces.canonical import Reading
from dcsim.workload.traces.mapped import Columns

Frames = Iterator[pd.DataFrame]

WIDTH = "width"
"""Metadata of the canonical form that says whether its jobs ask for GPUs or processors."""


@dataclass(frozen=True)
class Format:
    """One form of trace.

    Parameters
    ----------
    meaning : str
        What it is.
    read : callable
        Canonical frames of a file.
    recognise : callable
        Tells whether an existing file or folder is of this form.
    gpus : bool
        Its jobs ask for GPUs; else for processors, each of which stands for a GPU in a replay.
    seen : str
        Publisher's own file on which the reader was tried; empty where only files made up for tests were.
    source : str
        Where the form is documented.
    """

    meaning: str
    read: Callable[[Reading], Frames]
    recognise: Callable[[Path], bool]
    gpus: bool
    seen: str
    source: str


def _table(of: Columns) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and not of.lacking(tables.header(path, of.delimiter))


def _folder(name: str, path: Path) -> Path:
    return path / name if path.is_dir() else path


def _opendc(reading: Reading) -> Frames:
    reading.path = _folder("tasks.parquet", reading.path)
    has_gpus = not clusters.OPENDC_GPUS.lacking(tables.header(reading.path))
    return mapped.read(reading, clusters.OPENDC_GPUS if has_gpus else clusters.OPENDC)


def _is_opendc(path: Path) -> bool:
    tasks = _folder("tasks.parquet", path)
    return tasks.is_file() and tables.is_parquet(tasks) and not clusters.OPENDC.lacking(tables.header(tasks))


def _is_swf(path: Path) -> bool:
    return path.is_file() and path.name.removesuffix(".gz").endswith(".swf")


def _is_pai(path: Path) -> bool:
    return all(of.is_file() for of in pai.beside(path)) and (path.is_dir() or path in pai.beside(path))


def _starts(path: Path, mark: str) -> bool:
    if not path.is_file() or not path.name.removesuffix(".gz").endswith(".json"):
        return False
    return jsons.head(path).startswith(mark)


_ALIBABA = "https://github.com/alibaba/clusterdata/tree/master"
FORMATS: dict[str, Format] = {
    "swf": Format(
        "Standard Workload Format of the Parallel Workloads Archive",
        swf.read,
        _is_swf,
        False,
        "KTH-SP2, LANL-CM5, NASA-iPSC",
        "https://www.cs.huji.ac.il/labs/parallel/workload/swf.html",
    ),
    "dcsim": Format(
        "canonical Parquet that `dcsim trace convert` writes",
        partial(mapped.read, of=clusters.CANONICAL),
        _table(clusters.CANONICAL),
        True,
        "what convert wrote",
        "dcsim/columns.py",
    ),
    "philly-sia": Format(
        "Microsoft Philly as the artifact of Sia filters it, CSV",
        partial(mapped.read, of=clusters.PHILLY_SIA),
        _table(clusters.PHILLY_SIA),
        True,
        "philly_sia.csv",
        "https://github.com/siasosp23/artifacts",
    ),
    "openb": Format(
        "Alibaba 2023, pods of a GPU cluster, CSV",
        partial(mapped.read, of=clusters.OPENB),
        _table(clusters.OPENB),
        True,
        "openb_pod_list_default.csv",
        f"{_ALIBABA}/cluster-trace-gpu-v2023",
    ),
    "supercloud": Format(
        "MIT Supercloud, rows of Slurm's database, CSV",
        partial(mapped.read, of=clusters.SUPERCLOUD),
        _table(clusters.SUPERCLOUD),
        True,
        "slurm-log-queueing-clean.csv",
        "https://dcc.mit.edu",
    ),
    "opendc": Format(
        "OpenDC tasks, Parquet",
        _opendc,
        _is_opendc,
        False,
        "SURF week of OpenDT",
        "https://atlarge-research.github.io/opendc/docs/documentation/Input/Workload",
    ),
    "batsim": Format(
        "Batsim workload, JSON",
        jsons.batsim,
        lambda path: _starts(path, "{"),
        False,
        "medium_late",
        "https://batsim.readthedocs.io/en/latest/input-workload.html",
    ),
    "philly": Format(
        "Microsoft Philly's own job log, JSON",
        jsons.philly,
        lambda path: _starts(path, "["),
        True,
        "",
        "https://github.com/msr-fiddle/philly-traces",
    ),
    "pai": Format(
        "Alibaba PAI 2020, job and task tables beside each other, CSV",
        pai.read,
        _is_pai,
        True,
        "",
        f"{_ALIBABA}/cluster-trace-gpu-v2020",
    ),
    "acme": Format(
        "Shanghai AI Laboratory's Seren and Kalos, CSV",
        partial(mapped.read, of=clusters.ACME),
        _table(clusters.ACME),
        True,
        "",
        "https://github.com/InternLM/AcmeTrace",
    ),
    "helios": Format(
        "SenseTime Helios, cluster_log, CSV",
        partial(mapped.read, of=clusters.HELIOS),
        _table(clusters.HELIOS),
        True,
        "",
        "https://github.com/S-Lab-System-Group/HeliosData",
    ),
    "sacct": Format(
        "sacct --parsable2 --format=JobID,Account,Submit,Start,End,Timelimit,NNodes,NCPUS,ReqTRES,State",
        partial(mapped.read, of=clusters.SACCT),
        _table(clusters.SACCT),
        True,
        "",
        "https://slurm.schedmd.com/sacct.html",
    ),
}


@dataclass(frozen=True)
class Source:
    """A trace to read: what it is of, and how.

    Parameters
    ----------
    path : Path
        File or folder.
    name : str
        Key of ``FORMATS``, or ``mapped``.
    gpus : bool
        Its jobs ask for GPUs.
    """

    path: Path
    name: str
    gpus: bool
    read: Callable[[Reading], Frames]

    def frames(self, bad_rows: Literal["refuse", "skip"] = "refuse") -> tuple[Reading, Frames]:
        """How it is read, which fills as frames are taken, and the canonical frames."""
        reading = Reading(self.path, bad_rows)
        return reading, self.read(reading)


def source(path: Path, name: str | None = None, mapping: tuple[str, ...] = ()) -> Source:
    """A trace of a stated form, of a stated mapping, or of the form that it looks like.

    Raises
    ------
    UsageError
        If there is no such file, no such form, or the file looks like none.
    """
    if not path.exists():
        raise UsageError(f"{path}: there is no such trace")
    if mapping:
        if name is not None:
            raise UsageError("--map states the columns, --format a known form; give one of them")
        of = mapped.stated(mapping)
        return Source(path, "mapped", "gpus" in of.names, partial(mapped.read, of=of))
    if name is None:
        name = next((key for key, form in FORMATS.items() if form.recognise(path)), None)
        if name is None:
            raise UsageError(
                f"{path}: looks like no known trace; name its form with --format ({', '.join(FORMATS)}) or its columns "
                "with --map submit_s=... --map run_s=... --map gpus=..."
            )
    form = lookup(FORMATS, name, "trace format")
    gpus = form.gpus and (name != "dcsim" or tables.metadata(path).get(WIDTH) != "cpus")
    return Source(path, name, gpus, form.read)
