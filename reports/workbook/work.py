"""Costs over the work that they buy: GPU-hours, days of effective compute, and what an idle GPU would have earned."""

import numpy as np
from numpy.typing import NDArray

from dcsim.runs import Run

from ..flows import gpu_hours
from .book import Book, C, P, Sheet
from .inputs import mfu, peaks_flop_s
from .returns import Worth

Floats = NDArray[np.float64]

TOP = 29
FIRST_MONTHS = 12


def write(book: Book, run: Run, found: Worth) -> None:
    """Add the rows of work to the sheet of returns."""
    sheet, statement = book.sheets["Returns"], book.sheets["Statement"]
    table = run.statement
    costs = -(table["capex_usd"] + table["opex_usd"] + table["residual_usd"]).to_numpy() * found.factors["deflator"]
    names = "+".join(statement.at(name) for name in ("capex_usd", "opex_usd", "residual_usd"))
    formula = f"=-({names})*{C}${sheet.rows['deflator']}"
    label = "capital and operating cost less residual value"
    sheet.series(TOP, "costs", label, "USD", formula, costs, total=True)
    hours, peaks = gpu_hours(run, book.months.first, book.months.n), peaks_flop_s(run)
    row = TOP + 1
    sheet.text(
        f"A{row}", "GPU-hours that jobs and services hold; beside them the dense 16-bit peak of a GPU [FLOP/s]", "soft"
    )
    for index, (pool, of) in enumerate(hours.items()):
        sheet.values(row + 1 + index, f"hours {pool}", f"pool {pool}", "GPU h", of)
        sheet.number(f"C{row + 1 + index}", peaks[pool])
    bottom = row + 1 + len(hours)
    span = f"{C}{row + 1}:{C}{bottom - 1}"
    total = np.sum(list(hours.values()), axis=0)
    sheet.series(bottom, "hours", "GPU-hours", "GPU h", f"=SUM({span})", total, number="count", total=True)
    days = np.sum([of * peaks[pool] for pool, of in hours.items()], axis=0) * mfu(run) / 24e15
    formula = f"=SUMPRODUCT({span},$C{row + 1}:$C{bottom - 1})*mfu_frac/(24*10^15)"
    sheet.series(
        bottom + 1, "pflop_days", "days of effective PFLOP/s", "day", formula, days, number="count", total=True
    )
    discount = sheet.rows["discount"]
    for shift, (word, values, unit, number) in enumerate(
        (("costs", costs, "USD", "usd"), ("hours", total, "GPU h", "count"), ("pflop_days", days, "day", "count"))
    ):
        formula = f"={C}{sheet.rows[word]}*{C}${discount}"
        label = f"{word.replace('_', ' ')}, discounted"
        at = bottom + 2 + shift
        worth = values * found.factors["discount"]
        sheet.series(at, f"{word}_pv", label, unit, formula, worth, total=True, number=number)
    _first_year(sheet, statement, run, bottom + 6)


def _first_year(sheet: Sheet, statement: Sheet, run: Run, row: int) -> None:
    """The first twelve months with GPUs, whose earnings say what one that waits would have earned."""
    stands = run.statement["gpus_energised"].to_numpy() > 0
    gpus = statement.at("gpus_energised")
    one = f"IF({gpus}>0,1,0)"
    gone = np.cumsum(stands)
    sheet.series(row, "with_gpus", "months with GPUs", "month", f"={P}{row}+{one}", gone, number="", first=f"={one}")
    formula = f"=IF(AND({gpus}>0,{C}{row}<={FIRST_MONTHS}),1,0)"
    flags = stands & (gone <= FIRST_MONTHS)
    sheet.series(row + 1, "first_year", "of the first twelve of them", "1", formula, flags, number="")
