"""Whole run folders of the few runs of a study that stand at percentiles of a figure."""

import math
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcsim import pipeline, runs
from dcsim.costing import Happened
from dcsim.model.load import Loaded
from dcsim.study.engines.engine import Engine, Failed
from dcsim.study.engines.local import LocalEngine

Floats = NDArray[np.float64]

PERCENTILES = {"p5": 0.05, "p50": 0.50, "p95": 0.95}


def at_percentiles(values: Floats) -> dict[str, int]:
    """Place of the value at each percentile, of equal ones the first; NaN are left out, and nothing is left of none."""
    order = np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())].tolist()
    if not order:
        return {}
    return {name: order[max(0, math.ceil(share * len(order)) - 1)] for name, share in PERCENTILES.items()}


def written(
    parent: Path, groups: Collection[Sequence[tuple[str, Loaded]]], before: Collection[str], engine: Engine
) -> dict[str, str]:
    """Write run folders into *parent* on this machine; their names by label.

    Parameters
    ----------
    parent : Path
        Folder of the run folders; what stands there whole is not written again.
    groups : collection of sequences of (str, Loaded)
        Plans with a label each; those of a group differ in prices alone and are simulated once.
    before : collection of str
        Names of run folders that an earlier study chose; those that this one does not choose are deleted.
    engine : Engine
        Where they are written, if on this machine; else processes of it are started.

    Raises
    ------
    RunError
        If one cannot be written; the message has its label.
    """
    payloads = {str(i): (tuple(loaded for _, loaded in group), parent) for i, group in enumerate(groups)}
    labels = {str(i): [label for label, _ in group] for i, group in enumerate(groups)}
    here = engine if isinstance(engine, LocalEngine) else LocalEngine()
    names: dict[str, str] = {}
    try:
        for key, found in here.run(_write, payloads):
            if isinstance(found, Failed):
                raise runs.RunError(f"{labels[key][0]}: {found.reason}; give the same command again")
            names |= dict(zip(labels[key], found, strict=True))
    finally:
        if here is not engine:
            here.close()
    for old in set(before) - set(names.values()):
        shutil.rmtree(parent / old, ignore_errors=True)
    return names


def _write(of: tuple[tuple[Loaded, ...], Path]) -> list[str]:
    plans, parent = of
    kept: list[Happened] = []
    return [pipeline.run(loaded, parent, reuse=True, kept=kept).name for loaded in plans]
