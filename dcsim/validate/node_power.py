"""Power and energy of nodes in training against MLPerf's power logs, and throughput under power caps."""

from collections.abc import Mapping

from dcsim.catalog.fitted import fitted, with_interval
from dcsim.catalog.published_power import CAP_COLUMNS, COLUMNS, cap_rate, node, system_family
from dcsim.errors import RangeError
from dcsim.validate.common import Case, Interval, Kind, NotPredicted, Part, Prediction, Suite

# Systems that are immersed, where a single run's row does not say so.
IMMERSED = ("SMC-H100-SXM-80GB",)


def power(case: Case) -> Mapping[str, Prediction]:
    """Mean power of a node [W] and energy of all nodes [MJ] over the given time to train."""
    of, one = fitted("node-power")["all"], node(case)
    extra = 0.0 if in_sample(case) else of.parameters["between_systems_sd"]
    middle, low, high = with_interval(one.power_w, of, extra_sd=extra)
    seconds = one.minutes * 60.0
    return {
        "mean_node_W": Interval(float(middle), float(low), float(high)),
        "all_node_energy_MJ_median": Interval(*(float(w) * seconds * one.nodes / 1e6 for w in (middle, low, high))),
    }


def run_power(case: Case) -> Mapping[str, Prediction]:
    """The same for a single run, whose columns are named otherwise: nodes of eight GPUs, accelerator in the system."""
    accelerator = f"{case['system']} immersion" if system_family(case["system"]) in IMMERSED else case["system"]
    found = power(
        {
            "system": case["system"],
            "benchmark": case["bench"],
            "measurement": case["meas"],
            "accelerator": accelerator,
            "nodes": case["nodes"],
            "gpus": str(8.0 * float(case["nodes"])),
            "time_to_train_min_median": case["ttt_min"],
        }
    )
    return {"mean_node_W": found["mean_node_W"], "node_energy_MJ": found["all_node_energy_MJ_median"]}


def in_sample(case: Case) -> bool:
    """Whether rows of the system were fitted; the stall share was set on its runs over several nodes too."""
    return system_family(case["system"]) in fitted("node-power")["all"].families


def capped(case: Case) -> Mapping[str, Prediction]:
    """Throughput of power-bound jobs under a cap, over that without."""
    if not case["subset"].startswith("power-bound"):
        raise NotPredicted("only power-bound jobs have a known need; a mean over all jobs mixes others in")
    of = fitted("power-cap")["all"]
    if float(case["cap_frac"]) >= 1.0:
        raise NotPredicted("the cap is the rated power: the ratio is 1 by definition")
    try:
        found = with_interval(lambda values: cap_rate(case, values), of)
    except RangeError as error:
        raise NotPredicted(str(error)) from None
    return {"throughput_mean": Interval(*(float(value) for value in found))}


def cap_in_sample(case: Case) -> bool:
    """Whether the GPU was fitted."""
    return case["gpu"] in fitted("power-cap")["all"].families


def _is_node(case: Case) -> bool:
    return "system" in case


def _fitted(case: Case) -> bool:
    return _is_node(case) and in_sample(case)


def _others(case: Case) -> bool:
    return _is_node(case) and not in_sample(case)


SUITE = Suite(
    {
        "nodes": Kind(
            COLUMNS,
            {"mean_node_W": "W", "all_node_energy_MJ_median": "MJ"},
            power,
            in_sample,
            "mean power of a node and energy of all over a training run",
        ),
        "runs": Kind(
            ("system", "bench", "meas", "nodes", "ttt_min"),
            {"mean_node_W": "W", "node_energy_MJ": "MJ"},
            run_power,
            in_sample,
            "the same of single runs",
        ),
        "caps": Kind(CAP_COLUMNS, {"throughput_mean": "1"}, capped, cap_in_sample, "throughput under a power cap"),
    },
    "power and energy of nodes in training, throughput under power caps",
    lambda: (
        Part("MLPerf v4.0, H100 nodes in immersion", "fitted, one stall share for all benchmarks", _fitted),
        Part(
            "the same, runs on one node",
            "fitted",
            lambda case: _fitted(case) and float(case["nodes"]) == 1,
            detail=True,
        ),
        Part(
            "the same, runs on several nodes",
            "fitted",
            lambda case: _fitted(case) and float(case["nodes"]) > 1,
            detail=True,
        ),
        Part("other systems", "none fitted", _others),
        Part("power-bound jobs under caps", "fitted, V100, RTX 6000 and A40", lambda case: not _is_node(case)),
    ),
    files=("node-power.csv", "power-cap.csv"),
)
