"""What an uncertainty study is asked: a plan, its alternatives, the draws, and the figure that decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from dcsim.errors import UsageError
from dcsim.kpi import BETTER, KPIS
from dcsim.model.economics import Nothing
from dcsim.model.load import Loaded, load
from dcsim.registry import lookup
from dcsim.study.compare.asked import named
from dcsim.study.draws.correlation import correlated
from dcsim.study.draws.sample import Method, independent_shares
from dcsim.study.figures.inputs import Floats, Input, check_ends, inputs_of
from dcsim.study.uncertainty.ranges import with_ranges

ALWAYS = ("cost_usd_per_gpu_h", "capex_usd", "opex_usd_per_year", "peak_outlay_usd")
OF_REVENUE = ("npv_usd", "irr_frac", "payback_years")
OF_TAX = ("npv_after_tax_usd", "irr_after_tax_frac")
OF_DEBT = ("npv_equity_usd", "irr_equity_frac", "dscr_min")
# Where more than prices is drawn.
OF_PLANT = ("pue", "gpu_goodput_frac", "gpu_allocated_frac", "facility_energy_mwh", "carbon_t", "water_m3")


@dataclass(frozen=True)
class Side:
    """The plan or an alternative, and its draws: columns of numbers by input."""

    name: str
    sets: tuple[str, ...]
    loaded: Loaded
    inputs: tuple[Input, ...]
    columns: dict[str, Floats]


@dataclass(frozen=True)
class Asked:
    """A study that can be run; the plan itself comes first in *sides*."""

    sides: tuple[Side, ...]
    draws: int
    method: Method
    figure: str
    names: tuple[str, ...]
    valued: date | None

    @property
    def base(self) -> Side:
        """The plan itself."""
        return self.sides[0]


def asked(
    source: str,
    sets: tuple[str, ...],
    alternatives: Sequence[str],
    draws: int,
    method: Method,
    figure: str | None,
    more: Sequence[str],
    catalog_ranges: bool = False,
) -> Asked:
    """Read the plan and its alternatives, and draw their inputs.

    An input of the same name has the same draws in all of them, so their differences are paired.

    Parameters
    ----------
    source : str
        Path of a scenario, or the name of a shipped one.
    sets : tuple of str
        Overrides of all, as ``--set`` takes them.
    alternatives : sequence of str
        Each ``name: path=value, path=value``, laid over the plan.
    draws : int
        How many.
    method : {"latin", "sobol"}
        As :func:`dcsim.study.draws.sample.sample` has it.
    figure : str or None
        Key figure that decides; NPV, or the cost of a GPU-hour where nothing is sold.
    more : sequence of str
        Further key figures.
    catalog_ranges : bool
        Whether prices of the catalog are drawn within their ranges too.

    Raises
    ------
    UsageError
        If anything is wrong with the plan, an alternative or a figure.
    """
    base = load(source, sets)
    if figure in KPIS and figure not in BETTER:
        raise UsageError(f"--figure {figure}: neither more nor less of it is better; use --also for it")
    for name in (*more, *((figure,) if figure else ())):
        lookup(KPIS, name, "key figure")
    stated: list[tuple[str, tuple[str, ...]]] = [(base.scenario.name, ())]
    stated += [named(text, "--alt") for text in alternatives]
    names = [name for name, _ in stated]
    for name in {name for name in names if names.count(name) > 1}:
        raise UsageError(f"two alternatives are called '{name}'; give each its own name")
    valued = None
    if alternatives and base.scenario.economics.valuation_date is None:
        # Plans that pay first in other months are compared at one.
        valued = _first_order(base)
        sets = (*sets, f"economics.valuation_date={valued}")
    plans = [load(source, (*sets, *own)) for _, own in stated]
    if catalog_ranges:
        plans = [with_ranges(loaded) for loaded in plans]
    inputs = [inputs_of(loaded, draws) for loaded in plans]
    # Of all inputs at once, so that one that an alternative lacks leaves the others' draws alone.
    known = dict.fromkeys(of.name for some in inputs for of in some)
    shares = independent_shares(list(known), draws, base.scenario.plan.seed, method)
    sides = []
    for (name, own), loaded, some in zip(stated, plans, inputs, strict=True):
        drawn = correlated({of.name: shares[of.name] for of in some}, _pairs(loaded, [of.name for of in some]))
        columns = {of.name: of.ppf(drawn[of.name]) for of in some}
        check_ends(loaded, some, columns)
        sides.append(Side(name, own, loaded, some, columns))
    decides = figure or ("cost_usd_per_gpu_h" if _sells_nothing(base) else "npv_usd")
    return Asked(tuple(sides), draws, method, decides, _names(sides, decides, more), valued)


def _names(sides: Sequence[Side], figure: str, more: Sequence[str]) -> tuple[str, ...]:
    """Key figures of the study, the one that decides first."""
    economics = sides[0].loaded.scenario.economics
    found = [figure]
    if not _sells_nothing(sides[0].loaded):
        found += OF_REVENUE
        found += OF_TAX if economics.tax is not None else ()
        found += OF_DEBT if economics.debt is not None else ()
    found += ALWAYS
    if any(of.simulated for side in sides for of in side.inputs):
        found += OF_PLANT
    return tuple(dict.fromkeys([*found, *more]))


def _sells_nothing(loaded: Loaded) -> bool:
    scenario = loaded.scenario
    return isinstance(scenario.economics.revenue, Nothing)


def _pairs(loaded: Loaded, names: Sequence[str]) -> dict[tuple[str, str], float]:
    """Correlations of inputs that are drawn; an alternative may give one of them a single value."""
    return {
        stated.between: stated.r
        for stated in loaded.scenario.uncertainty.correlations
        if all(name in names for name in stated.between)
    }


def _first_order(loaded: Loaded) -> date:
    """First of the month in which the first order of a plan is placed, or in which the plan begins."""
    scenario = loaded.scenario
    orders = [of.order for phase in scenario.facility.phases for of in (phase.construction, phase.hardware)]
    return min([scenario.plan.start, *orders]).replace(day=1)
