"""Results under their content keys: each appears whole or not at all, so that nothing finished is computed again."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dcsim.errors import DcsimError
from dcsim.study.engines.engine import Engine, Failed, Function


class StoreError(DcsimError):
    """A result could not be written."""


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    StoreError
        If it cannot be written (disk full, no permission); the message says what to do.
    """
    aside = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave an empty file under the final name
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # a folder that is none has nothing aside either
            aside.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        out = "Make room, or move the folder to where there is some" if full else "Name another folder, or mend it"
        raise StoreError(
            f"{path}: could not be written: {error.strerror}; every result before it is kept. {out}, and give the same "
            "command again"
        ) from error


def clear_partial(folder: Path) -> None:
    """Delete what killed writers left aside in *folder*."""
    for path in folder.glob(".*.partial-*"):
        if re.search(r"\.partial-\d+$", path.name):
            path.unlink(missing_ok=True)


class Store:
    """A folder of results, one file a key.

    Parameters
    ----------
    folder : Path
        Made when the first result is written.
    suffix : str
        Ending of the files.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder = folder
        self.suffix = suffix

    def path(self, key: str) -> Path:
        """File of a result."""
        return self.folder / f"{key}{self.suffix}"

    def __contains__(self, key: str) -> bool:
        """Whether the result is there."""
        return self.path(key).exists()

    def put(self, key: str, data: bytes) -> None:
        """Keep a result."""
        write(self.path(key), data)

    def get(self, key: str) -> bytes:
        """Read a result."""
        return self.path(key).read_bytes()

    def drop(self, key: str) -> None:
        """Delete a result, if it is there."""
        self.path(key).unlink(missing_ok=True)


def completed(
    engine: Engine, function: Function, tasks: Mapping[str, Any], stores: tuple[Store, ...]
) -> Iterator[tuple[str, Failed | None]]:
    """Run the tasks whose results are not there and keep each as it comes.

    Parameters
    ----------
    function : callable
        Gives one ``bytes`` a store.
    tasks : dict
        Payloads by content key.
    stores : tuple of Store
        Written in this order; a task is finished when the last holds its result.

    Yields
    ------
    tuple
        Key, and why it failed or None.
    """
    missing = {key: payload for key, payload in tasks.items() if key not in stores[-1]}
    for key, result in engine.run(function, missing):
        if isinstance(result, Failed):
            yield key, result
            continue
        for store, data in zip(stores, result, strict=True):
            store.put(key, data)
        yield key, None
