"""``dcsim validate``."""

import json
from pathlib import Path
from typing import Any

import click

from dcsim.registry import lookup
from dcsim.validate.common import run, shipped_cases
from dcsim.validate.suites import SUITES


@click.command()
@click.argument("suite", metavar="SUITE")
@click.option("--cases", type=click.Path(path_type=Path), help="Cases of your own, with the columns of a known kind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def validate(suite: str, cases: Path | None, as_json: bool) -> None:
    """Compare predictions with the published figures of SUITE: schedule, psychrometrics or electrical.

    Error is 100 (predicted / published - 1) in percent. No parameter is fitted here; rows on which one was fitted
    before are marked in sample.
    """
    result = run(suite, lookup(SUITES, suite, "suite"), cases or shipped_cases(suite))
    if as_json:
        click.echo(json.dumps(result, indent=1, allow_nan=False))
        return
    click.echo(f"{suite}: {SUITES[suite].meaning}")
    for row in result["rows"]:
        click.echo(_line(row))
    click.echo(_errors("all", result))
    for name, split in result["splits"].items():
        click.echo(_errors(name.replace("_", " "), split))


def _line(row: dict[str, Any]) -> str:
    if row["predicted"] is None:
        return f"{row['case_id']:44}{'-':>12}{row['published']:>12.6g} {row['unit']:6}{row['reason']}"
    sample = "in sample" if row["in_sample"] else ""
    return (
        f"{row['case_id']:44}{row['predicted']:>12.6g}{row['published']:>12.6g} {row['unit']:6}"
        f"{row['error_pct']:>+9.3f} %  {sample}"
    )


def _errors(name: str, part: dict[str, Any]) -> str:
    if not part["n_predicted"]:
        return f"{name}: {part['n']} published values, none predicted"
    return (
        f"{name}: {part['n_predicted']} of {part['n']} published values predicted, mean absolute error "
        f"{part['mape_pct']:.3g} %, median {part['median_pct']:.3g} %, largest {part['max_pct']:.3g} %"
    )
