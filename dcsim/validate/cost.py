"""Published costs of training runs, sites, electricity and GPU-hours, each from the inputs published with it."""

from collections.abc import Sequence

from dcsim.validate import cost_lcoe, cost_market, cost_monthly, cost_training
from dcsim.validate.common import Case, Part, Suite


def parts() -> Sequence[Part]:
    """Published values by kind."""
    return (*cost_training.PARTS, *cost_monthly.PARTS, *cost_lcoe.PARTS, *cost_market.PARTS)


def findings(cases: Sequence[Case]) -> Sequence[str]:
    """Conventions, shares, figures left un-deflated, and what stands behind the gaps."""
    return [text for room in (cost_training, cost_monthly, cost_lcoe, cost_market) for text in room.findings(cases)]


SUITE = Suite(
    {
        "epoch": cost_training.EPOCH,
        "hamilton": cost_monthly.MONTHLY,
        "lcoe": cost_lcoe.LCOE,
        "energy": cost_training.ENERGY,
        "market": cost_market.MARKET,
    },
    "cost, energy and carbon of training runs, cost of sites, of electricity and of GPU-hours",
    parts=parts,
    files=("cost-epoch.csv", "cost-hamilton.csv", "cost-lcoe.csv", "cost-energy.csv", "cost-market.csv"),
    findings=findings,
    checks=cost_market.assumptions,
)
