"""Checks of the model on the run itself: what must be the same by two ways."""

from dataclasses import dataclass

from dcsim.runs import Run

from ..flows import gpu_hours_worth
from .tables import components, sources_and_uses


@dataclass(frozen=True)
class Check:
    """Two ways to one amount."""

    what: str
    one: float
    other: float

    @property
    def holds(self) -> bool:
        """Whether they agree to the cent, or to 1e-9 of it where it is large."""
        return abs(self.one - self.other) <= max(0.01, 1e-9 * max(abs(self.one), abs(self.other)))


def checks(run: Run) -> list[Check]:
    """Every check of a run."""
    ledger, table = run.ledger, run.statement
    by_category = ledger.groupby("category")["amount_usd"].sum()
    found = [
        Check(f"ledger, {name} = statement, {column}", float(by_category.get(name, 0.0)), float(table[column].sum()))
        for name, column in (
            ("capex", "capex_usd"),
            ("opex", "opex_usd"),
            ("revenue", "revenue_usd"),
            ("residual", "residual_usd"),
            ("tax", "tax_unlevered_usd"),
        )
    ]
    equity = float(table["cash_to_equity_usd"].sum())
    found += [
        Check("cash to equity = sum of all ledger rows", equity, float(ledger["amount_usd"].sum())),
        Check("cash to equity = profit of all years", equity, float(table["net_income_usd"].sum())),
        Check(
            "payments of the register = capital",
            float(run.register["paid_usd"].sum()),
            -float(table["capex_usd"].sum()),
        ),
        Check(
            "sales of the register = residual value",
            float(run.register["sold_usd"].sum()),
            float(table["residual_usd"].sum()),
        ),
        Check("book value on the last day = 0", float(table["book_value_usd"].iloc[-1]), 0.0),
        _sources(run),
    ]
    cost = run.kpis["cost_usd_per_gpu_h"]["value"]
    if cost is not None:
        total = float(components(run)["worth_usd"].sum())
        found.append(Check("components of a GPU-hour = cost_usd_per_gpu_h", total / gpu_hours_worth(run), cost))
    if run.findings["finance"]["loan"]:
        found.append(_loan(run))
    return found


def _sources(run: Run) -> Check:
    found = sources_and_uses(run)
    return Check(f"sources = uses until {found['until']}", found["total_sources"], found["total_uses"])


def _loan(run: Run) -> Check:
    """What is drawn and added less what is repaid is nothing."""
    debt = run.ledger[run.ledger["category"] == "debt"].groupby("item")["amount_usd"].sum()
    drawn = sum(float(of) for name, of in debt.items() if str(name).startswith("loan drawn"))
    repaid = -float(debt.get("principal", 0.0)) - float(debt.get("balance repaid at the end", 0.0))
    return Check("loan drawn, with its interest = loan repaid: its balance ends at 0", drawn, repaid)
