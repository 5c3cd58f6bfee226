"""``dcsim options``."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from dcsim import runs
from dcsim.errors import UsageError
from dcsim.finance.cashflow import MONTHS_PER_YEAR
from dcsim.model.price_path import PricePath
from dcsim.study.options.of_run import OfRun, of_run
from dcsim.study.options.real import OptionValue, abandon, defer, expand, switch
from dcsim.study.summary import number

NOTES = (
    "Flows are before tax and debt, discounted at the plan's rate, which is not risk-neutral: values are the owner's. "
    "The static NPV is the mean over the same paths without the right; rights are valued one at a time.",
    "Every right is used at the end of a month on what is known then. What is bought and sold later has the run's own "
    "dollars by month (expand, switch) or by age (defer). Decisions rest on fits to other paths, so values err low.",
)


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--abandon", "sold_frac", type=click.FloatRange(0, 1), help="Stop, and sell for a share of market value.")
@click.option("--expand", "grown", nargs=2, type=float, metavar="SHARE USD", help="Grow sales and upkeep at a cost.")
@click.option("--defer", "months", type=click.IntRange(0, 240), help="Start up to so many months later, or never.")
@click.option("--switch", "to", nargs=2, metavar="RUN2 USD", help="Go over to the flows of another run, at a cost.")
@click.option("--decline", type=click.FloatRange(0, 0.99), default=0.0, help="Fall of sales by a start a year later.")
@click.option("--log-sd", type=click.FloatRange(0), help="Volatility of the price; 0.25 if left out.")
@click.option("--reversion", type=click.FloatRange(0), help="Speed of return to the trend a year; 1 if left out.")
@click.option("--jumps", type=click.FloatRange(0), help="Jumps a year; 0.3 if left out.")
@click.option("--jump-frac", type=click.FloatRange(0, 1, max_open=True), help="Size of a jump; 0.4 if left out.")
@click.option("--paths", "n_paths", type=click.IntRange(4), default=10_000, show_default=True, help="Price paths.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the paths; the run's own if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def options(
    folder: Path,
    sold_frac: float | None,
    grown: tuple[float, float] | None,
    months: int | None,
    to: tuple[str, str] | None,
    decline: float,
    log_sd: float | None,
    reversion: float | None,
    jumps: float | None,
    jump_frac: float | None,
    n_paths: int,
    seed: int | None,
    as_json: bool,
) -> None:
    """Value rights to change the plan of a run folder while the price that it sells at moves.

    Revenue follows the price over the run's own; costs stay.
    """
    run = runs.read(folder)
    found = of_run(run)
    stated = {
        "log_sd_per_year": log_sd,
        "reversion_per_year": reversion,
        "jumps_per_year": jumps,
        "jump_frac": jump_frac,
    }
    price = PricePath(**{name: value for name, value in stated.items() if value is not None})
    if n_paths % 4:
        raise UsageError(f"--paths {n_paths} is no multiple of four, which two halves of pairs need")
    flows, rate = found.flows, found.scenario.economics.discount_rate
    n = len(flows.revenue_usd)
    seed = found.scenario.plan.seed if seed is None else seed
    paths = price.sample(n_paths, n + (months or 0), 1.0 / MONTHS_PER_YEAR, seed)
    rights: list[OptionValue] = []
    if sold_frac is not None:
        rights.append(abandon(flows, paths, found.salvage_usd(sold_frac), rate))
    if grown is not None:
        share, cost_usd = grown
        rights.append(expand(flows, paths, found.running.times(share), np.full(n, cost_usd), rate))
    if months is not None:
        trend = (1.0 - decline) ** (np.arange(months + 1) / MONTHS_PER_YEAR)
        rights.append(defer(flows, paths, months, rate, trend=trend))
    if to is not None:
        other, cost_usd = _switched(found, *to)
        rights.append(switch(flows, paths, other.flows, np.full(n, cost_usd), rate))
    if not rights:
        raise UsageError("state a right to value: --abandon, --expand, --defer or --switch")
    rows = [_row(right, found.worth_frac) for right in rights]
    npv = run.kpis["npv_usd"]["value"]
    if as_json:
        about = {"run_npv_usd": npv, "price_path": price.model_dump(), "paths": n_paths, "seed": seed}
        click.echo(json.dumps({**about, "rights": rows, "notes": NOTES}, indent=1))
        return
    click.echo(f"npv_usd of the run on its own prices: {number(npv)} USD; {n_paths} paths of the price, seed {seed}\n")
    click.echo(
        f"{'right':9}{'static NPV':>16}{'right adds':>16}{'+- error':>12}{'NPV with it':>16}  used by  median month"
    )
    for row in rows:
        click.echo(
            f"{row['name']:9}{number(row['static_npv_usd']):>16}{number(row['option_usd']):>16}"
            f"{number(row['error_usd']):>12}{number(row['npv_usd']):>16}  {row['exercised_frac']:>7.0%}  "
            f"{'never' if row['month'] is None else row['month']}"
        )
    click.echo(
        f"\nprice over the run's own: volatility {price.log_sd_per_year:g}, return to its trend "
        f"{price.reversion_per_year:g} a year, {price.jumps_per_year:g} jumps a year of +-{price.jump_frac:.0%}"
    )
    for note in NOTES:
        click.echo(note)


def _switched(found: OfRun, folder: str, cost: str) -> tuple[OfRun, float]:
    """The other run, of the same months, and what going over costs."""
    other = of_run(runs.read(Path(folder)))
    if (other.first_month, len(other.by["revenue"])) != (found.first_month, len(found.by["revenue"])):
        raise UsageError(f"{folder}: its cash flows span other months; run both with the same plan and order dates")
    try:
        return other, float(cost)
    except ValueError:
        raise UsageError(f"--switch {folder} {cost}: the cost must be a number of USD") from None


def _row(right: OptionValue, worth_frac: float) -> dict[str, Any]:
    """A right in dollars of the valuation month."""
    return {
        "name": right.name,
        "static_npv_usd": right.static_npv_usd * worth_frac,
        "option_usd": right.option_usd * worth_frac,
        "error_usd": right.error_usd * worth_frac,
        "npv_usd": right.npv_usd * worth_frac,
        "exercised_frac": right.exercised_frac,
        "month": right.month,
    }
