"""A machine's profile: parameters with intervals, samples, provenance; written whole or not at all."""

import contextlib
import datetime
import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dcsim import __version__
from dcsim.catalog.machines import SCHEMA, identity, read
from dcsim.errors import InputError, Problem, UsageError

from .machine import Fitted, fit
from .protocol import SESSION_SCHEMA, Point

# Other work on more cores than this while measuring is told. [1]
FOREIGN_CORES = 0.2
# NVML's bits of a clock that is held back: by heat, by hardware, by an external brake.
HELD_BACK = {
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x8: "hardware slowdown",
    0x80: "power brake",
}
# Share of samples with a clock held back beyond which it is told.
HELD_BACK_FRAC = 0.01


def profile(
    sessions: Sequence[Mapping[str, Any]], *, with_hostname: bool = False, argv: Sequence[str] = ()
) -> dict[str, Any]:
    """Profile of a machine from its sessions.

    Raises
    ------
    UsageError
        If the sessions are of different devices or numbers of ranks.
    """
    first = sessions[0]
    for other in sessions[1:]:
        for name in ("kind", "name", "ranks"):
            if other["device"][name] != first["device"][name]:
                raise UsageError(
                    f"the sessions are of different machines: device.{name} is {first['device'][name]!r} in one and "
                    f"{other['device'][name]!r} in another"
                )
    found = fit(sessions)
    host = socket.gethostname()
    return assembled(
        found,
        first,
        # A processor shows that the suite works; it says nothing of a GPU.
        kind="measured" if first["device"]["kind"] == "cuda" else "demonstration",
        host=host if with_hostname else hashlib.sha256(host.encode()).hexdigest()[:12],
        argv=list(argv),
        warnings=_warnings(sessions, found),
        sessions=sessions,
    )


def assembled(
    found: Fitted,
    first: Mapping[str, Any],
    *,
    kind: str,
    host: str,
    argv: Sequence[str],
    warnings: Sequence[str],
    sessions: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """A profile's body, with its id.

    Parameters
    ----------
    found : Fitted
        Parameters, curves and held-out steps.
    first : mapping
        The first session: device, software, environment, meter.
    kind : str
        ``measured``, ``demonstration`` or ``telemetry``.
    host, argv
        Name or digest of the host, and the words of the command.
    warnings : sequence of str
        What a reader must know.
    sessions : sequence of mapping
        What was measured, kept whole.
    """
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": kind,
        "quick": bool(first["quick"]),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "dcsim": __version__,
        "argv": list(argv),
        "host": host,
        "device": first["device"],
        "software": first["software"],
        "environment": first.get("environment", {}),
        "meter": first["meter"],
        "seed": first["seed"],
        "model": first.get("model", ""),
        "conditions": [session.get("conditions", {}) for session in sessions],
        "parameters": {name: asdict(one) for name, one in sorted(found.parameters.items())},
        "curves": found.curves,
        "holdout": found.holdout,
        "warnings": list(warnings),
        "sessions": [dict(session) for session in sessions],
    }
    return {"id": identity(body), **body}


def _warnings(sessions: Sequence[Mapping[str, Any]], found: Fitted) -> list[str]:
    told = []
    if sessions[0]["device"]["kind"] != "cuda":
        told.append("a processor was measured: this profile shows that the suite works and says nothing of a GPU")
    doubts: dict[str, list[str]] = {}
    for name, one in sorted(found.parameters.items()):
        if one.value and one.reason:
            doubts.setdefault(one.reason, []).append(name)
    told += [f"{', '.join(names)}: {reason}" for reason, names in doubts.items()]
    if sessions[0]["meter"]["reason"]:
        told.append(f"no power: {sessions[0]['meter']['reason']}")
    if any(one.basis == "prior" for one in found.parameters.values()):
        told.append("fewer than three sessions: intervals are those of the kernel's class, not of this machine")
    points = [Point(**record) for session in sessions for record in session["points"]]
    contended = sorted({point.kernel for point in points if point.times_s and point.contended})
    if contended:
        told.append(f"other work took the processors while measuring {', '.join(contended)}: all samples were kept")
    foreign = [session.get("conditions", {}).get("foreign_cores") or 0.0 for session in sessions]
    if max(foreign) > FOREIGN_CORES:
        told.append(f"other processes used {max(foreign):.1f} processor cores meanwhile")
    reasons = [bits for point in points for bits in point.clock_reasons if bits is not None]
    for bit, what in HELD_BACK.items():
        share = sum(bool(bits & bit) for bits in reasons) / max(len(reasons), 1)
        if share > HELD_BACK_FRAC:
            told.append(
                f"{what} held the clock back in {100 * share:.0f} % of the samples: rates are not the device's best"
            )
    for name, one in found.holdout.items():
        if one["rel_err"] is not None and abs(one["rel_err"]) > 0.25:
            told.append(f"{name}: predicted {100 * one['rel_err']:+.0f} % off what was measured")
    return told


def sessions_of(path: Path) -> list[dict[str, Any]]:
    """Sessions of a file: one that a worker wrote, or all of a profile.

    Raises
    ------
    UsageError
        If there is no such file.
    InputError
        If it is neither.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file of measurements")
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(str(path), [Problem(0, "", f"not JSON: {error}")]) from None
    if isinstance(body, dict) and body.get("schema") == SESSION_SCHEMA:
        return [body]
    if isinstance(body, dict) and body.get("schema") == SCHEMA and body.get("kind") != "telemetry":
        return list(read(path)["sessions"])
    rule = f"is neither a session ('{SESSION_SCHEMA}') nor a measured profile ('{SCHEMA}')"
    raise InputError(str(path), [Problem(0, "schema", rule)])


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
