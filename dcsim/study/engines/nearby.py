"""Processes of this machine where they pay: a comparison of few short runs is over before they have begun."""

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from dcsim.study.engines.engine import Function, guarded
from dcsim.study.engines.local import LocalEngine

# Until a spawned process has loaded dcsim, measured: 2.2 s alone, 3.2 s where two begin at once on two processors.
BEGIN_S = 3.0


class NearbyEngine:
    """Runs tasks in this process, one after the other, until one took so long that workers finish the rest sooner.

    Parameters
    ----------
    engine : LocalEngine
        Starts the workers.
    """

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self._begun = False

    def run(self, function: Function, tasks: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield the result of every task as it finishes."""
        waiting = dict(tasks)
        while waiting and not self._begun:
            key = next(iter(waiting))
            start_s = time.perf_counter()
            result = guarded(function, waiting.pop(key))
            took_s = time.perf_counter() - start_s
            yield key, result
            self._begun = self._pays(took_s, len(waiting))
        yield from self._engine.run(function, waiting)

    def close(self) -> None:
        """End the workers, if there are any."""
        self._engine.close()

    def _pays(self, task_s: float, n_tasks: int) -> bool:
        """Whether so many tasks more are finished sooner by workers that must begin first."""
        return BEGIN_S + task_s * math.ceil(n_tasks / self._engine.workers) < task_s * n_tasks
