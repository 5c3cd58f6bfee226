"""The catalog: one CSV row a parameter, each with unit, year, range and source; and the record of what a plan used."""

import copy
import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.columns import ASSUMPTIONS
from dcsim.errors import UnknownNameError
from dcsim.registry import lookup, unknown

Floats = NDArray[np.float64]

# Tables of parts, all with the same columns; the other CSVs of the folder have a shape of their own.
TABLES = (
    "asset_classes",
    "cooling",
    "electrical",
    "generation",
    "gpu_references",
    "gpus",
    "networks",
    "operations",
    "optics",
    "price_indices",
    "prices",
    "reliability",
    "servers",
    "switches",
    "tariffs",
    "taxes",
    "workload_classes",
)
HEADER = ["key", "parameter", "value", "unit", "price_year", "low", "high", "source", "note"]


@dataclass(frozen=True)
class Row:
    """One parameter of one part."""

    table: str
    key: str
    parameter: str
    value: float
    unit: str
    price_year: int | None
    low: float | None
    high: float | None
    source: str
    note: str


@dataclass(frozen=True)
class Source:
    """Where a figure was published."""

    key: str
    title: str
    publisher: str
    year: str
    url: str
    status: str


@dataclass(frozen=True)
class Alias:
    """A published spelling of a part; ``note`` is not empty where the spelling is ambiguous and this is the default."""

    table: str
    key: str
    note: str


def folder() -> Path:
    """Folder of the catalog's files."""
    return Path(str(files("dcsim.catalog")))


