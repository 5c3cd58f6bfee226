"""Profiles of training and their validation splits, fitted from published steps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np

from dcsim.catalog.hardware import stack as stacked
from dcsim.catalog.load import catalog
from dcsim.catalog.profiles import DTYPE_EFF, Profile, nearest
from dcsim.catalog.published import OLD_STACKS, Run, training_run
from dcsim.physics.training import Calibration, step

from ..fit import Prior, log_fit
from .common import digest, measurements

TRAINING = "published-training.csv"

# Before measuring: medians by hand from kernel benchmarks, data sheets and the form of each term; log deviations.
PRIORS = {
    "gemm_eff": Prior(0.75, 0.15, 0.97),
    "gemm16_eff": Prior(0.75, 0.10, 0.97),
    "expert_eff": Prior(0.90, 0.15, 1.2),
    "attention_eff": Prior(0.65, 0.40, 0.95),
    "softmax_cost": Prior(1.0, 0.30),
    "memory_eff": Prior(0.85, 0.10, 1.0),
    "layer_passes": Prior(20.0, 0.50),
    "expert_passes": Prior(8.0, 1.0),
    "output_passes": Prior(1.0, 0.30),
    "layer_s": Prior(30e-6, 0.80),
    "expert_s": Prior(1e-3, 1.0),
    "step_s": Prior(20e-3, 0.80),
    "domain_eff": Prior(0.75, 0.20, 1.0),
    "network_eff": Prior(0.75, 0.25, 1.0),
    "tp_exposed": Prior(0.5, 0.70, 1.0),
    "cp_exposed": Prior(0.15, 0.70, 1.0),
    "ep_exposed": Prior(1.0, 0.50),
    "pp_exposed": Prior(0.3, 0.70, 1.0),
    "dp_exposed": Prior(0.2, 0.80, 1.0),
    "jitter": Prior(3e-3, 1.0),
    "recompute_passes": Prior(0.3, 0.50),
    "fused_attention": Prior(1.0, 1.0),
    "optimizer_b": Prior(30.0, 0.20),
}
# Parameters in the order in which rows free them, two rows each.
DENSE_ORDER = (
    "gemm_eff",
    "layer_passes",
    "layer_s",
    "step_s",
    "jitter",
    "tp_exposed",
    "dp_exposed",
    "domain_eff",
    "attention_eff",
    "output_passes",
)
# Stacks before FlashAttention and overlapped tensor parallelism, and the parameters that their plans tell apart.
UNFUSED = {"fused_attention": 0.0, "tp_exposed": 1.0}
UNFUSED_ORDER = ["gemm_eff", "domain_eff", "layer_s"]
MOE_ORDER = ["gemm_eff", "expert_passes", "ep_exposed", "expert_s", "expert_eff"]
POOL_ORDER = ["expert_passes", "expert_s", "ep_exposed", "expert_eff"]
# Log standard deviations about the pooled values of models with experts.
MOE_SD = {"gemm_eff": 0.10, "expert_passes": 0.4, "ep_exposed": 0.4, "expert_s": 0.5, "expert_eff": 0.1}
DENSE_NOISE, MOE_NOISE = 0.03, 0.10
START = {name: prior.median for name, prior in PRIORS.items()}


@dataclass(frozen=True)
class Row:
    """A published step."""

    case_id: str
    run: Run
    step_s: float


@cache
def training_rows() -> tuple[Row, ...]:
    """Published steps that profiles are fitted on."""
    return tuple(
        Row(record["case_id"], training_run(record), float(record["published_step_s"]))
        for record in measurements(TRAINING)
    )


def _fit(
    rows: Sequence[Row], base: Mapping[str, float], order: Iterable[str], sd: Mapping[str, float], noise: float
) -> tuple[tuple[str, ...], dict[str, float], list[list[float]], float]:
    """Free the first of *order* that half the rows allow; the rest keep *base*."""
    free = list(order)[: max(1, len(rows) // 2)]
    models = stacked([row.run.model for row in rows])
    plans, gpus = stacked([row.run.plan for row in rows]), stacked([row.run.gpu for row in rows])
    names = [field.name for field in fields(Calibration)]
    dtypes = np.array([DTYPE_EFF[row.run.dtype] for row in rows])

    def model(values: Mapping[str, float]) -> np.ndarray:
        parameters = {name: np.full(len(rows), {**base, **values}[name]) for name in names}
        if "gemm_eff" not in values:
            parameters["gemm_eff"] = base["gemm_eff"] * dtypes
        elif "gemm16_eff" not in values:
            # Without rows of its own the 16-bit rate of the output layer follows the stack's rate.
            parameters["gemm16_eff"] *= values["gemm_eff"] / base["gemm_eff"]
        return np.asarray(step(models, plans, gpus, Calibration(**parameters)).step_s)

    priors = {name: Prior(base[name], sd.get(name, PRIORS[name].log_sd), PRIORS[name].cap) for name in free}
    found = log_fit(model, [row.step_s for row in rows], priors, noise=noise)
    values = {**base, **found.values}
    if "gemm_eff" in found.values and "gemm16_eff" not in found.values:
        values["gemm16_eff"] = base["gemm16_eff"] * values["gemm_eff"] / base["gemm_eff"]
    return tuple(free), values, found.covariance.tolist(), found.scatter


def _profile(
    rows: Sequence[Row],
    stack: str,
    base: Mapping[str, float],
    inherits: str,
    order: Iterable[str],
    sd: Mapping[str, float],
    noise: float,
) -> Profile:
    free, values, covariance, scatter = _fit(rows, base, order, sd, noise)
    first = rows[0].run
    return Profile(
        gpu=_key(first),
        dtype=first.dtype,
        stack=stack,
        network=first.network,
        moe=first.moe,
        inherits=inherits,
        free=free,
        parameters=values,
        covariance=covariance,
        scatter=scatter,
        cases=tuple(row.case_id for row in rows),
        input=TRAINING,
        input_sha256=digest(TRAINING),
    )


def _key(run: Run) -> str:
    """The catalog's name of a run's GPU."""
    return catalog().resolve("gpus", run.gpu_key)


def _dense_stack(run: Run) -> str:
    """Software era of a dense run: MLPerf by round, since each is a code of its own; other stacks by family."""
    return run.stack if run.family == "mlperf" else run.family


def fit_profiles(rows: Sequence[Row]) -> list[Profile]:
    """Profiles of every (GPU, data type, stack) among *rows*, those with most rows first, later ones inheriting.

    Models with experts are fitted once over all rows, then for each (GPU, data type) about those values.
    """
    done: list[Profile] = []
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        run = row.run
        if not run.moe:
            groups.setdefault((_key(run), run.dtype, _dense_stack(run), run.network), []).append(row)
    for (gpu, dtype, stack, network), group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        unfused = stack.startswith(OLD_STACKS)
        known = [] if unfused else [p for p in done if p.parameters["fused_attention"] > 0.0]
        if known:
            near = nearest(known, gpu=gpu, dtype=dtype, stack=stack, network=network, moe=False)
            scaled = near.calibration(dtype)
            base, inherits = {f.name: float(getattr(scaled, f.name)) for f in fields(Calibration)}, near.key
        else:
            base = {**START, **(UNFUSED if unfused else {})}
            base["gemm_eff"] *= DTYPE_EFF[dtype]
            inherits = "priors"
        order = UNFUSED_ORDER if unfused else DENSE_ORDER
        done.append(_profile(group, stack, base, inherits, order, {}, DENSE_NOISE))
    return done + _moe_profiles([row for row in rows if row.run.moe])


def _moe_profiles(rows: Sequence[Row]) -> list[Profile]:
    if not rows:
        return []
    start = {**START, "layer_passes": 25.0, "gemm16_eff": 0.70, "gemm_eff": 0.70}
    _, pooled, _, _ = _fit(rows, start, POOL_ORDER, {}, MOE_NOISE)
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((_key(row.run), row.run.dtype), []).append(row)
    done = []
    for (_, dtype), group in sorted(groups.items()):
        base = {**pooled, "gemm_eff": 0.70 * DTYPE_EFF[dtype]}
        done.append(_profile(group, "*", base, "pooled", MOE_ORDER, MOE_SD, MOE_NOISE))
    return done


@cache
def shipped() -> tuple[Profile, ...]:
    """Profiles of all published rows."""
    return tuple(fit_profiles(training_rows()))


def splits() -> dict[str, list[Profile]]:
    """Profiles of every validation split by its name."""
    rows = training_rows()

    def dense(keep: Iterable[str]) -> list[Row]:
        return [row for row in rows if not row.run.moe and row.run.family in set(keep)]

    families = sorted({row.run.family for row in rows})
    one_node = [row for row in rows if row.run.family == "nemo" and row.run.plan.gpus == 8 and not row.run.moe]
    named = {
        "sc21-from-2022": fit_profiles(dense(["megatron-2022"])),
        "2022-from-sc21": fit_profiles(dense(["megatron-sc21"])),
        "h100-one-node": fit_profiles(one_node),
    }
    for family in families:
        others = [row for row in rows if row.run.family != family]
        named[f"without-{family}"] = fit_profiles(others)
    return named


def files() -> dict[Path, str]:
    """Text of every profile's file and every split's, by its path under the catalog's profiles."""
    out = {Path(f"{profile.key}.json"): profile.to_json() for profile in shipped()}
    for name, fitted in splits().items():
        text = "[\n" + ",\n".join(profile.to_json().strip() for profile in fitted) + "\n]\n"
        out[Path("validation") / f"{name}.json"] = text
    return out


def table() -> list[str]:
    """One line a profile: rows, free parameters with their values."""
    lines = []
    for profile in shipped():
        values = ", ".join(f"{name} {profile.parameters[name]:.3g}" for name in profile.free)
        lines.append(
            f"{profile.key}: {len(profile.cases)} rows, {len(profile.free)} free ({values}), the rest from "
            f"{profile.inherits}; scatter {100 * profile.scatter:.1f} %"
        )
    return lines
