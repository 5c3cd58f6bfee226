"""Training steps under DistributedDataParallel: autograd, AdamW, with gradients reduced over ranks and not, in turn."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..protocol import ENOUGH, Point, in_turn
from .common import DTYPES, Bench
from .models import Gpt, Recommender, ResNet, trained

SAMPLES = {True: 8, False: 30}
# Blocks of each stage, width, images a step and their size; tables, rows, width, samples a step.
IMAGES = {
    ("cpu", True): ((1, 1, 1, 1), 16, 4, 64),
    ("cpu", False): ((2, 2, 2, 2), 32, 8, 96),
    ("cuda", True): ((3, 4, 6, 3), 64, 64, 224),
    ("cuda", False): ((3, 4, 6, 3), 64, 256, 224),
}
CLICKS = {
    ("cpu", True): (8, 20_000, 16, 512),
    ("cpu", False): (8, 50_000, 32, 1024),
    ("cuda", True): (26, 200_000, 64, 8192),
    ("cuda", False): (26, 1_000_000, 128, 16384),
}
CLASSES, DENSE, LOOKUPS = 1000, 13, 4

Made = tuple[nn.Module, tuple[torch.Tensor, ...], dict[str, Any]]


def _gpt(bench: Bench, dtype: str) -> Made:
    shape = trained(bench.device.kind, bench.quick, dtype)
    tokens = bench.tokens(shape.vocab, shape.batch, shape.seq + 1)
    return Gpt(shape), (tokens[:, :-1], tokens[:, 1:]), dict(vars(shape))


def _resnet(bench: Bench, dtype: str) -> Made:
    blocks, width, batch, image = IMAGES[bench.device.kind, bench.quick]
    images, labels = bench.random(batch, 3, image, image), bench.tokens(CLASSES, batch, 1).flatten()
    size = {"blocks": list(blocks), "width": width, "batch": batch, "image": image}
    return ResNet(blocks, width, CLASSES), (images, labels), size


def _recommender(bench: Bench, dtype: str) -> Made:
    tables, rows, width, batch = CLICKS[bench.device.kind, bench.quick]
    numbers = bench.random(batch, DENSE)
    read = torch.stack([bench.tokens(rows, batch, LOOKUPS) for _ in range(tables)])
    size = {"tables": tables, "rows": rows, "width": width, "batch": batch, "lookups": LOOKUPS}
    return Recommender(tables, rows, width, DENSE), (numbers, read, (numbers[:, 0] > 0).float()), size


MODELS: dict[str, Callable[[Bench, str], Made]] = {"gpt": _gpt, "resnet": _resnet, "recommender": _recommender}


def run(bench: Bench) -> list[Point]:
    """Time steps of each model; on one rank only those without reduction."""
    names = [("gpt", "fp32"), ("gpt", "bf16"), ("resnet", "fp32"), ("recommender", "fp32")]
    if not bench.quick:
        names += [("resnet", "bf16"), ("recommender", "bf16")]
    return [point for name, dtype in bench.shuffled(names) for point in _steps(bench, name, dtype)]


def _steps(bench: Bench, name: str, dtype: str) -> list[Point]:
    torch.manual_seed(bench.seed)
    module, inputs, size = MODELS[name](bench, dtype)
    model = module.to(bench.device.torch)
    if bench.world > 1:
        model = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    narrow = torch.autocast(bench.device.kind, DTYPES[dtype], enabled=dtype != "fp32")

    def step(reduced: bool) -> None:
        with _reduction(model, reduced):
            with narrow:
                loss = model(*inputs)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def seconds(reduced: bool) -> Callable[[int], float]:
        def timed(runs: int) -> float:
            bench.together()
            return bench.device.seconds(lambda: step(reduced), runs)

        return timed

    kinds = {"training_step": seconds(True)} if bench.world > 1 else {}
    kinds["training_step_alone"] = seconds(False)
    turns = max(SAMPLES[bench.quick], ENOUGH)
    found = in_turn(kinds, turns, agree=bench.largest, state=bench.meter.state)
    size |= {"model": name, "dtype": dtype, "ranks": bench.world, "weights": sum(p.numel() for p in model.parameters())}
    points = []
    for kind, samples in found.items():
        watts, reason = bench.power(lambda kind=kind: step(kind == "training_step"), agree=bench.largest)  # type: ignore[misc]
        samples.waited_frac = [0.0] * len(samples.times_s)  # ranks wait for each other
        points.append(bench.point(kind, dict(size), samples, mean_w=watts, power_reason=reason))
    return points


@contextlib.contextmanager
def _reduction(model: nn.Module, reduced: bool) -> Iterator[None]:
    """Whether gradients are reduced over ranks in the backward pass."""
    if isinstance(model, DistributedDataParallel) and not reduced:
        with model.no_sync():
            yield
    else:
        yield
