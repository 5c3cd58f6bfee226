"""Memory of a GPU against published figures of 2022, and whether plans that ran are said to fit."""

from collections.abc import Mapping, Sequence

from dcsim.catalog.hardware import transformer
from dcsim.catalog.published import COLUMNS, OLD_STACKS, training_run
from dcsim.physics.memory import held_layers, layer_activations_b, memory, states_b
from dcsim.physics.parallel import Plan
from dcsim.units import GIB
from dcsim.validate.common import Case, Kind, NotPredicted, Part, Prediction, Suite

# Plans of Korthikanti et al., table 5: tensor, pipeline and virtual size, micro-batch and batch.
PLANS = {
    "22B": ("megatron-22b", 8, 1, 1, 4, 4),
    "175B": ("gpt3-175b", 8, 8, 3, 1, 64),
    "530B": ("megatron-530b", 8, 35, 3, 1, 280),
    "1T": ("megatron-1t", 8, 64, 1, 1, 512),
}


def published_memory(case: Case) -> Mapping[str, Prediction]:
    """Memory of weights with optimizer and of activations, layers alone as the figures count. [GiB]"""
    if case["model"] not in PLANS:
        raise NotPredicted(f"no plan is known of model '{case['model']}'")
    key, tp, pp, vp, micro, batch = PLANS[case["model"]]
    model = transformer(key)

    def plan(selective: float) -> Plan:
        return Plan(
            tp * pp, tp, pp, vp, 1, 1, 1, micro, batch, 2048, 0.0, selective, 0.0, selective, zero=0, gradient_b=4.0
        )

    def activations(selective: float) -> float:
        of = plan(selective)
        layer = layer_activations_b(model, of, dropout=True, scores=not selective)
        return float(held_layers(model, of) * layer) / GIB

    return {
        "params_optimizer_GiB": float(states_b(model, plan(0.0), embedding=False)) / GIB,
        "activations_none_GiB": activations(0.0),
        "activations_selective_seqpar_GiB": activations(1.0),
    }


def fits(case: Case) -> Mapping[str, Prediction]:
    """1 where a plan fits its GPU, 0 where not; plans that offload to the host are not predicted."""
    if "offload" in case["note"]:
        raise NotPredicted("offloads to the host, which is not modelled")
    run = training_run(case)
    old = run.stack.startswith(OLD_STACKS)
    need = memory(run.model, run.plan, run.gpu, fused=not old, dropout=old)
    return {"published_step_s": float(need.total_b <= run.gpu.memory_b)}


def exceptions(cases: Sequence[Case]) -> list[str]:
    """Plans that ran and are predicted not to fit, by name."""
    named = [
        case.get("case_id", "a case without a name")
        for case in cases
        if "stack" in case and "offload" not in case["note"] and not fits(case)["published_step_s"]
    ]
    return [f"ran, but predicted not to fit: {', '.join(named)}"] if named else []


SUITE = Suite(
    {
        "published": Kind(
            ("model",),
            {
                "params_optimizer_GiB": "GiB",
                "activations_none_GiB": "GiB",
                "activations_selective_seqpar_GiB": "GiB",
            },
            published_memory,
            lambda case: False,
            "memory by use, layers alone",
        ),
        "plans": Kind(
            tuple(COLUMNS),
            {"published_step_s": "fits"},
            fits,
            lambda case: False,
            "plans that ran, so each must fit: 1 predicted to fit, 0 not",
            lambda value: float(value > 0),
        ),
    },
    "memory of a GPU in training",
    lambda: (
        Part("Korthikanti", "states and activations of four models", lambda case: "stack" not in case),
        Part("plans that ran", "predicted to fit: error 0, or not: 100", lambda case: "stack" in case),
    ),
    files=("memory.csv", "training.csv"),
    findings=exceptions,
)
