"""Best rates of matrix products against published ones."""

from collections.abc import Mapping

from dcsim.catalog.fitted import Fitted, fitted, with_interval
from dcsim.catalog.published_gemm import COLUMNS, product
from dcsim.validate.common import Case, Interval, Kind, Part, Prediction, Suite


def rate(of: Fitted, case: Case) -> Mapping[str, Prediction]:
    """Rate by the efficiency of the accelerator's architecture; of all, with their spread, where it is not known."""
    one = product(case)
    extra = 0.0 if one.architecture in of.parameters else of.parameters["other_sd"]
    found = with_interval(lambda values: one.flop_s(values) / 1e12, of, extra_sd=extra)
    return {"mamf_tflops": Interval(*(float(value) for value in found))}


def left_out(case: Case) -> Mapping[str, Prediction]:
    """Rate from the other accelerators."""
    return rate(fitted("validation/gemm-left-out")[case["accelerator"]], case)


def in_sample(case: Case) -> bool:
    """Whether the accelerator was fitted."""
    return case["accelerator"] in fitted("gemm")["all"].families


SUITE = Suite(
    {
        "best": Kind(
            COLUMNS,
            {"mamf_tflops": "TFLOP/s"},
            lambda case: rate(fitted("gemm")["all"], case),
            in_sample,
            "best rate found over shapes",
        )
    },
    "best rate of matrix products by accelerator",
    lambda: (
        Part("GEMM", "fitted, an efficiency an architecture", lambda case: True),
        Part("GEMM", "the accelerator left out", in_sample, left_out),
    ),
)
