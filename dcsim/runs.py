"""A run folder: written aside and renamed, so that it appears whole or not at all; every data file hashed."""

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from dcsim import __version__
from dcsim.columns import TABLES
from dcsim.errors import DcsimError, UsageError
from dcsim.model.tree import dump
from dcsim.parquet import declared, encoding

Writer = Callable[[Path], None]

LIBRARIES = ("numpy", "pandas", "pvlib", "pyarrow", "pydantic", "scipy", "simpy")


class RunError(DcsimError):
    """A run folder could not be written."""


@dataclass(frozen=True)
class Run:
    """What one run answered."""

    folder: Path
    scenario: dict[str, Any]
    kpis: dict[str, dict[str, Any]]
    findings: dict[str, Any]

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """The interval table; like the others it is read when first asked for."""
        return pd.read_parquet(self.folder / "intervals.parquet")

    @cached_property
    def pools(self) -> pd.DataFrame:
        """The interval table by pool."""
        return pd.read_parquet(self.folder / "pools.parquet")

    @cached_property
    def jobs(self) -> pd.DataFrame:
        """The job table."""
        return pd.read_parquet(self.folder / "jobs.parquet")

    @cached_property
    def services(self) -> pd.DataFrame:
        """The services by interval."""
        return pd.read_parquet(self.folder / "services.parquet")

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """The ledger."""
        return pd.read_parquet(self.folder / "ledger.parquet")

    @cached_property
    def statement(self) -> pd.DataFrame:
        """Profit and loss, cash and debt by month."""
        return pd.read_parquet(self.folder / "statement.parquet")

    @cached_property
    def register(self) -> pd.DataFrame:
        """What was bought, when, for how long, and what is left of it."""
        return pd.read_parquet(self.folder / "register.parquet")

    @cached_property
    def assumptions(self) -> pd.DataFrame:
        """The catalog rows used."""
        return pd.read_parquet(self.folder / "assumptions.parquet")


def run_hash(scenario: dict[str, Any], digests: dict[str, str]) -> str:
    """Eight hex digits of the resolved scenario (its seed included), the input digests and dcsim's version."""
    return content_key(scenario, digests)[:8]


def content_key(scenario: dict[str, Any], digests: dict[str, str]) -> str:
    """The whole sha256 of which :func:`run_hash` is the first eight digits: thousands of runs need all of them."""
    identity = {"scenario": scenario, "inputs": digests, "version": __version__}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def write(
    parent: Path,
    name: str,
    *,
    scenario: dict[str, Any],
    kpis: dict[str, dict[str, Any]],
    findings: dict[str, Any],
    tables: dict[str, pd.DataFrame],
    inputs: dict[str, str],
    writers: Sequence[Writer] = (),
) -> Path:
    """Write a run folder ``parent/name`` and return it.

    Parameters
    ----------
    parent : Path
        Folder of run folders; made if absent.
    name : str
        Final name of the run folder. An existing one is replaced whole.
    scenario, kpis, findings : dict
        Written as YAML and JSON.
    tables : dict of DataFrame
        One a name of :data:`dcsim.columns.TABLES`, with exactly its columns; emptied on the way, so that a large table
        is not held while the reports are written.
    inputs : dict
        sha256 of every input by name.
    writers : sequence of callable
        Each is given the temporary folder before the manifest is written, for reports.

    Raises
    ------
    RunError
        If the folder cannot be written (disk full, no permission).
    """
    with placed(parent, name, "the run folder could not be written", "nothing was left behind") as aside:
        (aside / "scenario.yaml").write_text(dump(scenario), encoding="utf-8")
        _write_json(aside / "kpis.json", kpis)
        _write_json(aside / "findings.json", findings)
        for table in list(tables):
            write_table(aside / f"{table}.parquet", table, tables.pop(table))
        data_files = sorted(path.name for path in aside.iterdir())
        for writer in writers:
            writer(aside)
        manifest = {
            "dcsim": __version__,
            "commit": _commit(),
            "python": platform.python_version(),
            "libraries": {library: version(library) for library in LIBRARIES},
            "seed": scenario["plan"]["seed"],
            "inputs": dict(sorted(inputs.items())),
            "files": {file: hashlib.sha256((aside / file).read_bytes()).hexdigest() for file in data_files},
        }
        _write_json(aside / "manifest.json", manifest)
    return parent / name


@contextlib.contextmanager
def placed(parent: Path, name: str, fault: str, kept: str) -> Iterator[Path]:
    """A folder to write in, which becomes ``parent/name`` whole when all went well and disappears when not.

    An existing folder of that name is moved aside, replaced, then deleted. *fault* and *kept* say what could not be
    done and what there still is.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    # A name that no reader takes for a run, with the writer's process in it so that the next run can tell leftovers.
    aside, final = parent / f".{name}.partial-{os.getpid()}", parent / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        sweep(parent)
        aside.mkdir()
        yield aside
        replaced = parent / f".{name}.replaced-{os.getpid()}"
        if final.exists():
            final.rename(replaced)
        aside.rename(final)
        shutil.rmtree(replaced, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(aside, ignore_errors=True)
        if isinstance(error, OSError):
            raise RunError(f"{final}: {fault}: {error}; {kept}") from error
        raise


def whole(folder: Path) -> bool:
    """Whether a run folder stands there that this code wrote, with every data file as it was written."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return bool(manifest["commit"] == _commit()) and all(
            hashlib.sha256((folder / file).read_bytes()).hexdigest() == sha256
            for file, sha256 in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def sweep(parent: Path) -> None:
    """Delete what killed runs left aside in *parent*; folders of living processes stay."""
    for path in parent.glob(".*-*"):
        match = re.search(r"\.(?:partial|replaced)-(\d+)$", path.name)
        if match and not _alive(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # this process has not begun to write, so the folder is an older one's with the same number
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_table(path: Path, table: str, frame: pd.DataFrame) -> None:
    """Write one declared table with unit and meaning in each field's metadata.

    The same frame always gives the same bytes.
    """
    columns = TABLES[table]
    pq.write_table(declared(frame, columns), path, **encoding(columns))


def read(folder: Path) -> Run:
    """Read a run folder.

    Raises
    ------
    UsageError
        If *folder* is not a whole run folder.
    """
    try:
        for table in TABLES:
            pq.read_schema(folder / f"{table}.parquet")
        return Run(
            folder=folder,
            scenario=YAML(typ="safe", pure=True).load((folder / "scenario.yaml").read_text(encoding="utf-8")),
            kpis=json.loads((folder / "kpis.json").read_text(encoding="utf-8")),
            findings=json.loads((folder / "findings.json").read_text(encoding="utf-8")),
        )
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder}: not a run folder ({error}); name one that `dcsim run` printed, such as runs/<name>-<hash>"
        ) from None


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def _commit() -> str | None:
    """Commit of the dcsim checkout that runs, marked where it has changes; None for an installed package."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return None
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
