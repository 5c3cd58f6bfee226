"""Benchmarks: CPU seconds and ratios, each beside its bar. Run with ``make bench``; tests assert none of them."""

import heapq
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from plans import SMALL, saturated_mix, small

from dcsim import pipeline, runs
from dcsim.catalog.hardware import gpu, transformer
from dcsim.catalog.profiles import nearest, profiles
from dcsim.catalog.weather import weather
from dcsim.climate import outdoor_year
from dcsim.energy import account
from dcsim.operate import simulated
from dcsim.physics.plans import candidates, search
from dcsim.physics.psychrometrics import humidity_ratio_from_dew_point, wet_bulb_c
from dcsim.physics.training import step
from dcsim.serving.capacity import Options, service
from dcsim.serving.demand import Asked
from dcsim.serving.hours import hours
from dcsim.serving.replicas import replica
from dcsim.serving.surface import fixed
from dcsim.sim.engine import ClusterSpec, simulate
from dcsim.sim.serving.engine import serve
from dcsim.study.plant import Design, at_site, designs, plant_year
from dcsim.workload.requests.arrivals import Poisson
from dcsim.workload.requests.lengths import Stated

DCSIM = Path(sys.executable).with_name("dcsim")


def cpu_s(function: Callable[[], object], repeats: int = 3) -> tuple[float, object]:
    """Least CPU time of some calls, and the last result. [s]"""
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        best = min(best, time.process_time() - start)
    return best, result


def show(name: str, value: float, unit: str, bar: float, note: str = "") -> None:
    """Print one figure beside its bar."""
    print(f"{name:64}{value:>10.4g} {unit:4} bar {bar:>6g}  {value / bar:>5.0%} of it  {note}", flush=True)


def command(*words: str) -> tuple[float, float, str]:
    """CPU seconds, peak memory [MB] and output of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([DCSIM, *words], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, after.ru_maxrss / 1e3, done.stdout.strip()


def heap_loop(submit_s: list[float], run_s: list[float], gpus: list[int], capacity: int) -> int:
    """First come, first served on a pool of GPUs, as plainly as Python can: what a scheduler is held against."""
    free, ends, queue, head, arrived = capacity, [], [], 0, 0
    n = len(submit_s)
    while arrived < n or ends:
        if arrived < n and (not ends or submit_s[arrived] <= ends[0][0]):
            now = submit_s[arrived]
            queue.append(arrived)
            arrived += 1
        else:
            now, job = heapq.heappop(ends)
            free += gpus[job]
        while head < len(queue) and gpus[queue[head]] <= free:
            job = queue[head]
            head += 1
            free -= gpus[job]
            heapq.heappush(ends, (now + run_s[job], job))
    return head


def schedule() -> None:
    """100,000 jobs of a saturated mix on 1,250 nodes of 8 GPUs."""
    gpus = 10_000
    jobs = saturated_mix(100_000, gpus, 1.1, seed=1)
    cluster = ClusterSpec(8, 32, 8, ((0.0, gpus // 8),))
    columns = jobs.submit_s.tolist(), jobs.run_s.tolist(), jobs.gpus.tolist()
    floor, started = cpu_s(lambda: heap_loop(*columns, gpus))
    assert started == len(jobs)
    used, result = cpu_s(lambda: simulate(cluster, jobs, np.ones((1, 2)), horizon_s=np.inf, seed=0))
    note = f"{used / floor:.1f} times a plain heapq loop ({floor:.2f} s); longest queue {result.counters.max_waiting:,}"
    show("100,000 saturated jobs, EASY, placement, change log", used, "s", 4.0, note)


def cluster(*words: object) -> dict[str, float]:
    """One simulation in a process of its own."""
    script = Path(__file__).with_name("cluster.py")
    line = [sys.executable, script, *(str(word) for word in words)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def clusters() -> None:
    """Runs that peers were measured on, and how the cost grows with jobs and with GPUs."""
    for name, words, most_s, most_mb, peer in (
        ("100,000 jobs of one GPU, 100 hosts", (100_000, 100, 8, 30, 0.9, "single"), 3, 400, "OpenDC 69 s, 3,600 MB"),
        ("10,000 jobs, 7 days, 9,472 nodes, power", (10_000, 9472, 4, 7, 0.9, "power"), 3, 300, "RAPS 80 s, 3,200 MB"),
        ("24 h of that machine", (1_430, 9472, 4, 1, 0.9, "power"), 1, 300, "RAPS 20 s"),
        ("a year, 1,000,000 jobs, 100,000 GPUs, failures", (1_000_000, 12_500, 8, 365, 0.9, "failures"), 40, 1000, ""),
    ):
        found = cluster(*words)
        note = f"longest queue {found['longest_queue']:,}, {found['restarts']:,} restarts; {peer}"
        show(f"{name}, CPU", found["cpu_s"], "s", most_s, note)
        show(f"{name}, peak memory", found["mb"], "MB", most_mb)
    print("\ncost by jobs, a year on 100,000 GPUs at a load of 0.9, failures")
    _growth([(n, 12_500) for n in (62_500, 125_000, 250_000, 500_000, 1_000_000)], lambda n, nodes: n * np.log2(n))
    print("\ncost by GPUs, 250,000 jobs of a year at a load of 0.9, no failures")
    _growth([(250_000, nodes) for nodes in (1_250, 2_500, 5_000, 12_500)], lambda n, nodes: 1.0)


def _growth(points: list[tuple[int, int]], law: Callable[[int, int], float]) -> None:
    """CPU seconds as bars, and each over what the law makes of the first."""
    failures = ["failures"] if len({nodes for _, nodes in points}) == 1 else []
    used = [cluster(n, nodes, 8, 365, 0.9, *failures)["cpu_s"] for n, nodes in points]
    for (n, nodes), cpu in zip(points, used, strict=True):
        ratio = cpu / used[0] * law(*points[0]) / law(n, nodes)
        bar = "█" * max(1, round(40 * cpu / max(used)))
        print(f"{n:>10,} jobs {8 * nodes:>8,} GPUs {cpu:7.2f} s {ratio:5.2f} of the law  {bar}", flush=True)


def surf() -> None:
    """The SURF week's tasks and power, where the reference data is at hand."""
    used, _, text = command("validate", "replay")
    if "unseen part" in text:
        show("SURF, half a week of power scored", used, "s", 3.0, "OpenDC 10 s")


