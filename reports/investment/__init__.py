"""The tables of an investment committee: the answer and its rules first, then what stands behind each figure."""

from dcsim.runs import Run

from ..page import charts, render
from ..run_report import assumptions
from . import checks, returns, tables, verdict
from .figures import FIGURES

FILE = "investment.html"


def html(run: Run) -> str:
    """Page of a run; the same run gives the same bytes."""
    return render(
        "investment.html",
        run=run,
        verdict=verdict.verdict(run),
        ask=verdict.ask(run),
        risks=verdict.risks(run),
        guesses=verdict.guesses(run),
        conditions=verdict.conditions(run),
        uses=tables.sources_and_uses(run),
        capex=tables.capital_by_class(run),
        units=tables.unit_costs(run),
        annual=tables.annual(run),
        debt=returns.debt_by_year(run),
        returns=returns.returns(run),
        capacity=tables.capacity(run),
        schedule=tables.schedule(run),
        value=returns.value(run),
        checks=checks.checks(run),
        charts=charts((name, draw(run)) for name, draw in FIGURES.items()),
        assumptions=assumptions(run),
    )
