"""Two profiles, parameter by parameter: regressed, improved, equivalent, or not to be told."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import t as student

from dcsim.errors import UsageError

from .check import Finding

# Degrees of freedom of a class's prior: alone, and where it moderates the spread of a few sessions.
ALONE_FREEDOM, PRIOR_FREEDOM = 30.0, 4.0


@dataclass(frozen=True)
class Verdict:
    """One parameter of two profiles.

    Parameters
    ----------
    name : str
    ratio : float
        Second over first. [1]
    low, high : float
        Interval of that ratio at the corrected level. [1]
    verdict : str
        ``regressed``, ``improved``, ``equivalent`` or ``inconclusive``.
    """

    name: str
    ratio: float
    low: float
    high: float
    verdict: str


def compare(
    first: Mapping[str, Any], second: Mapping[str, Any], *, rel: float = 0.10, alpha: float = 0.05
) -> list[Verdict]:
    """Compare what both profiles measured.

    Parameters
    ----------
    first, second : mapping
        Profiles as read.
    rel : float
        Change that does not matter. [1]
    alpha : float
        Chance of any false alarm over all parameters. [1]

    Raises
    ------
    UsageError
        If the profiles are of different kinds of device or numbers of ranks.

    Notes
    -----
    The difference of logarithms has a Welch interval at ``alpha`` over the number of parameters. Where sessions of a
    side differ by no more than the kernel's class usually does, its prior moderates their spread, since three may agree
    by chance: :math:`s'^2 = (d s^2 + d_0 s_0^2) / (d + d_0)` of d and d0 degrees of freedom. Where they differ by more,
    the machine is unlike its class and its own spread alone counts. Regressed or improved where the interval excludes 1
    and the ratio differs by more than ``rel``; equivalent where it lies within ``rel``; else inconclusive.
    """
    for field in ("kind", "ranks"):
        one, other = first["device"][field], second["device"][field]
        if one != other:
            raise UsageError(
                f"device.{field} is {one!r} in one profile and {other!r} in the other; they do not compare"
            )
    common = [
        name
        for name, one in first["parameters"].items()
        if one["value"] is not None and (second["parameters"].get(name) or {"value": None})["value"] is not None
    ]
    same = first["id"] == second["id"]
    return [
        _verdict(name, first["parameters"][name], second["parameters"][name], rel, alpha / len(common), same)
        for name in common
    ]


def _verdict(
    name: str, one: Mapping[str, Any], other: Mapping[str, Any], rel: float, alpha: float, same: bool
) -> Verdict:
    difference = math.log(other["value"] / one["value"])
    parts = [_spread(side) for side in (one, other)]
    variance = sum(part for part, _ in parts)
    if same or variance == 0.0:
        reach = 0.0
    else:
        freedom = variance**2 / sum(part**2 / free for part, free in parts)
        reach = float(student.ppf(1.0 - alpha / 2.0, freedom)) * math.sqrt(variance)
    low, high = difference - reach, difference + reach
    margin = math.log1p(rel)
    worse = -difference if one["higher_is_better"] else difference
    if (low > 0.0 or high < 0.0) and abs(difference) > margin:
        verdict = "regressed" if worse > 0.0 else "improved"
    elif -margin <= low and high <= margin:
        verdict = "equivalent"
    else:
        verdict = "inconclusive"
    return Verdict(name, math.exp(difference), math.exp(low), math.exp(high), verdict)


def _spread(side: Mapping[str, Any]) -> tuple[float, float]:
    """Variance of a side's mean logarithm, and its degrees of freedom."""
    prior, own, count = side["prior_log_sd"] ** 2, side["log_sd"] ** 2, side["sessions"]
    if side["basis"] == "prior":
        return prior / count, ALONE_FREEDOM
    if own > prior:
        return own / count, count - 1.0
    freedom = PRIOR_FREEDOM + count - 1.0
    return (PRIOR_FREEDOM * prior + (count - 1.0) * own) / freedom / count, freedom


def exit_code(verdicts: list[Verdict]) -> int:
    """1 if anything regressed, else 4 if anything cannot be told, else 0."""
    kinds = {one.verdict for one in verdicts}
    return 1 if "regressed" in kinds else 4 if "inconclusive" in kinds or not verdicts else 0


def findings(verdicts: Sequence[Verdict]) -> list[Finding]:
    """Verdicts as findings of a check of the second profile."""
    known = {"regressed": "degraded", "improved": "pass", "equivalent": "pass", "inconclusive": "inconclusive"}
    return [
        Finding(one.name, one.ratio, 1.0, "of the other", known[one.verdict], f"{one.low:.3f} to {one.high:.3f}")
        for one in verdicts
    ]
