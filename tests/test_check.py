"""Checks of a machine's speed: published pass lines, slow GPUs and links by name, another profile."""

import copy
import json

import pytest
from click.testing import CliRunner
from dcsim.calibration.check import against_published, among_ranks, exit_code
from dcsim.calibration.cli import calibrate
from dcsim.calibration.profile import write

from dcsim.catalog.load import catalog
from dcsim.catalog.machines import identity


def parameter(value, unit, high=1.05, identified=True):
    return {
        "value": value,
        "unit": unit,
        "low": value / high,
        "high": value * high,
        "log_sd": 0.02,
        "prior_log_sd": 0.05,
        "sessions": 3,
        "basis": "sessions",
        "higher_is_better": True,
        "max_rel_err": 0.05,
        "identified": identified,
        "reason": "",
    }


def body(points=(), name="NVIDIA H100 80GB HBM3", ranks=8, kind="cuda", **parameters):
    made = {
        "schema": "dcsim.machine/2",
        "kind": "measured",
        "quick": False,
        "device": {
            "kind": kind,
            "name": name,
            "ranks": ranks,
            "hosts": 1,
            "backend": "nccl",
            "by_rank": [f"cuda:{r} GPU-{r}{r}{r}" for r in range(ranks)],
        },
        "software": {},
        "meter": {"source": "none", "reason": "no meter"},
        "parameters": {name.replace("__", "."): one for name, one in parameters.items()},
        "curves": {},
        "holdout": {},
        "warnings": [],
        "sessions": [{"points": list(points)}],
        "created": "2026-01-01T00:00:00+00:00",
        "dcsim": "0",
    }
    return {"id": identity(made), **made}


def healthy(**changed):
    rates = {
        "gemm__bf16__flop_s": parameter(7.8e14, "FLOP/s"),
        "copy__b_s": parameter(2.6e12, "B/s"),
        "all_reduce__node__bus_b_s": parameter(4.75e11, "B/s"),
    }
    return {**rates, **changed}


def test_a_healthy_machine_passes():
    found = against_published(body(**healthy()))
    assert {one.verdict for one in found} == {"pass", "no reference"}
    assert exit_code(found) == 0


def test_what_lies_below_its_pass_line_is_degraded_and_named():
    found = against_published(body(**healthy(all_reduce__node__bus_b_s=parameter(1.5e11, "B/s"))))
    bad = [one for one in found if one.verdict == "degraded"]
    assert [one.what for one in bad] == ["all_reduce.node.bus_b_s"]
    assert "azure" in bad[0].reason or "gpu_reference" in bad[0].reason
    assert exit_code(found) == 1


def test_an_interval_that_holds_the_pass_line_is_inconclusive():
    found = against_published(body(**healthy(all_reduce__node__bus_b_s=parameter(4.4e11, "B/s", high=1.2))))
    assert exit_code(found) == 4


def test_a_figure_of_another_number_of_gpus_is_not_compared():
    found = against_published(body(ranks=4, **healthy(all_reduce__node__bus_b_s=parameter(3.6e11, "B/s"))))
    one = next(f for f in found if f.what == "all_reduce.node.bus_b_s")
    assert one.verdict == "no reference"
    assert "8 GPUs, measured on 4" in one.reason


def test_a_device_without_published_figures_is_inconclusive():
    found = against_published(body(name="a processor", **healthy()))
    assert exit_code(found) == 4
    assert "h100-sxm-80gb" in found[0].reason


def gemm_point(seconds):
    size = {"dtype": "bf16", "shape": "cube", "m": 8192, "n": 8192, "k": 8192}
    return {"kernel": "gemm", "size": size, "times_s": [seconds[0]], "by_rank_s": seconds}


def link_point(first, second, seconds):
    size = {"size_b": 2**26, "first": first, "second": second}
    return {"kernel": "link", "size": size, "times_s": [seconds], "by_rank_s": [seconds]}


def test_a_slow_gpu_is_named_by_its_uuid():
    found = among_ranks(body([gemm_point([1.0, 1.01, 1.0, 1.2, 1.0, 0.99, 1.0, 1.0])]))
    bad = [one.what for one in found if one.verdict == "degraded"]
    assert bad == ["gemm.bf16 of rank 3 (cuda:3 GPU-333)"]


def test_a_slow_link_is_named_by_its_ends():
    points = [link_point(a, b, 0.4 if (a, b) == (1, 2) else 0.2) for a in range(4) for b in range(a + 1, 4)]
    bad = [one.what for one in among_ranks(body(points)) if one.verdict == "degraded"]
    assert bad == ["link rank 1 (cuda:1 GPU-111) to rank 2 (cuda:2 GPU-222)"]


def test_two_ranks_that_differ_by_their_usual_spread_pass():
    assert {one.verdict for one in among_ranks(body([gemm_point([1.0, 1.05])], ranks=2))} == {"pass"}


def test_the_command_checks_against_reference_or_another_profile(tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    write(good, body(**healthy()))
    write(bad, body(**healthy(copy__b_s=parameter(1.2e12, "B/s"))))
    run = CliRunner().invoke
    assert run(calibrate, ["check", str(good), "--against", "reference"]).exit_code == 0
    told = run(calibrate, ["check", str(bad)])
    assert told.exit_code == 1
    assert told.output.splitlines()[0].startswith("degraded      copy.b_s")
    assert run(calibrate, ["check", str(bad), "--against", str(good)]).exit_code == 1
    assert run(calibrate, ["check", str(good), "--against", str(good)]).exit_code == 0
    assert json.loads(run(calibrate, ["check", str(bad), "--json"]).stdout)


@pytest.mark.parametrize("key", catalog().keys("gpu_references"))
def test_every_reference_is_of_a_known_gpu_and_holds_its_own_figures(key):
    assert key in catalog().keys("gpus")
    rows = catalog().part("gpu_references", key)
    exact = {name.replace(".", "__"): parameter(row.value, row.unit, high=1.01) for name, row in rows.items()}
    domain = int(catalog().row("gpus", key, "domain_gpus").value)
    found = against_published(body(name=key, ranks=domain, **exact))
    assert {one.verdict for one in found} == {"pass"}


def test_figures_above_a_data_sheet_are_refused(tmp_path):
    from dcsim.catalog.machines import problems

    made = body(**healthy(gemm__bf16__flop_s=parameter(1.5e15, "FLOP/s")))
    assert [fault.path for fault in problems(made)] == ["parameters.gemm.bf16.flop_s"]
    broken = copy.deepcopy(made)
    broken["parameters"]["copy.b_s"] = {"value": "fast"}
    assert any("is not an object of" in fault.message for fault in problems(broken))
