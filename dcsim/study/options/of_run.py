"""The flows of a run that a right changes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.errors import UsageError
from dcsim.finance.cashflow import MONTHS_PER_YEAR, discount_factors_at
from dcsim.finance.ledger import OPERATING, month_number, month_numbers, monthly_flows
from dcsim.finance.levelised import market_value_usd
from dcsim.model.scenario import Scenario
from dcsim.runs import Run
from dcsim.study.options.real import Flows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OfRun:
    """Flows before tax and debt from the first month on, in dollars of the valuation month where NPV is real.

    ``by`` has them by category, ``worth_frac`` is the value at the valuation month of a dollar at the first month.
    """

    scenario: Scenario
    first_month: int
    by: dict[str, Floats]
    worth_frac: float

    @property
    def flows(self) -> Flows:
        """What moves with the price and what does not."""
        return Flows(self.by["revenue"], np.asarray(sum(self.by[of] for of in OPERATING if of != "revenue")))

    @property
    def running(self) -> Flows:
        """Revenue and operating cost alone."""
        return Flows(self.by["revenue"], self.by["opex"])

    def salvage_usd(self, sold_frac: float) -> Floats:
        """What all that was bought sells for at the end of each month, shape (n_months,). [USD]

        *sold_frac* of its price when new, which falls as :func:`~dcsim.finance.levelised.market_value_usd` has it.
        """
        bought = -self.by["capex"]
        age = np.arange(len(bought)) / MONTHS_PER_YEAR
        left = market_value_usd(1.0, age)
        return np.asarray(sold_frac * np.convolve(bought, left)[: len(bought)])


def of_run(run: Run) -> OfRun:
    """Flows of a run folder, month by month.

    Raises
    ------
    UsageError
        If it sells nothing, so that no price moves it.
    """
    scenario, finance = Scenario.model_validate(run.scenario), run.findings["finance"]
    first = int(month_numbers([finance["first_month"]])[0])
    n = month_number(scenario.plan.end) - first
    by = {of: monthly_flows(run.ledger, first, n, of) for of in OPERATING}
    if not by["revenue"].any():
        raise UsageError(
            f"{run.folder}: it sells nothing, so no price moves its flows; run it with economics.revenue of kind rental"
        )
    stated = scenario.economics.valuation_date
    ahead = 0 if stated is None else first - month_number(stated)
    if scenario.economics.dollars == "real":
        deflated = discount_factors_at(ahead + np.arange(n), finance["inflation_frac"])
        by = {of: flows * deflated for of, flows in by.items()}
    return OfRun(scenario, first, by, float(discount_factors_at(ahead, scenario.economics.discount_rate)))
