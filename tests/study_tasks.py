"""Tasks for tests of engines: each leaves a mark when it starts, so that starts can be counted."""

import os
import signal
import time
import uuid
from pathlib import Path


def task(marks, name, kind="fine"):
    return {"marks": str(marks), "name": name, "kind": kind}


def starts(marks, name):
    """How often a task was started."""
    return len(list(marks.glob(f"{name}.*")))


def work(given):
    marks, name, kind = Path(given["marks"]), given["name"], given["kind"]
    (marks / f"{name}.{os.getpid()}.{uuid.uuid4().hex}").touch()
    if kind == "poison" or (kind == "dies once" and starts(marks, name) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "raises":
        raise ValueError("no such luck")
    if kind == "slow":
        time.sleep(0.4)
    return (name.encode(),)
