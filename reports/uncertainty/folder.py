"""A folder of an uncertainty study as it is read, and how its figures and inputs are written."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dcsim.kpi import WORDS

from ..page import number

Floats = NDArray[np.float64]

TABLES = ("draws", "percentiles", "convergence", "tornado", "spider", "heat", "sobol", "cash")
# More distributions than this under one another are no picture any more; the tables hold all.
MOST_SIDES = 8
# Dollars from here on are written in millions, where two decimals still tell them apart.
LARGE_USD = 1e5


@dataclass(frozen=True)
class Measure:
    """How a key figure is written: its words, its unit, and the factor from its values to those shown."""

    name: str
    words: str
    unit: str
    factor: float

    @property
    def axis(self) -> str:
        """Title of an axis."""
        return f"{self.words} [{self.unit or '1'}]"

    def shown(self, values: ArrayLike) -> Floats:
        """Values in the unit shown, nine significant digits of each."""
        scaled = np.asarray(values, dtype=float) * self.factor
        return np.array([float(f"{value:.9g}") for value in scaled.ravel()]).reshape(scaled.shape)

    def text(self, value: float | None, sign: bool = False) -> str:
        """One value without its unit, a dash for none."""
        if value is None or value != value:
            return "–"
        scaled = value * self.factor
        if self.factor != 1e-6:
            written = number(scaled)
        elif sign and 1e-4 <= abs(scaled) < 0.1:
            # Of a difference the first digits count, however small it is.
            written = f"{scaled:.2g}"
        else:
            written = f"{round(scaled, 2) + 0.0:,.2f}"
        return f"+{written}" if sign and scaled > 0 else written

    def full(self, value: float | None, sign: bool = False) -> str:
        """One value with its unit."""
        text = self.text(value, sign)
        return text if text == "–" else f"{text} {self.unit}".rstrip()

    def error(self, value: float) -> str:
        """An error, two significant digits."""
        scaled = value * self.factor
        return f"{scaled:.2g}" if scaled < 1000 else f"{scaled:,.0f}"


def measure(name: str, unit: str, values: ArrayLike) -> Measure:
    """How a key figure of some values is written: large dollars in millions, shares in percent."""
    known = np.asarray(values, dtype=float)
    largest = np.nanmax(np.abs(known), initial=0.0)
    words = WORDS.get(name, name)
    if name.endswith("_frac"):
        return Measure(name, words, "% a year" if unit == "1/year" else "%", 100.0)
    if unit.startswith("USD") and largest >= LARGE_USD:
        return Measure(name, words, f"M {unit}", 1e-6)
    return Measure(name, words, "" if unit == "1" else unit, 1.0)


@dataclass(frozen=True)
class Study:
    """The answer of a study and its tables."""

    folder: Path
    said: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    figure: Measure
    short: dict[str, str]

    @property
    def sides(self) -> list[dict[str, Any]]:
        """The plan and its alternatives."""
        return list(self.said["sides"])

    @property
    def drawn(self) -> list[dict[str, Any]]:
        """Sides that charts show: the plan, then the alternatives, of too many those with the best means."""
        plan, *others = self.sides
        sign = 1.0 if self.less_is_better else -1.0
        best = sorted(others, key=lambda side: sign * side["mean"])[: MOST_SIDES - 1]
        return [plan, *(side for side in others if side in best)]

    @property
    def best(self) -> dict[str, Any]:
        """Side with the best mean."""
        return next(side for side in self.sides if side["name"] == self.said["best"])

    @property
    def less_is_better(self) -> bool:
        """Whether a lower value of the figure that decides is the better one."""
        return bool(self.said["figure"]["better"] == "less")

    @property
    def breaks_even(self) -> bool:
        """Whether the figure says by its sign whether money is made."""
        return self.sides[0]["loss_frac"] is not None

    @property
    def single(self) -> float | None:
        """The figure that decides with every input of the plan at its single value."""
        table = self.tables["percentiles"]
        row = table[(table["side"] == self.said["plan"]) & (table["kpi"] == self.figure.name)]
        return None if row.empty or row["single"].isna().iloc[0] else float(row["single"].iloc[0])

    @property
    def of_plan(self) -> str:
        """What a chart of the plan alone says of that where there are alternatives."""
        return f"Of {self.said['plan']} alone. " if len(self.sides) > 1 else ""

    @property
    def left_out(self) -> str:
        """What charts say where they do not show every side."""
        n = len(self.sides)
        return f" The plan and the {MOST_SIDES - 1} best of {n - 1} alternatives." if n > MOST_SIDES else ""

    def values(self, side: str, name: str = "") -> Floats:
        """A key figure of a side draw by draw, the one that decides if none is named; NaN where undefined."""
        table = self.tables["draws"]
        rows = table[table["side"] == side].sort_values("draw")
        return rows[name or self.figure.name].to_numpy(dtype=float)

    def input(self, name: str) -> dict[str, Any]:
        """What is said of an uncertain input."""
        found: dict[str, Any] = next(of for of in self.said["inputs"] if of["name"] == name)
        return found


def read(folder: Path) -> Study:
    """Read a finished study."""
    said = json.loads((folder / "uncertainty.json").read_text(encoding="utf-8"))
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
    stated = said["figure"]
    figure = measure(stated["name"], stated["unit"], tables["draws"][stated["name"]])
    return Study(folder, said, tables, figure, short_names([of["name"] for of in said["inputs"]]))


def short_names(names: Iterable[str]) -> dict[str, str]:
    """The least of the end of each path that tells the inputs apart; of an override also the part's name."""
    names = list(names)
    least = {name: _least(name.split(".")) for name in names}
    while True:
        short = {name: ".".join(name.split(".")[-least[name] :]) for name in names}
        counts = Counter(short.values())
        alike = [name for name in names if counts[short[name]] > 1 and least[name] < len(name.split("."))]
        if not alike:
            return short
        for name in alike:
            least[name] += 1


def _least(parts: Sequence[str]) -> int:
    if parts[0] == "overrides" and len(parts) > 2:
        return len(parts) - 2
    return 2 if len(parts) > 1 and parts[-1].isdigit() else 1


def label(name: str, width: int = 18) -> str:
    """A name for an axis, broken where its words end."""
    lines, line = [], ""
    for word in _words(name):
        if line and len(line) + len(word.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += word
    return "<br>".join([*lines, line.rstrip()])


def _words(name: str) -> list[str]:
    words, word = [], ""
    for letter in name:
        word += letter
        if letter in "_.- :":
            words.append(word)
            word = ""
    return [*words, word] if word else words


def value_text(value: float | str | None, width: int = 10) -> str:
    """An input's value for a label: a number by its digits, a name cut to a width."""
    if isinstance(value, str):
        try:
            return number(float(value))
        except ValueError:
            return value if len(value) <= width else f"{value[: width - 1]}…"
    return number(value)


def is_constant(values: Floats) -> bool:
    """Whether draws differ by no more than rounding."""
    return bool(np.ptp(values) <= 1e-9 * np.abs(values).max(initial=0.0))
