"""``dcsim scenario``."""

import json
from pathlib import Path

import click

from dcsim.model.load import load, shipped
from dcsim.model.schema import editor_schema
from dcsim.model.tree import dump, read


@click.group()
def scenario() -> None:
    """List, show and check scenarios."""


@scenario.command("list")
def list_() -> None:
    """List the scenarios that come with dcsim."""
    for name, path in shipped().items():
        description = str(read(path).values.get("description", "")).strip().split("\n")[0]
        click.echo(f"{name:32}{description}")


@scenario.command()
@click.argument("source", metavar="SCENARIO")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override a value; may be repeated.")
def show(source: str, sets: tuple[str, ...]) -> None:
    """Print SCENARIO as it is run: inherited, overridden, with every default."""
    click.echo(dump(load(source, sets).scenario.model_dump(mode="json")), nl=False)


@scenario.command()
@click.argument("sources", metavar="SCENARIO...", nargs=-1, required=True)
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override a value; may be repeated.")
def check(sources: tuple[str, ...], sets: tuple[str, ...]) -> None:
    """Check scenarios up to the first event: file, names, weather, jobs and whether the plan can be built."""
    from dcsim import pipeline

    for source in sources:
        loaded = load(source, sets)
        ready = pipeline.prepare(loaded)
        servers, gpus = ready.facility.final.servers, ready.facility.gpus(ready.facility.final)
        click.echo(f"{source}: ok; {servers} servers, {gpus} GPUs, {len(ready.demand.jobs)} jobs")


@scenario.command("schema")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write instead of printing.")
def schema_(out: Path | None) -> None:
    """Print the JSON Schema of a scenario file, for editors."""
    text = json.dumps(editor_schema(), indent=1) + "\n"
    if out:
        out.write_text(text, encoding="utf-8")
    else:
        click.echo(text, nl=False)
