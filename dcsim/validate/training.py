"""Step times against published training runs, from shipped profiles and from profiles that never saw the stack."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from dcsim.catalog.profiles import Profile, estimate, families, nearest, profiles, split, split_names
from dcsim.catalog.published import COLUMNS, Run, stack_family, training_run
from dcsim.validate import fine_tuning, images
from dcsim.validate.common import Case, Interval, Kind, Part, Prediction, Suite


def choose(of: Sequence[Profile], run: Run) -> Profile:
    """Profile that serves a published run best."""
    return nearest(of, gpu=run.gpu_key, dtype=run.dtype, stack=run.stack, network=run.network, moe=run.moe)


def step_time(of: Sequence[Profile], case: Case) -> Mapping[str, Prediction]:
    """Seconds of a step under the nearest of some profiles, with its interval."""
    run = training_run(case)
    found = estimate(choose(of, run), run.model, run.plan, run.gpu, dtype=run.dtype, stack=run.stack)
    return {"published_step_s": Interval(float(found.step.step_s), float(found.p10_s), float(found.p90_s))}


def in_sample(case: Case) -> bool:
    """Whether the profile that predicts a case was fitted on any row of its stack family."""
    run = training_run(case)
    return run.family in families(choose(profiles(), run))


def _moe(case: Case) -> bool:
    return case.get("experts", "") != ""


def _steps(case: Case) -> bool:
    return "stack" in case


def _family(case: Case) -> str:
    return stack_family(case["stack"])


def _fitted(name: str, meaning: str, *of: str, moe: bool = False) -> Part:
    return Part(name, meaning, lambda case: _steps(case) and _family(case) in of and _moe(case) == moe)


def _held_out(name: str, meaning: str, by: str, *of: str, moe: bool = False) -> Part:
    return Part(
        name,
        meaning,
        lambda case: _steps(case) and _family(case) in of and _moe(case) == moe,
        lambda case: step_time(split(by), case),
    )


# Stack families of dense runs; BLOOM's runs stand apart, since their kernels were launched one by one.
DENSE = ("nemo", "mlperf", "bridge", "megatron-sc21", "megatron-2022")


@cache
def parts() -> tuple[Part, ...]:
    """The rows by stack, as fitted, and as predicted by profiles that never saw that stack."""
    if not split_names():
        return ()
    other = "fitted on the other paper alone"
    others = "fitted on the other stacks"
    return (
        _fitted("SC21", "fitted", "megatron-sc21"),
        _held_out("SC21", other, "sc21-from-2022", "megatron-sc21"),
        _fitted("Korthikanti", "fitted", "megatron-2022"),
        _held_out("Korthikanti", other, "2022-from-sc21", "megatron-2022"),
        _fitted("H100, nemo and mlperf, dense", "fitted", "nemo", "mlperf"),
        Part(
            "H100, nemo and mlperf, dense",
            "one efficiency a data type fitted on one node",
            lambda case: (
                _steps(case) and _family(case) in ("nemo", "mlperf") and not _moe(case) and float(case["gpus"]) > 8
            ),
            lambda case: step_time(split("h100-one-node"), case),
        ),
        *(_held_out(f"{of}, dense", others, f"without-{of}", of) for of in ("nemo", "mlperf", "bridge")),
        Part(
            "all dense but bloom",
            "each stack " + others,
            lambda case: _steps(case) and _family(case) in DENSE and not _moe(case),
            lambda case: step_time(split(f"without-{_family(case)}"), case),
        ),
        _fitted("bloom", "fitted", "bloom"),
        _held_out("bloom", others, "without-bloom", "bloom"),
        _fitted("MoE", "fitted, one profile a GPU and data type", "nemo", "bridge", moe=True),
        Part(
            "MoE",
            "each stack " + others,
            lambda case: _steps(case) and _family(case) in ("nemo", "bridge") and _moe(case),
            lambda case: step_time(split(f"without-{_family(case)}"), case),
        ),
        *images.parts(),
        *fine_tuning.parts(),
    )


# Columns of a plan; rows that share them all differ by their software release alone.
SAME = tuple(column for column in COLUMNS if column not in ("stack", "note"))


def releases(cases: Sequence[Case]) -> list[str]:
    """How far published steps of models with experts differ between releases of a stack on identical plans."""
    groups: dict[tuple[str, ...], dict[str, float]] = {}
    for case in cases:
        if _steps(case) and _moe(case) and case.get("published_step_s"):
            key = (_family(case), *(case[column] for column in SAME))
            groups.setdefault(key, {})[case["stack"]] = float(case["published_step_s"])
    spreads = [100.0 * (max(of.values()) / min(of.values()) - 1.0) for of in groups.values() if len(of) > 1]
    if not spreads:
        return []
    return [
        f"MoE, identical plans in several releases: {len(spreads)} plans, slowest over fastest release "
        f"{np.mean(spreads):.0f} % mean, {np.median(spreads):.0f} % median, {max(spreads):.0f} % largest"
    ]


SUITE = Suite(
    {
        "training": Kind(
            tuple(COLUMNS),
            {"published_step_s": "s"},
            lambda case: step_time(profiles(), case),
            in_sample,
            "seconds of one training step",
        ),
        "images": images.KIND,
    },
    "seconds of a step of published runs, images and sequences a second",
    parts,
    files=("training.csv", "images.csv", "fine-tuning.csv"),
    findings=releases,
)
