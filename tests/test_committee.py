"""The committee's page says its answer by rules, its tables add up to the run's figures, and a browser draws it."""

import re
import shutil

import pytest
from dcsim.reports import investment
from dcsim.reports.cli import report
from dcsim.reports.flows import gpu_hours_worth
from dcsim.reports.investment import checks, returns, tables, verdict
from dcsim.reports.investment.figures import FIGURES
from plans import small
from test_report import browser  # noqa: F401

from dcsim import pipeline, runs
from dcsim.errors import UsageError

DEBT = "economics.debt={ltv_frac: 0.5, rate_frac: 0.09, term_years: 1, dscr: %s}"
PLANS = {
    "financed": ("economics.tax={}", DEBT % 1.3),
    "plain": (),
    "no revenue": ("economics.revenue={kind: none}",),
    "cloud": ("economics.tenure={kind: cloud}",),
    "rich": (
        "economics.tax={}",
        "economics.debt={ltv_frac: 0.3, rate_frac: 0.09, term_years: 1, repayment: sculpted, dscr: 1.3}",
        "economics.revenue={kind: internal, usd_per_gpu_h: 20}",
    ),
}


@pytest.fixture(scope="module", params=PLANS)
def run(request, tmp_path_factory):
    found = runs.read(pipeline.run(small(*PLANS[request.param]), tmp_path_factory.mktemp("runs")))
    (found.folder / investment.FILE).write_text(investment.html(found), encoding="utf-8")
    return found


def test_the_same_run_gives_the_same_page(run):
    assert (run.folder / investment.FILE).read_text(encoding="utf-8") == investment.html(runs.read(run.folder))


def test_the_page_needs_no_network(run):
    outside = re.sub(r"<script>.*?</script>", "", investment.html(run), flags=re.S)
    assert not re.findall(r'(?:src|href)="https?://[^"]*\.(?:js|css|png|woff2?)"', outside)


def test_every_check_of_the_model_holds(run):
    found = checks.checks(run)
    assert len(found) >= 11
    assert [check for check in found if not check.holds] == []


def test_the_verdict_follows_from_its_rules(run):
    found = verdict.verdict(run)
    if run.scenario["economics"]["revenue"]["kind"] == "none":
        assert found["word"] == "no verdict"
        return
    assert (found["word"] == "invest") == all(rule.met for rule in found["rules"])
    assert len(found["rules"]) >= 2
    if run.findings["finance"]["loan"]:
        assert any("cover" in rule.what for rule in found["rules"])


def test_a_plan_that_earns_its_money_back_is_recommended(tmp_path):
    word = {}
    for dollars in (20, 1):
        sets = (f"economics.revenue={{kind: internal, usd_per_gpu_h: {dollars}}}",)
        word[dollars] = verdict.verdict(runs.read(pipeline.run(small(*sets), tmp_path)))["word"]
    assert word == {20: "invest", 1: "do not invest as planned"}


def test_tables_add_up_to_the_key_figures(run):
    capital = tables.capital_by_class(run)
    total = 0.0 if capital["total"] is None else capital["total"]["usd"]
    assert total == pytest.approx(run.kpis["capex_usd"]["value"], rel=1e-12, abs=1e-6)
    assert sum(row["usd"] for row in capital["rows"]) == pytest.approx(total, abs=1e-6)
    units = tables.unit_costs(run)
    assert units["total"]["per_gpu_h"] == pytest.approx(run.kpis["cost_usd_per_gpu_h"]["value"], rel=1e-12)
    assert sum(row["per_gpu_h"] for row in units["rows"]) == pytest.approx(units["total"]["per_gpu_h"], rel=1e-12)
    assert gpu_hours_worth(run) > 0
    years = tables.annual(run)
    by_heading = {row["heading"]: row for row in years["rows"]}
    assert sum(by_heading["cash to equity"]["values"]) == pytest.approx(run.ledger["amount_usd"].sum(), abs=1e-3)
    paid = tables.sources_and_uses(run)
    assert paid["total_sources"] == pytest.approx(paid["total_uses"], abs=1e-3)


