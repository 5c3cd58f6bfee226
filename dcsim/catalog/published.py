"""Published training runs as the records that physics takes."""

from collections.abc import Mapping
from dataclasses import dataclass

from dcsim.catalog.hardware import gpu
from dcsim.errors import RangeError
from dcsim.physics.parallel import RECOMPUTE, Gpu, Plan
from dcsim.physics.transformer import Transformer

# Columns of a published training run that describe it; the seconds of a step are its answer.
COLUMNS = [
    "gpu",
    "gpus",
    "gpus_per_node",
    "fabric",
    "dtype",
    "layers",
    "hidden",
    "heads",
    "kv_heads",
    "head_dim",
    "ffn_hidden",
    "gated_mlp",
    "vocab",
    "seq",
    "experts",
    "experts_top_k",
    "moe_ffn_hidden",
    "shared_experts",
    "dense_layers",
    "tp",
    "pp",
    "vp",
    "cp",
    "ep",
    "dp",
    "micro_batch",
    "global_batch",
    "recompute",
    "sequence_parallel",
    "distributed_optimizer",
    "stack",
    "note",
]
# Ranks of multi-head latent attention where a row says only that it is used: those of every model published with it.
LATENT_RANKS = {"q_rank": 1536.0, "kv_rank": 512.0, "rope_dim": 64.0}


# Stacks that keep 32-bit gradients, drop out, and write attention scores to memory.
OLD_STACKS = ("megatron", "bloom")


@dataclass(frozen=True)
class Run:
    """One published run, a row of each record, and the names that choose its calibration."""

    gpu_key: str
    dtype: str
    network: str
    stack: str
    model: Transformer
    plan: Plan
    gpu: Gpu

    @property
    def family(self) -> str:
        """Family of its software stack, see :func:`stack_family`."""
        return stack_family(self.stack)

    @property
    def moe(self) -> bool:
        """Whether the model has experts."""
        return bool(self.model.experts > 0)


def stack_family(stack: str) -> str:
    """Name of a software stack before its version; Megatron goes by the paper."""
    return stack if stack.startswith("megatron") else stack.split("-")[0]


def training_run(row: Mapping[str, str]) -> Run:
    """Read a row of published training runs.

    Parameters
    ----------
    row : mapping of str
        Values by :data:`COLUMNS`. A blank ``experts`` means a dense model, a blank ``kv_heads`` multi-head latent
        attention. ``note`` holds what no column does: ZeRO-3 (it starts with FSDP), attention windows, further-token
        layers, tensor parallelism within experts, and recomputation of cheap modules.

    Raises
    ------
    RangeError
        If a figure is missing or contradicts another.
    """

    def number(column: str, default: float | None = None) -> float:
        text = row.get(column, "")
        if text == "" and default is not None:
            return default
        try:
            return float(text)
        except ValueError:
            raise RangeError(f"{column} must be a number, got '{text}'") from None

    note = row.get("note", "")
    moe, latent = row.get("experts", "") != "", row.get("kv_heads", "") == ""
    layers = number("layers")
    model = Transformer(
        layers=layers,
        hidden=number("hidden"),
        heads=number("heads"),
        kv_heads=number("kv_heads", 0.0),
        head_dim=number("head_dim"),
        ffn_hidden=number("ffn_hidden", 0.0),
        gated=number("gated_mlp"),
        vocab=number("vocab"),
        experts=number("experts", 0.0),
        top_k=number("experts_top_k", 0.0),
        moe_ffn_hidden=number("moe_ffn_hidden", 0.0),
        shared_experts=number("shared_experts", 0.0),
        dense_layers=number("dense_layers", 0.0) if moe else layers,
        window=128.0 if "window 128" in note else 0.0,
        window_frac=0.5 if "window 128" in note else 0.0,
        mtp_layers=1.0 if "MTP layer on" in note or "MTP layer presumably on" in note else 0.0,
        **(LATENT_RANKS if latent else {}),
    )
    recompute = row.get("recompute", "none")
    if recompute not in RECOMPUTE:
        raise RangeError(f"recompute must be one of {', '.join(RECOMPUTE)}, got '{recompute}'")
    cheap = recompute == "other" or (recompute == "selective" and "recompute_modules" in note)
    plan = Plan(
        gpus=number("gpus"),
        tp=number("tp"),
        pp=number("pp"),
        vp=number("vp", 1.0),
        cp=number("cp", 1.0),
        ep=number("ep", 1.0),
        expert_tp=4.0 if "expert tensor parallel 4" in note else 1.0,
        micro_batch=number("micro_batch"),
        global_batch=number("global_batch"),
        seq=number("seq"),
        full_recompute=float(recompute == "full"),
        core_recompute=float(recompute == "selective" and not cheap),
        other_recompute=float(cheap),
        sequence_parallel=number("sequence_parallel", 0.0),
        zero=3.0 if note.startswith("FSDP") else number("distributed_optimizer", 0.0),
        gradient_b=4.0 if row.get("stack", "").startswith(OLD_STACKS) else 2.0,
    )
    if plan.tp * plan.pp * plan.cp * max(round(plan.dp), 1) != plan.gpus:
        raise RangeError(f"tp x pp x cp must divide the {plan.gpus:g} GPUs")
    return Run(
        gpu_key=row["gpu"],
        dtype=row["dtype"],
        network=row["fabric"],
        stack=row["stack"],
        model=model,
        plan=plan,
        gpu=gpu(row["gpu"], row["dtype"], row["fabric"], number("gpus_per_node")),
    )
