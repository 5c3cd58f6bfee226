"""The calibration report: findings say what was measured, published plateaus stand beside it, nothing is invented."""

import json

import pytest
from dcsim.calibration.profile import profile, write
from dcsim.reports.calibration_report import FIGURES, html
from test_check import body, parameter
from test_machine import session

from dcsim.catalog.machines import read


@pytest.fixture(scope="module")
def measured():
    return profile([session(1, index) for index in range(3)])


def test_every_chart_has_a_finding_and_axes_with_units(measured):
    for name, function in FIGURES.items():
        chart = function(measured)
        if chart is None:
            continue
        assert chart.finding[0].isupper(), name
        axes = [chart.figure.layout.xaxis.title.text, chart.figure.layout.yaxis.title.text]
        assert any(title and "[" in title for title in axes), name


def test_what_was_not_measured_has_no_chart():
    bare = body(gemm__bf16__flop_s=parameter(7e14, "FLOP/s"))
    assert {name: function(bare) for name, function in FIGURES.items()} == dict.fromkeys(FIGURES)
    assert "gemm.bf16.flop_s" in html(bare)


def test_published_plateaus_stand_beside_what_was_measured(measured):
    of_gpu = {**measured, "device": {**measured["device"], "name": "NVIDIA H100 80GB HBM3"}}
    chart = FIGURES["collectives"](of_gpu)
    assert "of the published 480 GB/s" in chart.finding
    assert [shape.y0 for shape in chart.figure.layout.shapes] == [480.0]
    assert "No plateau" in FIGURES["collectives"](measured).reading


def test_the_held_out_step_and_its_parts_are_shown(measured):
    with_steps = {
        **measured,
        "holdout": {
            "training_step.gpt.bf16": {
                "predicted_s": 0.9,
                "measured_s": 1.0,
                "rel_err": -0.1,
                "parts_s": {"products": 0.7, "attention": 0.2},
                "reason": "",
            }
        },
    }
    chart = FIGURES["steps"](with_steps)
    assert "-10%" in chart.finding
    assert sum(trace.y[0] for trace in chart.figure.data[:-1]) == pytest.approx(900.0)


def test_warnings_come_before_the_figures_and_the_page_is_the_same_again(tmp_path, measured):
    path = tmp_path / "machine.json"
    write(path, measured)
    page = html(read(path))
    assert page == html(json.loads(path.read_text()))
    assert page.index("a processor was measured") < page.index('id="charts"')
    assert page.count("<script>/**") + page.count("plotly.js v") >= 1
    assert "http://" not in page.split("</script>")[-1]
