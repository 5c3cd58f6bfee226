"""What every engine does: run one function on many payloads, and survive the loss of a worker."""

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dcsim.errors import DcsimError

MAX_ATTEMPTS = 3

Function = Callable[[Any], Any]


class EngineError(DcsimError):
    """The engine itself is gone: no scheduler, no worker; what is finished is kept."""


@dataclass(frozen=True)
class Failed:
    """A task that will not finish: it raised, or no worker survived it."""

    reason: str


class Engine(Protocol):
    """Runs tasks somewhere else."""

    def run(self, function: Function, tasks: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield ``(key, function(payload))`` for every task as it finishes, or ``(key, Failed(reason))``.

        *function* is importable by name where the workers are. A task whose worker dies is started again, at most
        :data:`MAX_ATTEMPTS` times in all; only unfinished tasks are. One that raises is not: it would raise again.

        Raises
        ------
        EngineError
            If no more tasks can be run.
        """
        ...

    def close(self) -> None:
        """Let the workers go; tasks that still run are dropped."""
        ...


def guarded(function: Function, payload: Any) -> Any:
    """What runs on a worker: an exception comes back as text, since not every exception survives the way."""
    try:
        return function(payload)
    except Exception as error:
        if isinstance(error, DcsimError):
            return Failed(str(error))
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Failed(f"{type(error).__name__}: {error} (in {where.name}, line {where.lineno})")