def test_the_loan_by_year_has_the_cover_of_the_key_figures(run):
    found = returns.debt_by_year(run)
    if not run.findings["finance"]["loan"]:
        assert found is None
        return
    covers = [row["cover"] for row in found["rows"] if row["cover"] is not None]
    assert min(covers) == pytest.approx(run.kpis["dscr_min"]["value"], rel=1e-12)
    assert sum(covers) / len(covers) == pytest.approx(run.kpis["dscr_mean"]["value"], rel=1e-12)
    assert sum(row["drawn"] for row in found["rows"]) == pytest.approx(run.kpis["loan_usd"]["value"], rel=1e-12)


@pytest.mark.parametrize("name", FIGURES)
def test_a_chart_has_a_finding_with_a_number_and_axes_with_units(run, name):
    chart = FIGURES[name](run)
    if chart is None:
        assert name in ("capital", "loan")
        return
    assert re.search(r"\d", chart.finding)
    assert not re.search(r"\bnan\b", chart.finding.lower())
    figure = chart.figure
    titles = [axis.title.text for axis in (*figure.select_xaxes(), *figure.select_yaxes()) if axis.title.text]
    assert titles
    assert all("[" in title or title in ("month", "year") for title in titles)


def test_guesses_and_every_assumption_are_on_the_page(run):
    page = investment.html(run)
    assert page.count('<tr class="guess"><td>') >= (run.assumptions["source"] == "assumption").sum()
    assert "proxy: tariff dominion-va-gs3" in page.lower()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("width", [360, 1440])
def test_a_browser_draws_every_chart_without_an_error(run, browser, width):  # noqa: F811
    browser.set_window_size(width, 900)
    browser.get((run.folder / investment.FILE).as_uri())
    browser.execute_script(
        "document.body.style.width = arguments[0] + 'px';"
        "document.querySelectorAll('.js-plotly-plot').forEach((c) => Plotly.Plots.resize(c));",
        width - 20,
    )
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('.js-plotly-plot')].map((c) => ["
        "c.id, c.getBoundingClientRect().width, c.querySelectorAll('.point path, .js-line, .js-fill').length]);"
    )
    assert len(drawn) == sum(FIGURES[name](run) is not None for name in FIGURES)
    for name, across, marks in drawn:
        assert 200 < across <= width, name
        assert marks > 0, name
    too_wide = browser.execute_script(
        "return [...document.querySelectorAll('.card, .chart, .pair table, h1, h2, p, li')]"
        ".filter((e) => e.getBoundingClientRect().right > arguments[0]).map((e) => e.textContent.slice(0, 40));",
        width,
    )
    assert too_wide == []


def call(*words):
    """Run the verb as the command line does."""
    report.main(list(map(str, words)), standalone_mode=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pipeline.run(small(), tmp_path_factory.mktemp("cli"))


def test_the_verb_writes_what_is_asked_for_and_nothing_else(folder, tmp_path):
    before = {path.name for path in folder.iterdir()}
    call(folder, "--xlsx", tmp_path / "book.xlsx")
    assert {path.name for path in folder.iterdir()} == before
    call(folder, "--investment", "--out", tmp_path / "page.html")
    assert {path.name for path in tmp_path.iterdir()} == {"book.xlsx", "page.html"}
    call(folder, "--investment", "--xlsx", tmp_path / "again.xlsx")
    assert {path.name for path in folder.iterdir()} == {*before, "investment.html"}
    assert (tmp_path / "again.xlsx").read_bytes() == (tmp_path / "book.xlsx").read_bytes()
    call(folder)
    assert (folder / "report.html").exists()


def test_the_verb_says_what_is_wrong(folder, tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        call(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="there is no folder"):
        call(folder, "--xlsx", tmp_path / "no" / "book.xlsx")
    with pytest.raises(UsageError, match="--out names an HTML file"):
        call(folder, "--xlsx", tmp_path / "book.xlsx", "--out", tmp_path / "page.html")
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    (old / "statement.parquet").unlink()
    with pytest.raises(
        UsageError, match=r"older version .* statement\.parquet; run it again: dcsim run .*scenario\.yaml"
    ):
        call(old, "--investment")
    shutil.copy(folder / "jobs.parquet", old / "statement.parquet")
    with pytest.raises(UsageError, match=r"statement\.parquet column revenue_usd"):
        call(old, "--xlsx", tmp_path / "book.xlsx")
    assert not (tmp_path / "book.xlsx").exists()
