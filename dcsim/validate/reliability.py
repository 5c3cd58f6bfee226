"""Time to failure, effective training time and checkpoints against published figures."""

from collections.abc import Mapping

import numpy as np

from dcsim.physics.reliability import checkpoint_b, effective_time_frac, time_to_failure_s, young_interval_s
from dcsim.units import SECONDS_PER_HOUR
from dcsim.validate.common import Case, Kind, NotPredicted, Part, Prediction, Suite

# Failures of a node and day, as counted over the run itself.
LLAMA3_RATE = "0.00379"


def predict(case: Case) -> Mapping[str, Prediction]:
    """The quantity of a case, in its unit: hours, a share, terabytes."""
    quantity = case["quantity"]
    if quantity == "checkpoint":
        return {"published": float(checkpoint_b(float(case["params"]))) / 1e12}
    failure_s = time_to_failure_s(float(case["nodes"]), float(case["failures_per_node_day"]))
    if quantity == "time_to_failure":
        return {"published": float(failure_s) / SECONDS_PER_HOUR}
    if quantity == "effective_time":
        stall_s, restart_s = float(case["stall_s"]), float(case["restart_s"])
        interval_s = young_interval_s(stall_s, failure_s)
        return {"published": float(effective_time_frac(interval_s, stall_s, restart_s, failure_s))}
    raise NotPredicted(f"'{quantity}' is none of time_to_failure, effective_time, checkpoint")


def two_digits(value: float) -> float:
    """A figure to the two digits that papers print."""
    return float(np.format_float_positional(value, precision=2, unique=False, fractional=False))


def _measured(case: Case) -> bool:
    """Whether a time to failure is one that was measured on single jobs of RSC-1, not projected from its rate."""
    return case["quantity"] == "time_to_failure" and float(case["nodes"]) < 2000


SUITE = Suite(
    {
        "figures": Kind(
            ("quantity", "nodes", "failures_per_node_day", "stall_s", "restart_s", "params"),
            {"published": "h, 1, TB"},
            predict,
            # The rate of Llama 3 is its own count of failures, so only the effective time is a prediction.
            lambda case: case["failures_per_node_day"] == LLAMA3_RATE,
            "to two digits: hours to failure, effective share of time, terabytes of a checkpoint",
            two_digits,
        )
    },
    "time to failure, effective training time, size of a checkpoint",
    lambda: (
        Part(
            "RSC-1 projections and Llama 3",
            "from failure rates",
            lambda case: case["quantity"] != "checkpoint" and not _measured(case),
        ),
        Part("RSC-1 as measured on 8 and 1,024 GPUs", "from its rate; such jobs fail for more reasons", _measured),
    ),
)
