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


# Figures of published cases that follow from others: quantity, nodes, failures a node and day, stall, restart, weights,
# and what turns the prediction into the file's unit.
METRICS = {
    ("Llama3-405B", "MTTI_unexpected_derived"): ("time_to_failure", "2048", LLAMA3_RATE, "", "", "", 1.0),
    ("Llama3-405B", "effective_training_time_gt"): ("effective_time", "2048", LLAMA3_RATE, "10", "600", "", 100.0),
    ("BLOOM-176B", "checkpoint_size"): ("checkpoint", "", "", "", "", "176.2e9", 1.0),
}


def metric(case: Case) -> Mapping[str, Prediction]:
    """A figure of a published case that others decide."""
    known = METRICS.get((case["case"], case["metric"]))
    if known is None:
        raise NotPredicted("is an input of the model, not a prediction")
    names = ("quantity", "nodes", "failures_per_node_day", "stall_s", "restart_s", "params")
    found = predict(dict(zip(names, known[:6], strict=True)))["published"]
    assert isinstance(found, float)
    return {"value": found * known[6]}


def two_digits(value: float) -> float:
    """A figure to the two digits that papers print."""
    return float(np.format_float_positional(value, precision=2, unique=False, fractional=False))


def _measured(case: Case) -> bool:
    """Whether a time to failure is one that was measured on single jobs of RSC-1, not projected from its rate."""
    return case.get("quantity") == "time_to_failure" and float(case["nodes"]) < 2000


def interrupted(case: Case) -> Mapping[str, Prediction]:
    """Mean time to an interruption of a job by hardware and by what is no hardware. [h]"""
    hardware_s = float(time_to_failure_s(float(case["nodes"]), float(case["failures_per_node_day"])))
    per_h = SECONDS_PER_HOUR / hardware_s + float(case["interruptions_per_job_h"])
    return {"published": 1.0 / per_h}


SUITE = Suite(
    {
        "interrupted": Kind(
            ("nodes", "failures_per_node_day", "interruptions_per_job_h"),
            {"published": "h"},
            interrupted,
            lambda case: True,
            "hours to an interruption, by a rate of what is no hardware that was fitted to it",
            two_digits,
        ),
        "figures": Kind(
            ("quantity", "nodes", "failures_per_node_day", "stall_s", "restart_s", "params"),
            {"published": "h, 1, TB"},
            predict,
            # The rate of Llama 3 is its own count of failures, so only the effective time is a prediction.
            lambda case: case["failures_per_node_day"] == LLAMA3_RATE,
            "to two digits: hours to failure, effective share of time, terabytes of a checkpoint",
            two_digits,
        ),
        "metrics": Kind(
            ("case", "metric"),
            {"value": "1"},
            metric,
            lambda case: case["metric"] == "MTTI_unexpected_derived",
            "figures of published cases that follow from others",
        ),
    },
    "time to failure, effective training time, size of a checkpoint",
    files=("reliability.csv", "reliability-interrupted.csv"),
    parts=lambda: (
        Part(
            "RSC-1 projections and Llama 3",
            "from failure rates",
            lambda case: "quantity" in case and case["quantity"] != "checkpoint" and not _measured(case),
        ),
        Part(
            "RSC-1 on 1,024 GPUs, fitted to it",
            "with 0.092 interruptions a job-hour that are no hardware's",
            lambda case: "interruptions_per_job_h" in case,
        ),
        Part("RSC-1 as measured on 8 and 1,024 GPUs", "from its rate; such jobs fail for more reasons", _measured),
    ),
)
