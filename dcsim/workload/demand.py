"""The jobs of a plan, from a trace or a synthetic mix, and the check that each can ever be placed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.catalog.hardware import server_has_gpus, server_usable_tb
from dcsim.catalog.load import Assumptions
from dcsim.errors import InputError, Problem, UsageError
from dcsim.model.load import Loaded
from dcsim.model.tree import Place
from dcsim.model.workload import Demanded, Synthetic, Trace
from dcsim.units import SECONDS_PER_DAY
from dcsim.workload.campaigns import with_campaigns
from dcsim.workload.jobs import Floats, Jobs, Room, booked, together, useful, widest
from dcsim.workload.model_runs import SPANS, Modelled
from dcsim.workload.paths import Filling, at_month_ends, cumulative_gpu_s, filling, gpus_by_month, month_starts
from dcsim.workload.synthetic import ClassMix, OfClass, drawn, synthetic
from dcsim.workload.traces.formats import source
from dcsim.workload.traces.replay import replayed

MAX_LISTED = 20
# The user's estimate of a model run over its time without failures. Assumption.
RUN_LIMIT_FACTOR = 1.25
ARRIVALS = "arrivals"  # key of the hour-of-day profile among the workload classes


@dataclass(frozen=True)
class Demand:
    """Jobs to simulate, those that were left out, and where they come from."""

    jobs: Jobs
    skipped: Jobs
    inputs: dict[str, str]
    notes: tuple[str, ...]
    filling: Filling | None = None

    def findings(self) -> dict[str, Any]:
        """What the report says about the jobs."""
        return {
            "jobs": {
                "total": len(self.jobs) + len(self.skipped),
                "skipped": len(self.skipped),
            }
        }


def class_names(loaded: Loaded) -> tuple[str, ...]:
    """Workload classes of a scenario in the order stated: those of the jobs, then one a model run."""
    return job_classes(loaded) + tuple(run.name for run in loaded.scenario.workload.runs)


def job_classes(loaded: Loaded) -> tuple[str, ...]:
    """Workload classes of the jobs, in the order stated."""
    workload = loaded.scenario.workload
    stages = [stage.job_class for campaign in workload.campaigns for stage in campaign.stages]
    return tuple(dict.fromkeys([*workload.jobs.class_names, *(name for name in stages if name is not None)]))


def allowed_pools(loaded: Loaded, name: str) -> tuple[str, ...]:
    """Pools that the jobs of a class may use, the preferred one first; a model run has one.

    Without a statement those whose servers have GPUs, or for classes that take nodes those whose have none; storage
    servers take no jobs.

    Raises
    ------
    InputError
        If there is none of the right kind, or one of the other kind is stated.
    """
    facility, workload = loaded.scenario.facility, loaded.scenario.workload
    for run in workload.runs:
        if run.name == name:
            return (run.pool or facility.pool_names[0],)
    on_nodes = name in workload.classes_on_nodes
    servers = {pool: facility.pool(pool).server for pool in facility.pool_names}
    right = [
        pool for pool, server in servers.items() if server_has_gpus(server) != on_nodes and not server_usable_tb(server)
    ]
    kind = "without GPUs" if on_nodes else "with GPUs"
    stated = workload.pools.get(name, tuple(right))
    if not stated:
        place: Place = ("facility", "phases")
        raise loaded.fault(place, f"{name} jobs take servers {kind}, of which no phase has any; add a pool of them")
    wrong = [pool for pool in stated if pool not in right]
    if wrong:
        message = f"{name} jobs take servers {kind}, and those of '{wrong[0]}' are others"
        raise loaded.fault(("workload", "pools", name), message)
    return stated


def _rooms_of(loaded: Loaded, rooms: Sequence[Room], name: str) -> list[Room]:
    """Room for the jobs of a class."""
    allowed = allowed_pools(loaded, name)
    return [room for room in rooms if room.pool in allowed]


def _largest(loaded: Loaded, rooms: Sequence[Room], name: str) -> int:
    """GPUs of the largest cluster that the jobs of a class may ever use. [GPU]"""
    return max(gpus for _, gpus in widest(_rooms_of(loaded, rooms, name)))


def demand(
    loaded: Loaded,
    rooms: Sequence[Room],
    horizon_s: float,
    used: Assumptions,
    runs: tuple[Modelled, ...] = (),
) -> Demand:
    """Read or draw the jobs, and add the model runs.

    Parameters
    ----------
    loaded : Loaded
    rooms : sequence of Room
        Energised GPUs of each pool.
    horizon_s : float
        End of the plan. [s]
    used : Assumptions
    runs : tuple of Modelled
        Runs of known models.

    Raises
    ------
    InputError
        If a job or a run asks for more GPUs than the largest cluster will have and the scenario does not skip such
        jobs, a run is submitted after the end of the plan, or a trace cannot be read.
    """
    stated = loaded.scenario.workload.jobs
    if isinstance(stated, Synthetic):
        jobs = _draw(loaded, stated, rooms, horizon_s, used)
        found = Demand(jobs, jobs.select(np.zeros(len(jobs), dtype=bool)), {}, ())
    elif isinstance(stated, Demanded):
        found = _demanded(loaded, stated, rooms, horizon_s, used)
    else:
        found = _replay(loaded, stated, rooms, horizon_s)
    found = replace(found, notes=(*found.notes, *_cut_notes(loaded, rooms)))
    found = _with_runs(found, loaded, runs, rooms, horizon_s)
    campaigns = loaded.scenario.workload.campaigns
    if not campaigns:
        return found
    faults: list[tuple[Place, str]] = [
        (
            ("workload", "campaigns", index, "stages", number, "gpus" if stage.gpus else "nodes"),
            f"{stage.gpus or stage.nodes} {'GPUs' if stage.gpus else 'nodes'} are more than the {largest} of the "
            "largest cluster",
        )
        for index, campaign in enumerate(campaigns)
        for number, stage in enumerate(campaign.stages)
        if stage.job_class is not None
        and (stage.gpus or stage.nodes or 0) > (largest := _largest(loaded, rooms, stage.job_class))
    ]
    if faults:
        raise loaded.faults(faults)
    jobs = replace(found.jobs, class_names=class_names(loaded))
    return replace(found, jobs=with_campaigns(jobs, campaigns, horizon_s))


def _with_runs(
    found: Demand, loaded: Loaded, runs: tuple[Modelled, ...], rooms: Sequence[Room], horizon_s: float
) -> Demand:
    """Jobs and model runs in the order of submission; a run is a class of its own."""
    if not runs:
        return found
    stated = loaded.scenario.workload.runs
    faults: list[tuple[Place, str]] = []
    for index, run in enumerate(stated):
        place: Place = ("workload", "runs", index)
        largest = _largest(loaded, rooms, run.name)
        if run.gpus > largest:
            faults.append(((*place, "gpus"), f"{run.gpus} GPUs are more than the {largest} of the largest cluster"))
        if run.submit_day * SECONDS_PER_DAY >= horizon_s:
            faults.append(((*place, "submit_day"), "is after the end of the plan; submit it earlier"))
    if faults:
        raise loaded.faults(faults)
    jobs = found.jobs
    # A run's time is that at the span that its size needs at least, as every job's is.
    leaf_gpus = {room.pool: room.leaf_gpus for room in rooms}
    run_s = np.array(
        [of.run_s(1 if run.gpus <= leaf_gpus[of.pool] else SPANS) for run, of in zip(stated, runs, strict=True)]
    )
    submit_s = np.array([run.submit_day * SECONDS_PER_DAY for run in stated])
    first = int(jobs.job_id.max(initial=0)) + 1
    classes, known = len(job_classes(loaded)), jobs.tenant_index
    merged = Jobs(
        job_id=np.concatenate([jobs.job_id, np.arange(first, first + len(runs))]),
        submit_s=np.concatenate([jobs.submit_s, submit_s]),
        run_s=np.concatenate([jobs.run_s, run_s]),
        limit_s=np.concatenate([jobs.limit_s, run_s * RUN_LIMIT_FACTOR]),
        gpus=np.concatenate([jobs.gpus, np.array([run.gpus for run in stated], dtype=np.int64)]),
        class_index=np.concatenate([jobs.class_index, np.arange(classes, classes + len(runs))]),
        class_names=class_names(loaded),
        tenant_index=None if known is None else np.append(known, np.full(len(runs), len(jobs.tenants))),
        tenants=jobs.tenants if known is None else (*jobs.tenants, "runs"),
        known_s=booked(jobs, submit_s, np.array([run.booked_days_ahead * SECONDS_PER_DAY for run in stated])),
    )
    order = np.argsort(merged.submit_s, kind="stable")
    notes = (*found.notes, *(run.describe() for run in runs))
    return replace(found, jobs=merged.select(order), notes=notes)


def _draw(
    loaded: Loaded,
    stated: Synthetic,
    rooms: Sequence[Room],
    horizon_s: float,
    used: Assumptions,
) -> Jobs:
    profile = _hour_profile(used)
    mix = tuple(
        _mix(used, name, share, _cut(loaded, stated.max_gpus, rooms, name))
        for name, share in stated.gpu_hours_share.items()
    )
    return synthetic(
        mix,
        capacity_gpus=together(rooms),
        of_class={part.name: useful(_rooms_of(loaded, rooms, part.name), part.name) for part in mix},
        speed={part.name: _mean_speed(_rooms_of(loaded, rooms, part.name), part.name, horizon_s) for part in mix},
        offered_load_frac=stated.offered_load_frac,
        hour_profile=profile,
        horizon_s=horizon_s,
        seed=loaded.scenario.plan.seed,
    )


def _cut_notes(loaded: Loaded, rooms: Sequence[Room]) -> list[str]:
    """Classes whose draws are all of one GPU, because every pool that they may use splits its GPUs."""
    stated = loaded.scenario.workload.jobs
    if isinstance(stated, Trace):
        return []
    return [
        f"{name} jobs are drawn with one GPU each: every pool that they may use splits its GPUs"
        for name in stated.class_names
        if all(room.instances > 1 for room in _rooms_of(loaded, rooms, name))
    ]


def _mean_speed(rooms: Sequence[Room], name: str, horizon_s: float) -> float:
    """Speed of a class over the GPU-time of the pools that it may use. [1]"""
    from_s = [time_s for time_s, _ in together(rooms)]
    span_s = np.diff(np.minimum([*from_s, horizon_s], horizon_s))
    gpu_s, useful_s = (float(span_s @ [gpus for _, gpus in of]) for of in (together(rooms), useful(rooms, name)))
    return useful_s / gpu_s if gpu_s else 1.0


def _cut(loaded: Loaded, stated: int | None, rooms: Sequence[Room], name: str) -> int:
    """Size to which larger draws of a class are cut. [GPU]"""
    clusters = [gpus for _, gpus in widest(_rooms_of(loaded, rooms, name)) if gpus]
    largest = max(clusters)
    cut = min(clusters) if stated is None else stated
    if cut > largest:
        message = f"{cut} GPUs a job is above the {largest} GPUs of the largest cluster; no such job could ever start"
        raise loaded.fault(("workload", "jobs", "max_gpus"), message)
    return cut


def _hour_profile(used: Assumptions) -> Floats:
    return np.array([used.use("arrivals", "workload_classes", ARRIVALS, f"hour_{hour:02d}") for hour in range(24)])


def _demanded(
    loaded: Loaded,
    stated: Demanded,
    rooms: Sequence[Room],
    horizon_s: float,
    used: Assumptions,
) -> Demand:
    """Jobs of classes whose demand follows a path of its own, and that path against what stands."""
    profile = _hour_profile(used)
    plan = loaded.scenario.plan
    months = month_starts(plan.start, horizon_s)
    total, parts = np.zeros(len(months)), []
    for name, path in stated.classes.items():
        gpus = gpus_by_month(path, months)
        # GPUs that it keeps busy are fewer where they are faster than those that its path counts.
        own = _rooms_of(loaded, rooms, name)
        standing, counted = (at_month_ends(months, of) for of in (together(own), useful(own, name)))
        total += gpus * np.divide(standing, counted, out=np.ones(len(months)), where=counted > 0)
        edges, cumulative = cumulative_gpu_s(gpus, months, profile, horizon_s)
        cut = _cut(loaded, stated.max_gpus, rooms, name)
        parts.append(OfClass(_mix(used, name, 1.0, cut), float(cumulative[-1]), edges, cumulative))
    jobs = drawn(parts, plan.seed)
    nobody = jobs.select(np.zeros(len(jobs), dtype=bool))
    return Demand(jobs, nobody, {}, (), filling(months, total, together(rooms)))


def _mix(used: Assumptions, name: str, share: float, cut: int) -> ClassMix:
    """Read the distribution of one class; sizes above *cut* are cut to it."""
    purpose = f"{name} jobs"

    def value(parameter: str) -> float:
        return used.use(purpose, "workload_classes", name, parameter)

    part = used.catalog.part("workload_classes", name)
    sizes = [parameter for parameter in part if parameter.startswith("gpus_")]
    return ClassMix(
        name=name,
        gpu_hours_share=share,
        sizes=np.minimum([int(parameter.removeprefix("gpus_")) for parameter in sizes], cut),
        weights=np.array([value(parameter) for parameter in sizes]),
        run_median_s=value("run_median_s"),
        run_mean_s=value("run_mean_s"),
        run_max_s=value("run_max_s"),
        limit_factor_mean=value("limit_over_run_mean"),
    )


def digest(path: Path) -> str:
    """SHA-256 of a trace: of a file, or of the names and digests of a folder's files."""

    def of(file: Path) -> str:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    if not path.is_dir():
        return of(path)
    listed = "".join(f"{of(file)}  {file.name}\n" for file in sorted(path.iterdir()) if file.is_file())
    return hashlib.sha256(listed.encode()).hexdigest()


