"""Fits of published best rates of matrix products: an efficiency for each architecture, and one ratio for 8 bit."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from dcsim.catalog.fitted import Fitted, to_json
from dcsim.catalog.published_gemm import Product, product

from ..fit import Prior
from .common import fit, measurements

FILE = "published-gemm.csv"
# Medians by hand. The spread between architectures is what an unknown one may differ by.
EFFICIENCY, FP8 = Prior(0.80, 0.15, 1.1), Prior(0.95, 0.10)
NOISE = 0.05


@cache
def rows() -> tuple[tuple[str, Product, float], ...]:
    """Name, product and published rate. [FLOP/s]"""
    return tuple(
        (record["case_id"], product(record), float(record["mamf_tflops"]) * 1e12) for record in measurements(FILE)
    )


def _fit(key: str, of: Sequence[tuple[str, Product, float]]) -> Fitted:
    kinds = sorted({one.architecture for _, one, _ in of})
    found = fit(
        key,
        lambda values: np.array([one.flop_s(values) for _, one, _ in of]),
        [rate for _, _, rate in of],
        {"fp8": FP8, **dict.fromkeys(kinds, EFFICIENCY)},
        noise=NOISE,
        cases=[case for case, _, _ in of],
        source=FILE,
        families=[one.accelerator for _, one, _ in of],
        base={"other": EFFICIENCY.median},
    )
    known = [found.parameters[kind] for kind in kinds]
    other = {"other": float(np.exp(np.mean(np.log(known)))), "other_sd": float(np.std(np.log(known)))}
    return replace(found, parameters={**found.parameters, **other})


def files() -> dict[Path, str]:
    """Text of the fitted files, by path under the catalog's profiles."""
    held = [
        _fit(name, [row for row in rows() if row[1].accelerator != name])
        for name in sorted({one.accelerator for _, one, _ in rows()})
    ]
    return {
        Path("gemm.json"): to_json([_fit("all", rows())]),
        Path("validation/gemm-left-out.json"): to_json(held),
    }
