"""``dcsim validate``."""

import json
import os
from pathlib import Path
from typing import Any

import click

from dcsim.registry import lookup
from dcsim.validate import replay
from dcsim.validate.common import run, shipped_cases
from dcsim.validate.sites import WEATHER_DIR
from dcsim.validate.suites import SUITES
from dcsim.validate.table import markdown


@click.command()
@click.argument("suite", metavar="[SUITE]", required=False)
@click.option("--cases", type=click.Path(path_type=Path), help="Cases of your own, with the columns of a known kind.")
@click.option(
    "--weather-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of weather files for climate zones that are not at hand, each named by its zone, as 6A-place.epw.",
)
@click.option("--trace", "trace_dir", type=click.Path(path_type=Path), help="replay: folder of tasks and fragments.")
@click.option("--power", type=click.Path(path_type=Path), help="replay: measured power of all hosts.")
@click.option("--fit-until", metavar="ISO_TIME", help="replay: power after it is not fitted; half of it if absent.")
@click.option("--score", type=click.Path(path_type=Path), help="replay: more measured power, never fitted.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
@click.option("--all", "all_suites", is_flag=True, help="Run every suite and print a line for each.")
@click.option("--markdown", "as_markdown", is_flag=True, help="With --all, print the accuracy tables of the README.")
def validate(
    suite: str | None,
    cases: Path | None,
    weather_dir: Path | None,
    trace_dir: Path | None,
    power: Path | None,
    fit_until: str | None,
    score: Path | None,
    as_json: bool,
    all_suites: bool,
    as_markdown: bool,
) -> None:
    """Compare predictions with the published figures of SUITE.

    Suites: collectives, cost, electrical, gemm, inference, memory, node-power, psychrometrics, pue, reliability,
    replay, schedule, serving, training, water. All of them: --all.

    Error is 100 (predicted / published - 1) in percent. No parameter is fitted here; rows on which one was fitted
    before are marked in sample.
    """
    if weather_dir is not None:
        os.environ[WEATHER_DIR] = str(weather_dir)
    if all_suites == bool(suite):
        raise click.UsageError(f"name a suite or say --all; suites: {', '.join(SUITES)}")
    if all_suites:
        if cases:
            raise click.UsageError("--cases needs the suite that it is for")
        results = [run(name, known, shipped_cases(name, known), checks=False) for name, known in SUITES.items()]
        if as_json:
            click.echo(json.dumps(results, indent=1, allow_nan=False))
        elif as_markdown:
            click.echo(markdown(results), nl=False)
        else:
            for result in results:
                click.echo(_errors(result["suite"], result))
        return
    assert suite is not None
    known = lookup(SUITES, suite, "suite")
    stated = {"--trace": trace_dir, "--power": power, "--fit-until": fit_until, "--score": score}
    if suite == "replay":
        if cases:
            raise click.UsageError("replay has no file of cases: name --trace and --power")
        result = replay.replay(trace_dir, power, fit_until, score)
    elif named := [name for name, value in stated.items() if value is not None]:
        raise click.UsageError(f"{', '.join(named)} belongs to replay, not to {suite}")
    else:
        result = run(suite, known, [cases] if cases else shipped_cases(suite, known))
    if as_json:
        click.echo(json.dumps(result, indent=1, allow_nan=False))
        return
    click.echo(f"{suite}: {SUITES[suite].meaning}")
    for row in result["rows"] if suite != "replay" else ():
        click.echo(_line(row))
    click.echo(_errors("all", result))
    for name, split in result["splits"].items():
        click.echo(_errors(name.replace("_", " "), split))
    for part in result["parts"]:
        click.echo(_errors(f"{part['name']}, {part['meaning']}", part))
    for text in [*result["findings"], *result["checks"]]:
        click.echo(text)


def _line(row: dict[str, Any]) -> str:
    if row["predicted"] is None and row["published"] is None:
        return f"{row['case_id']:44}{'-':>12}{'-':>12} {row['unit']:8}{row['reason']}"
    if row["predicted"] is None:
        return f"{row['case_id']:44}{'-':>12}{row['published']:>12.6g} {row['unit']:8}{row['reason']}"
    sample = "in sample" if row["in_sample"] else ""
    if row.get("inside") is not None:
        where = "inside" if row["inside"] else "outside"
        sample = f"{where} {row['band'][0]:.4g} to {row['band'][1]:.4g}"
    if row["published"] is None:
        said = "; ".join(filter(None, (sample, row.get("reason", ""))))
        return f"{row['case_id']:44}{row['predicted']:>12.6g}{'-':>12} {row['unit']:8}{'':>9}    {said}"
    error = "" if row["error_pct"] is None else f"{row['error_pct']:+.3f} %"
    numbers = f"{row['predicted']:>12.6g}{row['published']:>12.6g} {row['unit']:8}"
    notes = [sample, row.get("reason", ""), row.get("convention", "")]
    if "corrected" in row:
        notes.append(f"corrected {row['corrected']:.6g}")
    return f"{row['case_id']:44}{numbers}{error:>11}  {'; '.join(filter(None, notes))}"


def _errors(name: str, part: dict[str, Any]) -> str:
    if not part["n_predicted"]:
        return f"{name}: {part['n']} published values, none predicted"
    banded = ""
    if part.get("n_banded"):
        banded = f"; {part['inside_frac'] * 100:.0f} % of {part['n_banded']} inside the published band"
    if part["mape_pct"] is None:
        return f"{name}: {part['n_predicted']} of {part['n']} published bands predicted{banded}"
    text = (
        f"{name}: {part['n_predicted']} of {part['n']} published values predicted, mean absolute error "
        f"{part['mape_pct']:.3g} %, median {part['median_pct']:.3g} %, largest {part['max_pct']:.3g} %"
    )
    inside = part.get("coverage", {}).get("frac")
    return text + banded + ("" if inside is None else f"; {100 * inside:.0f} % inside P10 to P90")
