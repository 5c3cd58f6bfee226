"""Fitted profiles of training: which one serves a run, what it makes of another data type, and how sure it is."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsim.catalog.fitted import Z90
from dcsim.catalog.hardware import architecture
from dcsim.catalog.load import catalog, folder
from dcsim.catalog.published import stack_family
from dcsim.errors import UnknownNameError
from dcsim.physics.parallel import Gpu, Plan
from dcsim.physics.training import Calibration, Step, step
from dcsim.physics.transformer import Transformer

Floats = NDArray[np.float64]

# Rate of matrix products over peak by data type, relative to 16 bit: scaling and casts cost more as numbers narrow.
# Assumption: 0.85 from fits of bf16 and fp8 runs of one stack on H100; the others continue the trend.
DTYPE_EFF = {"fp16": 1.0, "bf16": 1.0, "fp8": 0.85, "mxfp8": 0.82, "nvfp4": 0.70}
# Standard deviation of the logarithm of a step time between software stacks at the same plan: 10 to 15 %.
BETWEEN_STACKS = 0.09
# Prefixes of the splits of other suites, which hold no profiles of training.
OTHER_SUITES = ("collectives-", "gemm-", "inference-")


@dataclass(frozen=True)
class Profile:
    """Calibration of one (GPU, data type, software stack, network) and kind of model, with its provenance.

    Parameters
    ----------
    gpu, dtype, stack, network : str
        What it was fitted on. A stack without version pools its releases; ``*`` pools stacks.
    moe : bool
        Whether for models with experts.
    inherits : str
        Profile whose values the parameters that are not free keep, or ``priors``.
    free : tuple of str
        Fitted parameters.
    parameters : mapping of float
        All of them, see :class:`dcsim.physics.training.Calibration`.
    covariance : list of list of float
        Of the logarithms of the free parameters. [1]
    scatter : float
        Standard deviation of log measured over modelled. [1]
    cases : tuple of str
        Published rows that it was fitted on.
    input, input_sha256 : str
        File of these rows and its digest.
    """

    gpu: str
    dtype: str
    stack: str
    network: str
    moe: bool
    inherits: str
    free: tuple[str, ...]
    parameters: Mapping[str, float]
    covariance: Sequence[Sequence[float]]
    scatter: float
    cases: tuple[str, ...]
    input: str
    input_sha256: str

    @property
    def key(self) -> str:
        """Name: GPU, data type, stack and kind, by dots."""
        stack = "all" if self.stack == "*" else self.stack
        return f"{self.gpu}.{self.dtype}.{stack}.{'moe' if self.moe else 'dense'}"

    def calibration(self, dtype: str) -> Calibration:
        """Parameters for a data type; another than the profile's own scales the matrix rate."""
        values = dict(self.parameters)
        values["gemm_eff"] *= DTYPE_EFF[dtype] / DTYPE_EFF[self.dtype]
        return Calibration(**values)

    def to_json(self) -> str:
        """Text of the profile's file."""
        return json.dumps({"key": self.key, **asdict(self)}, indent=1, sort_keys=True) + "\n"


def from_record(record: Mapping[str, Any]) -> Profile:
    """Profile of a file's record."""
    values = {name: value for name, value in record.items() if name != "key"}
    for name in ("free", "cases"):
        values[name] = tuple(values[name])
    return Profile(**values)


@cache
def profiles() -> tuple[Profile, ...]:
    """The shipped profiles."""
    return tuple(read(path) for path in sorted((folder() / "profiles").glob("*.dense.json"))) + tuple(
        read(path) for path in sorted((folder() / "profiles").glob("*.moe.json"))
    )


def read(path: Path) -> Profile:
    """Profile of a file."""
    return from_record(json.loads(path.read_text(encoding="utf-8")))


def split_names() -> list[str]:
    """Names of the validation splits."""
    stems = sorted(path.stem for path in (folder() / "profiles" / "validation").glob("*.json"))
    return [stem for stem in stems if not stem.startswith(OTHER_SUITES)]


