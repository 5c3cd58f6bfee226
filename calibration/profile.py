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
from dcsim.catalog.machines import SCHEMA, identity

from .machine import Fitted, fit
from .protocol import Point

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
    """Profile of a machine from its sessions."""
    found = fit(sessions)
    first = sessions[0]
    host = socket.gethostname()
    body: dict[str, Any] = {
        "schema": SCHEMA,
        # A processor shows that the suite works; it says nothing of a GPU.
        "kind": "measured" if first["device"]["kind"] == "cuda" else "demonstration",
        "quick": bool(first["quick"]),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "dcsim": __version__,
        "argv": list(argv),
        "host": host if with_hostname else hashlib.sha256(host.encode()).hexdigest()[:12],
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
        "warnings": _warnings(sessions, found),
        "sessions": [dict(session) for session in sessions],
    }
    return {"id": identity(body), **body}


def _warnings(sessions: Sequence[Mapping[str, Any]], found: Fitted) -> list[str]:
    told = []
    if sessions[0]["device"]["kind"] != "cuda":
        told.append("a processor was measured: this profile shows that the suite works and says nothing of a GPU")
    told += [f"{name}: {one.reason}" for name, one in sorted(found.parameters.items()) if one.value and one.reason]
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
