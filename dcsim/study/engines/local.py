"""Processes of this machine: one single-worker pool a slot, so that a death is blamed on the one task that it held."""

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from dcsim.study.engines.engine import MAX_ATTEMPTS, Failed, Function, guarded


class LocalEngine:
    """Spawned processes.

    Parameters
    ----------
    workers : int
        How many; all processors that this process may use if left out.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or _processors()
        # A pool of several loses all its tasks when one worker dies, and does not say whose fault it was.
        self._slots: dict[int, ProcessPoolExecutor] = {}

    def run(self, function: Function, tasks: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield the result of every task as it finishes, in whatever order that is."""
        waiting = deque(tasks)
        attempts: Counter[str] = Counter()
        running: dict[Future[Any], tuple[int, str]] = {}
        free = list(range(min(self.workers, len(tasks))))

        def start() -> None:
            while free and waiting:
                slot, key = free.pop(), waiting.popleft()
                attempts[key] += 1
                running[self._submit(slot, function, tasks[key])] = (slot, key)

        start()
        while running:
            found: list[tuple[str, Any]] = []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                slot, key = running.pop(future)
                free.append(slot)
                try:
                    found.append((key, future.result()))
                except BrokenProcessPool:
                    self._slots.pop(slot).shutdown(wait=False)
                    if attempts[key] < MAX_ATTEMPTS:
                        waiting.appendleft(key)
                    else:
                        found.append((key, Failed(f"its worker process died {MAX_ATTEMPTS} times")))
            # The next tasks start before the results are handled, so that no worker waits for that.
            start()
            yield from found

    def close(self) -> None:
        """End the workers at once."""
        for pool in self._slots.values():
            # Only from Python 3.14 on does a pool have a public way to end workers that are busy.
            processes = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
            for process in processes:
                process.join()
        self._slots.clear()

    def _submit(self, slot: int, function: Function, payload: Any) -> Future[Any]:
        try:
            return self._pool(slot).submit(guarded, function, payload)
        except BrokenProcessPool:  # the worker died while it had nothing to do
            self._slots.pop(slot).shutdown(wait=False)
            return self._pool(slot).submit(guarded, function, payload)

    def _pool(self, slot: int) -> ProcessPoolExecutor:
        if slot not in self._slots:
            context = multiprocessing.get_context("spawn")
            self._slots[slot] = ProcessPoolExecutor(1, mp_context=context, initializer=_begin)
        return self._slots[slot]


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end with it: a worker whose parent was killed would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