def accounting() -> None:
    """Ten years at 5 minutes: 1.05 million rows."""
    ready = pipeline.prepare(small("plan.years=10", "report.interval_s=300"))
    (pool,) = results = simulated(ready)
    used, (table, _) = cpu_s(lambda: account(ready.facility, results))
    show(f"account, {len(table):,} rows, {len(pool.result.segment_job):,} attempts of jobs", used, "s", 2.0)


def psychrometrics() -> None:
    """Wet bulb of a year of hours."""
    year = weather("greensboro-nc-tmy3", lambda: Path("unused"))
    air = outdoor_year(year, 3600)
    ratio = humidity_ratio_from_dew_point(year.dew_point_c, year.pressure_pa)
    used, _ = cpu_s(lambda: wet_bulb_c(air.dry_bulb_c, ratio, year.pressure_pa), 20)
    show("wet bulb, 8,760 h", used * 1e3, "ms", 10.0)


def steps_and_plans() -> None:
    """Training steps of a batch of configurations, and a plan search over 1,024 GPUs."""
    part, model = gpu("h100-sxm-80gb", "bf16", "ib-ndr400"), transformer("llama3.1-70b")
    profile = nearest(profiles(), gpu="h100-sxm-80gb", dtype="bf16", stack="x", network="ib-ndr400", moe=False)
    fit = profile.calibration("bf16")
    some = candidates(model, [1024], part, global_batch=[512], seq=8192)
    many = some.take(np.resize(np.arange(len(some.gpus)), 10_000))
    used, _ = cpu_s(lambda: step(model, many, part, fit))
    show("training step, 10,000 configurations, each", used / 10_000 * 1e6, "us", 10.0, "Calculon: 2,000 to 7,000 us")

    def plans() -> object:
        return search(model, candidates(model, [1024], part, global_batch=[512], seq=8192), part, fit)

    used, _ = cpu_s(plans)
    show(f"plan search over 1,024 GPUs, {len(some.gpus):,} plans", used, "s", 1.0)


def plants() -> None:
    """Every cooling system over a year of hours at a prepared site, and a thousand designs of them."""
    ready = at_site("greensboro-nc-tmy3")

    def year(design: Design) -> object:
        return plant_year(design, ready.air, ready.design_air, 0.8, site="", name="")

    used = {kind: cpu_s(lambda of=design: year(of))[0] for kind, design in designs().items()}
    slowest = max(used, key=lambda kind: used[kind])
    show("site-design-year, the slowest cooling system", 1e3 * used[slowest], "ms", 5.0, slowest)
    loads = np.linspace(0.2, 1.0, 1000)
    kinds = list(designs().values())

    def thousand() -> object:
        return [
            plant_year(kinds[i % len(kinds)], ready.air, ready.design_air, float(load), site="", name="").pue
            for i, load in enumerate(loads)
        ]

    show("1,000 designs on one site-year", cpu_s(thousand, 1)[0], "s", 5.0)


