"""Images per second of published image training, and sequences of fine-tuning; a kind of the training suite."""

from collections.abc import Mapping

from dcsim.catalog.fitted import fitted, with_interval
from dcsim.catalog.published_images import COLUMNS, image_run
from dcsim.validate import fine_tuning
from dcsim.validate.common import Case, Interval, Kind, Part, Prediction

# Between counts of nodes, beyond the scatter of the one-node rows. Assumption: as between software stacks.
SCALING_SD = 0.09


def samples(case: Case) -> Mapping[str, Prediction]:
    """Throughput of images, or of sequences where a language model is fine-tuned."""
    return fine_tuning.sequences(case) if fine_tuning.is_fine_tuning(case) else images(case)


def images(case: Case) -> Mapping[str, Prediction]:
    """Throughput by efficiencies fitted on one node."""
    run = image_run(case)
    extra = SCALING_SD if float(case["nodes"]) > 1 else 0.0
    found = with_interval(run.images_s, fitted("images")["one-node"], extra_sd=extra)
    return {"throughput_samples_s": Interval(*(float(value) for value in found))}


def is_images(case: Case) -> bool:
    """Whether a case is of training on images."""
    return "global_batch" in case and "benchmark" in case and not fine_tuning.is_fine_tuning(case)


KIND = Kind(
    COLUMNS,
    {"throughput_samples_s": "1/s"},
    samples,
    # The stacks of an accelerator's rows on one node were fitted, so its rows on several are not unseen.
    lambda case: is_images(case) and case["accelerator"] in fitted("images")["one-node"].families,
    "images or sequences a second in training",
)


def parts() -> tuple[Part, ...]:
    """One node as fitted, several as predicted from one."""
    return (
        Part("ResNet-50, one node", "fitted", lambda case: is_images(case) and float(case["nodes"]) == 1),
        Part(
            "ResNet-50, several nodes",
            "efficiencies fitted on one node",
            lambda case: is_images(case) and float(case["nodes"]) > 1,
            images,
        ),
    )
