"""Training runs of known models: the plan that they take, and their step time and duty where they land."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dcsim.catalog.gpu_profile import Machine, machine
from dcsim.catalog.hardware import gpu, server_gpu, transformer
from dcsim.catalog.load import Assumptions
from dcsim.catalog.machines import hardware
from dcsim.catalog.profiles import estimate, nearest, profiles
from dcsim.errors import RangeError, UnknownNameError, UsageError
from dcsim.model.facility import PoolParts
from dcsim.model.load import Loaded
from dcsim.model.tree import Place
from dcsim.model.workload import ModelRun
from dcsim.physics.parallel import Gpu, Plan
from dcsim.physics.plans import candidates, search, usual_batch
from dcsim.physics.reliability import checkpoint_b, checkpoint_stall_s, time_to_failure_s, young_interval_s
from dcsim.physics.training import step

# Spans that are told apart: a run within one group of leaves, and one over several.
SPANS = 2
# GPUs of the run whose step times stand for a class of jobs. Assumption: the usual large job.
CLASS_GPUS = 512
# Network that profiles were fitted on and that is nearest to one of the scenario's own links.
PROFILE_NETWORK = "ib-ndr400"
# Shortest stall of a checkpoint: below it the interval would say nothing. [s]
LEAST_STALL_S = 1.0


@dataclass(frozen=True)
class Modelled:
    """A run as physics sees it.

    Parameters
    ----------
    name, pool, model, profile : str
        The run, where it runs, its model, and the profile that served it.
    plan : Plan
        The fastest that fits. [1]
    steps : float
        Steps of the run. [1]
    step_s, duty_frac : tuple of float
        Step time [s] and duty [1] within one group of leaves and over several.
    trained_params : float
        Weights that are trained, of which a checkpoint consists. [1]
    power : tuple of float or None
        Share of the power range while computing, and while waiting over that, where a profile measured them. [1]
    """

    name: str
    pool: str
    model: str
    profile: str
    plan: Plan
    steps: float
    step_s: tuple[float, ...]
    duty_frac: tuple[float, ...]
    trained_params: float
    power: tuple[float, float] | None = None

    def run_s(self, span: int) -> float:
        """Time of the whole run without failures. [s]"""
        return self.steps * self.step_s[min(span, SPANS) - 1]

    def describe(self) -> str:
        """What a reader of the answer should know."""
        p = self.plan
        sizes = ", ".join(f"{n} {float(getattr(p, n)):g}" for n in ("tp", "pp", "vp", "cp", "ep", "micro_batch"))
        return (
            f"run {self.name}: {self.model} on {float(p.gpus):g} GPUs, {sizes}; step {self.step_s[0]:.3g} s, "
            f"{self.steps:,.0f} steps, duty {self.duty_frac[0]:.2f}; profile {self.profile}"
        )


def _links(part: PoolParts, used: Assumptions, key: str, dtype: str) -> Gpu:
    """The GPU of a pool's server on the pool's network."""
    server = used.catalog.resolve("servers", part.server)
    per_gpu = used.use("network of model runs", "servers", server, "nics") / used.use(
        "network of model runs", "servers", server, "gpus"
    )
    port_b_s = used.use("network of model runs", "switches", part.fabric.switch, "port_bandwidth_b_s")
    return replace(gpu(key, dtype, PROFILE_NETWORK), network_b_s=per_gpu * port_b_s)


def machine_of(loaded: Loaded, part: PoolParts) -> Machine:
    """What a pool's ``gpu_profile`` says of its GPUs; an empty one where it states none.

    Raises
    ------
    InputError
        If there is no such profile, it is not sound, or it is of another GPU; the place in the scenario is named.
    """
    if part.gpu_profile is None:
        return Machine()
    place = part.place("gpu_profile")
    try:
        return machine(part.gpu_profile, lambda: loaded.file(place), server_gpu(part.server))
    except UsageError as error:
        raise loaded.fault(place, str(error)) from None


def modelled(run: ModelRun, loaded: Loaded, used: Assumptions, of: Machine, part: PoolParts) -> Modelled:
    """Plan a run on the servers and the network of a pool.

    Parameters
    ----------
    run : ModelRun
    loaded, used
        Scenario and catalog.
    of : Machine
        What is known of its GPUs, or a draw of it. The plan is chosen in the middle of every interval, as a planner
        would; a draw changes how fast that plan runs.
    part : PoolParts
        The pool.

    Raises
    ------
    UnknownNameError, RangeError
        If the server's GPU is not known, or no plan divides or fits.
    """
    key = server_gpu(part.server)
    model, sheet = transformer(run.model), _links(part, used, key, run.dtype)
    moe = bool(float(model.experts) > 0)
    profile = of.shipped or nearest(
        profiles(), gpu=key, dtype=run.dtype, stack=run.stack, network=PROFILE_NETWORK, moe=moe
    )
    fitted = profile.calibration(run.dtype)
    middle = machine_of(loaded, part) if of.draw is not None else of
    batch = float(run.global_batch or usual_batch(run.gpus, run.seq))
    some = candidates(
        model, [float(run.gpus)], sheet, global_batch=[batch], seq=float(run.seq), trained_frac=run.trained_frac
    )
    found = search(model, some, *hardware(middle.values, sheet, fitted, run.dtype))
    plan = some.take(found.best)
    hard, fit = hardware(of.values, sheet, fitted, run.dtype)
    steps = [
        step(model, plan, replace(hard, network_b_s=hard.network_b_s / factor), fit)
        for factor in (1.0, part.fabric.oversubscription)
    ]
    if of.measured:
        log_sd = math.hypot(of.model_log_sd, profile.scatter)
    else:
        log_sd = float(estimate(profile, model, plan, sheet, dtype=run.dtype, stack=run.stack).log_sd)
    factor = of.step_factor(profile.key, log_sd)
    one = steps[0]
    parts_s = {
        "products": float(one.gemm_s + one.output_s),
        "attention": float(one.attention_s),
        "passes": float(one.elementwise_s + one.optimizer_s),
    }
    return Modelled(
        name=run.name,
        pool=part.name,
        model=run.model,
        profile=f"{of.name} on {profile.key}" if of.measured else profile.key,
        plan=plan,
        steps=float(np.ceil(run.tokens / (batch * run.seq))),
        step_s=tuple(factor * float(one.step_s) for one in steps),
        duty_frac=tuple(float(one.duty_frac) for one in steps),
        trained_params=float(model.params()) * run.trained_frac,
        power=of.power(run.dtype, parts_s) if of.measured else None,
    )


def modelled_runs(loaded: Loaded, used: Assumptions, machines: Mapping[str, Machine]) -> tuple[Modelled, ...]:
    """All runs of a scenario, each on its pool; faults name their place."""
    facility = loaded.scenario.facility
    out: list[Modelled] = []
    faults: list[tuple[Place, str]] = []
    for index, run in enumerate(loaded.scenario.workload.runs):
        try:
            pool = run.pool or facility.pool_names[0]
            out.append(modelled(run, loaded, used, machines[pool], facility.pool(pool)))
        except (UnknownNameError, RangeError) as error:
            faults.append((("workload", "runs", index), str(error)))
    if faults:
        raise loaded.faults(faults)
    return tuple(out)


def class_step_s(
    name: str, model: str, loaded: Loaded, used: Assumptions, of: Machine, part: PoolParts
) -> tuple[float, ...]:
    """Step times of the model that stands for a class, on a pool: within one group of leaves and over several. [s]"""
    run = ModelRun(name=name, model=model, gpus=CLASS_GPUS, tokens=1e12)
    return modelled(run, loaded, used, of, part).step_s


def protection(
    of: Modelled, source: str, per_node_day: float, gpus_per_node: int, used: Assumptions
) -> dict[str, float]:
    """Checkpoint interval by Young, stall for the copy to the hosts, and restart. [s]"""
    gpus = float(of.plan.gpus)
    host_b_s = used.use("checkpoints of model runs", "operations", "estimate", "host_b_s_per_gpu")
    stall_s = float(checkpoint_stall_s(checkpoint_b(of.trained_params), gpus, storage_b_s=np.inf, host_b_s=host_b_s))
    stall_s = max(stall_s, LEAST_STALL_S)
    failure_s = time_to_failure_s(max(1.0, np.ceil(gpus / gpus_per_node)), per_node_day)
    interval_s = float(young_interval_s(stall_s, failure_s)) if np.isfinite(failure_s) else np.inf
    restart_s = used.use("checkpoints of model runs", "reliability", source, "restart_s")
    return {"checkpoint_interval_s": interval_s, "checkpoint_write_s": stall_s, "restart_s": restart_s}
