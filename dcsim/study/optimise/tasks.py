"""What the workers of an optimisation do, and what they give back: key figures and what binds."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dcsim import pipeline
from dcsim.finance.ledger import month_number
from dcsim.model.load import Loaded
from dcsim.phases import AS_STATED
from dcsim.study.figures.alike import happened_once

Result = dict[str, Any]


def compute(loaded: Loaded) -> tuple[bytes]:
    """Run a design: its key figures, what limits each phase, and when the last has power, as JSON."""
    ready = pipeline.prepare(loaded)
    kpis, _ = pipeline.answered(ready, happened_once(loaded, ready))
    phases = ready.facility.findings()["phases"]
    found: Result = {
        "kpis": kpis,
        "phases": [{of: phase[of] for of in ("name", "energised", "servers", "binding", "limits")} for phase in phases],
        "power_month": max(month_number(phase.energised) for phase in ready.facility.phases),
    }
    return (json.dumps(found, allow_nan=False, ensure_ascii=False, sort_keys=True).encode(),)


def binds(phases: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What limits each phase of a build; where servers are stated, also the limit that they would meet next."""
    return {phase["name"]: _of_phase(phase) for phase in phases}


def binding(phases: Sequence[Mapping[str, Any]]) -> str:
    """The same in words."""
    of = binds(phases)
    if len(set(of.values())) == 1:
        return next(iter(of.values()))
    return ", ".join(f"{what} in {name}" for name, what in of.items())


def _of_phase(phase: Mapping[str, Any]) -> str:
    if phase["binding"] != AS_STATED:
        return str(phase["binding"])
    nearest = min(phase["limits"], key=lambda limit: limit["servers"])
    return f"servers {AS_STATED} (next {nearest['name']})"
