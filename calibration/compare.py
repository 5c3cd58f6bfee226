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


# What differs between any two runs and explains nothing.
CHANGING = ("temperature_c", "clock_mhz", "clock_reasons", "by_rank")


@dataclass(frozen=True)
class Verdict:
    """One parameter of two profiles.

    Parameters
    ----------
    name : str
    ratio : float
        Second over first. [1]
    low, high : float
        Interval of that ratio. [1]
    verdict : str
        ``regressed``, ``improved``, ``equivalent`` or ``inconclusive``.
    """

    name: str
    ratio: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class _Difference:
    """Difference of the logarithms of one parameter: itself, its standard error, degrees of freedom, chance."""

    name: str
    value: float
    error: float
    freedom: float
    chance: float
    higher_is_better: bool


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
        Share of false alarms among the alarms; where nothing changed, the chance of any. [1]

    Raises
    ------
    UsageError
        If the profiles are of different kinds of device or numbers of ranks.

    Notes
    -----
    The difference of logarithms has a Welch interval. Where sessions of a side differ by no more than the kernel's
    class usually does, its prior moderates their spread, since three may agree by chance:
    :math:`s'^2 = (d s^2 + d_0 s_0^2) / (d + d_0)` of d and d0 degrees of freedom. Where they differ by more, the
    machine is unlike its class and its own spread alone counts. Regressed or improved where the difference stands out
    among all parameters and exceeds ``rel``; equivalent where its interval lies within ``rel``; else inconclusive.

    References
    ----------
    .. [1] Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate," J. R. Stat. Soc. B 57 (1995).
    """
    for field in ("kind", "ranks"):
        one, other = first["device"][field], second["device"][field]
        if one != other:
            raise UsageError(
                f"device.{field} is {one!r} in one profile and {other!r} in the other; they do not compare"
            )
    found = [
        _difference(name, one, second["parameters"][name], same=first["id"] == second["id"])
        for name, one in first["parameters"].items()
        if one["value"] and (second["parameters"].get(name) or {"value": None})["value"]
    ]
    alarms = _alarms(found, alpha)
    return [_verdict(one, rel, alpha, stands_out=one.name in alarms) for one in found]


def changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """What differs between two profiles besides their figures: driver, versions, power limit, settings."""
    lines = []
    for part in ("software", "environment", "meter", "device"):
        one, other = first.get(part, {}), second.get(part, {})
        for name in sorted(set(one) | set(other)):
            if name in CHANGING or one.get(name) == other.get(name):
                continue
            lines.append(f"{part}.{name}: {one.get(name)} in one, {other.get(name)} in the other")
    return lines


def _difference(name: str, one: Mapping[str, Any], other: Mapping[str, Any], *, same: bool) -> _Difference:
    value = math.log(other["value"] / one["value"])
    parts = [_spread(side) for side in (one, other)]
    variance = sum(part for part, _ in parts)
    better = bool(one["higher_is_better"])
    if same or variance == 0.0:
        return _Difference(name, value, 0.0, ALONE_FREEDOM, 0.0 if value else 1.0, better)
    freedom = variance**2 / sum(part**2 / free for part, free in parts)
    error = math.sqrt(variance)
    return _Difference(name, value, error, freedom, float(2.0 * student.sf(abs(value) / error, freedom)), better)


def _alarms(found: Sequence[_Difference], alpha: float) -> set[str]:
    """Parameters whose differences stand out among all, by Benjamini and Hochberg."""
    ordered = sorted(found, key=lambda one: one.chance)
    passed = [rank for rank, one in enumerate(ordered, 1) if one.chance <= alpha * rank / len(ordered)]
    return {one.name for one in ordered[: max(passed, default=0)]}


def _verdict(of: _Difference, rel: float, alpha: float, *, stands_out: bool) -> Verdict:
    reach = float(student.ppf(1.0 - alpha / 2.0, of.freedom)) * of.error
    low, high = of.value - reach, of.value + reach
    margin = math.log1p(rel)
    worse = -of.value if of.higher_is_better else of.value
    if stands_out and abs(of.value) > margin:
        verdict = "regressed" if worse > 0.0 else "improved"
    elif -margin <= low and high <= margin:
        verdict = "equivalent"
    else:
        verdict = "inconclusive"
    return Verdict(of.name, math.exp(of.value), math.exp(low), math.exp(high), verdict)


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
