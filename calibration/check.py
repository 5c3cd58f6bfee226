"""Is this machine as fast as it should be: against published figures, another profile, and its own ranks and links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from dcsim.catalog.load import Row, catalog

from .parameters import BETWEEN_SESSIONS

# A rank or link that is slower than the median of the others by more than this, or twice the spread that its class of
# kernel has between sessions, is slow. [1]
SLOWER = 0.10
LEAST_LINKS = 3


@dataclass(frozen=True)
class Finding:
    """One figure of a machine against what it should be.

    Parameters
    ----------
    what : str
        Parameter, GPU or link.
    measured, expected : float or None
        Figures, null where there is none. In the unit.
    unit : str
    verdict : str
        ``degraded``, ``inconclusive``, ``pass``, or ``no reference``.
    reason : str
        What it was held against, or why it was not.
    """

    what: str
    measured: float | None
    expected: float | None
    unit: str
    verdict: str
    reason: str


def against_published(body: Mapping[str, Any]) -> list[Finding]:
    """Parameters of a profile against the catalog's published figures of the same GPU."""
    name = str(body["device"]["name"])
    key = catalog().resolve("gpus", name)
    if key not in catalog().keys("gpu_references"):
        known = ", ".join(catalog().keys("gpu_references"))
        reason = f"the catalog has no published figures of {name}; it has those of {known}"
        return [Finding("device", None, None, "", "no reference", reason)]
    domain = catalog().row("gpus", key, "domain_gpus").value
    found = []
    for parameter, row in catalog().part("gpu_references", key).items():
        one = body["parameters"].get(parameter)
        if one is None or one["value"] is None:
            reason = one["reason"] if one else "the profile does not hold it"
            found.append(Finding(parameter, None, row.value, row.unit, "no reference", reason))
        elif not parameter.startswith(("gemm", "copy", "host", "send")) and body["device"]["ranks"] != domain:
            reason = f"published for {domain:g} GPUs, measured on {body['device']['ranks']}"
            found.append(Finding(parameter, one["value"], row.value, row.unit, "no reference", reason))
        else:
            found.append(_against(parameter, one, row))
    return found


def _against(parameter: str, one: Mapping[str, Any], row: Row) -> Finding:
    least = row.low if row.low is not None else row.value
    if one["value"] >= least:
        verdict = "pass"
    else:
        verdict = "degraded" if one["high"] < least and one["identified"] else "inconclusive"
    return Finding(
        parameter, one["value"], row.value, row.unit, verdict, f"pass line {least:.4g} {row.unit}, {row.source}"
    )


def among_ranks(body: Mapping[str, Any]) -> list[Finding]:
    """Each rank's and link's speed against the median of the others; slow ones are named."""
    labels = body["device"].get("by_rank", [])
    rates: dict[str, list[list[float]]] = {}
    links: dict[tuple[int, int], list[float]] = {}
    for session in body["sessions"]:
        for point in session["points"]:
            size, of_ranks = point["size"], point.get("by_rank_s") or []
            if point["kernel"] == "link" and of_ranks:
                links.setdefault((size["first"], size["second"]), []).append(size["size_b"] / of_ranks[0])
            elif point["kernel"] in ("gemm", "copy") and len(of_ranks) > 1:
                name = f"gemm.{size['dtype']}" if point["kernel"] == "gemm" else "copy"
                rates.setdefault(name, []).append([1.0 / seconds for seconds in of_ranks])
    found = []
    for name, rows in rates.items():
        kind = "gemm" if name.startswith("gemm") else "copy"
        speed = [median(row[rank] / median(row) for row in rows) for rank in range(len(rows[0]))]
        found += _slow({f"{name} of {_label(labels, rank)}": one for rank, one in enumerate(speed)}, kind)
    if len(links) >= LEAST_LINKS:
        kind = "collective" if body["device"]["kind"] == "cpu" else "copy"
        named = {f"link {_label(labels, a)} to {_label(labels, b)}": median(of) for (a, b), of in links.items()}
        found += _slow(named, kind)
    return found


def _label(labels: Sequence[str], rank: int) -> str:
    return f"rank {rank} ({labels[rank]})" if rank < len(labels) else f"rank {rank}"


def _slow(speed: Mapping[str, float], kind: str) -> list[Finding]:
    """Those slower than the median of the others by more than their class allows."""
    allowed = max(SLOWER, 2.0 * BETWEEN_SESSIONS[kind])
    found = []
    for name, one in speed.items():
        others = median(value for other, value in speed.items() if other != name)
        verdict = "degraded" if one < (1.0 - allowed) * others else "pass"
        found.append(Finding(name, one / others, 1.0, "of the others", verdict, f"{100 * allowed:.0f} % allowed"))
    return found


def exit_code(found: Sequence[Finding]) -> int:
    """1 if anything is degraded, else 4 if nothing could be held against a reference or it cannot be told, else 0."""
    verdicts = [one.verdict for one in found]
    if "degraded" in verdicts:
        return 1
    return 4 if "inconclusive" in verdicts or "pass" not in verdicts else 0
