"""`dcsim explain`: what its lines add is the figure, whatever the figure."""

import json

import pytest
from click.testing import CliRunner
from plans import small
from test_cli import refused

from dcsim import pipeline, runs
from dcsim.cli import cli
from dcsim.errors import UsageError
from dcsim.study.explain.rows import BY_FLOW, RULES, explained, largest, lines

FINANCED = (
    "plan.years=2",
    "economics.revenue={kind: internal, usd_per_gpu_h: 6.0}",
    "economics.tax={}",
    "economics.debt={ltv_frac: 0.5, rate_frac: 0.08, term_years: 3}",
    "economics.equity_rate=0.15",
)


@pytest.fixture(scope="module", params=["nominal", "real", "valued later"])
def run(request, tmp_path_factory):
    more = {
        "nominal": (),
        "real": ("economics.dollars=real",),
        "valued later": ("economics.valuation_date=2027-01-01",),
    }[request.param]
    return runs.read(pipeline.run(small(*FINANCED, *more), tmp_path_factory.mktemp("runs")))


@pytest.mark.parametrize("name", RULES)
def test_what_the_lines_add_is_the_figure(run, name):
    found = explained(run, name)
    assert found is not None
    table = lines(run, found[1])
    assert table["adds"].sum() == pytest.approx(run.kpis[name]["value"], rel=1e-9)
    assert table["rows"].sum() == run.ledger["category"].isin(found[1].categories).sum()


def test_rates_are_explained_by_their_flow_and_watts_by_the_stages(run):
    assert all(name in run.kpis and target in RULES for name, target in BY_FLOW.items())
    assert explained(run, "irr_equity_frac") == ("npv_equity_usd", RULES["npv_equity_usd"])
    assert explained(run, "pue") is None


def test_a_line_opens_into_its_rows(run):
    rule = RULES["capex_usd"]
    table = largest(run, rule, "GPUs", 3)
    assert set(table["item"].str.split(":").str[0]) == {"GPUs"}
    assert table["amount_usd"].abs().is_monotonic_decreasing
    with pytest.raises(UsageError, match="did you mean 'GPUs'"):
        largest(run, rule, "GPU", 3)


def test_the_verb_prints_lines_stages_and_sources(run, tmp_path):
    invoke = CliRunner().invoke
    result = invoke(cli, ["explain", str(run.folder), "npv_usd"])
    assert result.exit_code == 0
    for words in ("npv_usd = ", "electricity energy", "scc_gs3_dec2025", "stages:", "assumptions.parquet"):
        assert words in result.output
    body = json.loads(invoke(cli, ["explain", str(run.folder), "npv_usd", "--json"]).output)
    assert sum(line["adds"] for line in body["lines"]) == pytest.approx(body["value"])
    assert "no sum of money" in invoke(cli, ["explain", str(run.folder), "pue"]).output
    assert "did you mean 'npv_usd'" in refused(tmp_path, "explain", str(run.folder), "npv_ud")
