"""Published models of a site's cost by the month: an annuity a class of assets, power and people."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from dcsim.finance.cashflow import MONTHS_PER_YEAR, annuity_usd
from dcsim.finance.ledger import Entry, ledger
from dcsim.finance.training_cost import by_item_usd
from dcsim.registry import lookup
from dcsim.validate.common import Case, Figure, Kind, NotPredicted, Part, Prediction, compared, number
from dcsim.validate.cost_training import fitted

USD, SHARE = "published_usd_per_month", "published_share_pct"
TOTAL = "TOTAL"
CONVENTION = "monthly annuity at a twelfth of the yearly rate"


def _entry(line: str, quantity: float, unit: str, price_usd: float) -> Entry:
    return Entry(
        month=0,
        category="opex",
        item=line,
        phase="site",
        quantity=quantity,
        unit=unit,
        price_usd=price_usd,
        source="case",
    )


def _annuity(case: Case, line: str, price: str, years: str, frac: float = 1.0) -> Entry:
    """A month's payment for what is bought at once; nothing where nothing is bought."""
    price_usd = frac * number(case, price)
    if price_usd == 0:
        return _entry(line, 0.0, "month", 0.0)
    months = round(number(case, years) * MONTHS_PER_YEAR)
    rate_frac = number(case, "cost_of_money") / MONTHS_PER_YEAR
    return _entry(line, 1.0, "month", annuity_usd(price_usd, rate_frac, months))


def _facility(case: Case, line: str, frac: float) -> Entry:
    return _annuity(case, line, "facility_capex_usd", "facility_amort_years", frac)


def _power(case: Case) -> Entry:
    mean_kw = number(case, "critical_load_kw") * number(case, "avg_load_frac") * number(case, "pue")
    energy_kwh = mean_kw * number(case, "hours_per_month")
    return _entry("power", energy_kwh, "kWh", number(case, "electricity_usd_per_kwh"))


LINES: dict[str, Callable[[Case], Entry]] = {
    "servers": lambda case: _annuity(case, "servers", "server_capex_usd", "server_amort_years"),
    "networking": lambda case: _annuity(case, "networking", "network_capex_usd", "network_amort_years"),
    "power_cooling_infra": lambda case: _facility(
        case, "power_cooling_infra", number(case, "power_cooling_frac_of_facility")
    ),
    "other_infra": lambda case: _facility(case, "other_infra", 1.0 - number(case, "power_cooling_frac_of_facility")),
    "power": _power,
    "people": lambda case: _entry("people", 1.0, "month", number(case, "people_usd_per_month")),
}


def _usd(entries: Iterator[Entry]) -> float:
    return sum(by_item_usd(ledger(entries)).values())


def monthly(case: Case) -> Mapping[str, Prediction]:
    """Cost of one line in a month and its share of all, or both of the total. [USD], [%]"""
    line = case["line"]
    wanted = LINES if line == TOTAL else {line: lookup({**LINES, TOTAL: _power}, line, "line of the model")}
    found: dict[str, Prediction] = {}
    try:
        own = _usd(of(case) for of in wanted.values())
    except NotPredicted as error:
        return {USD: error, SHARE: error}
    found[USD] = Figure(own, CONVENTION)
    try:
        every = own if line == TOTAL else _usd(of(case) for of in LINES.values())
        found[SHARE] = Figure(100.0 * own / every, CONVENTION) if every else NotPredicted("the model costs nothing")
    except NotPredicted as error:
        found[SHARE] = NotPredicted(f"a share needs every line: {error}")
    return found


def findings(cases: Sequence[Case]) -> list[str]:
    """Largest error of a share in points, where errors in percent of a share mislead."""
    rows = [row for case in cases if "line" in case for row in compared(MONTHLY, case, "") if row["column"] == SHARE]
    off = [abs(row["predicted"] - row["published"]) for row in rows if row["error_pct"] is not None]
    if not off:
        return []
    return [
        f"monthly models: largest error of a published share {max(off):.2f} points of {len(off)}, which are rounded to "
        "whole points; totals are sums of rounded lines"
    ]


INPUTS = (
    "critical_load_kw",
    "avg_load_frac",
    "pue",
    "electricity_usd_per_kwh",
    "facility_capex_usd",
    "power_cooling_frac_of_facility",
    "server_capex_usd",
    "server_amort_years",
    "network_capex_usd",
    "network_amort_years",
    "facility_amort_years",
    "cost_of_money",
    "people_usd_per_month",
    "hours_per_month",
    "line",
)
MONTHLY = Kind(
    INPUTS,
    {USD: "USD", SHARE: "%"},
    monthly,
    fitted,
    "lines of published models of a site's cost by the month",
    optional=("status",),
    label=("case_id", "line"),
)
PARTS = (
    Part("Hamilton and followers, costs", "USD a month, line by line", lambda case: "line" in case, answer=USD),
    Part("Hamilton and followers, shares", "rounded to whole %", lambda case: "line" in case, answer=SHARE),
)
