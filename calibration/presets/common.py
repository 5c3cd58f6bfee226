"""What every preset is made by: measurements with their digest, and a fit written down with its provenance."""

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.catalog.fitted import Fitted
from dcsim.errors import UsageError

from ..fit import Prior, log_fit

MEASUREMENTS = Path(__file__).parents[1] / "measurements"


@cache
def measurements(name: str) -> tuple[Mapping[str, str], ...]:
    """Rows of a file of measurements, a column name a key.

    Raises
    ------
    UsageError
        If it is not there, as in an installed wheel.
    """
    path = MEASUREMENTS / name
    if not path.exists():
        raise UsageError(f"{path}: no such file; published measurements come with the source tree, not with a wheel")
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))


@cache
def digest(name: str) -> str:
    """sha256 of a file of measurements."""
    return hashlib.sha256((MEASUREMENTS / name).read_bytes()).hexdigest()


def fit(
    key: str,
    model: Callable[[Mapping[str, float]], Any],
    measured: Sequence[float],
    priors: Mapping[str, Prior],
    *,
    noise: float,
    cases: Sequence[str],
    source: str,
    base: Mapping[str, float] | None = None,
    inherits: str = "priors",
    note: str = "",
    families: Sequence[str] = (),
) -> Fitted:
    """Fit the parameters of *priors*, the first that half the rows allow; the others and *base* stay."""
    free = list(priors)[: max(1, len(measured) // 2)]
    kept = {**(base or {}), **{name: prior.median for name, prior in priors.items()}}
    found = log_fit(
        lambda values: np.asarray(model({**kept, **values}), dtype=float),
        measured,
        {name: priors[name] for name in free},
        noise=noise,
    )
    return Fitted(
        key=key,
        inherits=inherits,
        free=tuple(free),
        parameters={**kept, **found.values},
        covariance=found.covariance.tolist(),
        scatter=found.scatter,
        cases=tuple(dict.fromkeys(cases)),
        input=source,
        input_sha256=digest(source),
        note=note,
        families=tuple(sorted(set(families))),
    )


def table(name: Path, text: str) -> list[str]:
    """One line a fit of a file: rows, free parameters with their values."""
    records = json.loads(text)
    if not isinstance(records, list) or name.parent.name == "validation":
        return []
    return [
        f"{name.stem} {record['key']}: {len(record['cases'])} rows, {len(record['free'])} free ("
        + ", ".join(f"{free} {record['parameters'][free]:.3g}" for free in record["free"])
        + f"), the rest from {record['inherits']}; scatter {100 * record['scatter']:.1f} %"
        + (f"; {record['note']}" if record["note"] else "")
        for record in records
    ]
