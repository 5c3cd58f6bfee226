"""The profile that a scenario names for its GPUs: a fitted one that is shipped, or a measured one, and draws of it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dcsim.catalog.load import catalog
from dcsim.catalog.machines import read, values
from dcsim.catalog.profiles import Profile, profiles
from dcsim.errors import UnknownNameError, UsageError
from dcsim.registry import unknown
from dcsim.rng import stream


@dataclass(frozen=True)
class Machine:
    """What a scenario knows of its GPUs beyond the catalog, and one draw of it.

    Parameters
    ----------
    name : str
        As the scenario states it; empty where it states none.
    identity : str
        sha256 of the measured profile; empty where none was measured.
    values, log_sd : mapping
        Measured parameters, null where unknown, and the standard deviation of the logarithm of each.
    model_log_sd : float
        That of a step time about its prediction, from the steps that were held out. [1]
    limit_w : float or None
        Power limit of the measured GPU. [W]
    shipped : Profile or None
        Fitted profile of a software stack that the scenario names; the nearest where none.
    notes : tuple of str
        What a reader of an answer must know of it.
    seed, draw : int or None
        The draw, null for the middle of every interval.
    """

    name: str = ""
    identity: str = ""
    values: Mapping[str, float | None] = field(default_factory=dict)
    log_sd: Mapping[str, float] = field(default_factory=dict)
    model_log_sd: float = 0.0
    limit_w: float | None = None
    shipped: Profile | None = None
    notes: tuple[str, ...] = ()
    seed: int = 0
    draw: int | None = None

    @property
    def measured(self) -> bool:
        """Whether it was measured."""
        return bool(self.identity)

    def drawn(self, seed: int, draw: int) -> "Machine":
        """One draw: every parameter moved within its interval, each by a stream of its own name."""
        moved = {
            name: None if value is None else value * math.exp(self.log_sd[name] * _normal(seed, draw, name))
            for name, value in self.values.items()
        }
        return replace(self, values=moved, seed=seed, draw=draw)

    def step_factor(self, name: str, log_sd: float) -> float:
        """What a draw multiplies a step time by; 1 in the middle. Runs that share a cause share a name."""
        return 1.0 if self.draw is None else math.exp(log_sd * _normal(self.seed, self.draw, f"step/{name}"))

    def power(self, dtype: str, parts_s: Mapping[str, float]) -> tuple[float, float] | None:
        """Share of the GPU's power range that a step uses while it computes, and while it waits over that; or null.

        Parameters
        ----------
        dtype : str
            Data type of the matrix products; bf16 where its power was not measured.
        parts_s : mapping
            Time of a step in ``products``, ``attention`` and ``passes``. [s]

        Notes
        -----
        Powers of phases mix linearly in time. The range runs from idle with a context to the power limit.
        """
        of = self.values
        gemm = of.get(f"power.gemm_{dtype}.w") or of.get("power.gemm_bf16.w")
        core = of.get(f"power.attention_{dtype}.w") or of.get("power.attention_bf16.w")
        idle, moved, waits = (of.get(f"power.{name}.w") for name in ("idle_context", "copy", "all_reduce"))
        if gemm is None or core is None or idle is None or moved is None or self.limit_w is None:
            return None
        phases = {"products": gemm, "attention": core, "passes": moved}
        mean_w = sum(parts_s[name] * watts for name, watts in phases.items()) / sum(parts_s.values())
        computing = (mean_w - idle) / (self.limit_w - idle)
        waiting = 0.0 if waits is None else (waits - idle) / (mean_w - idle)
        return min(max(computing, 0.0), 1.0), min(max(waiting, 0.0), 1.0)


def _normal(seed: int, draw: int, name: str) -> float:
    return float(stream(seed, f"calibration/{draw}/{name}").normal())


def machine(name: str, path: Callable[[], Path], gpu: str) -> Machine:
    """Machine that a scenario names: a fitted profile that is shipped, by name, or a measured one, by path.

    Parameters
    ----------
    name : str
        As stated.
    path : callable
        The path that it states, asked for only where the name is not that of a shipped profile.
    gpu : str
        GPU of the scenario's server.

    Raises
    ------
    UnknownNameError
        If there is neither.
    UsageError
        If the profile is of another GPU.
    InputError
        If the file is no sound profile.
    """
    known = {profile.key: profile for profile in profiles()}
    if name in known:
        _same_gpu(name, known[name].gpu, gpu)
        return Machine(name=name, shipped=known[name])
    file = path()
    if not file.is_file():
        raise UnknownNameError(
            f"{unknown(name, known, 'fitted profile')}, and {file} does not exist; `dcsim calibrate run` writes one"
        )
    body = read(file)
    device = str(body["device"]["name"])
    key = catalog().resolve("gpus", device)
    if key in catalog().keys("gpus"):
        _same_gpu(name, key, gpu)
    sheet = {
        of: math.log(one["high"] / one["low"]) / (2.0 * 1.96) if one["value"] and one["low"] > 0 else 0.0
        for of, one in body["parameters"].items()
    }
    errors = [math.log1p(one["rel_err"]) for one in body["holdout"].values() if one["rel_err"] is not None]
    model_sd = math.sqrt(sum(error**2 for error in errors) / len(errors)) if errors else 0.0
    limit = body["meter"].get("power_limit_w")
    return Machine(name, body["id"], values(body), sheet, model_sd, limit, notes=_notes(name, body, model_sd))


def _same_gpu(name: str, of: str, gpu: str) -> None:
    if of != gpu:
        raise UsageError(f"'{name}' is of {of}, but the servers carry {gpu}; measure those, or change the server")


def _notes(name: str, body: Mapping[str, Any], model_sd: float) -> tuple[str, ...]:
    device = body["device"]
    first = (
        f"gpu_profile {name}: {body['kind']} profile of {device['name']}, {device['ranks']} ranks, id "
        f"{body['id'][:12]}; its rates take the place of data sheet rates in model runs; steps that its fit did not "
        f"see are missed by {100.0 * math.expm1(model_sd):.0f} %"
    )
    demonstration = (
        "gpu_profile is of a processor: step times below are those of that processor, thousands of times a GPU's; use "
        "it to try the way, not to plan"
    )
    return (first, demonstration) if body["kind"] == "demonstration" else (first,)
