"""``dcsim catalog``."""

import click

from dcsim.catalog.load import TABLES, Row, catalog, models, sources
from dcsim.registry import lookup


@click.group("catalog")
def catalog_() -> None:
    """List and show the figures that dcsim uses."""


@catalog_.command("list")
@click.argument("table", required=False)
def list_(table: str | None) -> None:
    """List the tables, or the parts of one TABLE."""
    if table is None:
        for name in TABLES:
            click.echo(f"{name:20}{', '.join(catalog().keys(name))}")
        click.echo(f"{'models':20}{', '.join(models())}")
        return
    keys = list(models()) if table == "models" else catalog().keys(table)
    for key in keys:
        click.echo(key)


@catalog_.command()
@click.argument("table")
@click.argument("key")
def show(table: str, key: str) -> None:
    """Show every parameter of one part: value, range, year and source."""
    if table == "models":
        model = lookup(models(), key, "model")
        for parameter, value in model.numbers.items():
            click.echo(f"{parameter:24}{value:>14g}")
        click.echo(f"source: {model.source}")
        return
    part = catalog().part(table, key)
    name = catalog().resolve(table, key)
    if name != key:
        note = catalog().aliases[table, key.casefold()].note
        click.echo(f"{key} is {name}{f' ({note})' if note else ''}")
    for row in part.values():
        click.echo(_line(row))
    click.echo()
    for used in dict.fromkeys(row.source for row in part.values()):
        source = sources().get(used)
        if source:
            click.echo(f"{used}: {source.title}, {source.publisher}, {source.year} ({source.status}) {source.url}")


def _line(row: Row) -> str:
    spread = "" if row.low is None and row.high is None else f"[{_bound(row.low)} to {_bound(row.high)}]"
    year = row.price_year or ""
    return f"{row.parameter:34}{row.value:>14g} {row.unit:16}{spread:24}{year!s:6}{row.source:24}{row.note}"


def _bound(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"
