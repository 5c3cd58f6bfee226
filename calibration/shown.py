"""A profile in lines for a terminal: what it is of, its parameters, the held-out steps, warnings."""

from collections.abc import Mapping, Sequence
from typing import Any

from .check import Finding

# More parameters than this that lack a value for one reason are counted, not named.
MOST_NAMED = 4


def shown(body: Mapping[str, Any]) -> list[str]:
    """Lines of a profile; parameters without a value are listed together by their reason."""
    device = body["device"]
    count = len(body["sessions"])
    lines = [
        f"{body['kind']} profile of {device['name']}: {_plural(device['ranks'], 'rank')}, {device['backend']}, "
        f"{_plural(count, 'session')}{', quick' if body['quick'] else ''}",
        f"{'':34}{'':>12}{'low':>12}{'high':>12}  {'interval':10}miss",
    ]
    reasons: dict[str, list[str]] = {}
    for name, one in body["parameters"].items():
        if one["value"] is None:
            reasons.setdefault(one["reason"], []).append(name)
            continue
        miss = "" if one["max_rel_err"] is None else f"{100 * one['max_rel_err']:.0f} %"
        numbers = "".join(f"{one[field]:>12.4g}" for field in ("value", "low", "high"))
        doubt = "" if one["identified"] else f"  ({one['reason']})"
        lines.append(f"{name:34}{numbers}  {one['basis']:10}{miss:6}{one['unit']}{doubt}")
    for reason, names in reasons.items():
        named = ", ".join(names) if len(names) <= MOST_NAMED else f"{names[0]} and {len(names) - 1} more"
        lines.append(f"not measured, {reason}: {named}")
    lines += _served(body)
    for name, one in body["holdout"].items():
        if one["rel_err"] is None:
            lines.append(f"{name}: measured {one['measured_s']:.4g} s, not predicted ({one['reason']})")
        else:
            lines.append(
                f"held out, {name}: predicted {one['predicted_s']:.4g} s, measured {one['measured_s']:.4g} s, "
                f"{100 * one['rel_err']:+.0f} %"
            )
    return [*lines, *(f"warning: {warning}" for warning in body["warnings"])]


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _served(body: Mapping[str, Any]) -> list[str]:
    """Tokens a second of each prefill and decode of the first session."""
    lines = []
    for point in body["sessions"][0]["points"] if body["sessions"] else []:
        if point["kernel"] in ("prefill", "decode") and point["times_s"]:
            times = sorted(point["times_s"])
            seconds, size = times[len(times) // 2], point["size"]
            tokens = size["batch"] * (size["context"] if point["kernel"] == "prefill" else 1)
            watts = "" if point["mean_w"] is None else f", {point['mean_w']:.0f} W"
            lines.append(
                f"{point['kernel']}, batch {size['batch']}, context {size['context']}: {1e3 * seconds:.4g} ms, "
                f"{tokens / seconds:,.0f} tokens/s{watts}"
            )
    return sorted(lines)


def checked(found: Sequence[Finding]) -> list[str]:
    """Lines of a check: what is degraded first, then the rest."""
    order = {"degraded": 0, "inconclusive": 1, "pass": 2, "no reference": 3}
    lines = []
    for one in sorted(found, key=lambda finding: order[finding.verdict]):
        numbers = ""
        if one.measured is not None:
            numbers = (
                f"{one.measured:.4g}" + ("" if one.expected is None else f" of {one.expected:.4g}") + f" {one.unit}"
            )
        lines.append(f"{one.verdict:14}{one.what:44}{numbers:40}{one.reason}")
    return lines
