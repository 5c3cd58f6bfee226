"""Which engine a command asks for."""

import re

from dcsim.errors import UsageError
from dcsim.study.engines.cluster import DaskEngine
from dcsim.study.engines.engine import Engine
from dcsim.study.engines.local import LocalEngine


def engine_of(text: str, workers: int | None) -> Engine:
    """Engine for ``local`` or ``dask://HOST:PORT``.

    Raises
    ------
    UsageError
        If it is neither, or what it needs is not installed.
    EngineError
        If no scheduler answers there.
    """
    if text == "local":
        return LocalEngine(workers)
    match = re.fullmatch(r"dask://([^/\s]+:\d+)", text)
    if match is None:
        raise UsageError(f"--engine '{text}': write local or dask://HOST:PORT, for example dask://10.0.0.5:8786")
    if workers is not None:
        raise UsageError("--workers counts processes of this machine; a cluster has as many as were started on it")
    return DaskEngine(match[1])
