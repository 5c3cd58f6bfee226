"""Sequences per second of published fine-tuning with low-rank adapters, none of which any profile was fitted on."""

from collections.abc import Mapping
from dataclasses import dataclass

from dcsim.catalog.hardware import gpu, transformer
from dcsim.catalog.load import catalog
from dcsim.catalog.profiles import estimate, nearest, profiles
from dcsim.errors import RangeError, UnknownNameError
from dcsim.physics.plans import candidates, search
from dcsim.validate.common import Case, Interval, Part, Prediction


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark's rules fix: model, tokens a sequence, share of the weights that is trained."""

    model: str
    seq: float
    trained_frac: float


# MLPerf Training: Llama 2 70B on documents of 8,192 tokens, adapters of rank 16 on queries, keys, values and outputs,
# 44.6 million weights.
BENCHMARKS = {"llama2_70b_lora": Benchmark("llama2-70b", 8192.0, 0.00065)}
# All rows with a throughput are of NVIDIA's code, which trains this benchmark in 8 bit. Assumption: a port a GPU.
DTYPE, NETWORK = "fp8", "ib-ndr400"


def sequences(case: Case) -> Mapping[str, Prediction]:
    """Throughput by the best plan that is found, since the rows do not say theirs.

    Raises
    ------
    UnknownNameError
        If the GPU is not known.
    RangeError
        If a figure cannot be read or no plan fits.
    """
    of = BENCHMARKS[case["benchmark"]]
    try:
        gpus, batch = float(case["accelerators"]), float(case["global_batch"])
    except ValueError:
        raise RangeError("accelerators and global_batch must be numbers") from None
    key = catalog().resolve("gpus", case["accelerator"])
    model, sheet = transformer(of.model), gpu(key, DTYPE, NETWORK)
    stack = f"mlperf-{case['round']}"
    profile = nearest(profiles(), gpu=key, dtype=DTYPE, stack=stack, network=NETWORK, moe=False)
    plans = candidates(model, [gpus], sheet, global_batch=[batch], seq=of.seq, trained_frac=of.trained_frac)
    found = search(model, plans, sheet, profile.calibration(DTYPE))
    step = estimate(profile, model, plans.take(found.best), sheet, dtype=DTYPE, stack=stack)
    return {
        "throughput_samples_s": Interval(
            batch / float(step.step.step_s), batch / float(step.p90_s), batch / float(step.p10_s)
        )
    }


def is_fine_tuning(case: Case) -> bool:
    """Whether a case is of such a benchmark."""
    return case.get("benchmark", "") in BENCHMARKS


def _has_domain(case: Case) -> bool:
    try:
        return float(gpu(catalog().resolve("gpus", case["accelerator"]), DTYPE, NETWORK).domain_gpus) > 1
    except UnknownNameError:
        return False


def parts() -> tuple[Part, ...]:
    """Cards joined by a scale-up domain, as all fitted runs had, and cards without one."""
    return (
        Part(
            "low-rank adapters",
            "fitted on full training alone",
            lambda case: is_fine_tuning(case) and _has_domain(case),
        ),
        Part(
            "low-rank adapters, GPUs without NVLink",
            "fitted on full training with NVLink alone",
            lambda case: is_fine_tuning(case) and not _has_domain(case),
        ),
    )
