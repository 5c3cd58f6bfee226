"""The page of an uncertainty study: what to expect, how sure that is, and what it rests on."""

from pathlib import Path

from ..page import charts, render
from . import cash, convergence, drivers, heat, spread, tables
from .folder import read

FILE = "uncertainty.html"


def write(folder: Path) -> None:
    """Write ``uncertainty.html`` into the folder of a study, from its tables."""
    (folder / FILE).write_text(html(folder), encoding="utf-8")


def html(folder: Path) -> str:
    """Page of a study; the same tables give the same bytes."""
    study = read(folder)
    return render(
        "uncertainty.html",
        said=study.said,
        figure=study.figure,
        method=tables.method(study),
        cards=tables.cards(study),
        sides=tables.sides(study),
        regret=tables.regret(study) if len(study.sides) > 1 else "",
        charts=charts(
            [
                ("distribution", spread.distribution(study)),
                ("differences", spread.differences(study)),
                ("curves", spread.curves(study)),
                ("tornado", drivers.tornado(study)),
                ("spider", drivers.spider(study)),
                ("heat", heat.heat(study)),
                ("sobol", drivers.sobol(study)),
            ]
        ),
        tornadoes=charts(drivers.other_tornadoes(study)),
        inputs=tables.inputs(study),
        followed=tables.followed(study),
        money=charts([*cash.fans(study), ("convergence", convergence.convergence(study))]),
        percentiles=tables.percentiles(study),
        undefined=tables.undefined(study),
        runs=tables.runs(study),
    )