def _read(name: str) -> list[dict[str, str]]:
    with (folder() / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Catalog:
    """Rows by (table, key, parameter)."""

    def __init__(self, rows: Iterable[Row], aliases: Mapping[tuple[str, str], Alias]) -> None:
        self.aliases = aliases
        self._parameters: dict[str, dict[str, dict[str, Row]]] = {table: {} for table in TABLES}
        for row in rows:
            self._parameters[row.table].setdefault(row.key, {})[row.parameter] = row

    @property
    def rows(self) -> Iterator[Row]:
        """Every row."""
        return (row for parts in self._parameters.values() for part in parts.values() for row in part.values())

    def keys(self, table: str) -> list[str]:
        """Names of the parts of *table*."""
        return sorted(lookup(self._parameters, table, "catalog table"))

    def part(self, table: str, key: str) -> dict[str, Row]:
        """Rows of one part by parameter.

        Raises
        ------
        UnknownNameError
            If the table holds no such part, neither by its key nor by a published spelling.
        """
        parts = lookup(self._parameters, table, "catalog table")
        name = self.resolve(table, key)
        if name not in parts:
            spellings = [alias for (of, alias) in self.aliases if of == table]
            raise UnknownNameError(unknown(key, [*parts, *spellings], f"key in {table}"))
        return parts[name]

    def resolve(self, table: str, name: str) -> str:
        """Key of the part that *name* spells; *name* itself where it is no alias."""
        alias = self.aliases.get((table, name.casefold()))
        return alias.key if alias else name

    def row(self, table: str, key: str, parameter: str) -> Row:
        """One row; errors as for :meth:`part`."""
        # Most names are keys and not spellings of one; a study looks up hundreds a draw.
        part = self._parameters.get(table, {}).get(key) or self.part(table, key)
        if parameter not in part:
            raise UnknownNameError(unknown(parameter, part, f"parameter of {key} in {table}"))
        return part[parameter]

    def replaced(self, values: Mapping[str, tuple[float, str]]) -> "Catalog":
        """Copy in which each ``table.key.parameter`` has the planner's value and stated reason.

        Raises
        ------
        UnknownNameError
            If a name is not of that form or there is no such row.
        """
        changed = copy.copy(self)
        tables = changed._parameters = dict(self._parameters)
        for name, (value, reason) in values.items():
            match = re.fullmatch(r"(\w+)\.(.+)\.([^.]+)", name)
            if not match:
                raise UnknownNameError(f"'{name}' is not of the form table.key.parameter")
            row = self.row(match[1], match[2], match[3])
            note = f"{reason}; the catalog has {row.value:g} from {row.source}"
            row = replace(row, value=value, source="scenario", note=note)
            # Only what leads to the row is copied; all else is shared with this catalog.
            tables[row.table] = dict(tables[row.table])
            tables[row.table][row.key] = tables[row.table][row.key] | {row.parameter: row}
        return changed


def _number(text: str) -> float | None:
    return float(text) if text else None


@cache
def catalog() -> Catalog:
    """Read the shipped catalog."""
    rows = []
    for table in TABLES:
        for record in _read(f"{table}.csv"):
            row = Row(
                table,
                record["key"],
                record["parameter"],
                float(record["value"]),
                record["unit"],
                int(record["price_year"]) if record["price_year"] else None,
                _number(record["low"]),
                _number(record["high"]),
                record["source"],
                record["note"],
            )
            rows.append(row)
    aliases = {
        (record["table"], record["alias"].casefold()): Alias(record["table"], record["key"], record["note"])
        for record in _read("aliases.csv")
    }
    return Catalog(rows, aliases)


@cache
def sources() -> dict[str, Source]:
    """Sources by key."""
    columns = ("key", "title", "publisher", "year", "url", "status")
    return {record["key"]: Source(*(record[column] for column in columns)) for record in _read("sources.csv")}


@dataclass(frozen=True)
class ModelShape:
    """Shape of a published model, from ``models.csv``."""

    key: str
    family: str
    numbers: Mapping[str, float]
    source: str


@cache
def models() -> dict[str, ModelShape]:
    """Model shapes by key."""
    text = ("key", "family", "source", "note")
    return {
        record["key"]: ModelShape(
            record["key"],
            record["family"],
            {name: float(value) for name, value in record.items() if name not in text and value},
            record["source"],
        )
        for record in _read("models.csv")
    }


@cache
def carbon_table(key: str) -> Floats:
    """Mean carbon intensity by month and hour of day, local standard time.

    Returns
    -------
    ndarray, shape (12, 24)
        Location-based average intensity. [kg/kWh]
    """
    known = {path.stem: path for path in (folder() / "carbon").glob("*.csv")}
    path = lookup(known, key, "carbon table")
    table = np.full((12, 24), np.nan)
    with path.open(newline="", encoding="utf-8") as file:
        for record in csv.DictReader(file):
            table[int(record["month"]) - 1, int(record["hour"])] = float(record["kg_per_kwh"])
    assert not np.isnan(table).any(), f"{path.name} does not hold all 288 month-hours"
    return table


@cache
def digest() -> str:
    """sha256 over all files of the catalog, so that a run can say which figures it used."""
    total = hashlib.sha256()
    for path in sorted(folder().rglob("*")):
        if path.suffix in (".csv", ".json"):
            total.update(path.relative_to(folder()).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


class Assumptions:
    """Every catalog value that a plan uses, in the order of first use."""

    def __init__(self, of: Catalog) -> None:
        self.catalog = of
        self._used: dict[tuple[str, str, str], tuple[str, Row]] = {}
        self._values: dict[tuple[str, str, str], float] = {}

    def use(self, used_for: str, table: str, key: str, parameter: str) -> float:
        """Return a catalog value and note what it decides."""
        name = (table, key, parameter)
        if name not in self._values:
            row = self.catalog.row(table, key, parameter)
            self._note(used_for, row)
            self._values[name] = row.value
        return self._values[name]

    def maybe(self, used_for: str, table: str, key: str, parameter: str, default: float) -> float:
        """Return a catalog value where the part has that parameter, else *default*."""
        if parameter in self.catalog.part(table, key):
            return self.use(used_for, table, key, parameter)
        return default

    def state(self, used_for: str, table: str, key: str, parameter: str, value: float, unit: str) -> float:
        """Note a value of the scenario: the catalog's row where it is the same, else the planner's own."""
        row = self.catalog.part(table, key).get(parameter) if key in self.catalog.keys(table) else None
        if row is None:
            row = Row(table, key, parameter, value, unit, None, None, None, "scenario", "")
        elif row.value != value:
            note = f"the catalog has {row.value:g} from {row.source}"
            row = replace(row, value=value, source="scenario", note=note)
        self._note(used_for, row)
        return value

    def _note(self, used_for: str, row: Row) -> None:
        self._used.setdefault((row.table, row.key, row.parameter), (used_for, row))

    @property
    def rows(self) -> list[Row]:
        """Every value used, in the order of first use."""
        return [row for _, row in self._used.values()]

    def frame(self) -> pd.DataFrame:
        """One row a value, with the columns of the assumptions table."""
        columns = [column.name for column in ASSUMPTIONS]
        rows = [{"used_for": used_for, **vars(row)} for used_for, row in self._used.values()]
        return pd.DataFrame(rows, columns=columns)
