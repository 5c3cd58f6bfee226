"""The report opens offline in a browser: every chart drawn, no error, usable on a phone's width, the same bytes."""

import re

import pytest
from conftest import need_program
from dcsim.reports import run_report
from dcsim.reports.figures import FIGURES
from dcsim.reports.page import number
from plans import small

from dcsim import pipeline, runs

LIQUID = ("facility.server=hgx-h100-8-dlc", "facility.cooling={kind: direct_liquid_dry_cooler}")


@pytest.fixture(scope="module", params=["rental", "no revenue"])
def run(request, tmp_path_factory):
    sets = () if request.param == "rental" else ("economics.revenue={kind: none}", *LIQUID)
    folder = pipeline.run(small(*sets), tmp_path_factory.mktemp("runs"), writers=(run_report.write,))
    return runs.read(folder)


def test_the_same_run_gives_the_same_page(run):
    assert (run.folder / "report.html").read_text() == run_report.html(runs.read(run.folder))


def test_the_page_needs_no_network(run):
    page = run_report.html(run)
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert not re.findall(r'(?:src|href)="https?://[^"]*\.(?:js|css|png|woff2?)"', outside)
    assert "cdn" not in outside


@pytest.mark.parametrize("name", FIGURES)
def test_a_chart_has_a_finding_with_a_number_and_axes_with_units(run, name):
    chart = FIGURES[name](run)
    assert re.search(r"\d", chart.finding)
    assert "nan" not in chart.finding.lower()
    figure = chart.figure
    titles = [axis.title.text for axis in (*figure.select_xaxes(), *figure.select_yaxes()) if axis.title.text]
    assert titles
    assert all("[" in title or title in ("month", "year") for title in titles)


def test_findings_are_computed_from_the_run(run):
    power = FIGURES["power"](run).finding
    assert f"{run.kpis['peak_facility_power_mw']['value']:.2f} MW" in power
    cash = FIGURES["cash-flow"](run).finding
    revenue = (run.ledger["category"] == "revenue").any()
    assert ("no revenue is stated" in cash) == (not revenue)


def test_every_assumption_and_what_binds_is_on_the_page(run):
    page = run_report.html(run)
    assert page.count("<td>tariffs · ") == (run.assumptions["table"] == "tariffs").sum()
    assert "utility MW" in page
    assert "proxy: tariff dominion-va-gs3" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (0.12345, "0.1235"), (1234.5, "1,234"), (2.5e7, "25 M"), ("x", "x")],
)
def test_numbers_are_written_for_readers(value, text):
    assert number(value) == text


@pytest.fixture(scope="module")
def browser():
    chromium = need_program("chromium", "google-chrome")
    driver_path = need_program("chromedriver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    yield driver
    driver.quit()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("width", [360, 1440])
def test_a_browser_draws_every_chart_without_an_error(run, browser, width):
    browser.set_window_size(width, 900)
    browser.get((run.folder / "report.html").as_uri())
    # The window may be no narrower than the browser allows, so the page is measured in a frame of the width asked for.
    browser.execute_script(
        "document.body.style.width = arguments[0] + 'px';"
        "document.querySelectorAll('.js-plotly-plot').forEach((c) => Plotly.Plots.resize(c));",
        width - 20,
    )
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []
    for name in FIGURES:
        drawn = browser.execute_script(
            "const c = document.getElementById(arguments[0]); const r = c.getBoundingClientRect();"
            "const marks = c.querySelectorAll('.trace path, .hm image, .point path, .fills path, .lines path');"
            "return [r.width, r.height, marks.length];",
            f"chart-{name}",
        )
        assert drawn[0] > 200, name
        assert drawn[0] <= width, name
        assert drawn[1] > 200, name
        assert drawn[2] > 0, name
    too_wide = browser.execute_script(
        "return [...document.querySelectorAll('.card, .chart, h1, h2, p')]"
        ".filter((e) => e.getBoundingClientRect().right > arguments[0]).map((e) => e.textContent.slice(0, 40));",
        width,
    )
    assert too_wide == []
