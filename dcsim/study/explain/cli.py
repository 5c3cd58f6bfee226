"""``dcsim explain``."""

import json
from pathlib import Path

import click
import pandas as pd

from dcsim import runs
from dcsim.study.explain.rows import STAGES, explained, largest, lines
from dcsim.study.summary import number


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("name", metavar="FIGURE")
@click.option("--line", default="", help="Show the largest single rows of this line, as GPUs or electricity energy.")
@click.option("--rows", "n_rows", type=click.IntRange(1), default=10, show_default=True, help="How many of them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")
def explain(folder: Path, name: str, line: str, n_rows: int, as_json: bool) -> None:
    """Show where FIGURE of a run folder comes from: ledger rows by line with their sources, and the stages before them.

    FIGURE is a key of kpis.json, as npv_usd. What the lines add sums to the figure.
    """
    run = runs.read(folder)
    found = explained(run, name)
    kpi = run.kpis[name]
    target, rule = found or (name, None)
    table = None if rule is None else lines(run, rule)
    single = None if rule is None else largest(run, rule, line, n_rows)
    if as_json:
        plain = None if single is None else single.astype(object).where(single.notna(), None).to_dict("records")
        click.echo(
            json.dumps(
                {
                    "figure": name,
                    **kpi,
                    "explained_by": target,
                    "lines": None if table is None else table.to_dict("records"),
                    "rows": plain,
                    "stages": [{"stage": stage, "decides": text, "files": files} for stage, text, files in STAGES],
                    "conventions": run.findings["conventions"],
                },
                indent=1,
            )
        )
        return
    value = "undefined: " + kpi["reason"] if kpi["value"] is None else f"{number(kpi['value'])} {kpi['unit']}"
    click.echo(f"{name} = {value}\n{kpi['definition']}")
    if table is None or rule is None or single is None:
        click.echo("It is no sum of money: its rows stand in the tables of the stages below.")
    else:
        if target != name:
            click.echo(f"It is found from the flow whose present value is {target}:")
        of = f" Each is divided by {number(rule.divisor(run))} {rule.over}." if rule.over else ""
        what = "discounted" if rule.discounts else "undiscounted"
        click.echo(f"Ledger rows of {', '.join(rule.categories)}, {what}.{of}\n")
        click.echo(f"{'category':9}{'line':34}{'rows':>6}  {'months':18}{'USD':>16}{'adds':>16}  sources")
        for one in table.to_dict("records"):
            months = one["first"] if one["first"] == one["last"] else f"{one['first']} to {one['last']}"
            click.echo(
                f"{one['category']:9}{one['line'][:33]:34}{one['rows']:>6}  {months:18}"
                f"{number(one['amount_usd']):>16}{number(one['adds']):>16}  {one['sources']}"
            )
        click.echo(f"{'':9}{'sum':34}{table['rows'].sum():>6}  {'':18}{'':16}{number(table['adds'].sum()):>16}")
        click.echo(f"\nlargest rows{' of ' + line if line else ''}:")
        _print_rows(single)
    click.echo("\nstages:")
    for stage, text, files in STAGES:
        click.echo(f"  {stage:9} {text} ({files})")
    click.echo(f"\nrun folder {folder}; what each value rests on: assumptions.parquet; conventions: findings.json")


def _print_rows(table: pd.DataFrame) -> None:
    for one in table.to_dict("records"):
        grown = f", {one['index']} from {one['index_year']:g}" if one["index"] else ""
        click.echo(
            f"  {one['month']}  {one['item']} ({one['phase']}): {number(one['quantity'])} {one['unit']} at "
            f"{number(one['unit_price_usd'])} USD{grown} = {number(one['amount_usd'])} USD  [{one['source']}]"
        )
