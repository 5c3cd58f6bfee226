"""The scheduler against independent replays: a real log under several policies, and Batsim's schedules and energy."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dcsim.catalog.reference import at_hand
from dcsim.sim.engine import ClusterSpec, Shutdown, simulate
from dcsim.study.pods import figures, placed
from dcsim.study.schedule import schedule
from dcsim.units import SECONDS_PER_MINUTE
from dcsim.validate.common import Case, Kind, NotPredicted, Part, Suite, reference
from dcsim.workload.traces.formats import source
from dcsim.workload.traces.replay import replayed


def replay(path: Path, *, processors: int, policy: str, estimates: str = "user") -> dict[str, float]:
    """Figures of a trace under a policy, on nodes of one processor; see :meth:`Scheduled.figures`."""
    jobs, _ = replayed(source(path))
    return schedule(jobs, processors=processors, policy=policy, estimates=estimates).figures()


def predict(case: Case) -> Mapping[str, float]:
    """Mean wait and bounded slowdown of a replayed log."""
    estimates = case["estimates"]
    if estimates not in ("user", "perfect"):
        raise NotPredicted(f"estimates must be user or perfect, not '{estimates}'")
    found = replay(
        reference(case["trace"]), processors=int(case["processors"]), policy=case["policy"], estimates=estimates
    )
    return {
        "published_mean_wait_min": found["mean_wait_s"] / SECONDS_PER_MINUTE,
        "published_mean_bounded_slowdown": found["mean_bounded_slowdown"],
    }


def batsim(case: Case) -> Mapping[str, float]:
    """Mean wait, end of the last job and energy of a workload on nodes that draw the same, busy or idle."""
    found = replay(reference(case["workload"]), processors=int(case["processors"]), policy=case["policy"])
    energy_j = float(case["node_power_w"]) * int(case["processors"]) * found["makespan_s"]
    return {
        "published_mean_wait_s": found["mean_wait_s"],
        "published_makespan_s": found["makespan_s"],
        "published_energy_mj": energy_j / 1e6,
    }


STATES = ("sleeping", "switching_on", "switching_off", "idle", "computing")


def states(case: Case) -> Mapping[str, float]:
    """Energy of nodes whose states over time are given, by the power of each state."""
    found = pd.read_csv(reference(case["machine_states"]))
    power_w = sum(float(case[f"{state}_w"]) * found[f"nb_{state}"].to_numpy() for state in STATES)
    length_s = np.diff(found["time"].to_numpy())
    return {"published_energy_mj": float((np.asarray(power_w)[:-1] * length_s).sum()) / 1e6}


OPENB = "traces/alibaba_openb_2023/openb_pod_list_default.csv", "traces/alibaba_openb_2023/openb_node_list_all_node.csv"


def unlike_nodes() -> Sequence[str]:
    """Alibaba's pods of 2023 on its own 1,523 nodes: at recorded starts, and waits where they are placed freely."""
    pod_list, node_list = (at_hand(name) for name in OPENB)
    if pod_list is None or node_list is None:
        return []
    kept = placed(pod_list, node_list, recorded=True)
    free = figures(placed(pod_list, node_list, recorded=False))
    return [
        f"openb: {np.count_nonzero(kept.node >= 0):,} pods at their recorded starts, no node over its capacity; freely "
        f"placed they wait {free['mean_wait_s']:.3g} s on average, {free['p99_wait_s']:.3g} s at the 99th percentile "
        "against 61 s and 890 s recorded: its GPUs were never short, so what was waited for is not in the trace"
    ]


# Seconds that medium_late's nodes take to be off and to be ready, and powers of their states. [s, W]
MEDIUM_LATE = Shutdown(0.0, 6.1, 151.52)
OFF_W, STOPPING_W, STARTING_W, ON_W = 9.75, 100.997, 125.174, 95.0


def own_shutdown(case: Case) -> str:
    """Energy and wait of Batsim's workload under our own opportunistic shutdown."""
    jobs, _ = replayed(source(reference(case["workload"])))
    n = int(case["processors"])
    result = simulate(
        ClusterSpec(1, n, n, ((0.0, n),)),
        jobs,
        np.ones((1, 2)),
        policy="easy_shutdown",
        horizon_s=np.inf,
        seed=0,
        shutdown=MEDIUM_LATE,
    )
    end_s = float(result.end_s.max())
    off, stopping, starting = result.nodes_by_power_state().integral([0.0, end_s])[0]
    on = n * end_s - off - stopping - starting
    energy_j = OFF_W * off + STOPPING_W * stopping + STARTING_W * starting + ON_W * on
    return (
        f"easy_shutdown, our own rule for when nodes stop and start: {energy_j / 1e6:.2f} MJ and a mean wait of "
        f"{float((result.first_start_s - jobs.submit_s).mean()):.1f} s, where Batsim's has 35.85 MJ and 41.5 s"
    )


def findings(cases: Sequence[Case]) -> Sequence[str]:
    """How many jobs start when Batsim starts them, and what Alibaba's pods find on their nodes."""
    found = list(unlike_nodes()) if any(case.get("starts") for case in cases) else []
    for case in cases:
        starts = case.get("starts")
        path, workload = (at_hand(starts), at_hand(case["workload"])) if starts else (None, None)
        if path is None or workload is None:
            continue
        jobs, _ = replayed(source(workload))
        ours = schedule(jobs, processors=int(case["processors"]), policy=case["policy"]).result.first_start_s
        theirs = pd.read_csv(path).sort_values("submission_time", kind="stable")["starting_time"].to_numpy()
        equal = int(np.count_nonzero(np.abs(ours - theirs) < 0.01))
        if case["policy"] == "easy_nodes":
            found.append(own_shutdown(case))
        found.append(f"{case['policy']}: {equal} of {len(jobs)} jobs start within 0.01 s of Batsim's start")
    return found


def parts() -> Sequence[Part]:
    """The log of a real machine, and the workload that another simulator ran."""
    return [
        Part("KTH-SP2", "four policies and estimates", lambda case: "trace" in case),
        Part("Batsim medium_late", "EASY and conservative backfill, energy", lambda case: "trace" not in case),
    ]


SUITE = Suite(
    {
        "replay": Kind(
            ("trace", "processors", "policy", "estimates"),
            {"published_mean_wait_min": "min", "published_mean_bounded_slowdown": "1"},
            predict,
            lambda case: False,
            "a batch log replayed under a policy; the trace is a path under the reference data",
        ),
        "batsim": Kind(
            ("workload", "processors", "policy", "node_power_w"),
            {"published_mean_wait_s": "s", "published_makespan_s": "s", "published_energy_mj": "MJ"},
            batsim,
            lambda case: False,
            "a workload on nodes of one processor that draw the same power, busy or idle",
        ),
        "states": Kind(
            ("machine_states", *(f"{state}_w" for state in STATES)),
            {"published_energy_mj": "MJ"},
            states,
            lambda case: False,
            "energy of nodes from counts of their states over time",
        ),
    },
    "independent replays of the KTH-SP2 log, and Batsim's of 801 jobs with its energy",
    files=("schedule.csv", "schedule-batsim.csv", "schedule-states.csv"),
    needs_data=True,
    findings=findings,
    parts=parts,
)
