"""A Dask cluster: the same tasks on other machines, for studies that outgrow one."""

import contextlib
import importlib
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from typing import Any

from dcsim.errors import UsageError
from dcsim.study.engines.engine import MAX_ATTEMPTS, EngineError, Failed, Function, guarded

CONNECT_S = 10.0
CLOSE_S = 2.0
# How soon the death of a worker is seen.
LOOK_S = 0.5
# Workers that their nanny starts again are back within seconds.
PATIENCE_S = 60.0


class DaskEngine:
    """Workers of a Dask scheduler; dcsim must be installed there too, on the scheduler as well.

    Every worker process is given one task at a time, so start one a processor: ``dask worker ADDRESS --nthreads 1
    --nworkers N``.

    Parameters
    ----------
    address : str
        HOST:PORT of the scheduler.

    Raises
    ------
    UsageError
        If dask.distributed is not installed.
    EngineError
        If no scheduler answers.
    """

    def __init__(self, address: str) -> None:
        try:
            self._dask: Any = importlib.import_module("distributed")
        except ImportError:
            raise UsageError(
                "--engine dask://... needs dask.distributed, which is not installed: pip install 'dcsim[cluster]'"
            ) from None
        self.address = address
        try:
            self._client = self._dask.Client(f"tcp://{address}", timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise EngineError(
                f"dask://{address}: no scheduler answers ({error}); start one with `dask scheduler`, and on "
                f"every machine `dask worker tcp://{address} --nthreads 1 --nworkers -1`"
            ) from None

    def run(self, function: Function, tasks: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield the result of every task as it finishes.

        Each task is bound to one worker process, which holds no other. Left to itself Dask starts what a dead worker
        held on the next one, behind whose back that dies too, and everything that waited there is blamed and run again.
        """
        waiting = deque(tasks)
        attempts: Counter[str] = Counter()
        running: dict[Any, tuple[str, str]] = {}
        found: list[tuple[str, Any]] = []
        alone_since_s = time.monotonic()
        try:
            while True:
                workers = set(self._client.nthreads())
                for future, (worker, key) in list(running.items()):
                    fault = self._fault(future, worker in workers)
                    if fault is None:
                        continue
                    del running[future]
                    future.cancel()
                    if fault or attempts[key] == MAX_ATTEMPTS:
                        found.append((key, Failed(fault or f"its worker process died {MAX_ATTEMPTS} times")))
                    else:
                        waiting.appendleft(key)
                for worker in sorted(workers - {worker for worker, _ in running.values()}):
                    if waiting:
                        key = waiting.popleft()
                        attempts[key] += 1
                        running[self._submit(worker, function, tasks[key])] = (worker, key)
                # The next tasks start before the results are handled, so that no worker waits for that.
                yield from found
                if not waiting and not running:
                    return
                now_s = time.monotonic()
                if workers:
                    alone_since_s = now_s
                elif now_s - alone_since_s > PATIENCE_S:
                    raise self._gone(f"it has had no worker for {PATIENCE_S:.0f} s")
                found = [(running.pop(future)[1], future.result()) for future in self._finished(list(running))]
        except (CancelledError, OSError) as error:
            raise self._gone(str(error)) from None
        finally:
            for future in running:
                future.release()

    def close(self) -> None:
        """Disconnect; the cluster stays."""
        self._client.close(timeout=CLOSE_S)

    def _submit(self, worker: str, function: Function, payload: Any) -> Any:
        # A name of its own: the scheduler would give a task of the same name an old result, or an old fault.
        name = f"dcsim-{uuid.uuid4().hex}"
        return self._client.submit(guarded, function, payload, key=name, pure=False, workers=[worker])

    def _fault(self, future: Any, there: bool) -> str | None:
        """Why a task will not finish where it is: empty if its worker died, None if it may finish."""
        if future.status == "error":
            error = future.exception()
            return "" if isinstance(error, self._dask.KilledWorker) else f"{type(error).__name__}: {error}"
        return "" if future.status == "pending" and not there else None

    def _finished(self, futures: list[Any]) -> list[Any]:
        """Futures that are done; none if a look takes too long, since a worker may be gone."""
        if not futures:
            time.sleep(LOOK_S)
            return []
        with contextlib.suppress(TimeoutError):
            self._dask.wait(futures, timeout=LOOK_S, return_when="FIRST_COMPLETED")
        return [future for future in futures if future.status == "finished"]

    def _gone(self, why: str) -> EngineError:
        return EngineError(
            f"dask://{self.address}: the scheduler or its workers are gone{f' ({why})' if why else ''}; "
            "start them again and give the same command: what is finished is kept"
        )