@cache
def split(name: str) -> tuple[Profile, ...]:
    """Profiles of a validation split, which some published rows were kept from."""
    path = folder() / "profiles" / "validation" / f"{name}.json"
    if not path.exists():
        raise UnknownNameError(f"'{name}' is not a validation split; known: {', '.join(split_names())}")
    return tuple(from_record(record) for record in json.loads(path.read_text(encoding="utf-8")))


def nearest(of: Iterable[Profile], *, gpu: str, dtype: str, stack: str, network: str, moe: bool) -> Profile:
    """Profile that serves a run best.

    The kind of model comes first, then the GPU, its architecture, the data type and its width, then the stack and its
    family, the network and the number of rows fitted. Where no GPU of the generation was fitted, data sheet rates
    scale a profile of another.

    Raises
    ------
    UnknownNameError
        If *of* is empty or the GPU is not known.
    """
    key, family = catalog().resolve("gpus", gpu), stack_family(stack)
    generation = architecture(key)

    def closeness(profile: Profile) -> tuple[Any, ...]:
        of_stack = profile.stack
        return (
            profile.moe == moe,
            profile.gpu == key,
            architecture(profile.gpu) == generation,
            # An unfused attention core is a thing of its time: a newer GPU is better served by any newer profile.
            profile.parameters["fused_attention"],
            profile.dtype == dtype,
            -abs(DTYPE_EFF[profile.dtype] - DTYPE_EFF[dtype]),
            of_stack == stack,
            stack_family(of_stack) == family,
            profile.network == network,
            len(profile.cases),
            profile.key,
        )

    known = list(of)
    if not known:
        raise UnknownNameError("no profile is at hand")
    return max(known, key=closeness)


@dataclass(frozen=True)
class Estimated:
    """A step time with its interval; arrays of shape (n,) or scalars."""

    step: Step
    p10_s: Any
    p90_s: Any
    log_sd: Any


def estimate(profile: Profile, model: Transformer, plan: Plan, gpu: Gpu, *, dtype: str, stack: str) -> Estimated:
    r"""Step time of a plan under a profile, with the interval that eight of ten measured steps should fall in.

    Notes
    -----
    .. math:: \sigma^2 = J \Sigma J^T + \sigma_{within}^2 + \sigma_{stacks}^2

    with the covariance of the fit, the scatter of the rows that it was fitted on, and the spread between stacks unless
    the stack's family was fitted, and once more where most weights are frozen.
    """
    fit = profile.calibration(dtype)
    middle = step(model, plan, gpu, fit)
    at = np.log(middle.step_s)
    slopes = []
    for name in profile.free:
        raised = dict(profile.parameters)
        raised[name] *= np.exp(0.01)
        moved = Profile(**{**vars(profile), "parameters": raised}).calibration(dtype)
        slopes.append((np.log(step(model, plan, gpu, moved).step_s) - at) / 0.01)
    variance = np.full(np.shape(at), profile.scatter**2)
    if slopes:
        slope = np.array(slopes)
        variance = variance + np.einsum("k...,kl,l...->...", slope, np.array(profile.covariance), slope)
    if stack_family(stack) not in {stack_family(s) for s in _stacks(profile)}:
        variance = variance + BETWEEN_STACKS**2
    # No profile was fitted on frozen weights: they count like another stack.
    variance = variance + plan.frozen * BETWEEN_STACKS**2
    log_sd = np.sqrt(variance)
    return Estimated(middle, np.exp(at - Z90 * log_sd), np.exp(at + Z90 * log_sd), log_sd)


def _stacks(profile: Profile) -> set[str]:
    return {profile.stack} if profile.stack != "*" else {case_family(case) for case in profile.cases}


# Prefix of the published case names of each stack family.
CASE_PREFIXES = {
    "sc21": "megatron-sc21",
    "korthikanti": "megatron-2022",
    "dgxc": "nemo",
    "mlperf": "mlperf",
    "bridge": "bridge",
    "bloom": "bloom",
}


def case_family(case_id: str) -> str:
    """Stack family of a published case by its name; the name itself where it is of none."""
    for prefix, family in CASE_PREFIXES.items():
        if case_id.startswith(prefix):
            return family
    return case_id


def families(profile: Profile) -> set[str]:
    """Stack families whose rows a profile was fitted on."""
    return {case_family(case) for case in profile.cases}
