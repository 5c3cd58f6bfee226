"""Kernels on a processor: each gives samples or a reason, decodes what it trained, and names what is wrong."""

import shutil

import pytest

torch = pytest.importorskip("torch")

from dcsim.calibration import worker  # noqa: E402
from dcsim.calibration.device import Device, choose, visible  # noqa: E402
from dcsim.calibration.kernels import KERNELS, OPT_IN, checkpoint, collectives, gemm, training_step  # noqa: E402
from dcsim.calibration.kernels.common import Bench  # noqa: E402
from dcsim.calibration.kernels.levels import Level, split  # noqa: E402
from dcsim.calibration.kernels.models import Gpt, Recommender, ResNet, Shape  # noqa: E402
from dcsim.calibration.meters import State  # noqa: E402
from dcsim.calibration.worker import BusyError, Place, place  # noqa: E402

from dcsim.errors import UsageError  # noqa: E402

torch.set_num_threads(1)  # as a worker does; tests share the processor


def bench(folder, **given):
    values = {"quick": True, "budget_s": 0.01, "soak_s": 0.05, **given}
    return Bench(Device("cpu", 0), 0, 1, 0, 1, folder=str(folder), **values)


@pytest.mark.parametrize("name", [*KERNELS, *OPT_IN])
def test_a_kernel_alone_gives_samples_or_a_reason(tmp_path, name):
    points = (KERNELS | OPT_IN)[name](bench(tmp_path))
    assert points
    for point in points:
        assert point.times_s or point.reason or point.power_reason
        assert all(seconds > 0 for seconds in point.times_s)
        assert len(point.times_s) == len(point.waited_frac)


def test_a_point_keeps_the_state_of_the_device_at_each_sample(tmp_path):
    class Warm:
        reason, average_s, uuid, name = "no counter", 0.0, "", "warm"

        def state(self):
            return State(60.0, 1900.0, 4)

    found = bench(tmp_path, meter=Warm()).alone("gemm", {}, lambda: None, power=True)
    assert found.temperature_c == [60.0] * len(found.times_s)
    assert set(found.clock_reasons) == {4}
    assert (found.mean_w, found.power_reason) == (None, "no counter")


def test_products_are_those_of_the_model_that_was_asked_for(tmp_path):
    found = gemm.products(bench(tmp_path, model="llama3.1-8b"), "bf16")
    assert found["qkv"] == (256, 6144, 4096)
    assert found["up"] == (256, 2 * 14336, 4096)
    assert found["output"] == (256, 128256, 4096)


def test_a_token_at_a_time_gives_the_logits_of_the_whole_prompt():
    torch.manual_seed(0)
    model = Gpt(Shape(vocab=50, seq=12, hidden=32, layers=2, heads=4, batch=1)).eval()
    tokens = torch.randint(50, (3, 8))
    caches = [(torch.zeros(3, 4, 12, 8), torch.zeros(3, 4, 12, 8)) for _ in range(2)]
    whole = [(torch.zeros(3, 4, 12, 8), torch.zeros(3, 4, 12, 8)) for _ in range(2)]
    with torch.no_grad():
        model.extend(tokens[:, :5], caches, 0)
        for at in range(5, 8):
            last = model.extend(tokens[:, at : at + 1], caches, at)
        assert torch.allclose(last, model.extend(tokens, whole, 0), atol=1e-5)


@pytest.mark.parametrize("name", training_step.MODELS)
def test_a_network_learns(tmp_path, name):
    torch.manual_seed(0)
    module, inputs, _ = training_step.MODELS[name](bench(tmp_path), "fp32")
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        loss = module(*inputs)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_networks_have_the_sizes_of_their_kind():
    resnet = ResNet((3, 4, 6, 3), 64, 1000)
    assert sum(p.numel() for p in resnet.parameters()) == 25_557_032  # torchvision's ResNet-50
    recommender = Recommender(8, 1000, 16, 13)
    tables = sum(p.numel() for p in recommender.tables.parameters())
    assert tables > 0.9 * sum(p.numel() for p in recommender.parameters())


def test_a_checkpoint_that_would_fill_the_disk_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(2**30, 2**30, 2**20))
    points = checkpoint.run(bench(tmp_path))
    assert {point.times_s == [] and "--workdir" in point.reason for point in points} == {True}
    assert list(tmp_path.iterdir()) == []


def test_levels_of_hosts():
    assert split(0, 1, 1) == []
    assert split(0, 4, 4) == [("node", [(0, 1, 2, 3)])]
    assert split(0, 2, 1) == [("network", [(0, 1)])]
    assert split(0, 4, 2) == [
        ("node", [(0, 1), (2, 3)]),
        ("network", [(0, 2), (1, 3)]),
        ("world", [(0, 1, 2, 3)]),
    ]


def test_a_wrong_sum_is_an_error(tmp_path, monkeypatch):
    level = Level("node", (0,), None)
    made = (lambda: None, lambda: False)
    monkeypatch.setattr(collectives, "OPERATIONS", {"all_reduce": lambda *given: made})
    with pytest.raises(collectives.WrongSumError, match="wrong result"):
        collectives.run(bench(tmp_path, levels=(level,)))


def test_a_place_is_read_from_torchrun_else_from_slurm():
    torchrun = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert place(torchrun) == Place(3, 4, 1, 2)
    slurm = {"SLURM_PROCID": "5", "SLURM_NTASKS": "16", "SLURM_LOCALID": "5", "SLURM_NNODES": "2"}
    assert place(slurm) == Place(5, 16, 5, 8)
    assert place({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}) == Place(0, 1, 0, 1)
    assert place({}) == Place(0, 1, 0, 1)


def test_nvml_gets_the_device_that_cuda_was_shown():
    assert visible({}, 1) == 1
    assert visible({"CUDA_VISIBLE_DEVICES": "6,7"}, 1) == 7
    assert visible({"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}, 0) == "GPU-a"


def test_a_busy_gpu_is_refused_unless_told(monkeypatch):
    class Busy:
        reason, uuid = "", ""

        def others(self):
            return [4242]

    class Asked:
        device, meter, meter_file, busy = "auto", "auto", None, False

    monkeypatch.setattr(worker, "open_meter", lambda *given, **named: Busy())
    with pytest.raises(BusyError, match="4242"):
        worker._meter(Asked, Place(0, 1, 0, 1))
    Asked.busy = True
    assert worker._meter(Asked, Place(0, 1, 0, 1)).others() == [4242]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_that_is_not_there_is_never_replaced_silently():
    with pytest.raises(UsageError, match="sees no CUDA device"):
        choose("cuda")
    assert choose("auto").kind == "cpu"
