"""Fit of published image training on one node."""

from pathlib import Path

import numpy as np

from dcsim.catalog.fitted import to_json
from dcsim.catalog.published_images import image_run
from dcsim.physics.convnet import ConvCalibration

from ..fit import Prior
from . import collectives
from .common import fit, measurements

FILE = "published-images.csv"
PRIORS = {"gemm_eff": Prior(0.65, 0.2, 1.2), "passes": Prior(14.0, 0.3)}
NOISE = 0.05


def files() -> dict[Path, str]:
    """Text of the fitted file, by path under the catalog's profiles."""
    records = [record for record in measurements(FILE) if float(record["nodes"]) == 1]
    shipped, _ = collectives.fits()
    link_values = next(one for one in shipped if one.key == "all").parameters
    runs = [image_run(record, link_values) for record in records]
    found = fit(
        "one-node",
        lambda values: np.array([float(run.images_s(values)) for run in runs]),
        [float(record["throughput_samples_s"]) for record in records],
        PRIORS,
        noise=NOISE,
        cases=[record["case_id"] for record in records],
        source=FILE,
        families=[record["accelerator"] for record in records],
        base=vars(ConvCalibration()),
    )
    return {Path("images.json"): to_json([found])}
