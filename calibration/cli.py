"""``dcsim calibrate``."""

from pathlib import Path

import click

from dcsim.catalog.load import folder


@click.group()
def calibrate() -> None:
    """Fit profiles from measurements."""


@calibrate.command()
@click.option("--check", is_flag=True, help="Fit anew and compare with the shipped files; write nothing.")
def presets(check: bool) -> None:
    """Fit every shipped profile and validation split from published figures.

    With --check, exits with 1 where a parameter differs by more than 1e-6 of its value.
    """
    from .presets import differences, files, inference, lines

    target = folder() / "profiles"
    found = files()
    if not inference.rows():
        click.echo("inference: not fitted, reference data absent (set DCSIM_DATA_DIR)")
    if check:
        faults = differences(found, target)
        for fault in faults:
            click.echo(fault)
        click.echo(f"{len(found)} files checked, {len(faults)} differ")
        raise SystemExit(1 if faults else 0)
    for path in [*target.glob("*.json"), *target.glob("validation/*.json")]:
        if inference.rows() or not path.name.startswith("inference"):
            path.unlink()
    for name, text in found.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text, encoding="utf-8")
    for line in lines():
        click.echo(line)
    click.echo(f"{len(found)} files written to {_shown(target)}")


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
