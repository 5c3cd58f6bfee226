"""One simulation of a cluster in a process of its own, so that its peak memory is its own: prints CPU seconds and MB.

python tests/benchmarks/cluster.py JOBS NODES GPUS_PER_NODE DAYS LOAD [failures] [power]
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from plans import saturated_mix

from dcsim.sim.engine import ClusterSpec, Reliability, simulate
from dcsim.steps import StepSeries

NODE_IDLE_W, NODE_BUSY_W = 1000.0, 3000.0


def main(n: int, nodes: int, per_node: int, days: float, load: float, *extra: str) -> dict[str, float]:
    """Draw jobs that fill the days at a load, simulate them under EASY, and integrate power where that is asked."""
    sizes = 1 if "single" in extra else 11
    jobs = saturated_mix(n, nodes * per_node, load, seed=1, n_sizes=sizes)
    # Run times are stretched so that the jobs fill the days.
    stretch = days * 86_400 / jobs.submit_s[-1]
    for column in (jobs.submit_s, jobs.run_s, jobs.limit_s):
        column *= stretch
    reliability = None
    if "failures" in extra:
        one = np.ones(1)
        reliability = Reliability(0.0038, 4 * 3600.0, 3600.0 * one, 10.0 * one, 600.0 * one)
    began = time.process_time()
    result = simulate(
        ClusterSpec(per_node, 32, 8, ((0.0, nodes),)),
        jobs,
        np.array([[1.0, 1.0, 0.9]]),
        horizon_s=days * 86_400 * 1.02,
        seed=1,
        reliability=reliability,
    )
    changes = 0
    if "power" in extra:
        held = result.gpus_held[result.segment_job] / per_node * (NODE_BUSY_W - NODE_IDLE_W)
        times = np.concatenate([result.segment_start_s, result.segment_end_s])
        power = StepSeries.from_changes(times, np.concatenate([held, -held]))
        power.integral(np.arange(0.0, days * 86_400, 60.0))
        changes = len(power.times)
    return {
        "cpu_s": time.process_time() - began,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "started": int(np.isfinite(result.first_start_s).sum()),
        "longest_queue": result.counters.max_waiting,
        "restarts": int(result.restarts.sum()),
        "power_changes": changes,
    }


if __name__ == "__main__":
    first, second, third, fourth, fifth, *others = sys.argv[1:]
    print(json.dumps(main(int(first), int(second), int(third), float(fourth), float(fifth), *others)))