def _replay(loaded: Loaded, stated: Trace, rooms: Sequence[Room], horizon_s: float) -> Demand:
    place: Place = ("workload", "jobs", "file")
    where = "" if stated.origin is None else f"; get the file from {stated.origin}"
    try:
        path = loaded.file(place)
    except UsageError as error:
        raise loaded.fault(place, f"{error}{where}") from None
    if not path.exists():
        raise loaded.fault(place, f"{path} is not there{where}")
    mapping = tuple(f"{ours}={theirs}" for ours, theirs in stated.columns.items())
    try:
        of = source(path, stated.format, mapping)
    except UsageError as error:
        raise loaded.fault(place, str(error)) from None
    jobs, report = replayed(of, job_class=stated.job_class, bad_rows=stated.bad_rows)
    jobs = replace(jobs, submit_s=(jobs.submit_s - jobs.submit_s[0]) * stated.time_scale)
    inside = jobs.submit_s < horizon_s
    notes = [f"{path.name} ({of.name}): {report.n_rows} rows, {len(jobs)} jobs; times count from the first submission"]
    notes += report.notes(path.name)
    if not inside.all():
        notes.append(f"{(~inside).sum()} jobs are submitted after the end of the plan and were left out")
        jobs = jobs.select(inside)
    largest = _largest(loaded, rooms, stated.job_class)
    fits = jobs.gpus <= largest
    if not fits.all() and stated.oversized == "refuse":
        wide = jobs.select(~fits)
        listed = [
            Problem(
                0,
                f"job {job_id}",
                f"asks for {gpus} GPUs, more than the {largest} of the largest cluster; "
                "enlarge a phase or state workload.jobs.oversized: skip",
            )
            for job_id, gpus in zip(wide.job_id[:MAX_LISTED], wide.gpus[:MAX_LISTED], strict=True)
        ]
        if len(wide) > MAX_LISTED:
            listed.append(Problem(0, "", f"and {len(wide) - MAX_LISTED} more jobs that can never fit"))
        raise InputError(str(path), listed)
    if not fits.all():
        notes.append(f"{(~fits).sum()} jobs ask for more than {largest} GPUs and were skipped")
    return Demand(
        jobs.select(fits),
        jobs.select(~fits),
        {f"trace {path.name}": digest(path)},
        tuple(notes),
    )
