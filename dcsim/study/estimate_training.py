"""How long a training run takes on some GPUs, or how many GPUs it needs by a date; plan, energy, cost, failures."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from dcsim.catalog.fitted import Z90
from dcsim.catalog.hardware import gpu as gpu_part
from dcsim.catalog.hardware import transformer
from dcsim.catalog.load import catalog
from dcsim.catalog.profiles import Profile, estimate, nearest, profiles
from dcsim.errors import RangeError
from dcsim.nodes import NodeKind, node_kind
from dcsim.physics.memory import memory
from dcsim.physics.parallel import Gpu, Plan
from dcsim.physics.plans import Search, candidates, losers, search, usual_batch, why_not
from dcsim.physics.reliability import checkpoint_b, checkpoint_stall_s
from dcsim.physics.training import utilisation
from dcsim.physics.transformer import Transformer
from dcsim.study.estimate import (
    Failures,
    Figure,
    count_interval,
    exact,
    failures,
    gpu_hour_usd,
    log_sd_of_range,
    power_log_sd,
    spread,
)
from dcsim.units import J_PER_KWH, J_PER_MWH, SECONDS_PER_DAY, SECONDS_PER_HOUR

# Fields of a plan that can be stated, besides the number of GPUs.
PLAN_FIELDS = ("tp", "pp", "vp", "cp", "ep", "micro_batch", "zero", "recompute")
# GPUs of the nodes whose failure rates the catalog holds.
RATE_GPUS = 8.0
# Other plans that an answer shows.
SHOWN = 3


@dataclass(frozen=True)
class Ask:
    """What is asked of a training estimate; see `dcsim estimate training --help`."""

    model: str
    gpu: str
    tokens: float
    gpus: int | None = None
    deadline_days: float | None = None
    dtype: str = "bf16"
    seq: int = 8192
    global_batch: int | None = None
    network: str = "ib-ndr400"
    stack: str = "yours"
    plan: str = "auto"
    objective: str = "time"
    pue: float | None = None
    usd_per_kwh: float | None = None
    usd_per_gpu_h: float | None = None
    reliability: str = "llama3-h100"
    lemons_removed: float = 0.0
    trained_frac: float = 1.0


@dataclass(frozen=True)
class Answer:
    """A training estimate: figures by name, and in words what they rest on."""

    figures: dict[str, Figure]
    plan: dict[str, float]
    step_parts: dict[str, float]
    traffic: dict[str, float]
    profile: str
    notes: list[str]
    others: list[dict[str, Any]] = field(default_factory=list)
    losers: list[tuple[str, int]] = field(default_factory=list)
    failures_by_component: dict[str, float] = field(default_factory=dict)
    meets_deadline: bool | None = None

    def record(self) -> dict[str, Any]:
        """Form of the JSON output."""
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        record["figures"] = {name: figure.record() for name, figure in self.figures.items()}
        record["losers"] = [{"reason": reason, "plans": count} for reason, count in self.losers]
        return record


@dataclass(frozen=True)
class _Parts:
    model: Transformer
    gpu: Gpu
    profile: Profile
    node: NodeKind


def training(ask: Ask) -> Answer:
    """Estimate a training run.

    Raises
    ------
    UnknownNameError
        If a model, GPU, network or failure source is not known.
    RangeError
        If neither GPUs nor a deadline is given, a figure is not above 0, no plan divides or fits, or no number of GPUs
        meets the deadline.
    """
    if ask.gpus is None and ask.deadline_days is None:
        raise RangeError("say --gpus, for the days that they take, or --deadline-days, for the GPUs that it needs")
    if ask.plan != "auto" and ask.gpus is None:
        raise RangeError("a stated plan is for a number of GPUs: say --gpus too")
    for name in ("tokens", "gpus", "deadline_days", "seq", "global_batch"):
        value = getattr(ask, name)
        if value is not None and not 0 < value < math.inf:
            raise RangeError(f"{name} must be above 0 and finite, got {value:g}")
    if not 0 < ask.trained_frac <= 1:
        raise RangeError(f"trained_frac is a share above 0 and at most 1, got {ask.trained_frac:g}")
    model = transformer(ask.model)
    part = gpu_part(ask.gpu, ask.dtype, ask.network)
    moe = bool(float(model.experts) > 0)
    profile = nearest(profiles(), gpu=ask.gpu, dtype=ask.dtype, stack=ask.stack, network=ask.network, moe=moe)
    of = _Parts(model, part, profile, node_kind(ask.gpu))
    counts = [float(ask.gpus)] if ask.gpus is not None else _counts(of.node)
    batches = [float(ask.global_batch) if ask.global_batch else usual_batch(count, ask.seq) for count in counts]
    if ask.plan != "auto":
        plan = _stated(ask, model, counts[0], batches[0])
    else:
        plan = candidates(model, counts, part, global_batch=batches, seq=float(ask.seq), trained_frac=ask.trained_frac)
    busy_w, waiting_w = (of.node.watts(duty) / of.node.gpus for duty in (1.0, 0.0))
    found = search(
        model,
        plan,
        part,
        profile.calibration(ask.dtype),
        objective=ask.objective,
        busy_w=busy_w,
        waiting_w=waiting_w,
    )
    row = _chosen(ask, of, found)
    return _answer(ask, of, found, row)


def _counts(node: NodeKind) -> list[float]:
    """Numbers of GPUs that are tried for a deadline: whole nodes, two in each doubling. [1]"""
    nodes = [one * 2**power for power in range(14) for one in (2, 3)]
    return [node.gpus] + [node.gpus * count for count in nodes if node.gpus * count <= 131_072]


def _stated(ask: Ask, model: Transformer, gpus: float, batch: float) -> Plan:
    """The plan of ``--plan``."""
    values: dict[str, str] = {}
    for item in ask.plan.split(","):
        name, _, value = item.partition("=")
        if name.strip() not in PLAN_FIELDS or not value:
            raise RangeError(f"'{item}' of the plan is not NAME=VALUE with a name of {', '.join(PLAN_FIELDS)}")
        values[name.strip()] = value.strip()
    recompute = values.pop("recompute", "none")
    if recompute not in ("none", "full"):
        raise RangeError(f"recompute must be none or full, got '{recompute}'")
    try:
        numbers = {name: float(value) for name, value in values.items()}
    except ValueError:
        raise RangeError(f"plan: sizes must be numbers, got '{ask.plan}'") from None
    wrong = [name for name, value in numbers.items() if value < (0 if name == "zero" else 1) or value % 1]
    if wrong or numbers.get("zero") == 2:
        raise RangeError(f"plan: {', '.join(wrong) or 'zero'} must be whole and at least 1 (zero: 0, 1 or 3)")
    size = {"tp": 1.0, "pp": 1.0, "vp": 1.0, "cp": 1.0, "ep": 1.0, "micro_batch": 1.0, "zero": 1.0, **numbers}
    split = size["tp"] * size["pp"] * size["cp"]
    if gpus % split:
        raise RangeError(f"plan: tp x pp x cp = {split:g} does not divide {gpus:g} GPUs")
    if batch % (gpus / split * size["micro_batch"]):
        raise RangeError(
            f"plan: {gpus / split:g} replicas of micro-batches of {size['micro_batch']:g} do not divide a batch of "
            f"{batch:g} sequences; say --global-batch"
        )
    if float(model.heads) % size["tp"]:
        raise RangeError(f"plan: tp = {size['tp']:g} does not divide the {float(model.heads):g} heads of {ask.model}")
    chunks = size["pp"] * size["vp"]
    if chunks > float(model.layers):
        raise RangeError(f"plan: pp x vp = {chunks:g} is more than the {float(model.layers):g} layers of {ask.model}")
    if (gpus / size["pp"]) % size["ep"]:
        raise RangeError(f"plan: ep = {size['ep']:g} does not divide the {gpus / size['pp']:g} GPUs of a stage")
    one = np.ones(1)
    return Plan(
        gpus=gpus * one,
        expert_tp=one,
        global_batch=batch * one,
        seq=float(ask.seq) * one,
        full_recompute=float(recompute == "full") * one,
        core_recompute=0.0 * one,
        other_recompute=0.0 * one,
        sequence_parallel=float(size["tp"] > 1) * one,
        gradient_b=2.0 * one,
        trained_frac=ask.trained_frac * one,
        **{name: value * one for name, value in size.items()},
    )


def _stall_s(of: _Parts, gpus: Any, trained_frac: float) -> Any:
    """Stall for an asynchronous checkpoint of what a run trains. [s]"""
    host_b_s = catalog().row("operations", "estimate", "host_b_s_per_gpu").value
    return checkpoint_stall_s(
        checkpoint_b(of.model.params() * trained_frac), gpus, storage_b_s=np.inf, host_b_s=host_b_s
    )


def _failures(ask: Ask, of: _Parts, gpus: float) -> Failures:
    # Failure rates are those of nodes of eight GPUs, whatever carries them here.
    return failures(
        max(1.0, gpus / RATE_GPUS),
        max(float(_stall_s(of, gpus, ask.trained_frac)), 1.0),
        ask.reliability,
        ask.lemons_removed,
    )


def _days(ask: Ask, of: _Parts, found: Search, row: int) -> float:
    """Days of the run of a row, failures included."""
    plan = found.plan.take(row)
    steps = ask.tokens / float(plan.global_batch * plan.seq)
    frac = _failures(ask, of, float(plan.gpus)).effective_frac
    seconds = steps * float(found.step.step_s[row])
    return seconds / frac / SECONDS_PER_DAY if frac > 0 else math.inf


def _fewest(ask: Ask, of: _Parts, found: Search, deadline_days: float) -> tuple[int | None, float]:
    """Row of the best plan on the fewest GPUs that meet a deadline, none where none do, and the least days tried."""
    least = math.inf
    for count in np.unique(found.plan.gpus):
        rows = found.order[(found.plan.gpus[found.order] == count) & found.fits[found.order]]
        if len(rows):
            days = _days(ask, of, found, int(rows[0]))
            if days <= deadline_days:
                return int(rows[0]), days
            least = min(least, days)
    return None, least


def _chosen(ask: Ask, of: _Parts, found: Search) -> int:
    """Row of the best plan, or of the best on the fewest GPUs that meet the deadline."""
    if ask.gpus is not None:
        return found.best
    assert ask.deadline_days is not None
    row, least = _fewest(ask, of, found, ask.deadline_days)
    if row is None:
        raise RangeError(
            f"no number of GPUs up to {float(np.max(found.plan.gpus)):,.0f} meets {ask.deadline_days:g} days; the "
            f"least is {least:.1f} days"
        )
    return row


def _gpus_needed(ask: Ask, of: _Parts, found: Search, gpus: float, days_sd: float) -> Figure:
    """GPUs, and where a deadline asks for them, what it would ask for at the P10 and P90 of the days."""
    if ask.gpus is not None or ask.deadline_days is None:
        return exact(gpus, "GPU")

    def at(factor: float) -> float | None:
        row, _ = _fewest(ask, of, found, (ask.deadline_days or 0.0) * factor)
        return None if row is None else float(found.plan.gpus[row])

    reach = math.exp(Z90 * days_sd)
    return Figure(gpus, at(reach), at(1.0 / reach), "GPU")


def _plan_record(plan: Plan) -> dict[str, float]:
    names = ("gpus", "tp", "pp", "vp", "cp", "ep", "micro_batch", "global_batch", "seq", "zero", "full_recompute")
    return {name: float(getattr(plan, name)) for name in names} | {"dp": float(plan.dp)}


def _answer(ask: Ask, of: _Parts, found: Search, row: int) -> Answer:
    plan, step = found.plan.take(row), found.step.take(row)
    estimated = estimate(of.profile, of.model, plan, of.gpu, dtype=ask.dtype, stack=ask.stack)
    log_sd = float(estimated.log_sd)
    step_s, gpus = float(step.step_s), float(plan.gpus)
    tokens_a_step = float(plan.global_batch * plan.seq)
    lost = _failures(ask, of, gpus)
    if lost.effective_frac <= 0:
        raise RangeError(f"failures leave no time to train on {gpus:,.0f} GPUs; use fewer, or more reliable ones")
    days = _days(ask, of, found, row)
    effective_sd = log_sd_of_range(lost.effective_frac, lost.low_frac, lost.high_frac)
    days_sd = math.hypot(log_sd, effective_sd)

    nodes = gpus / of.node.gpus
    duty = float(step.duty_frac)
    node_w = of.node.watts(duty)
    pue = catalog().row("operations", "estimate", "pue")
    pue_value = ask.pue if ask.pue is not None else pue.value
    pue_sd = 0.0 if ask.pue is not None else log_sd_of_range(pue.value, pue.low, pue.high)
    power_w = node_w * nodes * pue_value
    power_sd = math.hypot(power_log_sd(), pue_sd)
    energy_j = power_w * days * SECONDS_PER_DAY
    energy_sd = math.hypot(days_sd, power_sd)

    kwh = catalog().row("operations", "estimate", "usd_per_kwh")
    kwh_usd = ask.usd_per_kwh if ask.usd_per_kwh is not None else kwh.value
    kwh_sd = 0.0 if ask.usd_per_kwh is not None else log_sd_of_range(kwh.value, kwh.low, kwh.high)
    hour, hour_from = gpu_hour_usd(ask.gpu, ask.usd_per_gpu_h)
    gpu_hours = gpus * days * SECONDS_PER_DAY / SECONDS_PER_HOUR
    if hour.value is None:
        cost = Figure(None, None, None, "USD", hour.reason)
    else:
        cost = spread(
            hour.value * gpu_hours, math.hypot(days_sd, log_sd_of_range(hour.value, hour.p10, hour.p90)), "USD"
        )
    mfu, hfu = (float(value) for value in utilisation(of.model, plan, of.gpu, step_s))
    need = float(np.asarray(memory(of.model, plan, of.gpu).total_b))
    figures = {
        "gpus": _gpus_needed(ask, of, found, gpus, days_sd),
        "days": spread(days, days_sd, "d"),
        "step_s": spread(step_s, log_sd, "s"),
        "tokens_per_s": spread(tokens_a_step / step_s, log_sd, "token/s"),
        "mfu": spread(mfu, log_sd, "1"),
        "hfu": spread(hfu, log_sd, "1"),
        "memory_per_gpu_gb": exact(need / 1e9, "GB"),
        "memory_fits": exact(float(need <= of.gpu.memory_b), "1"),
        "duty_frac": exact(duty, "1"),
        "node_power_kw": spread(node_w / 1e3, power_log_sd(), "kW"),
        "power_mw": spread(power_w / 1e6, power_sd, "MW"),
        "energy_mwh": spread(energy_j / J_PER_MWH, energy_sd, "MWh"),
        "electricity_usd": spread(energy_j / J_PER_KWH * kwh_usd, math.hypot(energy_sd, kwh_sd), "USD"),
        "gpu_hours": spread(gpu_hours, days_sd, "GPU-h"),
        "gpu_cost_usd": cost,
        "failures": count_interval(lost.per_day * days, math.hypot(days_sd, lost.log_sd)),
        "effective_time_frac": Figure(lost.effective_frac, lost.low_frac, lost.high_frac, "1"),
        "checkpoint_interval_s": exact(lost.interval_s, "s"),
    }
    beside = [other for other in found.order[: SHOWN + 1] if other != row and found.fits[other]][:SHOWN]
    reasons = why_not(found, beside, of.gpu.memory_b) if ask.gpus is not None and len(beside) else []
    others = [
        {"plan": _plan_record(found.plan.take(int(other))), "loses_by": reason}
        for other, reason in zip(beside, reasons, strict=False)
    ]
    meets = None if ask.deadline_days is None else days <= ask.deadline_days
    notes = [
        f"profile {of.profile.key}, fitted on {len(of.profile.cases)} published runs"
        + (
            ""
            if of.profile.gpu == catalog().resolve("gpus", ask.gpu)
            else f"; nearest to {ask.gpu}, by data sheet rates"
        ),
        f"node {of.node.name}; electricity at PUE {pue_value:g} and {kwh_usd:g} USD/kWh",
        f"GPU-hours: {hour_from}" if hour_from else f"GPU-hours: {hour.reason}",
        f"failures by {ask.reliability}; checkpoints copied to hosts, written aside",
        *(
            ["frozen weights: low-rank adapters on the attention projections; no profile was fitted on such runs"]
            if ask.trained_frac < 1
            else []
        ),
        "Not measured on a GPU by dcsim; errors against published runs: dcsim validate training",
    ]
    parts = {
        f.name: float(np.asarray(getattr(step, f.name)))
        for f in fields(step)
        if f.name.endswith("_s") and f.name not in ("step_s", "compute_s")
    }
    return Answer(
        figures=figures,
        plan=_plan_record(plan),
        step_parts=parts,
        traffic={name: float(np.asarray(getattr(step, name))) for name in ("domain_b", "network_b")},
        profile=of.profile.key,
        notes=notes,
        others=others,
        losers=losers(found, of.gpu.memory_b) if ask.plan == "auto" and ask.gpus is not None else [],
        failures_by_component=dict(lost.by_component),
        meets_deadline=meets,
    )