def services() -> None:
    """Requests one by one, a year of hours of twenty services, and a sizing from statistics."""
    of = replica("llama3.1-8b", "h100-sxm-80gb")
    chat = Asked(Poisson(), Stated(1155, 0.96, 211, 0.77, 0.07))
    most = of.most_per_s(chat.mean, 1024)
    requests = chat.steady(0.6 * 16 * most, 1_000_000, 0, "bench")
    used, _ = cpu_s(lambda: serve(requests, service(of, 16, Options())), 1)
    show(f"{len(requests):,} requests one by one on 16 replicas", used, "s", 60.0)
    used_s, surface = cpu_s(lambda: fixed(of, chat, [2, 6, 16], Options(), 0), 1)
    print(f"  the table of a service takes {used_s:.3g} s")
    rates = 0.5 * most * np.tile(np.linspace(2, 16, 24), 365)
    replicas = np.tile(np.linspace(2, 16, 24).round(), 365)

    def twenty() -> object:
        return [hours(of, surface, rates, replicas, most, 3600.0).percentile_s("ttft", 95) for _ in range(20)]

    year, _ = cpu_s(twenty)
    show("a year of hours of twenty services off their tables", year, "s", 1.0)
    words = ("--rate", "100", "--ttft-p95", "0.5", "--tpot-p95", "0.03", "--json")
    used, memory, _ = command("size", "serving", "--model", "llama3.1-8b", "--gpu", "h100-sxm-80gb", *words)
    show("dcsim size serving from statistics, imports included", used, "s", 2.0, f"{memory:.0f} MB")


def whole() -> None:
    """The baseline as a planner runs it, report included, and the help."""
    with tempfile.TemporaryDirectory() as folder:
        used, peak_mb, run = command("run", "baseline-10mw-h100", "--out", folder, "--quiet")
        kpis = runs.read(Path(run)).kpis
    jobs, gpus = kpis["jobs_completed"]["value"] / 5, kpis["gpus_installed"]["value"]
    show("baseline, five years, CPU", used, "s", 30.0, f"{jobs:,.0f} jobs a year on {gpus:,.0f} GPUs")
    show("baseline, five years, peak memory", peak_mb, "MB", 700.0)
    helps = [command("--help")[0] for _ in range(5)]
    show("dcsim --help", min(helps), "s", 0.4)


def studies() -> None:
    """Ten thousand draws of prices on a simulated year, and 200 simulations of about a second each."""
    small_plan = [word for text in SMALL for word in ("--set", text)]
    uncertain = (
        "economics.revenue.sold_frac={distribution: beta, mean: 0.8, sd: 0.1}",
        "economics.discount_rate={distribution: uniform, low: 0.08, high: 0.14}",
        "overrides={servers.hgx-h100-8.price_usd: {value: {distribution: lognormal, median: 250e3, log_sd: 0.1}, "
        "source: quotations}, prices.us-average-2025.usd_per_critical_mw: {value: {distribution: pert, low: 9.3e6, "
        "mode: 11.7e6, high: 15e6}, source: guides}}",
    )
    drawn = [word for text in uncertain for word in ("--set", text)]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        used, peak_mb, _ = command(
            "uncertainty", "baseline-10mw-h100", *small_plan, *drawn, "--draws=10000", f"--out={folder}/draws"
        )
        took = time.perf_counter() - start
        show("10,000 draws of prices on a year, page included", took, "s", 30.0, f"{used:.0f} CPU-s")
        show("the same, largest process", peak_mb, "MB", 500.0, "of 1 GB for two workers and the parent")
        start = time.perf_counter()
        used, _, _ = command(
            "sweep", "baseline-10mw-h100", *small_plan, "--seeds=200", "--quiet", f"--out={folder}/seeds"
        )
        share = used / (time.perf_counter() - start) / len(os.sched_getaffinity(0))
        # More is better here: what is missing to 1 is start, tables and waiting.
        show("200 simulations of a year, share of all processors", share, "1", 0.9)


if __name__ == "__main__":
    whole()  # first: a child's peak memory counts what its parent held when it was started
    psychrometrics()
    schedule()
    clusters()
    surf()
    accounting()
    plants()
    steps_and_plans()
    services()
    studies()
