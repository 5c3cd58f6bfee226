"""Every shipped profile and validation split, fitted from measurements of published figures."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from . import collectives, gemm, images, inference, power, training
from .common import table

# Modules that fit, one a suite.
SOURCES = (training, collectives, gemm, power, images, inference)


def files() -> dict[Path, str]:
    """Text of every fitted file, by its path under the catalog's profiles."""
    out: dict[Path, str] = {}
    for source in SOURCES:
        out |= source.files()
    return out


def lines(found: Mapping[Path, str]) -> list[str]:
    """One line a shipped fit: rows, free parameters with their values."""
    return training.table() + [line for name, text in found.items() for line in table(name, text)]


def differences(found: Mapping[Path, str], target: Path, *, relative: float = 1e-4) -> list[str]:
    """What of some files differs from those under *target*: a line a fault, none where all agree.

    A fit ends where its sum of squares stands still, which holds a parameter to about the root of that tolerance:
    between two kinds of processor one moved by 1.5e-5. A change of a row moves fits by far more.
    """
    faults = []
    shipped = {path.relative_to(target) for path in target.rglob("*.json")}
    if not inference.rows():
        # Their input does not ship, so without it they can neither be fitted nor checked.
        shipped = {path for path in shipped if not path.name.startswith("inference")}
    faults += [f"{name}: not shipped" for name in sorted(set(found) - shipped)]
    faults += [f"{name}: shipped, but no longer fitted" for name in sorted(shipped - set(found))]
    for name in sorted(set(found) & shipped):
        ours, theirs = json.loads(found[name]), json.loads((target / name).read_text(encoding="utf-8"))
        pairs = [(ours, theirs)] if isinstance(ours, dict) else list(zip(ours, theirs, strict=False))
        if not isinstance(ours, dict) and len(ours) != len(theirs):
            faults.append(f"{name}: {len(theirs)} profiles shipped, {len(ours)} fitted")
        for one, other in pairs:
            for field in ("key", "cases", "free", "input_sha256"):
                if one[field] != other[field]:
                    faults.append(f"{name}: {field} of {one['key']} differs")
            for parameter, value in one["parameters"].items():
                if not np.isclose(value, other["parameters"][parameter], rtol=relative, atol=0.0):
                    faults.append(
                        f"{name}: {parameter} of {one['key']} is {value!r}, shipped {other['parameters'][parameter]!r}"
                    )
    return faults
