"""A machine's profile: parameters with intervals, samples, provenance; written whole or not at all."""

import contextlib
import datetime
import hashlib
import json
import math
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dcsim.errors import InputError, Problem, UsageError

from .machine import Parameter, fit

SCHEMA = "dcsim.machine/1"
# A cross-check: no rate of a machine lies outside these, whatever it is.
BOUNDS = {
    "FLOP/s": (1e6, 1e17),
    "B/s": (1e3, 1e14),
    "s": (1e-9, 10.0),
}


def profile(sessions: Sequence[Mapping[str, Any]], *, with_hostname: bool = False) -> dict[str, Any]:
    """Profile of a machine from its sessions."""
    parameters, holdout = fit(sessions)
    first = sessions[0]
    host = socket.gethostname()
    body: dict[str, Any] = {
        "schema": SCHEMA,
        # A processor shows that the suite works; it says nothing of a GPU.
        "kind": "measured" if first["device"]["kind"] == "cuda" else "demonstration",
        "quick": bool(first["quick"]),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": host if with_hostname else hashlib.sha256(host.encode()).hexdigest()[:12],
        "device": first["device"],
        "software": first["software"],
        "meter": first["meter"],
        "seed": first["seed"],
        "parameters": {name: asdict(one) for name, one in sorted(parameters.items())},
        "holdout": holdout,
        "power": [session["power"] for session in sessions],
        "warnings": _warnings(sessions, parameters, holdout),
        "sessions": [session["points"] for session in sessions],
    }
    return {"id": identity(body), **body}


def identity(body: Mapping[str, Any]) -> str:
    """sha256 of all but the id itself."""
    rest = {name: value for name, value in body.items() if name != "id"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _warnings(
    sessions: Sequence[Mapping[str, Any]], parameters: Mapping[str, Parameter], holdout: Mapping[str, Any]
) -> list[str]:
    found = [f"{name}: {one.reason}" for name, one in sorted(parameters.items()) if one.reason]
    if sessions[0]["meter"]["reason"]:
        found.append(f"no power: {sessions[0]['meter']['reason']}")
    if any(one.basis == "prior" for one in parameters.values()):
        found.append("fewer than three sessions: intervals are those of the kernel's class, not of this machine")
    for name, one in holdout.items():
        if one["rel_err"] is not None and abs(one["rel_err"]) > 0.25:
            found.append(f"{name}: predicted {100 * one['rel_err']:+.0f} % off what was measured")
    return found


def write(path: Path, body: Mapping[str, Any]) -> None:
    """Write a profile: aside, then in place of what was there.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; nothing is left behind.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            json.dump(body, file, indent=1, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise


def read(path: Path) -> dict[str, Any]:
    """Read a profile and check it.

    Raises
    ------
    UsageError
        If there is no such file.
    InputError
        If it is no profile, of another schema, changed since it was written, or holds figures that cannot be; all
        faults are listed.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such profile; `dcsim calibrate run --out {path}` writes one")
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(str(path), [Problem(0, "", f"not JSON: {error}")]) from None
    faults = problems(body)
    if faults:
        raise InputError(str(path), faults)
    return dict(body)


def problems(body: Any) -> list[Problem]:
    """What is wrong with a profile; nothing where it is sound."""
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        given = body.get("schema") if isinstance(body, dict) else None
        return [Problem(0, "schema", f"is {given!r}, not '{SCHEMA}'; measure anew with this version")]
    faults = []
    if body.get("id") != identity(body):
        faults.append(Problem(0, "id", "is not that of the content: the file was changed after it was written"))
    for name, one in body["parameters"].items():
        value, low, high = one["value"], one["low"], one["high"]
        if value is None:
            if not one["reason"]:
                faults.append(Problem(0, f"parameters.{name}", "has no value and no reason"))
            continue
        least, most = BOUNDS.get(one["unit"], (0.0, math.inf))
        if not least <= value <= most:
            faults.append(Problem(0, f"parameters.{name}", f"{value:g} {one['unit']} cannot be"))
        if not low <= value <= high:
            faults.append(Problem(0, f"parameters.{name}", "lies outside its own interval"))
    return faults
