"""The report of one run: the answer first, then the charts, then every assumption with its source."""

from pathlib import Path
from typing import Any

from dcsim import runs
from dcsim.catalog.load import sources
from dcsim.runs import Run

from .figures import FIGURES, OPTIONAL
from .page import charts, render

FILE = "report.html"

# Cards in the order in which an investor and then an engineer asks: (key figure, heading, factor, unit shown).
CARDS = (
    ("npv_usd", "net present value", 1e-6, "M USD"),
    ("irr_frac", "internal rate of return", 100.0, "% a year"),
    ("payback_years", "payback", 1.0, "years"),
    ("cost_usd_per_gpu_h", "cost of an allocated GPU-hour", 1.0, "USD"),
    ("cost_usd_per_million_tokens", "cost of a million tokens", 1.0, "USD"),
    ("capex_usd", "capital", 1e-6, "M USD"),
    ("opex_usd_per_year", "operating cost", 1e-6, "M USD a year"),
    ("gpus_installed", "GPUs installed", 1.0, ""),
    ("gpu_allocated_frac", "GPU time allocated", 100.0, "%"),
    ("gpu_goodput_frac", "GPU time that became work", 100.0, "%"),
    ("queue_wait_mean_s", "mean wait of a job", 1 / 3600, "h"),
    ("pue", "PUE", 1.0, ""),
    ("peak_facility_power_mw", "highest power of the facility", 1.0, "MW"),
    ("facility_energy_mwh", "energy bought", 1e-3, "GWh"),
    ("carbon_t", "carbon, location-based", 1e-3, "kt"),
    ("carbon_market_t", "carbon, market-based", 1e-3, "kt"),
    ("carbon_hourly_t", "carbon, hourly-matched", 1e-3, "kt"),
    ("water_m3", "water", 1e-3, "thousand m³"),
)
# Shown where there are contracts of clean power; without any they are the location-based carbon again.
BY_CONTRACT = ("carbon_market_t", "carbon_hourly_t")
# Shown where there are services.
BY_SERVICE = ("cost_usd_per_million_tokens",)


def write(folder: Path) -> None:
    """Write ``report.html`` into a run folder."""
    (folder / FILE).write_text(html(runs.read(folder)), encoding="utf-8")


def html(run: Run) -> str:
    """Page of a run; the same run gives the same bytes."""
    return render(
        "run_report.html",
        run=run,
        cards=_cards(run),
        charts=charts((name, draw(run)) for name, draw in {**OPTIONAL, **FIGURES}.items()),
        assumptions=assumptions(run),
        longest_wait=max(run.findings["pools"], key=lambda one: one["mean_wait_h"] or 0.0),
    )


def _cards(run: Run) -> list[dict[str, Any]]:
    cards = []
    for name, heading, factor, unit in CARDS:
        if name in BY_CONTRACT and not run.scenario["site"]["clean_power"]:
            continue
        if name in BY_SERVICE and not run.findings["services"]:
            continue
        kpi = run.kpis[name]
        value = kpi["value"]
        cards.append(
            {
                "heading": heading,
                "value": None if value is None else value * factor,
                "unit": unit,
                "definition": kpi["definition"],
                "reason": kpi.get("reason", ""),
            }
        )
    return cards


def assumptions(run: Run) -> list[dict[str, Any]]:
    """Every value used, with the title and address of its source, and whether it is a guess."""
    rows = []
    known = sources()
    for used in run.assumptions.to_dict("records"):
        record: dict[str, Any] = {str(name): value for name, value in used.items()}
        source = known.get(record["source"])
        record["title"] = f"{source.title}, {source.publisher}, {source.year}" if source else record["source"]
        record["url"] = source.url if source else ""
        record["guess"] = record["source"] == "assumption"
        rows.append(record)
    return rows
