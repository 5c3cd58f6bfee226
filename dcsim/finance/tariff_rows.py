"""Read a tariff from the rows of the catalog; every fault of it at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dcsim.catalog.load import Assumptions, Row
from dcsim.errors import InputError, Problem
from dcsim.finance.periods import Window
from dcsim.finance.tariff import CARRIED, COINCIDENT, DEMAND, ENERGY, FIXED, TAKE, Charge, Ratchet, Tariff, Tier

CHARGED = {
    "energy": ENERGY,
    "demand": DEMAND,
    "coincident": COINCIDENT,
    "coincident_carried": CARRIED,
    "fixed": FIXED,
}
BUILT_IN = ("all", "on_peak", "off_peak", "rest")
ON_PEAK = {
    "summer_first_month": 6.0,
    "summer_last_month": 9.0,
    "summer_from_h": 0.0,
    "summer_to_h": 0.0,
    "winter_from_h": 0.0,
    "winter_to_h": 0.0,
}
# Fields of what shapes the charges, each with its range.
SEASON = {"first_month": (1.0, 12.0), "last_month": (1.0, 12.0)}
FIELDS: dict[str, Mapping[str, tuple[float, float]]] = {
    "period": {**SEASON, "from_h": (0.0, 24.0), "to_h": (0.0, 24.0), "days": (0.0, 2.0)},
    "tier": {"kwh": (0.0, float("inf")), "h": (0.0, 744.0)},
    "ratchet": {"frac": (0.0, 1.0), "months": (1.0, 36.0), **SEASON},
    "minimum": {"frac": (0.0, 1.0)},
    "take": {"frac": (0.0, 1.0), "usd_per_kwh": (0.0, 10.0)},
}
WHOLE = ("first_month", "last_month", "days", "months")
NEEDED = {"ratchet": ("frac", "months"), "minimum": ("frac",), "take": ("frac", "usd_per_kwh")}
WHY = {
    "period": "periods of the tariff",
    "tier": "tiers of energy",
    "ratchet": "ratchet of billed demand",
    "minimum": "minimum demand",
    "take": "minimum take of energy",
}


@dataclass
class _Reading:
    """Rows of one tariff, and what is wrong with them."""

    used: Assumptions
    key: str
    rows: Mapping[str, Row]
    faults: list[tuple[str, str]] = field(default_factory=list)

    def shapes(self, kind: str) -> dict[str, dict[str, float]]:
        """Values of ``kind:<name>:<field>`` by name; names of which a needed field is missing are left out."""
        found: dict[str, dict[str, float]] = {}
        for parameter, row in self.rows.items():
            if parameter.partition(":")[0] != kind:
                continue
            name, _, of = parameter.partition(":")[2].partition(":")
            if of not in FIELDS[kind]:
                self.faults.append((parameter, f"'{of}' is not one of {', '.join(FIELDS[kind])}"))
                continue
            low, high = FIELDS[kind][of]
            if not low <= row.value <= high or (of in WHOLE and row.value != round(row.value)):
                a_whole = "a whole number " if of in WHOLE else ""
                self.faults.append((parameter, f"{row.value:g} is not {a_whole}from {low:g} to {high:g}"))
                continue
            found.setdefault(name, {})[of] = self.used.use(WHY[kind], "tariffs", self.key, parameter)
        for name in list(found):
            if lacks := [of for of in NEEDED.get(kind, ()) if of not in found[name]]:
                self.faults.append((f"{kind}:{name}", f"has no {' and no '.join(lacks)}"))
                del found[name]
        return found

    def charges(self, periods: tuple[str, ...]) -> list[Charge]:
        """What is charged, in the order of the rows."""
        found = []
        for parameter, row in self.rows.items():
            kind, _, rest = parameter.partition(":")
            if kind in FIELDS or kind == "on_peak":
                continue
            line, _, period = rest.partition(":")
            line, _, tier = line.partition("/")
            period = period or "all"
            if kind not in CHARGED:
                known = (*CHARGED, *FIELDS, "on_peak")
                self.faults.append((parameter, f"'{kind}' is not one of {', '.join(known)}"))
            elif period not in periods:
                self.faults.append((parameter, f"'{period}' is not one of {', '.join(periods)}"))
            elif tier and (kind != "energy" or not tier.isdigit() or tier == "0"):
                self.faults.append((parameter, f"'/{tier}' is no tier: energy alone has them, numbered from 1"))
            else:
                price = self.used.use("electricity bill", "tariffs", self.key, parameter)
                number = int(tier or 0)
                found.append(Charge(CHARGED[kind], line, period, price, row.source, row.price_year, number))
        return found

    def tiers(self, charges: list[Charge]) -> dict[str, tuple[Tier, ...]]:
        """Ends of the tiers of each line, all but the last one's, which has none."""
        ends = self.shapes("tier")
        found = {}
        for line in dict.fromkeys(charge.line for charge in charges if charge.tier):
            numbers = sorted({charge.tier for charge in charges if charge.kind == ENERGY and charge.line == line})
            wanted = [f"{line}/{number}" for number in numbers[:-1]]
            ended = {name for name in ends if name.partition("/")[0] == line}
            if numbers != list(range(1, len(numbers) + 1)):
                self.faults.append((f"energy:{line}", "its tiers must be numbered from 1 without a gap, all of them"))
            elif ended != set(wanted):
                self.faults.append((f"tier:{line}", f"the ends needed are those of {', '.join(wanted) or 'none'}"))
            else:
                found[line] = tuple(Tier(ends[name].get("kwh", 0.0), ends[name].get("h", 0.0)) for name in wanted)
        self.faults += [
            (f"tier:{name}", "no energy charge has such a tier")
            for name in ends
            if name.partition("/")[0] not in {charge.line for charge in charges if charge.tier}
        ]
        return found


