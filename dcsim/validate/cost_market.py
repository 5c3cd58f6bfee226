"""Figures of the market: what a GPU-hour costs its owner, power at the meter a GPU, and capital a gigawatt."""

from collections.abc import Callable, Mapping, Sequence

from dcsim.registry import lookup
from dcsim.validate.common import Case, Figure, Kind, NotPredicted, Part, Prediction, compared
from dcsim.validate.owner_cost import RATED, SITE_MW, energy_price, owner, owner_cost, shares, site

HOUR, POWER, CAPEX = "owner_usd_per_gpu_h", "utility_kw_per_gpu", "capex_usd_per_gw"
W_PER_GW = 1e9
# Shares of capital that Bernstein gives with its sum, October 2025.
BERNSTEIN = "GPUs 39, networking 13, CPUs 3, storage 1 to 1.5, mechanical and electrical about 33"
NAMEPLATE = f"rated power, as the published one; site of {SITE_MW:g} MW; mean of a weather year"


def _given(case: Case, column: str) -> str:
    text = case.get(column, "")
    if not text:
        raise NotPredicted(f"{column} is not given")
    return text


def _hour(case: Case) -> Figure:
    cost = owner_cost(_given(case, "server"), _given(case, "owner"))
    return Figure(cost.usd_per_gpu_h, "every hour owned, sold or not; measured peak power all hours")


def _power(case: Case) -> Figure:
    return Figure(site(_given(case, "server"), RATED).kw_per_gpu, NAMEPLATE)


def _capex(case: Case) -> Figure:
    built = site(_given(case, "server"), RATED)
    return Figure(
        sum(built.capex_usd().values()) / built.facility.final.facility_design_w * W_PER_GW,
        "a gigawatt at the meter in the design hour, rated power",
    )


FIGURES: dict[str, Callable[[Case], Figure]] = {HOUR: _hour, POWER: _power, CAPEX: _capex}


def predict(case: Case) -> Mapping[str, Prediction]:
    """The figure that a case asks for, from the catalog and a built site."""
    return {"published": lookup(FIGURES, case["figure"], "figure")(case)}


def _of(figure: str, cases: Sequence[Case]) -> list[tuple[Case, float, float]]:
    """Cases of a figure that are predicted, with prediction and error. [1], [%]"""
    return [
        (case, float(row["predicted"]), float(row["error_pct"]))
        for case in cases
        if case.get("figure") == figure
        for row in compared(MARKET, case, "")
        if row["error_pct"] is not None
    ]


def findings(cases: Sequence[Case]) -> list[str]:
    """What stands behind each gap."""
    hours, powers, capital = (_of(figure, cases) for figure in FIGURES)
    found = [_of_owner(name, hours) for name in dict.fromkeys(case["owner"] for case, _, _ in hours)]
    if powers:
        listed = ", ".join(
            f"{case['server']} {predicted:.2f} ({error:+.1f} %; PUE {site(case['server'], RATED).pue:.2f}; "
            f"{site(case['server'], RATED).design_kw_per_gpu:.2f} in the design hour)"
            for case, predicted, error in powers
        )
        found.append(f"kW at the meter a GPU with support, network and the PUE of our own plants: {listed}")
    for case, predicted, error in capital:
        found.append(
            f"capital a GW of {case['server']}: {predicted / 1e9:.1f} billion USD ({error:+.1f} %); shares in %: "
            f"{shares(site(case['server'], RATED).capex_usd())}; buildings, plant and land together "
            f"{100.0 * site(case['server'], RATED).built_frac:.0f}; published: {BERNSTEIN}"
        )
    return found


def _of_owner(name: str, hours: Sequence[tuple[Case, float, float]]) -> str:
    """What an owner's GPU-hours rest on, and what they would cost at the catalog's usual price of the server."""
    own, of = [hour for hour in hours if hour[0]["owner"] == name], owner(name)
    listed = []
    for case, predicted, error in own:
        usual = owner_cost(case["server"], name, own_price=False).usd_per_gpu_h
        change = 100.0 * (usual / predicted * (1.0 + error / 100.0) - 1.0)
        other = "" if usual == predicted else f"; {usual:.2f} or {change:+.0f} % at the catalog's list price"
        listed.append(f"{case['server']} {predicted:.2f} ({error:+.0f} %{other})")
    server = own[0][0]["server"]
    if any("list price" in text for text in listed):
        listed.append("the prices that it pays are by the firm whose costs these are")
    return (
        f"a GPU-hour of a {name}, USD: {', '.join(listed)}; assumed: servers written off over {of.life_years:g} years "
        f"at {100 * of.wacc_frac:.1f} % a year, their residual by market decay, prices of 2024 and 2025, buildings and "
        f"plant owned too, energy at {energy_price():.3f} USD/kWh, every hour counted; shares of {server} in %: "
        f"{shares(owner_cost(server, name).components)}"
    )


MARKET = Kind(
    ("figure", "server", "owner"),
    {"published": "USD"},
    predict,
    lambda case: False,
    "figures of the market: owner's cost of a GPU-hour, power a GPU, capital a gigawatt",
)


def _part(name: str, meaning: str, figure: str) -> Part:
    return Part(name, meaning, lambda case: case.get("figure") == figure)


PARTS = (
    _part("owner's cost of a GPU-hour", "from the catalog's prices, lives and costs of capital, none fitted", HOUR),
    _part("power at the meter a GPU", "a built site at rated power", POWER),
    _part("capital a gigawatt", "bill of materials of a built site", CAPEX),
)