def read_tariff(used: Assumptions, key: str) -> Tariff:
    """Tariff of the catalog; every row of it is noted as used.

    Raises
    ------
    UnknownNameError
        If the catalog has no such tariff.
    InputError
        If its rows are no tariff: an unknown kind, period or field, a value out of range, a gap between tiers.
    """
    read = _Reading(used, key, used.catalog.part("tariffs", key))
    periods: dict[str, tuple[Window, ...]] = {}
    for name, of in read.shapes("period").items():
        season = (round(of.get("first_month", 1)), round(of.get("last_month", 12)))
        window = Window(*season, of.get("from_h", 0.0), of.get("to_h", 24.0), round(of.get("days", 0)))
        period = name.partition("/")[0]
        periods[period] = (*periods.get(period, ()), window)
    charges = read.charges((*BUILT_IN, *periods))
    ratchets: dict[str, tuple[Ratchet, ...]] = {}
    for name, of in read.shapes("ratchet").items():
        season = (round(of.get("first_month", 1)), round(of.get("last_month", 12)))
        line = name.partition("/")[0]
        ratchets[line] = (*ratchets.get(line, ()), Ratchet(of["frac"], round(of["months"]), *season))
    minimum = {line: of["frac"] for line, of in read.shapes("minimum").items()}
    take = read.shapes("take")
    for line, of in take.items():
        row = read.rows[f"take:{line}:usd_per_kwh"]
        charges.append(Charge(TAKE, line, "all", of["usd_per_kwh"], row.source, row.price_year))
    tiers = read.tiers(charges)
    of_demand = [charge.line for charge in charges if charge.kind == DEMAND]
    read.faults += [
        (f"{kind}:{line}", f"no demand charge is of that line: name one of {', '.join(of_demand) or 'none'}")
        for kind, lines in (("ratchet", ratchets), ("minimum", minimum))
        for line in lines
        if line not in of_demand
    ]
    if read.faults:
        raise InputError("tariffs.csv", [Problem(0, f"{key}.{name}", fault) for name, fault in read.faults])
    hour = {
        name: used.maybe("on-peak hours", "tariffs", key, f"on_peak:{name}", value) for name, value in ON_PEAK.items()
    }
    return Tariff(
        key,
        tuple(charges),
        (int(hour["summer_first_month"]), int(hour["summer_last_month"])),
        (hour["summer_from_h"], hour["summer_to_h"]),
        (hour["winter_from_h"], hour["winter_to_h"]),
        periods,
        tiers,
        ratchets,
        minimum,
        {line: of["frac"] for line, of in take.items()},
    )
